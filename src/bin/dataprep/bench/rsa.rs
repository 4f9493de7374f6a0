//! RSA keys and issuer signatures.

use std::sync::atomic::{AtomicU64, Ordering};

use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{CardStream, Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, generate_batch, sign_batch};

use super::{Measure, together};
use crate::failure::Failure;

/// Sizes of ICC keys (and of issuer keys, for signatures).
const BITS: [usize; 3] = [1024, 1408, 1984];

/// Issuer signatures go in groups of so many.
const GROUP: usize = 8;

/// Key generation by size and exponent, signatures by size.
pub fn measures<'a>(backend: Backend, seed: &'a Seed) -> Result<Vec<Measure<'a>>, Failure> {
    let mut measures = Vec::new();
    for bits in BITS {
        for exponent in [Exponent::THREE, Exponent::F4] {
            let spec = KeySpec::new(bits, exponent)?;
            let count = AtomicU64::new(0);
            let name = format!("RSA key {bits} e={}", exponent.get());
            measures.push(Measure::new(name, "keys", move || {
                let streams: Vec<CardStream> = (0..together(backend))
                    .map(|_| {
                        let number = count.fetch_add(1, Ordering::Relaxed);
                        seed.named_stream(&number.to_be_bytes(), Purpose::PoolKey)
                    })
                    .collect();
                let jobs: Vec<(KeySpec, &CardStream)> = streams.iter().map(|s| (spec, s)).collect();
                let mut made = 0;
                for key in generate_batch(backend, &jobs) {
                    key?;
                    made += 1;
                }
                Ok(made)
            }));
        }
    }
    for bits in BITS {
        let spec = KeySpec::new(bits, Exponent::F4)?;
        let stream = seed.named_stream(b"signature", Purpose::PoolKey);
        let key = generate_batch(backend, &[(spec, &stream)]).pop();
        let key = key.ok_or_else(|| Failure::refused("no key was made"))??;
        let mut rng = stream.sub(&[1]).rng();
        let messages: Vec<Vec<u8>> = (0..GROUP)
            .map(|_| {
                let mut message = vec![0; key.public().len()];
                rng.fill(&mut message);
                // Below the modulus, as a certificate is.
                message.iter_mut().take(1).for_each(|b| *b = 0x6A);
                message
            })
            .collect();
        let name = format!("issuer signature {bits}, verified");
        measures.push(Measure::new(name, "signatures", move || {
            let mut made = 0;
            for signature in sign_batch(backend, &key, &messages) {
                signature?;
                made += 1;
            }
            Ok(made)
        }));
    }
    Ok(measures)
}
