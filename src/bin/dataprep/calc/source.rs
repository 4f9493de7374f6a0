//! Where secrets come from: a file, standard input, or a key of an issuer directory. The command line only for test keys.

use std::io::Read;
use std::path::PathBuf;

use emv_dataprep::card::Pin;
use emv_dataprep::keys::tr31::Policy;
use emv_dataprep::keys::{CvvKind, KcvMethod, KeyAlgorithm, KeyIndex, KeyUse, is_known_test_key};
use emv_dataprep::secret::Secret;

use super::answer::Answer;
use super::arguments::{self, Common};
use crate::failure::Failure;
use crate::issuer_dir::{self, IssuerDir};
use crate::terminal;

/// The key.
#[derive(clap::Args)]
pub struct KeyArgs {
    /// File of mode 0600 with the key in hexadecimal
    #[arg(long, value_name = "FILE", group = "key_source")]
    key_file: Option<PathBuf>,
    /// Read the key in hexadecimal from standard input
    #[arg(long, group = "key_source")]
    key_stdin: bool,
    /// Issuer directory that has the key; --key names it
    #[arg(long, value_name = "DIR", group = "key_source", requires = "key")]
    issuer: Option<PathBuf>,
    /// Key of the issuer directory, as in keys.toml: cvk:01, cvk:01:icvv, imk-ac:0A
    #[arg(long, value_name = "USE:INDEX", requires = "issuer")]
    key: Option<String>,
    /// A test key in hexadecimal on the command line, where others can see it; never a real key
    #[arg(long, value_name = "HEX", group = "key_source")]
    test_key: Option<String>,
}

/// The PIN.
#[derive(clap::Args)]
pub struct PinArgs {
    /// File of mode 0600 with the PIN
    #[arg(long, value_name = "FILE", group = "pin_source")]
    pin_file: Option<PathBuf>,
    /// Read the PIN from standard input
    #[arg(long, group = "pin_source")]
    pin_stdin: bool,
    /// A test PIN on the command line, where others can see it; never a real PIN
    #[arg(long, value_name = "DIGITS", group = "pin_source")]
    test_pin: Option<String>,
}

/// The PIN that a card has before a change.
#[derive(clap::Args)]
pub struct CurrentPinArgs {
    /// File of mode 0600 with the current PIN, where the block carries it
    #[arg(long, value_name = "FILE", group = "current_pin_source")]
    current_pin_file: Option<PathBuf>,
    /// A current PIN for tests on the command line; never a real PIN
    #[arg(long, value_name = "DIGITS", group = "current_pin_source")]
    current_test_pin: Option<String>,
}

impl CurrentPinArgs {
    /// The PIN, if one is named.
    pub fn load(&self) -> Result<Option<Pin>, Failure> {
        match (&self.current_test_pin, &self.current_pin_file) {
            (Some(text), _) => arguments::pin(text.as_bytes()).map(Some),
            (None, Some(path)) => arguments::pin(issuer_dir::read_secret(path)?.expose()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Where a key came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `--test-key`.
    CommandLine,
    /// A file, standard input, or a test issuer.
    Elsewhere,
    /// A production issuer: nothing but the result is shown.
    Production,
}

/// A key in hand.
pub struct Loaded {
    pub key: Secret,
    pub origin: Origin,
}

impl KeyArgs {
    /// Whether any source is named.
    pub const fn is_given(&self) -> bool {
        self.key_file.is_some() || self.key_stdin || self.issuer.is_some() || self.test_key.is_some()
    }

    /// Whether the key is one of an issuer directory.
    pub const fn names_issuer(&self) -> bool {
        self.issuer.is_some()
    }

    /// The key. From an issuer directory it must have one of `uses`.
    pub fn load(&self, common: &Common, uses: &[KeyUse]) -> Result<Loaded, Failure> {
        if let Some(text) = &self.test_key {
            let key = issuer_dir::secret_from_hex(text.as_bytes());
            let key = key.ok_or_else(|| arguments::wrong("test-key", "a key in hexadecimal"))?;
            if !is_known_test_key(&key) {
                terminal::say(
                    "warning: --test-key is not one of the published test keys; a real key must not stand on a command line",
                );
            }
            return Ok(Loaded { key, origin: Origin::CommandLine });
        }
        if let Some(path) = &self.key_file {
            let key = issuer_dir::read_hex_secret(path)?;
            warn_of_steps(common, &key);
            return Ok(Loaded { key, origin: Origin::Elsewhere });
        }
        if self.key_stdin {
            let text = stdin()?;
            let key = issuer_dir::secret_from_hex(text.expose());
            let key = key.ok_or_else(|| Failure::refused("standard input is not a key in hexadecimal"))?;
            warn_of_steps(common, &key);
            return Ok(Loaded { key, origin: Origin::Elsewhere });
        }
        match (&self.issuer, &self.key) {
            (Some(folder), Some(name)) => from_issuer(folder, name, common, uses),
            _ => Err(Failure::usage(
                "a key is needed: --key-file, --key-stdin, --issuer with --key, or --test-key for a test key",
            )),
        }
    }
}

impl PinArgs {
    /// Whether any source is named.
    pub const fn is_given(&self) -> bool {
        self.pin_file.is_some() || self.pin_stdin || self.test_pin.is_some()
    }

    /// Key and PIN must not both be read from standard input.
    pub fn check_beside(&self, key: &KeyArgs) -> Result<(), Failure> {
        if self.pin_stdin && key.key_stdin {
            return Err(Failure::usage("--key-stdin and --pin-stdin cannot both read standard input"));
        }
        Ok(())
    }

    /// The PIN.
    pub fn load(&self) -> Result<Pin, Failure> {
        if let Some(text) = &self.test_pin {
            return arguments::pin(text.as_bytes());
        }
        if let Some(path) = &self.pin_file {
            return arguments::pin(issuer_dir::read_secret(path)?.expose());
        }
        if self.pin_stdin {
            return arguments::pin(stdin()?.expose());
        }
        Err(Failure::usage("a PIN is needed: --pin-file, --pin-stdin, or --test-pin for a test PIN"))
    }
}

impl Loaded {
    /// The key check value as a result, and what is odd about the key as notes.
    pub fn describe(&self, algorithm: KeyAlgorithm, answer: &mut Answer) -> Result<(), Failure> {
        let method = KcvMethod::usual(algorithm);
        answer.result("key KCV", method.compute(&self.key, algorithm)?.to_string());
        if algorithm.is_tdes() && !emv_dataprep::crypto::tdes::has_odd_parity(self.key.expose()) {
            answer.note("the key has not odd parity: DES leaves the parity bits aside, so no value changes");
        }
        Ok(())
    }

    /// Refuses to show what is secret itself.
    pub fn may_show(&self, what: &str) -> Result<(), Failure> {
        match self.origin {
            Origin::Production => {
                Err(Failure::refused(format!("{what} is not shown for keys of a production issuer")))
            }
            Origin::CommandLine | Origin::Elsewhere => Ok(()),
        }
    }
}

/// Steps show the key itself: nobody should be surprised.
fn warn_of_steps(common: &Common, key: &Secret) {
    if common.explain && !is_known_test_key(key) {
        terminal::say(
            "warning: --explain shows the key and what comes of it: keep this output as secret as the key",
        );
    }
}

fn stdin() -> Result<Secret, Failure> {
    let mut text = Vec::with_capacity(1024);
    let read = std::io::stdin().lock().take(1024).read_to_end(&mut text);
    let text = Secret::new(text);
    read.map_err(|e| Failure::stopped(format!("read standard input: {e}")))?;
    Ok(text)
}

/// One key of an issuer directory, out of its key block.
fn from_issuer(
    folder: &std::path::Path,
    name: &str,
    common: &Common,
    uses: &[KeyUse],
) -> Result<Loaded, Failure> {
    let (usage, index, only) = key_name(name).ok_or_else(|| {
        Failure::usage(
            "--key names a key of the issuer directory as USE:INDEX; a key itself comes from --key-file, --key-stdin or --test-key",
        )
    })?;
    if uses.is_empty() {
        return Err(Failure::usage("this key comes from --key-file, --key-stdin or --test-key"));
    }
    if !uses.contains(&usage) {
        let words: Vec<&str> = uses.iter().map(|u| u.name()).collect();
        return Err(Failure::refused(format!("the key is {usage}; this takes {}", words.join(" or "))));
    }
    let issuer = IssuerDir::load(folder)?;
    if !issuer.is_test() && common.explain {
        return Err(Failure::refused(
            "--explain is for test keys: intermediate values under keys of a production issuer are secret",
        ));
    }
    let of_name = |only| {
        let entries = issuer.issuer.key_entries();
        entries.iter().find(move |e| e.key.usage == usage && e.key.index == index && e.key.only == only)
    };
    let entry = of_name(only).or_else(|| of_name(None));
    let entry = entry.ok_or_else(|| {
        let hint = if usage == KeyUse::Cvk && only.is_none() {
            "; a key for one value is named cvk:01:icvv"
        } else {
            ""
        };
        Failure::refused(format!("keys.toml has no key {usage} {index}{hint}"))
    })?;
    let kbpk = issuer.kbpk()?;
    let at = |e| Failure::refused(format!("keys.toml: {}: {e}", entry.key));
    let imported = Policy::for_use(usage).import(&kbpk, &entry.block).map_err(at)?;
    entry.kcv_method.verify(&imported.key, imported.algorithm, &entry.kcv).map_err(at)?;
    let origin = if issuer.is_test() { Origin::Elsewhere } else { Origin::Production };
    Ok(Loaded { key: imported.key, origin })
}

fn key_name(text: &str) -> Option<(KeyUse, KeyIndex, Option<CvvKind>)> {
    let mut parts = text.split(':');
    let usage = parts.next()?.parse().ok()?;
    let index = parts.next()?.parse().ok()?;
    let only = match parts.next() {
        None => None,
        Some("cvv1") => Some(CvvKind::Cvv1),
        Some("icvv") => Some(CvvKind::Icvv),
        Some("cvv2") => Some(CvvKind::Cvv2),
        Some(_) => return None,
    };
    parts.next().is_none().then_some((usage, index, only))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        let (usage, index, only) = key_name("cvk:0A:icvv").unwrap();
        assert_eq!((usage, index, only), (KeyUse::Cvk, KeyIndex(0x0A), Some(CvvKind::Icvv)));
        assert!(key_name("imk-ac:01").is_some_and(|k| k.2.is_none()));
        for wrong in ["", "cvk", "cvk:1", "cvk:0A:x", "cvk:0A:icvv:", "0123456789ABCDEFFEDCBA9876543210"] {
            assert!(key_name(wrong).is_none(), "{wrong}");
        }
    }
}
