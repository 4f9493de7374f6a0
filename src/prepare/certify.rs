//! Certificates of each card: over the static data of each interface, signed in one call per issuer key.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::chip::ChipValues;
use super::context::{Context, FirstSerial};
use super::rejection::Rejection;
use super::work::{Card, Cards, Certified, FaceData, settle};
use crate::emv::{Record, SdaTagList, StaticData};
use crate::error::{ErrorKind, Place, Result};
use crate::issuer::oda::{
    CertificateSerial, Dac, IccKeyData, SignBlock, icc_certificate_block, pin_certificate_block, ssad_block,
};
use crate::keys::KeyIndex;
use crate::profile::layout::Face;

/// What a signature is for.
#[derive(Clone, Copy)]
enum Target {
    Icc { face: usize },
    Ssad { face: usize },
    PinKey,
}

/// Every certificate and every SSAD of the slice.
pub(super) fn certify(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    let mut jobs: BTreeMap<KeyIndex, Vec<(usize, Target, SignBlock)>> = BTreeMap::new();
    for (at, slot) in cards.iter_mut().enumerate() {
        let Ok(card) = slot else { continue };
        card.faces = card.plan.faces().map(|_| FaceData::default()).collect();
        match blocks(card, context.first_serial) {
            Ok(Some((index, serials, blocks))) => {
                card.serials = serials;
                jobs.entry(index).or_default().extend(blocks.into_iter().map(|(t, b)| (at, t, b)));
            }
            Ok(None) => {}
            Err(e) => *slot = Err(settle("certificates", e)?),
        }
    }
    for (index, jobs) in jobs {
        let messages: Vec<Vec<u8>> = jobs.iter().map(|(_, _, b)| b.block().to_vec()).collect();
        let messages = Zeroizing::new(messages);
        let signatures =
            context.module.sign_certificates(index, &messages).map_err(|e| e.at("certificates"))?;
        if signatures.len() != jobs.len() {
            return Err(ErrorKind::Internal("a signature is missing").into());
        }
        for ((at, target, block), signature) in jobs.into_iter().zip(signatures) {
            let Some(slot) = cards.get_mut(at) else { continue };
            let Ok(card) = slot else { continue };
            let Some((_, oda)) = card.plan.oda else { continue };
            // Recovered with the public key that the certificate of the CA holds: what a terminal will do.
            if let Err(e) = block.confirm(&oda.key, &signature) {
                *slot = Err(settle("certificates", e)?);
                continue;
            }
            let certified = Certified { certificate: signature, remainder: block.remainder().to_vec() };
            match target {
                Target::PinKey => card.pin_certificate = Some(certified),
                Target::Icc { face } => {
                    if let Some(slot) = card.faces.get_mut(face) {
                        slot.icc = Some(certified);
                    }
                }
                Target::Ssad { face } => {
                    if let Some(slot) = card.faces.get_mut(face) {
                        slot.ssad = Some(certified.certificate);
                    }
                }
            }
        }
    }
    Ok(())
}

type Blocks = (KeyIndex, Vec<CertificateSerial>, Vec<(Target, SignBlock)>);

/// What is to be signed for one card.
fn blocks(card: &Card<'_>, first: FirstSerial) -> Result<Option<Blocks>> {
    let Some((index, oda)) = card.plan.oda else { return Ok(None) };
    let data = &card.plan.request.data;
    let mut serials = Vec::new();
    let mut out = Vec::new();
    let mut serial = || {
        let serial = certificate_serial(first, card.plan.request.position, serials.len());
        serials.push(serial);
        serial
    };
    for (at, (application, face)) in card.plan.faces().enumerate() {
        let uses = uses(&face);
        if !uses.icc && !uses.ssad {
            continue;
        }
        let static_data =
            static_data(card, at, application, &face).at_with(|| face.interface.interface.name())?;
        if let (true, Some(key)) = (uses.icc, &card.icc_key) {
            let fields =
                IccKeyData { pan: &data.pan, expiry: data.expiry, serial: serial(), key: key.public() };
            let block = icc_certificate_block(&oda.key, &fields, static_data.as_bytes())?;
            out.push((Target::Icc { face: at }, block));
        }
        if let (true, Some(dac)) = (uses.ssad, card.plan.profile.oda.as_ref().and_then(|o| o.dac)) {
            out.push((Target::Ssad { face: at }, ssad_block(&oda.key, Dac(dac), static_data.as_bytes())?));
        }
    }
    if let Some(key) = &card.pin_key {
        let fields = IccKeyData { pan: &data.pan, expiry: data.expiry, serial: serial(), key: key.public() };
        out.push((Target::PinKey, pin_certificate_block(&oda.key, &fields)?));
    }
    Ok(Some((index, serials, out)))
}

/// Which signatures an interface's records carry.
struct Uses {
    icc: bool,
    ssad: bool,
}

fn uses(face: &Face<'_>) -> Uses {
    use crate::profile::{CardSource, ValueSpec};
    let has = |source: CardSource| {
        face.interface
            .records
            .iter()
            .flat_map(|r| &r.tags)
            .any(|t| face.spec(*t) == Some(ValueSpec::Card(source)))
    };
    Uses { icc: has(CardSource::IccCertificate), ssad: has(CardSource::SignedStaticData) }
}

/// The static data of one interface: the records that its AFL marks, whichever interface defines them.
fn static_data(card: &Card<'_>, at: usize, application: usize, face: &Face<'_>) -> Result<StaticData> {
    let signed: Vec<_> = face
        .interface
        .afl
        .records()
        .filter(|r| r.oda == crate::emv::OdaUse::Signed)
        .map(|r| (r.sfi, r.number))
        .collect();
    let mut records: Vec<Record> = Vec::new();
    for (i, (other, owner)) in card.plan.faces().enumerate() {
        if other == application {
            // A record is made once, with the values of the interface that defines it.
            let values = ChipValues { card, face: if i == at { at } else { i } };
            records.extend(owner.records_where(&values, |s, n| signed.contains(&(s, n)))?);
        }
    }
    let list = if face.signs_aip() { SdaTagList::Aip } else { SdaTagList::Absent };
    StaticData::build(&face.interface.afl, &records, face.interface.aip, list)
}

/// Serial number of a card's certificate, 24 bits: `first + 4 × position + n`, unique among 4,194,304 cards in a row.
fn certificate_serial(first: FirstSerial, position: u64, which: usize) -> CertificateSerial {
    let number = u64::from(first.number()).wrapping_add(position.wrapping_mul(4)).wrapping_add(which as u64);
    let [.., a, b, c] = number.to_be_bytes();
    CertificateSerial([a, b, c])
}

/// Whether a card that needs certificates got them all.
pub(super) fn complete(card: &Card<'_>) -> std::result::Result<(), Rejection> {
    for ((_, face), data) in card.plan.faces().zip(&card.faces) {
        let uses = uses(&face);
        if (uses.icc && data.icc.is_none()) || (uses.ssad && data.ssad.is_none()) {
            return Err(Rejection::internal("certificates: one is missing"));
        }
    }
    Ok(())
}
