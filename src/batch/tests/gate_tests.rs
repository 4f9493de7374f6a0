//! The weak-key gate: planted repeats are found, wherever they stand, and nothing else is.

use super::*;
use crate::crypto::backend::Backend;
use crate::crypto::rsa::{Exponent, KeySpec, PrimeTag, PrimeTagKey};
use crate::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
use crate::output::WeakKeys;
use crate::prepare::RsaKeySupply;
use crate::secret::Secret;
use crate::store::pool::{Fill, NoFillProgress, Pool, PoolSupply};
use crate::store::primes::PrimeHistory;

/// Cards that are prepared: all but those that are refused, that panic or that use a cardId again.
const PREPARED: u64 = 15;

fn key(byte: u8) -> PrimeTagKey {
    PrimeTagKey::new(Secret::copy_of(&[byte; 32])).unwrap()
}

fn tag(n: u64) -> PrimeTag {
    key(9).tag(&n.to_be_bytes())
}

/// A key whose primes are told by two numbers. Its modulus shares nothing with another one: they are powers of primes.
fn trace(p: u64, q: u64, position: u64) -> RsaTrace {
    const PRIMES: [u32; 24] =
        [5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101];
    let modulus = PRIMES[position as usize].pow(4);
    let modulus = modulus.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
    RsaTrace { primes: [tag(p), tag(q)], modulus }
}

/// Every card with one key of its own, from the number `first` on; at some positions another one.
fn fake(first: u64, other: fn(u64) -> Option<(u64, u64)>) -> Fake {
    let rsa = move |position| {
        let (p, q) = other(position).unwrap_or((first + 2 * position, first + 2 * position + 1));
        vec![trace(p, q, position)]
    };
    Fake { rsa: Box::new(rsa), ..Fake::new() }
}

fn refusal(result: Result<Manifest, BatchError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.exit(), Exit::Refused, "{error}");
    error.to_string()
}

#[test]
fn a_batch_without_repeats_says_what_was_looked_at() {
    let key = key(1);
    for memory in [24, 1000, 1 << 20] {
        let folder = fresh();
        let mut gate = WeakKeyGate::new(&key).bounds(memory, 5);
        gate.issuer_key("issuer key 01".into(), [tag(7_000), tag(7_001)]);
        gate.modulus("issuer key 01".into(), &[0x29, 0x71]);
        gate.modulus("the same key, once more".into(), &[0, 0x29, 0x71]);
        let done =
            Run { gate: Some(&gate), fake: fake(0, |_| None), ..Run::new(folder.path()) }.go().unwrap();
        let expected =
            WeakKeys { primes: 2 * PREPARED, issuer: 2, pool: 0, history: 0, moduli: 6, repeats: 0 };
        assert_eq!(done.weak_keys, Some(expected));
        assert_eq!(done.counts.prepared, PREPARED);
        // Nothing of it stays, and the cards are those of a batch without it.
        let mut mine = tree(folder.path());
        let mut theirs = undisturbed();
        for files in [&mut mine, &mut theirs] {
            files.remove(std::ffi::OsStr::new(Layout::MANIFEST)).unwrap();
        }
        assert_eq!(mine, theirs);
    }
    // A batch without RSA keys has nothing to say.
    let folder = fresh();
    let gate = WeakKeyGate::new(&key);
    assert_eq!(Run { gate: Some(&gate), ..Run::new(folder.path()) }.go().unwrap().weak_keys, None);
}

#[test]
fn a_repeat_in_the_batch_is_refused_again_and_again() {
    let key = key(1);
    type Other = fn(u64) -> Option<(u64, u64)>;
    let planted: [(Other, &str); 4] = [
        (
            |n| (n == 20).then_some((2 * 4, 9_000)),
            "a prime was met more than once: position 4 with position 20.",
        ),
        (
            |n| (n == 2).then_some((9_000, 2 * 22)),
            "a prime was met more than once: position 2 with position 22.",
        ),
        (
            |n| (n == 6).then_some((9_000, 9_000)),
            "a prime was met more than once: position 6 with position 6.",
        ),
        (
            |n| (n == 8).then_some((2 * 7, 2 * 7 + 1)),
            "2 primes were met more than once: position 7 with position 8",
        ),
    ];
    for (other, expected) in planted {
        for memory in [24, 1 << 20] {
            let folder = fresh();
            for _ in 0..3 {
                let gate = WeakKeyGate::new(&key).bounds(memory, 100);
                let run = Run { gate: Some(&gate), fake: fake(0, other), ..Run::new(folder.path()) };
                let message = refusal(run.go());
                assert!(message.contains(expected), "{message}");
                assert!(message.contains("not signed") && !folder.path().join("batch.json").exists());
            }
        }
    }
    // With a key of the issuer.
    let folder = fresh();
    let mut gate = WeakKeyGate::new(&key);
    gate.issuer_key("issuer key 01".into(), [tag(7_000), tag(2 * 4)]);
    let message = refusal(Run { gate: Some(&gate), fake: fake(0, |_| None), ..Run::new(folder.path()) }.go());
    assert!(message.contains(": position 4 with issuer key 01."), "{message}");
}

#[test]
fn moduli_that_share_a_factor_are_refused() {
    let key = key(1);
    for (sample, expected) in [
        (100, "2 moduli share a prime: position 2, a CA key"),
        // Not in the sample: the CA key alone shares nothing.
        (0, ""),
    ] {
        let folder = fresh();
        let mut gate = WeakKeyGate::new(&key).bounds(1 << 20, sample);
        gate.modulus("a CA key".into(), &[11 * 3]);
        let run = Run { gate: Some(&gate), fake: fake(0, |_| None), ..Run::new(folder.path()) };
        match expected {
            "" => assert_eq!(run.go().unwrap().weak_keys.unwrap().moduli, 1),
            _ => {
                let message = refusal(run.go());
                assert!(message.contains(expected), "{message}");
            }
        }
    }
}

#[test]
fn a_prime_of_an_earlier_batch_is_refused() {
    let key = key(1);
    let folder = fresh();
    let ledger = PrimeHistory::beside(&folder.path().join("ledger.sqlite"));
    let go = |name: &str, fake: Fake| {
        let mut gate = WeakKeyGate::new(&key).bounds(100, 100);
        gate.history(PrimeHistory::new(Store::default(), &ledger, &key));
        let root = folder.path().join(name);
        Run { gate: Some(&gate), seed: None, fake, ..Run::new(&root) }.go()
    };
    for n in 0..20 {
        let done = go(&format!("good {n}"), fake(n * 1_000, |_| None)).unwrap();
        assert_eq!(done.weak_keys.unwrap().history, 2 * PREPARED * n);
    }
    let bad = || fake(500_000, |n| (n == 12).then_some((3_000 + 2 * 4, 600_000)));
    let message = refusal(go("bad", bad()));
    assert!(
        message.contains("a prime was met more than once: position 12 with an earlier batch ("),
        "{message}"
    );
    assert_eq!(refusal(go("bad", bad())), message);
    // What is refused is known, too: its keys are not made again.
    assert!(refusal(go("again", fake(500_000, |_| None))).contains("an earlier batch"));
}

#[test]
fn a_key_that_the_pool_still_has_is_refused() {
    let folder = fresh();
    let mut ring = SoftwareRing::new(Backend::Portable);
    let name = KeyRef::new(KeyUse::Pool, KeyIndex(1));
    let secret = Secret::new((1..33).collect());
    ring.add_clear(name, KeyAlgorithm::Aes256, secret, KeyAttributes::default()).unwrap();
    let spec = KeySpec::new(512, Exponent::F4).unwrap();
    let pool = Pool::new(&folder.path().join("pool"), Store::default(), &ring).unwrap();
    let (backend, progress) = (Backend::detect(), &NoFillProgress);
    pool.fill(&Fill { spec, count: 3, threads: 1, backend, stop: &NEVER, progress }).unwrap();
    let key = key(1);
    let supply = PoolSupply::open(pool).unwrap();
    let taken = supply.take(1, Purpose::IccKey, spec).unwrap();
    let mut left = Vec::new();
    let mut note = |tags| {
        left.push(tags);
        Ok::<_, BatchError>(())
    };
    supply.prime_tags(&key, &mut note).unwrap();
    assert_eq!(left.len(), 2, "the key that was taken is not in it");
    let go = |name: &str, primes: [PrimeTag; 2]| {
        let mut gate = WeakKeyGate::new(&key);
        gate.pool(&supply);
        let rsa = move |position| vec![RsaTrace { primes, ..trace(0, 0, position) }];
        let root = folder.path().join(name);
        let fake = Fake { rsa: Box::new(rsa), ..Fake::new() };
        Run { orders: 1, gate: Some(&gate), fake, ..Run::new(&root) }.go()
    };
    let good = go("good", key.tags(&taken)).unwrap().weak_keys.unwrap();
    assert_eq!((good.primes, good.pool), (2, 4));
    for n in [0, 1] {
        let message = refusal(go(&format!("bad {n}"), [tag(1), left[n][1]]));
        assert!(message.contains(": position 1 with a key of the pool."), "{message}");
    }
}

#[test]
fn another_tag_key_does_not_complete_a_batch() {
    let (one, two) = (key(1), key(2));
    let folder = fresh();
    let gate = WeakKeyGate::new(&one);
    let store = failing(150, true);
    let run = Run { block: 1, store, gate: Some(&gate), fake: fake(0, |_| None), ..Run::new(folder.path()) };
    run.go().unwrap_err();
    let other = WeakKeyGate::new(&two);
    let message = refusal(
        Run { block: 1, gate: Some(&other), fake: fake(0, |_| None), ..Run::new(folder.path()) }.go(),
    );
    assert!(message.contains("another ledger key"), "{message}");
    Run { block: 1, gate: Some(&gate), fake: fake(0, |_| None), ..Run::new(folder.path()) }.go().unwrap();
}

#[test]
fn the_tag_key_of_a_batch_stays_while_it_runs() {
    let folder = fresh();
    let description = Description {
        engine: "test 1".into(),
        started: "2026-01-01T00:00:00Z".into(),
        start_is_fixed: false,
        configuration: [7; 32],
        seed_commitment: None,
        plain: true,
        block: 5,
        input: None,
    };
    let checks: Vec<[u8; 8]> = (0..2)
        .map(|_| {
            let id = || Ok("00112233445566778899AABBCCDDEEFF".to_owned());
            let job = open(folder.path(), Store::default(), Resume::Yes, &description, id).unwrap();
            let path = folder.path().join(".job/prime-tag-key");
            let key = tag_key(&job, TagKeyFrom::Job).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
            let (one, two) = (Seed::fixed([1; 32]), Seed::fixed([2; 32]));
            let seeded =
                [&one, &two, &one].map(|s| tag_key(&job, TagKeyFrom::Seed(s)).unwrap().check_value());
            assert!(seeded[0] == seeded[2] && seeded[0] != seeded[1] && seeded[0] != key.check_value());
            key.check_value()
        })
        .collect();
    assert_eq!(checks[0], checks[1]);
}

#[test]
fn a_failure_at_every_operation_is_resumed_past_the_gate() {
    let key = key(1);
    for dies in [false, true] {
        let mut at = 1;
        loop {
            let folder = fresh();
            let (root, beside) = (folder.path().join("out"), folder.path().join("l.primes"));
            // Eight batches stand there already: this one's run makes them merge.
            for n in 0..7 {
                let before = PrimeHistory::new(Store::default(), &beside, &key);
                let tags = (0..40).map(|t| 1_000_000 + 1_000 * n + t).map(tag);
                let mut tags: Vec<_> = tags.collect();
                tags.sort_unstable();
                before.write::<BatchError>(&format!("{n:032X}"), tags.into_iter().map(Ok)).unwrap();
            }
            let go = |store: &Store| {
                let mut gate = WeakKeyGate::new(&key).bounds(200, 100);
                gate.history(PrimeHistory::new(store.clone(), &beside, &key));
                let fake = fake(0, |_| None);
                Run { block: 8, seed: None, store: store.clone(), gate: Some(&gate), fake, ..Run::new(&root) }
                    .go()
            };
            let first = go(&failing(at, dies));
            if let Err(e) = &first {
                assert!(matches!(e, BatchError::Store(_)), "operation {at}: {e}");
            }
            let found = go(&Store::default()).unwrap().weak_keys.unwrap();
            assert_eq!((found.primes, found.history), (2 * PREPARED, 7 * 40), "operation {at}");
            let history = PrimeHistory::new(Store::default(), &beside, &key);
            let entries: std::collections::BTreeSet<_> =
                history.entries().unwrap().map(std::result::Result::unwrap).collect();
            assert_eq!(entries.len() as u64, 7 * 40 + 2 * PREPARED, "operation {at}");
            assert!(!root.join(".job").exists());
            if first.is_ok() {
                break;
            }
            at += 1;
        }
        assert!(at > 80, "only {at} operations");
    }
}
