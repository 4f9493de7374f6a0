use crate::bytes::{from_hex, hex_upper};
use crate::error::{Error, ErrorKind, Result};
use crate::issuer::ProtectMode;
use crate::keys::KeyIndex;
use crate::perso::DgiTag;

/// What a CPS record looks like for one personalization device: every byte that is agreed, or that no public source
/// confirms. [`CpsSettings::default`] is the record of the public issuing system that the framing comes from, with the
/// card id as the card reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpsSettings {
    /// Module identifier code (MIC): 0 to 7 characters before the record; empty: none.
    pub module_identifier: String,
    /// Digits of the byte count (LCCA) that follows the MIC: 0 (none) to 9; CPS has 7.
    pub count_digits: u8,
    /// Version number of the layout (VNL), four characters.
    pub version: [u8; 4],
    /// What stands in CRN.
    pub reference: CardReference,
    /// STATUSCOLL, two characters.
    pub status: [u8; 2],
    /// Product ids (PID).
    pub products: Vec<Vec<u8>>,
    /// First byte of TKDATA.
    pub key_layout: u8,
    /// Identifier of the transport key (IDTK).
    pub key_id: KeyIdentifier,
    /// The byte after IDTK.
    pub key_type: u8,
    /// How DGIs are enciphered when the card does not say.
    pub mode: ProtectMode,
    /// The bytes of CMODE.
    pub mode_codes: CipherModeCodes,
    /// What stands in IDOWNER.
    pub owner: OwnerId,
    /// ACT of the processing step.
    pub action: u8,
    /// REQ of the processing step.
    pub requirement: u8,
    /// TAG that ties the step to its data; its low five bits are not all set.
    pub tag: u8,
    /// POINTER of the processing step.
    pub pointer: Vec<u8>,
    /// ORDER: DGIs that go in the given sequence; what an application lacks is left out.
    pub order: Vec<Vec<DgiTag>>,
    /// VERCNTL: DGIs that a card may answer with 6A88.
    pub version_control: Vec<DgiTag>,
    /// ENC: which DGIs are listed as sent enciphered.
    pub enciphered: EncipheredList,
    /// The byte after each DGI of ENC.
    pub enciphered_type: u8,
    /// RANDOM: DGIs with PIN blocks that need a random fill.
    pub random: Vec<DgiTag>,
    /// GROUP: DGIs that share one STORE DATA.
    pub groups: Vec<Vec<DgiTag>>,
    /// How the lists in ORDER and GROUP are told apart.
    pub list_framing: ListFraming,
    /// SECLEV.
    pub security_level: SecurityLevel,
    /// UPDATECPLC.
    pub update_cplc: CplcUpdate,
    /// LOGDATA, as it is.
    pub log_data: Vec<u8>,
    /// Over what the record MAC goes; `None`: no MAC.
    pub mac: Option<MacSpan>,
}

impl Default for CpsSettings {
    fn default() -> Self {
        Self {
            module_identifier: String::new(),
            count_digits: 0,
            version: *b"02.1",
            reference: CardReference::CardId,
            status: *b"00",
            products: Vec::new(),
            key_layout: 0x01,
            key_id: KeyIdentifier::default(),
            key_type: 0x20,
            mode: ProtectMode::Ecb,
            mode_codes: CipherModeCodes::default(),
            owner: OwnerId::Iin,
            action: 0x0F,
            requirement: 0x01,
            tag: 0xEF,
            pointer: Vec::new(),
            order: Vec::new(),
            version_control: Vec::new(),
            enciphered: EncipheredList::Empty,
            enciphered_type: 0x11,
            random: Vec::new(),
            groups: Vec::new(),
            list_framing: ListFraming::Bytes,
            security_level: SecurityLevel::None,
            update_cplc: CplcUpdate::Leave,
            log_data: Vec::new(),
            mac: None,
        }
    }
}

/// A choice that has one word in a configuration file.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in a configuration file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> $crate::error::Result<Self> {
                let found = Self::ALL.iter().copied().find(|c| c.name() == text);
                found.ok_or_else(|| $crate::error::ErrorKind::Unknown($what).into())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What stands in CRN, the card reference number.
    CardReference, "this word" {
        /// Nothing.
        None = "none",
        /// The card id, as ASCII.
        CardId = "card-id",
        /// The position of the order, decimal, as ASCII.
        Position = "position",
    }
}

words! {
    /// Which DGIs ENC lists.
    EncipheredList, "this word" {
        /// None: the device knows from its own configuration.
        Empty = "empty",
        /// Every DGI that is under the transport key.
        Secret = "secret",
    }
}

words! {
    /// What stands before each list of DGIs in ORDER and GROUP.
    ListFraming, "this word" {
        /// One byte: how many bytes follow.
        Bytes = "bytes",
        /// One byte: how many DGIs follow.
        Count = "count",
    }
}

words! {
    /// SECLEV: the lowest security level of the channel, as P1 of EXTERNAL AUTHENTICATE.
    SecurityLevel, "this word" {
        /// 00: none.
        None = "none",
        /// 01: C-MAC.
        Mac = "mac",
        /// 03: C-MAC and C-DECRYPTION.
        MacAndEncryption = "mac-and-encryption",
    }
}

impl SecurityLevel {
    /// The byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Mac => 1,
            Self::MacAndEncryption => 3,
        }
    }
}

words! {
    /// UPDATECPLC: whether the device writes the personalization part of CPLC (9F66).
    CplcUpdate, "this word" {
        /// 00: it does not.
        Leave = "leave",
        /// 01: it does.
        Write = "write",
    }
}

impl CplcUpdate {
    /// The byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Leave => 0,
            Self::Write => 1,
        }
    }
}

words! {
    /// Over which bytes of section 3 the record MAC goes.
    MacSpan, "this word" {
        /// All of it but the length before and 3d after.
        Section = "section",
        /// As `section`, without the length byte of 3a.1: from the AID data to the end of the IC data.
        AidData = "aid-data",
        /// The IC data (3c) alone, without its length.
        IcData = "ic-data",
    }
}

/// CMODE: one byte for each cipher and mode. AES has none that is public, so a record with an AES transport key is refused
/// until its bytes are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherModeCodes {
    /// TDES, ECB.
    pub tdes_ecb: u8,
    /// TDES, CBC.
    pub tdes_cbc: u8,
    /// AES, ECB.
    pub aes_ecb: Option<u8>,
    /// AES, CBC.
    pub aes_cbc: Option<u8>,
}

impl Default for CipherModeCodes {
    fn default() -> Self {
        Self { tdes_ecb: 0x11, tdes_cbc: 0x10, aes_ecb: None, aes_cbc: None }
    }
}

impl CipherModeCodes {
    /// The byte, where there is one.
    #[must_use]
    pub const fn code(self, is_tdes: bool, mode: ProtectMode) -> Option<u8> {
        match (is_tdes, mode) {
            (true, ProtectMode::Ecb) => Some(self.tdes_ecb),
            (true, ProtectMode::Cbc) => Some(self.tdes_cbc),
            (false, ProtectMode::Ecb) => self.aes_ecb,
            (false, ProtectMode::Cbc) => self.aes_cbc,
        }
    }

    /// The mode that a byte names.
    #[must_use]
    pub fn mode(self, code: u8) -> Option<ProtectMode> {
        if code == self.tdes_ecb || Some(code) == self.aes_ecb {
            return Some(ProtectMode::Ecb);
        }
        (code == self.tdes_cbc || Some(code) == self.aes_cbc).then_some(ProtectMode::Cbc)
    }

    /// Whether no byte names both modes.
    #[must_use]
    pub fn are_distinct(self) -> bool {
        let ecb = [Some(self.tdes_ecb), self.aes_ecb];
        let cbc = [Some(self.tdes_cbc), self.aes_cbc];
        !ecb.iter().flatten().any(|code| cbc.contains(&Some(*code)))
    }
}

/// IDTK: bytes around the index of the transport key, `00000000{index}`; its length is agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyIdentifier {
    before: Vec<u8>,
    index: bool,
    after: Vec<u8>,
}

impl Default for KeyIdentifier {
    fn default() -> Self {
        Self { before: vec![0; 4], index: true, after: Vec::new() }
    }
}

impl KeyIdentifier {
    /// Bytes of IDTK.
    #[must_use]
    pub const fn len(&self) -> usize {
        let fixed = self.before.len().saturating_add(self.after.len());
        if self.index { fixed.saturating_add(1) } else { fixed }
    }

    /// Whether IDTK is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// IDTK of a key.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] without an index where the identifier needs one.
    pub fn of(&self, index: Option<KeyIndex>) -> Result<Vec<u8>> {
        let mut id = self.before.clone();
        if self.index {
            id.push(index.ok_or(ErrorKind::Missing("the index of the transport key"))?.0);
        }
        id.extend_from_slice(&self.after);
        Ok(id)
    }

    /// The index in an IDTK, where it stands in there.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for the id of another scheme.
    pub fn read(&self, id: &[u8]) -> Result<Option<KeyIndex>> {
        let middle =
            id.strip_prefix(self.before.as_slice()).and_then(|m| m.strip_suffix(self.after.as_slice()));
        match middle {
            Some([index]) if self.index => Ok(Some(KeyIndex(*index))),
            Some([]) if !self.index => Ok(None),
            _ => Err(ErrorKind::Value("another key identifier than the settings say").into()),
        }
    }
}

impl std::str::FromStr for KeyIdentifier {
    type Err = Error;

    /// Hexadecimal with at most one `{index}`; 1 to 32 bytes.
    fn from_str(text: &str) -> Result<Self> {
        let (before, after) = text.split_once("{index}").unwrap_or((text, ""));
        let id = Self { before: from_hex(before)?, index: text.contains("{index}"), after: from_hex(after)? };
        if !(1..=32).contains(&id.len()) {
            return Err(
                ErrorKind::Length { expected: "1 to 32", found: id.len(), unit: "bytes of IDTK" }.into()
            );
        }
        Ok(id)
    }
}

impl std::fmt::Display for KeyIdentifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let index = if self.index { "{index}" } else { "" };
        write!(f, "{}{index}{}", hex_upper(&self.before), hex_upper(&self.after))
    }
}

/// What stands in IDOWNER, the owner of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerId {
    /// The first six digits of the PAN, two a byte.
    Iin,
    /// The RID of the application's AID.
    Rid,
    /// These bytes.
    Fixed(Vec<u8>),
}

impl std::str::FromStr for OwnerId {
    type Err = Error;

    /// `iin`, `rid`, or 0 to 255 bytes in hexadecimal.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "iin" => Self::Iin,
            "rid" => Self::Rid,
            hex => {
                let bytes = from_hex(hex).map_err(|_| ErrorKind::Format("iin, rid or hexadecimal"))?;
                if bytes.len() > 255 {
                    let expected = "at most 255";
                    return Err(
                        ErrorKind::Length { expected, found: bytes.len(), unit: "bytes of IDOWNER" }.into()
                    );
                }
                Self::Fixed(bytes)
            }
        })
    }
}
