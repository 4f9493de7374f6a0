//! Faults that an engine could make, one at a time: each is found by the check that is about it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod verify_support;

use emv_dataprep::card::CardDate;
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::{CheckName, Given, Keys, Outcome, verify_card};
use serde_json::{Value, json};
use verify_support::{Issuing, Made, Spec, hex, made, tlv, unhex};

fn spec() -> Spec {
    Spec { script: false, ..Spec::dual() }
}

/// The payment application's DGIs.
fn dgis(line: &mut Value) -> &mut Vec<Value> {
    line["chip"]["applications"][2]["dgis"].as_array_mut().unwrap()
}

fn value<'a>(line: &'a mut Value, tag: &str) -> &'a mut Value {
    &mut dgis(line).iter_mut().find(|d| d["dgi"] == tag).unwrap()["value"]
}

fn replace(line: &mut Value, tag: &str, from: &str, to: &str) {
    let value = value(line, tag);
    let text = value.as_str().unwrap();
    assert!(text.contains(from), "{tag} {from}");
    *value = json!(text.replacen(from, to, 1));
}

fn set(line: &mut Value, pointer: &str, to: &str) {
    *line.pointer_mut(pointer).unwrap() = json!(to);
}

#[track_caller]
fn found_by(name: CheckName, spoil: impl FnOnce(&mut Made)) {
    let mut card = made(&spec());
    spoil(&mut card);
    let report = verify_card(&card.line.to_string(), &card.keys, &card.context);
    let outcome = report.outcome(name);
    assert!(
        matches!(outcome, Outcome::Failed(_)),
        "{name}: {outcome:?}, {:?}",
        report.failures().collect::<Vec<_>>()
    );
}

#[test]
fn dgis_and_records() {
    found_by(CheckName::Afl, |c| dgis(&mut c.line).retain(|d| d["dgi"] != "0103"));
    found_by(CheckName::Afl, |c| {
        let record = hex(&tlv("70", &tlv("5F50", b"u")));
        dgis(&mut c.line).push(json!({"dgi": "0301", "value": record, "protection": "none"}));
    });
    found_by(CheckName::Afl, |c| dgis(&mut c.line).retain(|d| d["dgi"] != "9104" && d["dgi"] != "9117"));
    found_by(CheckName::Records, |c| {
        let long = hex(&tlv("70", &tlv("9F1F", &[b'1'; 250])));
        *value(&mut c.line, "0106") = json!(long);
    });
    found_by(CheckName::DgiGrammar, |c| {
        let first = dgis(&mut c.line)[0].clone();
        dgis(&mut c.line).push(first);
    });
    found_by(CheckName::DgiGrammar, |c| {
        let keys = dgis(&mut c.line).iter_mut().find(|d| d["dgi"] == "8000").unwrap();
        keys["protection"] = json!("none");
    });
    found_by(CheckName::DgiGrammar, |c| {
        dgis(&mut c.line).push(json!({"dgi": "7FF3", "value": "00", "protection": "none"}));
    });
    found_by(CheckName::MandatoryData, |c| replace(&mut c.line, "0106", "8D", "97"));
    found_by(CheckName::Dol, |c| replace(&mut c.line, "0106", "9F3704", "9F3705"));
    found_by(CheckName::Fci, |c| dgis(&mut c.line).retain(|d| d["dgi"] != "9102"));
}

#[test]
fn directories() {
    found_by(CheckName::PpsePse, |c| {
        c.line["chip"]["applications"].as_array_mut().unwrap().remove(1);
    });
    found_by(CheckName::PpsePse, |c| set(&mut c.line, "/chip/applications/2/aid", "A0000000032010"));
    found_by(CheckName::PpsePse, |c| {
        c.line["chip"]["applications"][2]["interfaces"] = json!(["contactless"])
    });
    found_by(CheckName::PpsePse, |c| {
        let again = c.line["chip"]["applications"][2].clone();
        c.line["chip"]["applications"].as_array_mut().unwrap().push(again);
    });
}

#[test]
fn keys_and_certificates() {
    let zeros = || Secret::copy_of(&[0x5E; 16]);
    found_by(CheckName::TransportKcv, |c| c.keys.add("transport", 1, zeros()));
    found_by(CheckName::Kcv, |c| c.keys.add("transport", 1, zeros()));
    found_by(CheckName::Crt, |c| c.keys.add("transport", 1, zeros()));
    found_by(CheckName::IccKeys, |c| c.keys.add("imk-smi", 2, zeros()));
    found_by(CheckName::Transaction, |c| {
        dgis(&mut c.line).retain(|d| d["dgi"] != "9103");
        let pdol =
            hex(&tlv("A5", &[tlv("50", b"VISA DEBIT"), tlv("9F38", &unhex("9F4EFF9F66049F5DFF"))].concat()));
        dgis(&mut c.line).push(json!({"dgi": "9103", "value": pdol, "protection": "none"}));
    });
    found_by(CheckName::Crt, |c| {
        // qInv and dQ exchanged: a complete key in the wrong order.
        let (qinv, dq) = (value(&mut c.line, "8201").clone(), value(&mut c.line, "8202").clone());
        *value(&mut c.line, "8201") = dq;
        *value(&mut c.line, "8202") = qinv;
    });
    found_by(CheckName::Crt, |c| {
        // The PIN key's p and q exchanged.
        let (q, p) = (value(&mut c.line, "8304").clone(), value(&mut c.line, "8305").clone());
        *value(&mut c.line, "8304") = p;
        *value(&mut c.line, "8305") = q;
    });
    found_by(CheckName::Crt, |c| dgis(&mut c.line).retain(|d| d["dgi"] != "8202"));
    found_by(CheckName::AipKeys, |c| dgis(&mut c.line).retain(|d| d["dgi"] != "8202"));
    found_by(CheckName::AipKeys, |c| replace(&mut c.line, "9104", "82027D00", "82025C00"));
    found_by(CheckName::Ssad, |c| replace(&mut c.line, "9104", "82027D00", "82027900"));
    found_by(CheckName::IccCertificate, |c| replace(&mut c.line, "9117", "82027900", "82027B00"));
    found_by(CheckName::IssuerCertificate, |c| replace(&mut c.line, "0102", "8F0192", "8F0193"));
    found_by(CheckName::StaticData, |c| replace(&mut c.line, "9104", "08010101", "08010100"));
    found_by(CheckName::PinCertificate, |c| replace(&mut c.line, "0105", "9F2E0103", "9F2E0111"));
    found_by(CheckName::CvmPin, |c| dgis(&mut c.line).retain(|d| d["dgi"] != "9010"));
}

#[test]
fn pins() {
    found_by(CheckName::ReferencePin, |c| *value(&mut c.line, "9010") = json!("0304"));
    found_by(CheckName::ReferencePin, |c| *value(&mut c.line, "9010") = json!("0000"));
    found_by(CheckName::ReferencePin, |c| {
        let block = Issuing::new(&spec()).under_tk(&unhex("24A071FFFFFFFFFF"));
        *value(&mut c.line, "8010") = json!(hex(&block));
    });
    let other = |c: &mut Made| {
        let block = Issuing::new(&spec()).under_tk(&unhex("244072FFFFFFFFFF"));
        *value(&mut c.line, "8010") = json!(hex(&block));
    };
    found_by(CheckName::PinMailer, other);
    found_by(CheckName::IssuerReturn, other);
    found_by(CheckName::Pvv, other);
    found_by(CheckName::Pvv, |c| c.keys.add("pvk", 4, Secret::copy_of(&[0x5D; 16])));
    found_by(CheckName::Pvv, |c| c.context.issuer_return.as_mut().unwrap().pvki = Some(2));
    found_by(CheckName::IssuerReturn, |c| c.context.issuer_return.as_mut().unwrap().psn = Some("02".into()));
    found_by(CheckName::IssuerReturn, |c| c.context.issuer_return.as_mut().unwrap().serials[0][2] ^= 1);
}

#[test]
fn stripe_and_dates() {
    let pan = Issuing::new(&spec()).pan;
    let issuing = Issuing::new(&spec());
    let (cvv, icvv, cvv2) =
        (issuing.cvv("2906", "201"), issuing.cvv("2906", "999"), issuing.cvv("0629", "000"));
    let track2 = |code: &str, cvv: &str| format!("{pan}=2906{code}1{}{cvv}", issuing.pvv());
    let with_track2 = |text: String| move |c: &mut Made| set(&mut c.line, "/magstripe/track2", &text);
    found_by(CheckName::Cvv, with_track2(track2("201", &icvv)));
    found_by(CheckName::Cvv, with_track2(track2("201", &cvv2)));
    found_by(CheckName::ServiceCode, with_track2(track2("101", &cvv)));
    found_by(CheckName::Tracks, with_track2(track2("221", &cvv)));
    found_by(CheckName::StripeChip, with_track2(track2("221", &cvv)));
    found_by(CheckName::Icvv, |c| {
        let (from, to) = (format!("{}{icvv}", issuing.pvv()), format!("{}{cvv}", issuing.pvv()));
        replace(&mut c.line, "0106", &from, &to);
    });
    found_by(CheckName::Cvv2, |c| set(&mut c.line, "/print/cvv2", &cvv));
    found_by(CheckName::Cvv, |c| c.keys.add("cvk", 3, Secret::copy_of(&[0x5D; 16])));
    found_by(CheckName::Icvv, |c| c.keys.add("cvk:icvv", 3, Secret::copy_of(&[0x5D; 16])));
    found_by(CheckName::StripePrint, |c| set(&mut c.line, "/print/expiry", "07/29"));
    found_by(CheckName::PrintChip, |c| set(&mut c.line, "/print/pan", "4761 7390 0101 0028"));
    found_by(CheckName::MaskedPan, |c| set(&mut c.line, "/maskedPan", "4761739001010010"));
    found_by(CheckName::Tracks, |c| set(&mut c.line, "/magstripe/track3", "A1"));
    let day = |text: &str| Some(CardDate::from_yymmdd(text).unwrap());
    found_by(CheckName::Expiry, |c| c.context.today = day("290701"));
    found_by(CheckName::Expiry, |c| replace(&mut c.line, "0101", "5F2403290630", "5F2403290629"));
    found_by(CheckName::Expiry, |c| replace(&mut c.line, "0101", "5F2503260101", "5F2503290701"));
}

#[test]
fn given_values_are_not_derived_again() {
    let mut card = made(&spec());
    card.keys.add("cvk", 3, Secret::copy_of(&[0x5D; 16]));
    card.context.given = [Given::Cvv1, Given::Cvv2].into();
    let report = verify_card(&card.line.to_string(), &card.keys, &card.context);
    assert_eq!(report.outcome(CheckName::Cvv), Outcome::NotApplicable);
    assert_eq!(report.outcome(CheckName::Cvv2), Outcome::NotApplicable);
    assert!(matches!(report.outcome(CheckName::Icvv), Outcome::Failed(_)));
}

#[test]
fn the_mode_of_the_transport_key_is_the_one_that_the_line_says() {
    let mut card = made(&spec());
    let mut kcv = |mode: &str| {
        card.line["transportKey"]["mode"] = json!(mode);
        let report = verify_card(&card.line.to_string(), &card.keys, &card.context);
        (report.outcome(CheckName::Form), report.outcome(CheckName::Kcv))
    };
    let outcomes = ["ECB", "CBC"].map(|mode| kcv(mode).1);
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Passed).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Outcome::Failed(_))).count(), 1, "{outcomes:?}");
    assert!(matches!(kcv("OFB").0, Outcome::Failed(_)));
}

#[test]
fn a_per_block_transport_key_comes_with_the_context() {
    let mut card = made(&spec());
    card.line["transportKey"]["wrapped"] = json!("D0112K0TN00N0000");
    let report = verify_card(&card.line.to_string(), &card.keys, &card.context);
    assert_eq!(
        report.outcome(CheckName::TransportKcv),
        Outcome::NotApplicable,
        "the key at the index wraps only"
    );
    card.context.transport_key = Some(Secret::new(Issuing::new(&spec()).transport_key()));
    let report = verify_card(&card.line.to_string(), &Keys::default(), &card.context);
    assert_eq!(report.outcome(CheckName::TransportKcv), Outcome::Passed);
    assert_eq!(report.outcome(CheckName::Kcv), Outcome::Passed);
}
