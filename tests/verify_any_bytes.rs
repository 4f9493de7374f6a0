//! Whatever stands in a line, `verify` answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod verify_support;

use emv_dataprep::verify::{IssuerReturn, Manifest, Outcomes, OuterPinBlock, verify_card};
use proptest::prelude::*;
use serde_json::json;
use verify_support::{Spec, hex, made};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_of_any_dgi(
        which in 0_usize..40,
        value in prop::collection::vec(any::<u8>(), 0..300),
        tag in any::<u16>(),
        secret in any::<bool>(),
    ) {
        let mut card = made(&Spec::dual());
        let dgis = card.line["chip"]["applications"][2]["dgis"].as_array_mut().unwrap();
        let at = which % dgis.len();
        let name = if which % 2 == 0 { dgis[at]["dgi"].clone() } else { json!(format!("{tag:04X}")) };
        let protection = if secret { "transport" } else { "none" };
        dgis[at] = json!({"dgi": name, "value": hex(&value), "protection": protection});
        prop_assert!(!verify_card(&card.line.to_string(), &card.keys, &card.context).passed());
    }

    #[test]
    fn any_text_on_the_stripe(track1 in ".{0,90}", track2 in "[0-9=D]{0,45}", pan in "[0-9 ]{0,24}") {
        let mut card = made(&Spec::dual());
        card.line["magstripe"] = json!({"track1": track1, "track2": track2, "track3": track2});
        card.line["print"] = json!({"pan": pan, "name": track1, "expiry": track2, "cvv2": pan});
        prop_assert!(!verify_card(&card.line.to_string(), &card.keys, &card.context).passed());
    }

    #[test]
    fn any_line(text in any::<String>()) {
        let card = made(&Spec::dual());
        prop_assert!(!verify_card(&text, &card.keys, &card.context).passed());
        prop_assert!(IssuerReturn::read(&text).is_err());
        prop_assert!(OuterPinBlock::read_mailer(&text).is_err());
        prop_assert!(Manifest::read(&text).is_err());
        let mut outcomes = Outcomes::new(1);
        outcomes.status(&text);
        outcomes.rejected(&text);
        prop_assert!(!outcomes.finish().is_empty());
    }

    #[test]
    fn a_line_cut_anywhere(at in 0.0_f64..1.0) {
        let card = made(&Spec::dual());
        let text = card.line.to_string();
        let cut = (text.len() as f64 * at) as usize;
        prop_assert!(!verify_card(&text[..cut], &card.keys, &card.context).passed());
    }
}
