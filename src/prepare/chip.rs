//! The chip: each card's values for the profile's layout, and its DGIs.

use zeroize::Zeroizing;

use super::card_keys::contactless_tracks;
use super::rejection::Rejection;
use super::track;
use super::values::chip_tokens;
use super::work::Card;
use crate::crypto::rsa::RsaPrivate;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::perso::{DgiSet, DgiTag, DgiValue};
use crate::profile::layout::{self, Face};
use crate::profile::{
    Application, ApplicationKind, CardSource, CardValues, DgiContent, Discretionary, Interface,
    PaymentApplication, RsaPart,
};

/// One card's values as one face sees them.
pub(super) struct ChipValues<'c, 'a> {
    pub(super) card: &'c Card<'a>,
    /// Position among [`super::plan::Plan::faces`].
    pub(super) face: usize,
}

impl CardValues for ChipValues<'_, '_> {
    fn card_value(&self, source: CardSource) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let card = self.card;
        let data = &card.plan.request.data;
        let product = card.plan.product;
        let text = |t: &super::request::SensitiveText| t.expose().as_bytes().to_vec();
        let certificate = card.plan.oda.map(|(_, c)| c);
        let face = card.faces.get(self.face);
        let icc = face.and_then(|f| f.icc.as_ref());
        let remainder = |r: &[u8]| (!r.is_empty()).then(|| r.to_vec());
        let value: Option<Vec<u8>> = match source {
            CardSource::Pan => return Ok(Some(data.pan.to_cn())),
            CardSource::ExpirationDate => Some(data.expiry.last_day().bcd().to_vec()),
            CardSource::EffectiveDate => Some(data.effective_date.unwrap_or(card.today).bcd().to_vec()),
            CardSource::SequenceNumber => Some(vec![data.psn.unwrap_or_default().bcd()]),
            CardSource::Name => card.encoded_name.as_ref().map(text),
            CardSource::ServiceCode => Some(product.service_code.to_tag_value().to_vec()),
            CardSource::Track2Equivalent => {
                let rest = self.filled(product.track2.as_ref())?;
                Some(track::track2_equivalent(data, product, &rest))
            }
            CardSource::Track1Discretionary => {
                Some(self.filled(product.track1.as_ref())?.as_bytes().to_vec())
            }
            CardSource::Track2Discretionary => {
                let rest = self.filled(product.track2.as_ref())?;
                let mut digits = Zeroizing::new(Vec::with_capacity(rest.len()));
                digits.extend(rest.bytes().map(|b| b.wrapping_sub(b'0')));
                Some(crate::bytes::pack_digits(&digits, 0xF))
            }
            CardSource::PaymentAccountReference => data.payment_account_reference.as_ref().map(text),
            CardSource::CaKeyIndex => certificate.map(|c| vec![c.ca_index]),
            CardSource::IssuerCertificate => certificate.map(|c| c.certificate.certificate.clone()),
            CardSource::IssuerRemainder => certificate.and_then(|c| remainder(&c.certificate.remainder)),
            CardSource::IssuerExponent => certificate.map(|c| c.certificate.exponent.clone()),
            CardSource::SignedStaticData => face.and_then(|f| f.ssad.clone()),
            CardSource::IccCertificate => icc.map(|c| c.certificate.clone()),
            CardSource::IccRemainder => self.any_icc().and_then(|c| remainder(&c.remainder)),
            CardSource::IccExponent => card.icc_key.as_ref().map(|k| k.public().exponent().to_vec()),
            CardSource::PinCertificate => card.pin_certificate.as_ref().map(|c| c.certificate.clone()),
            CardSource::PinRemainder => card.pin_certificate.as_ref().and_then(|c| remainder(&c.remainder)),
            CardSource::PinExponent => card.pin_key.as_ref().map(|k| k.public().exponent().to_vec()),
            CardSource::ContactlessTrack1 => return Ok(contactless_tracks(card).map(|t| t.0)),
            CardSource::ContactlessTrack2 => return Ok(contactless_tracks(card).map(|t| t.1)),
            CardSource::IvCvc3Track1 => card.ivcvc3.map(|v| v.0.to_vec()),
            CardSource::IvCvc3Track2 => card.ivcvc3.map(|v| v.1.to_vec()),
            CardSource::Aip | CardSource::Afl => None,
        };
        Ok(value.map(Zeroizing::new))
    }

    fn dki(&self) -> u8 {
        self.card.plan.dki
    }
}

impl ChipValues<'_, '_> {
    /// The pattern with the iCVV; an absent pattern gives nothing.
    fn filled(&self, pattern: Option<&Discretionary>) -> Result<Zeroizing<String>> {
        match pattern {
            None => Ok(Zeroizing::default()),
            Some(pattern) => track::discretionary(pattern, chip_tokens(self.card))
                .ok_or_else(|| ErrorKind::Missing("a value of the discretionary data").into()),
        }
    }

    /// The remainder belongs to the key, so every interface's certificate has the same.
    fn any_icc(&self) -> Option<&super::work::Certified> {
        self.card.faces.iter().find_map(|f| f.icc.as_ref())
    }
}

/// The DGIs of every application, in the profile's order, secrets still to be enciphered.
pub(super) fn dgis(card: &Card<'_>) -> std::result::Result<Vec<DgiSet>, Rejection> {
    let mut keys = card.card_keys.iter();
    let mut first_face = 0;
    let mut out = Vec::new();
    for application in &card.plan.profile.applications {
        let made = match &application.kind {
            ApplicationKind::Payment(payment) => {
                let made = payment_dgis(card, application, payment, first_face, &mut keys);
                first_face = first_face.wrapping_add(payment.interfaces.len());
                made
            }
            ApplicationKind::Pse { sfi, values } => {
                let chip = ChipValues { card, face: 0 };
                layout::pse(card.plan.profile, application, *sfi, values, &chip).and_then(|(fci, record)| {
                    let mut set = DgiSet::new();
                    set.push(DgiTag::SELECT_RESPONSE, DgiValue::clear(fci))?;
                    set.push_record(&record)?;
                    Ok(set)
                })
            }
            ApplicationKind::Ppse => {
                let chip = ChipValues { card, face: 0 };
                layout::ppse(card.plan.profile, application, &chip).and_then(|fci| {
                    let mut set = DgiSet::new();
                    set.push(DgiTag::SELECT_RESPONSE, DgiValue::clear(fci))?;
                    Ok(set)
                })
            }
        };
        out.push(made.map_err(|e| Rejection::internal(format!("chip data: {e}")))?);
    }
    Ok(out)
}

fn payment_dgis(
    card: &Card<'_>,
    application: &Application,
    payment: &PaymentApplication,
    first_face: usize,
    keys: &mut std::slice::Iter<'_, crate::issuer::CardKeys>,
) -> Result<DgiSet> {
    let version = card.plan.profile.cryptogram_version;
    let faces: Vec<(Face<'_>, ChipValues<'_, '_>)> = payment
        .interfaces
        .iter()
        .enumerate()
        .map(|(i, interface)| {
            let face = Face { cryptogram_version: version, application: payment, interface };
            (face, ChipValues { card, face: first_face.wrapping_add(i) })
        })
        .collect();
    let mut set = DgiSet::new();
    for (face, values) in &faces {
        let fci = face.fci(application.aid.as_bytes(), application.fci_form, values)?;
        set.push(face.interface.fci.0, DgiValue::clear(fci))?;
    }
    for (face, values) in &faces {
        set.push(face.interface.gpo.0, DgiValue::clear(face.gpo(values)?))?;
    }
    for (face, values) in &faces {
        for record in face.records(values)? {
            set.push_record(&record)?;
        }
    }
    let mut kcvs: Vec<(DgiTag, Vec<u8>)> = Vec::new();
    for spec in &payment.dgis {
        let place = || format!("DGI {}", spec.dgi);
        let value = match &spec.content {
            DgiContent::CardKeys(_) => {
                let made = keys.next().ok_or(ErrorKind::Missing("the card's keys")).at_with(place)?;
                kcvs.push((spec.dgi, made.kcvs.concat()));
                DgiValue::Cryptogram(made.cryptogram.clone())
            }
            DgiContent::Kcvs(of) => {
                // Check values may stand before their keys, so the keys are looked up by DGI.
                let value = kcvs_of(payment, *of, card, &kcvs)
                    .ok_or(ErrorKind::Missing("the keys"))
                    .at_with(place)?;
                DgiValue::clear(value)
            }
            DgiContent::ReferencePin(_) => DgiValue::Cryptogram(
                card.reference_pin.clone().ok_or(ErrorKind::Missing("the reference PIN")).at_with(place)?,
            ),
            DgiContent::IccKey(part, pad) => {
                DgiValue::secret(rsa_part(card.icc_key.as_ref(), *part).at_with(place)?, *pad)
            }
            DgiContent::PinKey(part, pad) => {
                DgiValue::secret(rsa_part(card.pin_key.as_ref(), *part).at_with(place)?, *pad)
            }
            DgiContent::Tags(tags) => {
                let (face, values) = face_of(&faces, spec.interface)?;
                DgiValue::clear(face.tlvs(tags, values).at_with(place)?)
            }
            DgiContent::Fields(fields) => {
                let (face, values) = face_of(&faces, spec.interface)?;
                let parts: Result<Vec<_>> = fields.iter().map(|f| face.spec_value(f, values)).collect();
                let parts = parts.at_with(place)?;
                let parts: Vec<&[u8]> = parts.iter().flatten().map(|part| part.as_slice()).collect();
                DgiValue::clear(parts.concat())
            }
        };
        set.push(spec.dgi, value)?;
    }
    Ok(set)
}

/// The check values of the keys in DGI `of`, whether it comes before or after.
fn kcvs_of(
    payment: &PaymentApplication,
    of: DgiTag,
    card: &Card<'_>,
    before: &[(DgiTag, Vec<u8>)],
) -> Option<Vec<u8>> {
    if let Some((_, value)) = before.iter().find(|(dgi, _)| *dgi == of) {
        return Some(value.clone());
    }
    let position = card
        .plan
        .profile
        .payment()
        .flat_map(|(_, p)| p.dgis.iter().map(move |d| (p, d)))
        .filter(|(_, d)| matches!(d.content, DgiContent::CardKeys(_)))
        .position(|(p, d)| d.dgi == of && std::ptr::eq(p, payment))?;
    card.card_keys.get(position).map(|k| k.kcvs.concat())
}

fn face_of<'f, 'c, 'a>(
    faces: &'f [(Face<'a>, ChipValues<'c, 'a>)],
    interface: Interface,
) -> Result<&'f (Face<'a>, ChipValues<'c, 'a>)> {
    let found = faces.iter().find(|(f, _)| f.interface.interface == interface);
    found.ok_or_else(|| Error::new(ErrorKind::Internal("a DGI of an interface that is not described")))
}

fn rsa_part(key: Option<&RsaPrivate>, part: RsaPart) -> Result<crate::secret::Secret> {
    let key = key.ok_or(ErrorKind::Missing("the card's RSA key"))?;
    Ok(match part {
        RsaPart::QInv => key.qinv().duplicate(),
        RsaPart::Dq => key.dq().duplicate(),
        RsaPart::Dp => key.dp().duplicate(),
        RsaPart::Q => key.q().duplicate(),
        RsaPart::P => key.p().duplicate(),
        RsaPart::Exponent => key.d()?,
        RsaPart::Modulus => crate::secret::Secret::copy_of(key.public().modulus()),
    })
}
