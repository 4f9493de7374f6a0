use std::collections::BTreeSet;

use super::{CardCheck, Expected, Selection};
use super::{ChannelPlan, PersonalizationPlan, Phase, PlanStep, Route, StatusScope, StoreData, Target};
use crate::error::{Error, ErrorKind, Result};

/// A rule of plans that is broken, in words.
pub type Rule = &'static str;

impl PersonalizationPlan {
    /// Checks every rule of plans.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] with the rule; the place names the channel, or the phase and step.
    pub fn check(&self) -> Result<()> {
        let broken = |rule: Rule| Error::new(ErrorKind::Value(rule));
        for (name, channel) in &self.channels {
            channel.check().map_err(|rule| broken(rule).at(format!("channel {name}")))?;
        }
        self.check_phases().map_err(broken)?;
        for phase in &self.phases {
            let place = |e: Error| e.at(format!("phase {}", phase.name));
            self.check_phase(phase).map_err(|rule| place(broken(rule)))?;
            for (i, step) in phase.steps.iter().enumerate() {
                let number = i.saturating_add(1);
                phase.check_step(step).map_err(|rule| place(broken(rule).at(format!("step {number}"))))?;
            }
        }
        Ok(())
    }

    /// Rules over all phases.
    pub(crate) fn check_phases(&self) -> std::result::Result<(), Rule> {
        let names: BTreeSet<&str> = self.phases.iter().map(|p| p.name.as_str()).collect();
        if names.len() != self.phases.len() {
            return Err("each phase has a name of its own");
        }
        if !self.phases.iter().any(|p| p.steps.iter().any(|s| matches!(s, PlanStep::StoreData(_)))) {
            return Err("a plan stores data");
        }
        if self.phases.len() > 64 {
            return Err("a plan has at most 64 phases");
        }
        Ok(())
    }

    /// Rules of one phase.
    pub(crate) fn check_phase(&self, phase: &Phase) -> std::result::Result<(), Rule> {
        if phase.name.is_empty() || phase.name.len() > 64 {
            return Err("a phase has a name of 1 to 64 characters");
        }
        match &phase.channel {
            Some(name) if !self.channels.contains_key(name) => return Err("no such channel"),
            None if matches!(
                phase.target,
                Target::Applications { route: Route::SecurityDomain { .. }, .. }
            ) =>
            {
                return Err("the way through a security domain needs its channel");
            }
            _ => {}
        }
        if let Target::Applications { of, .. } = &phase.target {
            check_selection(of)?;
        }
        if phase.steps.iter().filter(|s| matches!(s, PlanStep::StoreData(_))).count() > 1 {
            return Err("an application's data is stored in one step");
        }
        if phase.steps.len() > 64 {
            return Err("a phase has at most 64 steps");
        }
        Ok(())
    }
}

impl ChannelPlan {
    /// Rules of a channel.
    pub(crate) fn check(&self) -> std::result::Result<(), Rule> {
        if self.accept.is_empty() {
            return Err("a channel accepts at least one protocol");
        }
        if self.accept.iter().filter(|p| p.number() == 0x02).count() > 1 {
            return Err("of SCP02 one option: the chip's answer does not name it");
        }
        let distinct: BTreeSet<_> = self.accept.iter().map(|p| (p.number(), p.option())).collect();
        if distinct.len() != self.accept.len() {
            return Err("a protocol stands twice");
        }
        let lengths: BTreeSet<_> = self.accept.iter().map(|p| p.challenge_len()).collect();
        if lengths.len() != 1 {
            return Err("protocols with challenges of 8 and of 16 bytes do not stand together");
        }
        if !self.accept.iter().all(|p| self.level.is_offered_by(*p)) {
            return Err("a protocol that is accepted has no such security level");
        }
        Ok(())
    }
}

impl Phase {
    /// Rules of one step in this phase.
    pub(crate) fn check_step(&self, step: &PlanStep) -> std::result::Result<(), Rule> {
        let manager = matches!(self.target, Target::CardManager { .. });
        let channel = self.channel.is_some();
        match step {
            PlanStep::Delete { of, .. } if manager && channel => check_selection(of),
            PlanStep::SetStatus { scope, .. } if manager && channel => match scope {
                StatusScope::Card => Ok(()),
                StatusScope::Applications(of) => check_selection(of),
            },
            PlanStep::Install(install) if manager && channel => {
                if !matches!(install.privileges.len(), 1 | 3) {
                    return Err("privileges are one or three bytes");
                }
                check_selection(&install.of)
            }
            PlanStep::PutKey { new_version, .. } if manager && channel => {
                if matches!(new_version, 0x01..=0x7F) { Ok(()) } else { Err("a key version is 01 to 7F") }
            }
            PlanStep::Cplc(_) if manager && channel => Ok(()),
            PlanStep::StoreData(store) if !manager && channel => store.check(),
            PlanStep::StoreData(_) if manager => Err("data is stored in a phase of applications"),
            PlanStep::Check(check) => {
                let direct = matches!(self.target, Target::Applications { route: Route::Direct, .. });
                match check {
                    CardCheck::Select { .. } if channel => {
                        Err("SELECT ends the channel: a phase that looks has none")
                    }
                    CardCheck::GetData { .. } | CardCheck::ReadRecord { .. } if !manager && !direct => {
                        Err("the way through a security domain does not read from the application")
                    }
                    _ => check.rules(manager),
                }
            }
            _ if !channel => Err("this step needs a channel"),
            _ => Err("this step belongs to a phase of the card manager"),
        }
    }
}

impl CardCheck {
    fn rules(&self, manager: bool) -> std::result::Result<(), Rule> {
        let status = match self {
            Self::Select { of, status, .. } => {
                if !manager {
                    return Err(
                        "the phase selects its application; SELECT is a check of the card manager's phase",
                    );
                }
                check_selection(of)?;
                status
            }
            Self::GetData { tag, status, data } => {
                if tag.len() > 2 {
                    return Err("GET DATA names a tag of one or two bytes");
                }
                if *data == Expected::Prepared {
                    return Err("prepared data is known of SELECT and READ RECORD");
                }
                status
            }
            Self::ReadRecord { record, status, .. } => {
                if manager || matches!(record, 0 | 255) {
                    return Err("a record (1 to 254) is read of an application");
                }
                status
            }
        };
        if status.is_empty() { Err("a check names the status words that are right") } else { Ok(()) }
    }
}

impl StoreData {
    fn check(&self) -> std::result::Result<(), Rule> {
        if self.max_data == 0 {
            return Err("a command has at least one byte of data");
        }
        let placed: Vec<_> = self.first.iter().chain(&self.last).collect();
        if placed.iter().collect::<BTreeSet<_>>().len() != placed.len() {
            return Err("a DGI stands twice in the order");
        }
        let grouped: Vec<_> = self.groups.iter().flatten().collect();
        if grouped.iter().collect::<BTreeSet<_>>().len() != grouped.len() {
            return Err("a DGI stands twice in the groups");
        }
        if self.groups.iter().any(|g| g.len() < 2) {
            return Err("a group has at least two DGIs");
        }
        if grouped.iter().any(|d| self.optional.contains(d)) {
            return Err("a DGI that the card may not know stands in a command of its own");
        }
        let reserved = placed.iter().chain(&grouped).any(|d| d.is_reserved() || d.0 == 0x7FFF);
        if reserved { Err("a DGI number is reserved") } else { Ok(()) }
    }
}

fn check_selection(of: &Selection) -> std::result::Result<(), Rule> {
    let kinds: BTreeSet<_> = of.kinds.iter().collect();
    if of.kinds.is_empty() || kinds.len() != of.kinds.len() {
        return Err("each kind of application stands once, and one at least");
    }
    if of.prefix.len() > 16 {
        return Err("an AID has at most 16 bytes");
    }
    Ok(())
}
