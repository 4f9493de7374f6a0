//! A personalized application in use.

use super::*;

fn card() -> VirtualCard {
    let mut card = card_with(&[PAYMENT], |_| ());
    let answers = personalize(&mut card, |_, v| Some(v.to_owned()));
    assert!(refusals(&answers).is_empty());
    assert!(send(&mut card, "00A4040007A0000000031010").ends_with("9000"));
    card
}

#[test]
fn a_transaction_in_order() {
    let mut card = card();
    assert_eq!(send(&mut card, "80AE800000"), "6985", "before GPO");
    assert_eq!(send(&mut card, "80A8000003830100"), "6700", "the FCI has no PDOL");
    assert_eq!(send(&mut card, "80A8000002830000"), "8006390008010100".to_owned() + "9000");
    assert_eq!(send(&mut card, "80A8000002830000"), "6985", "once");
    assert_eq!(send(&mut card, "00B2010C00"), format!("{}9000", WHOLE[2].1));
    assert_eq!(send(&mut card, "00B2011400"), "6A83");
    assert_eq!(send(&mut card, "80CA9F3600"), "9F360200019000");
    assert_eq!(send(&mut card, "80CA9F1700"), "9F1701039000");
    assert_eq!(send(&mut card, "80CA9F1300"), "9F130200009000");
    assert_eq!(send(&mut card, "80CA9F4F00"), "6A88");
    let cdol = "000000001234000000000000097800000000000978260501 00A1B2C3D4";
    assert_eq!(send(&mut card, "80AE80001C00"), "6700");
    let answer = send(&mut card, &format!("80AE80001D{cdol}00"));
    assert!(answer.starts_with("800B800001") && answer.ends_with("9000"), "{answer}");
    assert_eq!(send(&mut card, &format!("80AE80001D{cdol}00")), "6985", "one cryptogram");
    assert_eq!(send(&mut card, "80A4000000"), "6D00");
    assert_eq!(send(&mut card, "00A8000002830000"), "6E00");
    assert_eq!(send(&mut card, "A0A8000002830000"), "6E00");
    assert_eq!(send(&mut card, "81A8000002830000"), "6881");
}

/// The signature of INTERNAL AUTHENTICATE opens with the public key of the published primes (e = 65537).
#[test]
fn the_card_signs() {
    let mut card = card();
    assert_eq!(send(&mut card, "0088000004A1B2C3D400"), "6985", "before GPO");
    send(&mut card, "80A8000002830000");
    assert_eq!(send(&mut card, "0088000003A1B2C300"), "6700");
    let answer = hex(&send(&mut card, "0088000004A1B2C3D400"));
    let sdad = &answer[2..answer.len() - 2];
    assert_eq!((answer[..2].to_vec(), sdad.len()), (vec![0x80, 96], 96));
    let number = |text: &str| crypto_bigint::BoxedUint::from_be_slice(&hex(text), 384).unwrap();
    let n = crypto_bigint::ConcatenatingMul::concatenating_mul(&number(P.1), &number(WHOLE[11].1));
    let key = crate::crypto::rsa::RsaPublic::new(&n.to_be_bytes(), &[1, 0, 1]).unwrap();
    let data = crate::verify::oda::dynamic_signature(&key, sdad, &hex("A1B2C3D4")).unwrap();
    assert_eq!(::hex::encode_upper(data), "081DE2A354C5760001");
}

#[test]
fn a_terminal_meets_the_card() {
    let mut card = card();
    let mut keys = crate::verify::Keys::default();
    let outcome = transact(&hex(PAYMENT), &keys, &mut |apdu| card.transmit(apdu));
    assert_eq!(outcome, Ok(Transaction { records: 1, certified: None, signed: None, accepted: None }));
    // The host refuses a card whose key does not come from its master key.
    keys.add("imk-ac", 1, test_key());
    let outcome = transact(&hex(PAYMENT), &keys, &mut |apdu| card.transmit(apdu));
    assert_eq!(outcome, Err("the host does not accept the card's cryptogram"));
}

#[test]
fn before_personalization_nothing_is_there() {
    let mut card = card_with(&[PAYMENT], |_| ());
    assert_eq!(send(&mut card, "00A4040007A0000000031010"), "6F0B8407A0000000031010A5009000");
    for command in ["80A8000002830000", "00B2010C00", "80CA9F3600", "0088000004A1B2C3D400"] {
        assert_eq!(send(&mut card, command), "6985", "{command}");
    }
    assert_eq!(send(&mut card, "0020008008241234FFFFFFFFFF"), "6D00");
}
