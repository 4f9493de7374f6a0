//! How a command ends.

use emv_dataprep::batch::{BatchError, Exit};
use emv_dataprep::error::Error;
use emv_dataprep::store::pool::PoolError;

/// A command that did not run to its end: how the program ends, and words for people.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
}

/// How a command ends.
pub type Done = Result<Exit, Failure>;

impl Failure {
    /// A person must look.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The environment does not let it.
    pub fn stopped(message: impl Into<String>) -> Self {
        Self { exit: Exit::Stopped, message: message.into() }
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        let mut message = error.to_string();
        if error.exit() == Exit::Stopped {
            message.push_str("; prepare --resume completes the batch");
        }
        Self { exit: error.exit(), message }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        let message = error.to_string();
        match error {
            PoolError::NoKey | PoolError::Segment { .. } => Self::refused(message),
            PoolError::Store(_)
            | PoolError::Keys(_)
            | PoolError::Busy
            | PoolError::Threads
            | PoolError::Interrupted { .. } => Self::stopped(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // A token that is gone, or no random numbers: not for a person to put right in the configuration.
        if error.stops_batch() { Self::stopped(error.to_string()) } else { Self::refused(error.to_string()) }
    }
}
