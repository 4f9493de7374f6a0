//! Script plans: what is done with a chip, in which order, so that prepared data gets into it. Pure data.
//!
//! A plan is a list of phases. A phase works with one target, on one secure channel: with the card manager once, or with
//! each application of the card that it names, one after the other. What depends on the card (AIDs, DGIs) comes from the
//! prepared card; what depends on the station (keys, equipment number) from the station.
//!
//! Plans come from `scripts/*.toml` ([`crate::profile::plan_file`]); [`PersonalizationPlan::check`] holds for every plan.

mod check;
mod step;

use std::collections::BTreeMap;

use crate::emv::Aid;
use crate::perso::channel::{ChannelProtocol, SecurityLevel};

pub use check::Rule;
pub use step::{
    AesFilling, CardCheck, Cplc, Expected, Install, Packing, ParameterPart, Parameters, PlanStep,
    StatusScope, StoreCompletion, StoreData, StoreStructure,
};

/// What an application of a card is, by its AID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceKind {
    /// A payment application.
    Payment,
    /// Payment system environment 1PAY.SYS.DDF01.
    Pse,
    /// Proximity payment system environment 2PAY.SYS.DDF01.
    Ppse,
}

impl InstanceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Payment, Self::Pse, Self::Ppse];

    /// The kind that an AID names.
    #[must_use]
    pub fn of(aid: &Aid) -> Self {
        if *aid == Aid::pse() {
            Self::Pse
        } else if *aid == Aid::ppse() {
            Self::Ppse
        } else {
            Self::Payment
        }
    }

    /// The word in a plan.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Pse => "pse",
            Self::Ppse => "ppse",
        }
    }
}

/// Which applications of a card are meant, in the order of the kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Kinds, in the order in which they are worked on.
    pub kinds: Vec<InstanceKind>,
    /// Only AIDs that begin so; empty: all.
    pub prefix: Vec<u8>,
}

impl Selection {
    /// All applications: payment, then PSE, then PPSE.
    #[must_use]
    pub fn all() -> Self {
        Self { kinds: InstanceKind::ALL.to_vec(), prefix: Vec::new() }
    }

    /// Whether an application is meant.
    #[must_use]
    pub fn names(&self, aid: &Aid) -> bool {
        self.kinds.contains(&InstanceKind::of(aid)) && aid.as_bytes().starts_with(&self.prefix)
    }

    /// The positions of those of `aids` that are meant, in the order of the kinds.
    #[must_use]
    pub fn of(&self, aids: &[&Aid]) -> Vec<usize> {
        let mut out = Vec::new();
        for kind in &self.kinds {
            let these =
                aids.iter().enumerate().filter(|(_, a)| InstanceKind::of(a) == *kind && self.names(a));
            out.extend(these.map(|(i, _)| i));
        }
        out
    }
}

/// How STORE DATA reaches an application (cps 2.0, GPCS 2.3.1 section 7.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// SELECT the application; its own channel, with the keys of its security domain.
    Direct,
    /// SELECT the security domain, whose channel it is; INSTALL [for personalization] names the application.
    SecurityDomain {
        /// The domain; `None`: the issuer security domain, selected without a name.
        aid: Option<Aid>,
    },
}

/// What a phase works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The card manager (issuer security domain), once.
    CardManager {
        /// Its AID; `None`: SELECT without a name.
        aid: Option<Aid>,
    },
    /// Each application of a selection, one after the other.
    Applications {
        /// Which.
        of: Selection,
        /// How.
        route: Route,
    },
}

/// A byte of two upper-case hexadecimal digits.
pub(crate) fn upper_hex_byte(text: &str) -> Option<u8> {
    let good = text.len() == 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    u8::from_str_radix(text, 16).ok().filter(|_| good)
}

/// A secure channel of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPlan {
    /// The key set: a name that the station gives keys to.
    pub key_set: String,
    /// Key version number that is asked for; 00: the chip's first.
    pub key_version: u8,
    /// What the chip may speak. Of SCP02 one option, since its answer does not name it; of SCP03 those whose challenges
    /// are equally long.
    pub accept: Vec<ChannelProtocol>,
    /// Security level: P1 of EXTERNAL AUTHENTICATE.
    pub level: SecurityLevel,
}

/// One target, one channel, and what is done there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// A name for people, the log and the saved state.
    pub name: String,
    /// What it works with.
    pub target: Target,
    /// Whether the card is reset before each target.
    pub reset: bool,
    /// The channel's name; `None`: commands go in clear.
    pub channel: Option<String>,
    /// What is done, in order.
    pub steps: Vec<PlanStep>,
}

/// A script plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalizationPlan {
    /// Its id: the name of its file.
    pub id: String,
    /// A title for people.
    pub title: String,
    /// Channels by name.
    pub channels: BTreeMap<String, ChannelPlan>,
    /// Phases, in order.
    pub phases: Vec<Phase>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_from_the_aid_and_keep_their_order() {
        let (visa, pse, ppse) = ("A0000000031010".parse().unwrap(), Aid::pse(), Aid::ppse());
        let other: Aid = "A0000000041010".parse().unwrap();
        let aids = [&visa, &other, &pse, &ppse];
        assert_eq!(Selection::all().of(&aids), [0, 1, 2, 3]);
        let some = Selection { kinds: vec![InstanceKind::Ppse, InstanceKind::Payment], prefix: Vec::new() };
        assert_eq!(some.of(&aids), [3, 0, 1]);
        let master = Selection { kinds: vec![InstanceKind::Payment], prefix: vec![0xA0, 0, 0, 0, 4] };
        assert_eq!(master.of(&aids), [1]);
        assert!(!master.names(&visa));
    }
}
