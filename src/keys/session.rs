//! Session keys of the GlobalPlatform secure channels that EMV CPS personalization uses.

use zeroize::Zeroizing;

use super::diversify::leftmost;
use crate::crypto::mac::cmac_aes;
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Session keys of SCP02 (GlobalPlatform 2.1.1 Appendix E, EMV CPS 1.1 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scp02Key {
    /// C-MAC: 0101.
    CMac,
    /// R-MAC: 0102.
    RMac,
    /// Data encipherment: 0181.
    Dek,
    /// Encipherment: 0182.
    Enc,
}

impl Scp02Key {
    /// The constant in the derivation data.
    #[must_use]
    pub const fn constant(self) -> [u8; 2] {
        match self {
            Self::CMac => [0x01, 0x01],
            Self::RMac => [0x01, 0x02],
            Self::Dek => [0x01, 0x81],
            Self::Enc => [0x01, 0x82],
        }
    }

    /// The session key: TDES CBC with an all-zero IV of constant ‖ sequence counter ‖ twelve zero bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless the static key is 16 bytes.
    pub fn derive(self, static_key: &Secret, sequence: [u8; 2]) -> Result<Secret> {
        if static_key.len() != 16 {
            return Err(ErrorKind::Length { expected: "16", found: static_key.len(), unit: "bytes" }.into());
        }
        let cipher = TdesKey::new(static_key)?;
        let ([c0, c1], [s0, s1]) = (self.constant(), sequence);
        Secret::filled(16, |out| {
            out.copy_from_slice(&[c0, c1, s0, s1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            cipher.encrypt_cbc([0; 8], out)
        })
    }
}

/// Session keys and values of SCP03 (GlobalPlatform Amendment D, section 4.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scp03Key {
    /// S-ENC: 04.
    Enc,
    /// S-MAC: 06.
    Mac,
    /// S-RMAC: 07.
    RMac,
}

impl Scp03Key {
    /// The derivation constant.
    #[must_use]
    pub const fn constant(self) -> u8 {
        match self {
            Self::Enc => 0x04,
            Self::Mac => 0x06,
            Self::RMac => 0x07,
        }
    }

    /// The session key, as long as the static key. `context` is host challenge ‖ card challenge.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless the static key is an AES key.
    pub fn derive(self, static_key: &Secret, context: &[u8]) -> Result<Secret> {
        scp03_kdf(static_key, self.constant(), context, static_key.len())
    }
}

/// Cryptograms of SCP03: eight bytes under S-MAC (Amendment D, section 6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scp03Cryptogram {
    /// The card's: 00.
    Card,
    /// The host's: 01.
    Host,
}

impl Scp03Cryptogram {
    /// The derivation constant.
    #[must_use]
    pub const fn constant(self) -> u8 {
        match self {
            Self::Card => 0x00,
            Self::Host => 0x01,
        }
    }

    /// The eight bytes. `context` is host challenge ‖ card challenge.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless the key is an AES key.
    pub fn compute(self, session_mac: &Secret, context: &[u8]) -> Result<[u8; 8]> {
        let value = scp03_kdf(session_mac, self.constant(), context, 8)?;
        value.expose().try_into().map_err(|_| ErrorKind::Internal("eight bytes were derived").into())
    }
}

/// SP 800-108 in counter mode over CMAC: label (eleven zero bytes ‖ constant) ‖ 00 ‖ bits ‖ counter ‖ context.
pub(super) fn scp03_kdf(key: &Secret, constant: u8, context: &[u8], len: usize) -> Result<Secret> {
    let bits = len.checked_mul(8).and_then(|b| u16::try_from(b).ok());
    let bits = bits.ok_or(ErrorKind::Internal("a derived key of this length"))?.to_be_bytes();
    let mut blocks = Vec::new();
    for counter in 1..=len.div_ceil(16) {
        let counter = u8::try_from(counter).map_err(|_| ErrorKind::Internal("too many blocks"))?;
        let parts: [&[u8]; 6] = [&[0; 11], &[constant], &[0], &bits, &[counter], context];
        let block = Zeroizing::new(cmac_aes(key, &parts)?);
        blocks.push(Secret::copy_of(block.as_slice()));
    }
    leftmost(&blocks, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_gives_another_key() {
        let key = Secret::new((0x40..0x50).collect());
        let scp02 = [Scp02Key::CMac, Scp02Key::RMac, Scp02Key::Dek, Scp02Key::Enc];
        let all: Vec<Secret> = scp02.iter().map(|k| k.derive(&key, [0, 1]).unwrap()).collect();
        assert!((1..4).all(|i| all[i] != all[0]));
        assert_ne!(Scp02Key::Enc.derive(&key, [0, 2]).unwrap(), all[3]);
        let card = Scp03Cryptogram::Card.compute(&key, &[7; 16]).unwrap();
        assert_ne!(card, Scp03Cryptogram::Host.compute(&key, &[7; 16]).unwrap());
    }

    #[test]
    fn wrong_key_lengths_are_refused() {
        assert!(Scp02Key::Enc.derive(&Secret::new(vec![1; 24]), [0, 0]).is_err());
        assert!(Scp03Key::Enc.derive(&Secret::new(vec![1; 20]), &[0; 16]).is_err());
        assert_eq!(Scp03Key::Enc.derive(&Secret::new(vec![1; 32]), &[0; 16]).unwrap().len(), 32);
    }
}
