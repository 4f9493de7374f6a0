//! The secure channel's keys in the keeping of a key source: SCP02 and SCP03 sessions that work without giving out a byte
//! of a key, and the way of a secret value from the transport key to the chip's data encipherment key.

mod software;

use std::fmt;

use super::{Diversification, KeyIndex, KeyRef};
use crate::error::Result;
use crate::secret::Secret;

pub(super) use software::{ClearCardKeys, ClearTransport, open};

/// Where a chip's card-manager keys (Key-ENC, Key-MAC, Key-DEK) come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CardKeys {
    /// All chips have the same keys: `card-enc`, `card-mac` and `card-dek` of this index.
    Static {
        /// Their index.
        index: KeyIndex,
    },
    /// Each chip has its own, from the master key `kmc` of this index and the chip's KEYDATA.
    Master {
        /// The master key's index.
        index: KeyIndex,
        /// How they derive.
        diversification: Diversification,
    },
}

/// Whether a chip that speaks SCP02 has three base keys, or one for all (GPCS E.1.1, bit 1 of option `i`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BaseKeys {
    /// One: the key that is named Key-ENC serves for all.
    One,
    /// Three.
    Three,
}

/// What the session keys derive from, beside the static keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecureChannel {
    /// SCP02 (GPCS Appendix E.4.1; CPS 1.1, 5.3): TDES.
    Scp02 {
        /// Sequence counter.
        sequence: [u8; 2],
        /// Base keys of the chip.
        base_keys: BaseKeys,
    },
    /// SCP03 (GPCS Amendment D, 6.2.1): AES.
    Scp03 {
        /// Host challenge ‖ card challenge, 16 or 32 bytes.
        context: Vec<u8>,
    },
}

/// How values stand under the transport key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CipherMode {
    /// Each block on its own.
    Ecb,
    /// CBC, all-zero IV.
    Cbc,
}

/// The transport key under which the secret values of a card come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportName {
    /// The key, of use `transport`.
    pub key: KeyRef,
    /// A key made for one block of cards: its X9.143 key block, wrapped under [`TransportName::key`].
    pub wrapped: Option<String>,
    /// How values stand under it.
    pub mode: CipherMode,
    /// Key check value that the prepared card states (upper-case hexadecimal): another key is refused.
    pub kcv: Option<String>,
}

/// A request for the session keys of one channel with one chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSessionRequest {
    /// Where the chip's static keys come from.
    pub keys: CardKeys,
    /// KEYDATA as INITIALIZE UPDATE gives it.
    pub key_data: [u8; 10],
    /// What the session keys derive from.
    pub channel: SecureChannel,
    /// The key that secret values come under; without it [`CardSession::recipher`] is refused.
    pub transport: Option<TransportName>,
    /// The chip's next keys, for PUT KEY.
    pub new_keys: Option<CardKeys>,
}

/// What happens to a value that is not whole blocks of the chip's cipher (from TDES to AES: 8 bytes to 16).
///
/// The value is padded for the transport key's blocks already; each application says which filling it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refill {
    /// It is refused.
    Refuse,
    /// Zero bytes follow: right for a value that ends in padding method 2, as its last bytes are 80 00 … then too.
    Zeros,
    /// 80 and zero bytes follow (ISO/IEC 9797-1, method 2).
    Bit,
    /// These bytes follow, as many as are needed: random ones for a PIN block (CPS 2.0, Annex A, DGI 8010).
    Bytes(Vec<u8>),
}

/// A new card-manager key under the chip's data encipherment key: one field of PUT KEY (GPCS 11.8.2.3).
#[derive(Clone, PartialEq, Eq)]
pub struct EncipheredKey {
    /// Key type: 80 DES, 88 AES.
    pub key_type: u8,
    /// Length of the key in clear, bytes.
    pub key_len: u8,
    /// The key under the data encipherment key.
    pub cryptogram: Vec<u8>,
    /// Key check value of three bytes: DES over zero bytes, AES over bytes 01 (GPCS B.5, B.6).
    pub kcv: [u8; 3],
}

impl fmt::Debug for EncipheredKey {
    /// Type and check value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kcv = crate::bytes::hex_upper(&self.kcv);
        write!(f, "EncipheredKey({:02X}, {} bytes, {kcv})", self.key_type, self.key_len)
    }
}

/// The session keys of one secure channel, inside a key source.
///
/// Each method does one step of SCP02 or SCP03, whichever the request named. No method gives out a key; the only clear
/// text that ever leaves is that of responses under S-ENC ([`CardSession::decrypt`]).
pub trait CardSession: Send + Sync + fmt::Debug {
    /// The card's or the host's authentication cryptogram. SCP02: CBC-MAC of `data` under S-ENC, eight bytes. SCP03: derived
    /// from `data` under S-MAC, `len` bytes.
    fn cryptogram(&self, of: super::Scp03Cryptogram, data: &[u8], len: usize) -> Result<Vec<u8>>;

    /// The card challenge of a chip that makes it without a random generator. SCP02: of the AID, six bytes. SCP03: of
    /// sequence counter ‖ AID, `len` bytes.
    fn card_challenge(&self, data: &[u8], len: usize) -> Result<Vec<u8>>;

    /// C-MAC of a command: SCP02 eight bytes from an ICV of eight, SCP03 all sixteen from the MAC chaining value.
    fn command_mac(&self, chain: &[u8], data: &[u8]) -> Result<Vec<u8>>;

    /// R-MAC of a response, as [`CardSession::command_mac`].
    fn response_mac(&self, chain: &[u8], data: &[u8]) -> Result<Vec<u8>>;

    /// The next ICV: SCP02 single DES of the last C-MAC with the left half of S-MAC; SCP03 AES of the counter block with
    /// S-ENC.
    fn encrypt_icv(&self, block: &[u8]) -> Result<Vec<u8>>;

    /// CBC under S-ENC, enciphering, whole blocks in place.
    fn encrypt(&self, icv: &[u8], data: &mut [u8]) -> Result<()>;

    /// CBC under S-ENC, deciphering, whole blocks in place (R-ENCRYPTION, SCP03 only).
    fn decrypt(&self, icv: &[u8], data: &mut [u8]) -> Result<()>;

    /// A secret value from the transport key to the chip's data encipherment key: SCP02 TDES ECB under the session DEK,
    /// SCP03 AES CBC with an all-zero IV under the static Key-DEK.
    fn recipher(&self, value: &[u8], refill: &Refill) -> Result<Vec<u8>>;

    /// The chip's next keys ENC, MAC and DEK for PUT KEY.
    fn new_keys(&self) -> Result<Vec<EncipheredKey>>;
}

/// The static keys of one chip.
pub(super) struct StaticKeys {
    pub(super) enc: Secret,
    pub(super) mac: Secret,
    pub(super) dek: Secret,
}
