//! Properties and inverses of the card values, check values and derived keys whose modules have none of their own.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first wrong value"
)]

use emv_dataprep::card::{Pan, Pin};
use emv_dataprep::crypto::ecsdsa::{EcCurve, EcPrivate};
use emv_dataprep::crypto::mac::{Padding, retail_mac, tdes_cbc_mac};
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::{cvc3, cvv, pvv};
use emv_dataprep::keys::{
    ChannelKey, Diversification, KcvMethod, KeyAlgorithm, Scp02Key, Scp03Cryptogram, Scp03Key,
};
use emv_dataprep::secret::Secret;
use proptest::prelude::*;

fn tdes(key: &[u8]) -> TdesKey {
    TdesKey::from_bytes(key).unwrap()
}

fn turned(key: &[u8; 16]) -> [u8; 16] {
    key.map(|b| b ^ 1)
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().map(|b| b - b'0').collect()
}

proptest! {
    #[test]
    fn a_cvv_is_the_beginning_of_a_longer_one_and_parity_does_not_enter(key: [u8; 16], pan in "[0-9]{12,19}", expiry in "[0-9]{4}", code in "[0-9]{3}", count in 1_usize..16) {
        let pan = Pan::without_check(&pan).unwrap();
        let expiry: [u8; 4] = digits(&expiry).try_into().unwrap();
        let of = |key: &[u8; 16], count| {
            cvv::compute(&tdes(key), &pan, expiry, code.parse().unwrap(), count).unwrap().expose().to_vec()
        };
        let whole = of(&key, 16);
        prop_assert!(whole.iter().all(|d| *d < 10));
        prop_assert_eq!(&of(&key, count), &whole[..count]);
        prop_assert_eq!(of(&turned(&key), 16), whole);
    }

    #[test]
    fn a_dcvv_is_the_cvv_of_the_pan_that_begins_with_the_counter(key: [u8; 16], pan in "[0-9]{12,19}", atc in "[0-9]{4}", expiry in "[0-9]{4}") {
        let expiry: [u8; 4] = digits(&expiry).try_into().unwrap();
        let code = "101".parse().unwrap();
        let atc_digits = digits(&atc).try_into().unwrap();
        let got = cvv::dcvv(&tdes(&key), &Pan::without_check(&pan).unwrap(), atc_digits, expiry, code).unwrap();
        let other = Pan::without_check(&format!("{atc}{}", &pan[4..])).unwrap();
        prop_assert_eq!(got, cvv::compute(&tdes(&key), &other, expiry, code, cvv::DIGITS).unwrap());
    }

    #[test]
    fn a_cvc3_is_a_number_of_sixteen_bits_and_its_iv_the_end_of_a_mac(key: [u8; 16], track in prop::collection::vec(any::<u8>(), 0..60), un: [u8; 4], atc: [u8; 2]) {
        let key = tdes(&key);
        let iv = cvc3::ivcvc3(&key, &track);
        prop_assert_eq!(&retail_mac(&key, [0; 8], Padding::Bit, &track)[6..], &iv);
        let value = cvc3::cvc3(&key, iv, un, atc);
        let number: u32 = value.to_text().as_str().parse().unwrap();
        prop_assert!(value.expose().len() == 5 && number < 0x1_0000);
        let block = [&iv[..], &un, &atc].concat().try_into().unwrap();
        prop_assert_eq!(&key.encrypt_block(block)[6..], &(number as u16).to_be_bytes());
    }

    #[test]
    fn the_check_digit_and_later_pin_digits_do_not_enter_a_pvv(key: [u8; 16], pan in "[0-9]{12,19}", other in 0_u8..10, pin in "[0-9]{4}", more in "[0-9]{0,8}", pvki in 0_u8..10) {
        let of = |pan: &str, pin: &str, key: &[u8; 16]| {
            let pin = Pin::from_digits(&digits(pin)).unwrap();
            pvv::compute(&tdes(key), &Pan::without_check(pan).unwrap(), pvki, &pin).unwrap()
        };
        let value = of(&pan, &pin, &key);
        prop_assert!(value.expose().len() == 4 && value.expose().iter().all(|d| *d < 10));
        prop_assert_eq!(&of(&format!("{}{other}", &pan[..pan.len() - 1]), &format!("{pin}{more}"), &key), &value);
        prop_assert_eq!(&of(&pan, &pin, &turned(&key)), &value);
    }

    #[test]
    fn a_check_value_verifies_its_own_key_and_no_neighbour(key: [u8; 32], bit in 0_usize..256) {
        for (algorithm, len) in [(KeyAlgorithm::Tdes2, 16), (KeyAlgorithm::Tdes3, 24), (KeyAlgorithm::Aes128, 16), (KeyAlgorithm::Aes192, 24), (KeyAlgorithm::Aes256, 32), (KeyAlgorithm::Hmac, 32)] {
            let mut neighbour = key[..len].to_vec();
            let at = bit % (len * 8);
            neighbour[at / 8] ^= 1 << (at % 8);
            let is_parity = algorithm.is_tdes() && at.is_multiple_of(8);
            for method in KcvMethod::ALL {
                let Ok(kcv) = method.compute(&Secret::copy_of(&key[..len]), algorithm) else { continue };
                prop_assert_eq!(kcv.bytes().len(), method.usual_len());
                method.verify(&Secret::copy_of(&key[..len]), algorithm, &kcv).unwrap();
                let neighbours = method.verify(&Secret::copy_of(&neighbour), algorithm, &kcv);
                prop_assert_eq!(neighbours.is_ok(), is_parity, "{} of {:?}", method, algorithm);
            }
        }
    }

    #[test]
    fn deciphering_a_derived_key_gives_its_input_back(master: [u8; 16], data: [u8; 10], sequence: [u8; 2]) {
        let (cipher, secret) = (tdes(&master), Secret::copy_of(&master));
        for (n, key) in [(1, ChannelKey::Enc), (2, ChannelKey::Mac), (3, ChannelKey::Dek)] {
            let mut derived = Diversification::EmvCps.derive(&secret, &data, key).unwrap().expose().to_vec();
            cipher.decrypt_ecb(&mut derived).unwrap();
            prop_assert_eq!(derived, [&data[4..], &[0xF0, n], &data[4..], &[0x0F, n]].concat());
        }
        for key in [Scp02Key::CMac, Scp02Key::RMac, Scp02Key::Dek, Scp02Key::Enc] {
            let mut derived = key.derive(&secret, sequence).unwrap().expose().to_vec();
            cipher.decrypt_cbc([0; 8], &mut derived).unwrap();
            prop_assert_eq!(derived, [&key.constant()[..], &sequence, &[0; 12]].concat());
        }
    }

    #[test]
    fn every_bit_of_the_context_enters_what_is_derived_under_aes(master: [u8; 32], len in prop::sample::select(vec![16_usize, 24, 32]), context: [u8; 16], bit in 0_usize..128) {
        let secret = Secret::copy_of(&master[..len]);
        let mut other = context;
        other[bit / 8] ^= 1 << (bit % 8);
        for key in [Scp03Key::Enc, Scp03Key::Mac, Scp03Key::RMac] {
            let derived = key.derive(&secret, &context).unwrap();
            prop_assert_eq!(derived.len(), len);
            prop_assert_ne!(derived, key.derive(&secret, &other).unwrap());
        }
        let card = Scp03Cryptogram::Card.compute(&secret, &context).unwrap();
        prop_assert_ne!(card, Scp03Cryptogram::Card.compute(&secret, &other).unwrap());
        prop_assert_ne!(card, Scp03Cryptogram::Host.compute(&secret, &context).unwrap());
        let chip = |data: &[u8; 16]| Diversification::Kdf3.derive(&secret, &data[..10], ChannelKey::Enc).unwrap();
        prop_assert_eq!(chip(&context) == chip(&other), context[..10] == other[..10]);
    }

    /// With equal halves algorithm 3 is the plain CBC MAC.
    #[test]
    fn both_mac_algorithms_agree_on_a_single_length_key(half: [u8; 8], data in prop::collection::vec(any::<u8>(), 0..40)) {
        let key = tdes(&[half, half].concat());
        for padding in [Padding::Zeros, Padding::Bit, Padding::Length] {
            prop_assert_eq!(retail_mac(&key, [0; 8], padding, &data), tdes_cbc_mac(&key, [0; 8], padding, &data));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_signature_verifies_and_says_one_message(d: [u8; 31], message in prop::collection::vec(any::<u8>(), 1..80), seed: u8, at: usize) {
        prop_assume!(d.iter().any(|b| *b != 0));
        let mut rng = Seed::fixed([seed; 32]).named_stream(b"properties", Purpose::TestIssuer).rng();
        for curve in [EcCurve::P256, EcCurve::P521] {
            let mut number = vec![0; curve.field_len() - d.len()];
            number.extend_from_slice(&d);
            let key = EcPrivate::new(curve, &Secret::new(number)).unwrap();
            let signature = key.sign(&message, &mut rng).unwrap();
            key.public().verify(&message, &signature).unwrap();
            let mut other = message.clone();
            other[at % message.len()] ^= 1;
            prop_assert!(key.public().verify(&other, &signature).is_err());
        }
    }
}
