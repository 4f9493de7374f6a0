//! CVV and PVV, a slice at a time.

use zeroize::Zeroizing;

use super::groups::{Resolver, run};
use crate::crypto::tdes::xor;
use crate::error::{Place, Result};
use crate::issuer::cvv::{self, Blocks};
use crate::issuer::{CvvJob, DigitValue, PvvJob, pvv};
use crate::keys::{KeySource, KeyUse};

/// Single DES over every `B1` of a key, then TDES over every `B1' ⊕ B2`.
pub(super) fn cvv<S: KeySource>(source: &S, jobs: &[CvvJob<'_>]) -> Result<Vec<Result<DigitValue>>> {
    let mut keys = Resolver::new(source);
    run(
        jobs,
        |job| {
            let key = keys.resolve_tdes(job.key, &[KeyUse::Cvk]).at("CVV")?;
            Ok((key, cvv::blocks(job.pan, job.expiry, job.service_code).at("CVV")?))
        },
        |key, members: &[(usize, Blocks)]| {
            let mut data = Zeroizing::new(Vec::with_capacity(members.len().saturating_mul(8)));
            for (_, blocks) in members {
                let [b1, _] = **blocks;
                data.extend_from_slice(&b1);
            }
            source.encrypt_ecb_left(key.key, &mut data)?;
            for (block, (_, blocks)) in data.as_chunks_mut::<8>().0.iter_mut().zip(members) {
                let [_, b2] = **blocks;
                *block = xor(*block, b2);
            }
            source.encrypt_ecb(key.key, &mut data)?;
            Ok(data.as_chunks::<8>().0.iter().map(|t| cvv::value(t, cvv::DIGITS)).collect())
        },
    )
}

/// TDES over every TSP of a key.
pub(super) fn pvv<S: KeySource>(source: &S, jobs: &[PvvJob<'_>]) -> Result<Vec<Result<DigitValue>>> {
    let mut keys = Resolver::new(source);
    run(
        jobs,
        |job| {
            let key = keys.resolve_tdes(job.key, &[KeyUse::Pvk]).at("PVV")?;
            Ok((key, pvv::tsp(job.pan, job.pvki, &job.pin.0).at("PVV")?))
        },
        |key, members| {
            let mut data = Zeroizing::new(Vec::with_capacity(members.len().saturating_mul(8)));
            members.iter().for_each(|(_, tsp)| data.extend_from_slice(tsp.as_slice()));
            source.encrypt_ecb(key.key, &mut data)?;
            Ok(data.as_chunks::<8>().0.iter().map(pvv::value).collect())
        },
    )
}
