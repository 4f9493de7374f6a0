//! `dataprep calc`: card cryptography by hand, each step shown.

mod answer;
mod arguments;
mod arpc;
mod arqc;
mod card_key;
mod cert;
mod cipher;
mod cvc3;
mod cvv;
mod data;
mod icc_key;
mod kcv;
mod mistakes;
mod near;
mod pin;
mod pin_change;
mod pinblock;
mod pvv;
mod readings;
mod script_mac;
mod search;
mod session_key;
mod source;
mod steps;
mod tr31;
mod tree;

use emv_dataprep::batch::Exit;

use crate::failure::{Done, Failure};
use crate::self_test;
use answer::Answer;
use arguments::Common;

/// Compute one card value and explain it: for test keys, and for finding out why a value does not match
#[derive(clap::Args)]
#[command(
    after_help = "Secrets come from a file of mode 0600 (--key-file), standard input (--key-stdin) or an issuer \
directory (--issuer DIR --key USE:INDEX), never from the command line: --test-key is for test keys only.\n\n\
Example: dataprep calc cvv --test-key 0123456789ABCDEFFEDCBA9876543210 --pan 4123456789012 --expiry 8701 \
--expiry-order yymm --service-code 101 --explain"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Cvv(cvv::Args),
    Cvc3(cvc3::Args),
    Pvv(pvv::Args),
    Pin(pin::Args),
    Pinblock(pinblock::Args),
    IccKey(icc_key::Args),
    SessionKey(session_key::Args),
    Arqc(arqc::Args),
    Arpc(arpc::Args),
    ScriptMac(script_mac::Args),
    PinChange(pin_change::Args),
    Kcv(kcv::Args),
    Tr31(tr31::Args),
    Cert(cert::Args),
}

pub fn run(args: &Args) -> Done {
    self_test::at_start()?;
    let (common, answer): (&Common, Result<Answer, Failure>) = match &args.command {
        Command::Cvv(a) => (&a.common, cvv::answer(a)),
        Command::Cvc3(a) => (&a.common, cvc3::answer(a)),
        Command::Pvv(a) => (&a.common, pvv::answer(a)),
        Command::Pin(a) => (&a.common, pin::answer(a)),
        Command::Pinblock(a) => (&a.common, pinblock::answer(a)),
        Command::IccKey(a) => (&a.common, icc_key::answer(a)),
        Command::SessionKey(a) => (&a.common, session_key::answer(a)),
        Command::Arqc(a) => (&a.common, arqc::answer(a)),
        Command::Arpc(a) => (&a.common, arpc::answer(a)),
        Command::ScriptMac(a) => (&a.common, script_mac::answer(a)),
        Command::PinChange(a) => (&a.common, pin_change::answer(a)),
        Command::Kcv(a) => (&a.common, kcv::answer(a)),
        Command::Tr31(a) => (&a.common, tr31::answer(a)),
        Command::Cert(a) => (&a.common, cert::answer(a)),
    };
    answer?.give(common)
}

/// How a check ends.
const fn exit_of(matches: bool) -> Exit {
    if matches { Exit::Done } else { Exit::Found }
}
