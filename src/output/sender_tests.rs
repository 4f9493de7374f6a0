use super::super::recipients::{Recipients, open, open_from};
use super::super::seal::{Form, Label, Sealer as _, Sheet, seal};
use super::*;
use crate::crypto::rng::{Purpose, Seed};
use crate::keys::{PrivateJwk, jwe};
use crate::profile::DestinationId;

fn holder(name: &[u8]) -> PrivateJwk {
    PrivateJwk::generate(&mut Seed::fixed([9; 32]).named_stream(name, Purpose::TestIssuer).rng())
}

fn signer(byte: u8) -> Ed25519Private {
    Ed25519Private::from_seed(&Secret::copy_of(&[byte; 32])).unwrap()
}

fn only(byte: u8) -> Senders {
    Senders::Only(vec![SigningPublicJwk::new(signer(byte).public())])
}

const LINES: [&[u8]; 3] = [b"{\"a\":1}", b"{\"a\":2}", b"{\"a\":3}"];
const FILE: &str = "prepared/INSTANT/PC1/cards-000000.jwe";

fn sealed_by(by: Option<u8>, form: Form, batch: &str, file: &str, to: &PrivateJwk) -> String {
    let destination: DestinationId = "PC1".parse().unwrap();
    let mut recipients = Recipients::default();
    recipients.add(destination.clone(), to.public().clone());
    if let Some(byte) = by {
        recipients.sign_with(signer(byte));
    }
    let sheet = Sheet { batch, file, form };
    seal(&recipients, &destination, &sheet, &LINES, &Seed::fixed([1; 32])).unwrap()
}

fn sealed(by: Option<u8>, form: Form) -> String {
    sealed_by(by, form, "B1", FILE, &holder(b"one"))
}

#[test]
fn a_signed_file_opens_and_names_its_sender() {
    for form in [Form::Whole, Form::EachLine] {
        let text = sealed(Some(1), form);
        assert_eq!(text, sealed(Some(1), form), "the same bytes again");
        assert_ne!(text, sealed(Some(2), form));
        let kid = SigningPublicJwk::new(signer(1).public()).kid().to_owned();
        let many = Senders::Only([2, 1].map(|b| SigningPublicJwk::new(signer(b).public())).into());
        for senders in [&Senders::Anyone, &only(1), &many] {
            let opened = open_from(&holder(b"one"), &text, senders).unwrap();
            assert_eq!(opened.text.as_slice(), b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
            assert_eq!((opened.batch.as_str(), opened.file.as_str(), opened.cards), ("B1", FILE, 3));
            assert_eq!(opened.signer.as_ref(), Some(&kid));
        }
        assert_eq!(open(&holder(b"one"), &text).unwrap().signer, Some(kid));
    }
}

#[test]
fn an_unsigned_or_foreign_file_is_refused_when_a_sender_is_asked_for() {
    for form in [Form::Whole, Form::EachLine] {
        let refusal = |text: &str, senders: &Senders| {
            open_from(&holder(b"one"), text, senders).unwrap_err().kind().clone()
        };
        let unsigned = sealed(None, form);
        assert!(open(&holder(b"one"), &unsigned).unwrap().signer.is_none());
        assert_eq!(refusal(&unsigned, &only(1)), ErrorKind::Crypto("the contents are not signed"));
        let foreign = ErrorKind::Crypto("the contents are signed by another sender");
        assert_eq!(refusal(&sealed(Some(2), form), &only(1)), foreign);
        assert_eq!(refusal(&sealed(Some(1), form), &Senders::Only(Vec::new())), foreign);
    }
}

/// An envelope of an attacker, who has every public key and one honest file: any header, any contents.
fn forged(header: &Map<String, Value>, contents: &[u8], to: &PrivateJwk) -> String {
    let mut rng = Seed::fixed([8; 32]).named_stream(b"attacker", Purpose::Envelope).rng();
    jwe::seal(to.public(), header, contents, &mut rng).unwrap()
}

/// Header and contents of an honest signed file.
fn honest(batch: &str, file: &str, to: &PrivateJwk) -> (Map<String, Value>, Secret) {
    jwe::open(to, &sealed_by(Some(1), Form::Whole, batch, file, to)).unwrap()
}

#[test]
fn contents_that_were_signed_for_something_else_are_refused() {
    let (one, two) = (holder(b"one"), holder(b"two"));
    let (header, contents) = honest("B1", FILE, &one);
    assert!(open_from(&one, &forged(&header, contents.expose(), &one), &only(1)).is_ok(), "as it was");
    let other_name = FILE.replace("000000", "000001");
    let (other_header, other) = honest("B2", &other_name, &one);
    let refused = |text: &str, to: &PrivateJwk, what: &str| {
        for senders in [&only(1), &Senders::Anyone] {
            assert!(open_from(to, text, senders).is_err(), "{what}");
        }
    };
    refused(&forged(&header, other.expose(), &one), &one, "contents of another file");
    refused(&forged(&other_header, contents.expose(), &one), &one, "under another file's name");
    refused(&forged(&header, contents.expose(), &two), &two, "sent on to another recipient");
    for (name, value) in [
        ("batch", Value::from("B2")),
        ("file", Value::from(other_name)),
        ("cards", Value::from(2)),
        ("line", Value::from(1)),
        ("more", Value::from(1)),
        ("cty", Value::from("JWT")),
        ("cty", Value::from(1)),
    ] {
        let mut changed = header.clone();
        changed.insert(name.to_owned(), value);
        refused(&forged(&changed, contents.expose(), &one), &one, name);
    }
    let mut bare = header.clone();
    bare.remove("cty");
    // Without cty it is an unsigned file whose only line is no line: the count does not fit.
    refused(&forged(&bare, contents.expose(), &one), &one, "cty removed");
    refused(&forged(&header, b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", &one), &one, "cty, and no signature");
    // Signed by the right key, but as something else than a sealed file.
    let mut label = header.clone();
    label.remove("cty");
    label.insert("to".to_owned(), Value::from(one.public().thumbprint()));
    let right = jws::sign(&signer(1), TYP, &label, b"1\n2\n3\n").unwrap();
    assert!(open_from(&one, &forged(&header, right.expose(), &one), &only(1)).is_ok());
    let wrong = jws::sign(&signer(1), "other+jws", &label, b"1\n2\n3\n").unwrap();
    refused(&forged(&header, wrong.expose(), &one), &one, "another typ");
    label.remove("to");
    let open_end = jws::sign(&signer(1), TYP, &label, b"1\n2\n3\n").unwrap();
    refused(&forged(&header, open_end.expose(), &one), &one, "for nobody");
}

#[test]
fn lines_of_different_senders_do_not_stand_together() {
    let to = holder(b"one");
    let both =
        [sealed(Some(1), Form::EachLine), sealed(Some(2), Form::EachLine), sealed(None, Form::EachLine)];
    let lines = both.each_ref().map(|text| text.lines().collect::<Vec<_>>());
    let all = Senders::Only([1, 2].map(|b| SigningPublicJwk::new(signer(b).public())).into());
    let join = |a: &str, b: &str, c: &str| format!("{a}\n{b}\n{c}\n");
    assert!(open_from(&to, &join(lines[0][0], lines[0][1], lines[0][2]), &all).is_ok());
    assert!(open_from(&to, &join(lines[0][0], lines[1][1], lines[0][2]), &all).is_err());
    assert!(open_from(&to, &join(lines[0][0], lines[2][1], lines[0][2]), &Senders::Anyone).is_err());
    // Lines in another order, or of another place.
    assert!(open_from(&to, &join(lines[0][1], lines[0][0], lines[0][2]), &all).is_err());
    assert!(open_from(&to, &format!("{}\n{}\n", lines[0][0], lines[0][1]), &all).is_err());
}

/// A production issuer's recipients seal nothing without a signer.
#[test]
fn what_must_be_signed_is_not_sealed_unsigned() {
    let to: DestinationId = "PC1".parse().unwrap();
    let mut recipients = Recipients::default();
    recipients.add(to.clone(), holder(b"one").public().clone());
    let label = Label { batch: "B".to_owned(), file: "f".to_owned(), line: None, cards: 0 };
    assert!(recipients.seal(&to, &label, b"", &Seed::fixed([1; 32])).is_ok());
    recipients.must_be_signed();
    assert!(recipients.seal(&to, &label, b"", &Seed::fixed([1; 32])).is_err());
    recipients.sign_with(signer(1));
    assert!(recipients.seal(&to, &label, b"", &Seed::fixed([1; 32])).is_ok());
}
