//! The key at work under its cipher: TDES or AES, as the method that made it says.

use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::mac::{Padding, cmac_aes, retail_mac};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::error::Result;
use emv_dataprep::secret::Secret;

use super::answer::Answer;
use super::card_key::{Reading, Session};
use super::steps;
use crate::failure::Failure;

/// A key that works. It is a key: no Debug.
pub enum Cipher {
    Tdes(Box<TdesKey>),
    Aes(Secret),
}

impl Cipher {
    /// The cipher of a session key.
    pub fn of(session: Session, sk: &Secret) -> Result<Self> {
        Ok(if session.is_aes() { Self::Aes(sk.duplicate()) } else { Self::Tdes(Box::new(TdesKey::new(sk)?)) })
    }

    /// The cipher of a reading, where it gives a key.
    pub fn of_reading(reading: &Reading) -> Option<Self> {
        Self::of(reading.session, &reading.session_key()?).ok()
    }

    /// MAC algorithm 3, or CMAC, which has a padding of its own: the bytes from the left.
    pub fn mac(&self, padding: Padding, data: &[u8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Tdes(key) => retail_mac(key, [0; 8], padding, data).to_vec(),
            Self::Aes(key) => cmac_aes(key, &[data])?.to_vec(),
        })
    }

    /// The same with its steps, padding method 2 under TDES: eight bytes.
    pub fn explain_mac(&self, answer: &mut Answer, data: &[u8], name: &str) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Tdes(key) => {
                steps::mac3(answer, key, Padding::Bit, data, name);
            }
            Self::Aes(key) => steps::cmac_eight(answer, key, data, name)?,
        }
        Ok(self.mac(Padding::Bit, data)?.into_iter().take(8).collect())
    }

    /// One block: of AES the eight bytes with eight zero bytes after them.
    pub fn encipher_eight(&self, block: [u8; 8]) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Tdes(key) => key.encrypt_block(block).to_vec(),
            Self::Aes(key) => {
                let mut whole = [0; 16];
                for (slot, byte) in whole.iter_mut().zip(block) {
                    *slot = byte;
                }
                AesKey::new(key)?.encrypt_block(whole).to_vec()
            }
        })
    }
}
