//! Key blocks of ANSI X9.143 (TR-31): a key, what it is for, and a MAC over both.
//!
//! Versions A to D, in and out, optional blocks with extended length. This is the codec: it takes any key that
//! the algorithms take, so that published blocks pass. What may be imported is said by [`Policy`].

mod derive;
mod header;
mod policy;
mod protection;

pub(crate) use derive::derive;
pub use header::{Algorithm, Exportability, Header, Mode, OptionalBlock, Usage, Version};
pub(super) use policy::refuse_weak_tdes;
pub use policy::{Imported, LegacyVersions, ParityRule, Policy};
pub use protection::{BlockCipher, ProtectionKey};

use zeroize::Zeroizing;

use crate::bytes::{Cursor, hex_upper};
use crate::crypto::aes::AesKey;
use crate::crypto::mac::{Padding, cmac_aes, cmac_tdes, equal, tdes_cbc_mac};
use crate::crypto::rng::StreamRng;
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// A key as a key block under `kbpk`. The fill hides the key's length: TDES keys look like 24 bytes, others like
/// 32. It is drawn from `rng`.
///
/// # Errors
/// [`ErrorKind::Length`] if `kbpk` is not a key of the header's version, or the block would pass 9,999
/// characters.
///
/// ```
/// use emv_dataprep::crypto::rng::{Purpose, Seed};
/// use emv_dataprep::keys::{KeyAlgorithm, KeyUse, tr31};
/// use emv_dataprep::secret::Secret;
/// let kbpk = Secret::new(vec![0x42; 32]);
/// let key = Secret::new(hex::decode("0123456789ABCDEFFEDCBA9876543210").unwrap());
/// let header = tr31::Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, tr31::Version::D);
/// let mut rng = Seed::fixed([1; 32]).named_stream(b"example", Purpose::TestIssuer).rng();
/// let block = tr31::wrap(&kbpk, &header, &key, &mut rng)?;
/// assert!(block.starts_with("D0112C0TC00N0000"));
/// assert_eq!(tr31::unwrap(&kbpk, &block)?, (header, key));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn wrap(kbpk: &dyn ProtectionKey, header: &Header, key: &Secret, rng: &mut StreamRng) -> Result<String> {
    let hidden = if header.algorithm() == Algorithm::TDEA { 24 } else { 32 };
    let block = header.version().block_len();
    let blocks = key.len().max(hidden).saturating_add(2).div_ceil(block);
    let pad_len = blocks.saturating_mul(block).saturating_sub(key.len()).saturating_sub(2);
    let mut pad = Zeroizing::new(vec![0; pad_len]);
    rng.fill(&mut pad);
    wrap_with_pad(kbpk, header, key, &pad)
}

/// As [`wrap`], with a fill that the caller gives: length, key and fill must be whole cipher blocks.
///
/// # Errors
/// As [`wrap`], and [`ErrorKind::Length`] if the blocks are not whole.
pub fn wrap_with_pad(kbpk: &dyn ProtectionKey, header: &Header, key: &Secret, pad: &[u8]) -> Result<String> {
    let version = header.version();
    let bits = key.len().checked_mul(8).and_then(|b| u16::try_from(b).ok()).filter(|b| *b > 0);
    let bits = bits.ok_or(ErrorKind::Length { expected: "1 to 8191", found: key.len(), unit: "bytes" })?;
    let plain = Secret::concat(&[&bits.to_be_bytes(), key.expose(), pad]);
    if !plain.len().is_multiple_of(version.block_len()) {
        let expected = "whole cipher blocks";
        return Err(ErrorKind::Length { expected, found: plain.len(), unit: "bytes" }.into());
    }
    let payload = plain.len().saturating_add(version.mac_len()).saturating_mul(2);
    let head = header.encode(payload)?;
    let keys = derive(kbpk, version)?;
    let mut data = plain.expose().to_vec();
    let mac = match version {
        Version::A | Version::C => {
            let iv = first_eight(&head)?;
            TdesKey::new(&keys.kbek)?.encrypt_cbc(iv, &mut data)?;
            mac(version, &keys.kbak, head.as_bytes(), &data)?
        }
        Version::B | Version::D => {
            let tag = mac(version, &keys.kbak, head.as_bytes(), &data)?;
            cbc(version, &keys.kbek, &tag, Direction::Encrypt, &mut data)?;
            tag
        }
    };
    Ok(format!("{head}{}{}", hex_upper(&data), hex_upper(&mac)))
}

/// The header and the key of a key block.
///
/// # Errors
/// [`ErrorKind::Format`] and its kin if the block has not the form of X9.143, which anybody can see;
/// [`ErrorKind::Length`] if `kbpk` is not a key of the block's version; [`ErrorKind::Crypto`], always with the
/// same text, if the MAC or the protected data are wrong.
pub fn unwrap(kbpk: &dyn ProtectionKey, block: &str) -> Result<(Header, Secret)> {
    open(kbpk, block).map(|opened| (opened.header, opened.key))
}

/// The header of a key block, for people to read: nothing says yet that it is authentic.
///
/// # Errors
/// As [`unwrap`] for the form of the header.
pub fn header(block: &str) -> Result<Header> {
    Header::parse(&mut Cursor::new(block.as_bytes())).map(|(header, _)| header)
}

/// A key block, opened: with the fill, for known-answer tests.
pub(crate) struct Opened {
    pub(crate) header: Header,
    pub(crate) key: Secret,
    pub(crate) pad: Zeroizing<Vec<u8>>,
}

pub(crate) fn open(kbpk: &dyn ProtectionKey, block: &str) -> Result<Opened> {
    let mut cursor = Cursor::new(block.as_bytes());
    let (header, length) = Header::parse(&mut cursor)?;
    let version = header.version();
    if length != block.len() {
        return Err(ErrorKind::Value("the length field is not the length of the key block").into());
    }
    let payload = cursor.rest();
    let head = block.as_bytes().get(..block.len().saturating_sub(payload.len())).unwrap_or_default();
    if !head.len().is_multiple_of(version.block_len()) {
        return Err(ErrorKind::Value("the optional blocks are not filled to a whole cipher block").into());
    }
    // One way of writing a byte: a changed letter case is a changed block.
    if payload.iter().any(u8::is_ascii_lowercase) {
        return Err(ErrorKind::Format("upper-case hexadecimal digits").into());
    }
    let payload = hex::decode(payload).map_err(|_| ErrorKind::Format("upper-case hexadecimal digits"))?;
    let cipher_len = payload.len().checked_sub(version.mac_len()).filter(|n| *n > 0);
    let cipher_len = cipher_len.filter(|n| n.is_multiple_of(version.block_len()));
    let (cipher, tag) = cipher_len
        .and_then(|n| payload.split_at_checked(n))
        .ok_or(ErrorKind::Format("a key block: protected data and MAC"))?;
    let keys = derive(kbpk, version)?;
    let mut data = Zeroizing::new(cipher.to_vec());
    let mac_is_right = match version {
        Version::A | Version::C => {
            let right = equal(&mac(version, &keys.kbak, head, &data)?, tag);
            TdesKey::new(&keys.kbek)?.decrypt_cbc(first_eight(block)?, &mut data)?;
            right
        }
        Version::B | Version::D => {
            cbc(version, &keys.kbek, tag, Direction::Decrypt, &mut data)?;
            equal(&mac(version, &keys.kbak, head, &data)?, tag)
        }
    };
    if !mac_is_right {
        return Err(refused());
    }
    let (bits, rest) = data.split_first_chunk::<2>().ok_or_else(refused)?;
    let bits = u16::from_be_bytes(*bits);
    let bytes =
        usize::from(bits.checked_div(8).filter(|n| *n > 0 && bits.is_multiple_of(8)).ok_or_else(refused)?);
    let (key, pad) = rest.split_at_checked(bytes).ok_or_else(refused)?;
    Ok(Opened { header, key: Secret::copy_of(key), pad: Zeroizing::new(pad.to_vec()) })
}

/// The one refusal of protected data.
fn refused() -> crate::error::Error {
    ErrorKind::Crypto("the key block is not authentic under this protection key").into()
}

fn first_eight(text: &str) -> Result<[u8; 8]> {
    let head = text.as_bytes().first_chunk::<8>();
    head.copied().ok_or_else(|| ErrorKind::Internal("a header of eight characters").into())
}

/// The MAC of a version: over header ‖ ciphertext for A and C, over header ‖ plain key data for B and D.
fn mac(version: Version, kbak: &Secret, head: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    let mut tag = match version {
        Version::A | Version::C => {
            let all = [head, data].concat();
            tdes_cbc_mac(&TdesKey::new(kbak)?, [0; 8], Padding::Zeros, &all).to_vec()
        }
        Version::B => cmac_tdes(kbak, &[head, data])?.to_vec(),
        Version::D => cmac_aes(kbak, &[head, data])?.to_vec(),
    };
    tag.truncate(version.mac_len());
    Ok(tag)
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

fn cbc(version: Version, key: &Secret, iv: &[u8], direction: Direction, data: &mut [u8]) -> Result<()> {
    let wrong = |_| ErrorKind::Internal("an IV of one block");
    if version == Version::D {
        let (key, iv) = (AesKey::new(key)?, iv.try_into().map_err(wrong)?);
        match direction {
            Direction::Encrypt => key.encrypt_cbc(iv, data),
            Direction::Decrypt => key.decrypt_cbc(iv, data),
        }
    } else {
        let (key, iv) = (TdesKey::new(key)?, iv.try_into().map_err(wrong)?);
        match direction {
            Direction::Encrypt => key.encrypt_cbc(iv, data),
            Direction::Decrypt => key.decrypt_cbc(iv, data),
        }
    }
}

#[cfg(test)]
mod every_byte_tests;
#[cfg(test)]
mod tests;
