//! Static keys of a card's security domain, and how they come from a master key (KMC) and the card's KEYDATA.

use std::fmt;

use crate::crypto::aes::AesKey;
use crate::crypto::mac::cmac_aes;
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// The three static keys of a key set: ENC, MAC and DEK (GPCS 11.8, key identifiers 1 to 3).
pub struct StaticKeys {
    /// Key-ENC.
    pub enc: Secret,
    /// Key-MAC.
    pub mac: Secret,
    /// Key-DEK.
    pub dek: Secret,
}

impl StaticKeys {
    /// One key in all three places, as test cards have it.
    #[must_use]
    pub fn same(key: &Secret) -> Self {
        Self { enc: key.duplicate(), mac: key.duplicate(), dek: key.duplicate() }
    }

    /// The keys of the card with this KEYDATA under a master key.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] when the master key's length is not one of the method's algorithm.
    pub fn derive(master: &Secret, method: Diversification, keydata: &[u8; 10]) -> Result<Self> {
        let key = |n| method.derive(master, keydata, n);
        Ok(Self { enc: key(1)?, mac: key(2)?, dek: key(3)? })
    }

    pub(super) fn all(&self) -> [&Secret; 3] {
        [&self.enc, &self.mac, &self.dek]
    }

    pub(super) fn duplicate(&self) -> Self {
        Self { enc: self.enc.duplicate(), mac: self.mac.duplicate(), dek: self.dek.duplicate() }
    }
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKeys(3 x {} bytes)", self.enc.len())
    }
}

/// How static keys come from a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diversification {
    /// The master key is each of the three keys.
    None,
    /// EMV CPS 1.1: TDES over the six last bytes of KEYDATA.
    Emv,
    /// VISA2: TDES over bytes 1, 2 and 5 to 8 of KEYDATA.
    Visa2,
    /// SP 800-108 counter mode with CMAC over AES, as SCP03 cards use it (KDF3).
    Kdf3,
}

impl Diversification {
    fn derive(self, master: &Secret, keydata: &[u8; 10], number: u8) -> Result<Secret> {
        let [a, b, _, _, e, f, g, h, k, l] = *keydata;
        let seed = match self {
            Self::None => return Ok(master.duplicate()),
            Self::Emv => [e, f, g, h, k, l],
            Self::Visa2 => [a, b, e, f, g, h],
            Self::Kdf3 => {
                let block = |i: u8| cmac_aes(master, &[&[i, 0, 0, 0, number, 0], keydata]);
                let blocks = [block(1)?, block(2)?].concat();
                return Ok(Secret::copy_of(blocks.get(..master.len()).unwrap_or(&blocks)));
            }
        };
        let cipher = TdesKey::new(master)?;
        let half = |mark: u8| {
            let [a, b, c, d, e, f] = seed;
            cipher.encrypt_block([a, b, c, d, e, f, mark, number])
        };
        Ok(Secret::copy_of(&[half(0xF0), half(0x0F)].concat()))
    }
}

/// Key check value: the first three bytes of eight zero bytes under TDES, of sixteen bytes 01 under AES (GPCS B.6).
pub(super) fn check_value(key: &Secret, aes: bool) -> Result<[u8; 3]> {
    let block = if aes {
        AesKey::new(key)?.encrypt_block([1; 16]).to_vec()
    } else {
        TdesKey::new(key)?.encrypt_block([0; 8]).to_vec()
    };
    Ok(*block.first_chunk::<3>().ok_or(ErrorKind::Internal("a cipher block is eight bytes or more"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(hex::decode(text).unwrap())
    }

    /// GlobalPlatformPro's test values: KMC 404142…4F, KEYDATA 00010203040506070809.
    #[test]
    fn published_diversification() {
        let keydata = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        let master = secret("404142434445464748494A4B4C4D4E4F");
        let check = |method, aes, want: [&str; 3], kcv: [&str; 3]| {
            let keys = StaticKeys::derive(&master, method, &keydata).unwrap();
            for ((key, want), kcv) in keys.all().into_iter().zip(want).zip(kcv) {
                assert_eq!(hex::encode_upper(key.expose()), want);
                assert_eq!(hex::encode_upper(check_value(key, aes).unwrap()), kcv);
            }
        };
        let emv = [
            "0EF59FCBF8019B62E62AF6EA20B8BF25",
            "3E383EB6F2762B88155F76BDFED05A02",
            "64021E43C0C7D264A1C7C6D01E1C8761",
        ];
        check(Diversification::Emv, false, emv, ["C33013", "6F4CA6", "BB8179"]);
        let visa2 = [
            "8510FC973208218CA86888BCEC203635",
            "1068B5FB6F06C78C7A4DFC343B21C78F",
            "2DAEE809C71405FF259C3BE695A1F66E",
        ];
        check(Diversification::Visa2, false, visa2, ["2BE598", "58DA38", "3C328E"]);
        let kdf3 = [
            "808BC985A1069AD2A9AC94E0FE7B8843",
            "65942E0BF4F3F32AEFACBA5671456275",
            "6A74F6F6040CCA10D8A3FDC7914FD7CC",
        ];
        check(Diversification::Kdf3, true, kdf3, ["E79C05", "D1BD77", "3FDE8C"]);
    }

    #[test]
    fn published_kdf3_of_256_bits() {
        let master = secret("8C72C72CF908411653018807950D82FBAD947562F0828A0B10B8B9606ABF3BCD");
        let keydata = [0xD9, 0xB1, 0xDE, 0x5D, 0x03, 0x62, 0xDE, 0xDC, 0xE4, 0xFB];
        let keys = StaticKeys::derive(&master, Diversification::Kdf3, &keydata).unwrap();
        assert_eq!(keys.enc, secret("9AAC5D0B3601F89438A0D9D0B6B256CFB47E6462DFA5228D3420C4AC7C224781"));
        assert_eq!(format!("{keys:?}"), "StaticKeys(3 x 32 bytes)");
    }
}
