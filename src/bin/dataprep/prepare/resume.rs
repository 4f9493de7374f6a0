//! Who may take a batch up again.

use emv_dataprep::batch::{Layout, OpenJob};
use emv_dataprep::profile::officers::Approval;
use emv_dataprep::store::audit::Text;
use jiff::Timestamp;

use super::Args;
use super::start::{Start, now};
use crate::failure::Failure;
use crate::issuer_dir::{IssuerDir, read_bounded};
use crate::{officers, production};

/// Whether the output folder held a job before this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This run begins it.
    New,
    /// This run takes it up again.
    Job,
}

impl Found {
    /// Looks, before the folder is taken.
    pub(super) fn look(args: &Args) -> Self {
        if args.resume && args.out.join(Layout::JOB).exists() { Self::Job } else { Self::New }
    }
}

/// Facts for the audit log.
pub(super) type Facts = Vec<(&'static str, String)>;

/// Production needs an operator and another officer's approval for a batch that is taken up again; a test issuer is held
/// to an approval that it gives.
///
/// The facts go into the audit log before any work: an approval that stands there is used.
pub(super) fn approved(
    args: &Args,
    dir: &IssuerDir,
    job: &OpenJob,
    found: Found,
    operator: Option<&Text>,
) -> Result<Facts, Failure> {
    if found == Found::New {
        return Ok(Facts::new());
    }
    let path = match &args.approval {
        Some(path) => path,
        None if dir.is_test() => return Ok(Facts::new()),
        None => {
            return Err(Failure::refused(
                "--resume needs --approval FILE in production: dataprep officers approve makes one",
            ));
        }
    };
    let operator = operator.ok_or_else(|| Failure::refused("--approval needs --operator NAME"))?;
    let all = production::officers(dir)?;
    let all = all.ok_or_else(|| Failure::refused("--approval needs --officers FILE"))?;
    let refuse = |why: &dyn std::fmt::Display| Failure::refused(format!("{}: {why}", path.display()));
    let approval = Approval::read(&read_bounded(path)?).map_err(|e| refuse(&e))?;
    let (restart, entries) = officers::next_restart(&args.out, &job.job)?;
    if !dir.is_test() && entries.is_empty() && job.has_records()? {
        return Err(Failure::refused("the audit log of this batch is gone"));
    }
    let digest = approval.digest();
    // Before the count, which tells less: an approval that was used is always for another restart, too.
    if entries.iter().any(|e| e.facts.get("approval") == Some(&digest)) {
        return Err(refuse(&"the approval was used already"));
    }
    let today = Start::now()?.today;
    let approver = approval.check(&all, operator.as_str(), &restart, today).map_err(|e| refuse(&e))?;
    let until: Timestamp = approval.until().parse().map_err(|_| refuse(&"its end time cannot be read"))?;
    if until <= now() {
        return Err(refuse(&"the approval has ended"));
    }
    Ok(vec![
        ("operator", operator.as_str().to_owned()),
        ("approver", approver.to_string()),
        ("approval", digest),
        ("restart", restart.count.to_string()),
    ])
}

/// `--resume` in production says who asks.
pub(super) fn named(args: &Args, dir: &IssuerDir, operator: Option<&Text>) -> Result<(), Failure> {
    if args.resume && !dir.is_test() && operator.is_none() {
        return Err(Failure::refused("--resume needs --operator NAME in production"));
    }
    Ok(())
}
