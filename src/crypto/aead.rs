//! Authenticated encryption: AES-256 in Galois/Counter Mode (SP 800-38D), for this program's own sealed files.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};

use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// Bytes of the key.
pub const KEY: usize = 32;
/// Bytes of the IV (SP 800-38D, 8.2).
pub const IV: usize = 12;
/// Bytes of the authentication tag.
pub const TAG: usize = 16;

/// Ciphertext and tag of `plaintext`; `header` is authenticated with it. One key and IV meet one plaintext: the
/// caller sees to it.
///
/// ```
/// use emv_dataprep::crypto::aead;
/// use emv_dataprep::secret::Secret;
/// let key = Secret::copy_of(&[1; 32]);
/// let sealed = aead::seal(&key, [2; 12], b"header", b"data")?;
/// assert_eq!(aead::open(&key, [2; 12], b"header", &sealed)?.expose(), b"data");
/// assert!(aead::open(&key, [2; 12], b"Header", &sealed).is_err());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Length`] unless the key has 32 bytes; [`ErrorKind::Value`] for a plaintext above 64 GiB.
pub fn seal(key: &Secret, iv: [u8; IV], header: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::with_capacity(plaintext.len().saturating_add(TAG));
    data.extend_from_slice(plaintext);
    let sealed = cipher(key)?.encrypt_inout_detached(&Nonce::from(iv), header, InOutBuf::from(&mut *data));
    let tag = sealed.map_err(|_| ErrorKind::Value("the plaintext is too long for one key and IV"))?;
    data.extend_from_slice(&tag);
    Ok(data)
}

/// The plaintext of what [`seal`] made.
///
/// # Errors
/// [`ErrorKind::Crypto`] when a byte of it or of `header` was changed, or for another key or IV;
/// [`ErrorKind::Length`] unless the key has 32 bytes.
pub fn open(key: &Secret, iv: [u8; IV], header: &[u8], sealed: &[u8]) -> Result<Secret> {
    let refused = || ErrorKind::Crypto("the sealed data does not open");
    let at = sealed.len().checked_sub(TAG).ok_or_else(refused)?;
    let (data, tag) = sealed.split_at_checked(at).ok_or_else(refused)?;
    let tag = <[u8; TAG]>::try_from(tag).map_err(|_| refused())?;
    let cipher = cipher(key)?;
    Secret::filled(data.len(), |out| {
        out.copy_from_slice(data);
        cipher.decrypt_inout_detached(&Nonce::from(iv), header, InOutBuf::from(out), &Tag::from(tag))
    })
    .map_err(|_| refused().into())
}

fn cipher(key: &Secret) -> Result<Aes256Gcm> {
    let wrong = ErrorKind::Length { expected: "32", found: key.len(), unit: "bytes" };
    Aes256Gcm::new_from_slice(key.expose()).map_err(|_| wrong.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The GCM specification (McGrew and Viega), test case 16: 256-bit key, 96-bit IV, additional data.
    #[test]
    fn gcm_test_case_16() {
        let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
        let key = Secret::new(hex::decode(key).unwrap());
        let iv = hex::decode("cafebabefacedbaddecaf888").unwrap().try_into().unwrap();
        let header = hex::decode("feedfacedeadbeeffeedfacedeadbeefabaddad2").unwrap();
        let plain = hex::decode(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        ))
        .unwrap();
        let sealed = seal(&key, iv, &header, &plain).unwrap();
        let expected = concat!(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b"
        );
        assert_eq!(hex::encode(&sealed), expected);
        assert_eq!(open(&key, iv, &header, &sealed).unwrap().expose(), plain);
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let key = Secret::copy_of(&[3; 32]);
        let sealed = seal(&key, [4; 12], b"head", b"some data").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, [4; 12], b"head", &changed).is_err(), "byte {at}");
        }
        assert!(open(&key, [5; 12], b"head", &sealed).is_err());
        assert!(open(&key, [4; 12], b"head", &sealed[..TAG - 1]).is_err());
        assert!(seal(&Secret::copy_of(&[3; 16]), [4; 12], b"", b"").is_err());
    }
}
