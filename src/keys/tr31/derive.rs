use zeroize::Zeroizing;

use super::Version;
use crate::crypto::mac::{cmac_aes, cmac_tdes};
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
pub(crate) fn derive(kbpk: &Secret, version: Version) -> Result<BlockKeys> {
    let fits = matches!((version, kbpk.len()), (_, 16 | 24) | (Version::D, 32));
    if !fits {
        let expected = if version == Version::D { "16, 24 or 32" } else { "16 or 24" };
        return Err(ErrorKind::Length { expected, found: kbpk.len(), unit: "bytes" }.into());
    }
    match version {
        Version::A | Version::C => Ok(BlockKeys { kbek: variant(kbpk, b'E')?, kbak: variant(kbpk, b'M')? }),
        Version::B | Version::D => {
            Ok(BlockKeys { kbek: counter(kbpk, version, 0)?, kbak: counter(kbpk, version, 1)? })
        }
    }
}

fn variant(kbpk: &Secret, letter: u8) -> Result<Secret> {
    Secret::filled(kbpk.len(), |out| {
        out.iter_mut().zip(kbpk.expose()).for_each(|(o, k)| *o = k ^ letter);
        Ok(())
    })
}

/// `CMAC(KBPK, i ‖ usage ‖ 00 ‖ algorithm ‖ bits)` for i from 1, leftmost bytes. Usage 0000 enciphers, 0001
/// authenticates.
fn counter(kbpk: &Secret, version: Version, usage: u8) -> Result<Secret> {
    let (algorithm, bits): (u8, u16) = match (version, kbpk.len()) {
        (Version::D, 16) => (2, 128),
        (Version::D, 24) => (3, 192),
        (Version::D, _) => (4, 256),
        (_, 24) => (1, 192),
        _ => (0, 128),
    };
    let [b1, b0] = bits.to_be_bytes();
    let mut blocks = Vec::new();
    for i in 1..=kbpk.len().div_ceil(version.block_len()) {
        let i = u8::try_from(i).map_err(|_| ErrorKind::Internal("too many blocks"))?;
        let message = [i, 0, usage, 0, 0, algorithm, b1, b0];
        blocks.push(match version {
            Version::D => Secret::copy_of(Zeroizing::new(cmac_aes(kbpk, &[&message])?).as_slice()),
            _ => Secret::copy_of(Zeroizing::new(cmac_tdes(kbpk, &[&message])?).as_slice()),
        });
    }
    leftmost(&blocks, kbpk.len())
}
