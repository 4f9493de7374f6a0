use super::*;
use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Private;
use crate::profile::Files;
use crate::secret::Secret;

fn key(byte: u8) -> Ed25519Private {
    Ed25519Private::from_seed(&Secret::copy_of(&[byte; 32])).unwrap()
}

fn name(text: &str) -> OfficerName {
    text.parse().unwrap()
}

fn today() -> CardDate {
    CardDate::from_yymmdd("261121").unwrap()
}

fn text(threshold: u32, more: &str) -> String {
    let mut out = format!("version = 1\nthreshold = {threshold}\n");
    for (name, byte) in [("ann", 1), ("bob", 2), ("carl", 3)] {
        out += &format!("\n[[officer]]\nname = \"{name}\"\npublic_key = \"{}\"\n", key(byte).public());
    }
    out + more
}

fn officers(more: &str) -> Officers {
    Officers::read("officers.toml", text(2, more).as_bytes()).unwrap()
}

fn files() -> Files {
    [("issuer.toml", "a"), ("keys.toml", "b")].map(|(p, t)| (p.to_owned(), t.as_bytes().to_vec())).into()
}

#[test]
fn the_file_is_read_and_its_faults_are_told() {
    let good = officers("roles = [\"resume\"]\nuntil = \"2026-11-20\"\n");
    assert_eq!((good.all().len(), good.threshold()), (3, 2));
    let carl = good.by_name(&name("CARL")).unwrap();
    assert!(!carl.may(Role::Configuration, today()) && !carl.may(Role::Resume, today()));
    assert!(carl.may(Role::Resume, CardDate::from_yymmdd("261120").unwrap()));
    assert!(good.by_name(&name("ann")).unwrap().may(Role::Resume, today()));
    let other = key(9).public();
    for (threshold, more) in [
        (1, String::new()),
        (4, String::new()),
        (3, "roles = [\"resume\"]\n".to_owned()),
        (2, "roles = [\"all\"]\n".to_owned()),
        (2, "until = \"2026-13-01\"\n".to_owned()),
        (2, "until = \"26-11-2001\"\n".to_owned()),
        (2, "until = \"2026-1-101\"\n".to_owned()),
        (2, "role = \"resume\"\n".to_owned()),
        (2, format!("\n[[officer]]\nname = \"Ann\"\npublic_key = \"{other}\"\n")),
        (2, format!("\n[[officer]]\nname = \"dora\"\npublic_key = \"{}\"\n", key(1).public())),
        (2, format!("\n[[officer]]\nname = \"../dora\"\npublic_key = \"{other}\"\n")),
        (2, "\n[[officer]]\nname = \"dora\"\npublic_key = \"00\"\n".to_owned()),
    ] {
        assert!(Officers::read("o", text(threshold, &more).as_bytes()).is_err(), "{threshold} {more}");
    }
    assert!(Officers::read("o", b"\xFF").is_err());
}

#[test]
fn enough_distinct_officers_must_have_signed_this_state() {
    let officers = officers("");
    let state = DirectoryState::of(&files(), 7);
    let sign = |who: &str, byte: u8, state: &DirectoryState| {
        OfficerSignature::new(&name(who), &key(byte), "2026-11-21T10:00:00Z", state)
    };
    let (ann, bob) = (sign("ann", 1, &state), sign("Bob", 2, &state));
    let accepted = officers.accept(&state, &[ann.clone(), bob.clone()], today()).unwrap();
    assert_eq!((accepted.officers, accepted.sequence), (vec![name("ann"), name("bob")], 7));
    let refused = |signatures: &[OfficerSignature], state: &DirectoryState| {
        officers.accept(state, signatures, today()).unwrap_err()
    };
    // One officer twice is one officer.
    assert_eq!(refused(&[ann.clone(), ann.clone()], &state).found, 1);
    let again = OfficerSignature::new(&name("ANN"), &key(1), "2026-11-22T10:00:00Z", &state);
    assert_eq!(refused(&[ann.clone(), again], &state).found, 1);
    // A name with another's key, and a name that nobody has.
    assert_eq!(refused(&[ann.clone(), sign("bob", 3, &state)], &state).found, 1);
    assert_eq!(refused(&[ann.clone(), sign("dora", 4, &state)], &state).found, 1);
    // Every file counts, its name and its bytes, and the sequence.
    let mut changed = Vec::new();
    for path in ["issuer.toml", "keys.toml"] {
        let mut other = files();
        other.get_mut(path).unwrap().push(b' ');
        changed.push(DirectoryState::of(&other, 7));
        let mut other = files();
        other.remove(path);
        changed.push(DirectoryState::of(&other, 7));
    }
    let mut other = files();
    other.insert("oda/01/oda.toml".to_owned(), vec![]);
    changed.push(DirectoryState::of(&other, 7));
    changed.push(DirectoryState::of(&files(), 8));
    for other in &changed {
        let refusal = refused(&[ann.clone(), bob.clone()], other);
        assert_eq!(refusal.found, 0);
        assert!(refusal.to_string().contains("signed another state"), "{refusal}");
    }
    assert_eq!(changed[0].since(ann.files()), [(Change::Changed, "issuer.toml".to_owned())]);
    assert_eq!(changed[1].since(ann.files()), [(Change::Removed, "issuer.toml".to_owned())]);
    assert_eq!(changed[4].since(ann.files()), [(Change::Added, "oda/01/oda.toml".to_owned())]);
}

/// Whatever byte of a signature file is changed, it counts no more, or says the same.
#[test]
fn every_changed_byte_of_a_signature_is_seen() {
    let officers = officers("");
    let state = DirectoryState::of(&files(), 7);
    let signature = OfficerSignature::new(&name("ann"), &key(1), "2026-11-21T10:00:00Z", &state);
    let text = signature.to_json();
    assert_eq!(OfficerSignature::read(text.as_bytes()).unwrap(), signature);
    for at in 0..text.len() {
        for bit in [0x01, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= bit;
            let Ok(read) = OfficerSignature::read(&bytes) else { continue };
            assert!(read == signature || read.check(&officers, &state, today()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn an_approval_is_for_one_restart_and_by_another_officer() {
    let officers = officers("roles = [\"configuration\"]\n");
    let restart = Restart { batch: "B1".into(), input: Some("AA".into()), count: 2 };
    let until = "2026-11-21T12:00:00Z";
    let approval = Approval::new(&name("bob"), &key(2), &restart, until);
    let check =
        |a: &Approval, operator: &str, restart: &Restart| a.check(&officers, operator, restart, today());
    assert_eq!(check(&approval, "ann", &restart).unwrap(), name("bob"));
    for operator in ["bob", "BOB", " bob "] {
        assert!(check(&approval, operator, &restart).is_err(), "{operator}");
    }
    for other in [
        Restart { batch: "B2".into(), ..restart.clone() },
        Restart { input: None, ..restart.clone() },
        Restart { input: Some("BB".into()), ..restart.clone() },
        Restart { count: 1, ..restart.clone() },
        Restart { count: 3, ..restart.clone() },
    ] {
        assert!(check(&approval, "ann", &other).is_err(), "{other:?}");
    }
    // Without the role, with another's key, with a name that nobody has.
    for (who, byte) in [("carl", 3), ("bob", 1), ("dora", 2)] {
        let other = Approval::new(&name(who), &key(byte), &restart, until);
        assert!(check(&other, "ann", &restart).is_err(), "{who}");
    }
    let text = approval.to_json();
    assert_eq!(Approval::read(text.as_bytes()).unwrap(), approval);
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let passes = Approval::read(&bytes).and_then(|a| check(&a, "ann", &restart));
        assert!(passes.is_err(), "byte {at}");
    }
    let later = Approval::new(&name("bob"), &key(2), &restart, "2026-11-21T13:00:00Z");
    assert_ne!(later.digest(), approval.digest());
}
