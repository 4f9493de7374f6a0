use std::fmt;

use super::BlockCipher;
use crate::bytes::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{KeyAlgorithm, KeyUse};

/// Version of a key block: which key block protection key, which binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TDES, key variants, CBC MAC of four bytes. Deprecated.
    A,
    /// TDES, derived keys, CMAC of eight bytes.
    B,
    /// TDES, key variants: version A by another letter. Deprecated.
    C,
    /// AES, derived keys, CMAC of sixteen bytes.
    D,
}

impl Version {
    /// The letter in the header.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
            Self::C => b'C',
            Self::D => b'D',
        }
    }

    /// The cipher of its protection key.
    #[must_use]
    pub const fn cipher(self) -> BlockCipher {
        match self {
            Self::A | Self::B | Self::C => BlockCipher::Tdes,
            Self::D => BlockCipher::Aes,
        }
    }

    /// Bytes of a cipher block.
    #[must_use]
    pub const fn block_len(self) -> usize {
        self.cipher().block_len()
    }

    /// Bytes of the MAC.
    #[must_use]
    pub const fn mac_len(self) -> usize {
        match self {
            Self::A | Self::C => 4,
            Self::B => 8,
            Self::D => 16,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(self.letter()))
    }
}

/// Key usage: two characters (X9.143, 7.3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage([u8; 2]);

impl Usage {
    /// Issuer master key for application cryptograms.
    pub const E0: Self = Self(*b"E0");
    /// Issuer master key for secure messaging confidentiality.
    pub const E1: Self = Self(*b"E1");
    /// Issuer master key for secure messaging integrity.
    pub const E2: Self = Self(*b"E2");
    /// Issuer master key for data authentication codes.
    pub const E3: Self = Self(*b"E3");
    /// Issuer master key for dynamic numbers.
    pub const E4: Self = Self(*b"E4");
    /// Issuer master key for card personalization.
    pub const E5: Self = Self(*b"E5");
    /// Issuer master key, other.
    pub const E6: Self = Self(*b"E6");
    /// Card verification key.
    pub const C0: Self = Self(*b"C0");
    /// PIN verification key, IBM 3624.
    pub const V1: Self = Self(*b"V1");
    /// PIN verification key, Visa PVV.
    pub const V2: Self = Self(*b"V2");
    /// PIN encryption key.
    pub const P0: Self = Self(*b"P0");
    /// Key encryption or wrapping.
    pub const K0: Self = Self(*b"K0");
    /// Key block protection key.
    pub const K1: Self = Self(*b"K1");
    /// Symmetric data encryption key.
    pub const D0: Self = Self(*b"D0");
    /// HMAC key.
    pub const M7: Self = Self(*b"M7");
}

impl std::str::FromStr for Usage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let two: Option<[u8; 2]> = text.as_bytes().try_into().ok();
        two.and_then(|t| upper_alphanumeric(t).ok()).map(Self).ok_or_else(|| malformed("a key usage").into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.map(char::from);
        write!(f, "{a}{b}")
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usage({self})")
    }
}

macro_rules! letter {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$cdoc:meta])* $constant:ident = $letter:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u8);

        impl $name {
            $($(#[$cdoc])* pub const $constant: Self = Self($letter);)*

            /// From its character: an upper-case letter or a digit.
            ///
            /// # Errors
            /// [`ErrorKind::Format`] for any other character.
            pub fn from_letter(letter: u8) -> Result<Self> {
                upper_alphanumeric([letter]).map(|[l]| Self(l)).map_err(|_| malformed($what).into())
            }

            /// The character in the header.
            #[must_use]
            pub const fn letter(self) -> u8 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", char::from(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

letter!(
    /// Algorithm of the protected key (X9.143, 7.3.2).
    Algorithm, "a key algorithm", {
        /// AES.
        AES = b'A',
        /// Single DES.
        DEA = b'D',
        /// Elliptic curve.
        ECC = b'E',
        /// HMAC.
        HMAC = b'H',
        /// RSA.
        RSA = b'R',
        /// TDES.
        TDEA = b'T',
    }
);

letter!(
    /// Mode of use of the protected key (X9.143, 7.3.3).
    Mode, "a mode of use", {
        /// Encrypt and decrypt, wrap and unwrap.
        BOTH = b'B',
        /// Generate and verify.
        GENERATE_VERIFY = b'C',
        /// Decrypt, unwrap only.
        DECRYPT = b'D',
        /// Encrypt, wrap only.
        ENCRYPT = b'E',
        /// Generate only.
        GENERATE = b'G',
        /// No restriction.
        ANY = b'N',
        /// Sign.
        SIGN = b'S',
        /// Verify only.
        VERIFY = b'V',
        /// Derive other keys.
        DERIVE = b'X',
    }
);

/// Whether and how the key may be exported again (X9.143, 7.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exportability {
    /// `E`: under a key block protection key of X9.143 or stronger.
    Exportable,
    /// `N`: not exportable.
    Not,
    /// `S`: sensitive, under any wrapping key.
    Sensitive,
}

impl Exportability {
    /// The letter in the header.
    #[must_use]
    pub const fn letter(self) -> u8 {
        match self {
            Self::Exportable => b'E',
            Self::Not => b'N',
            Self::Sensitive => b'S',
        }
    }
}

/// An optional block: identifier and data. Its length field belongs to the encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalBlock {
    id: [u8; 2],
    data: String,
}

impl OptionalBlock {
    /// An optional block.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless `id` is two alphanumeric characters and `data` is printable ASCII;
    /// [`ErrorKind::Length`] for more than 9,999 characters.
    pub fn new(id: &str, data: &str) -> Result<Self> {
        let id: [u8; 2] = id.as_bytes().try_into().map_err(|_| malformed("an optional block identifier"))?;
        if !id.iter().all(u8::is_ascii_alphanumeric) {
            return Err(malformed("an optional block identifier").into());
        }
        if !data.bytes().all(|b| (0x20..0x7F).contains(&b)) {
            return Err(malformed("printable ASCII").into());
        }
        if data.len() > 9999 {
            return Err(ErrorKind::Length {
                expected: "at most 9999",
                found: data.len(),
                unit: "characters",
            }
            .into());
        }
        Ok(Self { id, data: data.to_owned() })
    }

    /// The identifier: `KS`, `KC`, `TS`, `PB`, …
    #[must_use]
    pub fn id(&self) -> String {
        self.id.map(char::from).iter().collect()
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Identifier, length, data. The length counts itself; 256 and more characters take the extended form: `00`,
    /// the number of hexadecimal characters of the length, the length (X9.143, 7.4).
    fn encode(&self, out: &mut Vec<u8>) {
        let short = self.data.len().saturating_add(4);
        out.extend_from_slice(&self.id);
        if short <= 0xFF {
            out.extend_from_slice(format!("{short:02X}").as_bytes());
        } else {
            let long = self.data.len().saturating_add(10);
            out.extend_from_slice(format!("0004{long:04X}").as_bytes());
        }
        out.extend_from_slice(self.data.as_bytes());
    }

    fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let id: [u8; 2] = cursor.array()?;
        let short = hex_number(cursor.take(2)?)?;
        let (length, used) = if short == 0 {
            let characters = hex_number(cursor.take(2)?)?;
            if !(1..=8).contains(&characters) {
                return Err(malformed("an optional block length").into());
            }
            (hex_number(cursor.take(characters)?)?, characters.saturating_add(6))
        } else {
            (short, 4)
        };
        let data = length.checked_sub(used).ok_or(malformed("an optional block length"))?;
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        let id = text(&id).map_err(|_| malformed("an optional block identifier"))?;
        let data = text(cursor.take(data)?).map_err(|_| malformed("printable ASCII"))?;
        Self::new(&id, &data)
    }
}

/// Header of a key block: what the key is for. It stands in clear and is authenticated whole (X9.143, 7.2).
///
/// ```
/// use emv_dataprep::keys::tr31::{Header, Version};
/// use emv_dataprep::keys::{KeyAlgorithm, KeyUse};
/// let header = Header::for_use(KeyUse::ImkAc, KeyAlgorithm::Tdes2, Version::D);
/// assert_eq!(header.to_string(), "D0000E0TX00N0000");
/// assert_eq!("D0000E0TX00N0000".parse::<Header>()?, header);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    version: Version,
    usage: Usage,
    algorithm: Algorithm,
    mode: Mode,
    key_version: [u8; 2],
    exportability: Exportability,
    context: u8,
    pub(super) optional: Vec<OptionalBlock>,
}

impl Header {
    /// A header without optional blocks, key version `00`, not exportable.
    #[must_use]
    pub const fn new(version: Version, usage: Usage, algorithm: Algorithm, mode: Mode) -> Self {
        Self {
            version,
            usage,
            algorithm,
            mode,
            key_version: *b"00",
            exportability: Exportability::Not,
            context: b'0',
            optional: Vec::new(),
        }
    }

    /// The header that says what a key of this use may do.
    #[must_use]
    pub fn for_use(key: KeyUse, algorithm: KeyAlgorithm, version: Version) -> Self {
        let letter = match algorithm {
            KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 => Algorithm::TDEA,
            KeyAlgorithm::Aes128 | KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => Algorithm::AES,
            KeyAlgorithm::Hmac => Algorithm::HMAC,
        };
        let usage = key.key_block_usages().first().copied().unwrap_or(Usage::D0);
        let mode = key.key_block_modes().first().copied().unwrap_or(Mode::ANY);
        Self::new(version, usage, letter, mode)
    }

    /// With another exportability.
    #[must_use]
    pub fn exportable(mut self, exportability: Exportability) -> Self {
        self.exportability = exportability;
        self
    }

    /// With another usage of those that the key's use allows (`V1` for `V2`, `D0` for `K0`).
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// With a key version of two characters.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless both are upper-case letters or digits.
    pub fn with_key_version(mut self, version: [u8; 2]) -> Result<Self> {
        self.key_version = upper_alphanumeric(version)?;
        Ok(self)
    }

    /// With one more optional block.
    #[must_use]
    pub fn with_block(mut self, block: OptionalBlock) -> Self {
        self.optional.push(block);
        self
    }

    /// The header of the same key in a block of another version under another protection key: usage, mode, key version
    /// and exportability stay; so do the optional blocks, but for `PB` (fill) and `KP` (check value of the protection
    /// key), which belonged to the old block.
    #[must_use]
    pub fn for_version(&self, version: Version) -> Self {
        let mut header = Self { version, context: b'0', ..self.clone() };
        header.optional.retain(|block| !matches!(&block.id, b"PB" | b"KP"));
        header
    }

    /// Version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Key usage.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// Algorithm of the key.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Mode of use.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Key version, two characters.
    #[must_use]
    pub fn key_version(&self) -> String {
        self.key_version.map(char::from).iter().collect()
    }

    /// Exportability.
    #[must_use]
    pub const fn exportability(&self) -> Exportability {
        self.exportability
    }

    /// Optional blocks, a padding block `PB` among them.
    #[must_use]
    pub fn optional_blocks(&self) -> &[OptionalBlock] {
        &self.optional
    }

    /// The header at the start of `cursor`, and the stated length of the whole block.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<(Self, usize)> {
        let version = match cursor.u8()? {
            b'A' => Version::A,
            b'B' => Version::B,
            b'C' => Version::C,
            b'D' => Version::D,
            _ => return Err(ErrorKind::Unsupported("this key block version").into()),
        };
        let length = decimal(cursor.take(4)?)?;
        let usage = Usage(upper_alphanumeric(cursor.array()?)?);
        let algorithm = Algorithm::from_letter(cursor.u8()?)?;
        let mode = Mode::from_letter(cursor.u8()?)?;
        let key_version = upper_alphanumeric(cursor.array()?)?;
        let exportability = match cursor.u8()? {
            b'E' => Exportability::Exportable,
            b'N' => Exportability::Not,
            b'S' => Exportability::Sensitive,
            _ => return Err(malformed("an exportability").into()),
        };
        let blocks = decimal(cursor.take(2)?)?;
        let context = cursor.u8()?;
        if !(b'0'..=b'2').contains(&context) || cursor.u8()? != b'0' {
            return Err(malformed("a key block header: reserved characters").into());
        }
        let optional = (0..blocks).map(|_| OptionalBlock::parse(cursor)).collect::<Result<Vec<_>>>()?;
        let header = Self { version, usage, algorithm, mode, key_version, exportability, context, optional };
        Ok((header, length))
    }

    /// The characters; optional blocks are filled up to a whole cipher block with a block `PB` where needed.
    ///
    /// `payload` is the number of characters that follow.
    pub(crate) fn encode(&self, payload: usize) -> Result<String> {
        let mut tail = Vec::new();
        self.optional.iter().for_each(|o| o.encode(&mut tail));
        let mut blocks = self.optional.len();
        let over = tail.len().checked_rem(self.version.block_len()).unwrap_or(0);
        if over != 0 {
            let to_fill = self.version.block_len().saturating_sub(over);
            // The padding block itself takes four characters.
            let fill = to_fill
                .checked_sub(4)
                .unwrap_or(to_fill.saturating_add(self.version.block_len()).saturating_sub(4));
            OptionalBlock::new("PB", &"0".repeat(fill))?.encode(&mut tail);
            blocks = blocks.saturating_add(1);
        }
        let length = tail.len().saturating_add(16).saturating_add(payload);
        if length > 9999 || blocks > 99 {
            return Err(
                ErrorKind::Length { expected: "at most 9999", found: length, unit: "characters" }.into()
            );
        }
        let tail = String::from_utf8(tail).map_err(|_| ErrorKind::Internal("a header that is not text"))?;
        Ok(format!(
            "{}{length:04}{}{}{}{}{}{blocks:02}{}0{tail}",
            self.version,
            self.usage,
            self.algorithm,
            self.mode,
            self.key_version(),
            char::from(self.exportability.letter()),
            char::from(self.context),
        ))
    }
}

impl fmt::Display for Header {
    /// The header alone, its length field `0000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.encode(0).map_err(|_| fmt::Error)?;
        let (version, rest) = text.split_at_checked(1).ok_or(fmt::Error)?;
        write!(f, "{version}0000{}", rest.get(4..).ok_or(fmt::Error)?)
    }
}

impl std::str::FromStr for Header {
    type Err = Error;

    /// A header alone; its length field is not looked at.
    fn from_str(text: &str) -> Result<Self> {
        let mut cursor = Cursor::new(text.as_bytes());
        let (header, _) = Self::parse(&mut cursor)?;
        cursor.finish()?;
        Ok(header)
    }
}

const fn malformed(what: &'static str) -> ErrorKind {
    ErrorKind::Format(what)
}

fn upper_alphanumeric<const N: usize>(text: [u8; N]) -> Result<[u8; N]> {
    let good = text.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if good { Ok(text) } else { Err(malformed("upper-case letters and digits").into()) }
}

fn decimal(digits: &[u8]) -> Result<usize> {
    number(digits, 10)
}

fn hex_number(digits: &[u8]) -> Result<usize> {
    if digits.iter().any(u8::is_ascii_lowercase) {
        return Err(malformed("upper-case hexadecimal digits").into());
    }
    number(digits, 16)
}

fn number(digits: &[u8], radix: u32) -> Result<usize> {
    let wrong = || malformed("a number");
    if !digits.iter().all(u8::is_ascii_alphanumeric) {
        return Err(wrong().into());
    }
    let text = std::str::from_utf8(digits).map_err(|_| wrong())?;
    usize::from_str_radix(text, radix).map_err(|_| wrong().into())
}
