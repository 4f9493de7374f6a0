//! Cards of other kinds through `verify`: key forms, transport keys, derivations, certificate lengths, ODA methods.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod verify_support;

use emv_dataprep::crypto::rsa::Exponent;
use emv_dataprep::verify::{CardReport, CheckName, Derivation, Outcome, verify_card};
use verify_support::{ICC_512, ICC_560, ICC_568, KeyForm, Made, Spec, Tk, made};

fn report(spec: &Spec) -> CardReport {
    let Made { line, keys, context } = made(spec).with_job();
    verify_card(&line.to_string(), &keys, &context)
}

/// Every check passes, but for those that have nothing to look at.
fn all_but(spec: &Spec, absent: &[CheckName]) {
    let report = report(spec);
    assert_eq!(report.failures().collect::<Vec<_>>(), []);
    let left: Vec<_> =
        report.checks.iter().filter(|(_, o)| *o == Outcome::NotApplicable).map(|(n, _)| *n).collect();
    assert_eq!(left, absent);
}

#[test]
fn every_form_of_private_key_under_every_transport_key() {
    for form in [KeyForm::CrtPadded, KeyForm::Crt, KeyForm::Plain, KeyForm::PlainClearModulus] {
        for transport in [Tk::Tdes2, Tk::Tdes3, Tk::Aes128, Tk::Aes256] {
            for cbc in [false, true] {
                all_but(&Spec { form, transport, cbc, ..Spec::dual() }, &[]);
            }
        }
    }
}

#[test]
fn every_derivation() {
    for option in [Derivation::OptionA, Derivation::OptionB, Derivation::OptionC] {
        for body in ["47617390010", "476173900101001", "4761739001010012", "476173900101001234"] {
            all_but(&Spec { option, body, psn: "00", ..Spec::dual() }, &[]);
        }
    }
}

#[test]
fn certificate_lengths_at_their_edges() {
    for (icc, exponent) in [(ICC_512, Exponent::THREE), (ICC_560, Exponent::F4), (ICC_568, Exponent::THREE)] {
        // A key of 512 bits is too short for a combined signature.
        all_but(&Spec { icc, exponent, aip: 0x7C, ..Spec::dual() }, &[]);
    }
}

#[test]
fn methods_of_authentication() {
    use CheckName::{Crt, IccCertificate, IssuerCertificate, PinCertificate, PpsePse, Ssad, StaticData};
    let contact = Spec { contactless: false, ..Spec::dual() };
    all_but(&contact, &[]);
    // DDA alone; CDA alone.
    all_but(&Spec { aip: 0x3C, ..Spec::dual() }, &[Ssad]);
    all_but(&Spec { aip: 0x1D, ..Spec::dual() }, &[Ssad]);
    // SDA alone: no ICC key, so enciphered PIN needs its own.
    all_but(&Spec { aip: 0x5C, ..contact.clone() }, &[IccCertificate]);
    let none = report(&Spec { aip: 0x1C, pin_key: false, ..contact.clone() });
    let failed: Vec<_> = none.failures().collect();
    assert_eq!(failed, [(CheckName::CvmPin, "enciphered PIN is offered, no key for it is there")]);
    for name in [IssuerCertificate, IccCertificate, PinCertificate, Ssad, Crt, StaticData] {
        assert_eq!(none.outcome(name), Outcome::NotApplicable, "{name}");
    }
    assert_eq!(none.outcome(PpsePse), Outcome::Passed);
}
