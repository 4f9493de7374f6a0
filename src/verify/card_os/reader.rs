//! A terminal and the issuer's host that meet a chip over commands: SELECT, GET PROCESSING OPTIONS, READ RECORD, offline data
//! authentication with INTERNAL AUTHENTICATE, and the first GENERATE AC. The final check of a personalized card.

use std::collections::BTreeMap;

use super::command::tlv as object;
use crate::secret::Secret;
use crate::verify::chip::{afl_entries, gpo_response};
use crate::verify::derive::{icc_master_key, nibbles};
use crate::verify::keys::{Derivation, Keys};
use crate::verify::oda::{Certified, Parts, dynamic_signature, icc_key, issuer_key};
use crate::verify::terminal::{cryptogram, terminal_data};
use crate::verify::tlv;

/// What a transaction showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Records that the AFL named and the card gave.
    pub records: usize,
    /// The certificates led from the CA key to the ICC key. `None`: the path has none, or no CA key is known.
    pub certified: Option<()>,
    /// The card signed the terminal's number with the certified key. `None`: the AIP does not offer DDA.
    pub signed: Option<()>,
    /// The host accepted the application cryptogram. `None`: the host has no issuer master key.
    pub accepted: Option<()>,
}

type Objects = BTreeMap<u32, Vec<u8>>;

/// One transaction with an application: `send` takes a command APDU and gives the response with its status word. Certificates
/// are checked with the CA keys of `keys`, the cryptogram with every `imk-ac` in it and every derivation option.
///
/// # Errors
/// What the terminal or the host did not accept.
///
/// ```
/// use emv_dataprep::verify::Keys;
/// use emv_dataprep::verify::card_os::transact;
/// let mut no_card = |_: &[u8]| vec![0x6A, 0x82];
/// let outcome = transact(&[0xA0, 0, 0, 0, 3], &Keys::default(), &mut no_card);
/// assert_eq!(outcome, Err("SELECT is refused"));
/// ```
pub fn transact(
    aid: &[u8],
    keys: &Keys,
    send: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> Result<Transaction, &'static str> {
    let fci = done(send(&command([0x00, 0xA4, 0x04, 0x00], aid)?)).ok_or("SELECT is refused")?;
    let proprietary = super::applet::proprietary(&fci).and_then(tlv::objects).ok_or("the FCI has no A5")?;
    let pdol = match proprietary.iter().find(|o| o.tag == 0x9F38) {
        Some(list) => terminal_data(list.value).ok_or("the PDOL is not tags and lengths")?,
        None => Vec::new(),
    };
    let options = send(&command([0x80, 0xA8, 0, 0], &object(0x83, &pdol))?);
    let options = done(options).ok_or("GET PROCESSING OPTIONS is refused")?;
    let (aip, afl, rest) = gpo_response(0x9104, &options).ok_or("the GPO response has no AIP")?;
    let mut objects: Objects = rest.into_iter().map(|o| (o.tag, o.value.to_vec())).collect();
    let (records, static_data) = read(afl, aip, &mut objects, send)?;
    let icc = certified(aid, keys, &objects, &static_data)?;
    let signed = sign(aip, &objects, icc.as_ref(), send)?;
    let accepted = authorise(aip, &pdol, &objects, keys, send)?;
    Ok(Transaction { records, certified: icc.map(drop), signed, accepted })
}

/// A command with data and Le.
fn command(header: [u8; 4], data: &[u8]) -> Result<Vec<u8>, &'static str> {
    let lc = u8::try_from(data.len()).map_err(|_| "a command is too long")?;
    Ok([&header, &[lc][..], data, &[0]].concat())
}

/// The data of a response whose status word is 9000.
fn done(response: Vec<u8>) -> Option<Vec<u8>> {
    match response.split_last_chunk::<2>() {
        Some((data, [0x90, 0])) => Some(data.to_vec()),
        _ => None,
    }
}

/// The records of the AFL; gives their number and the static data to be authenticated.
fn read(
    afl: &[u8],
    aip: [u8; 2],
    objects: &mut Objects,
    send: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> Result<(usize, Vec<u8>), &'static str> {
    let (mut records, mut static_data) = (0_usize, Vec::new());
    for entry in afl_entries(afl)? {
        for number in entry.first..=entry.last {
            let record = send(&[0x00, 0xB2, number, entry.sfi << 3 | 4, 0x00]);
            let record = done(record).ok_or("a record of the AFL is not there")?;
            let inner = tlv::only(&record, 0x70).ok_or("a record is not one template 70")?;
            records = records.saturating_add(1);
            if number.checked_sub(entry.first).is_some_and(|n| n < entry.signed) {
                static_data.extend_from_slice(if entry.sfi > 10 { &record } else { inner });
            }
            for o in tlv::objects(inner).ok_or("a record is not BER-TLV")? {
                objects.insert(o.tag, o.value.to_vec());
            }
        }
    }
    if objects.get(&0x9F4A).is_some_and(|list| list == &[0x82]) {
        static_data.extend(aip);
    }
    Ok((records, static_data))
}

fn pan(objects: &Objects) -> Option<Vec<u8>> {
    let from = |tag, end: u8| {
        let digits = nibbles(objects.get(&tag)?);
        Some(digits.into_iter().take_while(|n| *n < end).collect::<Vec<u8>>())
    };
    from(0x5A, 10).or_else(|| from(0x57, 10))
}

/// The ICC key, from the CA key over the issuer's certificate.
fn certified(
    aid: &[u8],
    keys: &Keys,
    objects: &Objects,
    static_data: &[u8],
) -> Result<Option<Certified>, &'static str> {
    let get = |tag: u32| objects.get(&tag).map(Vec::as_slice);
    let parts = |certificate, remainder, exponent| {
        Some(Parts { certificate: get(certificate)?, remainder: get(remainder), exponent: get(exponent)? })
    };
    let (Some(issuer), Some(icc)) = (parts(0x90, 0x92, 0x9F32), parts(0x9F46, 0x9F48, 0x9F47)) else {
        return Ok(None);
    };
    if !keys.has_ca() {
        return Ok(None);
    }
    let Some([index]) = get(0x8F) else { return Err("the CA key index 8F is missing") };
    let pan = pan(objects).ok_or("the card has no PAN")?;
    let rid = aid.get(..5).unwrap_or_default();
    let mut outcome = Err("no CA key of this RID and index is known");
    for ca in keys.ca_keys(rid, *index) {
        outcome = issuer_key(ca, issuer, &pan);
        if outcome.is_ok() {
            break;
        }
    }
    icc_key(&outcome?.key, icc, static_data, &pan).map(Some)
}

/// DDA with INTERNAL AUTHENTICATE.
fn sign(
    aip: [u8; 2],
    objects: &Objects,
    icc: Option<&Certified>,
    send: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> Result<Option<()>, &'static str> {
    let [bits, _] = aip;
    // A contactless path without CDOL signs in its own way (fDDA), which scheme documents define.
    let (Some(icc), true, true) = (icc, bits & 0x20 != 0, objects.contains_key(&0x8C)) else {
        return Ok(None);
    };
    let ddol = objects.get(&0x9F49).map_or(&[0x9F, 0x37, 4][..], Vec::as_slice);
    let data = terminal_data(ddol).ok_or("the DDOL is not tags and lengths")?;
    let response =
        done(send(&command([0x00, 0x88, 0, 0], &data)?)).ok_or("INTERNAL AUTHENTICATE is refused")?;
    let sdad = tlv::only(&response, 0x80).ok_or("the signature is not in template 80")?;
    dynamic_signature(&icc.key, sdad, &data).map(|_| Some(()))
}

/// The application cryptogram before the host: from GENERATE AC, or from the GPO response where all is in it.
fn authorise(
    aip: [u8; 2],
    pdol: &[u8],
    objects: &Objects,
    keys: &Keys,
    send: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) -> Result<Option<()>, &'static str> {
    let (data, atc, ac): (Vec<u8>, [u8; 2], [u8; 8]) = if let Some(cdol) = objects.get(&0x8C) {
        let data = terminal_data(cdol).ok_or("CDOL1 is not tags and lengths")?;
        let response = send(&command([0x80, 0xAE, 0x80, 0], &data)?);
        let response = done(response).ok_or("GENERATE AC is refused")?;
        match tlv::only(&response, 0x80) {
            Some([0x80, high, low, rest @ ..]) => {
                let ac = rest.first_chunk::<8>().ok_or("the cryptogram is too short")?;
                (data, [*high, *low], *ac)
            }
            _ => return Err("the card does not ask to go online"),
        }
    } else {
        let get = |tag: u32| objects.get(&tag).map(Vec::as_slice);
        let (Some(ac), Some(atc)) = (get(0x9F26), get(0x9F36)) else { return Ok(None) };
        let ac = ac.try_into().map_err(|_| "the cryptogram is not eight bytes")?;
        (pdol.to_vec(), atc.try_into().map_err(|_| "the ATC is not two bytes")?, ac)
    };
    let masters: Vec<(u8, &Secret)> = keys.candidates("imk-ac", None);
    if masters.is_empty() {
        return Ok(None);
    }
    let pan = pan(objects).ok_or("the card has no PAN")?;
    let psn = objects.get(&0x5F34).map_or_else(|| vec![0, 0], |psn| nibbles(psn));
    let input = [&data[..], &aip, &atc].concat();
    let right = masters.into_iter().any(|(_, imk)| {
        [Derivation::OptionA, Derivation::OptionB, Derivation::OptionC].into_iter().any(|option| {
            let key = icc_master_key(option, imk, &pan, &psn);
            let made = key.and_then(|key| cryptogram(&key, option == Derivation::OptionC, atc, &input));
            made.is_some_and(|made| crate::crypto::mac::equal(&made, &ac))
        })
    });
    if right { Ok(Some(())) } else { Err("the host does not accept the card's cryptogram") }
}
