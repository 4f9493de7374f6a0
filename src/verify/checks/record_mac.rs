//! `recordMac`: the finished card, its PIN mailer and its return against the order, under the data key of the job.
//!
//! The maker computes it from the parsed order, before anything is prepared. Here every field comes from the finished
//! card, so a card with data of its neighbour cannot have it.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::hash::hmac_sha256;
use crate::secret::Secret;

use super::super::derive::{Digits, digits, nibbles};
use super::super::report::{CheckName, Findings};
use super::super::tracks::trimmed;
use super::Card;
use super::stripe::{chip_side, is_anonymous, printed_expiry, text_of};

const NAME: CheckName = CheckName::RecordMac;

type Text = Zeroizing<String>;

/// How a line and its MAC stand to each other.
enum Fit {
    Right,
    Missing,
    Other,
}

/// What the finished card says of itself, each thing once.
struct Said {
    pan: Text,
    /// YYMM.
    expiry: Text,
    /// One, or all when the card and the return say none.
    psns: Vec<String>,
    /// The encoded names that may stand in the MAC.
    encoded: Vec<Text>,
    printed: Text,
    second: Text,
}

pub(in super::super) fn record_mac(card: &Card<'_>, found: &mut Findings) {
    if card.context.return_of_another {
        found.fail(CheckName::IssuerReturn, "the return of this position names another card");
    }
    let Some(job) = card.keys.job() else { return };
    let said = match said(card) {
        Ok(said) => said,
        Err(reason) => return found.fail(NAME, reason),
    };
    let key = Secret::copy_of(Zeroizing::new(hmac_sha256(job, &[b"emv-dataprep/record-mac/1"])).as_slice());
    let fits = |label: &str, mac: Option<[u8; 32]>, names: &dyn Fn(&str) -> Vec<Text>| {
        let Some(mac) = mac else { return Fit::Missing };
        let position = card.line.position.to_be_bytes();
        let found = said.encoded.iter().any(|encoded| {
            let names = names(encoded);
            said.psns.iter().any(|psn| {
                let mut fields: Vec<&[u8]> =
                    vec![label.as_bytes(), &position, card.line.card_id.as_bytes(), said.pan.as_bytes()];
                fields.extend([said.expiry.as_bytes(), psn.as_bytes()]);
                fields.extend(names.iter().map(|n| n.as_bytes()));
                let mut message = Zeroizing::new(Vec::with_capacity(1024));
                for field in fields {
                    message.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
                    message.extend_from_slice(field);
                }
                hmac_sha256(&key, &[message.as_slice()]).ct_eq(&mac).into()
            })
        });
        if found { Fit::Right } else { Fit::Other }
    };
    let whole =
        |encoded: &str| vec![Text::new(encoded.to_owned()), said.printed.clone(), said.second.clone()];
    match fits("card", card.line.record_mac, &whole) {
        Fit::Right => found.pass(NAME),
        Fit::Missing => found.fail(NAME, "the card has no recordMac"),
        Fit::Other => found.fail(NAME, "the card is not that of its order: its recordMac is another one"),
    }
    if let Some(record) = &card.context.issuer_return {
        match fits("return", record.record_mac, &whole) {
            Fit::Right => found.pass(NAME),
            Fit::Missing => found.fail(NAME, "the return has no recordMac"),
            Fit::Other => found.fail(NAME, "the return is not that of the card's order"),
        }
    }
    if let Some(letter) = &card.context.letter {
        let name = || vec![clean(letter.name.as_deref().map_or("", String::as_str))];
        match fits("mailer", letter.record_mac, &|_| name()) {
            Fit::Right => found.pass(NAME),
            Fit::Missing => found.fail(NAME, "the PIN mailer has no recordMac"),
            Fit::Other => found.fail(NAME, "the PIN mailer is not that of the card's order"),
        }
    }
}

fn clean(name: &str) -> Text {
    Text::new(trimmed(name).to_owned())
}

/// Reads the card; an error when two of its parts say different things.
fn said(card: &Card<'_>) -> Result<Said, &'static str> {
    let side = chip_side(card);
    let tracks = || [&card.track1, &card.track2].into_iter().flatten();
    let print = &card.line.print;

    let mut pans: Vec<Digits> = tracks().map(|t| t.pan.clone()).chain(side.pans).collect();
    if let Some(text) = &print.pan {
        pans.push(digits(&text.replace(' ', "")).ok_or("the printed PAN cannot be read")?);
    }
    let mut expiries: Vec<Digits> = tracks().map(|t| t.expiry.clone()).chain(side.expiries).collect();
    if let Some(text) = &print.expiry {
        let forms = printed_expiry(text).ok_or("the printed expiry cannot be read")?;
        // Four digits may be read both ways: the one that the rest of the card has is meant.
        let fitting = forms.iter().find(|f| expiries.iter().any(|e| e.as_slice() == f.as_slice()));
        expiries.extend(fitting.or(forms.first()).map(|f| Zeroizing::new(f.clone())));
    }
    let chip_psns = card.payment().flat_map(|c| &c.paths).filter_map(|p| p.get(0x5F34));
    let chip_psns: Vec<Digits> = chip_psns.map(|v| Zeroizing::new(nibbles(v))).collect();
    let psns = match one(chip_psns, "two sequence numbers stand on the card")? {
        Some(psn) => vec![text_of(&psn)],
        None => match card.context.issuer_return.as_ref().and_then(|r| r.psn.clone()) {
            Some(psn) => vec![psn],
            None => (0..100).map(|n| format!("{n:02}")).collect(),
        },
    };
    let stripe = card.track1.as_ref().and_then(|t| t.name.as_ref()).filter(|n| !is_anonymous(n));
    let chip: Vec<Text> = side.names.iter().filter(|n| !is_anonymous(n)).map(|n| clean(n)).collect();
    let encoded = match (stripe.map(|n| clean(n)), chip.first()) {
        (Some(name), _) => vec![name],
        // A name of the profile, the same on every card, is no name of the order.
        (None, Some(name)) => vec![name.clone(), Text::default()],
        (None, None) => vec![Text::default()],
    };
    // 9F0B goes on where 5F20 ends.
    if encoded.first().is_some_and(|name| chip.iter().any(|n| !n.starts_with(name.as_str()))) {
        return Err("two encoded names stand on the card");
    }
    let printed: Vec<Text> = [print.name.as_deref(), card.line.carrier_name.as_deref()]
        .into_iter()
        .flatten()
        .map(|n| clean(n))
        .collect();
    Ok(Said {
        pan: Text::new(text_of(&one(pans, "two PANs stand on the card")?.ok_or("the card has no PAN")?)),
        expiry: Text::new(text_of(
            &one(expiries, "two expiry dates stand on the card")?.ok_or("the card has no expiry")?,
        )),
        psns,
        encoded,
        printed: one(printed, "two names stand on the card and its carrier")?.unwrap_or_default(),
        second: clean(print.second_name.as_deref().map_or("", String::as_str)),
    })
}

/// The value that all of them are; none when there are none.
fn one<T: PartialEq>(values: Vec<T>, differ: &'static str) -> Result<Option<T>, &'static str> {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.all(|v| v == first) { Ok(Some(first)) } else { Err(differ) }
}
