//! A profile: what `paymentApplication.config` names. The applications of a card, tag by tag.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::FciForm;
use super::value::ValueSpec;
use crate::emv::{Afl, Aid, Aip, Sfi, Tag};
use crate::issuer::{DerivationOption, PinBlockFormat};
use crate::keys::KeyUse;
use crate::perso::{DgiTag, PadRule};

/// A card interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Contact (ISO/IEC 7816).
    Contact,
    /// Contactless (ISO/IEC 14443).
    Contactless,
}

impl Interface {
    /// The name in profiles and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Contactless => "contactless",
        }
    }
}

/// Public exponent and size of a key that each card has its own of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardRsaKey {
    /// Modulus, bits: a multiple of 16.
    pub bits: usize,
    /// 3 or 65537.
    pub exponent: u32,
}

/// Offline data authentication of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OdaProfile {
    /// The card's key for DDA and CDA.
    pub icc_key: Option<CardRsaKey>,
    /// A separate key for PIN encipherment.
    pub pin_key: Option<CardRsaKey>,
    /// Data authentication code of SSAD (tag 9F45), two bytes; `None`: no SDA.
    pub dac: Option<[u8; 2]>,
}

/// A profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name in `paymentApplication.config`.
    pub id: String,
    /// A title for people.
    pub title: String,
    /// The product of orders that name none.
    pub default_product: Option<String>,
    /// How ICC master keys are derived.
    pub derivation: DerivationOption,
    /// Cryptogram version number of the issuer application data.
    pub cryptogram_version: u8,
    /// Offline data authentication; `None`: none.
    pub oda: Option<OdaProfile>,
    /// The applications, in the order in which they are personalized.
    pub applications: Vec<Application>,
}

impl Profile {
    /// The payment applications.
    pub fn payment(&self) -> impl Iterator<Item = (&Application, &PaymentApplication)> {
        self.applications.iter().filter_map(|a| match &a.kind {
            ApplicationKind::Payment(p) => Some((a, p.as_ref())),
            _ => None,
        })
    }

    /// Whether cards of this profile carry certificates of the issuer's RSA key.
    #[must_use]
    pub const fn needs_oda_key(&self) -> bool {
        self.oda.is_some()
    }

    /// Whether cards of this profile carry derived keys.
    #[must_use]
    pub fn needs_derivation_key(&self) -> bool {
        !self.master_keys().is_empty()
    }

    /// The issuer master keys that cards of this profile need.
    #[must_use]
    pub fn master_keys(&self) -> BTreeSet<KeyUse> {
        let mut uses = BTreeSet::new();
        for (_, p) in self.payment() {
            for spec in &p.dgis {
                if let DgiContent::CardKeys(keys) = &spec.content {
                    uses.extend(keys);
                }
            }
            let fields = p.dgis.iter().flat_map(|d| match &d.content {
                DgiContent::Fields(fields) => fields.as_slice(),
                _ => &[],
            });
            let by_interface = p.interfaces.iter().flat_map(|i| i.values.values());
            if fields.chain(p.values.values()).chain(by_interface).any(is_ivcvc3) {
                uses.insert(KeyUse::ImkCvc3);
            }
        }
        uses
    }

    /// Whether a terminal reads the encoded name from the chip: a record, the SELECT or the GPO response holds it.
    #[must_use]
    pub fn carries_name(&self) -> bool {
        self.payment().any(|(_, p)| {
            p.interfaces.iter().any(|i| {
                let mut read = i.records.iter().flat_map(|r| &r.tags).chain(&i.fci.1).chain(&i.gpo.1);
                read.any(|tag| is_name(*tag, i, p, TEMPLATES))
            })
        })
    }

    /// Whether the card carries a reference PIN.
    #[must_use]
    pub fn needs_reference_pin(&self) -> bool {
        self.payment().any(|(_, p)| p.dgis.iter().any(|d| matches!(d.content, DgiContent::ReferencePin(_))))
    }
}

/// Templates inside templates that are looked into.
const TEMPLATES: u8 = 4;

/// Whether a tag, or one inside it, takes the encoded name.
fn is_name(tag: Tag, interface: &InterfaceProfile, application: &PaymentApplication, depth: u8) -> bool {
    use super::value::CardSource;
    match interface.values.get(&tag).or_else(|| application.values.get(&tag)) {
        None => CardSource::of_tag(tag) == Some(CardSource::Name),
        Some(ValueSpec::Card(source)) => *source == CardSource::Name,
        Some(ValueSpec::Tags(tags)) => {
            depth > 0
                && tags.iter().any(|inner| is_name(*inner, interface, application, depth.saturating_sub(1)))
        }
        Some(ValueSpec::Literal(_) | ValueSpec::Template(_)) => false,
    }
}

fn is_ivcvc3(field: &ValueSpec) -> bool {
    use super::value::CardSource::{IvCvc3Track1, IvCvc3Track2};
    matches!(field, ValueSpec::Card(IvCvc3Track1 | IvCvc3Track2))
}

/// One application instance on the card.
#[derive(Clone, Debug)]
pub struct Application {
    /// Instance AID.
    pub aid: Aid,
    /// The interfaces it answers on.
    pub interfaces: Vec<Interface>,
    /// What it is.
    pub kind: ApplicationKind,
    /// How its SELECT response is stored.
    pub fci_form: FciForm,
    /// Most bytes of data in one STORE DATA command, 16 to 255.
    pub max_data: u8,
}

/// What an application instance is.
#[derive(Clone, Debug)]
pub enum ApplicationKind {
    /// A payment application.
    Payment(Box<PaymentApplication>),
    /// The contact directory `1PAY.SYS.DDF01`, built from the payment applications.
    Pse {
        /// Short file identifier of the directory.
        sfi: Sfi,
        /// Further tags of the proprietary template.
        values: Values,
    },
    /// The contactless directory `2PAY.SYS.DDF01`, built from the payment applications.
    Ppse,
}

/// Values by tag.
pub type Values = BTreeMap<Tag, ValueSpec>;

/// A payment application.
#[derive(Clone, Debug)]
pub struct PaymentApplication {
    /// Values that both interfaces share.
    pub values: Values,
    /// One or two interfaces.
    pub interfaces: Vec<InterfaceProfile>,
    /// DGIs beside FCI, GPO data and records, in order.
    pub dgis: Vec<DgiSpec>,
    /// Discretionary data of contactless magnetic-stripe mode (tracks 1 and 2), decimal digits.
    pub magstripe_mode: Option<(String, String)>,
}

/// A payment application on one interface.
#[derive(Clone, Debug)]
pub struct InterfaceProfile {
    /// Which.
    pub interface: Interface,
    /// Application interchange profile.
    pub aip: Aip,
    /// Application file locator.
    pub afl: Afl,
    /// DGI of the SELECT response and its tags inside `A5`.
    pub fci: (DgiTag, Vec<Tag>),
    /// DGI of the GET PROCESSING OPTIONS response and its tags.
    pub gpo: (DgiTag, Vec<Tag>),
    /// Values of this interface; they come before those of the application.
    pub values: Values,
    /// Records that this interface defines.
    pub records: Vec<RecordSpec>,
}

/// A record: where it stands and which tags it holds, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSpec {
    /// Short file identifier, 1 to 30.
    pub sfi: Sfi,
    /// Record number, from 1.
    pub number: u8,
    /// Tags in template 70.
    pub tags: Vec<Tag>,
}

/// A DGI beside FCI, GPO data and records.
#[derive(Clone, Debug)]
pub struct DgiSpec {
    /// Its number.
    pub dgi: DgiTag,
    /// What it holds.
    pub content: DgiContent,
    /// Whose values its tags take.
    pub interface: Interface,
}

/// What a DGI holds.
#[derive(Clone, Debug)]
pub enum DgiContent {
    /// ICC master keys, one after the other, enciphered.
    CardKeys(Vec<KeyUse>),
    /// Key check values of the keys in another DGI.
    Kcvs(DgiTag),
    /// The reference PIN as a PIN block, enciphered.
    ReferencePin(PinBlockFormat),
    /// A part of the card's DDA or CDA key, enciphered.
    IccKey(RsaPart, PadRule),
    /// A part of the card's PIN-encipherment key, enciphered.
    PinKey(RsaPart, PadRule),
    /// TLVs.
    Tags(Vec<Tag>),
    /// Values one after the other, without tags.
    Fields(Vec<ValueSpec>),
}

/// A part of an RSA private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaPart {
    /// `q^-1 mod p`.
    QInv,
    /// `d mod (q-1)`.
    Dq,
    /// `d mod (p-1)`.
    Dp,
    /// The smaller prime.
    Q,
    /// The larger prime.
    P,
    /// The private exponent.
    Exponent,
    /// The modulus.
    Modulus,
}

impl RsaPart {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::QInv, Self::Dq, Self::Dp, Self::Q, Self::P, Self::Exponent, Self::Modulus];

    /// The name in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QInv => "qinv",
            Self::Dq => "dq",
            Self::Dp => "dp",
            Self::Q => "q",
            Self::P => "p",
            Self::Exponent => "exponent",
            Self::Modulus => "modulus",
        }
    }
}
