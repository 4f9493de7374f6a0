//! The session against a small card.
#![allow(clippy::arithmetic_side_effects)] // positions of a test

use std::sync::Arc;

use super::card_tests::{Card, Instance, STATIC, Torn};
use super::*;
use crate::bytes::hex_upper;
use crate::crypto::backend::Backend;
use crate::crypto::tdes::TdesKey;
use crate::emv::Aid;
use crate::keys::{
    CardKeys, CipherMode, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, Scp02Key, SoftwareRing,
    TransportName,
};
use crate::perso::channel::SecurityLevel;
use crate::perso::plan::{PlanStep, StoreCompletion};
use crate::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection};
use crate::profile::plan_file;
use crate::secret::Secret;

const TRANSPORT: [u8; 16] =
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];
const KEYS_IN_CLEAR: [u8; 48] = [0xC7; 48];
const PIN_IN_CLEAR: [u8; 8] = [0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

fn aid() -> Aid {
    "A0000000031010".parse().unwrap()
}

fn under_transport(clear: &[u8]) -> Vec<u8> {
    let mut value = clear.to_vec();
    TdesKey::from_bytes(&TRANSPORT).unwrap().encrypt_ecb(&mut value).unwrap();
    value
}

fn clear(tag: u16, value: Vec<u8>) -> ProtectedDgi {
    ProtectedDgi { tag: DgiTag(tag), value, protection: Protection::None }
}

fn secret(tag: u16, value: &[u8]) -> ProtectedDgi {
    ProtectedDgi { tag: DgiTag(tag), value: under_transport(value), protection: Protection::Transport }
}

fn data() -> PersonalizationData {
    let payment = vec![
        clear(0x9102, vec![0xA5, 0x03, 0x50, 0x01, 0x41]),
        clear(0x0101, [&[0x70, 0x81, 0xFA][..], &[0x11; 250]].concat()),
        clear(0x3001, vec![0x9F, 0x68, 0x01, 0x00]),
        secret(0x8000, &KEYS_IN_CLEAR),
        clear(0x9000, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        clear(0x9010, vec![3, 3]),
        secret(0x8010, &PIN_IN_CLEAR),
        secret(0x8205, &[0xC9; 512]),
    ];
    let application =
        |aid: Aid, dgis| ApplicationData { aid, dgis: ProtectedDgiSet::from_prepared(dgis).unwrap() };
    PersonalizationData {
        card_reference: "card-1".parse().unwrap(),
        not_after: CardDate::from_iso("2026-12-31").unwrap(),
        transport: TransportName {
            key: KeyRef::new(KeyUse::Transport, KeyIndex(1)),
            wrapped: None,
            mode: CipherMode::Ecb,
            kcv: Some("08D7B4".to_owned()),
        },
        applications: vec![
            application(aid(), payment),
            application(
                Aid::pse(),
                vec![clear(0x9102, vec![0xA5, 0x02, 0x88, 0x00]), clear(0x0101, vec![0x70, 0x00])],
            ),
            application(Aid::ppse(), vec![clear(0x9102, vec![0xA5, 0x03, 0xBF, 0x0C, 0x00])]),
        ],
    }
}

fn plan(id: &str) -> PersonalizationPlan {
    let path = format!("scripts/{id}.toml");
    let bytes = std::fs::read(&path).unwrap();
    let (plan, findings) = plan_file::load(&path, &bytes);
    assert_eq!(findings, []);
    let mut plan = plan.unwrap();
    plan.channels.values_mut().for_each(|c| c.level = SecurityLevel::None);
    plan
}

fn input(seed: u8) -> SessionInput {
    SessionInput {
        data: data(),
        plan: plan("generic-gp"),
        station: StationSettings {
            key_sets: [("card-manager".to_owned(), CardKeys::Static { index: KeyIndex(1) })].into(),
            personalizer: [0x47, 0x90],
            equipment: [0, 0, 0, 1],
        },
        random: Seed::fixed([seed; 32]),
        today: CardDate::from_iso("2026-11-21").unwrap(),
        earlier_claim: None,
        reassignment: None,
    }
}

/// A key of the set that PUT KEY brings.
fn new_key(first: u8) -> Vec<u8> {
    (first..first + 16).collect()
}

fn ring() -> Arc<dyn KeySource> {
    let mut ring = SoftwareRing::new(Backend::Portable);
    let keys = [
        (KeyUse::CardEnc, STATIC),
        (KeyUse::CardMac, STATIC),
        (KeyUse::CardDek, STATIC),
        (KeyUse::Transport, TRANSPORT),
    ];
    for (usage, key) in keys {
        let name = KeyRef::new(usage, KeyIndex(1));
        ring.add_clear(name, KeyAlgorithm::Tdes2, Secret::copy_of(&key), KeyAttributes::default()).unwrap();
    }
    for (usage, byte) in [(KeyUse::CardEnc, 0x60), (KeyUse::CardMac, 0x70), (KeyUse::CardDek, 0x80)] {
        let name = KeyRef::new(usage, KeyIndex(2));
        let key = Secret::new(new_key(byte));
        ring.add_clear(name, KeyAlgorithm::Tdes2, key, KeyAttributes::default()).unwrap();
    }
    Arc::new(ring)
}

/// Drives a session to its end. The state that was kept last, and the claims.
fn drive(session: &mut Session, card: &mut Card) -> (Step, Vec<u8>, Vec<Claim>) {
    let mut claims = Vec::new();
    let mut kept = session.state().to_bytes();
    loop {
        let step = session.next();
        let state = session.state();
        if !matches!(step, Step::Failed(_)) {
            kept = state.to_bytes();
        }
        assert_eq!(SessionState::parse(&state.to_bytes()).unwrap(), state);
        match step {
            Step::Reset => {
                (card.selected, card.target) = (Vec::new(), None);
                session.reset_done();
            }
            Step::Send(command) => {
                assert_eq!(session.next(), Step::Waiting);
                match card.transmit(&command.apdu.to_bytes()) {
                    Some(answer) => session.response(&answer),
                    None => session.no_answer(),
                }
            }
            Step::Claim(claim) => {
                claims.push(claim);
                session.claimed();
            }
            Step::Waiting => panic!("waiting"),
            Step::Done(_) | Step::Failed(_) => return (step, kept, claims),
        }
    }
}

#[track_caller]
fn failed(step: Step) -> Failure {
    let Step::Failed(failure) = step else { panic!("{step:?}") };
    failure
}

/// Every application holds exactly what was prepared, secrets as they were before data preparation enciphered them.
fn assert_personalized(card: &Card) {
    for application in data().applications {
        let instance = &card.instances[application.aid.as_bytes()];
        assert!(instance.complete, "{}", application.aid);
        assert_eq!(instance.stored.len(), application.dgis.dgis().len());
        for dgi in application.dgis.dgis() {
            let is = &instance.stored[&dgi.tag.0];
            match dgi.tag.0 {
                0x8000 => assert_eq!(is[..], KEYS_IN_CLEAR),
                0x8010 => assert_eq!(is[..], PIN_IN_CLEAR),
                0x8205 => assert_eq!(is[..], [0xC9; 512]),
                _ => assert_eq!(*is, dgi.value),
            }
        }
        assert!(instance.secret.iter().all(|(tag, secret)| *secret == (*tag >= 0x8000 && *tag < 0x9000)));
    }
}

/// No command holds a secret in clear, nor as it came from data preparation.
fn assert_nothing_secret(card: &Card, log: &[LogLine], state: &[u8]) {
    let mut texts: Vec<Vec<u8>> = card.seen.clone();
    texts.push(state.to_vec());
    texts.push(format!("{log:?}").into_bytes());
    for value in [&KEYS_IN_CLEAR[..8], &PIN_IN_CLEAR, &[0xC9; 8]] {
        for needle in [value.to_vec(), under_transport(value), hex_upper(value).into_bytes()] {
            for text in &texts {
                assert!(
                    !text.windows(needle.len()).any(|w| w == needle),
                    "{}",
                    hex_upper(&text[..text.len().min(8)])
                );
            }
        }
    }
}

#[test]
fn a_card_is_personalized_through_its_security_domain() {
    let mut card = Card::new(1);
    card.instances.insert(aid().as_bytes().to_vec(), Instance::default());
    let mut session = Session::new(input(1), ring()).unwrap();
    let (step, state, claims) = drive(&mut session, &mut card);
    let Step::Done(report) = step else { panic!("{step:?}") };
    assert_eq!((report.production_status(), report.key_data), ("CARD_PROD_DONE", Some(KeyData(card.chip))));
    assert_personalized(&card);
    assert_nothing_secret(&card, session.log(), &state);
    assert!(session.state().is_complete());
    let claim = Claim {
        card_reference: "card-1".parse().unwrap(),
        key_data: KeyData(card.chip),
        reassigned_from: None,
    };
    assert_eq!(claims, [claim]);
    // The claim stands between the last command before the secrets and the first STORE DATA.
    let log: Vec<String> = session.log().iter().map(ToString::to_string).collect();
    let claimed = log.iter().position(|l| l == "claim stored").unwrap();
    let first_store = log.iter().position(|l| l.contains("STORE DATA")).unwrap();
    assert_eq!(first_store, claimed + 1);
    assert_eq!(log[claimed - 1], "data A0000000031010: INSTALL [for personalization]: 9000");
    assert!(log.contains(&"data A0000000031010: STORE DATA 8000: 9000".to_owned()), "{log:#?}");
    assert_eq!(log.last().unwrap(), "personalized");
    // STORE DATA of the payment application: P1 and P2.
    let stores: Vec<String> =
        card.seen.iter().filter(|c| c[1] == 0xE2).map(|c| hex_upper(&c[2..4])).collect();
    let payment = ["0000", "0001", "0002", "0003", "6004", "0005", "0006", "6007", "6008", "6009", "E00A"];
    assert_eq!(stores[..11], payment);
    assert_eq!(stores[11..], ["8000", "0000", "8001", "8000"], "PPSE, PSE, CPLC");
    let cplc = card.seen.iter().rfind(|c| c[1] == 0xE2).unwrap();
    assert_eq!(hex_upper(cplc), "80E280000B9F66084790632500000001".to_owned() + "00");
    assert!(card.seen.contains(&hex::decode("80F0800F").unwrap()));
}

#[test]
fn a_card_is_personalized_directly() {
    let mut card = Card::new(1);
    for application in data().applications {
        card.instances.insert(application.aid.as_bytes().to_vec(), Instance::default());
    }
    let mut session =
        Session::new(SessionInput { plan: plan("pre-personalized"), ..input(1) }, ring()).unwrap();
    let (step, _, claims) = drive(&mut session, &mut card);
    assert!(matches!(step, Step::Done(_)), "{step:?}");
    assert_personalized(&card);
    assert_eq!(claims.len(), 1, "one claim for the card");
    assert!(!card.seen.iter().any(|c| c[1] == 0xE6));
}

/// Both ways of tearing at every command: the session is resumed with what was kept, and the card is whole in the end.
#[test]
fn a_session_torn_anywhere_goes_on_with_the_same_card() {
    for id in ["generic-gp", "pre-personalized"] {
        let mut at = 0;
        loop {
            let mut over = 0;
            for torn in [Torn::Command(at), Torn::Answer(at)] {
                let mut card = Card::new(1);
                if id == "pre-personalized" {
                    let aids = data().applications.into_iter().map(|a| a.aid.as_bytes().to_vec());
                    card.instances.extend(aids.map(|aid| (aid, Instance::default())));
                }
                card.torn = torn;
                let make = |seed| SessionInput { plan: plan(id), ..input(seed) };
                let mut session = Session::new(make(1), ring()).unwrap();
                let (step, kept, claims) = drive(&mut session, &mut card);
                if matches!(step, Step::Done(_)) {
                    over += 1;
                    continue;
                }
                assert_eq!(failed(step).reason, FailureReason::NoAnswer);
                card.torn = Torn::Never;
                let before = card.seen.len();
                let mut session = Session::resume(make(2), ring(), &kept).unwrap();
                let (step, state, again) = drive(&mut session, &mut card);
                assert!(matches!(step, Step::Done(_)), "{id} {at}: {step:?}");
                assert_personalized(&card);
                assert_nothing_secret(&card, session.log(), &state);
                assert!(claims.len() + again.len() >= 1);
                // Another chip: refused before anything but SELECT and INITIALIZE UPDATE, once a chip was known.
                if SessionState::parse(&kept).unwrap().key_data().is_some() {
                    let mut other = Card::new(2);
                    let aids = data().applications.into_iter().map(|a| a.aid.as_bytes().to_vec());
                    other.instances.extend(aids.map(|aid| (aid, Instance::default())));
                    let mut session = Session::resume(make(3), ring(), &kept).unwrap();
                    let failure = failed(drive(&mut session, &mut other).0);
                    let right = [FailureReason::ClaimedByAnotherChip, FailureReason::ChipChanged];
                    assert!(right.contains(&failure.reason), "{failure}");
                    assert!(other.seen.iter().all(|c| matches!(c[1], 0xA4 | 0x50)));
                }
                assert!(before <= card.seen.len());
            }
            if over == 2 {
                break;
            }
            at += 1;
        }
        assert!(at > 25, "{id}: {at}");
    }
}

#[test]
fn a_claimed_card_goes_to_another_chip_only_with_an_operator() {
    let earlier = KeyData([9; 10]);
    let mut card = Card::new(1);
    let claimed = SessionInput { earlier_claim: Some(earlier), ..input(1) };
    let failure = failed(drive(&mut Session::new(claimed, ring()).unwrap(), &mut card).0);
    assert_eq!(
        (&failure.reason, failure.advice()),
        (&FailureReason::ClaimedByAnotherChip, Advice::RightCard)
    );
    assert_eq!(card.seen.len(), 2, "SELECT and INITIALIZE UPDATE");
    let reassignment = Some(Reassignment { operator: "op-7".to_owned() });
    let mut session =
        Session::new(SessionInput { earlier_claim: Some(earlier), reassignment, ..input(1) }, ring())
            .unwrap();
    let (step, _, claims) = drive(&mut session, &mut card);
    assert!(matches!(step, Step::Done(_)));
    assert_eq!(claims[0].reassigned_from, Some(earlier));
    assert!(session.log().iter().any(|l| l.step.contains("by op-7")));
    // The same chip again is no other chip.
    let again = SessionInput { earlier_claim: Some(KeyData(card.chip)), ..input(2) };
    assert!(matches!(drive(&mut Session::new(again, ring()).unwrap(), &mut card).0, Step::Done(_)));
}

#[test]
fn refusals_end_the_session_with_step_and_status_word() {
    // Command's beginning, answer, reason, status word, words of the step.
    let cases: [(&str, &str, FailureReason, &str); 6] = [
        ("00A40400", "6A82", FailureReason::Refused, "instances: SELECT card manager"),
        ("80E40000", "6985", FailureReason::Refused, "instances: DELETE"),
        ("80E60C00", "6A84", FailureReason::Refused, "instances: INSTALL A0000000031010"),
        ("80E26004", "6982", FailureReason::Refused, "data A0000000031010: STORE DATA 8000"),
        ("80E28000", "6A80", FailureReason::Refused, "data 325041592E5359532E4444463031: STORE DATA 9102"),
        ("80F0800F", "6985", FailureReason::Refused, "close: SET STATUS 0F"),
    ];
    for (start, answer, reason, step) in cases {
        let mut card = Card::new(1);
        card.answers.push((hex::decode(start).unwrap(), hex::decode(answer).unwrap()));
        let mut session = Session::new(input(1), ring()).unwrap();
        let (end, state, _) = drive(&mut session, &mut card);
        let failure = failed(end);
        assert_eq!(failure.reason, reason);
        assert_eq!(failure.status.map(|s| s.to_string()).as_deref(), Some(answer));
        assert!(failure.step.starts_with(step), "{}", failure.step);
        assert!(failure.to_string().contains(answer) && failure.production_status() == "CARD_PROD_EXCEPTION");
        assert_nothing_secret(&card, session.log(), &state);
        assert!(!session.state().is_complete());
        assert_eq!(session.next(), Step::Failed(failure), "the end stays");
    }
    let mut card = Card::new(1);
    card.answers.push((vec![0x84, 0x82], vec![0x63, 0x00]));
    let failure = failed(drive(&mut Session::new(input(1), ring()).unwrap(), &mut card).0);
    assert_eq!((failure.advice(), failure.status), (Advice::NewCard, Some(StatusWord(0x6300))));
    // A chip with other keys, and an answer that is none.
    let mut card = Card::new(1);
    card.key = [0x50; 16];
    let failure = failed(drive(&mut Session::new(input(1), ring()).unwrap(), &mut card).0);
    assert_eq!(
        failure.to_string(),
        "instances: secure channel: the card does not know the keys: its cryptogram is wrong; put this card aside and take a new one"
    );
    let mut card = Card::new(1);
    card.answers.push((vec![0x80, 0xE4], vec![0x90]));
    let failure = failed(drive(&mut Session::new(input(1), ring()).unwrap(), &mut card).0);
    assert_eq!(failure.reason, FailureReason::Answer);
    // A look at the end that finds something else.
    let mut card = Card::new(1);
    let select = CommandApdu::select(Some(&aid())).to_bytes();
    card.answers.push((select, hex::decode("A503500142").map(|d| [d, vec![0x90, 0x00]].concat()).unwrap()));
    let failure = failed(drive(&mut Session::new(input(1), ring()).unwrap(), &mut card).0);
    assert_eq!(failure.reason, FailureReason::Check);
}

#[test]
fn an_unknown_grouping_is_tolerated_where_the_plan_says_so() {
    let with = |optional: Vec<DgiTag>, completion| {
        let mut input = input(1);
        for step in input.plan.phases.iter_mut().flat_map(|p| &mut p.steps) {
            if let PlanStep::StoreData(store) = step {
                (store.optional, store.completion) = (optional.clone(), completion);
            }
        }
        input
    };
    // 0101 spans two commands: the rest of it is not sent.
    let mut card = Card::new(1);
    card.unknown = vec![0x0101];
    let tolerant = with(vec![DgiTag(0x0101)], StoreCompletion::EmptyCompletion);
    let (step, ..) = drive(&mut Session::new(tolerant, ring()).unwrap(), &mut card);
    assert!(matches!(step, Step::Done(_)), "{step:?}");
    let instance = &card.instances[aid().as_bytes()];
    assert!(
        instance.complete && !instance.stored.contains_key(&0x0101) && instance.stored.contains_key(&0x7FFF)
    );
    let mut card = Card::new(1);
    card.unknown = vec![0x3001];
    let failure = failed(drive(&mut Session::new(input(1), ring()).unwrap(), &mut card).0);
    assert_eq!(failure.status, Some(StatusWord::NOT_FOUND));
    assert!(failure.step.ends_with("STORE DATA 3001"));
    let refused =
        Session::new(with(vec![DgiTag(0x8205)], StoreCompletion::LastGrouping), ring()).unwrap_err();
    assert!(refused.to_string().contains("may not know the last DGI"), "{refused}");
}

#[test]
fn transmission_answers_of_t0_are_followed_and_nothing_else_is_sent_twice() {
    let mut card = Card::new(1);
    card.answers.push((hex::decode("00A40400").unwrap(), hex::decode("6C10").unwrap()));
    card.waiting = Vec::new();
    card.answers.push((hex::decode("80E60C00").unwrap(), hex::decode("6101").unwrap()));
    card.answers.push((hex::decode("00C0000001").unwrap(), hex::decode("009000").unwrap()));
    let mut session = Session::new(input(1), ring()).unwrap();
    let failure = failed(drive(&mut session, &mut card).0);
    // The first INSTALL was answered by the stand-in, so the card has no such instance.
    assert_eq!(failure.status, Some(StatusWord::NOT_FOUND));
    assert_eq!(hex_upper(&card.seen[0]), "00A4040000");
    assert_eq!(hex_upper(&card.seen[1]), "00A4040010");
    assert!(card.seen.contains(&hex::decode("00C0000001").unwrap()));
    let mut card = Card::new(1);
    card.answers.push((hex::decode("80E2").unwrap(), hex::decode("6C00").unwrap()));
    let failure = failed(drive(&mut Session::new(input(1), ring()).unwrap(), &mut card).0);
    assert_eq!((failure.reason, failure.status), (FailureReason::Refused, Some(StatusWord(0x6C00))));
    assert_eq!(card.seen.iter().filter(|c| c[1] == 0xE2).count(), 1);
}

#[test]
fn what_does_not_fit_is_refused_before_the_first_command() {
    let text = |input: SessionInput| Session::new(input, ring()).unwrap_err().to_string();
    let late = SessionInput { today: CardDate::from_iso("2027-01-01").unwrap(), ..input(1) };
    assert_eq!(Session::new(late, ring()).unwrap_err().reason, FailureReason::Expired);
    let last_day = SessionInput { today: CardDate::from_iso("2026-12-31").unwrap(), ..input(1) };
    assert!(Session::new(last_day, ring()).is_ok());
    let mut bare = input(1);
    bare.station.key_sets.clear();
    assert!(text(bare).contains("key set card-manager"));
    let mut in_clear = input(1);
    in_clear.data.applications[0].dgis =
        ProtectedDgiSet::from_prepared(vec![clear(0x8010, PIN_IN_CLEAR.to_vec())]).unwrap();
    assert!(text(in_clear).contains("DGI 8010: a DGI of keys or PINs stands in clear"));
    let mut without = input(1);
    without.plan.phases.retain(|p| p.name != "data");
    assert!(text(without).contains("a plan stores data"));
    let mut other_kcv = input(1);
    other_kcv.data.transport.kcv = Some("000000".to_owned());
    let failure = failed(drive(&mut Session::new(other_kcv, ring()).unwrap(), &mut Card::new(1)).0);
    assert!(matches!(failure.reason, FailureReason::Keys(_)), "{failure}");
}

#[test]
fn a_state_of_another_card_or_plan_is_refused() {
    let mut card = Card::new(1);
    card.torn = Torn::Command(12);
    let (_, kept, _) = drive(&mut Session::new(input(1), ring()).unwrap(), &mut card);
    let refused = |input: SessionInput| Session::resume(input, ring(), &kept).unwrap_err().to_string();
    let mut other = input(2);
    other.data.card_reference = "card-2".parse().unwrap();
    assert!(refused(other).contains("of another card"));
    let mut other = input(2);
    other.data.applications[2].dgis =
        ProtectedDgiSet::from_prepared(vec![clear(0x9102, vec![0xA5, 0x00])]).unwrap();
    assert!(refused(other).contains("of another plan or of other data"));
    assert!(refused(SessionInput { plan: plan("pre-personalized"), ..input(2) }).contains("of another plan"));
    assert!(Session::resume(input(2), ring(), &kept[1..]).is_err());
    // Another day is no other plan.
    let later = SessionInput { today: CardDate::from_iso("2026-11-22").unwrap(), ..input(2) };
    assert!(Session::resume(later, ring(), &kept).is_ok());
}

#[test]
fn outcomes_that_were_not_asked_for_end_the_session() {
    let wrong: [fn(&mut Session); 4] =
        [|s| s.response(&[0x90, 0x00]), Session::claimed, Session::reset_done, Session::no_answer];
    for tell in wrong {
        let mut session = Session::new(input(1), ring()).unwrap();
        tell(&mut session);
        let failure = failed(session.next());
        assert!(matches!(failure.reason, FailureReason::Caller(_)), "{failure}");
        assert_eq!(failure.advice(), Advice::CallSupport);
    }
    let session = Session::new(input(1), ring()).unwrap();
    assert_eq!(
        format!("{session:?}"),
        r#"Session { card_reference: CardId("card-1"), step: "instances: SELECT card manager", .. }"#
    );
}

#[test]
fn new_keys_go_out_enciphered_after_the_claim_and_are_not_sent_twice() {
    let with_keys = |seed| {
        let mut input = input(seed);
        let step = PlanStep::PutKey { new_keys: "next".to_owned(), new_version: 0x20, replaces: 0x00 };
        input.plan.phases[0].steps.insert(0, step);
        input.station.key_sets.insert("next".to_owned(), CardKeys::Static { index: KeyIndex(2) });
        input
    };
    let mut card = Card::new(1);
    let mut session = Session::new(with_keys(1), ring()).unwrap();
    let (step, _, claims) = drive(&mut session, &mut card);
    assert!(matches!(step, Step::Done(_)), "{step:?}");
    assert_eq!(claims.len(), 1);
    let log: Vec<String> = session.log().iter().map(ToString::to_string).collect();
    let claimed = log.iter().position(|l| l == "claim stored").unwrap();
    assert_eq!(log[claimed + 1], "instances: PUT KEY 20: 9000");
    let put_key = &card.seen[3];
    // 80 D8 00 81, then version, and of each key 80 10, sixteen bytes, 03 and the check value.
    assert_eq!(hex_upper(&put_key[..8]), "80D8008143208010");
    assert_eq!(put_key.len(), 5 + 1 + 3 * (2 + 16 + 1 + 3) + 1);
    let dek = Scp02Key::Dek.derive(&Secret::copy_of(&STATIC), [0, 0]).unwrap();
    for (i, first) in [0x60, 0x70, 0x80].into_iter().enumerate() {
        let mut key = put_key[8 + i * 22..][..16].to_vec();
        assert_ne!(key, new_key(first));
        TdesKey::new(&dek).unwrap().decrypt_ecb(&mut key).unwrap();
        assert_eq!(key, new_key(first));
    }
    // Torn there: nobody can tell which keys the chip has, so nothing is tried.
    let mut card = Card::new(1);
    card.torn = Torn::Answer(3);
    let (_, kept, _) = drive(&mut Session::new(with_keys(1), ring()).unwrap(), &mut card);
    let failure = Session::resume(with_keys(2), ring(), &kept).unwrap_err();
    assert_eq!((&failure.reason, failure.advice()), (&FailureReason::Unknown, Advice::NewCard));
    assert_eq!(failure.step, "instances: PUT KEY 20");
}

/// The program dies with the claim in its hands, and the card is torn once more on the way back: PUT KEY was never sent, and
/// that is known.
#[test]
fn what_was_not_sent_is_known_after_two_tears() {
    let with_keys = |seed| {
        let mut input = input(seed);
        let step = PlanStep::PutKey { new_keys: "next".to_owned(), new_version: 0x20, replaces: 0x00 };
        input.plan.phases[0].steps.insert(1, step);
        input.station.key_sets.insert("next".to_owned(), CardKeys::Static { index: KeyIndex(2) });
        input
    };
    let mut card = Card::new(1);
    let mut session = Session::new(with_keys(1), ring()).unwrap();
    loop {
        match session.next() {
            Step::Send(command) => session.response(&card.transmit(&command.apdu.to_bytes()).unwrap()),
            Step::Claim(_) => break,
            other => panic!("{other:?}"),
        }
    }
    let kept = session.state().to_bytes();
    assert!(!session.state().is_claimed());
    // After the reset: SELECT and INITIALIZE UPDATE to see which chip it is, then SELECT of the phase.
    card.torn = Torn::Command(card.seen.len() + 2);
    let (step, kept, _) = drive(&mut Session::resume(with_keys(2), ring(), &kept).unwrap(), &mut card);
    assert_eq!(failed(step).reason, FailureReason::NoAnswer);
    card.torn = Torn::Never;
    let (step, _, claims) = drive(&mut Session::resume(with_keys(3), ring(), &kept).unwrap(), &mut card);
    assert!(matches!(step, Step::Done(_)), "{step:?}");
    assert_eq!((claims.len(), card.seen.iter().filter(|c| c[1] == 0xD8).count()), (1, 1));
    assert_personalized(&card);
}
