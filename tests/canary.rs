//! Nothing leaks from the program: planted values are looked for in all that it says and writes, in its memory after a
//! batch, in what a panic tells, and in its system calls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)] // a test
#![allow(unreachable_pub, reason = "modules of one test")]

#[path = "canary/memory.rs"]
mod memory;
#[path = "canary/orders.rs"]
mod orders;
#[path = "canary/panic.rs"]
mod panic;
#[path = "canary/program.rs"]
mod program;
#[path = "canary/sockets.rs"]
mod sockets;

mod cli_support;
mod common;
mod leak_support;
mod order_support;

/// A helper of the system that a test needs and that may be absent outside CI.
fn absent(what: &str) -> bool {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what}: CI has it");
    eprintln!("not tested here: {what}");
    true
}
