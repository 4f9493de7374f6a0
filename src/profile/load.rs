//! An [`Issuer`] from the bytes of an issuer directory.

use std::collections::{BTreeMap, BTreeSet};

use super::check;
use super::destination::{DestinationId, TransportKeyConfig};
use super::finding::{Finding, Level, Source};
use super::issuer::{Environment, Issuer};
use super::keys_edit::KeyLine;
use super::keys_file::KeyState;
use super::{
    envelope_file, format_file, issuer_file, keys_file, oda_file, plan_file, product_file, production,
    profile_file,
};
use crate::card::CardDate;
use crate::keys::{KeyIndex, KeyRef, KeyUse};

/// The text files of an issuer directory: path relative to it, with `/`, and contents.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Reads and checks all of it. `today`, when given, turns keys and certificates that end into findings.
///
/// The issuer is there when no finding is an error.
#[must_use]
pub(super) fn load(files: &Files, today: Option<CardDate>) -> (Option<Issuer>, Vec<Finding>) {
    let mut findings = Vec::new();
    let issuer = read(files, today, &mut findings);
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let good = !findings.iter().any(|f| f.level == Level::Error);
    (issuer.filter(|_| good), findings)
}

fn read(files: &Files, today: Option<CardDate>, findings: &mut Vec<Finding>) -> Option<Issuer> {
    let main = one(files, "issuer.toml", findings, issuer_file::read).flatten();
    let keys = one(files, "keys.toml", findings, keys_file::read).unwrap_or_default();
    let months = main.as_ref().map_or(issuer_file::EXPIRY_WARNING_MONTHS, |m| m.expiry_warning_months);
    let key_dates = keys.iter().map(|k| (k.entry.key, k.dates)).collect();
    if let Some(today) = today {
        check_dates(&keys, today, findings);
    }
    let mut oda = BTreeMap::new();
    let mut products = BTreeMap::new();
    let mut profiles = BTreeMap::new();
    let mut script_plans = BTreeMap::new();
    let mut formats = BTreeMap::new();
    for (path, bytes) in files {
        let Some((folder, rest)) = path.split_once('/') else {
            if path != "issuer.toml" && path != "keys.toml" {
                unexpected(findings, path);
            }
            continue;
        };
        let stem = rest.strip_suffix(".toml").filter(|s| !s.contains('/'));
        match (folder, stem) {
            ("oda", _) => {
                let Some((index, file)) = rest.split_once('/') else {
                    unexpected(findings, path);
                    continue;
                };
                let Ok(index) = index.parse::<KeyIndex>() else {
                    unexpected(findings, path);
                    continue;
                };
                if file == "oda.toml"
                    && let Some(mut source) = Source::new(path, bytes, findings)
                    && let Some(key) = oda_file::read(&mut source, index, today, months)
                {
                    oda.insert(index, key);
                }
            }
            ("products", Some(stem)) => {
                if let Some(mut source) = Source::new(path, bytes, findings)
                    && let Some(product) = product_file::read(&mut source, stem)
                {
                    products.insert(stem.to_owned(), product);
                }
            }
            ("profiles", Some(stem)) => {
                if let Some(mut source) = Source::new(path, bytes, findings)
                    && let Some(profile) = profile_file::read(&mut source, stem)
                {
                    profiles.insert(stem.to_owned(), profile);
                }
            }
            ("scripts", Some(stem)) => {
                if let Some(mut source) = Source::new(path, bytes, findings)
                    && let Some(plan) = plan_file::read(&mut source, stem)
                {
                    script_plans.insert(stem.to_owned(), plan);
                }
            }
            ("formats", Some(stem)) => {
                if let Some(mut source) = Source::new(path, bytes, findings)
                    && let Some(format) = format_file::read(&mut source, stem)
                {
                    formats.insert(stem.to_owned(), format);
                }
            }
            _ => unexpected(findings, path),
        }
    }
    let main = main?;
    let issuer = Issuer {
        id: main.id,
        environment: main.environment,
        destinations: main.destinations,
        default_central: main.default_central,
        pin_mailer: main.pin_mailer,
        issuer_return: main.issuer_return?,
        secrets: main.secrets,
        signing_public_key: main.signing_public_key,
        output_signing_public_key: main.output_signing_public_key,
        ledger: main.ledger,
        verify: main.verify,
        accepted: main.accepted,
        bins: main.bins,
        sequence: main.sequence,
        identifiers: main.identifiers,
        pool: main.pool,
        expiry_warning_months: main.expiry_warning_months,
        retention_days: main.retention_days,
        key_source: main.key_source,
        products,
        profiles: BTreeMap::new(),
        script_plans,
        key_entries: keys.into_iter().map(|k| k.entry).collect(),
        key_dates,
        protection: main.protection,
        next_protection: main.next_protection,
        oda,
        formats,
    };
    check_keys(&issuer, findings);
    envelope_file::check(&issuer, today, findings);
    for (id, (profile, places)) in &profiles {
        let path = format!("profiles/{id}.toml");
        if let Some(bytes) = files.get(&path)
            && let Some(mut source) = Source::new(&path, bytes, findings)
        {
            check::profile(&mut source, &issuer, profile, places);
        }
    }
    let profiles = profiles.into_iter().map(|(id, (profile, _))| (id, profile)).collect();
    let issuer = Issuer { profiles, ..issuer };
    for id in issuer.products.keys() {
        let path = format!("products/{id}.toml");
        if let Some(bytes) = files.get(&path)
            && let Some(mut source) = Source::new(&path, bytes, findings)
        {
            check::product(&mut source, &issuer, id);
        }
    }
    production::check(&issuer, findings);
    Some(issuer)
}

fn one<T>(
    files: &Files,
    path: &str,
    findings: &mut Vec<Finding>,
    read: impl FnOnce(&mut Source<'_>) -> T,
) -> Option<T> {
    let Some(bytes) = files.get(path) else {
        findings.push(Finding {
            level: Level::Error,
            code: "missing-file",
            file: path.to_owned(),
            line: 0,
            message: "the file is missing".to_owned(),
        });
        return None;
    };
    Source::new(path, bytes, findings).map(|mut s| read(&mut s))
}

fn unexpected(findings: &mut Vec<Finding>, path: &str) {
    findings.push(Finding {
        level: Level::Warning,
        code: "unexpected-file",
        file: path.to_owned(),
        line: 0,
        message: "nothing reads this file".to_owned(),
    });
}

/// Days before the end of a key on which people are told.
const WARN_DAYS: u16 = 90;

/// Keys that serve no new card any more, or soon.
fn check_dates(keys: &[KeyLine], today: CardDate, findings: &mut Vec<Finding>) {
    for key in keys {
        let name = key.entry.key;
        let message = match key.dates.state(today) {
            KeyState::Retired => format!("key {name} is retired: an order that names it is rejected"),
            KeyState::Expired => format!("key {name} is expired: an order that names it is rejected"),
            KeyState::Active => {
                let ends = [key.dates.expires, key.dates.retired].into_iter().flatten().min();
                let Some(end) = ends.filter(|end| *end <= today.plus_days(WARN_DAYS)) else { continue };
                format!("key {name} serves no new card after or from {}", end.iso())
            }
        };
        findings.push(Finding {
            level: Level::Warning,
            code: "key-ends",
            file: "keys.toml".to_owned(),
            line: key.line,
            message,
        });
    }
}

/// The keys that destinations name, and who names them.
pub(super) fn destination_keys(issuer: &Issuer) -> BTreeSet<(KeyRef, &DestinationId)> {
    let mut wanted = BTreeSet::new();
    for d in issuer.destinations.values() {
        match d.transport {
            Some(TransportKeyConfig::Static { index, .. } | TransportKeyConfig::PerBlock { index, .. }) => {
                wanted.insert((KeyRef::new(KeyUse::Transport, index), &d.id));
            }
            None => {}
        }
        if let Some(index) = d.pin_key {
            let usage = if Some(&d.id) == issuer.pin_mailer.as_ref() { KeyUse::Mailer } else { KeyUse::Pin };
            wanted.insert((KeyRef::new(usage, index), &d.id));
        }
    }
    wanted
}

/// Keys that destinations name are loaded; static ECB transport of PINs is accepted by name.
fn check_keys(issuer: &Issuer, findings: &mut Vec<Finding>) {
    for (key, id) in destination_keys(issuer) {
        if !issuer.has_key(key) {
            findings.push(Finding {
                level: Level::Error,
                code: "key",
                file: "issuer.toml".to_owned(),
                line: 0,
                message: format!("destination {id}: key {key} is not in keys.toml"),
            });
        }
    }
    if !issuer.key_entries.iter().any(|entry| entry.key.usage == KeyUse::Job) {
        let (level, message) = match issuer.environment {
            Environment::Production => {
                (Level::Error, "no key of use job: nothing ties a record to its order")
            }
            Environment::Test => {
                (Level::Warning, "no key of use job: lines have no recordMac, jobs no data key to destroy")
            }
        };
        findings.push(Finding {
            level,
            code: "job-key",
            file: "keys.toml".to_owned(),
            line: 0,
            message: message.to_owned(),
        });
    }
    if issuer.environment == Environment::Production && issuer.key_entries.is_empty() {
        findings.push(Finding {
            level: Level::Error,
            code: "key",
            file: "keys.toml".to_owned(),
            line: 0,
            message: "no key".to_owned(),
        });
    }
}
