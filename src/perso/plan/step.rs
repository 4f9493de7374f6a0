use crate::emv::{Aid, Sfi, Tag};
use crate::error::{ErrorKind, Result};
use crate::perso::DgiTag;
use crate::perso::apdu::StatusWord;

use super::Selection;

/// One step of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanStep {
    /// DELETE of the instances (GPCS 11.2).
    Delete {
        /// Which instances.
        of: Selection,
        /// Whether objects that hang on it go too (P2 bit 8).
        related: bool,
        /// Status words beside 9000 that are as good: 6A88, not there.
        tolerate: Vec<StatusWord>,
    },
    /// INSTALL [for install and make selectable] (GPCS 11.5).
    Install(Install),
    /// PUT KEY: the chip gets its next card-manager keys ENC, MAC and DEK (GPCS 11.8).
    PutKey {
        /// The station's name of the new key set.
        new_keys: String,
        /// Version number that the new keys get.
        new_version: u8,
        /// Version that is replaced; 00: the keys are added.
        replaces: u8,
    },
    /// STORE DATA of the application's groupings.
    StoreData(StoreData),
    /// CPLC data by STORE DATA to the card manager (GPCS H.6). Written once in a card's life.
    Cplc(Cplc),
    /// SET STATUS (GPCS 11.10).
    SetStatus {
        /// Whose.
        scope: StatusScope,
        /// The new life cycle state.
        state: u8,
    },
    /// A check at the end.
    Check(CardCheck),
}

/// INSTALL of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Which instances.
    pub of: Selection,
    /// The executable load file.
    pub load_file: Aid,
    /// The executable module.
    pub module: Aid,
    /// Privileges: one or three bytes.
    pub privileges: Vec<u8>,
    /// Application specific parameters: the value of tag C9.
    pub parameters: Parameters,
    /// System specific parameters: the value of tag EF; none: the tag is not sent.
    pub system_parameters: Option<Vec<u8>>,
}

/// A part of install parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterPart {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The instance AID: `{aid}`.
    Aid,
    /// Its length, one byte: `{aid-length}`.
    AidLength,
}

/// Install parameters: hexadecimal with places for the instance AID.
///
/// ```
/// use emv_dataprep::perso::plan::Parameters;
/// let parameters: Parameters = "4F{aid-length}{aid}0100".parse()?;
/// assert_eq!(parameters.fill(&"A0000000031010".parse()?), hex::decode("4F07A00000000310100100").unwrap());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(pub Vec<ParameterPart>);

impl Parameters {
    /// The bytes for one instance.
    #[must_use]
    pub fn fill(&self, aid: &Aid) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                ParameterPart::Bytes(bytes) => out.extend_from_slice(bytes),
                ParameterPart::Aid => out.extend_from_slice(aid.as_bytes()),
                ParameterPart::AidLength => out.push(u8::try_from(aid.as_bytes().len()).unwrap_or(16)),
            }
        }
        out
    }
}

impl std::str::FromStr for Parameters {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = ErrorKind::Format("hexadecimal with {aid} and {aid-length} as places");
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (head, tail) = match rest.split_once('{') {
                None => (rest, ""),
                Some((head, tail)) => (head, tail),
            };
            if !head.is_empty() {
                let bytes = crate::bytes::from_hex(head).map_err(|_| form.clone())?;
                parts.push(ParameterPart::Bytes(bytes));
            }
            if head.len() == rest.len() {
                break;
            }
            let (name, after) = tail.split_once('}').ok_or_else(|| form.clone())?;
            parts.push(match name {
                "aid" => ParameterPart::Aid,
                "aid-length" => ParameterPart::AidLength,
                _ => return Err(form.into()),
            });
            rest = after;
        }
        Ok(Self(parts))
    }
}

/// How groupings share commands (GPCS 11.11.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packing {
    /// One grouping, or one group of the plan, a command; what is longer goes over several.
    Single,
    /// As many whole groupings of one kind (clear, or secret) as fit into a command.
    Fill,
}

/// P1 bits 5 and 4 (GPCS 11.11.2.1). CPS has zero bits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreStructure {
    /// 00: no word about it.
    None,
    /// 01: DGI format.
    Dgi,
}

impl StoreStructure {
    /// The bits of P1.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::None => 0x00,
            Self::Dgi => 0x08,
        }
    }
}

/// Which STORE DATA carries the last-block bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreCompletion {
    /// That of the last grouping.
    LastGrouping,
    /// An empty grouping 7FFF after all others.
    EmptyCompletion,
}

/// How a secret value that is whole blocks of DES, not of AES, grows under an AES data encipherment key. The card's
/// specification says; a PIN block (8010) always grows by random bytes (CPS 2.0, Annex A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AesFilling {
    /// 80, then zero bytes (ISO/IEC 9797-1, method 2): for values that were prepared without padding.
    Bit,
    /// Zero bytes: for values that end in padding method 2 already.
    Zeros,
    /// Not at all: such a card is not personalized.
    Refuse,
}

/// STORE DATA of an application's groupings (CPS 2.0, 4.3.4; GPCS 11.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreData {
    /// These groupings first, in this order; the others follow as they were prepared.
    pub first: Vec<DgiTag>,
    /// These groupings last, in this order.
    pub last: Vec<DgiTag>,
    /// Groupings that share a command (PDI field GROUP): each list all clear or all secret.
    pub groups: Vec<Vec<DgiTag>>,
    /// Groupings that the card may not know, with answer 6A88 (PDI field VERCNTL).
    pub optional: Vec<DgiTag>,
    /// How groupings share commands.
    pub packing: Packing,
    /// Most data bytes of a command before secure messaging: 1 to 255; the channel may leave fewer.
    pub max_data: u8,
    /// P1 bits 5 and 4.
    pub structure: StoreStructure,
    /// Whether Le 00 ends the command.
    pub le: bool,
    /// How secret values grow under an AES key.
    pub aes_filling: AesFilling,
    /// How it ends.
    pub completion: StoreCompletion,
}

impl Default for StoreData {
    /// One grouping a command, 255 bytes, no structure bits, no Le, the last grouping completes.
    fn default() -> Self {
        Self {
            first: Vec::new(),
            last: Vec::new(),
            groups: Vec::new(),
            optional: Vec::new(),
            packing: Packing::Single,
            max_data: 255,
            structure: StoreStructure::None,
            le: false,
            aes_filling: AesFilling::Bit,
            completion: StoreCompletion::LastGrouping,
        }
    }
}

/// A CPLC field: personalizer, date and equipment, from the station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cplc {
    /// 9F66: personalization.
    Personalization,
    /// 9F67: pre-personalization.
    PrePersonalization,
}

impl Cplc {
    /// The grouping that carries it.
    #[must_use]
    pub const fn dgi(self) -> DgiTag {
        match self {
            Self::Personalization => DgiTag(0x9F66),
            Self::PrePersonalization => DgiTag(0x9F67),
        }
    }
}

/// Whose life cycle state is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusScope {
    /// The card's (P1 80).
    Card,
    /// That of instances (P1 40).
    Applications(Selection),
}

/// What a check expects of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any data.
    Any,
    /// These bytes.
    Bytes(Vec<u8>),
    /// What was prepared: SELECT answers with the value of 9102 or 9103 in it, READ RECORD with the record.
    Prepared,
}

/// A check at the end of personalization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardCheck {
    /// SELECT of the instance.
    Select {
        /// Which instances.
        of: Selection,
        /// Status words that are right.
        status: Vec<StatusWord>,
        /// The data.
        data: Expected,
    },
    /// GET DATA (80 CA).
    GetData {
        /// The data object, of one or two bytes.
        tag: Tag,
        /// Status words that are right.
        status: Vec<StatusWord>,
        /// The data.
        data: Expected,
    },
    /// READ RECORD of the application that is selected.
    ReadRecord {
        /// File.
        sfi: Sfi,
        /// Record.
        record: u8,
        /// Status words that are right.
        status: Vec<StatusWord>,
        /// The data.
        data: Expected,
    },
}
