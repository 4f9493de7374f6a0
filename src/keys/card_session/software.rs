//! Session keys in the memory of this program.

use std::fmt;

use zeroize::Zeroizing;

use super::{BaseKeys, CardSession, CipherMode, EncipheredKey, Refill, SecureChannel, StaticKeys};
use crate::crypto::aes::AesKey;
use crate::crypto::mac::{Padding, cmac_aes, retail_mac, tdes_cbc_mac};
use crate::crypto::tdes::TdesKey;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::session::scp03_kdf;
use crate::keys::{
    ChannelKey, Diversification, KcvMethod, KeyAlgorithm, Scp02Key, Scp03Cryptogram, Scp03Key,
};
use crate::secret::Secret;

/// Static keys, or a master key that they derive from, out of the ring.
pub(in crate::keys) enum ClearCardKeys<'a> {
    Static { enc: &'a Secret, mac: &'a Secret, dek: &'a Secret, algorithm: KeyAlgorithm },
    Master { key: &'a Secret, algorithm: KeyAlgorithm, diversification: Diversification },
}

impl ClearCardKeys<'_> {
    const fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Static { algorithm, .. } | Self::Master { algorithm, .. } => *algorithm,
        }
    }

    fn of_chip(&self, key_data: &[u8]) -> Result<StaticKeys> {
        match self {
            Self::Static { enc, mac, dek, .. } => {
                Ok(StaticKeys { enc: enc.duplicate(), mac: mac.duplicate(), dek: dek.duplicate() })
            }
            Self::Master { key, algorithm, diversification } => {
                if (*diversification == Diversification::Kdf3) == algorithm.is_tdes() {
                    return Err(ErrorKind::Value("the diversification is for another algorithm").into());
                }
                let derive = |of| diversification.derive(key, key_data, of);
                Ok(StaticKeys {
                    enc: derive(ChannelKey::Enc)?,
                    mac: derive(ChannelKey::Mac)?,
                    dek: derive(ChannelKey::Dek)?,
                })
            }
        }
    }
}

/// The transport key out of the ring, or out of its key block.
pub(in crate::keys) struct ClearTransport {
    pub(in crate::keys) key: Secret,
    pub(in crate::keys) algorithm: KeyAlgorithm,
    pub(in crate::keys) mode: CipherMode,
}

enum Cipher {
    Tdes(TdesKey),
    Aes(AesKey),
}

impl Cipher {
    fn new(algorithm: KeyAlgorithm, key: &Secret) -> Result<Self> {
        if algorithm.is_tdes() { TdesKey::new(key).map(Self::Tdes) } else { AesKey::new(key).map(Self::Aes) }
    }

    fn decrypt(&self, mode: CipherMode, data: &mut [u8]) -> Result<()> {
        match (self, mode) {
            (Self::Tdes(k), CipherMode::Ecb) => k.decrypt_ecb(data),
            (Self::Tdes(k), CipherMode::Cbc) => k.decrypt_cbc([0; 8], data),
            (Self::Aes(k), CipherMode::Ecb) => k.decrypt_ecb(data),
            (Self::Aes(k), CipherMode::Cbc) => k.decrypt_cbc([0; 16], data),
        }
    }
}

/// Session keys of one channel.
struct SoftwareSession {
    keys: SessionKeys,
    transport: Option<(Cipher, CipherMode)>,
    new_keys: Option<Vec<EncipheredKey>>,
}

enum SessionKeys {
    Scp02 { enc: Box<TdesKey>, mac: Box<TdesKey>, rmac: Box<TdesKey>, dek: Box<TdesKey> },
    Scp03 { static_enc: Secret, enc: Box<AesKey>, mac: Secret, rmac: Secret, dek: Box<AesKey> },
}

/// Derives the session keys of one channel.
///
/// # Errors
/// [`ErrorKind::KeyUsage`] for keys of another algorithm than the protocol's; [`ErrorKind::Length`] for a context or a key
/// that the protocol does not have.
pub(in crate::keys) fn open(
    keys: &ClearCardKeys<'_>,
    key_data: &[u8; 10],
    channel: &SecureChannel,
    transport: Option<ClearTransport>,
    new_keys: Option<&ClearCardKeys<'_>>,
) -> Result<Box<dyn CardSession>> {
    let of_chip = keys.of_chip(key_data)?;
    let session = match channel {
        SecureChannel::Scp02 { sequence, base_keys } => {
            if keys.algorithm() != KeyAlgorithm::Tdes2 {
                return Err(ErrorKind::KeyUsage.into());
            }
            let (mac, dek) = match base_keys {
                BaseKeys::One => (&of_chip.enc, &of_chip.enc),
                BaseKeys::Three => (&of_chip.mac, &of_chip.dek),
            };
            let derive =
                |of: Scp02Key, from: &Secret| TdesKey::new(&of.derive(from, *sequence)?).map(Box::new);
            SessionKeys::Scp02 {
                enc: derive(Scp02Key::Enc, &of_chip.enc)?,
                mac: derive(Scp02Key::CMac, mac)?,
                rmac: derive(Scp02Key::RMac, mac)?,
                dek: derive(Scp02Key::Dek, dek)?,
            }
        }
        SecureChannel::Scp03 { context } => {
            if keys.algorithm().is_tdes() || keys.algorithm() == KeyAlgorithm::Hmac {
                return Err(ErrorKind::KeyUsage.into());
            }
            if !matches!(context.len(), 16 | 32) {
                return Err(
                    ErrorKind::Length { expected: "16 or 32", found: context.len(), unit: "bytes" }.into()
                );
            }
            SessionKeys::Scp03 {
                enc: Box::new(AesKey::new(&Scp03Key::Enc.derive(&of_chip.enc, context)?)?),
                mac: Scp03Key::Mac.derive(&of_chip.mac, context)?,
                rmac: Scp03Key::RMac.derive(&of_chip.mac, context)?,
                dek: Box::new(AesKey::new(&of_chip.dek)?),
                static_enc: of_chip.enc,
            }
        }
    };
    let transport = match transport {
        Some(t) => Some((Cipher::new(t.algorithm, &t.key)?, t.mode)),
        None => None,
    };
    let new_keys = match new_keys {
        Some(new) => Some(enciphered(&session, &new.of_chip(key_data)?, new.algorithm())?),
        None => None,
    };
    Ok(Box::new(SoftwareSession { keys: session, transport, new_keys }))
}

fn enciphered(
    session: &SessionKeys,
    new: &StaticKeys,
    algorithm: KeyAlgorithm,
) -> Result<Vec<EncipheredKey>> {
    let one = |key: &Secret| {
        let of_session = matches!(session, SessionKeys::Scp02 { .. });
        if algorithm.is_tdes() != of_session {
            return Err(Error::from(ErrorKind::Unsupported(
                "new keys of another algorithm than the channel's",
            )));
        }
        let method = if algorithm.is_tdes() { KcvMethod::Tdes } else { KcvMethod::AesGp };
        let kcv = method.of_bytes(key)?;
        let kcv =
            kcv.bytes().first_chunk::<3>().copied().ok_or(ErrorKind::Internal("a short check value"))?;
        let key_len = u8::try_from(key.len()).map_err(|_| ErrorKind::Internal("a long key"))?;
        let value = refilled(key.expose(), session.block_len(), &Refill::Zeros)?;
        Ok(EncipheredKey {
            key_type: if algorithm.is_tdes() { 0x80 } else { 0x88 },
            key_len,
            cryptogram: session.under_dek(value)?,
            kcv,
        })
    };
    Ok(vec![one(&new.enc)?, one(&new.mac)?, one(&new.dek)?])
}

/// `value`, made whole blocks by the rule.
fn refilled(value: &[u8], block: usize, refill: &Refill) -> Result<Zeroizing<Vec<u8>>> {
    let whole = value.len().next_multiple_of(block);
    let missing = whole.saturating_sub(value.len());
    let mut out = Zeroizing::new(Vec::with_capacity(whole));
    out.extend_from_slice(value);
    match refill {
        _ if missing == 0 => {}
        Refill::Refuse => {
            let expected = "whole blocks of the chip's cipher";
            return Err(ErrorKind::Length { expected, found: value.len(), unit: "bytes" }.into());
        }
        Refill::Zeros => out.resize(whole, 0),
        Refill::Bit => {
            out.push(0x80);
            out.resize(whole, 0);
        }
        Refill::Bytes(bytes) => {
            out.extend_from_slice(
                bytes.get(..missing).ok_or(ErrorKind::Missing("filling for a secret value"))?,
            );
        }
    }
    Ok(out)
}

impl SessionKeys {
    const fn block_len(&self) -> usize {
        match self {
            Self::Scp02 { .. } => 8,
            Self::Scp03 { .. } => 16,
        }
    }

    /// A value in clear, whole blocks, under the chip's data encipherment key.
    fn under_dek(&self, mut value: Zeroizing<Vec<u8>>) -> Result<Vec<u8>> {
        match self {
            Self::Scp02 { dek, .. } => dek.encrypt_ecb(&mut value)?,
            Self::Scp03 { dek, .. } => dek.encrypt_cbc([0; 16], &mut value)?,
        }
        Ok(std::mem::take(&mut *value))
    }
}

impl CardSession for SoftwareSession {
    fn cryptogram(&self, of: Scp03Cryptogram, data: &[u8], len: usize) -> Result<Vec<u8>> {
        match &self.keys {
            SessionKeys::Scp02 { enc, .. } => Ok(tdes_cbc_mac(enc, [0; 8], Padding::Bit, data).to_vec()),
            SessionKeys::Scp03 { mac, .. } => Ok(scp03_kdf(mac, of.constant(), data, len)?.expose().to_vec()),
        }
    }

    fn card_challenge(&self, data: &[u8], len: usize) -> Result<Vec<u8>> {
        match &self.keys {
            SessionKeys::Scp02 { mac, .. } => {
                let mac = retail_mac(mac, [0; 8], Padding::Bit, data);
                Ok(mac.get(..6).unwrap_or_default().to_vec())
            }
            SessionKeys::Scp03 { static_enc, .. } => {
                Ok(scp03_kdf(static_enc, 0x02, data, len)?.expose().to_vec())
            }
        }
    }

    fn command_mac(&self, chain: &[u8], data: &[u8]) -> Result<Vec<u8>> {
        match &self.keys {
            SessionKeys::Scp02 { mac, .. } => Ok(retail_mac(mac, fixed(chain)?, Padding::Bit, data).to_vec()),
            SessionKeys::Scp03 { mac, .. } => Ok(cmac_aes(mac, &[chain, data])?.to_vec()),
        }
    }

    fn response_mac(&self, chain: &[u8], data: &[u8]) -> Result<Vec<u8>> {
        match &self.keys {
            SessionKeys::Scp02 { rmac, .. } => {
                Ok(retail_mac(rmac, fixed(chain)?, Padding::Bit, data).to_vec())
            }
            SessionKeys::Scp03 { rmac, .. } => Ok(cmac_aes(rmac, &[chain, data])?.to_vec()),
        }
    }

    fn encrypt_icv(&self, block: &[u8]) -> Result<Vec<u8>> {
        match &self.keys {
            SessionKeys::Scp02 { mac, .. } => Ok(mac.left_encrypt(fixed(block)?).to_vec()),
            SessionKeys::Scp03 { enc, .. } => Ok(enc.encrypt_block(fixed(block)?).to_vec()),
        }
    }

    fn encrypt(&self, icv: &[u8], data: &mut [u8]) -> Result<()> {
        match &self.keys {
            SessionKeys::Scp02 { enc, .. } => enc.encrypt_cbc(fixed(icv)?, data),
            SessionKeys::Scp03 { enc, .. } => enc.encrypt_cbc(fixed(icv)?, data),
        }
    }

    fn decrypt(&self, icv: &[u8], data: &mut [u8]) -> Result<()> {
        match &self.keys {
            SessionKeys::Scp02 { .. } => Err(ErrorKind::Unsupported("response encryption by SCP02").into()),
            SessionKeys::Scp03 { enc, .. } => enc.decrypt_cbc(fixed(icv)?, data),
        }
    }

    fn recipher(&self, value: &[u8], refill: &Refill) -> Result<Vec<u8>> {
        let (cipher, mode) = self.transport.as_ref().ok_or(ErrorKind::Missing("the transport key"))?;
        if value.is_empty() {
            return Err(ErrorKind::Missing("the secret value").into());
        }
        let mut plain = Zeroizing::new(value.to_vec());
        cipher.decrypt(*mode, &mut plain)?;
        self.keys.under_dek(refilled(&plain, self.keys.block_len(), refill)?)
    }

    fn new_keys(&self) -> Result<Vec<EncipheredKey>> {
        self.new_keys.clone().ok_or_else(|| ErrorKind::Missing("new keys").into())
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| ErrorKind::Internal("a chaining value of another length").into())
}

impl fmt::Debug for SoftwareSession {
    /// The protocol alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.keys {
            SessionKeys::Scp02 { .. } => "SoftwareSession(SCP02)",
            SessionKeys::Scp03 { .. } => "SoftwareSession(SCP03)",
        })
    }
}
