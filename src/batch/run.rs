use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::card::CardId;
use crate::crypto::rng::Seed;
use crate::output::report::Step;
use crate::output::{Counts, Manifest, OrderOutcome, Sealer, StatusLine, Verification};
use crate::prepare::Rejection;
use crate::store::ledger::{Claim, Ledger, Verdict};

use super::attempt::{self, Frame, Outcome};
use super::finish::{self, Facts};
use super::input::{Block, Input};
use super::pipeline::{Head, Made, Pipeline};
use super::seen::Seen;
use super::watch::Watch;
use super::{BatchError, BlockNumber, BlockRecord, OpenJob, WeakKeyGate};

/// Blocks that are worked on at the same time: one computes while another waits for the disk.
const BLOCKS_IN_FLIGHT: usize = 3;

/// Orders of a block that go through the steps of the pipeline together.
const CHUNK: usize = 64;

/// How a batch runs.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Threads that compute; 0 takes one for each core.
    pub threads: usize,
    /// A fixed seed (test issuers); without one each block draws its own.
    pub seed: Option<&'a Seed>,
    /// Who seals the files; `None` leaves the outer envelope out (test issuers).
    pub sealer: Option<&'a dyn Sealer>,
    /// Becomes true when the batch is to stop at a block boundary.
    pub stop: &'a AtomicBool,
    /// Who is told of every block.
    pub progress: &'a dyn Progress,
    /// What earlier batches have prepared.
    pub ledger: Option<&'a Ledger>,
    /// What RSA keys are compared with before the manifest is signed.
    pub gate: Option<&'a WeakKeyGate<'a>>,
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Is told how a batch goes on.
pub trait Progress: Sync {
    /// A block is committed (or was, before this run).
    fn block(&self, done: &BlockDone<'_>);

    /// The last block is committed; primes are compared now, and the manifest is made.
    fn finishing(&self) {}
}

/// A block that is committed.
#[derive(Clone, Copy, Debug)]
pub struct BlockDone<'a> {
    /// Its counts.
    pub counts: &'a Counts,
    /// Bytes of the input from its start to about the end of the block: of the whole input this is the share done.
    pub read: u64,
    /// When.
    pub committed: Committed,
}

/// When a block was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// By an earlier run of the batch.
    Before,
    /// By this one.
    Now,
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn block(&self, _: &BlockDone<'_>) {}
}

/// Runs a batch to its manifest.
///
/// # Errors
/// [`BatchError`]; everything that is committed stays, and a later run completes it.
pub fn run<P: Pipeline>(
    job: &OpenJob,
    pipeline: &P,
    mut input: Input,
    settings: &Settings<'_>,
    facts: &Facts,
) -> Result<Manifest, BatchError> {
    finish::discard_dead_attempts(job, settings.gate)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build();
    let pool = pool.map_err(|_| BatchError::Internal("the threads cannot be started"))?;
    let shared = Shared {
        job,
        pipeline,
        settings,
        pool,
        turns: Turns::new(Seen::new(&job.layout.scratch("card-ids"))?),
        failure: Mutex::new(None),
        watch: Watch::start(),
    };
    if let Some(ledger) = settings.ledger {
        ledger.recover(&job.job.batch, |block| shared.prepared_of(BlockNumber(block)))?;
    }
    let (sender, receiver) = sync_channel(1);
    let receiver = Mutex::new(receiver);
    let blocks = std::thread::scope(|scope| {
        let sender = sender;
        for _ in 0..BLOCKS_IN_FLIGHT {
            scope.spawn(|| shared.work(&receiver));
        }
        let mut blocks = 0_u64;
        while !shared.has_failed() {
            if settings.stop.load(Ordering::Relaxed) {
                shared.fail(BatchError::Interrupted);
                break;
            }
            match input.next_block(settings.stop) {
                // What came last may be half an order.
                Ok(Some(_)) if input.whole().is_some_and(|whole| !job.job.may_have_read(&whole)) => {
                    shared.fail(other_input());
                    break;
                }
                Ok(Some(block)) => {
                    blocks = blocks.saturating_add(1);
                    if sender.send(block).is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    shared.fail(e);
                    break;
                }
            }
        }
        drop(sender);
        blocks
    });
    if let Some(failure) = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    let orders = input.orders();
    let digest = input.finish()?;
    let ended = finish::Ended { blocks, orders, digest, watch: &shared.watch, gate: settings.gate };
    settings.progress.finishing();
    shared.pool.install(|| finish::finish(job, &ended, facts))
}

struct Shared<'a, P: Pipeline> {
    job: &'a OpenJob,
    pipeline: &'a P,
    settings: &'a Settings<'a>,
    pool: rayon::ThreadPool,
    turns: Turns,
    failure: Mutex<Option<BatchError>>,
    watch: Watch,
}

type Parsed<R> = Vec<(Head, Result<R, Rejection>)>;

impl<P: Pipeline> Shared<'_, P> {
    fn work(&self, receiver: &Mutex<Receiver<Block>>) {
        loop {
            let received = lock(receiver).recv();
            let Ok(block) = received else { return };
            let (number, read) = (block.number, block.read);
            // A failure lets the others through, so that nobody waits for a turn that never comes.
            if self.has_failed() {
                self.turns.pass(number);
                continue;
            }
            let done = catch_unwind(AssertUnwindSafe(|| self.block(block)));
            match done.unwrap_or(Err(BatchError::Internal("a block could not be worked on"))) {
                Ok((record, committed)) => {
                    let counts = &record.counts;
                    self.watch.block(counts, committed);
                    self.settings.progress.block(&BlockDone { counts, read, committed });
                }
                Err(e) => self.fail(e),
            }
            self.turns.pass(number);
        }
    }

    fn block(&self, block: Block) -> Result<(BlockRecord, Committed), BatchError> {
        let OpenJob { job, layout, store, .. } = self.job;
        if let Some(record) = attempt::read_record(store, layout, &job.batch, block.number)? {
            if record.input != block.input || record.counts.orders != block.orders.len() as u64 {
                return Err(other_input());
            }
            let ids = self.committed_ids(&record)?;
            let ids = ids.iter().map(|(position, id)| (*position, id));
            let places = record.places()?;
            self.turns.take(block.number, |seen| {
                seen.block(ids)?;
                seen.block(places.iter().map(|(position, place)| (*position, place)))
            })?;
            attempt::publish(store, layout, &record)?;
            return Ok((record, Committed::Before));
        }
        let watch = &self.watch;
        let parsed: Parsed<P::Request> = watch.step(Step::Read, || {
            self.pool.install(|| block.orders.par_iter().map(|o| self.parse(o)).collect())
        });
        drop(block.orders);
        let ids = parsed.iter().filter_map(|(head, _)| Some((head.position, head.card_id.as_ref()?)));
        let places = self.places(&parsed);
        let claims = self.claims(&parsed)?;
        let once = |seen: &mut Seen| {
            let ids = seen.block(ids)?;
            let places = seen.block(places.iter().map(|(position, place)| (*position, place)))?;
            // In input order too: of two orders for one card the first is made.
            let claims =
                claims.into_iter().filter(|c| !ids.contains(&c.position) && !places.contains(&c.position));
            let known = self.reserve(block.number, &claims.collect::<Vec<_>>())?;
            Ok(Used { ids, places, known, taken: Vec::new() })
        };
        let mut used = watch.step(Step::OnceOnly, || self.turns.take(block.number, once))?;
        used.taken = places;

        let fresh;
        let seed = match self.settings.seed {
            Some(fixed) => fixed,
            None => {
                fresh = Seed::from_os().map_err(BatchError::Lost)?;
                &fresh
            }
        };
        let (outcomes, verification) = watch
            .step(Step::Prepare, || self.pool.install(|| self.prepare(block.number, seed, parsed, &used)))?;
        let frame = Frame {
            store,
            layout,
            batch: &job.batch,
            sealer: self.settings.sealer,
            issuer_return: self.pipeline.issuer_return(),
            gate: self.settings.gate,
            verification: verification.as_ref(),
            places: &used.taken,
        };
        let write = || attempt::commit(&frame, block.number, block.input, seed, &outcomes);
        let record = watch.step(Step::Write, write)?;
        if let Some(ledger) = self.settings.ledger {
            let prepared = self.prepared(&record)?;
            ledger.confirm(&job.batch, block.number.0, |position| prepared.contains(&position))?;
        }
        attempt::publish(store, layout, &record)?;
        Ok((record, Committed::Now))
    }

    /// What the ledger is asked about the orders of a block.
    fn claims(&self, parsed: &Parsed<P::Request>) -> Result<Vec<Claim>, BatchError> {
        if self.settings.ledger.is_none() {
            return Ok(Vec::new());
        }
        let requests: Vec<&P::Request> =
            parsed.iter().filter_map(|(_, request)| request.as_ref().ok()).collect();
        let claims: crate::error::Result<Vec<Option<Claim>>> =
            self.pool.install(|| requests.par_iter().map(|request| self.pipeline.claim(request)).collect());
        Ok(claims.map_err(BatchError::Lost)?.into_iter().flatten().collect())
    }

    /// What the ledger says of the orders that are not new.
    fn reserve(&self, block: BlockNumber, claims: &[Claim]) -> Result<BTreeMap<u64, Verdict>, BatchError> {
        let Some(ledger) = self.settings.ledger else { return Ok(BTreeMap::new()) };
        let verdicts = ledger.reserve(&self.job.job.batch, block.0, claims)?;
        let known = claims.iter().zip(verdicts).filter(|(_, verdict)| *verdict != Verdict::Reserved);
        Ok(known.map(|(claim, verdict)| (claim.position, verdict)).collect())
    }

    /// Positions of a block that has a record whose cards it prepared.
    fn prepared_of(&self, block: BlockNumber) -> Result<Option<Vec<u64>>, BatchError> {
        let OpenJob { job, layout, store, .. } = self.job;
        let record = attempt::read_record(store, layout, &job.batch, block)?;
        record.map(|record| self.prepared(&record)).transpose()
    }

    fn prepared(&self, record: &BlockRecord) -> Result<Vec<u64>, BatchError> {
        let lines = self.statuses(record)?;
        Ok(lines.iter().filter(|l| l.is_prepared() && !l.earlier).map(|l| l.position).collect())
    }

    /// The places on shared carriers that the orders of a block take.
    fn places(&self, parsed: &Parsed<P::Request>) -> Vec<(u64, CardId)> {
        let place = |(head, request): &(Head, Result<P::Request, Rejection>)| {
            Some((head.position, self.pipeline.carrier_place(request.as_ref().ok()?)?))
        };
        parsed.iter().filter_map(place).collect()
    }

    /// cardIds of a committed block, from its statuses.
    fn committed_ids(&self, record: &BlockRecord) -> Result<Vec<(u64, CardId)>, BatchError> {
        let id = |line: StatusLine| Some((line.position, line.card_id?.parse().ok()?));
        Ok(self.statuses(record)?.into_iter().filter_map(id).collect())
    }

    fn statuses(&self, record: &BlockRecord) -> Result<Vec<StatusLine>, BatchError> {
        let text = finish::part(self.job, record, &record.status)?;
        let damaged = || BatchError::Refused("a committed status cannot be read".to_owned());
        let text = String::from_utf8(text).map_err(|_| damaged())?;
        text.lines().map(|line| StatusLine::read(line).map_err(|_| damaged())).collect()
    }

    fn parse(&self, order: &crate::order::RawOrder) -> (Head, Result<P::Request, Rejection>) {
        catch_unwind(AssertUnwindSafe(|| self.pipeline.parse(order))).unwrap_or_else(|_| {
            let head = Head {
                position: order.position(),
                card_id: None,
                issuer_request_id: None,
                channel: None,
                destination: None,
            };
            (head, Err(our_fault()))
        })
    }

    fn prepare(
        &self,
        number: BlockNumber,
        seed: &Seed,
        parsed: Parsed<P::Request>,
        used: &Used,
    ) -> Result<(Vec<Outcome>, Option<Verification>), BatchError> {
        let keys = self.pipeline.begin(seed, number).map_err(BatchError::Lost)?;
        let mut chunks = Vec::new();
        let mut rest = parsed.into_iter().peekable();
        while rest.peek().is_some() {
            chunks.push(rest.by_ref().take(CHUNK).collect::<Vec<_>>());
        }
        let done: Result<Vec<Vec<Outcome>>, BatchError> =
            chunks.into_par_iter().map(|chunk| self.chunk(seed, &keys, chunk, used)).collect();
        Ok((done?.into_iter().flatten().collect(), self.pipeline.verification(&keys)))
    }

    fn chunk(
        &self,
        seed: &Seed,
        keys: &P::Block,
        chunk: Parsed<P::Request>,
        used: &Used,
    ) -> Result<Vec<Outcome>, BatchError> {
        let mut heads = Vec::with_capacity(chunk.len());
        let mut requests = Vec::new();
        for (head, parsed) in chunk {
            let known = used.known.get(&head.position);
            let parsed = if used.ids.contains(&head.position) {
                Err(Rejection::value("cardId", "this cardId was used before in this batch"))
            } else if used.places.contains(&head.position) {
                let field = "order.cardCarrierConfig.multiCardOrder";
                Err(Rejection::value(field, "another card of this batch has this place on the carrier"))
            } else if let Some(rejection) = known.and_then(|verdict| known_before(*verdict)) {
                Err(rejection)
            } else {
                parsed
            };
            let earlier = known == Some(&Verdict::Earlier);
            let rejection = match parsed {
                Ok(_) if earlier => None,
                Ok(request) => {
                    requests.push(request);
                    None
                }
                Err(rejection) => Some(rejection),
            };
            heads.push((head, rejection, earlier));
        }
        let mut made = self.made(seed, keys, &requests)?.into_iter();
        let outcomes = heads.into_iter().map(|(head, rejection, earlier)| {
            let result = match rejection {
                Some(rejection) => Err(rejection),
                None if earlier => {
                    let Head { position, card_id, issuer_request_id, channel, destination } = head;
                    let rejection = None;
                    let outcome = OrderOutcome {
                        position,
                        card_id,
                        issuer_request_id,
                        channel,
                        destination,
                        rejection,
                        earlier,
                    };
                    return (outcome, None);
                }
                None => made.next().unwrap_or_else(|| Err(our_fault())),
            };
            let (made, rejection) = match result {
                Ok(made) => (Some(made), None),
                Err(rejection) => (None, Some(rejection)),
            };
            let Head { position, card_id, issuer_request_id, channel, destination } = head;
            let outcome = OrderOutcome {
                position,
                card_id,
                issuer_request_id,
                channel,
                destination,
                rejection,
                earlier: false,
            };
            (outcome, made)
        });
        Ok(outcomes.collect())
    }

    /// Prepares requests together. A panic makes them go one by one, so that it takes one card with it and never the
    /// batch; nothing of its message is told.
    fn made(
        &self,
        seed: &Seed,
        keys: &P::Block,
        requests: &[P::Request],
    ) -> Result<Vec<Result<Made, Rejection>>, BatchError> {
        let together = catch_unwind(AssertUnwindSafe(|| self.pipeline.prepare(seed, keys, requests)));
        match together {
            Ok(Ok(made)) if made.len() == requests.len() => return Ok(made),
            Ok(Err(e)) => return Err(BatchError::Lost(e)),
            _ if requests.len() < 2 => return Ok(requests.iter().map(|_| Err(our_fault())).collect()),
            _ => {}
        }
        let mut out = Vec::with_capacity(requests.len());
        for request in requests.chunks(1) {
            out.extend(self.made(seed, keys, request)?);
        }
        Ok(out)
    }

    fn fail(&self, error: BatchError) {
        lock(&self.failure).get_or_insert(error);
        self.turns.open_all();
    }

    fn has_failed(&self) -> bool {
        lock(&self.failure).is_some()
    }
}

/// The refusal of an order that the ledger knows; none for one that an earlier batch prepared.
fn known_before(verdict: Verdict) -> Option<Rejection> {
    match verdict {
        Verdict::Reserved | Verdict::Earlier => None,
        Verdict::OtherContent => {
            Some(Rejection::value("issuerRequestId", "another order had this issuerRequestId"))
        }
        Verdict::CardTaken => Some(Rejection::not_allowed(
            "order.services.issuance",
            "this card was made before, and the issuance does not replace it",
        )),
        Verdict::UnderWay => Some(Rejection::not_allowed(
            "order.services.issuance",
            "this card is under way in a batch that is not finished",
        )),
    }
}

/// The input is not the one of the batch, or not any more.
pub(super) fn other_input() -> BatchError {
    BatchError::Refused(
        "the batch in this folder was started with another input, or the input changed while it was read"
            .to_owned(),
    )
}

fn our_fault() -> Rejection {
    Rejection::internal("this order could not be worked on")
}

/// The set of cardIds, reached by one block after the other in input order.
struct Turns {
    state: Mutex<(u64, bool)>,
    changed: Condvar,
    seen: Mutex<Seen>,
}

impl Turns {
    const fn new(seen: Seen) -> Self {
        Self { state: Mutex::new((0, false)), changed: Condvar::new(), seen: Mutex::new(seen) }
    }

    /// Waits for the block's turn, works on the set, and passes the turn on.
    fn take<T>(
        &self,
        number: BlockNumber,
        work: impl FnOnce(&mut Seen) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        let waiting = self.changed.wait_while(lock(&self.state), |(next, open)| *next < number.0 && !*open);
        let open = waiting.unwrap_or_else(PoisonError::into_inner).1;
        if open {
            return Err(BatchError::Interrupted);
        }
        let done = work(&mut lock(&self.seen));
        self.pass(number);
        done
    }

    /// The turn of this block is over.
    fn pass(&self, number: BlockNumber) {
        let mut state = lock(&self.state);
        state.0 = state.0.max(number.0.saturating_add(1));
        self.changed.notify_all();
    }

    /// Nobody waits any more.
    fn open_all(&self) {
        lock(&self.state).1 = true;
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Positions whose cardId, or whose place on a shared carrier, an earlier order of the batch has.
struct Used {
    ids: BTreeSet<u64>,
    places: BTreeSet<u64>,
    /// Orders that are not new to the ledger.
    known: BTreeMap<u64, Verdict>,
    /// Every place on a shared carrier that an order of the block names.
    taken: Vec<(u64, CardId)>,
}
