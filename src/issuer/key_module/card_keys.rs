//! ICC master keys of a slice of cards: derived, and enciphered under the transport key.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::groups::{Answers, Resolved, Resolver, run};
use super::transport::{Plain, Value, protect_all};
use crate::crypto::aes::AesKey;
use crate::crypto::tdes::TdesKey;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::icc_key::{self, derivation_block};
use crate::issuer::{CardKeys, CardKeysJob, IvCvc3Job, cvc3};
use crate::keys::{KeyAlgorithm, KeySource, KeyUse};
use crate::secret::Secret;

/// Uses from which ICC master keys come.
const MASTERS: &[KeyUse] =
    &[KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc, KeyUse::ImkDac, KeyUse::ImkIdn, KeyUse::ImkCvc3];

/// All derivation inputs of the batch under one master key.
#[derive(Default)]
struct Inputs {
    data: Zeroizing<Vec<u8>>,
    /// Job, and place of the key in its DGI.
    places: Vec<(usize, usize)>,
}

/// One ECB call for each issuer master key, then one call for each transport key and mode.
pub(super) fn card_keys<S: KeySource>(source: &S, jobs: &[CardKeysJob<'_>]) -> Result<Vec<Result<CardKeys>>> {
    let mut derived: Answers<()> = Answers::new(jobs.len());
    let mut resolver = Resolver::new(source);
    let mut inputs: BTreeMap<Resolved, Inputs> = BTreeMap::new();
    for (number, job) in jobs.iter().enumerate() {
        if let Err(e) = collect(&mut resolver, number, job, &mut inputs) {
            derived.fail([number], &e.at("ICC master key"))?;
        }
    }

    let mut keys: Vec<Vec<Option<(KeyAlgorithm, Secret)>>> =
        jobs.iter().map(|job| job.masters.iter().map(|_| None).collect()).collect();
    for (master, group) in inputs {
        let affected = || group.places.iter().map(|(job, _)| *job);
        match derive_group(source, master, group.data) {
            Ok(found) => {
                for ((job, place), key) in group.places.iter().zip(found) {
                    if let Some(slot) = keys.get_mut(*job).and_then(|k| k.get_mut(*place)) {
                        *slot = Some(key);
                    }
                }
            }
            Err(e) => derived.fail(affected(), &e.at(master.key.to_string()).at("ICC master key"))?,
        }
    }

    let mut enciphered = Answers::new(jobs.len());
    let mut kcvs = Vec::with_capacity(jobs.len());
    let mut values = Vec::with_capacity(jobs.len());
    for ((number, job), keys) in jobs.iter().enumerate().zip(keys) {
        if derived.has_failed(number) {
            kcvs.push(Vec::new());
            continue;
        }
        derived.put(number, Ok(()));
        let (plain, checks) = assemble(&keys)?;
        kcvs.push(checks);
        values.push(Value { job: number, transport: job.transport, mode: job.mode, plain });
    }
    protect_all(source, values, &mut enciphered)?;

    let results = derived.finish().into_iter().zip(enciphered.finish()).zip(kcvs);
    Ok(results
        .map(|((derived, cryptogram), kcvs)| {
            derived?;
            Ok(CardKeys { cryptogram: cryptogram.at("ICC master key")?, kcvs })
        })
        .collect())
}

/// The derivation inputs of one job, added to those of its master keys: all of them or none.
fn collect<S: KeySource>(
    resolver: &mut Resolver<'_, S>,
    number: usize,
    job: &CardKeysJob<'_>,
    inputs: &mut BTreeMap<Resolved, Inputs>,
) -> Result<()> {
    if job.masters.is_empty() {
        return Err(ErrorKind::Missing("an issuer master key").into());
    }
    let block = derivation_block(job.option, job.pan, job.psn);
    let masters: Vec<Resolved> =
        job.masters.iter().map(|m| resolver.resolve(*m, MASTERS)).collect::<Result<_>>()?;
    for master in &masters {
        icc_key::check(job.option, master.algorithm()).at_with(|| master.key.to_string())?;
    }
    for (place, master) in masters.iter().enumerate() {
        let group = inputs.entry(*master).or_default();
        block.append_inputs(master.algorithm(), &mut group.data)?;
        group.places.push((number, place));
    }
    Ok(())
}

fn derive_group<S: KeySource>(
    source: &S,
    master: Resolved,
    mut data: Zeroizing<Vec<u8>>,
) -> Result<Vec<(KeyAlgorithm, Secret)>> {
    source.encrypt_ecb(master.key, &mut data)?;
    let algorithm = master.algorithm();
    let each = icc_key::inputs_len(algorithm)?;
    data.chunks(each).map(|part| Ok((algorithm, icc_key::finish(algorithm, part)?))).collect()
}

/// The keys of one DGI one after the other, and their check values.
fn assemble(keys: &[Option<(KeyAlgorithm, Secret)>]) -> Result<(Plain, Vec<[u8; 3]>)> {
    let len = keys.iter().flatten().map(|(_, k)| k.len()).sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(len));
    let mut kcvs = Vec::with_capacity(keys.len());
    for key in keys {
        let (algorithm, key) = key.as_ref().ok_or(ErrorKind::Internal("a master key was not derived"))?;
        plain.extend_from_slice(key.expose());
        kcvs.push(card_kcv(*algorithm, key)?);
    }
    Ok((plain, kcvs))
}

/// The check value of DGI 9000 (CPS 2.0): TDES of zeros, AES of sixteen bytes 01, three bytes each.
fn card_kcv(algorithm: KeyAlgorithm, key: &Secret) -> Result<[u8; 3]> {
    if algorithm.is_tdes() {
        let [a, b, c, ..] = TdesKey::new(key)?.encrypt_block([0; 8]);
        Ok([a, b, c])
    } else {
        let [a, b, c, ..] = AesKey::new(key)?.encrypt_block([1; 16]);
        Ok([a, b, c])
    }
}

/// One ECB call for each master key; the MAC over the track is made with the card's key.
pub(super) fn ivcvc3<S: KeySource>(source: &S, jobs: &[IvCvc3Job<'_>]) -> Result<Vec<Result<[u8; 2]>>> {
    let mut keys = Resolver::new(source);
    run(
        jobs,
        |job| {
            let key = keys.resolve_tdes(job.master, &[KeyUse::ImkCvc3]).at("IVCVC3")?;
            let mut inputs = Zeroizing::new(Vec::with_capacity(16));
            let block = derivation_block(job.option, job.pan, job.psn);
            block.append_inputs(key.algorithm(), &mut inputs).at("IVCVC3")?;
            Ok((key, (inputs, job.track)))
        },
        |key, members| {
            let mut data = Zeroizing::new(Vec::with_capacity(members.len().saturating_mul(16)));
            members.iter().for_each(|(_, (inputs, _))| data.extend_from_slice(inputs));
            source.encrypt_ecb(key.key, &mut data)?;
            let cards = data.as_chunks::<16>().0.iter().zip(members);
            Ok(cards
                .map(|(z, (_, (_, track)))| {
                    let kd = icc_key::finish(key.algorithm(), z)?;
                    Ok::<_, Error>(cvc3::ivcvc3(&TdesKey::new(&kd)?, track))
                })
                .collect())
        },
    )
}
