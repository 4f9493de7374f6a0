//! The batch gcd on as many keys as a batch's sample has: planted shared primes are found, in how much time and memory.
//!
//! `EMV_DATAPREP_MODULI=N` sets how many; `scripts/long/batch-gcd` runs it with 20,000 and 100,000.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs)]

use std::time::Instant;

use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{
    Exponent, GcdProduct, GcdTree, KeySpec, RsaPrivate, RsaPublic, generate_batch, shared_factors,
};
use rayon::prelude::*;

const BITS: usize = 1408;

/// Keys of a fixed seed, on all cores. Only the moduli stay, and the primes of the first and the last key.
fn keys(count: usize) -> (Vec<RsaPublic>, [RsaPrivate; 2]) {
    let seed = Seed::fixed([0x6C; 32]);
    let spec = KeySpec::new(BITS, Exponent::F4).unwrap();
    let backend = Backend::detect();
    let some = |numbers: &[usize]| -> Vec<RsaPrivate> {
        let streams: Vec<_> =
            numbers.iter().map(|i| seed.named_stream(&i.to_be_bytes(), Purpose::TestIssuer)).collect();
        let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
        generate_batch(backend, &jobs).into_iter().map(Result::unwrap).collect()
    };
    let numbers: Vec<usize> = (0..count).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let moduli = std::thread::scope(|scope| {
        let parts: Vec<_> = numbers
            .chunks(count.div_ceil(threads))
            .map(|part| {
                scope.spawn(|| {
                    let of = |part| some(part).iter().map(|k| k.public().clone()).collect::<Vec<_>>();
                    part.chunks(64).flat_map(of).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    let [a, b] = [0, count - 1].map(|n| some(&[n]).remove(0));
    (moduli, [a, b])
}

/// Processor time of this process, seconds; 0 where nobody tells. A busy machine does not make it longer.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // User and system time in hundredths of a second (proc(5), fields 14 and 15).
    let of = |n: usize| fields.get(n).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (of(11) + of(12)) / 100.0
}

/// The most memory that this process ever had, MiB; 0 where nobody tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn side_by_side(moduli: &[&RsaPublic]) -> Vec<bool> {
    let trees = moduli.par_chunks(GcdTree::share(moduli.len())).map(|part| GcdTree::of(part).unwrap());
    let trees: Vec<GcdTree> = trees.collect();
    let products: Vec<GcdProduct> = trees.iter().map(GcdTree::product).collect();
    let shared = trees.into_par_iter().enumerate().map(|(place, tree)| tree.shared(place, &products));
    shared.collect::<Vec<_>>().concat()
}

#[test]
fn shared_primes_among_many_moduli_are_found() {
    let count = std::env::var("EMV_DATAPREP_MODULI").map_or(600, |n| n.parse().unwrap());
    let (mut moduli, [first, last]) = keys(count);
    let made = peak();
    let mixed = RsaPrivate::from_primes(first.p().expose(), last.q().expose(), Exponent::F4).unwrap();
    moduli.insert(count / 2, mixed.public().clone());
    let (start, before) = (Instant::now(), processor_time());
    let found = shared_factors(&moduli.iter().collect::<Vec<_>>()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let busy = processor_time() - before;
    let peak = peak();
    println!(
        "{count} moduli of {BITS} bits: {seconds:.1} s, {busy:.1} s of a core, peak {peak} MiB ({made} MiB before)"
    );
    assert_eq!(found, [0, count / 2, count]);
    // As the gate of a batch does it: the trees side by side.
    let start = Instant::now();
    let shared: Vec<bool> = side_by_side(&moduli.iter().collect::<Vec<_>>());
    let seconds = start.elapsed().as_secs_f64();
    println!("side by side in {} threads: {seconds:.1} s", rayon::current_num_threads());
    let found: Vec<usize> = (0..=count).filter(|i| shared[*i]).collect();
    assert_eq!(found, [0, count / 2, count]);
}
