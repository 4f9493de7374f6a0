use super::{Algorithm, Header, Mode, ProtectionKey, Usage, Version, unwrap};
use crate::crypto::tdes::{adjust_parity, has_odd_parity, has_weak_part};
use crate::error::{ErrorKind, Result};
use crate::keys::{KeyAlgorithm, KeyUse};
use crate::secret::Secret;

/// Whether blocks of the deprecated versions A and C are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyVersions {
    /// They are refused.
    Refuse,
    /// They are taken.
    Accept,
}

/// What happens to a DES key without odd parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParityRule {
    /// It is refused.
    Check,
    /// Its parity bits are set.
    Adjust,
    /// It is taken as it is: published test keys only.
    Ignore,
}

/// What may be imported: looked at after the MAC is verified, before the key is used.
///
/// Beside the lists: the length belongs to the algorithm, no part of a DES key is weak or semi-weak, K1 differs
/// from K2 and K2 from K3, and the protection key is at least as strong as the key.
///
/// ```
/// use emv_dataprep::keys::{KeyUse, tr31::Policy};
/// let policy = Policy::for_use(KeyUse::Cvk);
/// # let kbpk = emv_dataprep::secret::Secret::new(vec![1; 32]);
/// assert!(policy.import(&kbpk, "D0016C0TC00N0000").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    usages: &'static [Usage],
    modes: &'static [Mode],
    legacy: LegacyVersions,
    parity: ParityRule,
}

/// A key that a [`Policy`] has let in.
#[derive(Debug)]
pub struct Imported {
    /// The header of its block.
    pub header: Header,
    /// Algorithm and length.
    pub algorithm: KeyAlgorithm,
    /// The key.
    pub key: Secret,
}

impl Policy {
    /// The policy for keys of one use: versions B and D, parity adjusted.
    #[must_use]
    pub fn for_use(key: KeyUse) -> Self {
        Self {
            usages: key.key_block_usages(),
            modes: key.key_block_modes(),
            legacy: LegacyVersions::Refuse,
            parity: ParityRule::Adjust,
        }
    }

    /// With another rule for versions A and C.
    #[must_use]
    pub const fn legacy(mut self, rule: LegacyVersions) -> Self {
        self.legacy = rule;
        self
    }

    /// With another rule for parity.
    #[must_use]
    pub const fn parity(mut self, rule: ParityRule) -> Self {
        self.parity = rule;
        self
    }

    /// Opens a block and lets its key in or refuses it.
    ///
    /// # Errors
    /// As [`unwrap`]; [`ErrorKind::KeyUsage`] for another usage or mode of use; [`ErrorKind::KeyRefused`] for all
    /// other rules.
    pub fn import(&self, kbpk: &dyn ProtectionKey, block: &str) -> Result<Imported> {
        let (header, key) = unwrap(kbpk, block)?;
        let deprecated = matches!(header.version(), Version::A | Version::C);
        if deprecated && self.legacy == LegacyVersions::Refuse {
            return Err(ErrorKind::KeyRefused("key block versions A and C are deprecated").into());
        }
        if !self.usages.contains(&header.usage()) || !self.modes.contains(&header.mode()) {
            return Err(ErrorKind::KeyUsage.into());
        }
        let algorithm = algorithm_of(header.algorithm(), key.len())?;
        if is_hmac_usage(header.usage()) != (algorithm == KeyAlgorithm::Hmac) {
            return Err(ErrorKind::KeyUsage.into());
        }
        if strength(protection(header.version(), kbpk.key_len())) < strength(algorithm) {
            return Err(ErrorKind::KeyRefused("its protection key is weaker than the key").into());
        }
        let key = self.checked_tdes(algorithm, key)?;
        Ok(Imported { header, algorithm, key })
    }

    fn checked_tdes(&self, algorithm: KeyAlgorithm, key: Secret) -> Result<Secret> {
        if !algorithm.is_tdes() {
            return Ok(key);
        }
        let key = match self.parity {
            ParityRule::Ignore => key,
            ParityRule::Check if !has_odd_parity(key.expose()) => {
                return Err(ErrorKind::KeyRefused("parity").into());
            }
            ParityRule::Check => key,
            ParityRule::Adjust => Secret::filled(key.len(), |out| {
                out.copy_from_slice(key.expose());
                adjust_parity(out);
                Ok::<(), crate::error::Error>(())
            })?,
        };
        refuse_weak_tdes(&key)?;
        Ok(key)
    }
}

/// Refuses a DES key with a weak part or with equal neighbours, parity bits left aside.
pub(crate) fn refuse_weak_tdes(key: &Secret) -> Result<()> {
    if has_weak_part(key.expose()) {
        return Err(ErrorKind::KeyRefused("a part is a weak DES key").into());
    }
    let parts: Vec<&[u8]> = key.expose().chunks(8).collect();
    let same = |a: &[u8], b: &[u8]| a.iter().zip(b).fold(0, |d, (x, y)| d | ((x ^ y) & 0xFE)) == 0;
    if parts.windows(2).any(|pair| matches!(pair, [a, b] if same(a, b))) {
        return Err(ErrorKind::KeyRefused("two neighbouring parts are equal").into());
    }
    Ok(())
}

fn algorithm_of(letter: Algorithm, len: usize) -> Result<KeyAlgorithm> {
    match (letter, len) {
        (Algorithm::TDEA, 16) => Ok(KeyAlgorithm::Tdes2),
        (Algorithm::TDEA, 24) => Ok(KeyAlgorithm::Tdes3),
        (Algorithm::AES, 16) => Ok(KeyAlgorithm::Aes128),
        (Algorithm::AES, 24) => Ok(KeyAlgorithm::Aes192),
        (Algorithm::AES, 32) => Ok(KeyAlgorithm::Aes256),
        (Algorithm::HMAC, 32) => Ok(KeyAlgorithm::Hmac),
        _ => Err(ErrorKind::KeyRefused("algorithm and length").into()),
    }
}

fn is_hmac_usage(usage: Usage) -> bool {
    usage == Usage::M7
}

const fn protection(version: Version, kbpk_len: usize) -> KeyAlgorithm {
    match (version, kbpk_len) {
        (Version::D, 16) => KeyAlgorithm::Aes128,
        (Version::D, 24) => KeyAlgorithm::Aes192,
        (Version::D, _) => KeyAlgorithm::Aes256,
        (_, 24) => KeyAlgorithm::Tdes3,
        _ => KeyAlgorithm::Tdes2,
    }
}

/// Security strength in bits (SP 800-57 Part 1, table 2; an HMAC key counts as AES-128).
const fn strength(algorithm: KeyAlgorithm) -> u16 {
    match algorithm {
        KeyAlgorithm::Tdes2 => 80,
        KeyAlgorithm::Tdes3 => 112,
        KeyAlgorithm::Aes128 | KeyAlgorithm::Hmac => 128,
        KeyAlgorithm::Aes192 => 192,
        KeyAlgorithm::Aes256 => 256,
    }
}

impl KeyUse {
    /// The key block usages that a key of this use may have, the usual one first.
    #[must_use]
    pub const fn key_block_usages(self) -> &'static [Usage] {
        match self {
            Self::ImkAc => &[Usage::E0],
            Self::ImkSmi => &[Usage::E2],
            Self::ImkSmc => &[Usage::E1],
            Self::ImkDac => &[Usage::E3],
            Self::ImkIdn => &[Usage::E4],
            Self::ImkCvc3 => &[Usage::E6],
            Self::Cvk => &[Usage::C0],
            Self::Pvk => &[Usage::V2, Usage::V1],
            Self::Pin | Self::Mailer => &[Usage::P0],
            // K1: a key that wraps the transport key of each block (X9.143) is itself a protection key.
            Self::Transport => &[Usage::K0, Usage::D0, Usage::K1],
            Self::Ledger => &[Usage::M7],
            // Static card-manager keys too: all that is ever done with one is deriving session keys, or wrapping keys.
            Self::Kmc | Self::CardEnc | Self::CardMac | Self::CardDek => &[Usage::E5],
            Self::Pool => &[Usage::K1, Usage::K0],
        }
    }

    /// The modes of use with which a key of this use can do its work, the usual one first.
    #[must_use]
    pub const fn key_block_modes(self) -> &'static [Mode] {
        match self {
            Self::ImkAc | Self::ImkSmi | Self::ImkSmc | Self::ImkDac | Self::ImkIdn | Self::ImkCvc3 => {
                &[Mode::DERIVE, Mode::ANY]
            }
            Self::Kmc | Self::CardEnc | Self::CardMac | Self::CardDek => &[Mode::DERIVE, Mode::ANY],
            Self::Cvk | Self::Pvk | Self::Ledger => &[Mode::GENERATE_VERIFY, Mode::GENERATE, Mode::ANY],
            Self::Pin => &[Mode::BOTH, Mode::ENCRYPT, Mode::DECRYPT, Mode::ANY],
            Self::Pool => &[Mode::BOTH, Mode::ANY],
            Self::Transport | Self::Mailer => &[Mode::BOTH, Mode::ENCRYPT, Mode::ANY],
        }
    }
}
