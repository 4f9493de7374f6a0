//! Whole cards of a small test issuer through `verify`: a good card passes, and every flipped bit that matters is seen.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod verify_support;

use emv_dataprep::verify::{CardContext, CheckName, Keys, Outcome, verify_card};
use verify_support::{Made, dual_card};

#[test]
fn a_good_card_passes_every_check() {
    let Made { line, keys, context } = dual_card();
    let report = verify_card(&line.to_string(), &keys, &context);
    assert_eq!(report.failures().collect::<Vec<_>>(), []);
    let left: Vec<_> =
        report.checks.iter().filter(|(_, o)| *o == Outcome::NotApplicable).map(|(n, _)| *n).collect();
    assert_eq!(left, [], "a check looked at nothing");
}

#[test]
fn without_keys_nothing_that_needs_one_passes() {
    let Made { line, .. } = dual_card();
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
