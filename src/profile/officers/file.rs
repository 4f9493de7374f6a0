use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::card::CardDate;
use crate::crypto::ed25519::Ed25519Public;
use crate::error::{Error, ErrorKind, Result};
use crate::profile::finding::{Finding, Source};

/// The name of an officer: 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter. Names that differ in case only
/// are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfficerName(String);

impl OfficerName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is this name, whatever its case and the white space around it.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.eq_ignore_ascii_case(text.trim())
    }
}

impl FromStr for OfficerName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let good = text.len() <= 64
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(ErrorKind::Format("1 to 64 letters, digits, . _ and -, the first a letter").into())
        }
    }
}

impl fmt::Display for OfficerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an officer may vouch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The state of the issuer directory.
    Configuration,
    /// That a stopped batch goes on.
    Resume,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Configuration, Self::Resume];

    /// The word in the officers' file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Resume => "resume",
        }
    }
}

/// One officer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Officer {
    /// Name.
    pub name: OfficerName,
    /// The key that the officer signs with.
    pub key: Ed25519Public,
    /// What the officer may vouch for.
    pub roles: BTreeSet<Role>,
    /// The last day on which the officer counts; `None`: no end.
    pub until: Option<CardDate>,
}

impl Officer {
    /// Whether the officer counts in a role on a day.
    #[must_use]
    pub fn may(&self, role: Role, today: CardDate) -> bool {
        self.roles.contains(&role) && self.until.is_none_or(|end| today <= end)
    }
}

/// The officers' file: who they are, and how many of them must have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Officers {
    officers: Vec<Officer>,
    threshold: usize,
}

/// Most officers in a file.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Spanned<u32>,
    threshold: Spanned<u32>,
    #[serde(rename = "officer")]
    officers: Vec<Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    public_key: Spanned<String>,
    roles: Option<Vec<Spanned<String>>>,
    until: Option<Spanned<String>>,
}

impl Officers {
    /// Reads the file. `name` is what findings call it.
    ///
    /// # Errors
    /// Every finding: no TOML, an unknown member, a wrong value; fewer than two officers of the role `configuration`; a
    /// threshold below two (one officer alone vouches for nothing) or above their number; a name or a key twice.
    pub fn read(name: &str, bytes: &[u8]) -> std::result::Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let read = Source::new(name, bytes, &mut findings).and_then(|mut source| read(&mut source));
        match read {
            Some(officers) if findings.is_empty() => Ok(officers),
            _ => Err(findings),
        }
    }

    /// Every officer, as the file has them.
    #[must_use]
    pub fn all(&self) -> &[Officer] {
        &self.officers
    }

    /// How many distinct officers must have signed an issuer directory.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// The officer of this name.
    #[must_use]
    pub fn by_name(&self, name: &OfficerName) -> Option<&Officer> {
        self.officers.iter().find(|o| o.name.is(name.as_str()))
    }

    /// The officer of this name, who may vouch in this role on this day.
    pub(super) fn who_may(&self, name: &OfficerName, role: Role, today: CardDate) -> Result<&Officer> {
        let wrong = |why: &'static str| Error::new(ErrorKind::Value(why)).at(name.to_string());
        let officer = self.by_name(name).ok_or_else(|| wrong("is not in the officers' file"))?;
        if officer.may(role, today) {
            return Ok(officer);
        }
        Err(if officer.roles.contains(&role) {
            wrong("is no officer any more: until is over")
        } else {
            wrong("has not the role that this needs")
        })
    }
}

fn read(source: &mut Source<'_>) -> Option<Officers> {
    let file = source.parse::<File>()?;
    source.check_version(&file.version);
    let mut officers: Vec<Officer> = Vec::new();
    for raw in &file.officers {
        let at = raw.span().start;
        let raw = raw.get_ref();
        let (Some(name), Some(key)) = (
            source.value::<OfficerName>("name", &raw.name),
            source.value::<Ed25519Public>("public_key", &raw.public_key),
        ) else {
            continue;
        };
        let mut roles: BTreeSet<Role> = Role::ALL.into();
        if let Some(words) = &raw.roles {
            roles.clear();
            for word in words {
                match Role::ALL.into_iter().find(|r| r.name() == word.get_ref()) {
                    Some(role) => {
                        roles.insert(role);
                    }
                    None => source.error(word.span().start, "value", "roles: configuration, resume"),
                }
            }
        }
        let until = raw.until.as_ref().and_then(|text| {
            let day = day(text.get_ref());
            if day.is_none() {
                source.error(
                    text.span().start,
                    "value",
                    "until: a day of the years 2000 to 2099, YYYY-MM-DD",
                );
            }
            day
        });
        if officers.iter().any(|o| o.name.is(name.as_str())) {
            source.error(at, "officer", format!("{name} stands twice"));
        }
        if officers.iter().any(|o| o.key == key) {
            source.error(at, "officer", format!("{name} has the key of another officer"));
        }
        officers.push(Officer { name, key, roles, until });
    }
    let able = officers.iter().filter(|o| o.roles.contains(&Role::Configuration)).count();
    let threshold = usize::try_from(*file.threshold.get_ref()).unwrap_or(usize::MAX);
    if !(2..=able.min(MOST)).contains(&threshold) {
        source.error(
            file.threshold.span().start,
            "threshold",
            "threshold: 2 to the number of officers with the role configuration",
        );
    }
    Some(Officers { officers, threshold })
}

/// `YYYY-MM-DD`.
fn day(text: &str) -> Option<CardDate> {
    let rest = text.strip_prefix("20")?;
    let has_form =
        rest.len() == 8 && rest.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 2 | 5));
    let digits: String = rest.split('-').collect();
    CardDate::from_yymmdd(&digits).ok().filter(|_| has_form)
}
