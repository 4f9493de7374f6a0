//! The malformed orders of `tests/corpus`: each gets its code and field, none stops its neighbours, and no value of the
//! order stands in a message.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::arithmetic_side_effects)] // a test

mod order_support;

use std::collections::BTreeSet;

use emv_dataprep::order::{Frame, MAX_LINE, RawOrder, parse_order};
use emv_dataprep::prepare::Rejection;
use order_support::corpus::{cases, changed, texts};
use order_support::{HexEnvelope, TestRules, base, seal, today, verdict};
use serde_json::Value;

fn orders(text: &[u8]) -> Vec<RawOrder> {
    let mut frame = Frame::new();
    let mut out = Vec::new();
    text.chunks(1 << 16).for_each(|chunk| frame.feed(chunk, &mut out));
    frame.finish(&mut out);
    out
}

/// Every text of the order that could be the cardholder's: at least four characters.
fn planted(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.chars().count() > 3 => {
            out.insert(text.clone());
            if let Some(inner) = text.strip_prefix("open.").and_then(|h| hex::decode(h).ok()) {
                planted(&Value::String(String::from_utf8_lossy(&inner).into_owned()), out);
            }
        }
        Value::Array(items) => items.iter().for_each(|v| planted(v, out)),
        Value::Object(members) => members.values().for_each(|v| planted(v, out)),
        _ => {}
    }
}

fn tells_nothing(rejection: &Rejection, texts: &BTreeSet<String>, id: &str) {
    for message in [rejection.to_string(), format!("{rejection:?}")] {
        for text in texts {
            assert!(!message.contains(text.as_str()), "{id}: {text:?} stands in {message:?}");
        }
        let digits = |c: char| c.is_ascii_digit();
        assert!(!message.split(|c| !digits(c)).any(|run| run.len() > 4), "{id}: digits in {message:?}");
    }
}

#[test]
fn every_case_gets_its_code_and_field_and_spares_its_neighbours() {
    let rules = TestRules::default();
    let good = base("instant").to_string();
    let mut seen = BTreeSet::new();
    let mut refused = 0;
    for case in cases() {
        assert!(seen.insert(case.id.clone()), "{} stands twice", case.id);
        refused += usize::from(case.code.is_some());
        let texts = texts(&case);
        assert!(!texts.is_empty(), "{} runs in no form", case.id);
        let mut secrets = BTreeSet::new();
        if case.base.is_some() && case.cut.is_none() {
            planted(&changed(&case)["cardData"], &mut secrets);
            case.set.values().for_each(|v| planted(v, &mut secrets));
        }
        for (form, text) in texts {
            let id = format!("{} ({form})", case.id);
            let input = [good.as_bytes(), b"\n", &text, b"\n", good.as_bytes(), b"\n"].concat();
            let all = orders(&input);
            assert_eq!(all.len(), case.orders.unwrap_or(1) + 2, "{id}");
            let verdicts: Vec<_> = all.iter().map(|raw| verdict(&rules, raw)).collect();
            let (first, rest) = verdicts.split_first().unwrap();
            let (last, these) = rest.split_last().unwrap();
            assert!(first.is_ok() && last.is_ok(), "{id}: a neighbour is refused");
            for verdict in these {
                match (verdict, &case.code) {
                    (Ok(()), None) => {}
                    (Err(r), Some(code)) => {
                        let expected = (code.as_str(), case.field.as_deref().unwrap());
                        assert_eq!((r.code.name(), &*r.field), expected, "{id}: {r}");
                        tells_nothing(r, &secrets, &id);
                    }
                    (found, _) => panic!("{id}: {found:?}"),
                }
            }
        }
    }
    assert!(refused >= 200, "{refused} refused cases");
}

#[test]
fn a_line_of_100_megabytes_is_one_refusal() {
    let good = base("instant").to_string();
    let mut frame = Frame::new();
    let mut out = Vec::new();
    frame.feed(format!("{good}\n{{\"cardId\":\"c-9\",\"x\":\"").as_bytes(), &mut out);
    let chunk = vec![b'4'; 1 << 20];
    for _ in 0..100 {
        frame.feed(&chunk, &mut out);
    }
    frame.feed(format!("\"}}\n{good}\n").as_bytes(), &mut out);
    frame.finish(&mut out);
    let rules = TestRules::default();
    let verdicts: Vec<_> = out.iter().map(|raw| verdict(&rules, raw)).collect();
    assert_eq!(verdicts.len(), 3);
    let refused = verdicts[1].as_ref().unwrap_err();
    assert_eq!((refused.code.name(), &*refused.field), ("PARSING_ERROR", ""));
    assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
}

#[test]
fn a_line_of_the_greatest_length_still_passes() {
    let good = base("instant").to_string();
    let line = |len: usize| format!("{good}{}", " ".repeat(len - good.len()));
    let input = format!("{}\n{}\n", line(MAX_LINE), line(MAX_LINE + 1));
    let rules = TestRules::default();
    let verdicts: Vec<_> = orders(input.as_bytes()).iter().map(|raw| verdict(&rules, raw).is_ok()).collect();
    assert_eq!(verdicts, [true, false]);
}

#[test]
fn a_rejection_carries_the_identity_that_could_be_read() {
    let rules = TestRules::default();
    let mut order = base("central");
    order["issuerRequestId"] = "r-2".into();
    order["order"]["services"] = Value::Null;
    let raw = RawOrder::new(7, order.to_string().as_bytes());
    let rejected = parse_order(&rules, &HexEnvelope, &raw, today()).unwrap_err();
    assert_eq!(rejected.position, 7);
    assert_eq!(rejected.card_id.unwrap().as_str(), "c-2");
    assert_eq!(rejected.issuer_request_id.unwrap().as_str(), "r-2");
    assert_eq!(rejected.channel.unwrap().name(), "CENTRAL");
    assert_eq!(rejected.destination.unwrap().as_str(), "PC2");
}

#[test]
fn what_the_configuration_lacks_is_said_at_the_channels_field() {
    let refusal = |rules: &TestRules, order: &Value| {
        let r = verdict(rules, &RawOrder::new(1, order.to_string().as_bytes())).unwrap_err();
        (r.code.name(), r.field.into_owned())
    };
    let mut order = base("central");
    order["order"].as_object_mut().unwrap().remove("persoCenter");
    let mut no_default = TestRules::default();
    no_default.default_center = false;
    assert_eq!(refusal(&no_default, &order), ("FIELD_INVALID_FORMAT", "order.persoCenter".into()));
    let mut no_thales = TestRules::default();
    no_thales.has_thales = false;
    let expected = ("FIELD_INVALID_VALUE", "order.distributionChannel".into());
    assert_eq!(refusal(&no_thales, &base("thales")), expected);
}

#[test]
fn every_value_reaches_the_card_request() {
    let rules = TestRules::default();
    let raw = RawOrder::new(3, base("thales").to_string().as_bytes());
    let card = parse_order(&rules, &HexEnvelope, &raw, today()).unwrap();
    assert_eq!((card.position, card.card_id.as_str()), (3, "c-1"));
    assert_eq!(
        (card.product.as_str(), card.profile.as_str(), card.destination.as_str()),
        ("gold", "dual", "thales")
    );
    let wrapped = base("thales");
    // What is carried through comes out as it went in.
    fn json(value: impl serde::Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }
    assert_eq!(json(&card.services), wrapped["order"]["services"]);
    assert_eq!(json(&card.design), wrapped["order"]["cardDesign"]);
    assert_eq!(json(&card.packaging), wrapped["order"]["packagingConfig"]);
    assert_eq!(json(&card.shipment), wrapped["order"]["shipment"]);
    let mut carrier = wrapped["order"]["cardCarrierConfig"].clone();
    carrier["multiCardOrder"] = 1.into();
    assert_eq!(json(&card.carrier), carrier);
    let given = &wrapped["cardData"];
    let data = &card.data;
    assert_eq!(data.pan.to_text().as_str(), given["pan"]);
    assert_eq!(data.expiry.yymm(), given["exp"].as_str().unwrap());
    for (text, name) in [
        (&data.name, "name"),
        (&data.second_name, "secondName"),
        (&data.encoded_name, "encodedName"),
        (&data.payment_account_reference, "paymentAccountReference"),
    ] {
        assert_eq!(text.as_ref().unwrap().expose(), given[name], "{name}");
    }
    for (track, name) in [(&data.track1, "track1"), (&data.track2, "track2"), (&data.track3, "track3")] {
        assert_eq!(track.as_ref().unwrap().expose(), given["trackData"][name], "{name}");
    }
    for (digits, name) in [(&data.cvv1, "cvv1"), (&data.cvv2, "cvv2"), (&data.pvv, "pvv")] {
        assert_eq!(digits.as_ref().unwrap().to_text().as_str(), given[name], "{name}");
    }
    assert_eq!(data.psn.unwrap().to_string(), "01");
    assert_eq!(data.effective_date.unwrap().bcd(), [0x26, 0x02, 0x15]);
    let pin = data.pin_block.as_ref().unwrap();
    assert_eq!(hex::encode_upper(pin.block.expose()), given["pinBlock"]["value"]);
    let debug = format!("{card:?}");
    for text in ["4761739001010010", "2906", "OBRIEN", "846", "5172", "8C2F", "V0010013", "Zoé", "612345678"]
    {
        assert!(!debug.contains(text), "{text} stands in {debug}");
    }
}

#[test]
fn the_envelope_gives_the_same_card_as_clear_card_data() {
    let rules = TestRules::default();
    for name in ["thales", "central", "instant"] {
        let clear = base(name);
        let mut order = clear.clone();
        order.as_object_mut().unwrap().remove("cardData");
        order["order"]["encryptedData"] = seal(clear["cardData"].to_string().as_bytes()).into();
        let card = |order: &Value| {
            let raw = RawOrder::new(1, order.to_string().as_bytes());
            parse_order(&rules, &HexEnvelope, &raw, today()).unwrap()
        };
        let (a, b) = (card(&clear), card(&order));
        assert_eq!(a.data.pan, b.data.pan);
        assert_eq!(a.data.expiry, b.data.expiry);
        assert_eq!(a.data.track2, b.data.track2);
    }
}
