//! What a station reads: script plans, and the state of a session that was torn.

use emv_dataprep::perso::session::SessionState;
use emv_dataprep::profile::plan_file;

use super::Reached::{self, Accepted, Refused};

/// The text of `scripts/fuzz.toml`. A plan that is there passes its own check.
pub fn script_plan(data: &[u8]) -> Reached {
    let (plan, findings) = plan_file::load("scripts/fuzz.toml", data);
    assert_eq!(plan.is_some(), findings.is_empty(), "{findings:#?}");
    let Some(plan) = plan else { return Refused };
    assert!(plan.check().is_ok());
    Accepted
}

/// The state of a session: what is read is written alike.
pub fn session_state(data: &[u8]) -> Reached {
    let Ok(state) = SessionState::parse(data) else { return Refused };
    assert_eq!(state.to_bytes(), data);
    Accepted
}
