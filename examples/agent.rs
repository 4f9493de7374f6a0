//! An instant-issuance agent: personalizes one card end to end.
//!
//! It takes a prepared INSTANT card, asks for a chip, drives it through `perso::session`, keeps on disk what must not be
//! forgotten, and answers D1's production status as one line of JSON on standard output.
//!
//! ```sh
//! cargo run --example agent                                     # a card of its own, the built-in virtual chip
//! cargo run --example agent -- --chip scp03 --tear 25           # taken away in the middle, presented again
//! cargo run --example agent -- --issuer demo/issuer --cards demo/out/prepared/INSTANT/BRANCH-7/cards-000000.jwe \
//!     --key demo/secrets/BRANCH-7.jwk --today 2026-01-15
//! cargo run --example agent --features pcsc -- --reader ACR --journal journal
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)] // a program, and its words for people

#[path = "agent/chip.rs"]
mod chip;
#[path = "agent/journal.rs"]
mod journal;
#[cfg(feature = "pcsc")]
#[path = "agent/pcsc_reader.rs"]
mod pcsc_reader;
#[path = "agent/reader.rs"]
mod reader;
#[path = "agent/source.rs"]
mod source;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use emv_dataprep::bytes::from_hex;
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::keys::{
    CardKeys, Diversification, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeySource, KeyUse,
};
use emv_dataprep::output::{CardLine, StatusLine};
use emv_dataprep::perso::plan::PersonalizationPlan;
use emv_dataprep::perso::session::{
    Advice, Failure, Reassignment, Report, Session, SessionInput, StationSettings, Step,
};
use emv_dataprep::profile::Environment;
use emv_dataprep::secret::Secret;

use chip::ChipKind;
use journal::Journal;
use reader::Reader;

/// Personalize one INSTANT card
#[derive(Parser)]
struct Args {
    /// Issuer directory of the station: destinations, transport keys, chips' keys. Without it the agent prepares a card itself
    #[arg(long, requires = "cards")]
    issuer: Option<PathBuf>,
    /// Prepared cards for this station: cards-NNNNNN.jwe, or .jsonl in clear
    #[arg(long, requires = "issuer")]
    cards: Option<PathBuf>,
    /// The station's private JWK; needed for a sealed file
    #[arg(long)]
    key: Option<PathBuf>,
    /// Which card of the file
    #[arg(long, default_value = "1")]
    number: NonZeroUsize,
    /// Script plan: generic-gp, pre-personalized, or a file
    #[arg(long, default_value = "generic-gp")]
    plan: String,
    /// PC/SC reader, by a part of its name (feature pcsc); without it, the built-in virtual card
    #[arg(long)]
    reader: Option<String>,
    /// Which chip the virtual card is, and whose keys serve
    #[arg(long, value_enum, default_value = "scp02")]
    chip: ChipKind,
    /// Index of the station's `kmc` for real chips. Without it, the published test key that sample cards come with
    #[arg(long)]
    kmc: Option<KeyIndex>,
    /// Folder for session states and claims
    #[arg(long)]
    journal: Option<PathBuf>,
    /// An operator's name: the chip of an earlier claim is withdrawn, this card may go to another
    #[arg(long, value_name = "OPERATOR")]
    reassign: Option<String>,
    /// The virtual card is taken away after so many commands, and presented again
    #[arg(long)]
    tear: Option<u32>,
    /// The day, YYYY-MM-DD, instead of the clock's
    #[arg(long)]
    today: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok((status, code)) => {
            println!("{}", status.to_json());
            code
        }
        Err(e) => {
            eprintln!("agent: {e}");
            ExitCode::from(1)
        }
    }
}

fn run(args: &Args) -> Result<(StatusLine, ExitCode), reader::Failure> {
    let today = match &args.today {
        Some(day) => CardDate::from_iso(day)?,
        None => CardDate::from_iso(&jiff::Timestamp::now().strftime("%Y-%m-%d").to_string())?,
    };
    let mut job = match (&args.issuer, &args.cards) {
        (Some(issuer), Some(cards)) => source::from_file(issuer, cards, args.key.as_deref(), args.number)?,
        _ => source::prepared_here(today)?,
    };
    if args.kmc.is_none() && job.environment != Environment::Test {
        return Err("a production card never goes to a chip with published keys: --kmc".into());
    }
    if args.reader.is_some() && args.cards.is_some() && args.journal.is_none() {
        return Err("a real card needs a journal: --journal".into());
    }
    let plan = source::plan(&args.plan)?;
    let card_keys = chips_keys(args, &mut job.keys)?;
    let mut agent = Agent {
        reader: open_reader(args, &plan, &job.line)?,
        journal: Journal::open(args.journal.as_deref(), job.line.card_id.as_str())?,
        keys: Arc::new(job.keys),
        station: StationSettings {
            key_sets: [("card-manager".to_owned(), card_keys)].into(),
            personalizer: [0x00, 0x01],
            equipment: [0, 0, 0, 1],
        },
        reassignment: args.reassign.clone().map(|operator| Reassignment { operator }),
        today,
        plan,
        mode: job.mode,
        line: job.line,
    };
    let line = &agent.line;
    eprintln!(
        "Card {} ({}), product {}, plan {}",
        line.card_id, line.masked_pan, line.product, agent.plan.title
    );
    let outcome = agent.personalize()?;
    Ok(agent.status(outcome))
}

/// Chips' keys: a `kmc` of the station, or the published test key.
fn chips_keys(args: &Args, ring: &mut source::Ring) -> Result<CardKeys, reader::Failure> {
    let diversification = match args.chip {
        ChipKind::Scp02 => Diversification::EmvCps,
        ChipKind::Scp03 => Diversification::Kdf3,
    };
    if let Some(index) = args.kmc {
        ring.info(KeyRef::new(KeyUse::Kmc, index))?;
        return Ok(CardKeys::Master { index, diversification });
    }
    let algorithm = match args.chip {
        ChipKind::Scp02 => KeyAlgorithm::Tdes2,
        ChipKind::Scp03 => KeyAlgorithm::Aes128,
    };
    let index = KeyIndex(0xFF);
    let key = Secret::new(from_hex(chip::TEST_KMC)?);
    ring.add_clear(KeyRef::new(KeyUse::Kmc, index), algorithm, key, KeyAttributes::default())?;
    Ok(CardKeys::Master { index, diversification })
}

fn open_reader(args: &Args, plan: &PersonalizationPlan, line: &CardLine) -> Result<Reader, reader::Failure> {
    match &args.reader {
        None => {
            let ready = plan.id == "pre-personalized";
            let aids = line.applications.iter().filter(|_| ready).map(|a| a.aid.as_bytes().to_vec());
            let card = Box::new(chip::test_chip(args.chip, aids.collect())?);
            Ok(Reader::Virtual { card, tear_after: args.tear })
        }
        #[cfg(feature = "pcsc")]
        Some(name) => Ok(Reader::Pcsc(pcsc_reader::PcscReader::open(name)?)),
        #[cfg(not(feature = "pcsc"))]
        Some(_) => Err("this agent was built without PC/SC: cargo run --features pcsc".into()),
    }
}

/// How often the same card may be presented.
const TRIES: usize = 3;

struct Agent {
    line: CardLine,
    mode: emv_dataprep::issuer::ProtectMode,
    plan: PersonalizationPlan,
    station: StationSettings,
    keys: Arc<dyn KeySource>,
    reader: Reader,
    journal: Journal,
    reassignment: Option<Reassignment>,
    today: CardDate,
}

impl Agent {
    /// Asks for the card, and for the same card again when it was taken away too early.
    fn personalize(&mut self) -> Result<Result<Report, Failure>, reader::Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            eprintln!("Please insert the card into {}.", self.reader.name());
            self.reader.wait_for_card()?;
            eprintln!("Do not remove the card.");
            let outcome = match self.session()? {
                Ok(session) => self.drive(session)?,
                Err(failure) => Err(failure),
            };
            self.reader.release();
            match &outcome {
                Ok(_) => {
                    self.journal.forget_state()?;
                    eprintln!("Done. Please take the card.");
                    return Ok(outcome);
                }
                Err(failure) if failure.advice() == Advice::SameCardAgain && tries < TRIES => {
                    eprintln!("{}", failure.text());
                }
                Err(failure) => {
                    eprintln!("{failure}");
                    return Ok(outcome);
                }
            }
        }
    }

    /// A new session, or the one that was torn.
    fn session(&self) -> Result<Result<Session, Failure>, reader::Failure> {
        let input = SessionInput {
            data: self.line.personalization_data(self.mode),
            plan: self.plan.clone(),
            station: self.station.clone(),
            random: Seed::from_os()?,
            today: self.today,
            earlier_claim: self.journal.claim(),
            reassignment: self.reassignment.clone(),
        };
        let keys = Arc::clone(&self.keys);
        Ok(match self.journal.state() {
            Some(state) if self.reassignment.is_none() => Session::resume(input, keys, state),
            _ => Session::new(input, keys),
        })
    }

    fn drive(&mut self, mut session: Session) -> Result<Result<Report, Failure>, reader::Failure> {
        let mut shown = String::new();
        loop {
            let step = session.next();
            self.journal.keep(session.state().to_bytes())?;
            match step {
                Step::Reset => {
                    if self.reader.reset() {
                        session.reset_done();
                    } else {
                        session.no_answer();
                    }
                }
                Step::Send(command) => {
                    if command.name != shown {
                        let percent = command.done * 100 / command.total.max(1);
                        eprintln!("{percent:>3} %  {}", command.name);
                        shown = command.name;
                    }
                    match self.reader.transmit(&command.apdu.to_bytes()) {
                        Some(response) => session.response(&response),
                        None => session.no_answer(),
                    }
                }
                Step::Claim(claim) => {
                    self.journal.claimed(&claim)?;
                    session.claimed();
                }
                Step::Waiting => return Err("the session waits for an outcome".into()),
                Step::Done(report) => return Ok(Ok(report)),
                Step::Failed(failure) => return Ok(Err(failure)),
            }
        }
    }

    /// D1's production status.
    fn status(&self, outcome: Result<Report, Failure>) -> (StatusLine, ExitCode) {
        let (status, reason, code) = match outcome {
            Ok(report) => (report.production_status(), None, ExitCode::SUCCESS),
            Err(failure) => (failure.production_status(), Some(failure.to_string()), ExitCode::from(3)),
        };
        let line = StatusLine {
            position: self.line.position,
            card_id: Some(self.line.card_id.to_string()),
            issuer_request_id: self.line.issuer_request_id.as_ref().map(ToString::to_string),
            channel: Some(self.line.channel.to_string()),
            destination: Some(self.line.destination.to_string()),
            status: status.to_owned(),
            error_code: None,
            field: None,
            reason,
            earlier: false,
        };
        (line, code)
    }
}
