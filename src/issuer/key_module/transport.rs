//! Transport keys, and values under them.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::groups::{Answers, Resolver};
use crate::crypto::aes::AesKey;
use crate::crypto::rng::StreamRng;
use crate::crypto::tdes::{TdesKey, adjust_parity, has_weak_part};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::module::TransportKeyKind;
use crate::issuer::{ProtectMode, TransportKey, TransportKeyInfo};
use crate::keys::{KcvMethod, KeyAlgorithm, KeyRef, KeySource, KeyUse};
use crate::secret::Secret;

/// A value in clear, to be enciphered where it lies.
pub(super) type Plain = Zeroizing<Vec<u8>>;

/// One value of a batch.
pub(super) struct Value<'a> {
    pub(super) job: usize,
    pub(super) transport: &'a TransportKey,
    pub(super) mode: ProtectMode,
    pub(super) plain: Plain,
}

/// What one call can encipher together: a loaded key and mode, or one key made for a block (told apart by place).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Under {
    Loaded(KeyRef, bool),
    Own(usize, bool),
}

/// Enciphers every value: one call to the source for each loaded key and mode.
///
/// # Errors
/// Only an error that stops the batch.
pub(super) fn protect_all<S: KeySource>(
    source: &S,
    values: Vec<Value<'_>>,
    answers: &mut Answers<Vec<u8>>,
) -> Result<()> {
    let mut groups: BTreeMap<Under, Vec<Value<'_>>> = BTreeMap::new();
    for value in values {
        let block = value.transport.info().algorithm.block_len();
        if !value.plain.len().is_multiple_of(block) {
            answers.put(value.job, Err(not_whole_blocks(value.plain.len())));
            continue;
        }
        let cbc = value.mode == ProtectMode::Cbc;
        let under = match &value.transport.key {
            TransportKeyKind::Static(key) => Under::Loaded(*key, cbc),
            TransportKeyKind::PerBlock(_) => Under::Own(std::ptr::from_ref(value.transport).addr(), cbc),
        };
        groups.entry(under).or_default().push(value);
    }
    for members in groups.into_values() {
        let Some(first) = members.first() else { continue };
        let (transport, mode) = (first.transport, first.mode);
        let (jobs, plains): (Vec<usize>, Vec<Plain>) = members.into_iter().map(|v| (v.job, v.plain)).unzip();
        let outcome = protect_group(source, transport, mode, plains).at("transport key");
        answers.settle(jobs, outcome.map(|done| done.into_iter().map(Ok).collect()))?;
    }
    Ok(())
}

fn not_whole_blocks(found: usize) -> Error {
    ErrorKind::Length { expected: "whole blocks of the transport key", found, unit: "bytes" }.into()
}

/// Values of one key and mode.
fn protect_group<S: KeySource>(
    source: &S,
    transport: &TransportKey,
    mode: ProtectMode,
    mut plains: Vec<Plain>,
) -> Result<Vec<Vec<u8>>> {
    match (&transport.key, mode) {
        (TransportKeyKind::Static(key), ProtectMode::Ecb) => {
            let total = plains.iter().map(|p| p.len()).sum();
            let mut data = Zeroizing::new(Vec::with_capacity(total));
            plains.iter().for_each(|p| data.extend_from_slice(p));
            source.encrypt_ecb(*key, &mut data)?;
            let mut rest = data.as_slice();
            let mut out = Vec::with_capacity(plains.len());
            for plain in &plains {
                let cut = rest.split_at_checked(plain.len());
                let (head, tail) = cut.ok_or(ErrorKind::Internal("the source changed a length"))?;
                out.push(head.to_vec());
                rest = tail;
            }
            Ok(out)
        }
        (TransportKeyKind::Static(key), ProtectMode::Cbc) => {
            let mut messages: Zeroizing<Vec<Vec<u8>>> =
                Zeroizing::new(plains.iter_mut().map(|p| std::mem::take(&mut **p)).collect());
            source.encrypt_cbc(*key, &mut messages)?;
            Ok(std::mem::take(&mut *messages))
        }
        (TransportKeyKind::PerBlock(key), mode) => {
            let cipher = Cipher::new(transport.info().algorithm, key)?;
            for plain in &mut plains {
                cipher.encrypt(mode, plain)?;
            }
            Ok(plains.iter_mut().map(|p| std::mem::take(&mut **p)).collect())
        }
    }
}

enum Cipher {
    Tdes(TdesKey),
    Aes(AesKey),
}

impl Cipher {
    fn new(algorithm: KeyAlgorithm, key: &Secret) -> Result<Self> {
        if algorithm.is_tdes() { TdesKey::new(key).map(Self::Tdes) } else { AesKey::new(key).map(Self::Aes) }
    }

    fn encrypt(&self, mode: ProtectMode, data: &mut [u8]) -> Result<()> {
        match (self, mode) {
            (Self::Tdes(k), ProtectMode::Ecb) => k.encrypt_ecb(data),
            (Self::Tdes(k), ProtectMode::Cbc) => k.encrypt_cbc([0; 8], data),
            (Self::Aes(k), ProtectMode::Ecb) => k.encrypt_ecb(data),
            (Self::Aes(k), ProtectMode::Cbc) => k.encrypt_cbc([0; 16], data),
        }
    }
}

pub(super) fn loaded<S: KeySource>(source: &S, key: KeyRef) -> Result<TransportKey> {
    let found = Resolver::new(source).resolve(key, &[KeyUse::Transport]).at("transport key")?;
    let info = source.info(found.key).at("transport key")?;
    let info = TransportKeyInfo { index: key.index, algorithm: info.algorithm, kcv: info.kcv, wrapped: None };
    Ok(TransportKey::new(TransportKeyKind::Static(found.key), info))
}

pub(super) fn fresh<S: KeySource>(
    source: &S,
    wrapping: KeyRef,
    algorithm: KeyAlgorithm,
    rng: &mut StreamRng,
) -> Result<TransportKey> {
    if wrapping.usage != KeyUse::Transport || algorithm == KeyAlgorithm::Hmac {
        return Err(Error::new(ErrorKind::KeyUsage).at("transport key"));
    }
    let key = draw(algorithm, rng)?;
    let wrapped = source.wrap_key(wrapping, KeyUse::Transport, algorithm, &key, rng).at("transport key")?;
    let kcv = KcvMethod::usual(algorithm).compute(&key, algorithm)?.to_string();
    let info = TransportKeyInfo { index: wrapping.index, algorithm, kcv, wrapped: Some(wrapped) };
    Ok(TransportKey::new(TransportKeyKind::PerBlock(key), info))
}

/// A random key: for TDES with odd parity, no weak part and no two equal parts.
fn draw(algorithm: KeyAlgorithm, rng: &mut StreamRng) -> Result<Secret> {
    loop {
        let key = Secret::filled(algorithm.key_len(), |bytes| {
            rng.fill(bytes);
            if algorithm.is_tdes() {
                adjust_parity(bytes);
            }
            Ok::<_, Error>(())
        })?;
        let parts = key.expose().as_chunks::<8>().0;
        let repeats =
            parts.iter().enumerate().any(|(i, p)| parts.iter().skip(i.saturating_add(1)).any(|q| p == q));
        if !algorithm.is_tdes() || !(has_weak_part(key.expose()) || repeats) {
            return Ok(key);
        }
    }
}
