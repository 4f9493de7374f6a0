use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use crate::card::CardId;
use crate::crypto::rng::Seed;
use crate::order::{Confirmation, Duplicates, Probe};
use crate::secret::Secret;
use crate::store::{Step, StoreError};

use super::BatchError;

/// The cardIds that a batch has used, in input order: tags in memory, the ids themselves in a file without a name.
///
/// The file is for the confirmation of a tag that was met before. It is unlinked as soon as it is open, so that at
/// most an empty file is left behind by a kill, and it is not synced: a resumed batch writes it anew.
#[derive(Debug)]
pub(super) struct Seen {
    tags: Duplicates,
    spill: BufWriter<File>,
    path: std::path::PathBuf,
}

impl Seen {
    pub(super) fn new(path: &Path) -> Result<Self, BatchError> {
        let key = Seed::from_os().map_err(BatchError::Lost)?;
        let key = Secret::copy_of(&key.keyed_digest(&[b"cardId tags"]));
        let open = || {
            // A kill between the next two steps leaves the name.
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
            std::fs::remove_file(path)?;
            io::Result::Ok(file)
        };
        let file = open().map_err(StoreError::at(Step::Create, path))?;
        Ok(Self { tags: Duplicates::new(key), spill: BufWriter::new(file), path: path.to_owned() })
    }

    /// Notes the cardIds of a block; the positions of those that were used before.
    pub(super) fn block<'a>(
        &mut self,
        ids: impl IntoIterator<Item = (u64, &'a CardId)>,
    ) -> Result<std::collections::BTreeSet<u64>, BatchError> {
        let mut confirmation = Confirmation::default();
        for (position, id) in ids {
            if self.tags.probe(id) == Probe::Candidate {
                confirmation.want(position, id);
            }
            let written = writeln!(self.spill, "{position} {id}");
            written.map_err(StoreError::at(Step::Write, &self.path))?;
        }
        if confirmation.is_empty() {
            return Ok(std::collections::BTreeSet::new());
        }
        self.confirm(&mut confirmation).map_err(StoreError::at(Step::Read, &self.path))?;
        Ok(confirmation.finish())
    }

    fn confirm(&mut self, confirmation: &mut Confirmation) -> io::Result<()> {
        self.spill.flush()?;
        let mut file = self.spill.get_ref().try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let mut lines = BufReader::with_capacity(1 << 16, file);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            let parts = line.trim_end().split_once(' ');
            if let Some((position, id)) = parts.and_then(|(p, id)| Some((p.parse().ok()?, id.parse().ok()?)))
            {
                confirmation.see(position, &id);
            }
            line.clear();
        }
        // The clone shares the place in the file with the writer.
        self.spill.get_mut().seek(SeekFrom::End(0))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_kill_left_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card-ids");
        std::fs::write(&path, b"").unwrap();
        Seen::new(&path).unwrap();
        assert!(!path.exists());
    }
}
