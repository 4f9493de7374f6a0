//! PINs: natural, offsets, blocks in and out.

use zeroize::Zeroizing;

use super::groups::{Answers, Resolved, Resolver, run};
use super::transport::{Plain, Value, protect_all};
use crate::card::Pin;
use crate::crypto::aes;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::decimal::DecimalizationTable;
use crate::issuer::pin_block::{
    clear_block, iso4_pan_field, iso4_pin_field, read_clear_block, read_iso4_pin_field, refusal,
};
use crate::issuer::{
    DigitValue, ExportPinJob, HeldPin, ImportPinJob, NaturalPinJob, PinBlockFormat, PinBlockJob,
    ReferencePinJob, ibm3624,
};
use crate::keys::{KeyRef, KeySource, KeyUse};

/// TDES over all validation data of a key, then the decimalization table and length of each job.
pub(super) fn natural<'a, S: KeySource, J>(
    source: &S,
    jobs: &'a [J],
    job_of: impl Fn(&'a J) -> NaturalPinJob<'a>,
) -> Result<Vec<Result<Pin>>> {
    let mut keys = Resolver::new(source);
    let numbers: Vec<&'a J> = jobs.iter().collect();
    run(
        &numbers,
        |job| {
            let job = job_of(job);
            let key = keys.resolve_tdes(job.key, &[KeyUse::Pvk]).at("natural PIN")?;
            let table = DecimalizationTable::new(*job.decimalization).at("natural PIN")?;
            Ok((key, (Zeroizing::new(job.validation_data), table, job.pin_len)))
        },
        |key, members| {
            let mut data = Zeroizing::new(Vec::with_capacity(members.len().saturating_mul(8)));
            members.iter().for_each(|(_, (v, ..))| data.extend_from_slice(v.as_slice()));
            source.encrypt_ecb(key.key, &mut data)?;
            let blocks = data.as_chunks::<8>().0.iter().zip(members);
            Ok(blocks
                .map(|(b, (_, (_, table, len)))| {
                    ibm3624::natural_from_block(b, table, *len).at("natural PIN")
                })
                .collect())
        },
    )
}

pub(super) fn offset<S: KeySource>(
    source: &S,
    jobs: &[(NaturalPinJob<'_>, &HeldPin)],
) -> Result<Vec<Result<DigitValue>>> {
    let naturals = natural(source, jobs, |(job, _)| *job)?;
    let with_pins = naturals.into_iter().zip(jobs);
    Ok(with_pins.map(|(n, (_, pin))| ibm3624::offset(&n?, &pin.0).at("PIN offset")).collect())
}

/// One call for each key, two under AES (format 4).
pub(super) fn import<S: KeySource>(source: &S, jobs: &[ImportPinJob<'_>]) -> Result<Vec<Result<HeldPin>>> {
    let mut keys = Resolver::new(source);
    run(
        jobs,
        |job| {
            let key = resolve_for(&mut keys, job.key, &[KeyUse::Pin], job.format)?;
            if job.block.len() != key.algorithm().block_len() {
                return Err(refusal());
            }
            Ok((key, *job))
        },
        |key, members| {
            let block = key.algorithm().block_len();
            let mut data = Zeroizing::new(Vec::with_capacity(members.len().saturating_mul(block)));
            members.iter().for_each(|(_, job)| data.extend_from_slice(job.block));
            source.decrypt_ecb(key.key, &mut data)?;
            if block == aes::BLOCK {
                for (pin_field, (_, job)) in data.chunks_exact_mut(block).zip(members) {
                    xor_into(pin_field, iso4_pan_field(job.pan).as_slice());
                }
                source.decrypt_ecb(key.key, &mut data)?;
            }
            let read = |clear: &[u8], job: &ImportPinJob<'_>| {
                if block == aes::BLOCK {
                    clear.first_chunk().ok_or_else(refusal).and_then(read_iso4_pin_field)
                } else {
                    let clear = clear.first_chunk().ok_or_else(refusal);
                    clear.and_then(|b| read_clear_block(job.format, b, job.pan))
                }
            };
            Ok(data
                .chunks_exact(block)
                .zip(members)
                .map(|(clear, (_, job))| read(clear, job).map(HeldPin))
                .collect())
        },
    )
}

/// One call for each key, two under AES (format 4).
pub(super) fn export<S: KeySource>(source: &S, jobs: &[ExportPinJob<'_>]) -> Result<Vec<Result<Vec<u8>>>> {
    let mut keys = Resolver::new(source);
    run(
        jobs,
        |job| {
            let PinBlockJob { format, pan, pin } = job.block;
            let key = resolve_for(&mut keys, job.key, &[KeyUse::Pin, KeyUse::Mailer], format)?;
            let mut fill = job.fill.rng();
            let clear = if format == PinBlockFormat::Iso4 {
                Zeroizing::new(iso4_pin_field(&pin.0, fill.bytes()).to_vec())
            } else {
                Zeroizing::new(clear_block(format, &pin.0, pan, &mut fill)?.to_vec())
            };
            Ok((key, (clear, pan)))
        },
        |key, members| {
            let block = key.algorithm().block_len();
            let mut data = Zeroizing::new(Vec::with_capacity(members.len().saturating_mul(block)));
            members.iter().for_each(|(_, (clear, _))| data.extend_from_slice(clear));
            source.encrypt_ecb(key.key, &mut data)?;
            if block == aes::BLOCK {
                for (pin_field, (_, (_, pan))) in data.chunks_exact_mut(block).zip(members) {
                    xor_into(pin_field, iso4_pan_field(pan).as_slice());
                }
                source.encrypt_ecb(key.key, &mut data)?;
            }
            Ok(data.chunks_exact(block).map(|done| Ok(done.to_vec())).collect())
        },
    )
}

/// DGI 8010: the block alone under TDES; followed by eight random bytes under AES. One call for each transport key
/// and mode.
pub(super) fn reference<S: KeySource>(
    source: &S,
    jobs: &[ReferencePinJob<'_>],
) -> Result<Vec<Result<Vec<u8>>>> {
    let mut answers = Answers::new(jobs.len());
    let mut values = Vec::with_capacity(jobs.len());
    for (number, job) in jobs.iter().enumerate() {
        match clear_reference(job) {
            Ok(plain) => {
                values.push(Value { job: number, transport: job.transport, mode: job.mode, plain });
            }
            Err(e) => answers.fail([number], &e)?,
        }
    }
    protect_all(source, values, &mut answers)?;
    Ok(answers.finish().into_iter().map(|r| r.at("reference PIN")).collect())
}

fn clear_reference(job: &ReferencePinJob<'_>) -> Result<Plain> {
    let PinBlockJob { format, pan, pin } = job.block;
    if format == PinBlockFormat::Iso4 {
        // Enciphered twice with the PAN between: an operation of its own, not a value under a transport key.
        return Err(ErrorKind::Unsupported("format 4 as the reference PIN").into());
    }
    let mut fill = job.fill.rng();
    let mut plain = Zeroizing::new(Vec::with_capacity(aes::BLOCK));
    plain.extend_from_slice(clear_block(format, &pin.0, pan, &mut fill)?.as_slice());
    if !job.transport.info().algorithm.is_tdes() {
        plain.extend_from_slice(&fill.bytes::<8>());
    }
    Ok(plain)
}

/// The key, if its algorithm goes with the format.
fn resolve_for<S: KeySource>(
    keys: &mut Resolver<'_, S>,
    key: KeyRef,
    uses: &[KeyUse],
    format: PinBlockFormat,
) -> Result<Resolved> {
    let found = keys.resolve(key, uses).at("PIN block")?;
    if found.algorithm().is_tdes() == (format != PinBlockFormat::Iso4) {
        Ok(found)
    } else {
        Err(Error::new(ErrorKind::KeyUsage).at(key.to_string()).at("PIN block"))
    }
}

fn xor_into(data: &mut [u8], other: &[u8]) {
    for (a, b) in data.iter_mut().zip(other) {
        *a ^= b;
    }
}
