use super::{ProtectionKey, Version};
use crate::error::{ErrorKind, Result};
use crate::keys::diversify::leftmost;
use crate::secret::Secret;

/// The two keys that come from a key block protection key.
pub(crate) struct BlockKeys {
    /// Key block encryption key.
    pub(crate) kbek: Secret,
    /// Key block authentication key.
    pub(crate) kbak: Secret,
}

/// KBEK and KBAK of a protection key (X9.143, 7.5 and 7.6): variants for A and C, CMAC in counter mode for B and D.
///
/// # Errors
/// [`ErrorKind::Length`] unless the key is 16 or 24 bytes (A, B, C), or 16, 24 or 32 (D).
pub(crate) fn derive(kbpk: &dyn ProtectionKey, version: Version) -> Result<BlockKeys> {
    let found = kbpk.key_len();
    let fits = matches!((version, found), (_, 16 | 24) | (Version::D, 32));
    if !fits {
        let expected = if version == Version::D { "16, 24 or 32" } else { "16 or 24" };
        return Err(ErrorKind::Length { expected, found, unit: "bytes" }.into());
    }
    match version {
        Version::A | Version::C => Ok(BlockKeys { kbek: kbpk.variant(b'E')?, kbak: kbpk.variant(b'M')? }),
        Version::B | Version::D => {
            Ok(BlockKeys { kbek: counter(kbpk, version, 0)?, kbak: counter(kbpk, version, 1)? })
        }
    }
}

/// `CMAC(KBPK, i ‖ usage ‖ 00 ‖ algorithm ‖ bits)` for i from 1, leftmost bytes. Usage 0000 enciphers, 0001
/// authenticates.
fn counter(kbpk: &dyn ProtectionKey, version: Version, usage: u8) -> Result<Secret> {
    let len = kbpk.key_len();
    let (algorithm, bits): (u8, u16) = match (version, len) {
        (Version::D, 16) => (2, 128),
        (Version::D, 24) => (3, 192),
        (Version::D, _) => (4, 256),
        (_, 24) => (1, 192),
        _ => (0, 128),
    };
    let [b1, b0] = bits.to_be_bytes();
    let blocks = u8::try_from(len.div_ceil(version.block_len()));
    let blocks = blocks.map_err(|_| ErrorKind::Internal("too many blocks"))?;
    let messages: Vec<[u8; 8]> = (1..=blocks).map(|i| [i, 0, usage, 0, 0, algorithm, b1, b0]).collect();
    let messages: Vec<&[u8]> = messages.iter().map(<[u8; 8]>::as_slice).collect();
    leftmost(&kbpk.cmac(version.cipher(), &messages)?, len)
}
