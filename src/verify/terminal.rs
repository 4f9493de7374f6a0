//! A transaction between a virtual card, a terminal and the issuer's host: the card signs and computes with the keys that
//! its DGIs carry, the terminal trusts only certificates, the host only its master keys.

use crate::crypto::hash::sha1;
use crate::crypto::mac::{Padding, cmac_aes, retail_mac};
use crate::crypto::tdes::TdesKey;
use crate::secret::Secret;

use super::checks::Learned;
use super::checks::oda::PathKeys;
use super::chip::{Chip, Path};
use super::crt::Private;
use super::derive::odd;
use super::oda::{Certified, dynamic_signature};
use super::report::{CheckName, Findings};
use super::tlv;

/// Application transaction counter of the card's first transaction.
const ATC: [u8; 2] = [0, 1];
/// ICC dynamic number of the virtual card.
const DYNAMIC_NUMBER: [u8; 8] = [0x1D, 0xE2, 0xA3, 0x54, 0xC5, 0x76, 0x97, 0xB8];

/// What the terminal puts into a data object list.
pub(super) fn terminal_data(list: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for (tag, len) in tlv::dol(list)? {
        let value: &[u8] = match tag {
            0x9F02 => &[0, 0, 0, 0, 0x12, 0x34],
            0x9F1A | 0x5F2A => &[0x09, 0x78],
            0x9A => &[0x26, 0x05, 0x01],
            0x9F37 => &[0xA1, 0xB2, 0xC3, 0xD4],
            0x9F66 => &[0x36, 0, 0x40, 0],
            _ => &[],
        };
        let mut value = value.to_vec();
        value.resize(usize::from(len), 0);
        out.extend(value);
    }
    Some(out)
}

/// One transaction per path, as far as keys are known.
pub(super) fn transaction(chip: &Chip<'_>, paths: &[PathKeys], learned: &Learned, found: &mut Findings) {
    const NAME: CheckName = CheckName::Transaction;
    for (path, keys) in chip.paths.iter().zip(paths) {
        let command = pdol(chip, path).map_or(Some(Vec::new()), terminal_data);
        let Some(command) = command.filter(|data| data.len() <= 252) else {
            found.fail(NAME, "the PDOL asks for more than GET PROCESSING OPTIONS carries");
            continue;
        };
        let dynamic = path.aip.first().is_some_and(|bits| bits & 0x21 != 0);
        if let (true, Some(icc), Some(private)) = (dynamic, &keys.icc, &learned.private) {
            found.take(NAME, sign(path, icc, private));
            if path.aip.first().is_some_and(|bits| bits & 0x01 != 0) {
                found.take(NAME, sign_combined(path, icc, private, &command));
            }
        }
        let card_key = learned.card_keys.iter().find(|set| set.dgi == 0x8000);
        if let (Some(set), Some(host), Some(cdol)) = (card_key, &learned.host_key, path.get(0x8C)) {
            let Some(data) = terminal_data(cdol) else { continue };
            let input = [data.as_slice(), &path.aip, &ATC].concat();
            let arqc = set.keys.first().and_then(|key| cryptogram(key, set.aes, ATC, &input));
            let right = arqc.is_some() && arqc == cryptogram(host, set.aes, ATC, &input);
            found.require(NAME, right, "the host does not accept the card's cryptogram");
        }
    }
}

/// The PDOL of the interface's SELECT response.
fn pdol<'a>(chip: &Chip<'a>, path: &Path<'_>) -> Option<&'a [u8]> {
    let value = match path.interface {
        super::line::Interface::Contact => chip.clear(0x9102),
        super::line::Interface::Contactless => chip.clear(0x9103).or_else(|| chip.clear(0x9102)),
    }?;
    let inner = match tlv::only(value, 0xA5) {
        Some(inner) => inner,
        None => tlv::objects(tlv::only(value, 0x6F)?)?.into_iter().find(|o| o.tag == 0xA5)?.value,
    };
    Some(tlv::objects(inner)?.into_iter().find(|o| o.tag == 0x9F38)?.value)
}

/// The card's block of format 05 (Book 2, tables 17 and 18), signed and checked.
fn exchange(
    icc: &Certified,
    private: &Private,
    dynamic_data: &[u8],
    terminal: &[u8],
) -> Result<Vec<u8>, &'static str> {
    let len = icc.key.len();
    let mut block = vec![0x6A, 5, 1, u8::try_from(dynamic_data.len()).unwrap_or(0)];
    block.extend_from_slice(dynamic_data);
    let Some(end) = len.checked_sub(21).filter(|end| *end >= block.len()) else {
        return Err("the ICC key is too short for a dynamic signature");
    };
    block.resize(end, 0xBB);
    let hash = sha1(&[block.get(1..).unwrap_or_default(), terminal]);
    block.extend(hash);
    block.push(0xBC);
    let sdad = private.sign(&block, len).ok_or("the card cannot sign with its key")?;
    dynamic_signature(&icc.key, &sdad, terminal)
}

/// DDA (Book 2, 6.5).
fn sign(path: &Path<'_>, icc: &Certified, private: &Private) -> Result<(), &'static str> {
    let ddol = path.get(0x9F49).unwrap_or(&[0x9F, 0x37, 4]);
    let data = terminal_data(ddol).ok_or("the DDOL is not tags and lengths")?;
    let dynamic = [&[8], DYNAMIC_NUMBER.as_slice()].concat();
    let back = exchange(icc, private, &dynamic, &data)?;
    if back == dynamic { Ok(()) } else { Err("the dynamic data differs") }
}

/// CDA (Book 2, 6.6): the signature holds CID, cryptogram and a hash over the transaction data.
fn sign_combined(
    path: &Path<'_>,
    icc: &Certified,
    private: &Private,
    pdol: &[u8],
) -> Result<(), &'static str> {
    let cdol = path.get(0x8C).ok_or("CDA without CDOL1")?;
    let cdol = terminal_data(cdol).ok_or("CDOL1 is not tags and lengths")?;
    let hash = sha1(&[pdol, &cdol, &[0x9F, 0x27, 1, 0x80, 0x9F, 0x36, 2], &ATC]);
    let dynamic = [&[8], DYNAMIC_NUMBER.as_slice(), &[0x80], &[0x5C; 8], &hash].concat();
    let back = exchange(icc, private, &dynamic, &[0xA1, 0xB2, 0xC3, 0xD4])?;
    if back == dynamic { Ok(()) } else { Err("the dynamic data differs") }
}

/// An application cryptogram with the common session key (Book 2, 8.1 and A1.3).
pub(super) fn cryptogram(key: &Secret, aes: bool, atc: [u8; 2], input: &[u8]) -> Option<[u8; 8]> {
    let session = session_key(key, aes, atc)?;
    if aes {
        return cmac_aes(&session, &[input]).ok()?.first_chunk::<8>().copied();
    }
    Some(retail_mac(&TdesKey::new(&session).ok()?, [0; 8], Padding::Bit, input))
}

fn session_key(key: &Secret, aes: bool, atc: [u8; 2]) -> Option<Secret> {
    if aes {
        let cipher = crate::crypto::aes::AesKey::new(key).ok()?;
        let with = |third: u8| {
            let mut block = [0; 16];
            let [a, b, c, ..] = &mut block;
            [*a, *b] = atc;
            *c = third;
            cipher.encrypt_block(block)
        };
        if key.len() == 16 {
            return Some(Secret::copy_of(&with(0)));
        }
        let both = [with(0xF0), with(0x0F)].concat();
        return both.get(..key.len()).map(Secret::copy_of);
    }
    let cipher = TdesKey::new(key).ok()?;
    let [high, low] = atc;
    let halves = [0xF0, 0x0F].map(|mark| cipher.encrypt_block([high, low, mark, 0, 0, 0, 0, 0]).map(odd));
    Some(Secret::copy_of(&halves.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_common_session_keys() {
        let secret = |text: &str| Secret::new(hex::decode(text).unwrap());
        // pyemv 1.5.0 documentation (derive_common_sk).
        let key = secret("0123456789ABCDEFFEDCBA9876543210");
        let session = secret("E9FB384AF807B940FEDCEA613461B0C4");
        assert_eq!(session_key(&key, false, [0, 0x1C]), Some(session));
        // cfpp, inputs of c/test/test_emv.c.
        let key = secret("3AD95FE6AD75062DFCF19D834504AC237A49822292257A16F2B76168B4E2B574");
        let session = secret("2D73A588935ADE29B5EAF15A64C15EA90A7B1A079B67D44B7CC0007D65E75BAA");
        assert_eq!(session_key(&key, true, [0, 1]), Some(session));
        let key = secret("3AD95FE6AD75062DFCF19D834504AC23");
        assert_eq!(session_key(&key, true, [0, 1]), Some(secret("2AAAA9CF4708A113C3E7F06B429CC35B")));
    }

    #[test]
    fn lists_are_filled_to_length() {
        let data = terminal_data(&[0x9F, 0x37, 4, 0x95, 5, 0x9F, 0x02, 6]).unwrap();
        assert_eq!(hex::encode_upper(data), "A1B2C3D40000000000000000001234");
    }
}
