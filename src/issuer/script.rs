//! Issuer scripts: secure messaging and PIN-change blocks (EMV 4.4 Book 2, 9). For verification tools and calculators.

use zeroize::Zeroizing;

use crate::bytes::pack_digits;
use crate::card::Pin;
use crate::crypto::mac::{Padding, retail_mac};
use crate::crypto::tdes::{TdesKey, xor};
use crate::error::{ErrorKind, Result};
use crate::secret::Secret;

/// What a script command is authenticated with besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptContext {
    /// Application transaction counter and application cryptogram between header and data (Visa, CCD).
    Transaction {
        /// Application transaction counter.
        atc: [u8; 2],
        /// Application cryptogram.
        cryptogram: [u8; 8],
    },
    /// The command alone.
    Command,
}

/// The input of a script MAC: header (CLA INS P1 P2 Lc), context, data (enciphered where the command says so).
#[must_use]
pub fn mac_input(header: [u8; 5], context: ScriptContext, data: &[u8]) -> Vec<u8> {
    let mut out = header.to_vec();
    if let ScriptContext::Transaction { atc, cryptogram } = context {
        out.extend_from_slice(&atc);
        out.extend_from_slice(&cryptogram);
    }
    out.extend_from_slice(data);
    out
}

/// The MAC of a script command: MAC algorithm 3, padding method 2, leftmost `len` bytes.
///
/// # Errors
/// [`ErrorKind::Length`] unless 4 to 8 bytes are wanted.
pub fn mac(
    sk_smi: &TdesKey,
    header: [u8; 5],
    context: ScriptContext,
    data: &[u8],
    len: usize,
) -> Result<Vec<u8>> {
    if !(4..=8).contains(&len) {
        return Err(ErrorKind::Length { expected: "4 to 8", found: len, unit: "bytes" }.into());
    }
    let mac = retail_mac(sk_smi, [0; 8], Padding::Bit, &mac_input(header, context, data));
    Ok(mac.into_iter().take(len).collect())
}

/// How command data are padded and enciphered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataEncipherment {
    /// ECB over whole blocks as they are: a PIN block of eight bytes.
    Plain,
    /// A length byte before the data, padding method 2, ECB (Visa).
    Visa,
    /// Padding method 2 only for data that are not whole blocks, CBC (Mastercard).
    Mastercard,
    /// Padding method 2 always, CBC (CCD).
    Ccd,
}

/// Command data under the secure messaging key for confidentiality.
///
/// # Errors
/// [`ErrorKind::Length`] for data that the encipherment does not take.
pub fn encipher(sk_smc: &TdesKey, how: DataEncipherment, data: &[u8]) -> Result<Vec<u8>> {
    let plain = Zeroizing::new(match how {
        DataEncipherment::Plain => data.to_vec(),
        DataEncipherment::Visa => {
            let found = data.len();
            let len = u8::try_from(found).map_err(|_| ErrorKind::Length {
                expected: "at most 255",
                found,
                unit: "bytes",
            })?;
            let with_length = Secret::concat(&[&[len], data]);
            Padding::Bit.pad(with_length.expose(), 8)
        }
        DataEncipherment::Mastercard if data.len().is_multiple_of(8) => data.to_vec(),
        DataEncipherment::Mastercard | DataEncipherment::Ccd => Padding::Bit.pad(data, 8),
    });
    let mut out = plain.to_vec();
    match how {
        DataEncipherment::Plain | DataEncipherment::Visa => sk_smc.encrypt_ecb(&mut out)?,
        DataEncipherment::Mastercard | DataEncipherment::Ccd => sk_smc.encrypt_cbc([0; 8], &mut out)?,
    }
    Ok(out)
}

/// Visa's PIN-change block: `0 L P…P F…F`, exclusive-or four bytes of the card's key for application cryptograms (the
/// right half of its left part), exclusive-or the current PIN padded with zeros where the command carries it.
///
/// Other schemes send a format 2 block: [`pin_block::clear_block`](super::pin_block::clear_block).
///
/// # Errors
/// [`ErrorKind::Length`] unless the ICC master key is 16 bytes.
pub fn visa_pin_change_block(
    icc_mk_ac: &Secret,
    new: &Pin,
    current: Option<&Pin>,
) -> Result<Zeroizing<[u8; 8]>> {
    let found = icc_mk_ac.len();
    let [_, _, _, _, a, b, c, d, ..] = *icc_mk_ac.expose() else {
        return Err(ErrorKind::Length { expected: "16", found, unit: "bytes" }.into());
    };
    if found != 16 {
        return Err(ErrorKind::Length { expected: "16", found, unit: "bytes" }.into());
    }
    let len = u8::try_from(new.len()).unwrap_or(0);
    let first = packed(std::iter::once(&0).chain([&len]).chain(new.expose()), 0xF);
    let mut block = Zeroizing::new(xor(*first, [0, 0, 0, 0, a, b, c, d]));
    if let Some(current) = current {
        *block = xor(*block, *packed(current.expose().iter(), 0));
    }
    Ok(block)
}

fn packed<'a>(digits: impl Iterator<Item = &'a u8>, pad: u8) -> Zeroizing<[u8; 8]> {
    let mut nibbles = Zeroizing::new([pad; 16]);
    for (slot, d) in nibbles.iter_mut().zip(digits) {
        *slot = *d;
    }
    let bytes = Zeroizing::new(pack_digits(nibbles.as_slice(), pad));
    let mut out = Zeroizing::new([0; 8]);
    for (slot, b) in out.iter_mut().zip(bytes.iter()) {
        *slot = *b;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";

    fn key() -> TdesKey {
        TdesKey::from_bytes(&hex::decode(KEY).unwrap()).unwrap()
    }

    // The three values are those of pyemv's documentation (pyemv/sm.py).
    #[test]
    fn a_published_script_mac() {
        let context = ScriptContext::Transaction {
            atc: [0xFF, 0xFF],
            cryptogram: [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56],
        };
        let got = mac(&key(), [0x84, 0x24, 0, 0, 8], context, &[], 8).unwrap();
        assert_eq!(hex::encode_upper(&got), "E07B8DF1B4184282");
        assert_eq!(mac(&key(), [0x84, 0x24, 0, 0, 8], context, &[], 4).unwrap(), got[..4]);
        assert!(mac(&key(), [0; 5], context, &[], 3).is_err());
        assert!(mac(&key(), [0; 5], context, &[], 9).is_err());
        assert_eq!(mac_input([1; 5], ScriptContext::Command, &[2]), [1, 1, 1, 1, 1, 2]);
    }

    #[test]
    fn published_command_data() {
        let block = hex::decode("241234FFFFFFFFFF").unwrap();
        for how in [DataEncipherment::Mastercard, DataEncipherment::Plain] {
            let got = encipher(&key(), how, &block).unwrap();
            assert_eq!(hex::encode_upper(got), "9859240AE52820C3");
        }
        assert_eq!(encipher(&key(), DataEncipherment::Visa, &block).unwrap().len(), 16);
        assert_eq!(encipher(&key(), DataEncipherment::Ccd, &block).unwrap().len(), 16);
        assert!(encipher(&key(), DataEncipherment::Plain, &[1; 9]).is_err());
    }

    #[test]
    fn a_published_pin_change_block() {
        let mk = Secret::new(hex::decode(KEY).unwrap());
        let new = Pin::from_digits(&[1, 2, 3, 4]).unwrap();
        let block = visa_pin_change_block(&mk, &new, None).unwrap();
        assert_eq!(hex::encode_upper(*block), "041234FF76543210");
        let with_current = visa_pin_change_block(&mk, &new, Some(&new)).unwrap();
        assert_eq!(hex::encode_upper(*with_current), "162634FF76543210");
        assert!(visa_pin_change_block(&Secret::new(vec![1; 24]), &new, None).is_err());
        assert!(visa_pin_change_block(&Secret::new(vec![1; 7]), &new, None).is_err());
    }
}
