//! The one place that writes to standard output and standard error.

use std::io::{self, Write};

use crate::failure::Failure;

/// Words for people: a line on standard error. Nobody to read them is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A result: bytes on standard output.
pub fn give(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // A reader that has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Failure::stopped(format!("write standard output: {e}"))),
    }
}

/// A line on standard error in the place of the one before.
pub fn redraw(line: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
}
