//! The parts of `issuer.toml` about envelopes: the keys that D1 seals orders for, with their last days, and the key that
//! signs what leaves.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::finding::{Finding, Level, Source};
use super::issuer::{Environment, Issuer};
use super::issuer_file::{SecretFile, SecretKind};
use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Public;

/// An envelope key: its file, or file and last day.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawEnvelope {
    File(String),
    Dated(RawDated),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDated {
    file: String,
    until: Option<String>,
}

/// The secret files of `[secrets.envelope]`.
pub(super) fn keys(source: &mut Source<'_>, raw: BTreeMap<String, Spanned<RawEnvelope>>) -> Vec<SecretFile> {
    let mut out = Vec::new();
    for (kid, raw) in raw {
        let at = raw.span().start;
        let (path, until) = match raw.into_inner() {
            RawEnvelope::File(path) => (path, None),
            RawEnvelope::Dated(dated) => (dated.file, dated.until),
        };
        let day = until.as_deref().map(CardDate::from_iso);
        if let Some(Err(_)) = day {
            source.error(at, "value", "until: a day, YYYY-MM-DD");
        }
        out.push(SecretFile { kind: SecretKind::Envelope { kid, until: day.and_then(Result::ok) }, path });
    }
    out
}

/// The public key of `secrets.output_signing_key`. Production needs both: ECDH-ES proves no sender.
pub(super) fn output_signing(
    source: &mut Source<'_>,
    environment: Environment,
    public: Option<&Spanned<String>>,
    secret: Option<&String>,
    secrets_at: usize,
) -> Option<Ed25519Public> {
    match (public, secret) {
        (None, None) => {
            if environment == Environment::Production {
                let message = "no output_signing_key: nobody could tell who sealed a file";
                source.error(secrets_at, "output-signing-key", message);
            }
            None
        }
        (Some(text), Some(_)) => source.value::<Ed25519Public>("output_signing_public_key", text),
        _ => {
            let message = "output_signing_key and output_signing_public_key stand together";
            source.error(secrets_at, "output-signing-key", message);
            None
        }
    }
}

/// What is to be said of the issuer as a whole: keys of two purposes, and keys whose last day is over.
pub(super) fn check(issuer: &Issuer, today: Option<CardDate>, findings: &mut Vec<Finding>) {
    let file = || "issuer.toml".to_owned();
    if let (Some(output), Some(manifest)) = (&issuer.output_signing_public_key, &issuer.signing_public_key)
        && output == manifest
    {
        findings.push(Finding {
            level: Level::Error,
            code: "output-signing-key",
            file: file(),
            line: 0,
            message: "one key signs manifests and sealed files: a key has one purpose".to_owned(),
        });
    }
    let Some(today) = today else { return };
    for secret in &issuer.secrets {
        if let SecretKind::Envelope { kid, until: Some(until) } = &secret.kind
            && *until < today
        {
            findings.push(Finding {
                level: Level::Warning,
                code: "envelope-key",
                file: file(),
                line: 0,
                message: format!("envelope key {kid:?} opens nothing after {}: destroy it", until.iso()),
            });
        }
    }
}
