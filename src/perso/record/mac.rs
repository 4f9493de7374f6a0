use super::settings::MacSpan;
use crate::crypto::mac::{Padding, equal, retail_mac};
use crate::crypto::rng::StreamRng;
use crate::crypto::tdes::{TdesKey, adjust_parity};
use crate::error::{ErrorKind, Result};
use crate::issuer::{ProtectMode, SecurityModule, TransportKey};
use crate::secret::Secret;

/// Bytes of the MAC key.
pub(super) const KEY_LEN: usize = 16;

/// What 3d holds: the MAC key under the transport key, and MACINP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMac {
    /// The MAC key under the transport key.
    pub enciphered_key: [u8; KEY_LEN],
    /// MACINP: MAC algorithm 3 of ISO/IEC 9797-1 with padding method 2 over the span that is agreed.
    pub mac: [u8; 8],
}

/// The MAC key of one record, in clear and under the transport key.
#[derive(Debug)]
pub struct RecordMacKey {
    key: Secret,
    enciphered: [u8; KEY_LEN],
}

impl RecordMacKey {
    /// A fresh key, drawn from `rng` and enciphered by the security module.
    ///
    /// # Errors
    /// Those of [`SecurityModule::protect`].
    pub fn fresh(
        module: &dyn SecurityModule,
        transport: &TransportKey,
        mode: ProtectMode,
        rng: &mut StreamRng,
    ) -> Result<Self> {
        let key = Secret::filled(KEY_LEN, |out| {
            rng.fill(out);
            adjust_parity(out);
            Ok::<_, crate::error::Error>(())
        })?;
        let cryptograms = module.protect(transport, mode, &[&key])?;
        let enciphered = cryptograms.first().and_then(|c| c.as_slice().try_into().ok());
        let enciphered = enciphered.ok_or(ErrorKind::Internal("the MAC key under the transport key"))?;
        Ok(Self { key, enciphered })
    }

    /// A key that is known on both sides.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] unless the key has 16 bytes.
    pub fn known(key: Secret, enciphered: [u8; KEY_LEN]) -> Result<Self> {
        if key.len() != KEY_LEN {
            return Err(ErrorKind::Length { expected: "16", found: key.len(), unit: "bytes" }.into());
        }
        Ok(Self { key, enciphered })
    }

    /// 3d over the bytes of its span.
    pub(super) fn mac(&self, span: &[u8]) -> Result<RecordMac> {
        Ok(RecordMac { enciphered_key: self.enciphered, mac: compute(&self.key, span)? })
    }
}

fn compute(key: &Secret, span: &[u8]) -> Result<[u8; 8]> {
    Ok(retail_mac(&TdesKey::new(key)?, [0; 8], Padding::Bit, span))
}

impl super::RecordApplication {
    /// Whether the MAC is right, for the holder of the MAC key.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] without a MAC, [`ErrorKind::Crypto`] for a wrong one, [`ErrorKind::Length`] for a key of
    /// another length than 16 bytes.
    pub fn check_mac(&self, key: &Secret, span: MacSpan, settings: &super::CpsSettings) -> Result<()> {
        let mac = self.mac.as_ref().ok_or(ErrorKind::Missing("the record MAC"))?;
        if key.len() != KEY_LEN {
            return Err(ErrorKind::Length { expected: "16", found: key.len(), unit: "bytes" }.into());
        }
        if !equal(&compute(key, &self.mac_input(span, settings)?)?, &mac.mac) {
            return Err(ErrorKind::Crypto("the record MAC is wrong").into());
        }
        Ok(())
    }
}
