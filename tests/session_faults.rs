//! A session on a bad line: torn at every command, and every fault at every command. No secret ever goes out in clear, nothing
//! is said to be done that is not, and the log names step and status word and nothing secret.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod session_support;

use emv_dataprep::perso::channel::SecurityLevel;
use emv_dataprep::perso::session::{FailureReason, Reassignment, Session, SessionState};
use emv_dataprep::verify::card_os::{Exchange, Fault, FaultKind, FaultyCard, StatusWord};
use session_support::*;

/// C-MAC alone: data fields can be read on the line, so that a secret in clear would be seen.
const OPEN_DATA: Kind = Kind::scp02(0x55, SecurityLevel::CMac);

struct Bench {
    golden: Golden,
    secrets: Vec<[u8; 8]>,
    plan: &'static str,
    kind: Kind,
}

impl Bench {
    fn new(profile: &str, plan: &'static str, kind: Kind) -> Self {
        let golden = Golden::read(profile);
        Self { secrets: golden.secrets(), golden, plan, kind }
    }

    fn line(&self, chip: [u8; 10], faults: Vec<Fault>) -> FaultyCard {
        FaultyCard::new(self.kind.chip(self.plan, &self.golden, chip), faults)
    }

    /// A new session on a line with faults.
    fn first(&self, line: &mut FaultyCard) -> Ended {
        let (input, keys) = self.kind.input(self.plan, &self.golden, 1);
        let ended = drive(&mut Session::new(input, keys).unwrap(), line);
        self.nothing_secret(line, &ended);
        ended
    }

    fn resume(&self, state: &[u8], line: &mut FaultyCard) -> Result<Ended, FailureReason> {
        let (input, keys) = self.kind.input(self.plan, &self.golden, 2);
        let mut session = Session::resume(input, keys, state).map_err(|f| f.reason)?;
        let ended = drive(&mut session, line);
        self.nothing_secret(line, &ended);
        Ok(ended)
    }

    /// How many commands an undisturbed session has.
    fn commands(&self) -> usize {
        let mut line = self.line(CHIP, Vec::new());
        assert!(self.first(&mut line).outcome.is_ok());
        line.exchanges().len()
    }

    /// A command or response that tells a secret in clear.
    fn leak<'a>(&self, exchanges: &'a [Exchange]) -> Option<&'a Exchange> {
        let told = |bytes: &[u8]| bytes.windows(8).any(|w| self.secrets.iter().any(|s| s == w));
        exchanges.iter().find(|e| told(&e.command) || told(&e.response))
    }

    fn nothing_secret(&self, line: &FaultyCard, ended: &Ended) {
        assert_eq!(self.leak(line.exchanges()), None, "a secret in clear");
        let mut text = ended.log.clone();
        if let Err(failure) = &ended.outcome {
            text += &format!("{failure} {failure:?}");
        }
        let text = text.to_uppercase();
        for secret in &self.secrets {
            assert!(!text.contains(&hex::encode_upper(secret)), "a secret in the log");
            assert!(!ended.state.windows(8).any(|w| w == secret), "a secret in the state");
        }
        let pans = ["4761730000100100", "5413330000100108", "6723450000100107"];
        assert!(pans.iter().all(|pan| !text.contains(pan)), "a PAN in the log");
    }

    /// What the session says is so.
    fn honest(&self, ended: &Ended, line: &FaultyCard, what: &str) {
        if ended.outcome.is_ok() {
            self.golden.is_in(line.card()).unwrap_or_else(|e| panic!("{what}: done, but {e}"));
            assert_eq!(line.card().life_cycle(), final_state(self.plan), "{what}");
        }
        let state = SessionState::parse(&ended.state).unwrap();
        assert_eq!(state.is_complete(), ended.outcome.is_ok(), "{what}");
        let channel_was_open = line.exchanges().iter().any(|e| e.command.get(1) == Some(&0xE2));
        if channel_was_open && self.secret_was_sent(line) {
            assert!(state.is_claimed(), "{what}: a secret went out without a claim");
            assert!(!ended.claims.is_empty(), "{what}: a secret went out without a claim");
        }
    }

    fn secret_was_sent(&self, line: &FaultyCard) -> bool {
        line.exchanges().iter().any(|e| e.command.get(1) == Some(&0xE2) && e.command[2] & 0x60 == 0x60)
    }
}

/// The search itself finds a PIN block, a key and a prime in clear.
#[test]
fn a_secret_in_clear_would_be_seen() {
    let bench = Bench::new("visa-style-dual", "pre-personalized", OPEN_DATA);
    let application = &bench.golden.data.applications[0];
    for tag in [0x8000, 0x8010, 0x8204] {
        let dgi = application.dgis.get(emv_dataprep::perso::DgiTag(tag)).unwrap();
        let clear = bench.golden.clear(dgi);
        let command = [&[0x84, 0xE2, 0x60, 0, 0xFF, 0x80, 0x10, 8][..], &clear[..8], &[0xAA; 8]].concat();
        let exchange = |command| [Exchange { command, response: vec![0x90, 0] }];
        assert!(bench.leak(&exchange(command)).is_some(), "{tag:04X}");
        assert!(bench.leak(&exchange(dgi.value.clone())).is_none(), "{tag:04X}");
    }
}

const TORN: [FaultKind; 3] = [FaultKind::TornBefore, FaultKind::TornAfter, FaultKind::Late];

fn torn_everywhere(bench: &Bench) {
    let commands = bench.commands();
    let mut unknown = Vec::new();
    for kind in TORN {
        for at in 0..commands {
            let what = format!("{} {kind:?} at {at} of {commands}", bench.plan);
            let mut line = bench.line(CHIP, vec![Fault { at, kind }]);
            let ended = bench.first(&mut line);
            let failure = ended.outcome.as_ref().expect_err(&what);
            assert_eq!(failure.reason, FailureReason::NoAnswer, "{what}");
            assert!(!failure.step.is_empty(), "{what}");
            bench.honest(&ended, &line, &what);

            // Another chip: refused once this one has shown itself.
            let state = SessionState::parse(&ended.state).unwrap();
            let mut other = bench.line(OTHER_CHIP, Vec::new());
            match bench.resume(&ended.state, &mut other) {
                Ok(second) if state.key_data().is_some() => {
                    let failure = second.outcome.expect_err(&what);
                    let refused = [FailureReason::ClaimedByAnotherChip, FailureReason::ChipChanged];
                    assert!(refused.contains(&failure.reason), "{what}: {failure}");
                    assert!(!bench.secret_was_sent(&other), "{what}: a secret to another chip");
                }
                Ok(second) => assert!(second.outcome.is_ok(), "{what}: {:?}", second.outcome),
                Err(reason) => assert_eq!(reason, FailureReason::Unknown, "{what}"),
            }

            // The same chip: to the end, or an honest word that it cannot be told.
            let mut line = FaultyCard::new(line.into_card(), Vec::new());
            match bench.resume(&ended.state, &mut line) {
                Ok(second) => {
                    let log = &second.log;
                    assert!(second.outcome.is_ok(), "{what}: {:?}\n{log}", second.outcome);
                    let claims = [ended.claims, second.claims.clone()].concat();
                    bench.honest(&Ended { claims, ..second }, &line, &what);
                }
                Err(reason) => {
                    assert_eq!(reason, FailureReason::Unknown, "{what}");
                    unknown.push(what);
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn torn_at_every_command_generic() {
    torn_everywhere(&Bench::new("online-only", "generic-gp", OPEN_DATA));
}

#[test]
fn torn_at_every_command_pre_personalized() {
    torn_everywhere(&Bench::new("visa-style-dual", "pre-personalized", OPEN_DATA));
}

#[test]
fn torn_at_every_command_scp03() {
    let kind = Kind::scp03(0x70, SecurityLevel::Full);
    torn_everywhere(&Bench::new("online-only", "generic-gp", kind));
}

/// Torn, resumed, torn again, resumed: nothing that a card takes once is done twice, whatever the second session came to.
#[test]
fn torn_twice() {
    let bench = Bench::new("online-only", "generic-gp", OPEN_DATA);
    let commands = bench.commands();
    let mut tried = 0;
    for at in 0..commands {
        let mut line = bench.line(CHIP, vec![Fault { at, kind: FaultKind::TornAfter }]);
        let first = bench.first(&mut line);
        let mut chips = vec![(line.into_card(), first.state)];
        for again in 0..commands {
            // The card cannot be copied, so the way to the first tear is gone once for each second one.
            let (card, state) = match chips.pop() {
                Some(torn) => torn,
                None => {
                    let mut line = bench.line(CHIP, vec![Fault { at, kind: FaultKind::TornAfter }]);
                    let first = bench.first(&mut line);
                    (line.into_card(), first.state)
                }
            };
            let what = format!("torn at {at}, then at {again}");
            let kind = if again % 2 == 0 { FaultKind::TornAfter } else { FaultKind::TornBefore };
            let mut line = FaultyCard::new(card, vec![Fault { at: again, kind }]);
            let second = bench.resume(&state, &mut line).unwrap_or_else(|r| panic!("{what}: {r:?}"));
            if second.outcome.is_ok() {
                break;
            }
            let mut line = FaultyCard::new(line.into_card(), Vec::new());
            let third = bench.resume(&second.state, &mut line).unwrap_or_else(|r| panic!("{what}: {r:?}"));
            assert!(third.outcome.is_ok(), "{what}: {:?}\n{}", third.outcome, third.log);
            bench.golden.is_in(line.card()).unwrap_or_else(|e| panic!("{what}: {e}"));
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
}

fn every_fault(bench: &Bench) {
    let commands = bench.commands();
    let kinds = [
        FaultKind::Refused(StatusWord(0x6F00)),
        FaultKind::Refused(StatusWord(0x6982)),
        FaultKind::Refused(StatusWord(0x6A88)),
        FaultKind::Refused(StatusWord(0x6985)),
        FaultKind::Answered(StatusWord(0x6A80)),
        FaultKind::Answered(StatusWord(0x6300)),
        FaultKind::Altered { byte: usize::MAX, mask: 0x01 },
        FaultKind::Altered { byte: usize::MAX, mask: 0x80 },
        FaultKind::Altered { byte: 0, mask: 0x40 },
        FaultKind::Cut,
        FaultKind::BadCryptogram,
        FaultKind::OtherVersion(0x55),
        FaultKind::OtherChip(OTHER_CHIP),
        FaultKind::WrongLe,
        FaultKind::MoreData,
    ];
    for kind in kinds {
        let mut failed = 0;
        for at in 0..commands {
            let what = format!("{} {kind:?} at {at} of {commands}", bench.plan);
            let mut line = bench.line(CHIP, vec![Fault { at, kind }]);
            let ended = bench.first(&mut line);
            bench.honest(&ended, &line, &what);
            if let Err(failure) = &ended.outcome {
                failed += 1;
                assert!(!failure.step.is_empty(), "{what}");
                assert!(failure.to_string().len() > 20, "{what}: {failure}");
                if let Some(status) = failure.status {
                    assert!(failure.to_string().contains(&status.to_string()), "{what}: {failure}");
                }
            }
        }
        let harmless = matches!(kind, FaultKind::MoreData);
        assert_eq!(failed == 0, harmless, "{kind:?}: {failed} of {commands}");
    }
}

#[test]
fn every_fault_at_every_command_generic() {
    every_fault(&Bench::new("online-only", "generic-gp", OPEN_DATA));
}

#[test]
fn every_fault_at_every_command_visa() {
    every_fault(&Bench::new("visa-style-dual", "pre-personalized", OPEN_DATA));
}

/// A card that was claimed for one chip goes to another only with an operator's word.
#[test]
fn a_claimed_card_and_another_chip() {
    let bench = Bench::new("online-only", "pre-personalized", OPEN_DATA);
    let (input, keys) = bench.kind.input(bench.plan, &bench.golden, 3);
    let earlier = |reassignment| {
        let (mut again, _) = bench.kind.input(bench.plan, &bench.golden, 4);
        again.earlier_claim = Some(emv_dataprep::perso::channel::KeyData(CHIP));
        again.reassignment = reassignment;
        again
    };
    drop(input);
    let mut line = bench.line(OTHER_CHIP, Vec::new());
    let ended = drive(&mut Session::new(earlier(None), keys.clone()).unwrap(), &mut line);
    assert_eq!(ended.outcome.unwrap_err().reason, FailureReason::ClaimedByAnotherChip);
    assert!(!bench.secret_was_sent(&line));
    let word = Reassignment { operator: "operator 7".to_owned() };
    let mut line = bench.line(OTHER_CHIP, Vec::new());
    let ended = drive(&mut Session::new(earlier(Some(word)), keys).unwrap(), &mut line);
    assert!(ended.outcome.is_ok());
    assert_eq!(ended.claims[0].reassigned_from.map(|k| k.0), Some(CHIP));
    bench.golden.is_in(line.card()).unwrap();
}
