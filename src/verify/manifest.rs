//! The manifest of a batch against its files. No I/O: the caller reads.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::crypto::hash::sha256;

use super::line::text;
use super::report::Outcome;

/// A file of the manifest `batch.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path inside the output directory.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// How many cards it holds, where it says so.
    pub cards: Option<u64>,
}

impl FileEntry {
    /// Compares with the bytes of the file.
    #[must_use]
    pub fn check(&self, bytes: &[u8]) -> Outcome {
        self.check_digest(sha256(&[bytes]), u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    /// Compares with a digest and length that the caller made while reading.
    #[must_use]
    pub fn check_digest(&self, digest: [u8; 32], len: u64) -> Outcome {
        if len != self.bytes {
            Outcome::Failed("the file has another length than the manifest says")
        } else if digest != self.sha256 {
            Outcome::Failed("the file's digest is not the manifest's")
        } else {
            Outcome::Passed
        }
    }
}

/// What `verify` reads of `batch.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Orders of the input.
    pub orders: u64,
    /// Prepared cards.
    pub prepared: u64,
    /// Rejected orders.
    pub rejected: u64,
    /// Orders that an earlier batch prepared.
    pub repeated: u64,
    /// The counts by kind; `None` for a kind that the manifest does not count.
    pub by: CountsBy,
    /// Every file of the batch.
    pub files: Vec<FileEntry>,
    /// RSA keys of the cards, where the manifest counts them.
    pub rsa_keys: Option<u64>,
    /// What the search for weak keys says of itself.
    pub weak_keys: Option<WeakKeysEntry>,
}

/// Member `weakKeys` of `batch.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakKeysEntry {
    /// Primes of cards.
    pub primes: u64,
    /// Moduli that went through the batch gcd.
    pub moduli: u64,
    /// Primes that were met more than once.
    pub repeats: u64,
}

/// Counts by name.
pub type Named = BTreeMap<String, u64>;

/// Counts of a batch by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountsBy {
    /// Cards by channel.
    pub channel: Option<Named>,
    /// Orders by error code.
    pub error: Option<Named>,
    /// Cards by `channel/destination`.
    pub destination: Option<Named>,
    /// Cards by profile.
    pub profile: Option<Named>,
}

impl CountsBy {
    /// Nothing of any kind.
    pub(super) fn zero() -> Self {
        let none = || Some(Named::new());
        Self { channel: none(), error: none(), destination: none(), profile: none() }
    }

    pub(super) fn add(counts: &mut Option<Named>, name: &str) {
        let counts = counts.get_or_insert_default();
        match counts.get_mut(name) {
            Some(n) => *n = n.saturating_add(1),
            None => drop(counts.insert(name.to_owned(), 1)),
        }
    }
}

fn sum<'a>(counts: impl IntoIterator<Item = &'a u64>) -> u64 {
    counts.into_iter().fold(0, |sum, n| sum.saturating_add(*n))
}

impl Manifest {
    /// Reads `batch.json`.
    ///
    /// # Errors
    /// What is missing or has another form.
    pub fn read(text_of_file: &str) -> Result<Self, &'static str> {
        let json: Value = serde_json::from_str(text_of_file).map_err(|_| "batch.json is not JSON")?;
        let json = json.as_object().ok_or("batch.json is not an object")?;
        if text(json, "format")? != "emv-dataprep/batch/1" {
            return Err("format is not emv-dataprep/batch/1");
        }
        let number = |of: Option<&Value>, key: &str| of.and_then(|v| v.get(key)).and_then(Value::as_u64);
        let counts = json.get("counts");
        let wrong = "the counts of batch.json are missing";
        let mut files = Vec::new();
        for file in
            json.get("files").and_then(Value::as_array).ok_or("the files of batch.json are missing")?
        {
            let entry = file.as_object().ok_or("a file of batch.json is not an object")?;
            let mut sha256 = [0; 32];
            hex::decode_to_slice(text(entry, "sha256")?, &mut sha256)
                .map_err(|_| "a digest is not 32 bytes")?;
            let path = text(entry, "path")?.to_owned();
            let inside = !path.starts_with('/') && path.split('/').all(|p| !matches!(p, "" | "." | ".."));
            if !inside {
                return Err("a path leaves the batch");
            }
            let bytes = number(Some(file), "bytes").ok_or("a file without its length")?;
            files.push(FileEntry { path, sha256, bytes, cards: number(Some(file), "cards") });
        }
        let mut paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
        paths.sort_unstable();
        if paths.windows(2).any(|w| w.first() == w.last()) {
            return Err("a file stands twice in batch.json");
        }
        let rsa_keys = json
            .get("pool")
            .and_then(|pool| number(Some(pool), "used")?.checked_add(number(Some(pool), "fresh")?));
        let weak_keys = match json.get("weakKeys") {
            None => None,
            found => {
                let wrong = "weakKeys of batch.json is not what it should be";
                let of = |name| number(found, name).ok_or(wrong);
                Some(WeakKeysEntry { primes: of("primes")?, moduli: of("moduli")?, repeats: of("repeats")? })
            }
        };
        Ok(Self {
            orders: number(counts, "orders").ok_or(wrong)?,
            prepared: number(counts, "prepared").ok_or(wrong)?,
            rejected: number(counts, "rejected").ok_or(wrong)?,
            repeated: number(counts, "repeated").unwrap_or(0),
            by: CountsBy {
                channel: named(counts, "byChannel")?,
                error: named(counts, "byError")?,
                destination: named(counts, "byDestination")?,
                profile: named(counts, "byProfile")?,
            },
            files,
            rsa_keys,
            weak_keys,
        })
    }

    /// Whether the search for weak keys can have looked at every key: two primes of each, two keys of a card at most, and
    /// 20,000 moduli or all there are.
    #[must_use]
    pub fn check_weak_keys(&self) -> Outcome {
        const SAMPLE: u64 = 20_000;
        let Some(WeakKeysEntry { primes, moduli, repeats }) = self.weak_keys else {
            return match self.rsa_keys {
                Some(1..) => Outcome::Failed("nobody looked for weak keys"),
                _ => Outcome::NotApplicable,
            };
        };
        let keys = primes / 2;
        if repeats > 0 {
            Outcome::Failed("the manifest tells of a repeated prime")
        } else if !primes.is_multiple_of(2) || keys > self.prepared.saturating_mul(2) {
            Outcome::Failed("the number of primes is not that of any keys")
        } else if self.rsa_keys.is_some_and(|made| made != keys) {
            Outcome::Failed("not every key was looked at for weak keys")
        } else if moduli < keys.min(SAMPLE) {
            Outcome::Failed("too few moduli went through the batch gcd")
        } else {
            Outcome::Passed
        }
    }

    /// The counts against each other.
    #[must_use]
    pub fn check_counts(&self) -> Outcome {
        let all = self.prepared.checked_add(self.rejected).and_then(|n| n.checked_add(self.repeated));
        if all != Some(self.orders) {
            return Outcome::Failed("prepared, rejected and repeated are not all orders");
        }
        let is = |counts: &Option<Named>, whole: u64| {
            counts.as_ref().is_none_or(|counts| sum(counts.values()) == whole)
        };
        let CountsBy { channel, error, destination, profile } = &self.by;
        if !is(error, self.rejected) {
            return Outcome::Failed("the rejections by error code are not all rejections");
        }
        if ![channel, destination, profile].into_iter().all(|counts| is(counts, self.prepared)) {
            return Outcome::Failed("the cards by channel, destination or profile are not all cards");
        }
        if let Some(destinations) = destination {
            let mut channels = Named::new();
            for (name, cards) in destinations {
                let of = name.split('/').next().unwrap_or_default();
                let n = channels.entry(of.to_owned()).or_default();
                *n = n.saturating_add(*cards);
            }
            if channel.as_ref().is_some_and(|counts| *counts != channels) {
                return Outcome::Failed("the cards by destination are not those by channel");
            }
            if self.cards_of_files() != *destinations {
                return Outcome::Failed("the cards by destination are not those of the files");
            }
        }
        Outcome::Passed
    }

    /// Cards by destination, from the paths of the files.
    fn cards_of_files(&self) -> Named {
        let mut out = Named::new();
        for file in &self.files {
            let Some(rest) = file.path.strip_prefix("prepared/") else { continue };
            let Some((place, _)) = rest.rsplit_once('/') else { continue };
            let n = out.entry(place.to_owned()).or_default();
            *n = n.saturating_add(file.cards.unwrap_or(0));
        }
        out
    }

    /// The counts against what was counted over all lines.
    #[must_use]
    pub fn check_counted(&self, counted: &CountsBy) -> Outcome {
        let differ = |said: &Option<Named>, found: &Option<Named>| {
            said.as_ref().is_some_and(|said| Some(said) != found.as_ref())
        };
        if differ(&self.by.error, &counted.error) {
            return Outcome::Failed("rejected.jsonl has other error codes than the manifest counts");
        }
        let cards = differ(&self.by.channel, &counted.channel)
            || differ(&self.by.destination, &counted.destination)
            || differ(&self.by.profile, &counted.profile);
        if cards {
            return Outcome::Failed(
                "the cards are of other destinations or profiles than the manifest counts",
            );
        }
        Outcome::Passed
    }
}

/// An object of counts, if it is there.
fn named(counts: Option<&Value>, key: &str) -> Result<Option<Named>, &'static str> {
    let wrong = "the counts of batch.json are not numbers";
    let Some(value) = counts.and_then(|c| c.get(key)) else { return Ok(None) };
    let object = value.as_object().ok_or(wrong)?;
    let one = |(name, n): (&String, &Value)| Some((name.clone(), n.as_u64()?));
    object.iter().map(one).collect::<Option<Named>>().map(Some).ok_or(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_search_for_weak_keys_says() {
        let check = |members: &str| {
            let text = format!(
                r#"{{"format":"emv-dataprep/batch/1","counts":{{"orders":9,"prepared":9,"rejected":0}},"files":[]{members}}}"#
            );
            Manifest::read(&text).unwrap().check_weak_keys()
        };
        let found = |primes: u64, moduli: u64, repeats: u64| {
            format!(r#","weakKeys":{{"primes":{primes},"moduli":{moduli},"repeats":{repeats}}}"#)
        };
        let pool = |used: u64, fresh: u64| format!(r#","pool":{{"used":{used},"fresh":{fresh}}}"#);
        assert_eq!(check(""), Outcome::NotApplicable);
        assert_eq!(check(&pool(0, 0)), Outcome::NotApplicable);
        for good in [found(0, 1, 0), found(36, 20, 0), found(6, 3, 0) + &pool(1, 2)] {
            assert_eq!(check(&good), Outcome::Passed, "{good}");
        }
        let bad = [pool(1, 0), found(6, 3, 1), found(7, 9, 0), found(38, 99, 0), found(6, 2, 0)];
        for bad in bad.into_iter().chain([found(6, 3, 0) + &pool(2, 2)]) {
            assert!(matches!(check(&bad), Outcome::Failed(_)), "{bad}");
        }
        let half = r#"{"format":"emv-dataprep/batch/1","counts":{"orders":0,"prepared":0,"rejected":0},"files":[],"weakKeys":{}}"#;
        assert!(Manifest::read(half).is_err());
    }

    #[test]
    fn a_manifest_and_its_files() {
        let bytes = b"abc";
        let digest = hex::encode_upper(sha256(&[bytes]));
        let text = format!(
            r#"{{"format":"emv-dataprep/batch/1","counts":{{"orders":2,"prepared":1,"rejected":1}},
            "files":[{{"path":"prepared/CENTRAL/P/cards-000000.jsonl","sha256":"{digest}","bytes":3,"cards":1}}]}}"#
        );
        let manifest = Manifest::read(&text).unwrap();
        assert_eq!(manifest.check_counts(), Outcome::Passed);
        assert_eq!(manifest.files[0].check(bytes), Outcome::Passed);
        for bit in 0..24 {
            let mut other = *bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(manifest.files[0].check(&other), Outcome::Failed(_)));
        }
        assert!(matches!(manifest.files[0].check(b"ab"), Outcome::Failed(_)));
        assert!(Manifest::read(&text.replace("prepared/CENTRAL", "../CENTRAL")).is_err());
        assert!(Manifest::read(&text.replace("batch/1", "batch/2")).is_err());
        let off = Manifest::read(&text.replace("\"orders\":2", "\"orders\":3")).unwrap();
        assert!(matches!(off.check_counts(), Outcome::Failed(_)));
    }

    #[test]
    fn every_count_is_weighed_against_the_others() {
        let digest = "00".repeat(32);
        let text = format!(
            r#"{{"format":"emv-dataprep/batch/1","counts":{{"orders":4,"prepared":3,"rejected":1,
            "byChannel":{{"CENTRAL":2,"THALES":1}},"byError":{{"CRYPTO_ERROR":1}},
            "byDestination":{{"CENTRAL/P":2,"THALES/T":1}},"byProfile":{{"a":3}}}},
            "files":[{{"path":"prepared/CENTRAL/P/cards-000000.jwe","sha256":"{digest}","bytes":3,"cards":2}},
            {{"path":"prepared/THALES/T/cards-000000.jwe","sha256":"{digest}","bytes":3,"cards":1}}]}}"#
        );
        let good = Manifest::read(&text).unwrap();
        assert_eq!(good.check_counts(), Outcome::Passed);
        assert_eq!(good.check_counted(&good.by), Outcome::Passed);
        for (from, to) in [
            ("\"THALES\":1", "\"THALES\":2"),
            ("\"CRYPTO_ERROR\":1", "\"CRYPTO_ERROR\":2"),
            ("\"THALES/T\":1", "\"CENTRAL/T\":1"),
            ("\"CENTRAL/P\":2", "\"CENTRAL/Q\":2"),
            ("\"a\":3", "\"a\":2"),
            ("\"cards\":2", "\"cards\":3"),
        ] {
            assert!(text.contains(from), "{from}");
            let off = Manifest::read(&text.replace(from, to)).unwrap();
            assert!(matches!(off.check_counts(), Outcome::Failed(_)), "{from}");
        }
        for (from, to) in [("CRYPTO", "PARSING"), ("\"a\":3", "\"b\":3"), ("\"THALES", "\"INSTANT")] {
            let off = Manifest::read(&text.replace(from, to)).unwrap();
            assert!(matches!(good.check_counted(&off.by), Outcome::Failed(_)), "{from}");
        }
        assert!(Manifest::read(&text.replace("\"a\":3", "\"a\":-3")).is_err());
    }
}
