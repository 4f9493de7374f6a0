//! Issuer scripts: secure messaging and PIN-change blocks (EMV 4.4 Book 2, 9). For verification tools and calculators.

use zeroize::Zeroizing;

use crate::bytes::pack_digits;
use crate::card::Pin;
use crate::crypto::aes::AesKey;
use crate::crypto::mac::{Padding, cmac_aes, retail_mac};
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
    leftmost(&retail_mac(sk_smi, [0; 8], Padding::Bit, &mac_input(header, context, data)), len)
}

/// The MAC of a script command under AES (CCD, cryptogram version 6): CMAC, leftmost `len` bytes (EMV 4.4 Book 2, 9.2.3
/// and A1.2.2).
///
/// # Errors
/// [`ErrorKind::Length`] unless 4 to 8 bytes are wanted and the key is 16, 24 or 32 bytes.
pub fn mac_aes(
    sk_smi: &Secret,
    header: [u8; 5],
    context: ScriptContext,
    data: &[u8],
    len: usize,
) -> Result<Vec<u8>> {
    leftmost(&cmac_aes(sk_smi, &[&mac_input(header, context, data)])?, len)
}

fn leftmost(mac: &[u8], len: usize) -> Result<Vec<u8>> {
    if !(4..=8).contains(&len) {
        return Err(ErrorKind::Length { expected: "4 to 8", found: len, unit: "bytes" }.into());
    }
    Ok(mac.iter().copied().take(len).collect())
}

/// The MAC of a command in secure messaging format 1, that of the common core definitions (EMV 4.4 Book 2, 9.2.3 and
/// D2): over the header CLA INS P1 P2, padded (method 2), and the data object (`81 L data` in clear, `87 L 01 …`
/// enciphered), padded likewise where there is one; leftmost `len` bytes.
///
/// `chain` is the whole MAC of the command before it in the same script; nothing for the first.
///
/// # Errors
/// [`ErrorKind::Length`] unless 4 to 8 bytes are wanted.
pub fn mac_format_1(
    sk_smi: &TdesKey,
    header: [u8; 4],
    object: &[u8],
    chain: Option<[u8; 8]>,
    len: usize,
) -> Result<Vec<u8>> {
    let input = format_1_input(header, object, chain.as_ref().map_or(&[], |c| c.as_slice()), 8);
    leftmost(&retail_mac(sk_smi, [0; 8], Padding::Zeros, &input), len)
}

/// As [`mac_format_1`] under AES: blocks of sixteen bytes, CMAC.
///
/// # Errors
/// [`ErrorKind::Length`] unless 4 to 8 bytes are wanted and the key is 16, 24 or 32 bytes.
pub fn mac_format_1_aes(
    sk_smi: &Secret,
    header: [u8; 4],
    object: &[u8],
    chain: Option<[u8; 16]>,
    len: usize,
) -> Result<Vec<u8>> {
    let input = format_1_input(header, object, chain.as_ref().map_or(&[], |c| c.as_slice()), 16);
    leftmost(&cmac_aes(sk_smi, &[&input])?, len)
}

/// Whole blocks: nothing is left to pad for the MAC itself.
fn format_1_input(header: [u8; 4], object: &[u8], chain: &[u8], block: usize) -> Vec<u8> {
    let mut out = chain.to_vec();
    out.extend_from_slice(&Padding::Bit.pad(&header, block));
    if !object.is_empty() {
        out.extend_from_slice(&Padding::Bit.pad(object, block));
    }
    out
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

/// Command data under an AES secure messaging key for confidentiality (CCD, cryptogram version 6): padding method 2
/// always, CBC with an all-zero IV (EMV 4.4 Book 2, A1.1 and D2.2).
///
/// # Errors
/// [`ErrorKind::Length`] unless the key is 16, 24 or 32 bytes.
pub fn encipher_aes(sk_smc: &Secret, data: &[u8]) -> Result<Vec<u8>> {
    let key = AesKey::new(sk_smc)?;
    let mut out = Padding::Bit.pad(data, 16);
    key.encrypt_cbc([0; 16], &mut out)?;
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
    use crate::crypto::mac::strip_bit_padding;
    use proptest::prelude::*;

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

    #[test]
    fn wrong_lengths_under_aes_are_refused() {
        let key = Secret::new(vec![7; 16]);
        for len in [3, 9] {
            assert!(mac_aes(&key, [0; 5], ScriptContext::Command, &[], len).is_err());
            assert!(mac_format_1_aes(&key, [0; 4], &[], None, len).is_err());
        }
        assert!(encipher_aes(&Secret::new(vec![7; 17]), &[1]).is_err());
        assert!(mac_aes(&Secret::new(vec![7; 17]), [0; 5], ScriptContext::Command, &[], 8).is_err());
    }

    proptest! {
        #[test]
        fn deciphering_gives_the_data_back(k: [u8; 16], data in prop::collection::vec(any::<u8>(), 0..40)) {
            let (tdes, secret) = (TdesKey::from_bytes(&k).unwrap(), Secret::copy_of(&k));
            let mut visa = encipher(&tdes, DataEncipherment::Visa, &data).unwrap();
            tdes.decrypt_ecb(&mut visa).unwrap();
            let visa = strip_bit_padding(&visa).unwrap();
            prop_assert_eq!((usize::from(visa[0]), &visa[1..]), (data.len(), data.as_slice()));
            let mut ccd = encipher(&tdes, DataEncipherment::Ccd, &data).unwrap();
            tdes.decrypt_cbc([0; 8], &mut ccd).unwrap();
            prop_assert_eq!(strip_bit_padding(&ccd).unwrap(), &data);
            let mut aes = encipher_aes(&secret, &data).unwrap();
            AesKey::new(&secret).unwrap().decrypt_cbc([0; 16], &mut aes).unwrap();
            prop_assert_eq!(strip_bit_padding(&aes).unwrap(), &data);
        }

        #[test]
        fn every_part_enters_a_mac(k: [u8; 16], header: [u8; 5], atc: [u8; 2], cryptogram: [u8; 8],
                                   data in prop::collection::vec(any::<u8>(), 0..30), bit in 0_usize..120) {
            let key = TdesKey::from_bytes(&k).unwrap();
            let of = |header, atc, cryptogram| {
                mac(&key, header, ScriptContext::Transaction { atc, cryptogram }, &data, 8).unwrap()
            };
            let mut all = [header.as_slice(), &atc, &cryptogram].concat();
            all[bit / 8] ^= 1 << (bit % 8);
            let (h, rest) = all.split_at(5);
            let (a, c) = rest.split_at(2);
            prop_assert_ne!(of(header, atc, cryptogram), of(h.try_into().unwrap(), a.try_into().unwrap(), c.try_into().unwrap()));
        }

        #[test]
        fn the_chain_and_the_object_enter_format_1(k: [u8; 16], header: [u8; 4], chain: [u8; 8], object in prop::collection::vec(any::<u8>(), 1..30)) {
            let key = TdesKey::from_bytes(&k).unwrap();
            let whole = mac_format_1(&key, header, &object, None, 8).unwrap();
            prop_assert_eq!(&mac_format_1(&key, header, &object, None, 4).unwrap(), &whole[..4]);
            prop_assert_ne!(&whole, &mac_format_1(&key, header, &object, Some(chain), 8).unwrap());
            prop_assert_ne!(&whole, &mac_format_1(&key, header, &[], None, 8).unwrap());
        }
    }
}
