use std::collections::BTreeMap;
use std::fmt;

use crate::card::{CardDate, CardId};
use crate::crypto::hash::sha256;
use crate::emv::Aid;
use crate::error::{ErrorKind, Place, Result};
use crate::keys::{CardKeys, CipherMode, TransportName};
use crate::perso::channel::KeyData;
use crate::perso::{DgiTag, ProtectedDgiSet, Protection};

/// One application instance with its groupings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationData {
    /// Instance AID.
    pub aid: Aid,
    /// Its groupings, secrets under the transport key.
    pub dgis: ProtectedDgiSet,
}

/// What a session needs of a prepared card.
///
/// Debug shows the card reference, AIDs and lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalizationData {
    /// The issuer's name for the card (D1's cardId).
    pub card_reference: CardId,
    /// The last day on which it may be personalized.
    pub not_after: CardDate,
    /// The key of its secret groupings, as the key source of the station knows it.
    pub transport: TransportName,
    /// Its applications.
    pub applications: Vec<ApplicationData>,
}

impl PersonalizationData {
    /// Refuses data that must not reach a card: no application, an AID twice, a grouping of keys or PINs in clear.
    pub(super) fn check(&self) -> Result<()> {
        if self.applications.is_empty() {
            return Err(ErrorKind::Missing("an application").into());
        }
        for (i, application) in self.applications.iter().enumerate() {
            let place = || format!("application {}", application.aid);
            if self.applications.iter().take(i).any(|a| a.aid == application.aid) {
                return Err(ErrorKind::Duplicate("the AID")).at_with(place);
            }
            if application.dgis.dgis().is_empty() {
                return Err(ErrorKind::Missing("a DGI to store")).at_with(place);
            }
            for dgi in application.dgis.dgis() {
                if dgi.protection == Protection::None && holds_secret(dgi.tag) {
                    return Err(ErrorKind::Value("a DGI of keys or PINs stands in clear"))
                        .at(format!("DGI {}", dgi.tag))
                        .at_with(place);
                }
            }
        }
        Ok(())
    }

    /// SHA-256 of all of it.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut text = Vec::new();
        let mut put = |part: &[u8]| {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        };
        put(self.card_reference.as_str().as_bytes());
        put(&self.not_after.bcd());
        put(self.transport.key.to_string().as_bytes());
        put(self.transport.wrapped.as_deref().unwrap_or_default().as_bytes());
        put(&[u8::from(self.transport.mode == CipherMode::Cbc)]);
        put(self.transport.kcv.as_deref().unwrap_or_default().as_bytes());
        for application in &self.applications {
            put(application.aid.as_bytes());
            put(&(application.dgis.dgis().len() as u64).to_be_bytes());
            for dgi in application.dgis.dgis() {
                put(&dgi.tag.0.to_be_bytes());
                put(dgi.protection.name().as_bytes());
                put(&dgi.value);
            }
        }
        sha256(&[&text])
    }
}

/// Whether CPS Annex A, or practice, puts keys or PINs into the grouping: 8nnn, but for moduli.
pub(super) fn holds_secret(tag: DgiTag) -> bool {
    tag.0 & 0xF000 == 0x8000 && !matches!(tag.0, 0x8103 | 0x8104)
}

/// What a station adds: whose keys it has, who it is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StationSettings {
    /// The keys of each key set that plans name.
    pub key_sets: BTreeMap<String, CardKeys>,
    /// CPLC: personalizer identifier.
    pub personalizer: [u8; 2],
    /// CPLC: personalization equipment identifier.
    pub equipment: [u8; 4],
}

/// A card reference bound to one chip. The caller stores it, durably, before secrets go to the chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The issuer's name for the card.
    pub card_reference: CardId,
    /// KEYDATA of the chip.
    pub key_data: KeyData,
    /// The chip that had claimed the card before, when an operator reassigned it: it is destroyed.
    pub reassigned_from: Option<KeyData>,
}

/// An operator's word that the chip of an earlier claim is withdrawn, and the card may go to another.
#[derive(Clone, PartialEq, Eq)]
pub struct Reassignment {
    /// Who says so; stands in the log.
    pub operator: String,
}

impl fmt::Debug for Reassignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reassignment({})", self.operator)
    }
}
