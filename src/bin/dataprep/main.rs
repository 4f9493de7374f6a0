//! The `dataprep` program: command line, files, clock and environment around the library.
#![allow(unreachable_pub, reason = "one binary: nothing outside names its modules")]

mod allocator;
mod audit;
mod bench;
mod calc;
mod check;
mod components;
mod convert;
mod demo;
mod demo_command;
mod envelope;
mod failure;
mod hardening;
mod inspect;
mod issuer_dir;
mod issuer_key;
mod jobs;
mod journal;
mod keys;
mod officers;
mod open;
mod panics;
mod pool;
mod prepare;
mod production;
mod progress;
mod self_test;
mod terminal;
mod test_ca;
mod verify;
mod wipe;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use emv_dataprep::batch::Exit;
use failure::{Done, Failure};

/// EMV data preparation: card orders in, verified personalization data out.
#[derive(Parser)]
#[command(version, after_help = "Example: dataprep demo, then dataprep verify demo/out --issuer demo/issuer")]
struct Cli {
    /// The officers' public keys, a file outside of the issuer directory: so many of them must have signed it. A production
    /// issuer needs it
    #[arg(long, global = true, value_name = "FILE")]
    officers: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo_command::Args),
    Prepare(prepare::Args),
    Open(open::Args),
    Convert(convert::Args),
    Check(check::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    SelfTest(self_test::Args),
    Keys(keys::Args),
    Calc(Box<calc::Args>),
    Pool(pool::Args),
    Bench(bench::Args),
    Audit(audit::Args),
    IssuerKey(issuer_key::Args),
    TestCa(test_ca::Args),
    Officers(officers::Args),
    Jobs(jobs::Args),
    Wipe(wipe::Args),
}

fn main() -> ExitCode {
    allocator::give_large_buffers_back();
    hardening::at_start();
    panics::hide_messages(terminal::say);
    let command = match Cli::try_parse() {
        Ok(cli) => {
            production::trust(cli.officers);
            cli.command
        }
        Err(e) => {
            // Help and version are no error.
            let code = u8::try_from(e.exit_code()).unwrap_or(2);
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let done: Done = match command {
        Command::Demo(args) => demo_command::run(&args),
        Command::Inspect(args) => inspect(&args),
        Command::Prepare(args) => prepare::run(&args),
        Command::Open(args) => open::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::SelfTest(args) => self_test::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Calc(args) => calc::run(&args),
        Command::Pool(args) => pool::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::IssuerKey(args) => issuer_key::run(&args),
        Command::TestCa(args) => test_ca::run(&args),
        Command::Officers(args) => officers::run(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Wipe(args) => wipe::run(&args),
    };
    let exit = done.unwrap_or_else(|Failure { exit, message }| {
        terminal::say(&format!("dataprep: {message}"));
        exit
    });
    ExitCode::from(exit as u8)
}

fn inspect(args: &inspect::Args) -> Done {
    let read = |source: inspect::Source<'_>| match source {
        inspect::Source::Stdin => std::io::read_to_string(std::io::stdin().lock()),
        inspect::Source::File(path) => std::fs::read_to_string(path),
    };
    let text = inspect::run(args, read).map_err(|e| match e {
        inspect::Failure::Io(e) => Failure::refused(format!("read: {e}")),
        inspect::Failure::Data(e) => e.into(),
    })?;
    terminal::give(text.as_bytes())?;
    if !text.ends_with('\n') {
        terminal::give(b"\n")?;
    }
    Ok(Exit::Done)
}
