//! A security module over any key source.

mod card_keys;
mod groups;
mod pins;
#[cfg(test)]
mod tests;
mod transport;
mod values;

use zeroize::Zeroizing;

use super::{
    CardKeys, CardKeysJob, CvvJob, DigitValue, ExportPinJob, HeldPin, ImportPinJob, IvCvc3Job, NaturalPinJob,
    ProtectMode, PvvJob, ReferencePinJob, SecurityModule, TransportKey,
};
use crate::crypto::rng::StreamRng;
use crate::error::Result;
use crate::keys::{KeyAlgorithm, KeyIndex, KeyInfo, KeyRef, KeySource, OdaKeyInfo};
use crate::secret::Secret;

/// [`SecurityModule`] over any [`KeySource`]: each step is one call to the source for each key, whatever the number of
/// cards.
///
/// What a source cannot do without giving out a key is done here: check values and MACs under derived card keys, and
/// values under a transport key made for one block.
#[derive(Debug)]
pub struct KeyModule<S> {
    source: S,
}

impl<S: KeySource> KeyModule<S> {
    /// A module over `source`.
    #[must_use]
    pub const fn new(source: S) -> Self {
        Self { source }
    }

    /// The source below.
    #[must_use]
    pub const fn source(&self) -> &S {
        &self.source
    }
}

impl<S: KeySource> SecurityModule for KeyModule<S> {
    fn source_name(&self) -> &'static str {
        self.source.name()
    }

    fn key_info(&self, key: KeyRef) -> Result<KeyInfo> {
        self.source.info(key)
    }

    fn cvv(&self, jobs: &[CvvJob<'_>]) -> Result<Vec<Result<DigitValue>>> {
        values::cvv(&self.source, jobs)
    }

    fn pvv(&self, jobs: &[PvvJob<'_>]) -> Result<Vec<Result<DigitValue>>> {
        values::pvv(&self.source, jobs)
    }

    fn generate_pin(&self, len: usize, rng: &mut StreamRng) -> Result<HeldPin> {
        super::pin::generate(len, rng).map(HeldPin)
    }

    fn natural_pin(&self, jobs: &[NaturalPinJob<'_>]) -> Result<Vec<Result<HeldPin>>> {
        let pins = pins::natural(&self.source, jobs, |job| *job)?;
        Ok(pins.into_iter().map(|p| p.map(HeldPin)).collect())
    }

    fn pin_offset(&self, jobs: &[(NaturalPinJob<'_>, &HeldPin)]) -> Result<Vec<Result<DigitValue>>> {
        pins::offset(&self.source, jobs)
    }

    fn import_pins(&self, jobs: &[ImportPinJob<'_>]) -> Result<Vec<Result<HeldPin>>> {
        pins::import(&self.source, jobs)
    }

    fn export_pins(&self, jobs: &[ExportPinJob<'_>]) -> Result<Vec<Result<Vec<u8>>>> {
        pins::export(&self.source, jobs)
    }

    fn reference_pins(&self, jobs: &[ReferencePinJob<'_>]) -> Result<Vec<Result<Vec<u8>>>> {
        pins::reference(&self.source, jobs)
    }

    fn card_keys(&self, jobs: &[CardKeysJob<'_>]) -> Result<Vec<Result<CardKeys>>> {
        card_keys::card_keys(&self.source, jobs)
    }

    fn ivcvc3(&self, jobs: &[IvCvc3Job<'_>]) -> Result<Vec<Result<[u8; 2]>>> {
        card_keys::ivcvc3(&self.source, jobs)
    }

    fn static_transport_key(&self, key: KeyRef) -> Result<TransportKey> {
        transport::loaded(&self.source, key)
    }

    fn fresh_transport_key(
        &self,
        wrapping: KeyRef,
        algorithm: KeyAlgorithm,
        rng: &mut StreamRng,
    ) -> Result<TransportKey> {
        transport::fresh(&self.source, wrapping, algorithm, rng)
    }

    fn protect(
        &self,
        transport: &TransportKey,
        mode: ProtectMode,
        values: &[&Secret],
    ) -> Result<Vec<Vec<u8>>> {
        let plain = values.iter().enumerate().map(|(job, value)| transport::Value {
            job,
            transport,
            mode,
            plain: Zeroizing::new(value.expose().to_vec()),
        });
        let mut answers = groups::Answers::new(values.len());
        transport::protect_all(&self.source, plain.collect(), &mut answers)?;
        answers.finish().into_iter().collect()
    }

    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo> {
        self.source.oda_info(index)
    }

    fn sign_certificates(&self, index: KeyIndex, blocks: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.source.rsa_private(index, blocks)
    }
}
