//! The readings of a card key that a search tries: what it is, option, PSN, session key, halves, counter.

use emv_dataprep::card::Psn;
use emv_dataprep::issuer::DerivationOption;
use emv_dataprep::secret::Secret;

use super::arguments::KeyIs;
use super::card_key::{Reading, Session};
use super::cvv::other_keys;
use super::mistakes::{other_option, other_psns, psn_words};
use super::search::Choice;

/// How many choices [`Others::choices`] gives.
pub const COUNT: usize = 6;
/// Which of them is the counter.
pub const COUNTER: usize = 5;

/// What may stand in place of the right reading.
pub struct Others {
    right: Reading,
    roles: Vec<KeyIs>,
    psns: Vec<Psn>,
    sessions: Vec<(Session, UnpredictableNumber)>,
    keys: Vec<(&'static str, Secret)>,
    atcs: Vec<[u8; 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UnpredictableNumber {
    AsGiven,
    Zero,
}

impl Others {
    /// The readings beside `right`, with these session keys.
    pub fn new(right: &Reading, sessions: &[Session]) -> Self {
        let roles = [KeyIs::Imk, KeyIs::Mk, KeyIs::Sk];
        let possible = |role: &KeyIs| *role != right.is && (*role != KeyIs::Imk || right.pan.is_some());
        let derives = right.pan.is_some();
        let mut others: Vec<_> = sessions
            .iter()
            .filter(|s| **s != right.session)
            .map(|s| (*s, UnpredictableNumber::AsGiven))
            .collect();
        if sessions.contains(&Session::Skd) {
            others.push((Session::Skd, UnpredictableNumber::Zero));
        }
        let atc = |atc: [u8; 2]| {
            let number = u16::from_be_bytes(atc);
            let near = [number.wrapping_add(1), number.wrapping_sub(1), number.swap_bytes(), 0];
            let near = near.into_iter().filter(|n| *n != number).map(u16::to_be_bytes);
            near.collect::<Vec<_>>()
        };
        Self {
            roles: roles.into_iter().filter(possible).collect(),
            psns: if derives { other_psns(right.psn) } else { Vec::new() },
            sessions: others,
            keys: if right.session.is_aes() { Vec::new() } else { other_keys(&right.key) },
            atcs: right.with.atc.map(atc).unwrap_or_default(),
            right: right.duplicate(),
        }
    }

    /// The choices for a search: what the key is, option, PSN, session key, key halves, counter.
    pub fn choices(&self) -> Vec<Choice> {
        let right = &self.right;
        let role = |is: KeyIs| match is {
            KeyIs::Imk => "an issuer master key",
            KeyIs::Mk => "an ICC master key",
            KeyIs::Sk => "a session key",
        };
        let roles = self.roles.iter().map(|r| format!("the key is {}, not {}", role(*r), role(right.is)));
        let option = right.pan.as_ref().and_then(|_| other_option(right.option));
        let sessions = self.sessions.iter().map(|(session, un)| {
            let un =
                if *un == UnpredictableNumber::Zero { " with an unpredictable number of zeros" } else { "" };
            format!("the key at work is {}{un}, not {}", session.words(), right.session.words())
        });
        let shown = |atc: [u8; 2]| emv_dataprep::bytes::hex_upper(&atc);
        let atcs = self.atcs.iter().map(|atc| {
            format!("the ATC is {}, not {}", shown(*atc), shown(right.with.atc.unwrap_or_default()))
        });
        vec![
            Choice::new(roles),
            Choice::new(option.map(|(_, words)| words.to_owned())),
            Choice::new(psn_words(&self.psns, right.psn)),
            Choice::new(sessions),
            Choice::new(self.keys.iter().map(|(words, _)| (*words).to_owned())),
            Choice::new(atcs),
        ]
    }

    /// The reading that a search is at. `session` stands in place of the right method.
    pub fn at(&self, reading: &[usize], session: Option<Session>) -> Reading {
        let number = |choice: usize| reading.get(choice).and_then(|n| n.checked_sub(1));
        let mut out = self.right.duplicate();
        out.session = session.unwrap_or(out.session);
        if let Some(role) = number(0).and_then(|n| self.roles.get(n)) {
            out.is = *role;
        }
        if let (Some(_), Some((option, _))) = (number(1), other_option(out.option)) {
            out.option = option;
        }
        if let Some(psn) = number(2).and_then(|n| self.psns.get(n)) {
            out.psn = *psn;
        }
        if let Some((session, un)) = number(3).and_then(|n| self.sessions.get(n)) {
            out.session = *session;
            if *un == UnpredictableNumber::Zero {
                out.with.un = Some([0; 4]);
            }
        }
        if let Some((_, key)) = number(4).and_then(|n| self.keys.get(n)) {
            out.key = key.duplicate();
        }
        if let Some(atc) = number(COUNTER).and_then(|n| self.atcs.get(n)) {
            out.with.atc = Some(*atc);
        }
        // AES keys are derived by option C only.
        if out.session.is_aes() != (out.option == DerivationOption::C) {
            out.option = if out.session.is_aes() { DerivationOption::C } else { DerivationOption::A };
        }
        out
    }

    /// The counters that are tried, the right one first.
    pub fn counters(&self) -> Vec<Option<[u8; 2]>> {
        std::iter::once(self.right.with.atc).chain(self.atcs.iter().map(|a| Some(*a))).collect()
    }
}
