//! Keys that everybody can have: the demo's and those of standards, known by a digest.

use crate::bytes::hex_upper;
use crate::crypto::ed25519::Ed25519Public;
use crate::crypto::hash::sha256;
use crate::crypto::rsa::RsaPublic;
use crate::keys::PublicJwk;
use crate::secret::Secret;

/// A line for each key: its digest, what it is. `tests/known_keys.rs` writes it and says where each comes from.
const TABLE: &str = include_str!("published.txt");

/// What a known key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Symmetric,
    Rsa,
    Point,
    Ed25519,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::Rsa => "rsa",
            Self::Point => "p-256",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// The digest of a key in the table: the first 16 bytes of SHA-256 over kind ‖ 00 ‖ key.
fn digest(kind: Kind, key: &[u8]) -> String {
    let whole = sha256(&[b"emv-dataprep/known-key/1 ", kind.word().as_bytes(), &[0], key]);
    hex_upper(whole.get(..16).unwrap_or_default())
}

fn is_in_table(kind: Kind, key: &[u8]) -> bool {
    let wanted = digest(kind, key);
    TABLE.lines().any(|line| line.split(' ').next() == Some(wanted.as_str()))
}

/// Whether a secret key is one of the table; parity bits of a TDES key are left aside.
pub(super) fn is_published_secret(key: &Secret) -> bool {
    // Known by its digest, parity bits cleared: those of an AES key are left aside with them, which makes no key of
    // anybody a known one.
    let cleared = Secret::new(key.expose().iter().map(|b| b & 0xFE).collect());
    is_in_table(Kind::Symmetric, cleared.expose())
}

/// Whether an RSA key is one of the demo or of a standard: its private key is known to everybody.
///
/// ```
/// use emv_dataprep::keys::is_known_test_rsa;
/// # use emv_dataprep::crypto::rsa::RsaPublic;
/// // RFC 7515, appendix A.2 signs with a key whose modulus begins A1F8160A…; this one is nobody's.
/// let mut modulus = vec![0xC5; 128];
/// modulus[127] = 0x01;
/// let key = RsaPublic::new(&modulus, &[3])?;
/// assert!(!is_known_test_rsa(&key));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn is_known_test_rsa(key: &RsaPublic) -> bool {
    is_in_table(Kind::Rsa, key.modulus())
}

/// Whether a key on P-256 is one of the demo or of a standard: its private key is known to everybody.
///
/// ```
/// use emv_dataprep::keys::{PublicJwk, is_known_test_jwk};
/// // RFC 7518, appendix C: Bob's key.
/// let text = r#"{"kty":"EC","crv":"P-256","kid":"mine","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
///   "y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;
/// assert!(is_known_test_jwk(&PublicJwk::from_json(text.as_bytes())?));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn is_known_test_jwk(key: &PublicJwk) -> bool {
    is_in_table(Kind::Point, key.thumbprint().as_bytes())
}

/// Whether an Ed25519 key is one of the demo or of a standard: its private key is known to everybody.
///
/// ```
/// use emv_dataprep::crypto::ed25519::Ed25519Public;
/// use emv_dataprep::keys::is_known_test_signer;
/// // RFC 8032, 7.1, test 1.
/// let key = "D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A";
/// assert!(is_known_test_signer(&Ed25519Public::from_hex(key)?));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[must_use]
pub fn is_known_test_signer(key: &Ed25519Public) -> bool {
    is_in_table(Kind::Ed25519, &key.to_bytes())
}
