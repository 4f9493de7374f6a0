//! Whole cards of a small test issuer through `verify`: a good card passes, and every flipped bit that matters is seen.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod verify_support;

use emv_dataprep::verify::{
    CardContext, CardLine, CheckName, Keys, Outcome, ScriptStep, verify_card, verify_line,
};
use verify_support::{Made, Spec, made};

#[test]
fn a_good_card_passes_every_check() {
    let Made { line, keys, context } = made(&Spec::dual()).with_job();
    let report = verify_card(&line.to_string(), &keys, &context);
    assert_eq!(report.failures().collect::<Vec<_>>(), []);
    let left: Vec<_> =
        report.checks.iter().filter(|(_, o)| *o == Outcome::NotApplicable).map(|(n, _)| *n).collect();
    assert_eq!(left, [], "a check looked at nothing");
}

#[test]
fn the_mac_of_a_record_covers_every_field_and_nothing_passes_without_it() {
    let outcome = |change: &dyn Fn(&mut Made)| {
        let mut made = made(&Spec::dual()).with_job();
        change(&mut made);
        verify_card(&made.line.to_string(), &made.keys, &made.context).outcome(CheckName::RecordMac)
    };
    assert_eq!(outcome(&|_| ()), Outcome::Passed);
    assert_eq!(outcome(&|made| made.keys = Keys::default()), Outcome::NotApplicable);
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Made));
    let changes: [Change<'_>; 14] = [
        ("position", &|m| m.line["position"] = 2.into()),
        ("cardId", &|m| m.line["cardId"] = "c-2".into()),
        ("printed name", &|m| m.line["print"]["name"] = "JANE DOES".into()),
        ("second name", &|m| m.line["print"]["secondName"] = "LTD".into()),
        ("carrier", &|m| m.line["carrier"] = serde_json::json!({"id": "A", "name": "JOHN DOE"})),
        ("expiry", &|m| m.line["print"]["expiry"] = "07/29".into()),
        ("track 1", &|m| {
            let track = m.line["magstripe"]["track1"].as_str().unwrap().replace("DOE/JANE", "DOE/JOHN");
            m.line["magstripe"]["track1"] = track.into();
        }),
        ("no MAC", &|m| drop(m.line.as_object_mut().unwrap().remove("recordMac"))),
        ("another MAC", &|m| m.line["recordMac"] = "5A".repeat(32).into()),
        ("the return's", &|m| m.context.issuer_return.as_mut().unwrap().record_mac = Some([0; 32])),
        ("none of the return", &|m| m.context.issuer_return.as_mut().unwrap().record_mac = None),
        ("the mailer's", &|m| m.context.letter.as_mut().unwrap().record_mac = Some([0; 32])),
        ("the mailer's name", &|m| {
            m.context.letter.as_mut().unwrap().name = Some("JOHN DOE".to_owned().into());
        }),
        ("another job", &|m| m.keys.set_job(emv_dataprep::secret::Secret::copy_of(&[0x5B; 32]))),
    ];
    for (name, change) in changes {
        assert!(matches!(outcome(change), Outcome::Failed(_)), "{name}");
    }
    // The three kinds of line have MACs of their own.
    let same = outcome(&|m| {
        let card = emv_dataprep::bytes::array_from_hex(m.line["recordMac"].as_str().unwrap()).unwrap();
        m.context.issuer_return.as_mut().unwrap().record_mac = Some(card);
    });
    assert!(matches!(same, Outcome::Failed(_)));
}

#[test]
fn a_return_that_names_another_card_is_told() {
    let Made { line, keys, mut context } = made(&Spec::dual());
    context.return_of_another = true;
    let report = verify_card(&line.to_string(), &keys, &context);
    assert!(matches!(report.outcome(CheckName::IssuerReturn), Outcome::Failed(_)));
}

#[test]
fn without_keys_nothing_that_needs_one_passes() {
    let Made { line, .. } = made(&Spec::dual());
    let report = verify_card(&line.to_string(), &Keys::default(), &CardContext::default());
    assert!(report.passed(), "{:?}", report.failures().collect::<Vec<_>>());
    for name in [
        CheckName::TransportKcv,
        CheckName::IssuerCertificate,
        CheckName::IccCertificate,
        CheckName::PinCertificate,
        CheckName::Ssad,
        CheckName::Crt,
        CheckName::Kcv,
        CheckName::IccKeys,
        CheckName::ReferencePin,
        CheckName::PinMailer,
        CheckName::Pvv,
        CheckName::Cvv,
        CheckName::Icvv,
        CheckName::Cvv2,
        CheckName::Transaction,
    ] {
        assert_eq!(report.outcome(name), Outcome::NotApplicable, "{name}");
    }
}

/// Flips every bit of `bytes` in turn; gives those that no check sees.
fn unseen(
    card: &CardLine,
    keys: &Keys,
    context: &CardContext,
    place: impl Fn(&mut CardLine) -> &mut [u8],
) -> Vec<(usize, u8)> {
    let mut card = card.clone();
    let len = place(&mut card).len();
    let mut out = Vec::new();
    for at in 0..len {
        for bit in 0..8 {
            place(&mut card)[at] ^= 1 << bit;
            if verify_line(&card, keys, context).passed() {
                out.push((at, bit));
            }
            place(&mut card)[at] ^= 1 << bit;
        }
    }
    out
}

/// The tag of a record or template that the byte at `at` belongs to, for the list of exceptions.
fn tag_at(value: &[u8], at: usize) -> String {
    let mut pos = 0;
    let mut name = String::new();
    let mut end = value.len();
    while pos < end {
        let start = pos;
        pos += if value[pos] & 0x1F == 0x1F { 2 } else { 1 };
        let tag = verify_support::hex(&value[start..pos]);
        let constructed = value[start] & 0x20 != 0;
        let len = match value[pos] {
            0x81 => {
                pos += 1;
                usize::from(value[pos])
            }
            n => usize::from(n),
        };
        pos += 1;
        if at < pos {
            return format!("header of {tag}");
        }
        if at < pos + len {
            name = tag;
            if !constructed {
                return name;
            }
            end = pos + len;
        } else {
            pos += len;
        }
    }
    name
}

#[test]
fn every_flipped_bit_of_a_dgi_is_seen() {
    let (card, keys, context) = plain_card();
    let mut unseen_bits = Vec::new();
    for (a, app) in card.applications.iter().enumerate() {
        for (d, dgi) in app.dgis.iter().enumerate() {
            for (at, bit) in unseen(&card, &keys, &context, |c| &mut c.applications[a].dgis[d].value) {
                unseen_bits.push(format!("{:04X} {} byte {at} bit {bit}", dgi.tag, tag_at(&dgi.value, at)));
            }
        }
    }
    // What no rule binds: language codes, the issuer's own choices, a tag that becomes another one that may stand there,
    // an entry of a data object list that becomes another one of the same length.
    let free = ["5F2D", "9F10", "9F6C", "9F38", "8C", "8D", "header"];
    let surprises: Vec<_> =
        unseen_bits.iter().filter(|u| !free.contains(&u.split(' ').nth(1).unwrap())).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
    let few = unseen_bits.iter().filter(|u| ["9F38", "8C", "8D", "header"].iter().any(|f| u.contains(f)));
    assert!(few.clone().count() <= 40, "{:#?}", few.collect::<Vec<_>>());
}

/// A card without scripts, so that each check stands alone, and with a short ICC key, to be quick.
fn plain_card() -> (CardLine, Keys, CardContext) {
    let Made { mut line, keys, context } =
        made(&Spec { aip: 0x7C, icc: verify_support::ICC_560, ..Spec::dual() });
    for app in line["chip"]["applications"].as_array_mut().unwrap() {
        app.as_object_mut().unwrap().remove("script");
    }
    let card = CardLine::read(&line.to_string()).unwrap();
    assert!(verify_line(&card, &keys, &context).passed());
    (card, keys, context)
}

type Field = fn(&mut CardLine) -> &mut String;

#[test]
fn every_changed_character_of_stripe_and_print_is_seen() {
    let (card, keys, context) = plain_card();
    let fields: [(&str, Field); 7] = [
        ("maskedPan", |c| &mut c.masked_pan),
        ("track1", |c| c.magstripe.track1.as_mut().unwrap()),
        ("track2", |c| c.magstripe.track2.as_mut().unwrap()),
        ("print.pan", |c| c.print.pan.as_mut().unwrap()),
        ("print.name", |c| c.print.name.as_mut().unwrap()),
        ("print.expiry", |c| c.print.expiry.as_mut().unwrap()),
        ("print.cvv2", |c| c.print.cvv2.as_mut().unwrap()),
    ];
    for (name, field) in fields {
        let mut changed = card.clone();
        let text = field(&mut changed).clone();
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                *field(&mut changed) = String::from_utf8(bytes).unwrap();
                // Upper and lower case print the same name; a space and a parenthesis both part words.
                let was = text.as_bytes()[at];
                let same = bit == 5 && was.is_ascii_alphabetic() || bit == 3 && was == b' ';
                let same = same && name == "print.name";
                assert!(same || !verify_line(&changed, &keys, &context).passed(), "{name} {at} {bit}");
            }
            let mut shorter = text.clone();
            shorter.remove(at);
            *field(&mut changed) = shorter;
            // Spaces of the PAN and the stroke of the expiry are layout.
            let layout = name.starts_with("print") && b" /".contains(&text.as_bytes()[at]);
            let layout = layout && name != "print.name";
            assert!(layout || !verify_line(&changed, &keys, &context).passed(), "{name} without {at}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_script_is_seen() {
    let Made { line, keys, context } =
        made(&Spec { aip: 0x7C, icc: verify_support::ICC_560, ..Spec::dual() });
    let card = CardLine::read(&line.to_string()).unwrap();
    for (a, app) in card.applications.iter().enumerate() {
        for (s, step) in app.script.as_ref().unwrap().iter().enumerate() {
            let mut changed = card.clone();
            match step {
                ScriptStep::Apdu(bytes) => {
                    for at in 0..bytes.len() {
                        // The data of each command is compared as a whole: one bit a byte shows it.
                        for bit in if at < 8 { 0..8 } else { at % 8..at % 8 + 1 } {
                            let mut other = bytes.clone();
                            other[at] ^= 1 << bit;
                            changed.applications[a].script.as_mut().unwrap()[s] = ScriptStep::Apdu(other);
                            let outcome = verify_line(&changed, &keys, &context).outcome(CheckName::Script);
                            assert!(
                                matches!(outcome, Outcome::Failed(_)),
                                "application {a} step {s} {at} {bit}"
                            );
                        }
                    }
                }
                ScriptStep::StoreData { p1, p2, dgis } => {
                    for bit in 0..16 {
                        let (p1, p2) = (p1 ^ (1_u16 << bit) as u8, p2 ^ ((1_u16 << bit) >> 8) as u8);
                        let other = ScriptStep::StoreData { p1, p2, dgis: dgis.clone() };
                        changed.applications[a].script.as_mut().unwrap()[s] = other;
                        let outcome = verify_line(&changed, &keys, &context).outcome(CheckName::Script);
                        assert!(matches!(outcome, Outcome::Failed(_)), "application {a} step {s} bit {bit}");
                    }
                }
            }
            let mut less = card.clone();
            less.applications[a].script.as_mut().unwrap().remove(s);
            let outcome = verify_line(&less, &keys, &context).outcome(CheckName::Script);
            assert!(matches!(outcome, Outcome::Failed(_)), "application {a} without step {s}");
        }
    }
}
