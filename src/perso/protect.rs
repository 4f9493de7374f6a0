use std::collections::BTreeSet;
use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::DgiTag;
use crate::emv::Record;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::{ProtectMode, SecurityModule, TransportKey};
use crate::secret::Secret;

/// When the bytes 80 00 … (ISO/IEC 9797-1, method 2) are added before a secret value is enciphered, to whole blocks of
/// the transport key.
///
/// Practice differs by card: CRT parts are always padded on some, never on others; keys and PIN blocks never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PadRule {
    /// Never: the value is whole blocks, or it is refused.
    Never,
    /// Only a value that is not whole blocks. A card cannot tell padding from a value that ends in 80 00 ….
    IfNeeded,
    /// Always, at least one byte.
    Always,
}

/// The value of a grouping on its way to protection.
#[derive(Debug)]
pub enum DgiValue {
    /// Leaves as it is.
    Clear(ClearValue),
    /// A secret in clear; it is padded by the rule, then enciphered under the transport key.
    Secret {
        /// The value.
        plaintext: Secret,
        /// Its padding.
        pad: PadRule,
    },
    /// Under the transport key already.
    Cryptogram(Vec<u8>),
}

impl DgiValue {
    /// A value that leaves as it is.
    #[must_use]
    pub fn clear(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self::Clear(ClearValue(bytes.into()))
    }

    /// A secret and its padding.
    #[must_use]
    pub const fn secret(plaintext: Secret, pad: PadRule) -> Self {
        Self::Secret { plaintext, pad }
    }
}

/// Bytes that leave in clear and may hold a PAN or a name: redacted in Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct ClearValue(Zeroizing<Vec<u8>>);

impl fmt::Debug for ClearValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The groupings of one application instance, in the order in which the card gets them. A grouping stands once.
#[derive(Debug, Default)]
pub struct DgiSet {
    entries: Vec<(DgiTag, DgiValue)>,
}

impl DgiSet {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds a grouping at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] if it stands already, [`ErrorKind::Value`] for a reserved number or 7FFF (the script makes
    /// the completion), and for a record of SFI 1 to 10 whatever [`Record::verbatim`] refuses.
    pub fn push(&mut self, tag: DgiTag, value: DgiValue) -> Result<()> {
        self.check(tag, &value).at_with(|| format!("DGI {tag}"))?;
        self.entries.push((tag, value));
        Ok(())
    }

    fn check(&self, tag: DgiTag, value: &DgiValue) -> Result<()> {
        check_tag(tag)?;
        if self.contains(tag) {
            return Err(ErrorKind::Duplicate("a DGI").into());
        }
        if let (Some((sfi, number)), DgiValue::Clear(bytes)) = (tag.emv_record(), value) {
            Record::verbatim(sfi, number, bytes.0.to_vec())?;
        }
        Ok(())
    }

    /// Adds a record under the grouping that is named after it.
    ///
    /// # Errors
    /// As [`DgiSet::push`].
    pub fn push_record(&mut self, record: &Record) -> Result<()> {
        let tag = DgiTag::for_record(record.sfi(), record.number())?;
        self.push(tag, DgiValue::clear(record.bytes().to_vec()))
    }

    /// Whether the grouping is there.
    #[must_use]
    pub fn contains(&self, tag: DgiTag) -> bool {
        self.entries.iter().any(|(t, _)| *t == tag)
    }

    /// The groupings, in order.
    pub fn tags(&self) -> impl Iterator<Item = DgiTag> + '_ {
        self.entries.iter().map(|(tag, _)| *tag)
    }

    /// Puts the groupings into the order of `order`; those that it does not name follow in the order they have.
    pub fn sort_by_order(&mut self, order: &[DgiTag]) {
        let rank = |tag: &DgiTag| order.iter().position(|t| t == tag).unwrap_or(usize::MAX);
        self.entries.sort_by_key(|(tag, _)| rank(tag));
    }

    /// The same groupings with every secret under the transport key. The plaintexts are wiped.
    ///
    /// # Errors
    /// As [`protect_many`].
    pub fn protect(
        self,
        module: &dyn SecurityModule,
        transport: &TransportKey,
        mode: ProtectMode,
    ) -> Result<ProtectedDgiSet> {
        let one = protect_many(vec![self], module, transport, mode)?.pop();
        one.unwrap_or_else(|| Err(ErrorKind::Internal("a set without a result").into()))
    }
}

fn check_tag(tag: DgiTag) -> Result<()> {
    if tag.is_reserved() {
        return Err(ErrorKind::Value("this DGI number is reserved").into());
    }
    if tag == DgiTag::COMPLETION {
        return Err(ErrorKind::Value("the script makes the completion").into());
    }
    Ok(())
}

/// Protects many cards with one call of the security module. Results stand in the order of `sets`; one bad set fails
/// alone.
///
/// # Errors
/// The outer error: the whole call failed. A set's own: [`ErrorKind::Length`] for a value of rule [`PadRule::Never`]
/// or a cryptogram that is not whole blocks of the transport key. The place names the DGI.
pub fn protect_many(
    sets: Vec<DgiSet>,
    module: &dyn SecurityModule,
    transport: &TransportKey,
    mode: ProtectMode,
) -> Result<Vec<Result<ProtectedDgiSet>>> {
    let block = transport.info().algorithm.block_len();
    let mut padded = Vec::new();
    let planned: Vec<Result<Vec<Planned>>> =
        sets.into_iter().map(|set| plan(set, block, &mut padded)).collect();
    let values: Vec<&Secret> = padded.iter().collect();
    let cryptograms =
        if values.is_empty() { Vec::new() } else { module.protect(transport, mode, &values)? };
    if cryptograms.len() != padded.len() {
        return Err(ErrorKind::Internal("the security module gave another number of cryptograms").into());
    }
    let mut cryptograms = cryptograms.into_iter().zip(padded.iter().map(Secret::len));
    let mut out = Vec::with_capacity(planned.len());
    for set in planned {
        let set = match set {
            Ok(set) => set,
            Err(e) => {
                out.push(Err(e));
                continue;
            }
        };
        let mut dgis = Vec::with_capacity(set.len());
        for entry in set {
            dgis.push(match entry {
                Planned::Ready(dgi) => dgi,
                Planned::Enciphered(tag) => {
                    let (value, len) =
                        cryptograms.next().ok_or(ErrorKind::Internal("a cryptogram is missing"))?;
                    if value.len() != len {
                        return Err(
                            ErrorKind::Internal("a cryptogram has another length than its value").into()
                        );
                    }
                    ProtectedDgi { tag, value, protection: Protection::Transport }
                }
            });
        }
        out.push(Ok(ProtectedDgiSet { dgis }));
    }
    Ok(out)
}

enum Planned {
    Ready(ProtectedDgi),
    Enciphered(DgiTag),
}

/// Secrets of a set that is refused are not enciphered: `padded` is cut back to where it was.
fn plan(set: DgiSet, block: usize, padded: &mut Vec<Secret>) -> Result<Vec<Planned>> {
    let start = padded.len();
    let planned: Result<Vec<Planned>> = set
        .entries
        .into_iter()
        .map(|(tag, value)| plan_one(tag, value, block, padded).at_with(|| format!("DGI {tag}")))
        .collect();
    if planned.is_err() {
        padded.truncate(start);
    }
    planned
}

fn plan_one(tag: DgiTag, value: DgiValue, block: usize, padded: &mut Vec<Secret>) -> Result<Planned> {
    Ok(match value {
        DgiValue::Clear(mut value) => {
            let value = std::mem::take(&mut *value.0);
            Planned::Ready(ProtectedDgi { tag, value, protection: Protection::None })
        }
        DgiValue::Cryptogram(value) => {
            whole_blocks(value.len(), block)?;
            Planned::Ready(ProtectedDgi { tag, value, protection: Protection::Transport })
        }
        DgiValue::Secret { plaintext, pad } => {
            padded.push(apply_padding(plaintext, pad, block)?);
            Planned::Enciphered(tag)
        }
    })
}

fn whole_blocks(found: usize, block: usize) -> Result<()> {
    if found == 0 || !found.is_multiple_of(block) {
        return Err(ErrorKind::Length {
            expected: "whole blocks of the transport key",
            found,
            unit: "bytes",
        }
        .into());
    }
    Ok(())
}

fn apply_padding(plaintext: Secret, pad: PadRule, block: usize) -> Result<Secret> {
    let len = plaintext.len();
    if len == 0 {
        return Err(ErrorKind::Missing("the secret value").into());
    }
    let whole = len.is_multiple_of(block);
    match pad {
        PadRule::Never => {
            whole_blocks(len, block)?;
            Ok(plaintext)
        }
        PadRule::IfNeeded if whole => Ok(plaintext),
        PadRule::IfNeeded | PadRule::Always => {
            let full = len.checked_div(block).unwrap_or(0).saturating_add(1).saturating_mul(block);
            Secret::filled(full, |out| {
                let (value, padding) = out.split_at_mut_checked(len).ok_or(ErrorKind::Internal("padding"))?;
                value.copy_from_slice(plaintext.expose());
                if let Some(first) = padding.first_mut() {
                    *first = 0x80;
                }
                Ok(())
            })
        }
    }
}

/// How a grouping leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protection {
    /// In clear.
    None,
    /// Under the transport key.
    Transport,
}

impl Protection {
    /// The word in a prepared card: `none`, `transport`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Transport => "transport",
        }
    }
}

/// A grouping that may leave.
#[derive(Clone, PartialEq, Eq)]
pub struct ProtectedDgi {
    /// Identifier.
    pub tag: DgiTag,
    /// The value: clear, or padded and under the transport key.
    pub value: Vec<u8>,
    /// Which of the two.
    pub protection: Protection,
}

impl Drop for ProtectedDgi {
    /// A value in clear may be the PAN or a track.
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl fmt::Debug for ProtectedDgi {
    /// Identifier, length, protection; the value may hold card values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtectedDgi({}, {} bytes, {})", self.tag, self.value.len(), self.protection.name())
    }
}

/// The groupings of one application instance with every secret under the transport key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedDgiSet {
    dgis: Vec<ProtectedDgi>,
}

impl ProtectedDgiSet {
    /// A set out of a prepared card that was read back.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] for a grouping that stands twice, [`ErrorKind::Value`] for a reserved number or 7FFF.
    pub fn from_prepared(dgis: Vec<ProtectedDgi>) -> Result<Self> {
        let mut seen = BTreeSet::new();
        for dgi in &dgis {
            check_tag(dgi.tag).at_with(|| format!("DGI {}", dgi.tag))?;
            if !seen.insert(dgi.tag) {
                return Err(Error::new(ErrorKind::Duplicate("a DGI")).at(format!("DGI {}", dgi.tag)));
            }
        }
        Ok(Self { dgis })
    }

    /// The groupings, in order.
    #[must_use]
    pub fn dgis(&self) -> &[ProtectedDgi] {
        &self.dgis
    }

    /// One grouping.
    #[must_use]
    pub fn get(&self, tag: DgiTag) -> Option<&ProtectedDgi> {
        self.dgis.iter().find(|dgi| dgi.tag == tag)
    }
}

#[cfg(test)]
#[path = "protect_tests.rs"]
mod tests;
