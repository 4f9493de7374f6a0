//! Whatever the bytes, the order edge answers and never panics.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test

mod order_support;

use emv_dataprep::order::{Frame, RawOrder};
use order_support::{TestRules, base, verdict};
use proptest::prelude::*;

fn judge(text: &[u8]) -> usize {
    let rules = TestRules::default();
    let mut frame = Frame::with_max_line(4096);
    let mut orders = Vec::new();
    frame.feed(text, &mut orders);
    frame.finish(&mut orders);
    orders.iter().filter(|raw| verdict(&rules, raw).is_ok()).count()
}

proptest! {
    #[test]
    fn any_bytes(text in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(judge(&text), 0);
    }

    #[test]
    fn any_text_in_any_member(text in any::<String>(), which in 0usize..12) {
        let paths = ["/cardId", "/order/services/issuance", "/order/paymentApplication/config",
            "/order/shipment/deliveryAddress/line1", "/order/shipment/deliveryAddress/email", "/order/cardDesign/customLines/0",
            "/cardData/pan", "/cardData/exp", "/cardData/name", "/cardData/trackData/track1", "/cardData/trackData/track2",
            "/cardData/pinBlock/value"];
        let mut order = base("thales");
        *order.pointer_mut(paths[which]).unwrap() = text.into();
        let _ = verdict(&TestRules::default(), &RawOrder::new(1, order.to_string().as_bytes()));
    }

    #[test]
    fn one_changed_byte(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = base("thales").to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        prop_assert!(judge(&text) <= 1);
    }

    #[test]
    fn cut_anywhere(at in any::<prop::sample::Index>()) {
        let text = base("thales").to_string();
        let at = at.index(text.len());
        prop_assert_eq!(judge(&text.as_bytes()[..at]), 0);
    }
}
