use std::collections::BTreeMap;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::crypto::ed25519::Ed25519Private;
use crate::crypto::hash::sha256;
use crate::crypto::rng::{Purpose, Seed};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::keys::{PrivateJwk, PublicJwk, jwe};
use crate::profile::{DestinationId, Environment, Issuer};
use crate::secret::Secret;

use super::seal::{Label, Sealer};
use super::sender::{self, Senders};

/// The public keys of an issuer's destinations, and the key that signs what is sealed for them.
#[derive(Debug, Default)]
pub struct Recipients {
    keys: BTreeMap<DestinationId, PublicJwk>,
    signer: Option<Ed25519Private>,
    must_be_signed: bool,
}

impl Recipients {
    /// Those of the configuration. Destinations without a key are left out. Of a production issuer nothing is sealed
    /// before [`Recipients::sign_with`].
    ///
    /// # Errors
    /// With the destination as its place: those of [`PublicJwk::from_json`].
    pub fn of(issuer: &Issuer) -> Result<Self> {
        let mut keys = BTreeMap::new();
        for destination in issuer.destinations() {
            if let Some(text) = &destination.public_key {
                let key = PublicJwk::from_json(text.as_bytes())
                    .at_with(|| format!("public key of destination {}", destination.id))?;
                keys.insert(destination.id.clone(), key);
            }
        }
        let must_be_signed = issuer.environment() == Environment::Production;
        Ok(Self { keys, signer: None, must_be_signed })
    }

    /// The issuer's output key: what is sealed from now on is signed first.
    pub fn sign_with(&mut self, signer: Ed25519Private) {
        self.signer = Some(signer);
    }

    #[cfg(test)]
    pub(super) const fn must_be_signed(&mut self) {
        self.must_be_signed = true;
    }

    /// Adds the key of a destination.
    pub fn add(&mut self, to: DestinationId, key: PublicJwk) {
        self.keys.insert(to, key);
    }

    /// The key of a destination.
    #[must_use]
    pub fn get(&self, to: &DestinationId) -> Option<&PublicJwk> {
        self.keys.get(to)
    }
}

impl Sealer for Recipients {
    fn seal(&self, to: &DestinationId, label: &Label, plaintext: &[u8], seed: &Seed) -> Result<String> {
        let Some(key) = self.get(to) else {
            return Err(Error::new(ErrorKind::Missing("the public key")).at(format!("destination {to}")));
        };
        let mut header = label.members();
        let signed = match &self.signer {
            Some(signer) => Some(sender::sign(signer, key, &mut header, plaintext)?),
            None if self.must_be_signed => {
                return Err(ErrorKind::Missing("the output signing key").into());
            }
            None => None,
        };
        let plaintext = signed.as_ref().map_or(plaintext, Secret::expose);
        // With a fixed seed the same stream must never meet two plaintexts: all that tells two envelopes apart goes in.
        let line = label.line.unwrap_or(0).to_be_bytes();
        let digest = sha256(&[plaintext]);
        let parts = [key.kid().as_bytes(), label.file.as_bytes(), &line, &digest];
        let mut name = Vec::new();
        for part in parts {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part);
        }
        let mut rng = seed.named_stream(&name, Purpose::Envelope).rng();
        jwe::seal(key, &header, plaintext, &mut rng)
    }
}

impl Label {
    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("batch".to_owned(), Value::from(self.batch.as_str()));
        members.insert("file".to_owned(), Value::from(self.file.as_str()));
        if let Some(line) = self.line {
            members.insert("line".to_owned(), Value::from(line));
        }
        members.insert("cards".to_owned(), Value::from(self.cards));
        members
    }

    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name)?.as_str().map(str::to_owned);
        let line = match members.get("line") {
            None => None,
            Some(line) => Some(line.as_u64()?),
        };
        Some(Self {
            batch: text("batch")?,
            file: text("file")?,
            line,
            cards: members.get("cards")?.as_u64()?,
        })
    }
}

/// A sealed file that was opened and whose labels were checked.
pub struct Opened {
    /// Batch id.
    pub batch: String,
    /// Path in the output folder.
    pub file: String,
    /// How many cards (mailers, returns) it holds.
    pub cards: u64,
    /// `kid` of the key that signed it; `None` for one that is not signed. Proven only by [`open_from`] certain senders.
    pub signer: Option<String>,
    /// Its lines, each with its end.
    pub text: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({}, {} cards)", self.file, self.cards)
    }
}

/// The key ids that a sealed file asks for, as its first envelope says: nothing is verified by that.
///
/// # Errors
/// If the file is no compact JWE.
pub fn recipient(sealed: &str) -> Result<String> {
    jwe::recipient(sealed.split('\n').next().unwrap_or_default())
}

/// As [`open_from`] anyone: who sealed the file is not proven.
///
/// # Errors
/// Those of [`open_from`].
pub fn open(key: &PrivateJwk, sealed: &str) -> Result<Opened> {
    open_from(key, sealed, &Senders::Anyone)
}

/// Opens a sealed file: one envelope around all lines, or one a line.
///
/// The labels in the protected headers must agree with each other, with the place of each line and with the number of
/// lines. Whether the batch and the file are the ones that are meant is the caller's to compare.
///
/// # Errors
/// [`ErrorKind::Crypto`] if an envelope does not open, or its contents are not signed by one of the senders that are
/// asked for; [`ErrorKind::Value`] if the labels do not agree.
pub fn open_from(key: &PrivateJwk, sealed: &str, senders: &Senders) -> Result<Opened> {
    let (envelopes, each_line) = match sealed.strip_suffix('\n') {
        None => (vec![sealed], false),
        Some(lines) => (lines.split('\n').collect(), true),
    };
    let mut opened: Option<Opened> = None;
    for (envelope, number) in envelopes.iter().zip(1_u64..) {
        let at = || format!("line {number}");
        let (mut members, contents) = jwe::open(key, envelope).at_with(at)?;
        let (plaintext, signer) = sender::open(senders, key.public(), &mut members, contents).at_with(at)?;
        let label = Label::read(&members).ok_or(ErrorKind::Value("the header carries no label"))?;
        if label.line != each_line.then_some(number) {
            return Err(ErrorKind::Value("a line stands in another place than its header says").into());
        }
        let file = opened.get_or_insert_with(|| Opened {
            batch: label.batch.clone(),
            file: label.file.clone(),
            cards: label.cards,
            signer: signer.clone(),
            text: Zeroizing::default(),
        });
        if (&file.batch, &file.file, file.cards, &file.signer)
            != (&label.batch, &label.file, label.cards, &signer)
        {
            return Err(ErrorKind::Value("lines of different files stand together").into());
        }
        let needed = file.text.len().saturating_add(plaintext.len()).saturating_add(1);
        if needed > file.text.capacity() {
            // A growing vector would leave copies behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            larger.extend_from_slice(&file.text);
            file.text = larger;
        }
        file.text.extend_from_slice(plaintext.expose());
        if each_line {
            file.text.push(b'\n');
        }
    }
    let opened = opened.ok_or(ErrorKind::Missing("the envelope"))?;
    let lines = opened.text.iter().filter(|b| **b == b'\n').count() as u64;
    if lines != opened.cards {
        return Err(ErrorKind::Value("the file holds another number of lines than its header says").into());
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::super::seal::{Form, Sheet, seal};
    use super::*;

    fn key(name: &[u8]) -> PrivateJwk {
        PrivateJwk::generate(&mut Seed::fixed([9; 32]).named_stream(name, Purpose::TestIssuer).rng())
    }

    fn sealed(form: Form, seed: u8) -> (PrivateJwk, String) {
        let key = key(b"one");
        let to: DestinationId = "PC1".parse().unwrap();
        let mut recipients = Recipients::default();
        recipients.add(to.clone(), key.public().clone());
        let sheet = Sheet { batch: "B1", file: "prepared/CENTRAL/PC1/cards-000000.jwe", form };
        let lines: [&[u8]; 3] = [b"{\"a\":1}", b"{\"a\":2}", b"{\"a\":3}"];
        let text = seal(&recipients, &to, &sheet, &lines, &Seed::fixed([seed; 32])).unwrap();
        (key, text)
    }

    #[test]
    fn both_forms_are_opened_again() {
        for form in [Form::Whole, Form::EachLine] {
            let (key, text) = sealed(form, 1);
            assert_eq!(text.lines().count(), if form == Form::Whole { 1 } else { 3 });
            assert_eq!(recipient(&text).unwrap(), key.public().kid());
            let opened = open(&key, &text).unwrap();
            assert_eq!(opened.text.as_slice(), b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
            assert_eq!((opened.batch.as_str(), opened.cards), ("B1", 3));
            assert_eq!(opened.file, "prepared/CENTRAL/PC1/cards-000000.jwe");
            assert_eq!(format!("{opened:?}"), "Opened(prepared/CENTRAL/PC1/cards-000000.jwe, 3 cards)");
            assert!(open(&self::key(b"other"), &text).is_err());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        assert_eq!(sealed(Form::EachLine, 1).1, sealed(Form::EachLine, 1).1);
        let (one, other) = (sealed(Form::EachLine, 1).1, sealed(Form::EachLine, 2).1);
        for (a, b) in one.lines().zip(other.lines()) {
            assert_ne!(a, b);
        }
        // No two envelopes of a file share an IV.
        let ivs: std::collections::BTreeSet<_> = one.lines().map(|l| l.split('.').nth(2).unwrap()).collect();
        assert_eq!(ivs.len(), 3);
    }

    #[test]
    fn lines_that_are_moved_dropped_or_changed_are_seen() {
        let (key, text) = sealed(Form::EachLine, 1);
        let lines: Vec<&str> = text.lines().collect();
        let join = |lines: &[&str]| lines.iter().map(|l| format!("{l}\n")).collect::<String>();
        assert!(open(&key, &join(&lines)).is_ok());
        for wrong in
            [&[lines[1], lines[0], lines[2]][..], &lines[..2], &lines[1..], &[lines[0], lines[0], lines[2]]]
        {
            assert!(open(&key, &join(wrong)).is_err());
        }
        assert!(open(&key, "").is_err());
        assert!(open(&key, "\n").is_err());
        let (key, text) = sealed(Form::Whole, 1);
        for at in (0..text.len()).step_by(7) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(open(&key, std::str::from_utf8(&bytes).unwrap()).is_err(), "byte {at}");
        }
    }
}
