//! Card keys of a personalization site: derived from a master key and the chip's key diversification data.
//!
//! The values are card secrets: they come as [`Secret`] and no parity is adjusted (published values keep the
//! parity that the cipher gives; the cipher ignores it).

use zeroize::Zeroizing;

use crate::crypto::mac::cmac_aes;
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Static keys of a secure channel, by the number that derivations give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKey {
    /// Encipherment and authentication: 1.
    Enc,
    /// Message authentication: 2.
    Mac,
    /// Data encipherment key: 3.
    Dek,
}

impl ChannelKey {
    /// The number in derivation data.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Enc => 1,
            Self::Mac => 2,
            Self::Dek => 3,
        }
    }
}

/// How a personalization site derives a chip's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Diversification {
    /// EMV CPS 1.1, section 4.1: TDES of the six rightmost bytes of KEYDATA ‖ F0 ‖ n, then ‖ 0F ‖ n.
    EmvCps,
    /// Visa 2 (GlobalPlatform cards of that age): bytes 1, 2 and 5 to 8 of KEYDATA instead of the six rightmost.
    Visa2,
    /// KDF3: SP 800-108 in counter mode over AES CMAC; the derived key is as long as the master key.
    Kdf3,
}

impl Diversification {
    /// A chip's key. `key_data` is KEYDATA as INITIALIZE UPDATE gives it, ten bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless `key_data` is ten bytes and the master key is 16 bytes (TDES) or an AES key.
    ///
    /// ```
    /// use emv_dataprep::keys::{ChannelKey, Diversification};
    /// use emv_dataprep::secret::Secret;
    /// let master = Secret::new((0x40..0x50).collect());
    /// let enc = Diversification::EmvCps.derive(&master, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], ChannelKey::Enc)?;
    /// assert_eq!(enc.expose()[..2], [0x0E, 0xF5]);
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn derive(self, master: &Secret, key_data: &[u8], key: ChannelKey) -> Result<Secret> {
        let wrong = || ErrorKind::Length { expected: "10", found: key_data.len(), unit: "bytes" };
        let data: [u8; 10] = key_data.try_into().map_err(|_| wrong())?;
        let [k0, k1, _, _, k4, k5, k6, k7, k8, k9] = data;
        match self {
            Self::EmvCps => two_blocks(master, [k4, k5, k6, k7, k8, k9], key),
            Self::Visa2 => two_blocks(master, [k0, k1, k4, k5, k6, k7], key),
            Self::Kdf3 => kdf3(master, &data, key),
        }
    }
}

fn two_blocks(master: &Secret, data: [u8; 6], key: ChannelKey) -> Result<Secret> {
    if master.len() != 16 {
        return Err(ErrorKind::Length { expected: "16", found: master.len(), unit: "bytes" }.into());
    }
    let cipher = TdesKey::new(master)?;
    let [a, b, c, d, e, f] = data;
    let n = key.number();
    Secret::filled(16, |out| {
        out.copy_from_slice(&[a, b, c, d, e, f, 0xF0, n, a, b, c, d, e, f, 0x0F, n]);
        cipher.encrypt_ecb(out)
    })
}

/// `CMAC(master, i ‖ 000000 ‖ kt ‖ 00 ‖ KEYDATA)` for i from 1, leftmost bytes.
fn kdf3(master: &Secret, data: &[u8], key: ChannelKey) -> Result<Secret> {
    let mut blocks = Vec::new();
    for counter in 1..=master.len().div_ceil(16) {
        let counter = u8::try_from(counter).map_err(|_| ErrorKind::Internal("too many blocks"))?;
        let block = Zeroizing::new(cmac_aes(master, &[&[counter, 0, 0, 0, key.number(), 0], data])?);
        blocks.push(Secret::copy_of(block.as_slice()));
    }
    leftmost(&blocks, master.len())
}

/// The first `len` bytes of `blocks` one after the other.
pub(super) fn leftmost(blocks: &[Secret], len: usize) -> Result<Secret> {
    let parts: Vec<&[u8]> = blocks.iter().map(Secret::expose).collect();
    let all = Secret::concat(&parts);
    let head = all.expose().get(..len).ok_or(ErrorKind::Internal("too few blocks"))?;
    Ok(Secret::copy_of(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_are_refused() {
        let tdes = Secret::new(vec![0x40; 16]);
        for method in [Diversification::EmvCps, Diversification::Visa2, Diversification::Kdf3] {
            assert!(method.derive(&tdes, &[0; 9], ChannelKey::Enc).is_err());
            assert!(method.derive(&Secret::new(vec![1; 15]), &[0; 10], ChannelKey::Enc).is_err());
        }
        assert!(
            Diversification::EmvCps.derive(&Secret::new(vec![1; 24]), &[0; 10], ChannelKey::Enc).is_err()
        );
    }

    #[test]
    fn the_three_keys_differ() {
        let master = Secret::new((0x40..0x50).collect());
        for method in [Diversification::EmvCps, Diversification::Visa2, Diversification::Kdf3] {
            let [a, b, c] = [ChannelKey::Enc, ChannelKey::Mac, ChannelKey::Dek]
                .map(|k| method.derive(&master, &[9; 10], k).unwrap());
            assert!(a != b && b != c && a != c);
        }
    }
}
