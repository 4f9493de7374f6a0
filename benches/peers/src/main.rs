//! RSA of this project beside OpenSSL and the `rsa` crate, in one run, by the processor time of this
//! process.
//!
//! `peers [SECONDS]` measures keys and signatures: three rounds, the tools in turn inside each round, SECONDS a tool and
//! round; the median of the rounds. `peers cards [SECONDS]` measures whole cards in the same way, `peers cores [SECONDS]`
//! key generation on two cores beside one, `peers all [SECONDS]` all of them. `peers profile BITS E BACKEND SECONDS` makes
//! keys and nothing else, for a profiler. `peers check COUNT` has OpenSSL check COUNT
//! keys of ours, of each size.

#[path = "../../../tests/common/mod.rs"]
#[allow(dead_code)]
mod common;
mod openssl;
mod pipeline;

use std::time::{Duration, Instant};

use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{CardStream, Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate, generate_batch, sign_batch};

const ROUNDS: usize = 3;
const BATCH: usize = 256;
const SIZES: [usize; 6] = [1024, 1152, 1280, 1408, 1536, 1984];

type Tool<'a> = (String, Box<dyn FnMut() -> usize + 'a>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("check") => check(arguments.next().and_then(|n| n.parse().ok()).unwrap_or(100)),
        Some("cards") => {
            heading();
            pipeline::measure(seconds(arguments.next()));
        }
        Some("profile") => profile(arguments),
        Some("cores") => cores(seconds(arguments.next())),
        Some("all") => {
            let seconds = seconds(arguments.next());
            heading();
            measure(seconds);
            pipeline::measure(seconds);
            println!();
            cores(seconds);
        }
        first => {
            heading();
            measure(seconds(first.map(str::to_owned)));
        }
    }
}

fn seconds(argument: Option<String>) -> f64 {
    argument.and_then(|s| s.parse().ok()).unwrap_or(2.0)
}

fn heading() {
    println!("{}; backends: {:?}\n", openssl::version(), backends().collect::<Vec<_>>());
    println!("| what | tool | a second | us each | against OpenSSL |\n|---|---|---|---|---|");
}

/// Keys of one kind, one after the other.
fn profile(mut arguments: impl Iterator<Item = String>) {
    let mut next = || arguments.next().expect("BITS E BACKEND SECONDS");
    let (bits, e) = (next().parse().expect("bits"), next().parse().expect("an exponent"));
    let spec = KeySpec::new(bits, Exponent::new(e).expect("an exponent")).expect("a size");
    let (backend, seconds): (Backend, f64) =
        (next().parse().expect("a backend"), next().parse().expect("seconds"));
    let seed = Seed::fixed([1; 32]);
    let (start, mut made) = (cpu_time(), 0_u64);
    while (cpu_time() - start).as_secs_f64() < seconds {
        let streams: Vec<CardStream> = (made..made + BATCH as u64).map(|i| stream(&seed, &[i])).collect();
        let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
        made += generate_batch(backend, &jobs).len() as u64;
    }
    println!("{:.1} us a key", (cpu_time() - start).as_secs_f64() * 1e6 / made as f64);
}

/// Keys a second of wall time on two threads against one: nine pairs, one after the other, the median of their ratios.
fn cores(seconds: f64) {
    let seed = Seed::from_os().expect("random numbers");
    let spec = KeySpec::new(1408, Exponent::F4).expect("a size");
    let rate = |threads: u64, pair: u64| {
        let start = Instant::now();
        let made: usize = std::thread::scope(|scope| {
            let work = |thread: u64| {
                let (mut made, seed) = (0_usize, &seed);
                while start.elapsed().as_secs_f64() < seconds {
                    let streams: Vec<CardStream> = (0..BATCH as u64)
                        .map(|i| stream(seed, &[threads, pair, thread, made as u64, i]))
                        .collect();
                    let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
                    made += generate_batch(Backend::detect(), &jobs).iter().filter(|key| key.is_ok()).count();
                }
                made
            };
            let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            handles.into_iter().map(|handle| handle.join().expect("a thread")).sum()
        });
        made as f64 / start.elapsed().as_secs_f64()
    };
    let mut pairs: Vec<(f64, f64)> = (0..9).map(|pair| (rate(1, pair), rate(2, pair))).collect();
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (one, two) = pairs[pairs.len() / 2];
    println!(
        "Keys of 1408 bits, e = 65537, {}, nine pairs: one core {one:.0} a second, two cores {two:.0}, x{:.2} (median); from x{:.2} to x{:.2}.",
        Backend::detect(),
        two / one,
        pairs[0].1 / pairs[0].0,
        pairs[8].1 / pairs[8].0,
    );
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, out: *mut Timespec) -> i32;
    }
    const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the clock writes one timespec of this layout (64-bit Linux).
    assert_eq!(unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut now) }, 0);
    Duration::new(now.seconds as u64, now.nanoseconds as u32)
}

/// Things a second of each tool: the median of the rounds.
fn compare(title: &str, seconds: f64, mut tools: Vec<Tool<'_>>) {
    let mut rates = vec![Vec::new(); tools.len()];
    for _ in 0..ROUNDS {
        for ((_, step), rates) in tools.iter_mut().zip(&mut rates) {
            let (start, mut done) = (cpu_time(), 0);
            while (cpu_time() - start).as_secs_f64() < seconds {
                done += step();
            }
            rates.push(done as f64 / (cpu_time() - start).as_secs_f64());
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let medians: Vec<f64> = rates.iter_mut().map(median).collect();
    for ((name, _), rate) in tools.iter().zip(&medians) {
        println!("| {title} | {name} | {rate:.1} | {:.2} | x{:.2} |", 1e6 / rate, rate / medians[0]);
    }
}

fn measure(seconds: f64) {
    let seed = Seed::from_os().expect("random numbers");
    for (bits, exponent) in SIZES.into_iter().flat_map(|bits| [(bits, Exponent::F4), (bits, Exponent::THREE)])
    {
        let mut tools: Vec<Tool<'_>> = vec![(
            "OpenSSL".into(),
            Box::new(move || {
                openssl::Key::generate(bits, exponent.get());
                1
            }),
        )];
        if bits == 1408 && exponent == Exponent::F4 {
            tools.push((
                "rsa crate".into(),
                Box::new(move || {
                    let mut random = rand_core::UnwrapErr(getrandom::SysRng);
                    rsa::RsaPrivateKey::new(&mut random, bits).expect("a key");
                    1
                }),
            ));
        }
        let spec = KeySpec::new(bits, exponent).expect("a size");
        for backend in backends() {
            let (mut made, seed) = (0_u64, &seed);
            tools.push((
                backend.to_string(),
                Box::new(move || {
                    let count = if backend == Backend::Portable { 8 } else if backend == Backend::Avx2 { 64 } else { BATCH };
                    made += 1;
                    let streams: Vec<CardStream> =
                        (0..count as u64).map(|i| stream(seed, &[bits as u64, made, i])).collect();
                    let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
                    assert!(generate_batch(backend, &jobs).iter().all(Result::is_ok));
                    count
                }),
            ));
        }
        compare(&format!("key {bits} e={}", exponent.get()), seconds, tools);
    }
    for bits in [1408, 1984] {
        let key = generate(KeySpec::new(bits, Exponent::F4).expect("a size"), &stream(&seed, &[bits as u64]))
            .expect("a key");
        let peer = peer_of(&key);
        let blocks: Vec<Vec<u8>> = (0..64).map(|i| vec![i as u8; bits / 8]).collect();
        let expected = peer.sign(&blocks);
        let (key, peer, blocks, expected) = (&key, &peer, &blocks, &expected);
        let mut tools: Vec<Tool<'_>> = vec![("OpenSSL".into(), Box::new(move || peer.sign(blocks).len()))];
        for backend in backends() {
            tools.push((
                backend.to_string(),
                Box::new(move || {
                    let signed = sign_batch(backend, key, blocks);
                    assert!(signed.iter().zip(expected).all(|(a, b)| a.as_ref().is_ok_and(|a| a == b)));
                    signed.len()
                }),
            ));
        }
        compare(&format!("signature {bits}, verified"), seconds, tools);
    }
}

fn backends() -> impl Iterator<Item = Backend> {
    [Backend::Portable, Backend::Avx2, Backend::Avx512].into_iter().filter(|b| b.is_available())
}

fn stream(seed: &Seed, name: &[u64]) -> CardStream {
    let name: Vec<u8> = name.iter().flat_map(|part| part.to_be_bytes()).collect();
    seed.named_stream(&name, Purpose::TestIssuer)
}

fn peer_of(key: &RsaPrivate) -> openssl::Key {
    openssl::Key::from_pkcs8(key.to_pkcs8().expect("DER").expose()).expect("a key that OpenSSL reads")
}

fn check(count: usize) {
    let seed = Seed::from_os().expect("random numbers");
    for (bits, exponent) in SIZES.into_iter().flat_map(|bits| [(bits, Exponent::F4), (bits, Exponent::THREE)])
    {
        let spec = KeySpec::new(bits, exponent).expect("a size");
        let streams: Vec<_> = (0..count as u64).map(|i| stream(&seed, &[bits as u64, i])).collect();
        let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
        for key in generate_batch(Backend::detect(), &jobs) {
            assert!(peer_of(&key.expect("a key")).check(), "OpenSSL refuses a key of {bits} bits");
        }
        println!("{count} keys of {bits} bits, e = {}: accepted", exponent.get());
    }
}
