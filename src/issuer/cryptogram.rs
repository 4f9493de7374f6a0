//! Application cryptograms and response cryptograms (EMV 4.4 Book 2, 8.1 and 8.2), and which choices each cryptogram
//! version makes. For verification tools and calculators.

use crate::crypto::aes::AesKey;
use crate::crypto::mac::{Padding, cmac_aes, retail_mac};
use crate::crypto::tdes::{TdesKey, xor};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// ARQC, TC or AAC under TDES: MAC algorithm 3 over the data in the card's order.
///
/// ```
/// use emv_dataprep::crypto::mac::Padding;
/// use emv_dataprep::crypto::tdes::TdesKey;
/// use emv_dataprep::{bytes, issuer::cryptogram};
/// let sk = TdesKey::from_bytes(&bytes::from_hex("3E736BF8D37664348A04E3ABE00DEFC1")?)?;
/// let data = bytes::from_hex("0123456789ABCDEF0123456789ABCDEF")?;
/// let ac = cryptogram::application_cryptogram(&sk, Padding::Bit, &data);
/// assert_eq!(bytes::hex_upper(&ac), "4B46013359B7A58B");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn application_cryptogram(key: &TdesKey, padding: Padding, data: &[u8]) -> [u8; 8] {
    retail_mac(key, [0; 8], padding, data)
}

/// ARQC, TC or AAC under AES: CMAC, leftmost eight bytes.
///
/// # Errors
/// [`ErrorKind::Length`] unless the key is 16, 24 or 32 bytes.
pub fn application_cryptogram_aes(key: &Secret, data: &[u8]) -> Result<[u8; 8]> {
    let [a, b, c, d, e, f, g, h, ..] = cmac_aes(key, &[data])?;
    Ok([a, b, c, d, e, f, g, h])
}

/// ARPC, method 1: `TDES(K)[ARQC ⊕ (ARC ‖ 00…00)]` (EMV 4.4 Book 2, 8.2.1). Which key `K` is:
/// [`CryptogramVersion::arpc_key`].
#[must_use]
pub fn arpc_method_1(key: &TdesKey, arqc: [u8; 8], arc: [u8; 2]) -> [u8; 8] {
    let [a, b] = arc;
    key.encrypt_block(xor(arqc, [a, b, 0, 0, 0, 0, 0, 0]))
}

/// ARPC, method 2: MAC algorithm 3 with padding method 2 over ARQC, card status update and up to eight bytes of
/// proprietary authentication data, leftmost four bytes (EMV 4.4 Book 2, 8.2.2).
///
/// # Errors
/// [`ErrorKind::Length`] for more than eight bytes of proprietary data.
pub fn arpc_method_2(key: &TdesKey, arqc: [u8; 8], csu: [u8; 4], proprietary: &[u8]) -> Result<[u8; 4]> {
    if proprietary.len() > 8 {
        let found = proprietary.len();
        return Err(ErrorKind::Length { expected: "at most 8", found, unit: "bytes" }.into());
    }
    let data = [arqc.as_slice(), csu.as_slice(), proprietary].concat();
    let [a, b, c, d, ..] = retail_mac(key, [0; 8], Padding::Bit, &data);
    Ok([a, b, c, d])
}

/// ARPC, method 1, under AES: the leftmost eight bytes of `AES(K)[(ARQC ⊕ (ARC ‖ 00…00)) ‖ 00…00]` (EMV 4.4 Book 2,
/// 8.2.1).
///
/// # Errors
/// [`ErrorKind::Length`] unless the key is 16, 24 or 32 bytes.
pub fn arpc_method_1_aes(key: &Secret, arqc: [u8; 8], arc: [u8; 2]) -> Result<[u8; 8]> {
    let [a, b] = arc;
    let [y0, y1, y2, y3, y4, y5, y6, y7] = xor(arqc, [a, b, 0, 0, 0, 0, 0, 0]);
    let block = [y0, y1, y2, y3, y4, y5, y6, y7, 0, 0, 0, 0, 0, 0, 0, 0];
    let [a, b, c, d, e, f, g, h, ..] = AesKey::new(key)?.encrypt_block(block);
    Ok([a, b, c, d, e, f, g, h])
}

/// ARPC, method 2, under AES: CMAC over ARQC, card status update and up to eight bytes of proprietary authentication
/// data, leftmost four bytes (EMV 4.4 Book 2, 8.2.2).
///
/// # Errors
/// [`ErrorKind::Length`] for more than eight bytes of proprietary data, or unless the key is 16, 24 or 32 bytes.
pub fn arpc_method_2_aes(key: &Secret, arqc: [u8; 8], csu: [u8; 4], proprietary: &[u8]) -> Result<[u8; 4]> {
    if proprietary.len() > 8 {
        let found = proprietary.len();
        return Err(ErrorKind::Length { expected: "at most 8", found, unit: "bytes" }.into());
    }
    let [a, b, c, d, ..] = cmac_aes(key, &[&arqc, &csu, proprietary])?;
    Ok([a, b, c, d])
}

/// How the key of the application cryptogram comes from the ICC master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcSession {
    /// The master key itself.
    MasterKey,
    /// EMV common session key, TDES.
    CommonTdes,
    /// EMV common session key, AES.
    CommonAes,
    /// Mastercard SKD.
    Mastercard,
}

/// Which key makes the ARPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpcKey {
    /// The session key of the application cryptogram.
    SessionKey,
    /// The ICC master key for application cryptograms.
    MasterKey,
}

/// How the ARPC is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpcMethod {
    /// [`arpc_method_1`].
    One,
    /// [`arpc_method_2`].
    Two,
}

/// How secure messaging keys come from the ICC master keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScriptSession {
    /// [`visa_secure_messaging`](super::session_key::visa_secure_messaging): from the ATC.
    Visa,
    /// The common session key, its diversifier the application cryptogram.
    Common,
}

/// A cryptogram version: a named bundle of choices. The names carry the byte value in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CryptogramVersion {
    /// Visa 0A ("CVN 10").
    Visa0A,
    /// Visa 11 ("CVN 17", contactless).
    Visa11,
    /// Visa 12 ("CVN 18").
    Visa12,
    /// Visa 22.
    Visa22,
    /// M/Chip 10 ("CVN 16"): Mastercard SKD.
    MChip10,
    /// M/Chip 11 ("CVN 17"): Mastercard SKD, counters in the cryptogram.
    MChip11,
    /// M/Chip 14 ("CVN 20"): common session key.
    MChip14,
    /// M/Chip 15 ("CVN 21"): common session key, counters in the cryptogram.
    MChip15,
    /// Common core definitions, cryptogram version 5 (common core identifier A5): TDES.
    CcdA5,
    /// Common core definitions, cryptogram version 6 (common core identifier A6): AES.
    CcdA6,
}

impl CryptogramVersion {
    /// Every version.
    pub const ALL: [Self; 10] = [
        Self::Visa0A,
        Self::Visa11,
        Self::Visa12,
        Self::Visa22,
        Self::MChip10,
        Self::MChip11,
        Self::MChip14,
        Self::MChip15,
        Self::CcdA5,
        Self::CcdA6,
    ];

    /// The byte in the issuer application data: cryptogram version number, or common core identifier.
    ///
    /// ```
    /// use emv_dataprep::issuer::cryptogram::CryptogramVersion;
    /// assert_eq!(CryptogramVersion::Visa12.byte(), 0x12);
    /// ```
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Visa0A => 0x0A,
            Self::Visa11 | Self::MChip11 => 0x11,
            Self::Visa12 => 0x12,
            Self::Visa22 => 0x22,
            Self::MChip10 => 0x10,
            Self::MChip14 => 0x14,
            Self::MChip15 => 0x15,
            Self::CcdA5 => 0xA5,
            Self::CcdA6 => 0xA6,
        }
    }

    /// Key of the application cryptogram.
    #[must_use]
    pub const fn session(self) -> AcSession {
        match self {
            Self::Visa0A | Self::Visa11 => AcSession::MasterKey,
            Self::MChip10 | Self::MChip11 => AcSession::Mastercard,
            Self::CcdA6 => AcSession::CommonAes,
            Self::Visa12 | Self::Visa22 | Self::MChip14 | Self::MChip15 | Self::CcdA5 => {
                AcSession::CommonTdes
            }
        }
    }

    /// Padding of the application cryptogram; AES uses CMAC's own.
    #[must_use]
    pub const fn padding(self) -> Padding {
        match self {
            Self::Visa0A | Self::Visa11 => Padding::Zeros,
            _ => Padding::Bit,
        }
    }

    /// How the ARPC is made.
    #[must_use]
    pub const fn arpc_method(self) -> ArpcMethod {
        match self {
            Self::Visa12 | Self::Visa22 | Self::CcdA5 | Self::CcdA6 => ArpcMethod::Two,
            _ => ArpcMethod::One,
        }
    }

    /// Which key makes the ARPC: the session key where it is the common one, else the master key.
    #[must_use]
    pub const fn arpc_key(self) -> ArpcKey {
        match self.session() {
            AcSession::CommonTdes | AcSession::CommonAes => ArpcKey::SessionKey,
            AcSession::MasterKey | AcSession::Mastercard => ArpcKey::MasterKey,
        }
    }

    /// How secure messaging keys are derived.
    #[must_use]
    pub const fn script_session(self) -> ScriptSession {
        match self {
            Self::Visa0A | Self::Visa11 | Self::Visa12 => ScriptSession::Visa,
            _ => ScriptSession::Common,
        }
    }

    /// The part of the issuer application data (tag 9F10) that ends the data of the cryptogram.
    ///
    /// Visa 0A: the card verification results (four bytes); Visa 11: the fifth byte; Visa 12, 22 and CCD: all of it;
    /// M/Chip: the card verification results (six bytes) and, for 11 and 15, the eight bytes of counters.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] if the issuer application data are too short.
    pub fn cryptogram_part(self, iad: &[u8]) -> Result<Vec<u8>> {
        let part = |from: usize, to: usize| {
            let short = ErrorKind::Length {
                expected: "an issuer application data of this cryptogram version",
                found: iad.len(),
                unit: "bytes",
            };
            iad.get(from..to).ok_or(short)
        };
        Ok(match self {
            Self::Visa0A => part(3, 7)?.to_vec(),
            Self::Visa11 => part(4, 5)?.to_vec(),
            Self::Visa12 | Self::Visa22 | Self::CcdA5 | Self::CcdA6 => iad.to_vec(),
            Self::MChip10 | Self::MChip14 => part(2, 8)?.to_vec(),
            Self::MChip11 | Self::MChip15 => [part(2, 8)?, part(10, 18)?].concat(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(hex: &str) -> TdesKey {
        TdesKey::from_bytes(&hex::decode(hex).unwrap()).unwrap()
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    #[test]
    fn published_response_cryptograms() {
        let mk = key("DCE992BCE398C264F7858AFD4C4A324A");
        let arpc = arpc_method_1(&mk, bytes("26C8A1042D1CAF3E"), bytes("3030"));
        assert_eq!(hex::encode_upper(arpc), "98DE7C7B3D80A831");
        let sk = key("F2A75194C2B954A4163E9886BCA45473");
        let arpc = arpc_method_2(&sk, bytes("55BE45DD2C9E0CBF"), bytes("00120000"), &[]).unwrap();
        assert_eq!(hex::encode_upper(arpc), "B4C698B6");
        assert!(arpc_method_2(&sk, [0; 8], [0; 4], &[0; 9]).is_err());
    }

    #[test]
    fn a_published_aes_cryptogram() {
        let sk = Secret::new(hex::decode("2AAAA9CF4708A113C3E7F06B429CC35B").unwrap());
        let data = hex::decode("00000000084000000000000840181200010601120300000000").unwrap();
        assert_eq!(hex::encode_upper(application_cryptogram_aes(&sk, &data).unwrap()), "EBB468693B346136");
    }

    /// No vectors are published: the identities that the definitions give, and refusals. `tests/second_terminal.rs` has
    /// the outside witness.
    #[test]
    fn response_cryptograms_under_aes() {
        let sk = Secret::new(hex::decode("2AAAA9CF4708A113C3E7F06B429CC35B").unwrap());
        let (arqc, arc) = (bytes("55BE45DD2C9E0CBF"), bytes("3030"));
        // The response code enters by exclusive or.
        let mut moved = arqc;
        moved[0] ^= 0x30;
        moved[1] ^= 0x30;
        assert_eq!(arpc_method_1_aes(&sk, arqc, arc), arpc_method_1_aes(&sk, moved, [0; 2]));
        let whole = application_cryptogram_aes(&sk, &[arqc.as_slice(), &[0, 0x12, 0, 0]].concat()).unwrap();
        assert_eq!(arpc_method_2_aes(&sk, arqc, bytes("00120000"), &[]).unwrap(), whole[..4]);
        assert!(arpc_method_2_aes(&sk, arqc, [0; 4], &[0; 9]).is_err());
        assert!(arpc_method_1_aes(&Secret::new(vec![1; 15]), arqc, arc).is_err());
    }

    #[test]
    fn the_part_of_the_issuer_application_data() {
        let iad: Vec<u8> = (0..18).collect();
        let part = |v: CryptogramVersion| v.cryptogram_part(&iad).unwrap();
        assert_eq!(part(CryptogramVersion::Visa0A), [3, 4, 5, 6]);
        assert_eq!(part(CryptogramVersion::Visa11), [4]);
        assert_eq!(part(CryptogramVersion::Visa22), iad);
        assert_eq!(part(CryptogramVersion::MChip10), [2, 3, 4, 5, 6, 7]);
        assert_eq!(part(CryptogramVersion::MChip15).len(), 14);
        assert!(CryptogramVersion::MChip11.cryptogram_part(&iad[..17]).is_err());
    }

    #[test]
    fn the_arpc_key_is_the_session_key_only_where_it_is_common() {
        for v in CryptogramVersion::ALL {
            let common = matches!(v.session(), AcSession::CommonTdes | AcSession::CommonAes);
            assert_eq!(v.arpc_key() == ArpcKey::SessionKey, common, "{v:?}");
            assert!(common || v.arpc_method() == ArpcMethod::One, "{v:?}");
        }
    }

    proptest! {
        #[test]
        fn padding_matters_and_every_bit_enters(k: [u8; 16], data in prop::collection::vec(any::<u8>(), 1..60), bit: usize) {
            let key = TdesKey::from_bytes(&k).unwrap();
            let ac = application_cryptogram(&key, Padding::Bit, &data);
            prop_assert_ne!(ac, application_cryptogram(&key, Padding::Zeros, &data));
            let mut other = data.clone();
            let at = bit % (data.len() * 8);
            other[at / 8] ^= 1 << (at % 8);
            prop_assert_ne!(ac, application_cryptogram(&key, Padding::Bit, &other));
        }
    }
}
