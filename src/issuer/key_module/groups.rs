//! Jobs by key, and their results back in order: what lets every step be one call per key.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::keys::{KeyAlgorithm, KeyRef, KeySource, KeyUse};
use crate::secret::wipe_stack;

/// One place for the result of each job, filled in any order.
pub(super) struct Answers<R>(Vec<Option<Result<R>>>);

impl<R> Answers<R> {
    pub(super) fn new(jobs: usize) -> Self {
        Self(std::iter::repeat_with(|| None).take(jobs).collect())
    }

    /// The result of one job. An error that is there already stays: it is the first.
    pub(super) fn put(&mut self, job: usize, result: Result<R>) {
        if let Some(slot) = self.0.get_mut(job)
            && !matches!(slot, Some(Err(_)))
        {
            *slot = Some(result);
        }
    }

    /// The results of one group, or its error for each of its jobs.
    ///
    /// # Errors
    /// The error of the group, if it stops the batch.
    pub(super) fn settle(
        &mut self,
        jobs: impl IntoIterator<Item = usize>,
        outcome: Result<Vec<Result<R>>>,
    ) -> Result<()> {
        match outcome {
            Ok(results) => jobs.into_iter().zip(results).for_each(|(job, r)| self.put(job, r)),
            Err(e) => self.fail(jobs, &e)?,
        }
        Ok(())
    }

    /// The same error for several jobs.
    ///
    /// # Errors
    /// The error itself, if it stops the batch.
    pub(super) fn fail(&mut self, jobs: impl IntoIterator<Item = usize>, error: &Error) -> Result<()> {
        if error.stops_batch() {
            return Err(error.clone());
        }
        jobs.into_iter().for_each(|job| self.put(job, Err(error.clone())));
        Ok(())
    }

    /// Whether the job has failed already.
    pub(super) fn has_failed(&self, job: usize) -> bool {
        matches!(self.0.get(job), Some(Some(Err(_))))
    }

    pub(super) fn finish(self) -> Vec<Result<R>> {
        let missing = || Err(ErrorKind::Internal("a job of the batch has no result").into());
        self.0.into_iter().map(|slot| slot.unwrap_or_else(missing)).collect()
    }
}

/// A key as the source knows it. Two names may lead to one key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resolved {
    pub(super) key: KeyRef,
    tdes: bool,
    key_len: usize,
}

impl Resolved {
    pub(super) const fn algorithm(&self) -> KeyAlgorithm {
        match (self.tdes, self.key_len) {
            (true, 16) => KeyAlgorithm::Tdes2,
            (true, _) => KeyAlgorithm::Tdes3,
            (false, 16) => KeyAlgorithm::Aes128,
            (false, 24) => KeyAlgorithm::Aes192,
            (false, _) => KeyAlgorithm::Aes256,
        }
    }
}

/// Looks up each key name of a batch once.
pub(super) struct Resolver<'s, S: ?Sized> {
    source: &'s S,
    seen: BTreeMap<KeyRef, Result<Resolved>>,
}

impl<'s, S: KeySource + ?Sized> Resolver<'s, S> {
    pub(super) const fn new(source: &'s S) -> Self {
        Self { source, seen: BTreeMap::new() }
    }

    /// The key behind a name, if its use is one of `uses`.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUsage`] for another use, and what the source says.
    pub(super) fn resolve(&mut self, key: KeyRef, uses: &[KeyUse]) -> Result<Resolved> {
        if !uses.contains(&key.usage) {
            return Err(Error::new(ErrorKind::KeyUsage).at(key.to_string()));
        }
        let source = self.source;
        self.seen.entry(key).or_insert_with(|| lookup(source, key)).clone()
    }

    /// As [`Resolver::resolve`], a TDES key only.
    pub(super) fn resolve_tdes(&mut self, key: KeyRef, uses: &[KeyUse]) -> Result<Resolved> {
        let found = self.resolve(key, uses)?;
        if found.tdes { Ok(found) } else { Err(Error::new(ErrorKind::KeyUsage).at(key.to_string())) }
    }
}

fn lookup<S: KeySource + ?Sized>(source: &S, key: KeyRef) -> Result<Resolved> {
    let info = source.info(key).map_err(|e| e.at(key.to_string()))?;
    if info.algorithm == KeyAlgorithm::Hmac {
        return Err(Error::new(ErrorKind::KeyUsage).at(key.to_string()));
    }
    Ok(Resolved { key: info.key, tdes: info.algorithm.is_tdes(), key_len: info.algorithm.key_len() })
}

/// Jobs by key: each with its number and what it brings along.
pub(super) type Groups<T> = BTreeMap<Resolved, Vec<(usize, T)>>;

/// Runs a batch whose jobs each need one key and one call sequence: prepares each job, groups by key, runs each group.
///
/// # Errors
/// Only an error that stops the batch.
pub(super) fn run<J, T, R>(
    jobs: &[J],
    mut prepare: impl FnMut(&J) -> Result<(Resolved, T)>,
    mut group: impl FnMut(Resolved, &[(usize, T)]) -> Result<Vec<Result<R>>>,
) -> Result<Vec<Result<R>>> {
    let mut answers = Answers::new(jobs.len());
    // Each with room for all jobs: a list that grows leaves copies of its items behind.
    let mut groups: Groups<T> = BTreeMap::new();
    for (number, job) in jobs.iter().enumerate() {
        match prepare(job) {
            Ok((key, item)) => {
                groups.entry(key).or_insert_with(|| Vec::with_capacity(jobs.len())).push((number, item))
            }
            Err(e) => answers.fail([number], &e)?,
        }
    }
    // What the jobs were made from must not lie where the answers are put together: the room of an answer's larger
    // variants would carry it along.
    wipe_stack();
    for (key, members) in groups {
        let outcome = group(key, &members);
        answers.settle(members.iter().map(|(number, _)| *number), outcome)?;
    }
    Ok(answers.finish())
}
