//! Formats for bureaus as an issuer agrees them: settings of CPS records, and the template of a machine's record.

use crate::perso::record::{CpsSettings, words};

/// A file `formats/NAME.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatFile {
    /// Its name: the file's without `.toml`.
    pub id: String,
    /// Settings of CPS records.
    pub cps: CpsSettings,
    /// The record of a personalization machine, when there is one.
    pub template: Option<RecordTemplate>,
}

/// The records of a file for a personalization machine: an optional header, one record a card, an optional trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTemplate {
    /// The character set of text and digits.
    pub charset: Charset,
    /// Bytes after each record.
    pub record_end: Vec<u8>,
    /// Fields of the record before the cards; empty: there is none.
    pub header: Vec<Field>,
    /// Fields of a card's record.
    pub card: Vec<Field>,
    /// Fields of the record after the cards, all of a fixed length; empty: there is none.
    pub trailer: Vec<Field>,
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, once in its record.
    pub name: String,
    /// What stands in it.
    pub content: Content,
    /// How its end is known.
    pub extent: Extent,
}

/// What stands in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The same text in every record.
    Text(String),
    /// The same bytes in every record.
    Bytes(Vec<u8>),
    /// A value of the card or of the file.
    Value {
        /// Which.
        source: FieldSource,
        /// How bytes and numbers are written.
        encoding: Encoding,
        /// Whether a card without it is refused.
        presence: Presence,
        /// A space after every so many characters (embossed PAN); 0: none.
        group: u8,
    },
    /// How many bytes the field with this index in the record has.
    LengthOf(usize, Encoding),
    /// How many bytes follow this field in its record.
    LengthOfRest(Encoding),
    /// A checksum over the bytes of the fields `first` to `last` (indexes in the record).
    Checksum {
        /// Its algorithm.
        kind: Checksum,
        /// First field.
        first: usize,
        /// Last field.
        last: usize,
        /// How it is written.
        encoding: Encoding,
    },
}

/// Whether a card must have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A card without it is refused.
    Required,
    /// A card without it has an empty field.
    Optional,
}

/// How a reader knows where a field ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its content says so: literals, numbers and checksums of `width` bytes.
    Width(usize),
    /// So many characters, filled up.
    Padded {
        /// Characters.
        width: usize,
        /// Where the value stands.
        align: Align,
        /// The character that fills.
        pad: char,
    },
    /// This character follows it.
    Until(char),
    /// A field before it says how many bytes it has.
    Counted,
}

words! {
    /// A character set of one byte a character.
    Charset, "this character set" {
        /// ASCII.
        Ascii = "ascii",
        /// ISO/IEC 8859-1.
        Latin1 = "latin-1",
        /// EBCDIC code page 037, the same characters as ISO/IEC 8859-1.
        Ebcdic = "ebcdic-037",
    }
}

words! {
    /// Where a value stands in its width.
    Align, "this side" {
        /// At the left, filled up at the right.
        Left = "left",
        /// At the right, filled up at the left.
        Right = "right",
    }
}

words! {
    /// How a value becomes bytes.
    Encoding, "this encoding" {
        /// Characters of the character set.
        Text = "text",
        /// Decimal digits, zeros before.
        Decimal = "decimal",
        /// Bytes as they are; numbers big-endian.
        Binary = "binary",
        /// Bytes in upper-case hexadecimal.
        Hex = "hex",
    }
}

words! {
    /// A checksum over bytes.
    Checksum, "this checksum" {
        /// Exclusive or of all bytes, one byte (longitudinal redundancy check).
        Lrc = "lrc",
        /// Sum of all bytes modulo 256, one byte.
        Sum8 = "sum-8",
        /// CRC-16/IBM-3740 ("CCITT-FALSE": polynomial 1021, initial FFFF), two bytes.
        Crc16 = "crc-16",
        /// CRC-32/ISO-HDLC (polynomial 04C11DB7, reflected), four bytes.
        Crc32 = "crc-32",
    }
}

impl Checksum {
    /// Bytes of the checksum.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Lrc | Self::Sum8 => 1,
            Self::Crc16 => 2,
            Self::Crc32 => 4,
        }
    }

    /// Never.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }
}

words! {
    /// A value that a field may hold.
    FieldSource, "this value" {
        /// How many cards the file holds.
        Count = "count",
        /// 1-based count of the card in the file.
        Sequence = "sequence",
        /// 1-based count of the order in its input.
        Position = "position",
        /// Card id.
        CardId = "card-id",
        /// Issuer request id.
        IssuerRequestId = "issuer-request-id",
        /// First six and last four digits of the PAN.
        MaskedPan = "masked-pan",
        /// Distribution channel.
        Channel = "channel",
        /// Destination id.
        Destination = "destination",
        /// Product id.
        Product = "product",
        /// Profile id.
        Profile = "profile",
        /// The last day on which the card may be personalized, YYYY-MM-DD.
        NotAfter = "not-after",
        /// Index of the transport key.
        TransportKeyIndex = "transport-key-index",
        /// Check value of the transport key.
        TransportKeyKcv = "transport-key-kcv",
        /// X9.143 block of a transport key made for one block.
        TransportKeyWrapped = "transport-key-wrapped",
        /// Track 1 without sentinels and LRC.
        Track1 = "track1",
        /// Track 2 without sentinels and LRC.
        Track2 = "track2",
        /// Track 3 without sentinels and LRC.
        Track3 = "track3",
        /// Printed PAN.
        Pan = "pan",
        /// Printed name.
        Name = "name",
        /// Second line of the name.
        SecondName = "second-name",
        /// Printed expiry, MM/YY.
        Expiry = "expiry",
        /// Printed CVV2.
        Cvv2 = "cvv2",
        /// Member id.
        MemberId = "member-id",
        /// Artwork.
        ArtworkId = "artwork-id",
        /// Id of the cardholder's own image.
        CardImage = "card-image",
        /// First printed line.
        CustomLine1 = "custom-line-1",
        /// Second printed line.
        CustomLine2 = "custom-line-2",
        /// Third printed line.
        CustomLine3 = "custom-line-3",
        /// Fourth printed line.
        CustomLine4 = "custom-line-4",
        /// Carrier id.
        CarrierId = "carrier-id",
        /// Language of the carrier.
        CarrierLanguage = "carrier-language",
        /// Name on the carrier.
        CarrierName = "carrier-name",
        /// Packaging id.
        PackagingId = "packaging-id",
        /// Shipment method.
        Delivery = "delivery",
        /// Priority.
        Priority = "priority",
        /// Delivery address: first name.
        AddressFirstName = "address-first-name",
        /// Delivery address: last name.
        AddressLastName = "address-last-name",
        /// Delivery address: company.
        AddressCompany = "address-company",
        /// Delivery address: first line.
        AddressLine1 = "address-line1",
        /// Delivery address: second line.
        AddressLine2 = "address-line2",
        /// Delivery address: third line.
        AddressLine3 = "address-line3",
        /// Delivery address: postal code.
        AddressZipCode = "address-zip-code",
        /// Delivery address: city.
        AddressCity = "address-city",
        /// Delivery address: state.
        AddressState = "address-state",
        /// Delivery address: country.
        AddressCountry = "address-country",
        /// The chip as a CPS record with the settings of this file.
        ChipCps = "chip-cps",
        /// The chip as `DGIxxxx=HEX` lines.
        ChipDgiLines = "chip-dgi-lines",
    }
}

/// What kind of value a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Characters.
    Text,
    /// A number.
    Number,
    /// Bytes.
    Bytes,
}

impl FieldSource {
    /// The kind of its value.
    #[must_use]
    pub const fn kind(self) -> ValueKind {
        match self {
            Self::Count | Self::Sequence | Self::Position => ValueKind::Number,
            Self::ChipCps => ValueKind::Bytes,
            _ => ValueKind::Text,
        }
    }

    /// Whether it says something of the whole file: a header or trailer may hold it.
    #[must_use]
    pub const fn is_of_file(self) -> bool {
        matches!(
            self,
            Self::Count
                | Self::Channel
                | Self::Destination
                | Self::TransportKeyIndex
                | Self::TransportKeyKcv
                | Self::TransportKeyWrapped
        )
    }
}

/// Code page 037, as the ISO/IEC 8859-1 characters of the bytes 00 to FF.
const EBCDIC_037: [u8; 256] = [
    0x00, 0x01, 0x02, 0x03, 0x9C, 0x09, 0x86, 0x7F, 0x97, 0x8D, 0x8E, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10,
    0x11, 0x12, 0x13, 0x9D, 0x85, 0x08, 0x87, 0x18, 0x19, 0x92, 0x8F, 0x1C, 0x1D, 0x1E, 0x1F, 0x80, 0x81,
    0x82, 0x83, 0x84, 0x0A, 0x17, 0x1B, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x05, 0x06, 0x07, 0x90, 0x91, 0x16,
    0x93, 0x94, 0x95, 0x96, 0x04, 0x98, 0x99, 0x9A, 0x9B, 0x14, 0x15, 0x9E, 0x1A, 0x20, 0xA0, 0xE2, 0xE4,
    0xE0, 0xE1, 0xE3, 0xE5, 0xE7, 0xF1, 0xA2, 0x2E, 0x3C, 0x28, 0x2B, 0x7C, 0x26, 0xE9, 0xEA, 0xEB, 0xE8,
    0xED, 0xEE, 0xEF, 0xEC, 0xDF, 0x21, 0x24, 0x2A, 0x29, 0x3B, 0xAC, 0x2D, 0x2F, 0xC2, 0xC4, 0xC0, 0xC1,
    0xC3, 0xC5, 0xC7, 0xD1, 0xA6, 0x2C, 0x25, 0x5F, 0x3E, 0x3F, 0xF8, 0xC9, 0xCA, 0xCB, 0xC8, 0xCD, 0xCE,
    0xCF, 0xCC, 0x60, 0x3A, 0x23, 0x40, 0x27, 0x3D, 0x22, 0xD8, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67,
    0x68, 0x69, 0xAB, 0xBB, 0xF0, 0xFD, 0xFE, 0xB1, 0xB0, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x70, 0x71,
    0x72, 0xAA, 0xBA, 0xE6, 0xB8, 0xC6, 0xA4, 0xB5, 0x7E, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
    0xA1, 0xBF, 0xD0, 0xDD, 0xDE, 0xAE, 0x5E, 0xA3, 0xA5, 0xB7, 0xA9, 0xA7, 0xB6, 0xBC, 0xBD, 0xBE, 0x5B,
    0x5D, 0xAF, 0xA8, 0xB4, 0xD7, 0x7B, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0xAD, 0xF4,
    0xF6, 0xF2, 0xF3, 0xF5, 0x7D, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F, 0x50, 0x51, 0x52, 0xB9, 0xFB, 0xFC,
    0xF9, 0xFA, 0xFF, 0x5C, 0xF7, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0xB2, 0xD4, 0xD6, 0xD2,
    0xD3, 0xD5, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0xB3, 0xDB, 0xDC, 0xD9, 0xDA,
    0x9F,
];

impl Charset {
    /// The byte of a character; `None`: the set does not have it.
    #[must_use]
    pub fn byte(self, c: char) -> Option<u8> {
        let latin = u8::try_from(u32::from(c)).ok()?;
        match self {
            Self::Ascii => latin.is_ascii().then_some(latin),
            Self::Latin1 => Some(latin),
            Self::Ebcdic => {
                let at = EBCDIC_037.iter().position(|b| *b == latin)?;
                u8::try_from(at).ok()
            }
        }
    }

    /// The character of a byte; `None`: the set does not have it.
    #[must_use]
    pub fn char(self, byte: u8) -> Option<char> {
        match self {
            Self::Ascii => byte.is_ascii().then(|| char::from(byte)),
            Self::Latin1 => Some(char::from(byte)),
            Self::Ebcdic => EBCDIC_037.get(usize::from(byte)).map(|b| char::from(*b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ebcdic_has_every_character_once() {
        // IBM code page 037: digits F0 to F9, letters C1, D1, E2, 81; @ 7C, = 7E, ^ B0, é 51.
        for (c, byte) in [('0', 0xF0), ('9', 0xF9), ('A', 0xC1), ('J', 0xD1), ('S', 0xE2), ('a', 0x81)] {
            assert_eq!(Charset::Ebcdic.byte(c), Some(byte), "{c}");
        }
        for (c, byte) in [(' ', 0x40), ('@', 0x7C), ('=', 0x7E), ('^', 0xB0), ('\u{e9}', 0x51), ('%', 0x6C)] {
            assert_eq!(Charset::Ebcdic.byte(c), Some(byte), "{c}");
        }
        for charset in Charset::ALL {
            for byte in 0..=255 {
                if let Some(c) = charset.char(byte) {
                    assert_eq!(charset.byte(c), Some(byte));
                } else {
                    assert_eq!((*charset, byte > 127), (Charset::Ascii, true));
                }
            }
            assert_eq!(charset.byte('\u{20AC}'), None);
        }
    }
}
