//! ICC master keys from issuer master keys (EMV 4.4 Book 2, annex A1.4), options A, B and C.
//!
//! The work is in three steps, so that many cards can share one call to the key source: the derivation block of each
//! card ([`derivation_block`]), one ECB call over the inputs of all of them, and the keys from the result ([`finish`]).

use std::fmt;

use zeroize::Zeroizing;

use super::DerivationOption;
use crate::bytes::pack_digits;
use crate::card::{Pan, Psn};
use crate::crypto::aes::AesKey;
use crate::crypto::hash::sha1;
use crate::crypto::tdes::{TdesKey, adjust_parity};
use crate::error::{ErrorKind, Result};
use crate::keys::KeyAlgorithm;
use crate::secret::Secret;

/// `Y`, what the issuer master key enciphers: 8 bytes for options A and B, 16 for C. Holds PAN digits, so Debug is
/// redacted and the bytes are wiped.
pub struct DerivationBlock {
    bytes: Zeroizing<[u8; 16]>,
    option: DerivationOption,
}

impl DerivationBlock {
    /// The block.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        let len = if self.option == DerivationOption::C { 16 } else { 8 };
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Adds to `out` what is enciphered in ECB under a master key of `algorithm`: `Y ‖ Y ⊕ FF…FF`, or `Y` alone for
    /// AES-128.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUsage`] if the option does not go with the algorithm.
    pub fn append_inputs(&self, algorithm: KeyAlgorithm, out: &mut Vec<u8>) -> Result<()> {
        check(self.option, algorithm)?;
        out.extend_from_slice(self.expose());
        if algorithm != KeyAlgorithm::Aes128 {
            out.extend(self.expose().iter().map(|b| b ^ 0xFF));
        }
        Ok(())
    }
}

impl fmt::Debug for DerivationBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DerivationBlock({:?}, ***)", self.option)
    }
}

/// Bytes that [`DerivationBlock::append_inputs`] adds for one card.
///
/// # Errors
/// [`ErrorKind::KeyUsage`] for a key that derives no ICC master key.
pub fn inputs_len(algorithm: KeyAlgorithm) -> Result<usize> {
    match algorithm {
        KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 | KeyAlgorithm::Aes128 => Ok(16),
        KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => Ok(32),
        KeyAlgorithm::Hmac => Err(ErrorKind::KeyUsage.into()),
    }
}

/// `Y` of one card.
///
/// * A (A1.4.1): the rightmost 16 digits of PAN ‖ PSN, padded left with zeros.
/// * B (A1.4.2): for more than 16 PAN digits, 16 decimal digits of SHA-1 over PAN ‖ PSN, padded left to whole bytes;
///   if the digest has fewer, its letters follow as A to 0, B to 1 and so on. Else as A.
/// * C (A1.4.3): PAN ‖ PSN padded left with zeros to 32 digits.
///
/// An absent PSN is `00`.
///
/// ```
/// use emv_dataprep::card::{Pan, Psn};
/// use emv_dataprep::issuer::{DerivationOption, icc_key};
/// let pan = Pan::without_check("99012345678901234")?;
/// let y = icc_key::derivation_block(DerivationOption::A, &pan, "45".parse()?);
/// assert_eq!(y.expose(), [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x45]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn derivation_block(option: DerivationOption, pan: &Pan, psn: Psn) -> DerivationBlock {
    derivation_block_of_digits(option, pan.digits(), psn)
}

/// As [`derivation_block`], from PAN digits of any count: published vectors use PANs that no order may carry.
#[must_use]
pub(crate) fn derivation_block_of_digits(option: DerivationOption, pan: &[u8], psn: Psn) -> DerivationBlock {
    let mut digits = Zeroizing::new(Vec::with_capacity(pan.len().saturating_add(2)));
    digits.extend_from_slice(pan);
    digits.extend_from_slice(&psn.digits());
    let y = match option {
        DerivationOption::B if pan.len() > 16 => hashed_digits(&digits),
        DerivationOption::A | DerivationOption::B => rightmost_digits(&digits, 16),
        DerivationOption::C => rightmost_digits(&digits, 32),
    };
    let mut bytes = Zeroizing::new([0; 16]);
    for (slot, b) in bytes.iter_mut().zip(Zeroizing::new(pack_digits(&y, 0)).iter()) {
        *slot = *b;
    }
    DerivationBlock { bytes, option }
}

/// The last `count` digits, padded left with zeros.
fn rightmost_digits(digits: &[u8], count: usize) -> Zeroizing<Vec<u8>> {
    let kept = digits.get(digits.len().saturating_sub(count)..).unwrap_or_default();
    let mut out = Zeroizing::new(vec![0; count.saturating_sub(kept.len())]);
    out.reserve_exact(kept.len());
    out.extend_from_slice(kept);
    out
}

/// Sixteen decimal digits of the SHA-1 of packed `digits`.
fn hashed_digits(digits: &[u8]) -> Zeroizing<Vec<u8>> {
    let even = rightmost_digits(digits, digits.len().next_multiple_of(2));
    let packed = Zeroizing::new(pack_digits(&even, 0));
    let nibbles = super::decimal::nibbles(&sha1(&[&packed]));
    let decimal = super::decimal::decimalize(&nibbles, 16);
    // A digest has 40 nibbles, so sixteen are always there.
    Zeroizing::new(decimal.map(|d| d.expose().to_vec()).unwrap_or_default())
}

/// The ICC master key out of the enciphered inputs of one card: its leftmost bytes, parity adjusted for TDES.
///
/// # Errors
/// [`ErrorKind::Length`] if `enciphered` is not as long as the inputs were, [`ErrorKind::KeyUsage`] for a key that
/// derives no ICC master key.
pub fn finish(algorithm: KeyAlgorithm, enciphered: &[u8]) -> Result<Secret> {
    if enciphered.len() != inputs_len(algorithm)? {
        return Err(ErrorKind::Length {
            expected: "the inputs of one card",
            found: enciphered.len(),
            unit: "bytes",
        }
        .into());
    }
    let len = if algorithm.is_tdes() { 16 } else { algorithm.key_len() };
    let part = enciphered.get(..len).unwrap_or_default();
    Secret::filled(len, |key| {
        key.copy_from_slice(part);
        if algorithm.is_tdes() {
            adjust_parity(key);
        }
        Ok(())
    })
}

/// One ICC master key from an issuer master key in hand. An issuer with a key source uses
/// [`SecurityModule::card_keys`](super::SecurityModule::card_keys).
///
/// EMV 4.4 Book 2, A1.4. Options A and B take 16 or 24 bytes (TDES) and give 16; option C takes 16, 24 or 32 (AES)
/// and gives as many.
///
/// # Errors
/// [`ErrorKind::Length`] for a key of another length.
///
/// ```
/// use emv_dataprep::card::Pan;
/// use emv_dataprep::issuer::{DerivationOption, icc_key};
/// use emv_dataprep::{bytes, secret::Secret};
/// let imk = Secret::new(bytes::from_hex("0123456789ABCDEFFEDCBA9876543210")?);
/// let pan = Pan::without_check("99012345678901234")?;
/// let mk = icc_key::derive(DerivationOption::A, &imk, &pan, "45".parse()?)?;
/// assert_eq!(bytes::hex_upper(mk.expose()), "67F8292358083E5EA7AB7FDA58D53B6B");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn derive(option: DerivationOption, imk: &Secret, pan: &Pan, psn: Psn) -> Result<Secret> {
    let algorithm = match (option, imk.len()) {
        (DerivationOption::C, 16) => KeyAlgorithm::Aes128,
        (DerivationOption::C, 24) => KeyAlgorithm::Aes192,
        (DerivationOption::C, 32) => KeyAlgorithm::Aes256,
        (DerivationOption::A | DerivationOption::B, 16) => KeyAlgorithm::Tdes2,
        (DerivationOption::A | DerivationOption::B, 24) => KeyAlgorithm::Tdes3,
        (DerivationOption::C, found) => {
            return Err(ErrorKind::Length { expected: "16, 24 or 32", found, unit: "bytes" }.into());
        }
        (_, found) => return Err(ErrorKind::Length { expected: "16 or 24", found, unit: "bytes" }.into()),
    };
    derive_from_block(imk, algorithm, &derivation_block(option, pan, psn))
}

/// The last steps of [`derive()`], for a derivation block in hand. `algorithm` says how long the result is.
pub(crate) fn derive_from_block(
    imk: &Secret,
    algorithm: KeyAlgorithm,
    block: &DerivationBlock,
) -> Result<Secret> {
    let mut z = Zeroizing::new(Vec::with_capacity(32));
    block.append_inputs(algorithm, &mut z)?;
    if algorithm.is_tdes() {
        TdesKey::new(imk)?.encrypt_ecb(&mut z)?;
    } else {
        AesKey::new(imk)?.encrypt_ecb(&mut z)?;
    }
    finish(algorithm, &z)
}

/// Options A and B go with TDES, C with AES.
pub(super) fn check(option: DerivationOption, algorithm: KeyAlgorithm) -> Result<()> {
    let fits = match option {
        DerivationOption::A | DerivationOption::B => algorithm.is_tdes(),
        DerivationOption::C => !algorithm.is_tdes() && algorithm != KeyAlgorithm::Hmac,
    };
    if fits { Ok(()) } else { Err(ErrorKind::KeyUsage.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::hex_upper;
    use proptest::prelude::*;

    fn key(hex: &str) -> Secret {
        Secret::new(hex::decode(hex).unwrap())
    }

    fn derived(option: DerivationOption, imk: &str, pan: &str, psn: &str) -> (String, String) {
        let pan = Pan::without_check(pan).unwrap();
        let psn = psn.parse().unwrap_or_default();
        let y = hex_upper(derivation_block(option, &pan, psn).expose());
        (y, hex_upper(derive(option, &key(imk), &pan, psn).unwrap().expose()))
    }

    #[test]
    fn option_b_of_pyemv() {
        let got = derived(DerivationOption::B, "0123456789ABCDEFFEDCBA9876543210", "12345678901234567", "01");
        assert_eq!(got, ("4201892658095334".into(), "AD406D7F6D7570916D75E5DCAB8CF737".into()));
    }

    #[test]
    fn option_b_second_pass() {
        // SHA-1 is 134AACEB6E6D901CFEBEEF9F6976FABB7CCADDE4: fifteen decimal digits only.
        let got = derived(DerivationOption::B, "765DB61C94912C9746D9BC1F987AC123", "48369073396822307", "03");
        assert_eq!(got, ("1346690196976740".into(), "867A91AB4A92D3BCEA328FDAFE492A92".into()));
    }

    #[test]
    fn option_c_of_cfpp() {
        let got = derived(DerivationOption::C, "DFADBFEF0123456789866443DFADBFEF", "9012345432101232", "01");
        assert_eq!(
            got,
            ("00000000000000901234543210123201".into(), "3AD95FE6AD75062DFCF19D834504AC23".into())
        );
    }

    #[test]
    fn options_go_with_their_algorithms() {
        let pan = Pan::without_check("4761739001010010").unwrap();
        let block = derivation_block(DerivationOption::C, &pan, Psn::default());
        assert_eq!(
            block.append_inputs(KeyAlgorithm::Tdes2, &mut Vec::new()).unwrap_err().kind(),
            &ErrorKind::KeyUsage
        );
        let block = derivation_block(DerivationOption::A, &pan, Psn::default());
        assert_eq!(
            block.append_inputs(KeyAlgorithm::Aes128, &mut Vec::new()).unwrap_err().kind(),
            &ErrorKind::KeyUsage
        );
        assert!(derive(DerivationOption::A, &Secret::new(vec![1; 32]), &pan, Psn::default()).is_err());
        assert!(finish(KeyAlgorithm::Tdes2, &[0; 15]).is_err());
    }

    #[test]
    fn debug_tells_no_digit() {
        let pan = Pan::without_check("4761739001010010").unwrap();
        let block = derivation_block(DerivationOption::A, &pan, Psn::default());
        assert_eq!(format!("{block:?}"), "DerivationBlock(A, ***)");
    }

    proptest! {
        #[test]
        fn absent_psn_is_00_and_b_is_a_up_to_16_digits(imk: [u8; 16], pan in "[0-9]{12,16}") {
            let pan = Pan::without_check(&pan).unwrap();
            let imk = Secret::copy_of(&imk);
            let a = derive(DerivationOption::A, &imk, &pan, Psn::default()).unwrap();
            prop_assert_eq!(&a, &derive(DerivationOption::A, &imk, &pan, "00".parse().unwrap()).unwrap());
            prop_assert_eq!(&a, &derive(DerivationOption::B, &imk, &pan, "00".parse().unwrap()).unwrap());
            prop_assert!(crate::crypto::tdes::has_odd_parity(a.expose()));
        }

        #[test]
        fn longer_aes_keys_begin_alike_and_have_their_length(imk: [u8; 32], pan in "[0-9]{12,19}", psn in "[0-9]{2}") {
            let pan = Pan::without_check(&pan).unwrap();
            for len in [16, 24, 32] {
                let mk = derive(DerivationOption::C, &Secret::copy_of(&imk[..len]), &pan, psn.parse().unwrap()).unwrap();
                prop_assert_eq!(mk.len(), len);
            }
        }
    }
}
