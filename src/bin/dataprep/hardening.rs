//! What the operating system does for the program's memory: no core file, no other process of the same user reads it,
//! nothing of it goes to disk.
//!
//! The library has no part in it: it keeps no global state. So all pages of the program are treated as those with
//! secrets, which needs no list of them.

use std::sync::OnceLock;

use crate::terminal;

/// What could not be had, in words.
static MISSING: OnceLock<Vec<&'static str>> = OnceLock::new();

/// Asks for all of it. To be called first, before there is a secret.
pub fn at_start() {
    let _ = MISSING.set(ask());
}

/// Tells what is missing: a batch with live keys should know.
pub fn tell_what_is_missing() {
    for what in MISSING.get().into_iter().flatten() {
        terminal::say(&format!("dataprep: warning: {what}"));
    }
}

#[cfg(target_os = "linux")]
fn ask() -> Vec<&'static str> {
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    let mut missing = Vec::new();
    // First the list of mappings that a dump may hold (none): once the process is not dumpable, the file is root's.
    let _ = std::fs::write("/proc/self/coredump_filter", "0");
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let no_core = setrlimit(Resource::Core, none).is_ok();
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() || !no_core {
        missing.push("core dumps cannot be switched off");
    }
    // With a limit, memory that is asked for later would be refused, and the batch with it.
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if !may_lock_everything() || mlockall(all).is_err() {
        missing.push(
            "memory cannot be locked and may be written to swap: raise RLIMIT_MEMLOCK, or switch swap off",
        );
    }
    missing
}

/// Whether no limit stands on locked memory: RLIMIT_MEMLOCK is infinite, or the process may ignore it (CAP_IPC_LOCK).
#[cfg(target_os = "linux")]
fn may_lock_everything() -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};

    const CAP_IPC_LOCK: u32 = 14;
    let mut limit = getrlimit(Resource::Memlock);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Memlock, limit);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    getrlimit(Resource::Memlock).current.is_none() || effective >> CAP_IPC_LOCK & 1 == 1
}

#[cfg(not(target_os = "linux"))]
fn ask() -> Vec<&'static str> {
    vec!["this system's core dumps and swap are not switched off for the program"]
}
