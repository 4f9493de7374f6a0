//! PINs: natural, offsets, blocks in and out.

use zeroize::Zeroizing;

use super::groups::{Resolved, Resolver, run};
use super::transport::protect_one;
use crate::card::{Pan, Pin};
use crate::crypto::aes;
use crate::crypto::rng::StreamRng;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::decimal::DecimalizationTable;
use crate::issuer::pin_block::{
    clear_block, iso4_pan_field, iso4_pin_field, read_clear_block, read_iso4_pin_field, refusal,
};
use crate::issuer::{
    DigitValue, HeldPin, NaturalPinJob, PinBlockFormat, PinBlockJob, ProtectMode, TransportKey, ibm3624,
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

pub(super) fn import<S: KeySource>(
    source: &S,
    format: PinBlockFormat,
    key: KeyRef,
    block: &[u8],
    pan: &Pan,
) -> Result<HeldPin> {
    let key = resolve_for(source, key, &[KeyUse::Pin], format)?;
    let mut data = Zeroizing::new(block.to_vec());
    let pin = if format == PinBlockFormat::Iso4 {
        if block.len() != aes::BLOCK {
            return Err(refusal());
        }
        source.decrypt_ecb(key.key, &mut data)?;
        xor_into(&mut data, iso4_pan_field(pan).as_slice());
        source.decrypt_ecb(key.key, &mut data)?;
        data.first_chunk().ok_or_else(refusal).and_then(read_iso4_pin_field)
    } else {
        if block.len() != 8 {
            return Err(refusal());
        }
        source.decrypt_ecb(key.key, &mut data)?;
        data.first_chunk().ok_or_else(refusal).and_then(|b| read_clear_block(format, b, pan))
    };
    pin.map(HeldPin)
}

pub(super) fn export<S: KeySource>(
    source: &S,
    key: KeyRef,
    job: PinBlockJob<'_>,
    fill: &mut StreamRng,
) -> Result<Vec<u8>> {
    let key = resolve_for(source, key, &[KeyUse::Pin, KeyUse::Mailer], job.format)?;
    if job.format == PinBlockFormat::Iso4 {
        let field = iso4_pin_field(&job.pin.0, fill.bytes());
        let mut data = Zeroizing::new(field.to_vec());
        source.encrypt_ecb(key.key, &mut data)?;
        xor_into(&mut data, iso4_pan_field(job.pan).as_slice());
        source.encrypt_ecb(key.key, &mut data)?;
        return Ok(std::mem::take(&mut *data));
    }
    let mut data = Zeroizing::new(clear_block(job.format, &job.pin.0, job.pan, fill)?.to_vec());
    source.encrypt_ecb(key.key, &mut data)?;
    Ok(std::mem::take(&mut *data))
}

/// DGI 8010: the block alone under TDES; followed by eight random bytes under AES.
pub(super) fn reference<S: KeySource>(
    source: &S,
    transport: &TransportKey,
    mode: ProtectMode,
    job: PinBlockJob<'_>,
    fill: &mut StreamRng,
) -> Result<Vec<u8>> {
    if job.format == PinBlockFormat::Iso4 {
        // Format 4 is enciphered twice with the PAN between: its own operation, not a value under a transport key.
        return Err(Error::new(ErrorKind::Unsupported("format 4 as the reference PIN")).at("reference PIN"));
    }
    let mut data = Zeroizing::new(Vec::with_capacity(aes::BLOCK));
    data.extend_from_slice(clear_block(job.format, &job.pin.0, job.pan, fill)?.as_slice());
    if !transport.info().algorithm.is_tdes() {
        data.extend_from_slice(&fill.bytes::<8>());
    }
    protect_one(source, transport, mode, data).at("reference PIN")
}

/// The key, if its algorithm goes with the format.
fn resolve_for<S: KeySource>(
    source: &S,
    key: KeyRef,
    uses: &[KeyUse],
    format: PinBlockFormat,
) -> Result<Resolved> {
    let found = Resolver::new(source).resolve(key, uses).at("PIN block")?;
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
