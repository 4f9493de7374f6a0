//! What a pool holds.

use super::claim::damaged;
use super::segment::{self, Origin};
use super::{Pool, PoolError, Result};
use crate::crypto::rsa::KeySpec;

/// The keys of one size and exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// Size and exponent.
    pub spec: KeySpec,
    /// Keys that may be taken.
    pub available: u64,
    /// Keys that were handed out, that a process holds, or that were lost with one.
    pub burnt: u64,
}

/// What a pool holds, and which of its files are damaged.
#[derive(Debug)]
pub struct PoolStatus {
    /// By size and exponent.
    pub shelves: Vec<Shelf>,
    /// One error for each damaged file.
    pub damaged: Vec<PoolError>,
}

impl Pool<'_> {
    /// Counts the pool. Every segment is opened, so that what is counted can be used.
    ///
    /// # Errors
    /// [`PoolError::Store`]; a damaged segment stands in the status.
    pub fn status(&self) -> Result<PoolStatus> {
        let mut status = PoolStatus { shelves: Vec::new(), damaged: Vec::new() };
        for spec in self.specs()? {
            let shelf = self.shelf_status(spec, &mut status.damaged)?;
            status.shelves.push(shelf);
        }
        Ok(status)
    }

    fn shelf_status(&self, spec: KeySpec, wrong: &mut Vec<PoolError>) -> Result<Shelf> {
        let (mut made, mut available, mut unusable) = (0_u64, 0_u64, 0_u64);
        // Ready ones first: one that is claimed meanwhile is found again as a burnt one.
        let mut counted = std::collections::BTreeSet::new();
        for id in self.ready_ids(spec)? {
            let path = self.ready(spec).join(&id);
            let Some(bytes) = self.store.read(&path)? else { continue };
            if self.store.exists(&self.burnt(spec).join(&id)) {
                continue;
            }
            counted.insert(id.clone());
            match segment::open(self.source, &id, spec, &bytes) {
                Ok(opened) => {
                    available = available.saturating_add(opened.header.count);
                    if opened.header.origin == Origin::Made {
                        made = made.saturating_add(opened.header.count);
                    }
                }
                Err(error) => {
                    // As far as its header can be read, its keys count as unusable, not as burnt.
                    if let Ok((header, ..)) = segment::Header::read(&bytes, &id, spec) {
                        unusable = unusable.saturating_add(header.count);
                        if header.origin == Origin::Made {
                            made = made.saturating_add(header.count);
                        }
                    }
                    wrong.push(damaged(&path)(error));
                }
            }
        }
        for id in self.burnt_ids(spec)? {
            match self.read_burnt(spec, &id) {
                Ok(header) if header.origin == Origin::Made && !counted.contains(&id) => {
                    made = made.saturating_add(header.count);
                }
                Ok(_) => {}
                Err(e @ PoolError::Segment { .. }) => wrong.push(e),
                Err(e) => return Err(e),
            }
        }
        Ok(Shelf { spec, available, burnt: made.saturating_sub(available).saturating_sub(unusable) })
    }
}
