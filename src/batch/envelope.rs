use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::card::CardDate;
use crate::error::{ErrorKind, Result};
use crate::keys::{PrivateJwk, jwe};
use crate::order::{EnvelopeOpener, OpenError};

/// Private keys that D1 encrypts card data for, by their ids.
///
/// Several stand side by side while D1 changes from one to the next. A key may have a last day: a batch that starts later
/// rejects orders for it, as if the key were gone. As an opener by itself this knows no day, and opens with keys without
/// a last day only; [`EnvelopeKeys::on`] knows one.
#[derive(Debug, Default)]
pub struct EnvelopeKeys(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    key: PrivateJwk,
    until: Option<CardDate>,
}

impl EnvelopeKeys {
    /// Adds a key under the id that `issuer.toml` gives it.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the key has another id.
    pub fn add(&mut self, kid: &str, key: PrivateJwk) -> Result<()> {
        self.add_until(kid, key, None)
    }

    /// Adds a key that opens orders up to the end of a day.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] if the key has another id.
    pub fn add_until(&mut self, kid: &str, key: PrivateJwk, until: Option<CardDate>) -> Result<()> {
        if key.public().kid() != kid {
            return Err(ErrorKind::Value("the key's kid is another one").into());
        }
        self.0.insert(kid.to_owned(), Entry { key, until });
        Ok(())
    }

    /// The keys of a day: that on which the batch started.
    #[must_use]
    pub const fn on(&self, today: CardDate) -> EnvelopeKeysOn<'_> {
        EnvelopeKeysOn { keys: self, today }
    }

    fn open_if(
        &self,
        compact: &str,
        serves: impl FnOnce(Option<CardDate>) -> bool,
    ) -> std::result::Result<Zeroizing<Vec<u8>>, OpenError> {
        let open = || {
            let entry = self.0.get(&jwe::recipient(compact).ok()?).filter(|entry| serves(entry.until))?;
            let (_, plaintext) = jwe::open(&entry.key, compact).ok()?;
            Some(Zeroizing::new(plaintext.expose().to_vec()))
        };
        open().ok_or(OpenError::Crypto)
    }
}

impl EnvelopeOpener for EnvelopeKeys {
    fn open(&self, compact: &str) -> std::result::Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open_if(compact, |until| until.is_none())
    }
}

/// [`EnvelopeKeys`] on a day.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeKeysOn<'a> {
    keys: &'a EnvelopeKeys,
    today: CardDate,
}

impl EnvelopeOpener for EnvelopeKeysOn<'_> {
    fn open(&self, compact: &str) -> std::result::Result<Zeroizing<Vec<u8>>, OpenError> {
        self.keys.open_if(compact, |until| until.is_none_or(|until| self.today <= until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rng::{Purpose, Seed};

    fn key(kid: &str) -> PrivateJwk {
        let stream = Seed::fixed([6; 32]).named_stream(kid.as_bytes(), Purpose::TestIssuer);
        PrivateJwk::generate(&mut stream.rng()).with_kid(kid).unwrap()
    }

    fn sealed(kid: &str) -> String {
        let mut rng = Seed::fixed([7; 32]).named_stream(kid.as_bytes(), Purpose::Envelope).rng();
        jwe::seal(key(kid).public(), &serde_json::Map::new(), b"{}", &mut rng).unwrap()
    }

    #[test]
    fn a_key_opens_up_to_its_last_day() {
        let day = |text: &str| CardDate::from_iso(text).unwrap();
        let mut keys = EnvelopeKeys::default();
        keys.add_until("old", key("old"), Some(day("2026-03-31"))).unwrap();
        keys.add("new", key("new")).unwrap();
        assert!(keys.add("other", key("new")).is_err());
        for (today, old) in
            [("2026-01-01", true), ("2026-03-31", true), ("2026-04-01", false), ("2027-01-01", false)]
        {
            let keys = keys.on(day(today));
            assert_eq!(keys.open(&sealed("old")).is_ok(), old, "{today}");
            assert_eq!(keys.open(&sealed("new")).unwrap().as_slice(), b"{}");
            assert_eq!(keys.open(&sealed("unknown")).unwrap_err(), OpenError::Crypto);
        }
        assert!(EnvelopeOpener::open(&keys, &sealed("old")).is_err(), "no day is known");
        assert!(EnvelopeOpener::open(&keys, &sealed("new")).is_ok());
    }

    #[test]
    fn debug_shows_names_only() {
        let mut keys = EnvelopeKeys::default();
        keys.add("new", key("new")).unwrap();
        let entry = "{\"new\": Entry { key: PrivateJwk(\"new\"), until: None }}";
        assert_eq!(format!("{keys:?}"), format!("EnvelopeKeys({entry})"));
    }
}
