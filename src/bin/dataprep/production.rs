//! The gate: what a production issuer must show before anything works for it. `docs/production.md` has the table.
//!
//! | rule | where |
//! |---|---|
//! | k of n officers have signed the issuer directory | [`admit`], called by `IssuerDir::load`: no command gets past it |
//! | the software key source is accepted by name; no published test key | [`admit_keys`], [`refuse_known_jwk`], called when keys are opened |
//! | no fixed seed, no fixed time, no unsealed output | [`admit_prepare`] |
//! | the directory is not an earlier signed state | [`admit_sequence`], which the ledger remembers |
//! | a restart names its operator and has an approval | `prepare/resume.rs` |
//! | test BINs, known public keys, PIN policies, clear card data | the library: `profile::production` |

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use emv_dataprep::keys::{KeyRef, PublicJwk, is_known_test_jwk, is_known_test_signer};
use emv_dataprep::profile::Risk;
use emv_dataprep::profile::officers::{DirectoryState, OfficerSignature, Officers, Signed};
use emv_dataprep::store::ledger::Ledger;

use crate::failure::Failure;
use crate::issuer_dir::{IssuerDir, read_bounded};
use crate::prepare::Start;

/// The file of `--officers`, said once for the whole run: whatever command loads an issuer directory is held to it.
static OFFICERS: OnceLock<PathBuf> = OnceLock::new();

/// Takes the file of `--officers`.
pub fn trust(file: Option<PathBuf>) {
    if let Some(file) = file {
        let _ = OFFICERS.set(file);
    }
}

/// The officers of `--officers`, if it was given.
pub fn officers(dir: &IssuerDir) -> Result<Option<Officers>, Failure> {
    let Some(path) = OFFICERS.get() else { return Ok(None) };
    let refuse = |why: &str| Failure::refused(format!("{}: {why}", path.display()));
    let at = |e: std::io::Error| refuse(&e.to_string());
    let (real, root) = (path.canonicalize().map_err(at)?, dir.root.canonicalize().map_err(at)?);
    if real.starts_with(&root) {
        return Err(refuse("the officers' file must stand outside of the issuer directory"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(&real).map_err(at)?.permissions().mode() & 0o022 != 0 {
            return Err(refuse("others may change the officers' file; take the right to write from them"));
        }
    }
    let officers = Officers::read(&path.display().to_string(), &read_bounded(&real)?);
    let officers = officers.map_err(|findings| {
        let lines: String = findings.iter().map(|f| format!("\n  {f}")).collect();
        refuse(&format!("the officers' file is refused{lines}"))
    })?;
    if !dir.is_test()
        && let Some(officer) = officers.all().iter().find(|o| is_known_test_signer(&o.key))
    {
        return Err(refuse(&format!("the key of {} is a published test key", officer.name)));
    }
    Ok(Some(officers))
}

/// The signatures that lie in an issuer directory, and words for those that cannot be read.
pub fn signatures(root: &Path) -> Result<(Vec<OfficerSignature>, Vec<String>), Failure> {
    let folder = root.join(OfficerSignature::FOLDER);
    let at = |e: std::io::Error| Failure::refused(format!("read {}: {e}", folder.display()));
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(e) => return Err(at(e)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(at)?.path();
        if path.extension().is_some_and(|e| e == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for path in paths.iter().take(1000) {
        match OfficerSignature::read(&read_bounded(path)?) {
            Ok(signature) => good.push(signature),
            Err(e) => bad.push(format!("{}: {e}", path.display())),
        }
    }
    Ok((good, bad))
}

/// The state of a directory as it was read.
pub fn state(dir: &IssuerDir) -> DirectoryState {
    DirectoryState::of(&dir.files, dir.issuer.sequence())
}

/// Whether officers have signed the directory: always in production, for a test issuer when `--officers` is given.
pub fn admit(dir: &IssuerDir) -> Result<Option<Signed>, Failure> {
    let Some(officers) = officers(dir)? else {
        if dir.is_test() {
            return Ok(None);
        }
        return Err(Failure::refused(
            "a production issuer needs --officers FILE: who may sign its directory, kept outside of it",
        ));
    };
    let (signatures, bad) = signatures(&dir.root)?;
    let signed = officers.accept(&state(dir), &signatures, Start::now()?.today);
    signed.map(Some).map_err(|refusal| {
        let bad: String = bad.iter().map(|b| format!("; {b}")).collect();
        Failure::refused(format!("{}: {refusal}{bad}; see dataprep officers", dir.root.display()))
    })
}

/// Refuses the software key source that nobody has accepted, and keys that everybody knows.
pub fn admit_keys(
    dir: &IssuerDir,
    source: &str,
    mut known: impl Iterator<Item = KeyRef>,
) -> Result<(), Failure> {
    if dir.is_test() {
        return Ok(());
    }
    let risk = Risk::SoftwareKeySource.name();
    if source == "software" && !dir.issuer.accepts(risk) {
        return Err(Failure::refused(format!(
            "keys would work in the program's memory: accept {risk} in issuer.toml, or use a token"
        )));
    }
    match known.next() {
        None => Ok(()),
        Some(key) => Err(Failure::refused(format!("keys.toml: key {key} is a published test key"))),
    }
}

/// Refuses a key on P-256 that everybody knows.
pub fn refuse_known_jwk(dir: &IssuerDir, key: &PublicJwk) -> Result<(), Failure> {
    if dir.is_test() || !is_known_test_jwk(key) {
        return Ok(());
    }
    Err(Failure::refused(format!("envelope key {}: is a published test key", key.kid())))
}

/// Refuses what only a test issuer's batch may have.
pub fn admit_prepare(dir: &IssuerDir, args: &crate::prepare::Args) -> Result<(), Failure> {
    for (asked, what) in
        [(args.seed.is_some(), "--seed"), (args.now.is_some(), "--now"), (args.plain, "--plain")]
    {
        if asked {
            dir.only_for_test(what)?;
        }
    }
    Ok(())
}

/// Refuses a directory that was put back to an earlier signed state: the ledger remembers the highest sequence.
pub fn admit_sequence(dir: &IssuerDir, ledger: Option<&Ledger>) -> Result<(), Failure> {
    let (Some(ledger), Some(signed)) = (ledger, &dir.signed) else { return Ok(()) };
    let highest = ledger.raise_sequence(dir.issuer.id(), signed.sequence);
    let highest = highest.map_err(emv_dataprep::batch::BatchError::from)?;
    if highest <= signed.sequence {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the issuer directory is an earlier state: its sequence is {}, and the ledger has seen {highest}",
        signed.sequence
    )))
}
