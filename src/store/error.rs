use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A step of work on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Creating a file.
    Create,
    /// Creating a folder.
    CreateFolder,
    /// Writing.
    Write,
    /// Syncing a file.
    Sync,
    /// Syncing a folder.
    SyncFolder,
    /// Giving a file a second name.
    Link,
    /// Moving a file to its final name.
    Rename,
    /// Removing.
    Remove,
    /// Reading.
    Read,
    /// Listing a folder.
    List,
    /// Locking a folder.
    Lock,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create file",
            Self::CreateFolder => "create folder",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::SyncFolder => "sync folder",
            Self::Link => "link",
            Self::Rename => "rename to",
            Self::Remove => "remove",
            Self::Read => "read",
            Self::List => "list folder",
            Self::Lock => "lock folder",
        })
    }
}

/// An operation on a file that failed: which step, on which path, and what the operating system says.
#[derive(Debug, thiserror::Error)]
#[error("{step} {}: {source}", path.display())]
pub struct StoreError {
    /// The path.
    pub path: PathBuf,
    /// The step.
    pub step: Step,
    /// The operating system's word.
    pub source: io::Error,
}

impl StoreError {
    /// Makes the error of a step on a path from the operating system's.
    pub fn at(step: Step, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, step, source }
    }

    /// Whether the name was taken already.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }
}
