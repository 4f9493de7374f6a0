use serde::{Deserialize, Serialize};

/// Who has signed the issuer directory that a batch was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficersRecord {
    /// SHA-256 over the files of `configuration`: what they signed.
    pub digest: String,
    /// `sequence` of `issuer.toml`.
    pub sequence: u64,
    /// Their names.
    pub names: Vec<String>,
}

/// What a batch rested on beside its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Which key source worked.
    pub key_source: Option<String>,
    /// Risks that the issuer accepts by name.
    pub accepted: Vec<String>,
    /// Who has signed the issuer directory.
    pub officers: Option<OfficersRecord>,
}
