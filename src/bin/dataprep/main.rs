//! The `dataprep` program: command line, files, clock and environment around the library.
#![allow(unreachable_pub, reason = "one binary: nothing outside names its modules")]

mod audit;
mod bench;
mod calc;
mod check;
mod components;
mod convert;
mod demo;
mod demo_command;
mod failure;
mod inspect;
mod issuer_dir;
mod journal;
mod keys;
mod open;
mod pool;
mod prepare;
mod progress;
mod self_test;
mod terminal;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use emv_dataprep::batch::Exit;
use failure::{Done, Failure};

/// EMV data preparation: card orders in, verified personalization data out.
#[derive(Parser)]
#[command(version, after_help = "Example: dataprep demo, then dataprep verify demo/out --issuer demo/issuer")]
struct Cli {
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
}

fn main() -> ExitCode {
    hide_panic_messages();
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
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

/// A panic is our fault; its message may hold what it was working on, so only its place is told.
fn hide_panic_messages() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        terminal::say(&format!("dataprep: internal error{place}"));
    }));
}
