use std::io;

use crate::error::Error;
use crate::store::StoreError;
use crate::store::ledger::LedgerError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Done = 0,
    /// Refused or stopped: a person must look.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Ran to its end and found something wrong.
    Found = 3,
    /// Stopped by the environment or a signal: resuming completes it.
    Stopped = 4,
}

/// Why a batch does not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The output folder is not what the command line says of it.
    #[error("{0}")]
    Usage(String),
    /// The batch was started with something else, or what it left is damaged.
    #[error("{0}")]
    Refused(String),
    /// Another process works on the output folder.
    #[error("another process works on this output folder")]
    Busy,
    /// A file of the batch.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The input cannot be read.
    #[error("read the orders: {0}")]
    Input(#[source] io::Error),
    /// The input is compressed and damaged.
    #[error("read the orders: the compressed input is damaged: {0}")]
    DamagedInput(#[source] io::Error),
    /// The ledger.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The key source or the random numbers are lost.
    #[error("{0}")]
    Lost(Error),
    /// A signal asked to stop.
    #[error("stopped at a block boundary")]
    Interrupted,
    /// A rule of this program broke.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl BatchError {
    /// How the program ends with it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Refused(_) | Self::DamagedInput(_) | Self::Internal(_) => Exit::Refused,
            Self::Busy
            | Self::Store(_)
            | Self::Ledger(_)
            | Self::Input(_)
            | Self::Lost(_)
            | Self::Interrupted => Exit::Stopped,
        }
    }
}
