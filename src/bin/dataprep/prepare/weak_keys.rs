//! What the RSA keys of a batch are compared with before its manifest is signed.

use std::collections::BTreeSet;

use emv_dataprep::batch::{self, LedgerTags, OpenJob, TagKeyFrom, WeakKeyGate};
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::crypto::rsa::PrimeTagKey;
use emv_dataprep::error::ErrorKind;
use emv_dataprep::keys::KeySource;
use emv_dataprep::store::Store;
use emv_dataprep::store::ledger::Ledger;
use emv_dataprep::store::primes::PrimeHistory;

use crate::failure::Failure;
use crate::issuer_dir::{IssuerDir, OpenKeys};
use crate::pool::PoolKeys;

/// The key of the tags. A fixed seed makes the same keys in every batch, so batches are not compared then.
pub(super) fn tag_key(
    job: &OpenJob,
    seed: Option<&Seed>,
    tags: Option<&LedgerTags<'_>>,
) -> Result<PrimeTagKey, Failure> {
    let from = match (seed, tags) {
        (Some(seed), _) => TagKeyFrom::Seed(seed),
        (None, Some(tags)) => TagKeyFrom::Ledger(tags.source, tags.key),
        (None, None) => TagKeyFrom::Job,
    };
    Ok(batch::tag_key(job, from)?)
}

/// Compares with the issuer's own keys, the keys of its certificates and of their CAs, the pool, and earlier batches.
pub(super) fn gate<'a>(
    key: &'a PrimeTagKey,
    dir: &IssuerDir,
    keys: &OpenKeys,
    supply: &'a PoolKeys<'_>,
    ledger: Option<&Ledger>,
) -> Result<WeakKeyGate<'a>, Failure> {
    let mut gate = WeakKeyGate::new(key);
    let source = keys.module.source();
    let mut known = BTreeSet::new();
    for oda in dir.issuer.oda_keys() {
        let info = source.oda_info(oda.index)?;
        let name = format!("issuer key {}", oda.index);
        // One key may stand under two indexes.
        if known.insert(info.modulus.clone()) {
            match source.oda_prime_tags(oda.index, key) {
                Ok(primes) => gate.issuer_key(name.clone(), primes),
                Err(e) if matches!(e.kind(), ErrorKind::Unsupported(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        gate.modulus(name, &info.modulus);
        for certificate in &oda.certificates {
            gate.modulus(format!("a certificate of oda/{}", oda.index), certificate.key.modulus());
            gate.modulus(format!("the CA key of oda/{}", oda.index), certificate.ca.key().modulus());
        }
    }
    if let Some(pool) = supply.supply() {
        gate.pool(pool);
    }
    if let Some(ledger) = ledger {
        gate.history(PrimeHistory::new(Store::default(), &PrimeHistory::beside(ledger.path()), key));
    }
    Ok(gate)
}
