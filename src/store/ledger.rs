//! The ledger: which orders and cards earlier batches have prepared, so that nothing is made twice.
//!
//! SQLite in WAL mode with full syncs. It holds keyed tags only (HMAC-SHA-256 under key use `ledger`, which never lies
//! beside it): neither an `issuerRequestId` nor anything of a card can be read from it or tried against it.
//!
//! # How a batch uses it
//!
//! A block reserves its orders in one synced transaction before its record is linked, in input order of the blocks, and
//! confirms them after. [`Ledger::recover`] at the start of a run settles what a kill left between the two: the
//! reservations of a block without record are dropped, those of a block with one are confirmed. So a batch that is taken
//! up again never meets its own entries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

/// Bytes of a tag.
pub const TAG: usize = 16;

/// A keyed tag.
pub type Tag = [u8; TAG];

/// What the database cannot do.
#[derive(Debug, thiserror::Error)]
#[error("ledger {}: {source}", path.display())]
pub struct LedgerError {
    /// The file.
    pub path: PathBuf,
    /// SQLite's word.
    pub source: rusqlite::Error,
}

/// What one order wants to have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Position in the batch.
    pub position: u64,
    /// Tag of the `issuerRequestId`, if there is one.
    pub request: Option<Tag>,
    /// Tag of all that the order says.
    pub content: Tag,
    /// Tag of PAN, PSN and expiry.
    pub card: Tag,
    /// Whether the order may make a card that was made before.
    pub again: Again,
}

/// Whether an order may make a card that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It may not.
    Refused,
    /// Its `services.issuance` says that it replaces one.
    Allowed,
}

/// What the ledger says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The order is new and reserved now.
    Reserved,
    /// The same order was prepared before.
    Earlier,
    /// Another order had this `issuerRequestId`.
    OtherContent,
    /// The card was made before.
    CardTaken,
    /// The same order or card is under way in a batch that is not finished.
    UnderWay,
}

/// The database.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
    path: PathBuf,
}

/// One entry is one prepared card. `confirmed` is 0 from the reservation to the record of its block.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY,
        batch BLOB NOT NULL,
        block INTEGER NOT NULL,
        position INTEGER NOT NULL,
        request BLOB,
        content BLOB NOT NULL,
        card BLOB NOT NULL,
        confirmed INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS directory (
        issuer TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS entry_request ON entry (request) WHERE request IS NOT NULL;
    CREATE INDEX IF NOT EXISTS entry_card ON entry (card);
    CREATE INDEX IF NOT EXISTS entry_open ON entry (batch, block) WHERE confirmed = 0;
";
const VERSION: i64 = 1;

/// Bytes of a page. With ten million cards a small one writes a fifth of what the usual 4096 do.
const PAGE: i64 = 1024;

/// Bytes of pages in memory. What is not among them mostly stands in the operating system's cache.
const CACHE: i64 = 16 << 20;

/// Bytes in the write-ahead log, about, before it goes into the database: a page that is written several times by then
/// goes once.
const LOG: i64 = 64 << 20;

impl Ledger {
    /// Opens a ledger, or begins one.
    ///
    /// # Errors
    /// [`LedgerError`]; a file that is no ledger of this version, for one.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let at = |source| LedgerError { path: path.to_owned(), source };
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(std::time::Duration::from_secs(60))?;
            // A new ledger only: tags come in random order, so each writes a page of its own in both indexes.
            connection.pragma_update(None, "page_size", PAGE)?;
            connection.pragma_update(None, "cache_size", -(CACHE / 1024))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG / PAGE)?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "secure_delete", true)?;
            connection.execute_batch(SCHEMA)?;
            let version: Option<i64> =
                connection.query_row("SELECT version FROM meta", [], |row| row.get(0)).optional()?;
            match version {
                None => {
                    connection.execute("INSERT INTO meta (version) VALUES (?1)", [VERSION])?;
                }
                Some(VERSION) => {}
                Some(_) => return Err(rusqlite::Error::InvalidQuery),
            }
            Ok(connection)
        };
        Ok(Self { connection: Mutex::new(open().map_err(at)?), path: path.to_owned() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves the orders of a block, in order, in one synced transaction.
    ///
    /// # Errors
    /// [`LedgerError`]: then nothing is reserved.
    pub fn reserve(&self, batch: &str, block: u64, claims: &[Claim]) -> Result<Vec<Verdict>, LedgerError> {
        self.transaction(|t| {
            let mut verdicts = Vec::with_capacity(claims.len());
            for claim in claims {
                let verdict = look(t, batch, claim)?;
                if verdict == Verdict::Reserved {
                    t.prepare_cached(
                        "INSERT INTO entry (batch, block, position, request, content, card, confirmed)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                    )?
                    .execute(params![
                        batch.as_bytes(),
                        signed(block),
                        signed(claim.position),
                        claim.request,
                        claim.content,
                        claim.card
                    ])?;
                }
                verdicts.push(verdict);
            }
            Ok(verdicts)
        })
    }

    /// Confirms a block whose record is linked: the positions that were prepared stay, the others are given free.
    ///
    /// # Errors
    /// [`LedgerError`]; [`Ledger::recover`] of a later run does it again.
    pub fn confirm(
        &self,
        batch: &str,
        block: u64,
        is_prepared: impl Fn(u64) -> bool,
    ) -> Result<(), LedgerError> {
        self.transaction(|t| settle(t, batch, block, &is_prepared))
    }

    /// Settles the open reservations of a batch: `committed` gives, for a block that has a record, which of its positions
    /// were prepared.
    ///
    /// # Errors
    /// [`LedgerError`], or what `committed` fails with.
    pub fn recover<E: From<LedgerError>>(
        &self,
        batch: &str,
        mut committed: impl FnMut(u64) -> Result<Option<Vec<u64>>, E>,
    ) -> Result<(), E> {
        let open: Vec<u64> = self.transaction(|t| {
            let mut statement =
                t.prepare("SELECT DISTINCT block FROM entry WHERE batch = ?1 AND confirmed = 0")?;
            let rows = statement.query_map([batch.as_bytes()], |row| row.get::<_, i64>(0))?;
            rows.map(|block| block.map(|b| u64::try_from(b).unwrap_or(0))).collect()
        })?;
        for block in open {
            let prepared = committed(block)?.unwrap_or_default();
            self.transaction(|t| settle(t, batch, block, &|position| prepared.contains(&position)))?;
        }
        Ok(())
    }

    /// How many cards the ledger knows of a batch, reserved ones among them.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn known_of(&self, batch: &str) -> Result<u64, LedgerError> {
        self.transaction(|t| {
            t.query_row("SELECT count(*) FROM entry WHERE batch = ?1", [batch.as_bytes()], |row| {
                row.get::<_, i64>(0)
            })
            .map(|count| u64::try_from(count).unwrap_or(0))
        })
    }

    /// Forgets a batch, in one synced transaction: its orders can be prepared again. For a batch whose cards are destroyed
    /// and were never given out; doing it again does nothing.
    ///
    /// # Errors
    /// [`LedgerError`]: then nothing is forgotten.
    pub fn release(&self, batch: &str) -> Result<(), LedgerError> {
        self.transaction(|t| t.execute("DELETE FROM entry WHERE batch = ?1", [batch.as_bytes()]).map(|_| ()))
    }

    /// Remembers the sequence of an issuer directory: the highest one that was seen, this one included.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn raise_sequence(&self, issuer: &str, sequence: u64) -> Result<u64, LedgerError> {
        self.transaction(|t| {
            t.execute(
                "INSERT INTO directory (issuer, sequence) VALUES (?1, ?2)
                 ON CONFLICT (issuer) DO UPDATE SET sequence = max(sequence, excluded.sequence)",
                params![issuer, signed(sequence)],
            )?;
            t.query_row("SELECT sequence FROM directory WHERE issuer = ?1", [issuer], |row| {
                row.get::<_, i64>(0)
            })
            .map(|highest| u64::try_from(highest).unwrap_or(u64::MAX))
        })
    }

    /// How many cards the ledger knows, by state: confirmed and reserved.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn counts(&self) -> Result<(u64, u64), LedgerError> {
        self.transaction(|t| {
            let mut counts = BTreeMap::new();
            let mut statement = t.prepare("SELECT confirmed, count(*) FROM entry GROUP BY confirmed")?;
            for row in statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))? {
                let (confirmed, count) = row?;
                counts.insert(confirmed, u64::try_from(count).unwrap_or(0));
            }
            let of = |state| counts.get(&state).copied().unwrap_or(0);
            Ok((of(1), of(0)))
        })
    }

    fn transaction<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let mut connection = lock(&self.connection);
        let run = || {
            // The write lock is taken at once: two batches wait for each other and never fail half-way.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let out = work(&transaction)?;
            transaction.commit()?;
            Ok(out)
        };
        run().map_err(|source| LedgerError { path: self.path.clone(), source })
    }
}

fn look(t: &Transaction<'_>, batch: &str, claim: &Claim) -> rusqlite::Result<Verdict> {
    if let Some(request) = &claim.request {
        let known: Option<(Vec<u8>, i64)> = t
            .prepare_cached("SELECT content, confirmed FROM entry WHERE request = ?1")?
            .query_row([request], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match known {
            Some((content, _)) if content != claim.content => return Ok(Verdict::OtherContent),
            Some((_, 1)) => return Ok(Verdict::Earlier),
            Some(_) => return Ok(Verdict::UnderWay),
            None => {}
        }
    }
    let taken: Option<(i64, Vec<u8>, Vec<u8>)> = t
        .prepare_cached(
            "SELECT confirmed, batch, content FROM entry WHERE card = ?1 ORDER BY confirmed LIMIT 1",
        )?
        .query_row([&claim.card], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(match (taken, claim.again) {
        (None, _) => Verdict::Reserved,
        // Without issuerRequestId the content alone says that it is the same order.
        (Some((1, _, content)), _) if claim.request.is_none() && content == claim.content => Verdict::Earlier,
        (Some((0, other, _)), Again::Refused) if other != batch.as_bytes() => Verdict::UnderWay,
        (Some(_), Again::Refused) => Verdict::CardTaken,
        (Some(_), Again::Allowed) => Verdict::Reserved,
    })
}

fn settle(
    t: &Transaction<'_>,
    batch: &str,
    block: u64,
    is_prepared: &dyn Fn(u64) -> bool,
) -> rusqlite::Result<()> {
    let mut statement =
        t.prepare_cached("SELECT id, position FROM entry WHERE batch = ?1 AND block = ?2 AND confirmed = 0")?;
    let open: Vec<(i64, i64)> = statement
        .query_map(params![batch.as_bytes(), signed(block)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, position) in open {
        if is_prepared(u64::try_from(position).unwrap_or(0)) {
            t.prepare_cached("UPDATE entry SET confirmed = 1 WHERE id = ?1")?.execute([id])?;
        } else {
            t.prepare_cached("DELETE FROM entry WHERE id = ?1")?.execute([id])?;
        }
    }
    Ok(())
}

/// SQLite's integers are signed; positions and blocks stay far below.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(position: u64, request: Option<u8>, content: u8, card: u8) -> Claim {
        Claim {
            position,
            request: request.map(|r| [r; TAG]),
            content: [content; TAG],
            card: [card; TAG],
            again: Again::Refused,
        }
    }

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
        (folder, ledger)
    }

    #[test]
    fn an_order_is_made_once_and_a_card_too() {
        let (_folder, ledger) = ledger();
        let first = claim(1, Some(1), 1, 1);
        assert_eq!(ledger.reserve("A", 0, &[first]).unwrap(), [Verdict::Reserved]);
        assert_eq!(ledger.reserve("B", 0, &[first]).unwrap(), [Verdict::UnderWay]);
        ledger.confirm("A", 0, |_| true).unwrap();
        assert_eq!(ledger.counts().unwrap(), (1, 0));
        let again = Claim { again: Again::Allowed, ..claim(4, Some(4), 4, 1) };
        let verdicts = ledger.reserve(
            "B",
            0,
            &[
                first,
                claim(2, Some(1), 2, 2),
                claim(3, Some(3), 3, 1),
                again,
                claim(5, None, 1, 1),
                claim(6, None, 6, 1),
                claim(7, None, 7, 7),
                claim(8, Some(8), 8, 7),
            ],
        );
        assert_eq!(
            verdicts.unwrap(),
            [
                Verdict::Earlier,
                Verdict::OtherContent,
                Verdict::CardTaken,
                Verdict::Reserved,
                Verdict::CardTaken,
                Verdict::CardTaken,
                Verdict::Reserved,
                Verdict::CardTaken
            ]
        );
    }

    #[test]
    fn what_a_kill_left_open_is_settled_by_the_records() {
        let (folder, ledger) = ledger();
        for block in 0..3_u8 {
            let claims: Vec<Claim> = (0..4)
                .map(|i| claim(u64::from(block * 4 + i), Some(block * 4 + i), i, block * 4 + i))
                .collect();
            ledger.reserve("A", block.into(), &claims).unwrap();
        }
        drop(ledger);
        let ledger = Ledger::open(&folder.path().join("ledger.sqlite")).unwrap();
        // Block 1 has a record; position 5 was rejected.
        let committed = |block| Ok::<_, LedgerError>((block == 1).then(|| vec![4, 6, 7]));
        ledger.recover("B", committed).unwrap();
        assert_eq!(ledger.counts().unwrap(), (0, 12), "another batch settles nothing of this one");
        ledger.recover("A", committed).unwrap();
        assert_eq!(ledger.counts().unwrap(), (3, 0));
        let verdicts = ledger.reserve("A", 0, &[claim(0, Some(0), 0, 0), claim(5, Some(5), 1, 5)]).unwrap();
        assert_eq!(verdicts, [Verdict::Reserved; 2]);
    }

    #[test]
    fn a_batch_that_is_released_can_be_made_again() {
        let (_folder, ledger) = ledger();
        let (made, open, other) = (claim(0, Some(0), 0, 0), claim(4, None, 4, 4), claim(9, Some(9), 9, 9));
        ledger.reserve("A", 0, &[made]).unwrap();
        ledger.confirm("A", 0, |_| true).unwrap();
        ledger.reserve("A", 1, &[open]).unwrap();
        ledger.reserve("B", 0, &[other]).unwrap();
        ledger.confirm("B", 0, |_| true).unwrap();
        assert_eq!((ledger.known_of("A").unwrap(), ledger.known_of("B").unwrap()), (2, 1));
        ledger.release("A").unwrap();
        ledger.release("A").unwrap();
        assert_eq!((ledger.known_of("A").unwrap(), ledger.counts().unwrap()), (0, (1, 0)));
        let verdicts = ledger.reserve("C", 0, &[made, open, other]).unwrap();
        assert_eq!(verdicts, [Verdict::Reserved, Verdict::Reserved, Verdict::Earlier]);
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "this is no database, whatever its name says").unwrap();
        assert!(Ledger::open(&path).is_err());
        let path = folder.path().join("newer");
        drop(Ledger::open(&path).unwrap());
        Connection::open(&path).unwrap().execute("UPDATE meta SET version = 2", []).unwrap();
        assert!(Ledger::open(&path).is_err());
        assert!(Ledger::open(&folder.path().join("no/folder")).is_err());
    }

    #[test]
    fn two_processes_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        Ledger::open(&path).unwrap();
        let reserved: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = ["A", "B", "C"]
                .into_iter()
                .map(|batch| {
                    let path = &path;
                    scope.spawn(move || {
                        let ledger = Ledger::open(path).unwrap();
                        (0..20_u8)
                            .flat_map(|i| {
                                ledger.reserve(batch, i.into(), &[claim(i.into(), Some(i), i, i)]).unwrap()
                            })
                            .filter(|v| *v == Verdict::Reserved)
                            .count()
                    })
                })
                .collect();
            workers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        assert_eq!(reserved, 20);
    }
}
