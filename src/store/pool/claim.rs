//! Segments come and go: published, claimed by one process, wiped.

use std::path::Path;

use super::segment::{self, Header, Opened, Origin, RawKey};
use super::{Pool, PoolError, Result, Work, fresh_id};
use crate::crypto::rsa::KeySpec;
use crate::error::{Error, ErrorKind};

/// What became of the wish for a segment.
pub(super) enum Claim {
    /// Its keys are burnt, and ours.
    Ours(Opened),
    /// Another process has it, or had it.
    Gone,
}

impl Pool<'_> {
    /// Ids of the segments that are ready, as far as a name says.
    pub(super) fn ready_ids(&self, spec: KeySpec) -> Result<Vec<String>> {
        let names = self.store.list(&self.ready(spec))?;
        Ok(names.iter().filter_map(|n| n.to_str()).filter(|n| is_id(n)).map(ToOwned::to_owned).collect())
    }

    /// Ids of the segments that are burnt.
    pub(super) fn burnt_ids(&self, spec: KeySpec) -> Result<Vec<String>> {
        let names = self.store.list(&self.burnt(spec))?;
        Ok(names.iter().filter_map(|n| n.to_str()).filter(|n| is_id(n)).map(ToOwned::to_owned).collect())
    }

    /// Seals keys and puts them into the pool: durable when this returns.
    pub(super) fn publish(&self, work: &Work, spec: KeySpec, origin: Origin, keys: &[RawKey]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let id = fresh_id()?;
        let bytes = segment::seal(self.source, self.key, &id, spec, origin, keys).map_err(PoolError::Keys)?;
        for folder in [self.ready(spec), self.burnt(spec)] {
            self.store.create_folders(&folder)?;
        }
        let temporary = work.file(&id);
        self.store.write_new(&temporary, [&bytes])?;
        // What cannot be opened again would be found out too late.
        let back = self.store.read(&temporary)?.unwrap_or_default();
        segment::open(self.source, &id, spec, &back).map_err(damaged(&temporary))?;
        self.store.link(&temporary, &self.ready(spec).join(&id))?;
        self.store.remove_file(&temporary)?;
        Ok(())
    }

    /// Claims a segment: when this returns [`Claim::Ours`], it is burnt, durably.
    pub(super) fn claim(&self, work: &Work, spec: KeySpec, id: &str) -> Result<Claim> {
        let (ready, burnt) = (self.ready(spec).join(id), self.burnt(spec).join(id));
        let Some(bytes) = self.store.read(&ready)? else { return Ok(Claim::Gone) };
        let opened = segment::open(self.source, id, spec, &bytes);
        let opened =
            opened.map_err(|e| if e.stops_batch() { PoolError::Keys(e) } else { damaged(&ready)(e) })?;
        self.store.create_folders(&self.burnt(spec))?;
        match self.store.link(&ready, &burnt) {
            Ok(()) => {}
            // A segment that was burnt before and is here again is never used.
            Err(e) if e.exists() => {
                self.unready(spec, id)?;
                return Ok(Claim::Gone);
            }
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => return Ok(Claim::Gone),
            Err(e) => return Err(e.into()),
        }
        self.unready(spec, id)?;
        self.store.publish(&work.file(id), &burnt, &opened.header.burnt())?;
        Ok(Claim::Ours(opened))
    }

    fn unready(&self, spec: KeySpec, id: &str) -> Result<()> {
        self.store.remove_file(&self.ready(spec).join(id))?;
        self.store.sync_folder(&self.ready(spec))?;
        Ok(())
    }

    /// Takes the key material out of segments whose holder died between claiming and wiping them.
    pub(super) fn wipe_burnt(&self, spec: KeySpec, work: &Work) -> Result<()> {
        for id in self.burnt_ids(spec)? {
            let path = self.burnt(spec).join(&id);
            let Some(bytes) = self.store.read(&path)? else { continue };
            if let Ok((header, ..)) = Header::read(&bytes, &id, spec)
                && header.is_sealed()
            {
                self.unready(spec, &id)?;
                self.store.publish(&work.file(&id), &path, &header.burnt())?;
            }
        }
        Ok(())
    }

    /// The header of a burnt segment.
    pub(super) fn read_burnt(&self, spec: KeySpec, id: &str) -> Result<Header> {
        let path = self.burnt(spec).join(id);
        let missing = || Error::new(ErrorKind::Missing("the file"));
        let bytes = self.store.read(&path)?.ok_or_else(missing).map_err(damaged(&path))?;
        Header::read(&bytes, id, spec).map(|(header, ..)| header).map_err(damaged(&path))
    }
}

/// The error of a segment's file.
pub(super) fn damaged(path: &Path) -> impl FnOnce(Error) -> PoolError {
    let path = path.to_owned();
    move |error| PoolError::Segment { path, error }
}

/// Whether a name is one that [`fresh_id`] gives.
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}
