//! What is told of a panic: its place and nothing else.

use std::panic::set_hook;

/// A panic is our fault; its message may hold what it was working on, so only its place is told, whatever
/// `RUST_BACKTRACE` asks for.
pub fn hide_messages(say: fn(&str)) {
    set_hook(Box::new(move |info| {
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        say(&format!("dataprep: internal error{place}"));
    }));
}
