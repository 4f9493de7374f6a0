//! What each data grouping is, from CPS Annex A and public scripts. Numbers that a payment system or a card vendor gives
//! are named by what public sources say of them; a profile may use them otherwise.

use super::DgiTag;

/// What the bytes of a grouping are, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Data objects, to be shown as a tree.
    Tlv,
    /// Key check values, three bytes each.
    KeyCheckValues,
    /// PIN try counter, then limit.
    PinTries,
    /// Bytes without a structure that is public, or enciphered ones.
    Opaque,
}

macro_rules! groupings {
    ($($number:literal $name:literal $content:ident;)*) => {
        /// Every grouping that has a name here, in order.
        pub const ALL: &[(DgiTag, &str, Content)] = &[$((DgiTag($number), $name, Content::$content),)*];
    };
}

groupings! {
    0x0010 "RSA modulus (security domain)" Opaque;
    0x0011 "RSA public exponent (security domain)" Opaque;
    0x0062 "File creation (FCP)" Tlv;
    0x0070 "Data objects (security domain)" Tlv;
    0x00B9 "Key information (security domain)" Tlv;
    0x00CF "Key derivation data KEYDATA" Opaque;
    0x0D01 "Internal data that scripts may change" Tlv;
    0x0E01 "Internal data" Tlv;
    0x3000 "Application common internal data" Tlv;
    0x3001 "Application internal data" Tlv;
    0x7F01 "Secure channel key set information" Opaque;
    0x7FFF "Completion" Opaque;
    0x8000 "ICC master keys" Opaque;
    0x8001 "ICC master keys, second set" Opaque;
    0x8010 "Reference PIN block" Opaque;
    0x8101 "ICC private exponent" Opaque;
    0x8102 "ICC PIN-encipherment private exponent" Opaque;
    0x8103 "ICC modulus" Opaque;
    0x8104 "ICC PIN-encipherment modulus" Opaque;
    0x8105 "ICC ECC private key (XDA)" Opaque;
    0x8106 "ICC ECC private key (ODE)" Opaque;
    0x8112 "RSA private exponent (security domain)" Opaque;
    0x8113 "Secret key (security domain)" Opaque;
    0x8201 "ICC key: q^-1 mod p" Opaque;
    0x8202 "ICC key: d mod (q-1)" Opaque;
    0x8203 "ICC key: d mod (p-1)" Opaque;
    0x8204 "ICC key: prime q" Opaque;
    0x8205 "ICC key: prime p" Opaque;
    0x8301 "ICC PIN-encipherment key: q^-1 mod p" Opaque;
    0x8302 "ICC PIN-encipherment key: d mod (q-1)" Opaque;
    0x8303 "ICC PIN-encipherment key: d mod (p-1)" Opaque;
    0x8304 "ICC PIN-encipherment key: prime q" Opaque;
    0x8305 "ICC PIN-encipherment key: prime p" Opaque;
    0x8F01 "Secure channel static keys" Opaque;
    0x9000 "Key check values of the ICC master keys" KeyCheckValues;
    0x9001 "Key check values of the second set" KeyCheckValues;
    0x9010 "PIN try counter and limit" PinTries;
    0x9102 "SELECT response" Tlv;
    0x9103 "SELECT response, contactless" Tlv;
    0x9104 "GET PROCESSING OPTIONS response" Tlv;
    0x9105 "GET PROCESSING OPTIONS response, second algorithm" Tlv;
    0x9115 "GET PROCESSING OPTIONS response, contactless online" Tlv;
    0x9116 "GET PROCESSING OPTIONS response, contactless, third path" Tlv;
    0x9117 "GET PROCESSING OPTIONS response, contactless with ODA" Tlv;
    0x9200 "Issuer application data" Tlv;
    0x9203 "GET PROCESSING OPTIONS response, electronic cash" Tlv;
    0x9206 "GET PROCESSING OPTIONS response, magnetic-stripe mode" Tlv;
    0x9207 "GET PROCESSING OPTIONS response, contactless" Tlv;
    0x9F66 "CPLC personalization data" Opaque;
    0x9F67 "CPLC pre-personalization data" Opaque;
    0xA001 "Static CVC3 and IVCVC3, or vendor data" Opaque;
    0xA002 "CVC3 key, or vendor data" Opaque;
    0xB104 "GET PROCESSING OPTIONS response, contactless" Tlv;
}

/// What the grouping is, in words: `Record 1 of SFI 2` for records.
#[must_use]
pub fn describe(tag: DgiTag) -> (String, Content) {
    if let Some((_, name, content)) = ALL.iter().find(|(t, _, _)| *t == tag) {
        return ((*name).to_owned(), *content);
    }
    let [high, low] = tag.0.to_be_bytes();
    match high {
        0x01..=0x0A => (format!("Record {low} of SFI {high}"), Content::Tlv),
        0x0B..=0x1E => (format!("Record {low} of SFI {high}, proprietary"), Content::Opaque),
        _ if tag.is_reserved() => ("Reserved".to_owned(), Content::Opaque),
        _ => ("Payment system or vendor data".to_owned(), Content::Opaque),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_order_once() {
        assert!(ALL.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn words_for_records_and_ranges() {
        assert_eq!(describe(DgiTag(0x0201)).0, "Record 1 of SFI 2");
        assert_eq!(describe(DgiTag(0x9102)).0, "SELECT response");
        assert_eq!(describe(DgiTag(0x7FF1)).0, "Reserved");
        assert_eq!(describe(DgiTag(0xD002)).0, "Payment system or vendor data");
    }
}
