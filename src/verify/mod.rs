//! The second witness: reads a prepared card back as a card, a terminal and an issuer's host would, with code that it
//! shares with nothing that made the card. It names rows 0 and 1 only; keys reach it as arguments.
//!
//! A check passes only when it has seen what it is about. When the card has nothing of the kind, or a key is not
//! given, its outcome is [`Outcome::NotApplicable`].
//!
//! What no check can see, because no rule of a standard or of the card binds it: bytes of proprietary DGIs and tags, free text of
//! labels, risk parameters, issuer action codes and issuer application data outside the signed records, random fill
//! beside a PIN block, and digits of a track that no pattern describes.

pub mod card_os;
mod checks;
mod chip;
mod crt;
mod derive;
mod keys;
mod line;
mod manifest;
mod oda;
mod outcomes;
mod report;
mod tally;
mod terminal;
mod tlv;
mod tracks;

pub use keys::{
    CaPublicKey, CardContext, Derivation, ExpiryOrder, Given, IssuerReturn, Keys, Letter, OuterPinBlock,
};
pub use line::{
    Application, CardLine, CardText, Dgi, FORMAT, Interface, Magstripe, Print, Protection, ScriptStep,
    TransportAlgorithm, TransportKeyName, TransportMode,
};
pub use manifest::{CountsBy, FileEntry, Manifest, Named};
pub use outcomes::{OrderFault, Outcomes};
pub use report::{CardReport, CheckName, Outcome};
pub use tally::{CheckCount, Failure, Tally};

use checks::{Card, Learned};
use chip::{Chip, Kind};
use keys::Transport;
use report::Findings;

/// Checks one prepared card line.
///
/// ```
/// use emv_dataprep::verify::{CardContext, CheckName, Keys, Outcome, verify_card};
/// let report = verify_card("not a card", &Keys::default(), &CardContext::default());
/// assert_eq!(report.outcome(CheckName::Form), Outcome::Failed("the line is not JSON"));
/// assert!(!report.passed());
/// ```
#[must_use]
pub fn verify_card(line: &str, keys: &Keys, context: &CardContext) -> CardReport {
    let mut found = Findings::new();
    if let Some(card) = found.take(CheckName::Form, CardLine::read(line)) {
        check(&card, keys, context, &mut found);
    }
    found.report()
}

/// As [`verify_card`], for a line that is read already.
#[must_use]
pub fn verify_line(card: &CardLine, keys: &Keys, context: &CardContext) -> CardReport {
    let mut found = Findings::new();
    found.pass(CheckName::Form);
    check(card, keys, context, &mut found);
    found.report()
}

fn check(line: &CardLine, keys: &Keys, context: &CardContext, found: &mut Findings) {
    let track1 = line.magstripe.track1.as_deref().and_then(|t| tracks::track1(t));
    let track2 = line.magstripe.track2.as_deref().and_then(|t| tracks::track2(t));
    let transport = line.transport_key.as_ref().and_then(|name| {
        let fixed = || keys.get("transport", name.index).filter(|_| name.wrapped.is_none());
        let key = context.transport_key.as_ref().or_else(fixed)?;
        Some(Transport { key, algorithm: name.algorithm, mode: name.mode })
    });
    let chips: Vec<Chip<'_>> = line.applications.iter().map(|app| Chip::read(app, found)).collect();
    let mut card = Card { line, chips, keys, context, transport, track1, track2, pan: None };
    let from_track = card.track().map(|t| t.pan.clone());
    let from_print = || line.print.pan.as_deref().and_then(|p| derive::digits(&p.replace(' ', "")));
    card.pan = from_track.or_else(from_print).or_else(|| chip_pan(&card));

    checks::stripe::masked_pan(&card, found);
    checks::keys::transport(&card, found);
    checks::chip::directories(&card, found);
    let mut learned = Learned::default();
    for chip in &card.chips {
        checks::chip::grammar(&card, chip, found);
        checks::chip::fci(chip, found);
        checks::script::script(chip, found);
        if chip.kind != Kind::Payment {
            continue;
        }
        learned.card_keys.clear();
        learned.private = None;
        checks::keys::check_values(&card, chip, &mut learned, found);
        checks::keys::master_keys(&card, &mut learned, found);
        checks::keys::reference_pin(&card, chip, &mut learned, found);
        checks::chip::keys_are_used(chip, found);
        let mut path_keys = Vec::new();
        for path in &chip.paths {
            checks::chip::mandatory(path, found);
            checks::objects::dols(path, found);
            checks::chip::aip(chip, path, found);
            checks::chip::cvm(chip, path, found);
            path_keys.push(checks::oda::certificates(&card, chip, path, found));
        }
        checks::oda::private_keys(&card, chip, &path_keys, &mut learned, found);
        terminal::transaction(chip, &path_keys, &learned, found);
        for keys in path_keys {
            learned.issuers.extend(keys.issuer);
            learned.certificates.extend(keys.icc);
            learned.certificates.extend(keys.pin);
        }
    }
    for certified in &learned.certificates {
        let digest = crate::crypto::hash::sha256(&[certified.key.modulus()]);
        let digest = digest.first_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b));
        if !found.card_keys.contains(&digest) {
            found.card_keys.push(digest);
        }
    }
    checks::keys::outside(&card, &mut learned, found);
    checks::stripe::tracks(&card, found);
    checks::stripe::agree(&card, found);
    checks::stripe::service_code(&card, found);
    checks::stripe::expiry(&card, &learned, found);
    checks::stripe::verification_values(&card, found);
    checks::record_mac::record_mac(&card, found);
}

/// The PAN of the chip: 5A, else the track 2 equivalent.
fn chip_pan(card: &Card<'_>) -> Option<derive::Digits> {
    let paths = || card.payment().flat_map(|c| &c.paths);
    let cn = paths().find_map(|p| p.get(0x5A)).map(|value| {
        let mut digits = derive::nibbles(value);
        digits.retain(|n| *n < 10);
        zeroize::Zeroizing::new(digits)
    });
    cn.or_else(|| paths().find_map(|p| tracks::track2_equivalent(p.get(0x57)?)).map(|t| t.pan))
}
