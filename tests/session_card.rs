//! Every shipped script plan with every shipped profile over SCP02 and SCP03: the golden card goes into a virtual chip that
//! shares no code with the session, the chip holds exactly its groupings, and a terminal and the host accept it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod session_support;

use emv_dataprep::keys::{Diversification, KeyAlgorithm};
use emv_dataprep::perso::DgiTag;
use emv_dataprep::perso::channel::{ChannelProtocol, SecurityLevel};
use emv_dataprep::perso::plan::PlanStep;
use emv_dataprep::perso::session::{FailureReason, Session};
use emv_dataprep::verify::card_os::{AppletState, CardConfig, FaultyCard, RequiredLevel};
use session_support::*;

/// Personalizes; gives the number of commands.
fn personalize(kind: Kind, plan: &str, golden: &Golden) -> usize {
    let what = format!("{plan} {kind:?}");
    let (input, keys) = kind.input(plan, golden, 1);
    let mut session = Session::new(input, keys).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut line = FaultyCard::new(kind.chip(plan, golden, CHIP), Vec::new());
    let ended = drive(&mut session, &mut line);
    let report = ended.outcome.unwrap_or_else(|e| panic!("{what}: {e}\n{}", ended.log));
    assert_eq!(report.key_data.map(|k| k.0), Some(CHIP), "{what}");
    assert_eq!(ended.claims.len(), 1, "{what}");
    let commands = line.exchanges().len();
    let mut card = line.into_card();
    golden.is_in(&card).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(card.life_cycle(), final_state(plan), "{what}");
    golden.transactions(&mut card);
    commands
}

#[test]
fn every_plan_with_every_profile() {
    for profile in PROFILES {
        let golden = Golden::read(profile);
        for plan in PLANS {
            for kind in [
                Kind::scp02(0x15, SecurityLevel::CDecryption),
                Kind::scp02(0x55, SecurityLevel::CMac),
                Kind::scp03(0x70, SecurityLevel::Full),
                Kind::scp03(0x00, SecurityLevel::CMac),
            ] {
                let commands = personalize(kind, plan, &golden);
                assert!(commands > 15, "{commands} commands");
            }
        }
    }
}

/// Every option and level of both channels, with the card whose data has most forms.
#[test]
fn every_option_and_level() {
    let golden = Golden::read("ccd-generic");
    let options = [0x04, 0x05, 0x14, 0x15, 0x24, 0x35, 0x44, 0x55, 0x75].map(|i| (2, i));
    let options = options
        .into_iter()
        .chain([0x00, 0x01, 0x10, 0x11, 0x20, 0x30, 0x31, 0x60, 0x70, 0x71].map(|i| (3, i)));
    let mut tried = 0;
    for (scp, i) in options {
        for level in SecurityLevel::ALL {
            let offered = level.is_offered_by(ChannelProtocol::new(scp, i).unwrap());
            if !offered || !level.c_mac() {
                continue;
            }
            let kind = if scp == 2 { Kind::scp02(i, level) } else { Kind::scp03(i, level) };
            personalize(kind, "pre-personalized", &golden);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn key_sizes_and_diversifications() {
    let golden = Golden::read("online-only");
    let base = Kind::scp03(0x70, SecurityLevel::Full);
    let mut kinds: Vec<Kind> = [KeyAlgorithm::Aes128, KeyAlgorithm::Aes192, KeyAlgorithm::Aes256]
        .into_iter()
        .flat_map(|algorithm| {
            [Some(Diversification::Kdf3), None].map(|diversification| Kind {
                algorithm,
                diversification,
                ..base
            })
        })
        .collect();
    let base = Kind::scp02(0x55, SecurityLevel::CDecryption);
    for diversification in [Some(Diversification::EmvCps), Some(Diversification::Visa2), None] {
        kinds.push(Kind { diversification, ..base });
    }
    for kind in kinds {
        personalize(kind, "generic-gp", &golden);
    }
}

/// A chip that wants C-DECRYPTION refuses data at a lower level, and the session says so.
#[test]
fn a_level_that_the_chip_does_not_take() {
    let golden = Golden::read("online-only");
    let kind = Kind::scp02(0x55, SecurityLevel::CMac);
    let (input, keys) = kind.input("pre-personalized", &golden, 1);
    let card = kind
        .chip_with("pre-personalized", &golden, CHIP, |c| c.rules.level = RequiredLevel::MacAndEncryption);
    let mut line = FaultyCard::new(card, Vec::new());
    let ended = drive(&mut Session::new(input, keys).unwrap(), &mut line);
    let failure = ended.outcome.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Refused);
    assert_eq!(failure.status.map(|s| s.0), Some(0x6982));
    assert!(golden.is_in(line.card()).is_err());
}

/// PUT KEY in both protocols: the chip checks the key check values, takes the new version, and forgets the old one.
#[test]
fn the_chip_gets_its_next_keys() {
    let golden = Golden::read("online-only");
    for kind in [
        Kind::scp02(0x55, SecurityLevel::CDecryption),
        Kind::scp03(0x70, SecurityLevel::Full),
        Kind { algorithm: KeyAlgorithm::Aes192, ..Kind::scp03(0x60, SecurityLevel::CMac) },
        Kind { algorithm: KeyAlgorithm::Aes256, ..Kind::scp03(0x71, SecurityLevel::CDecryption) },
    ] {
        let (mut input, keys) = kind.input("generic-gp", &golden, 1);
        let close = input.plan.phases.iter_mut().find(|p| p.name == "close").unwrap();
        let new_keys = "card-manager".to_owned();
        close.steps.insert(0, PlanStep::PutKey { new_keys, new_version: 2, replaces: 1 });
        let mut line = FaultyCard::new(kind.chip("generic-gp", &golden, CHIP), Vec::new());
        let ended = drive(&mut Session::new(input, keys).unwrap(), &mut line);
        assert!(ended.outcome.is_ok(), "{kind:?}: {:?}\n{}", ended.outcome, ended.log);
        let mut card = line.into_card();
        golden.is_in(&card).unwrap();
        card.reset();
        let challenge = if kind.i & 1 == 1 && kind.scp == 3 { 16 } else { 8 };
        let mut open = |version| {
            let head = [0x80, 0x50, version, 0, challenge];
            card.transmit(&[&head[..], &vec![7; usize::from(challenge)], &[0]].concat())
        };
        assert_eq!(open(1), [0x6A, 0x88], "{kind:?}");
        assert_eq!(open(2)[10], 2, "{kind:?}");
    }
}

/// A chip whose application does not know a grouping: an error, unless the plan says that it may be so.
#[test]
fn a_grouping_that_the_chip_does_not_know() {
    let golden = Golden::read("ccd-generic");
    let kind = Kind::scp02(0x55, SecurityLevel::CDecryption);
    let payment = golden.data.applications[0].aid.as_bytes().to_vec();
    for tolerated in [false, true] {
        let (mut input, keys) = kind.input("pre-personalized", &golden, 1);
        for step in input.plan.phases.iter_mut().flat_map(|p| &mut p.steps) {
            if let PlanStep::StoreData(store) = step
                && tolerated
            {
                store.optional.push(DgiTag(0x3000));
            }
        }
        let unknown = |c: &mut CardConfig| c.rules.unknown.extend([0x3000]);
        let card = kind.chip_with("pre-personalized", &golden, CHIP, unknown);
        let mut line = FaultyCard::new(card, Vec::new());
        let ended = drive(&mut Session::new(input, keys).unwrap(), &mut line);
        let state = line.card().applet_state(&payment);
        if tolerated {
            assert!(ended.outcome.is_ok(), "{:?}", ended.outcome);
            assert_eq!(state, Some(AppletState::Personalized));
            assert!(line.card().held(&payment).iter().all(|(tag, _)| *tag != 0x3000));
        } else {
            let failure = ended.outcome.unwrap_err();
            assert_eq!(failure.status.map(|s| s.0), Some(0x6A88));
            assert!(failure.step.contains("3000"), "{failure}");
            assert_eq!(state, Some(AppletState::Selectable));
        }
    }
}
