use zeroize::Zeroizing;

use crate::crypto::aes::AesKey;
use crate::crypto::mac::{cmac_aes, cmac_tdes};
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};
use crate::keys::{Kcv, KcvMethod};
use crate::secret::Secret;

/// The block cipher of a key block protection key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockCipher {
    /// TDES: versions A, B and C.
    Tdes,
    /// AES: version D.
    Aes,
}

impl BlockCipher {
    /// Bytes of a block.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Tdes => 8,
            Self::Aes => 16,
        }
    }
}

/// A key block protection key, wherever it is kept: it is asked to encipher, never for its bytes.
///
/// [`Secret`] is the one in memory. A token implements the two required methods with its ECB mechanism. The two keys
/// that protect a block are CMACs under the protection key (X9.143, 7.5 and 7.6), so that they are in the program's
/// memory while a block is opened, wherever the protection key is.
///
/// ```
/// use emv_dataprep::keys::tr31::{BlockCipher, ProtectionKey};
/// use emv_dataprep::secret::Secret;
/// let key: &dyn ProtectionKey = &Secret::new(hex::decode("2B7E151628AED2A6ABF7158809CF4F3C").unwrap());
/// // RFC 4493, example 2.
/// let message = hex::decode("6BC1BEE22E409F96E93D7E117393172A").unwrap();
/// let mac = key.cmac(BlockCipher::Aes, &[&message])?;
/// assert_eq!(hex::encode_upper(mac[0].expose()), "070A16B46B4D4144F79BDD9DD04A287C");
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub trait ProtectionKey {
    /// Bytes of the key: 16, 24 or 32.
    fn key_len(&self) -> usize;

    /// ECB, enciphering, whole blocks in place.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] if the key is not one of this cipher or the data not whole blocks;
    /// [`ErrorKind::KeyUsage`] if it is a key of the other cipher; [`ErrorKind::KeySourceLost`] if its holder does not
    /// answer.
    fn encrypt_ecb(&self, cipher: BlockCipher, blocks: &mut [u8]) -> Result<()>;

    /// CMAC (SP 800-38B) of messages of at most one block: what derivation and check values need. Two calls of
    /// [`ProtectionKey::encrypt_ecb`], however many messages.
    ///
    /// # Errors
    /// As [`ProtectionKey::encrypt_ecb`]; [`ErrorKind::Length`] for a message longer than a block.
    fn cmac(&self, cipher: BlockCipher, messages: &[&[u8]]) -> Result<Vec<Secret>> {
        let len = cipher.block_len();
        let mut root = Zeroizing::new(vec![0_u8; len]);
        self.encrypt_ecb(cipher, &mut root)?;
        let whole = doubled(cipher, &root);
        let filled = doubled(cipher, &whole);
        let mut blocks = Zeroizing::new(Vec::with_capacity(len.saturating_mul(messages.len())));
        for message in messages {
            let room = len.checked_sub(message.len()).ok_or(ErrorKind::Length {
                expected: "at most one block",
                found: message.len(),
                unit: "bytes",
            })?;
            let subkey = if room == 0 { &whole } else { &filled };
            let fill = std::iter::once(0x80).chain(std::iter::repeat(0)).take(room);
            blocks.extend(message.iter().copied().chain(fill).zip(subkey.iter()).map(|(m, k)| m ^ k));
        }
        self.encrypt_ecb(cipher, &mut blocks)?;
        Ok(blocks.chunks(len).map(Secret::copy_of).collect())
    }

    /// Its check value: `tdes` of a TDES key, `aes-cmac` of an AES key, of the usual length.
    ///
    /// # Errors
    /// As [`ProtectionKey::encrypt_ecb`].
    fn kcv(&self, cipher: BlockCipher) -> Result<Kcv> {
        let long = long_kcv(self, cipher)?;
        let len = match cipher {
            BlockCipher::Tdes => KcvMethod::Tdes.usual_len(),
            BlockCipher::Aes => KcvMethod::AesCmac.usual_len(),
        };
        Kcv::new(long.bytes().get(..len).unwrap_or_default())
    }

    /// Whether `stated` is the beginning of its check value. Constant time.
    ///
    /// # Errors
    /// [`ErrorKind::KcvMismatch`] if it is not; as [`ProtectionKey::encrypt_ecb`].
    fn verify_kcv(&self, cipher: BlockCipher, stated: &Kcv) -> Result<()> {
        let right = long_kcv(self, cipher)?.begins_with(stated);
        if right { Ok(()) } else { Err(ErrorKind::KcvMismatch.into()) }
    }

    /// The key with every byte XORed with `letter`: how versions A and C make their keys. A token cannot.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the key does not leave its holder.
    fn variant(&self, letter: u8) -> Result<Secret> {
        let _ = letter;
        Err(ErrorKind::Unsupported("key blocks of versions A and C under this protection key").into())
    }
}

impl ProtectionKey for Secret {
    fn key_len(&self) -> usize {
        self.len()
    }

    fn encrypt_ecb(&self, cipher: BlockCipher, blocks: &mut [u8]) -> Result<()> {
        match cipher {
            BlockCipher::Tdes => TdesKey::new(self)?.encrypt_ecb(blocks),
            BlockCipher::Aes => AesKey::new(self)?.encrypt_ecb(blocks),
        }
    }

    fn cmac(&self, cipher: BlockCipher, messages: &[&[u8]]) -> Result<Vec<Secret>> {
        let one = |message: &&[u8]| match cipher {
            BlockCipher::Tdes => Ok(Secret::copy_of(Zeroizing::new(cmac_tdes(self, &[message])?).as_slice())),
            BlockCipher::Aes => Ok(Secret::copy_of(Zeroizing::new(cmac_aes(self, &[message])?).as_slice())),
        };
        messages.iter().map(one).collect()
    }

    fn variant(&self, letter: u8) -> Result<Secret> {
        Secret::filled(self.len(), |out| {
            out.iter_mut().zip(self.expose()).for_each(|(o, k)| *o = k ^ letter);
            Ok(())
        })
    }
}

impl<P: ProtectionKey + ?Sized> ProtectionKey for Box<P> {
    fn key_len(&self) -> usize {
        (**self).key_len()
    }

    fn encrypt_ecb(&self, cipher: BlockCipher, blocks: &mut [u8]) -> Result<()> {
        (**self).encrypt_ecb(cipher, blocks)
    }

    fn cmac(&self, cipher: BlockCipher, messages: &[&[u8]]) -> Result<Vec<Secret>> {
        (**self).cmac(cipher, messages)
    }

    fn variant(&self, letter: u8) -> Result<Secret> {
        (**self).variant(letter)
    }
}

fn long_kcv<P: ProtectionKey + ?Sized>(key: &P, cipher: BlockCipher) -> Result<Kcv> {
    match cipher {
        BlockCipher::Tdes => {
            let mut block = [0; 8];
            key.encrypt_ecb(cipher, &mut block)?;
            Kcv::new(&block)
        }
        BlockCipher::Aes => {
            let mac = key.cmac(cipher, &[&[0; 16]])?;
            Kcv::new(mac.first().map(Secret::expose).unwrap_or_default())
        }
    }
}

/// A block times two in GF(2^64) or GF(2^128) (SP 800-38B, 6.1), without a branch on its bits.
fn doubled(cipher: BlockCipher, block: &[u8]) -> Zeroizing<Vec<u8>> {
    let reduction: u8 = match cipher {
        BlockCipher::Tdes => 0x1B,
        BlockCipher::Aes => 0x87,
    };
    let mut out = Zeroizing::new(vec![0; block.len()]);
    let mut carry = 0;
    for (o, b) in out.iter_mut().zip(block).rev() {
        *o = (b << 1) | carry;
        carry = b >> 7;
    }
    if let Some(last) = out.last_mut() {
        *last ^= reduction & 0_u8.wrapping_sub(carry);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A holder that enciphers and does nothing else, as a token.
    struct Token(Secret);

    impl ProtectionKey for Token {
        fn key_len(&self) -> usize {
            self.0.key_len()
        }

        fn encrypt_ecb(&self, cipher: BlockCipher, blocks: &mut [u8]) -> Result<()> {
            self.0.encrypt_ecb(cipher, blocks)
        }
    }

    proptest! {
        #[test]
        fn what_a_token_computes_is_what_memory_computes(
            key: [u8; 24], message in proptest::collection::vec(any::<u8>(), 0..=16)
        ) {
            let memory = Secret::copy_of(&key);
            let token = Token(memory.duplicate());
            let messages: [&[u8]; 3] = [&message, b"", &[7; 8]];
            prop_assert_eq!(token.cmac(BlockCipher::Aes, &messages), memory.cmac(BlockCipher::Aes, &messages));
            let messages: [&[u8]; 3] = [message.get(..8).unwrap_or(&message), b"", &[7; 8]];
            prop_assert_eq!(token.cmac(BlockCipher::Tdes, &messages), memory.cmac(BlockCipher::Tdes, &messages));
        }
    }

    #[test]
    fn a_token_opens_blocks_of_versions_b_and_d_only() {
        use crate::crypto::rng::{Purpose, Seed};
        use crate::keys::tr31::{Header, Version, unwrap, wrap};
        use crate::keys::{KeyAlgorithm, KeyUse};
        let token = Token(Secret::copy_of(&[0x5E; 24]));
        let key = Secret::copy_of(&[0x31; 16]);
        for version in [Version::A, Version::B, Version::C, Version::D] {
            let header = Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, version);
            let mut rng = Seed::fixed([7; 32]).named_stream(b"token", Purpose::TestIssuer).rng();
            let block = wrap(&token.0, &header, &key, &mut rng).unwrap();
            let opened = unwrap(&token, &block);
            if matches!(version, Version::B | Version::D) {
                assert_eq!(opened.unwrap(), (header, key.duplicate()));
            } else {
                assert!(matches!(opened.unwrap_err().kind(), ErrorKind::Unsupported(_)));
            }
        }
    }

    #[test]
    fn check_values_are_those_of_the_same_key_in_memory() {
        use crate::keys::KeyAlgorithm;
        let memory = Secret::copy_of(&[0x5E; 24]);
        let token: Box<dyn ProtectionKey> = Box::new(Token(memory.duplicate()));
        for (cipher, method, algorithm) in [
            (BlockCipher::Tdes, KcvMethod::Tdes, KeyAlgorithm::Tdes3),
            (BlockCipher::Aes, KcvMethod::AesCmac, KeyAlgorithm::Aes192),
        ] {
            let kcv = method.compute(&memory, algorithm).unwrap();
            assert_eq!(token.kcv(cipher).unwrap(), kcv);
            assert_eq!(memory.kcv(cipher).unwrap(), kcv);
            token.verify_kcv(cipher, &kcv).unwrap();
            let other = "0102030405".parse().unwrap();
            assert_eq!(token.verify_kcv(cipher, &other).unwrap_err().kind(), &ErrorKind::KcvMismatch);
        }
    }

    #[test]
    fn a_message_longer_than_a_block_is_refused_by_a_token() {
        let token = Token(Secret::copy_of(&[1; 16]));
        assert!(token.cmac(BlockCipher::Tdes, &[&[0; 9]]).is_err());
        assert!(token.cmac(BlockCipher::Aes, &[&[0; 17]]).is_err());
    }
}
