//! The search for primes on eight lanes: many keys at a time, or one key with its candidates side by side.
//!
//! A lane is filled with the next candidates of the tasks at hand. With eight tasks or more each has one
//! lane; with fewer ones a task tests several candidates of its order at once, and the first that passes
//! counts. So nothing depends on which tasks share a batch.

#![allow(clippy::indexing_slicing, reason = "lanes and tasks are counted by the loops that name them")]

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::RsaPrivate;
use super::keygen::{KeySpec, MAX_ATTEMPTS, within_bounds};
use super::prime::rounds;
use super::sample::{self, Side, WORDS, Window, WindowId, Words};
use crate::crypto::rng::CardStream;
use crate::error::{Error, ErrorKind, Result};

/// Numbers side by side.
pub(super) const LANES: usize = 8;

/// A prime or a candidate that moves from list to list: boxed, so that no move leaves a copy behind.
type Prime = Box<Zeroizing<Words>>;

/// Kernels for primes of one size, on a machine that has their instructions: what a value of this type is the
/// proof of.
pub(super) trait Engine {
    /// The offsets of the window that the sieve leaves, in rising order.
    fn survivors(&self, window: &Window, spec: &KeySpec) -> Vec<u16>;

    /// Fermat's test to base 2 on eight odd numbers whose two top bits are set: the lanes that pass.
    fn fermat(&self, words: &[Words; LANES]) -> u8;

    /// The arithmetic of eight odd numbers.
    fn moduli(&self, words: &[Words; LANES]) -> Box<dyn Moduli + '_>;

    /// `block ^ d mod n`, verified: one block under each key, all keys of this size.
    fn sign_each(&self, keys: &[&RsaPrivate], blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>>;
}

/// Eight moduli made ready. Wiped when dropped.
pub(super) trait Moduli {
    /// One round of Miller-Rabin on each modulus, with bases from 2 to n - 2: the lanes that pass.
    fn miller_rabin(&self, bases: &[Words; LANES]) -> u8;

    /// base^exponent mod n, lane by lane, for bases below n.
    fn power(&self, bases: &[Words; LANES], exponents: &[Words; LANES]) -> Zeroizing<[Words; LANES]>;
}

/// One key for each job. `engine` gives the kernels for primes of so many bits.
pub(super) fn generate_batch<E: Engine>(
    engine: impl Fn(usize) -> Option<E>,
    jobs: &[(KeySpec, &CardStream)],
) -> Vec<Result<RsaPrivate>> {
    let mut out: Vec<Option<Result<RsaPrivate>>> = jobs.iter().map(|_| None).collect();
    let mut specs: Vec<KeySpec> = Vec::new();
    for (spec, _) in jobs {
        if !specs.contains(spec) {
            specs.push(*spec);
        }
    }
    for (spec, attempt) in specs.iter().flat_map(|spec| (0..MAX_ATTEMPTS).map(move |attempt| (spec, attempt)))
    {
        let group: Vec<usize> =
            (0..jobs.len()).filter(|i| out[*i].is_none() && jobs[*i].0 == *spec).collect();
        if group.is_empty() {
            continue;
        }
        let streams: Vec<&CardStream> = group.iter().map(|i| jobs[*i].1).collect();
        let has_lanes = spec.prime_bits().is_multiple_of(8);
        let keys = match engine(spec.prime_bits()).filter(|_| has_lanes) {
            Some(engine) => attempt_group(&engine, spec, &streams, attempt),
            None => streams.iter().map(|stream| Some(super::generate(*spec, stream))).collect(),
        };
        for (i, key) in group.into_iter().zip(keys) {
            out[i] = key;
        }
    }
    let none = || Err(ErrorKind::Internal("no key within the bound of attempts").into());
    out.into_iter().map(|key| key.unwrap_or_else(none)).collect()
}

/// One attempt for each stream; None where the bounds move it on.
fn attempt_group<E: Engine>(
    engine: &E,
    spec: &KeySpec,
    streams: &[&CardStream],
    attempt: u64,
) -> Vec<Option<Result<RsaPrivate>>> {
    let tasks = streams.iter().flat_map(|stream| {
        [Side::P, Side::Q].map(|side| Task { stream, side, attempt, window: 0, open: None })
    });
    let primes = Search::run(engine, spec, tasks.collect());
    let mut out: Vec<Option<Result<RsaPrivate>>> = Vec::with_capacity(streams.len());
    let mut pairs = Vec::with_capacity(streams.len());
    for (i, sides) in primes.chunks(2).enumerate() {
        let [p, q] = sides else { continue };
        match (p, q) {
            (Ok(p), Ok(q)) if sample::far_apart(p, q, spec.prime_bits()) => {
                let exchanged = p.iter().rev().lt(q.iter().rev());
                let (p, q) = if exchanged { (q, p) } else { (p, q) };
                pairs.push((i, p.clone(), q.clone()));
                out.push(None);
            }
            (Ok(_), Ok(_)) => out.push(None),
            (Err(e), _) | (_, Err(e)) => out.push(Some(Err(e.clone()))),
        }
    }
    for eight in pairs.chunks(LANES) {
        let mut keys: Vec<(usize, RsaPrivate)> = Vec::with_capacity(LANES);
        for ((i, p, q), qinv) in eight.iter().zip(inverses(engine, eight).iter()) {
            let len = spec.prime_bits() / 8;
            let [p, q, qinv] = [p, q, qinv].map(|words| sample::to_be(words, len));
            match RsaPrivate::from_primes_and_qinv(&p, &q, &qinv, spec.exponent()) {
                Ok(key) => match within_bounds(spec, &key) {
                    Ok(true) => keys.push((*i, key)),
                    Ok(false) => {}
                    Err(e) => out[*i] = Some(Err(e)),
                },
                Err(e) => out[*i] = Some(Err(e)),
            }
        }
        let blocks: Vec<Vec<u8>> = keys
            .iter()
            .map(|(i, key)| sample::consistency_block(streams[*i], attempt, key.public().len()))
            .collect();
        let signed = engine.sign_each(&keys.iter().map(|(_, key)| key).collect::<Vec<_>>(), &blocks);
        for ((i, key), signed) in keys.into_iter().zip(signed) {
            out[i] = Some(signed.map(|_| key));
        }
    }
    out
}

/// q^-1 mod p of up to eight pairs: q^(p-2).
fn inverses(engine: &impl Engine, pairs: &[(usize, Prime, Prime)]) -> Zeroizing<[Words; LANES]> {
    // Idle lanes repeat the last pair.
    let pair = |lane: usize| pairs.get(lane).or(pairs.last());
    let p = Zeroizing::new(std::array::from_fn(|lane| pair(lane).map_or([1; WORDS], |(_, p, _)| ***p)));
    let q = Zeroizing::new(std::array::from_fn(|lane| pair(lane).map_or([1; WORDS], |(_, _, q)| ***q)));
    let mut exponents = p.clone();
    for p in exponents.iter_mut() {
        let mut borrow = 2;
        for word in p.iter_mut() {
            let (less, under) = word.overflowing_sub(borrow);
            *word = less;
            borrow = u64::from(under);
        }
    }
    engine.moduli(&p).power(&q, &exponents)
}

/// One prime to find.
struct Task<'a> {
    stream: &'a CardStream,
    side: Side,
    attempt: u64,
    /// The number of the next window.
    window: u64,
    /// Boxed: a task moves from list to list, and each move would leave a copy behind.
    open: Option<Box<Open>>,
}

/// A window under search.
struct Open {
    id: WindowId,
    window: Window,
    /// Survivors in the order of the permutation.
    order: Vec<u16>,
    next: usize,
}

impl Task<'_> {
    /// The candidate `ahead` places after the next one, if the window has it.
    fn candidate(&self, ahead: usize) -> Option<Words> {
        let open = self.open.as_ref()?;
        open.order.get(open.next + ahead).map(|offset| open.window.candidate(*offset))
    }

    /// Opens windows until one has a candidate left.
    fn prepare(&mut self, engine: &impl Engine, spec: &KeySpec) -> Result<()> {
        while self.open.as_ref().is_none_or(|open| open.next >= open.order.len()) {
            if self.window >= spec.max_windows() {
                return Err(ErrorKind::Internal("no prime within the bound of windows").into());
            }
            let id = WindowId { side: self.side, attempt: self.attempt, window: self.window };
            self.window += 1;
            self.open = Window::draw(spec, self.stream, id).map(|window| {
                let mut order = engine.survivors(&window, spec);
                window.order(&mut order);
                Box::new(Open { id, window, order, next: 0 })
            });
        }
        Ok(())
    }
}

/// A candidate that passed Fermat's test, with its task.
struct Passer<'a> {
    at: usize,
    task: Task<'a>,
    words: Prime,
}

struct Search<'a, E> {
    engine: &'a E,
    spec: &'a KeySpec,
    queue: VecDeque<(usize, Task<'a>)>,
    active: Vec<(usize, Task<'a>)>,
    passers: Vec<Passer<'a>>,
    found: Vec<Option<Result<Prime>>>,
}

impl<'a, E: Engine> Search<'a, E> {
    /// The prime of each task.
    fn run(engine: &'a E, spec: &'a KeySpec, tasks: Vec<Task<'a>>) -> Vec<Result<Prime>> {
        let found = tasks.iter().map(|_| None).collect();
        let queue = tasks.into_iter().enumerate().collect();
        let mut search = Self { engine, spec, queue, active: Vec::new(), passers: Vec::new(), found };
        loop {
            search.fill();
            if search.active.is_empty() && search.passers.is_empty() {
                break;
            }
            if search.active.is_empty() || search.passers.len() >= LANES {
                search.confirm();
            } else {
                search.step();
            }
        }
        let none = || Err(Error::new(ErrorKind::Internal("a search without an end")));
        search.found.into_iter().map(|prime| prime.unwrap_or_else(none)).collect()
    }

    /// Brings tasks to the lanes, each with a candidate.
    fn fill(&mut self) {
        let mut ready = Vec::with_capacity(LANES);
        let mut waiting: VecDeque<_> = std::mem::take(&mut self.active).into();
        while ready.len() < LANES {
            let Some((at, mut task)) = waiting.pop_front().or_else(|| self.queue.pop_front()) else { break };
            match task.prepare(self.engine, self.spec) {
                Ok(()) => ready.push((at, task)),
                Err(e) => self.found[at] = Some(Err(e)),
            }
        }
        self.active = ready;
    }

    /// One Fermat test on eight candidates.
    fn step(&mut self) {
        let tasks = self.active.len();
        let mut lanes = Zeroizing::new([[0; WORDS]; LANES]);
        let mut used = [false; LANES];
        for lane in 0..LANES {
            let candidate = self.active[lane % tasks].1.candidate(lane / tasks);
            used[lane] = candidate.is_some();
            // Lane 0 always has one; idle lanes repeat it.
            lanes[lane] = candidate.unwrap_or(lanes[0]);
        }
        let passed = self.engine.fermat(&lanes);
        let mut still_active = Vec::with_capacity(LANES);
        for (slot, (at, mut task)) in std::mem::take(&mut self.active).into_iter().enumerate() {
            let tested = (slot..LANES).step_by(tasks).take_while(|lane| used[*lane]);
            let hit = tested.clone().position(|lane| passed >> lane & 1 == 1);
            if let Some(open) = &mut task.open {
                open.next += hit.unwrap_or_else(|| tested.count());
            }
            match hit {
                Some(ahead) => {
                    let words = Box::new(Zeroizing::new(lanes[slot + ahead * tasks]));
                    self.passers.push(Passer { at, task, words });
                }
                None => still_active.push((at, task)),
            }
        }
        self.active = still_active;
    }

    /// All rounds of Miller-Rabin on all passers. One that fails goes on with its next candidate.
    fn confirm(&mut self) {
        let bits = self.spec.prime_bits();
        let passers = std::mem::take(&mut self.passers);
        let mut tests = Vec::new();
        for (i, passer) in passers.iter().enumerate() {
            let offset =
                passer.task.open.as_ref().and_then(|open| Some((open.id, *open.order.get(open.next)?)));
            if let Some((id, offset)) = offset {
                let mut bases = id.bases(passer.task.stream, offset);
                for round in 0..rounds(bits) {
                    tests.push((round, i, Zeroizing::new(bases.next(&passer.words, bits))));
                }
            }
        }
        // Round by round, so that eight passers share their moduli for all rounds.
        tests.sort_by_key(|(round, i, _)| (*round, *i));
        let mut composite = vec![false; passers.len()];
        let engine = self.engine;
        let mut moduli: Option<(Vec<usize>, Box<dyn Moduli + '_>)> = None;
        for eight in tests.chunks(LANES) {
            let test = |lane: usize| &eight[lane.min(eight.len() - 1)];
            let which: Vec<usize> = (0..LANES).map(|lane| test(lane).1).collect();
            let bases = Zeroizing::new(std::array::from_fn(|lane| *test(lane).2));
            if moduli.as_ref().is_none_or(|(held, ..)| *held != which) {
                let words = Zeroizing::new(std::array::from_fn(|lane| **passers[which[lane]].words));
                moduli = Some((which.clone(), engine.moduli(&words)));
            }
            let Some((_, arithmetic)) = &moduli else { continue };
            let passed = arithmetic.miller_rabin(&bases);
            for (lane, i) in which.into_iter().enumerate() {
                composite[i] |= passed >> lane & 1 == 0;
            }
        }
        for (mut passer, composite) in passers.into_iter().zip(composite) {
            if !composite {
                self.found[passer.at] = Some(Ok(passer.words));
                continue;
            }
            if let Some(open) = &mut passer.task.open {
                open.next += 1;
            }
            self.queue.push_front((passer.at, passer.task));
        }
    }
}

/// n becomes the odd part of n - 1; gives how often two divides n - 1.
pub(super) fn split_less_one(n: &mut Words) -> u32 {
    n[0] &= !1;
    let zero_words = n.iter().take_while(|w| **w == 0).count().min(WORDS - 1);
    let bits = n[zero_words].trailing_zeros().min(63);
    let source = Zeroizing::new(*n);
    for (i, word) in n.iter_mut().enumerate() {
        let low = source.get(i + zero_words).map_or(0, |w| w >> bits);
        let high = if bits == 0 { 0 } else { source.get(i + zero_words + 1).map_or(0, |w| w << (64 - bits)) };
        *word = low | high;
    }
    zero_words as u32 * 64 + bits
}
