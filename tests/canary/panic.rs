//! What a panic tells, with the program's own hook.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use emv_dataprep::crypto::rng::Purpose;
use emv_dataprep::crypto::rsa::{KeySpec, RsaPrivate};
use emv_dataprep::prepare::{RsaKeySupply, prepare_batch};

use crate::common::{TestIssuer, order_of};
use crate::leak_support::Needles;

#[path = "../../src/bin/dataprep/panics.rs"]
mod panics;

const PAN: &str = "4761739001010010";
const KEY: &str = "3A17904 45E617C88";

/// A supply of keys that fails in the worst way: with secrets in its words.
struct Talkative;

impl RsaKeySupply for Talkative {
    fn take(&self, position: u64, _: Purpose, _: KeySpec) -> Option<RsaPrivate> {
        panic!("card {position}: {PAN} under {KEY}")
    }
}

/// The child of the test below: not a test of its own.
#[test]
#[ignore = "run by the test below"]
fn child_that_panics() {
    let issuer = TestIssuer::new();
    let request = issuer.request(&order_of("visa-style-dual", "c-1", 7));
    panics::hide_messages(|line| eprintln!("{line}"));
    let work = || prepare_batch(&issuer.context_with(Some(&Talkative)), std::slice::from_ref(&request));
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    let thread = std::thread::spawn(|| panic!("{}", format!("{PAN}{KEY}")));
    assert!(thread.join().is_err());
}

#[test]
fn a_panic_tells_its_place_alone() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "panic::child_that_panics", "--ignored", "--nocapture"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    let mut needles = Needles::new();
    needles.digits("PAN", PAN);
    needles.text("key", KEY);
    let said = [child.stdout, child.stderr].concat();
    let words = String::from_utf8_lossy(&said);
    assert_eq!(words.matches("dataprep: internal error at ").count(), 2, "{words}");
    assert_eq!(needles.find(&said), None, "{words}");
    assert!(!words.contains("under"), "{words}");
    assert!(child.status.success(), "{words}");
}
