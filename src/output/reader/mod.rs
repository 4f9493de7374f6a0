//! The reader of card lines: a line of `cards-NNNNNN.jsonl` back to a value.

pub(super) mod head;
mod wire;

use super::formats::mode;
use super::record_mac::RecordMac;
use crate::bytes::from_hex;
use crate::card::{CardDate, CardId, IssuerRequestId};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::{ProtectMode, TransportKeyInfo};
use crate::keys::KeyAlgorithm;
use crate::perso::session::PersonalizationData;
use crate::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection, Script, ScriptStep};
use crate::prepare::{
    Carrier, Magstripe, Packaging, PreparedApplication, PreparedCard, Print, ShipmentRecord,
    personalization_data,
};
use crate::profile::{Channel, DestinationId, Interface};

/// What a card line says: a prepared card without what leaves apart from it (PIN mailer, issuer return).
///
/// [`CardLine::read`] reads it, [`CardLine::to_json`] writes it; a [`PreparedCard`] becomes one by `From`.
#[derive(Clone, PartialEq, Eq)]
pub struct CardLine {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// The issuer's name for the card.
    pub card_id: CardId,
    /// The issuer's correlation key.
    pub issuer_request_id: Option<IssuerRequestId>,
    /// First six and last four digits.
    pub masked_pan: String,
    /// Distribution channel.
    pub channel: Channel,
    /// Where it goes.
    pub destination: DestinationId,
    /// Product id.
    pub product: String,
    /// Profile id.
    pub profile: String,
    /// The last day on which the card may be personalized.
    pub not_after: CardDate,
    /// The transport key of its secret DGIs.
    pub transport_key: TransportKeyInfo,
    /// How that key enciphers them; a line without it leaves that to the destination's configuration.
    pub transport_mode: Option<ProtectMode>,
    /// The chip's applications, in the order in which they are personalized.
    pub applications: Vec<PreparedApplication>,
    /// The stripe.
    pub magstripe: Magstripe,
    /// What is printed.
    pub print: Print,
    /// The card carrier, when there is one.
    pub carrier: Option<Carrier>,
    /// Packaging, when there is one.
    pub packaging: Option<Packaging>,
    /// Shipment, when there is one.
    pub shipment: Option<ShipmentRecord>,
    /// The MAC that ties the line to its order, when the job has a data key.
    pub record_mac: Option<RecordMac>,
}

impl std::fmt::Debug for CardLine {
    /// Ids and the masked PAN alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardLine")
            .field("position", &self.position)
            .field("card_id", &self.card_id)
            .field("pan", &self.masked_pan)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl From<&PreparedCard> for CardLine {
    fn from(card: &PreparedCard) -> Self {
        Self {
            position: card.position,
            card_id: card.card_id.clone(),
            issuer_request_id: card.issuer_request_id.clone(),
            masked_pan: card.masked_pan.clone(),
            channel: card.channel,
            destination: card.destination.clone(),
            product: card.product.clone(),
            profile: card.profile.clone(),
            not_after: card.not_after,
            transport_key: card.transport_key.clone(),
            transport_mode: Some(card.transport_mode),
            applications: card.applications.clone(),
            magstripe: card.magstripe.clone(),
            print: card.print.clone(),
            carrier: card.carrier.clone(),
            packaging: card.packaging.clone(),
            shipment: card.shipment.clone(),
            record_mac: None,
        }
    }
}

impl CardLine {
    /// Reads one line. It is strict: `format` stands first and is [`CARD_FORMAT`](super::CARD_FORMAT), no member is
    /// unknown or stands twice, hexadecimal is in upper case, secret values are whole blocks of the transport key, and a
    /// script names secret DGIs of its own application.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for text that is no such object, [`ErrorKind::Unknown`] for another format, and with the
    /// member as their place those of the values. No message holds a value of the card.
    ///
    /// ```
    /// use emv_dataprep::output::CardLine;
    /// let text = concat!(
    ///     r#"{"format":"emv-dataprep/card/1","position":1,"cardId":"c-1","issuerRequestId":null,"#,
    ///     r#""maskedPan":"476173******0010","channel":"CENTRAL","destination":"PC1","product":"p","profile":"q","notAfter":"2026-04-15","#,
    ///     r#""transportKey":{"index":"01","kcv":"08D7B4","algorithm":"TDES-2KEY"},"#,
    ///     r#""chip":{"applications":[{"aid":"A0000000031010","interfaces":["contact"],"#,
    ///     r#""dgis":[{"dgi":"9010","value":"0303","protection":"none"}]}]},"#,
    ///     r#""magstripe":{"track1":null,"track2":null,"track3":null},"print":{},"#,
    ///     r#""carrier":null,"packaging":null,"shipment":null}"#
    /// );
    /// let card = CardLine::read(text)?;
    /// assert_eq!(card.applications[0].aid.to_string(), "A0000000031010");
    /// assert_eq!(card.to_json().as_slice(), text.as_bytes());
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<Self> {
        head::check(text, super::CARD_FORMAT)?;
        // A message of the JSON reader may hold a value, so only its place is told.
        let card: wire::Card = serde_json::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Format("a card line")).at(format!("column {}", e.column())))?;
        let transport_mode = card.transport_key.mode.as_deref().map(mode).transpose();
        let transport_mode = transport_mode.at("mode").at("transportKey")?;
        let transport_key = transport_key(card.transport_key).at("transportKey")?;
        let applications = card.chip.applications.into_iter().zip(0_usize..).map(|(a, i)| {
            application(a, transport_key.algorithm).at_with(|| format!("chip.applications[{i}]"))
        });
        let applications = applications.collect::<Result<Vec<_>>>()?;
        if card.position == 0 {
            return Err(Error::new(ErrorKind::Value("positions count from 1")).at("position"));
        }
        if !is_masked(&card.masked_pan) {
            let form = ErrorKind::Format("six digits, asterisks, four digits");
            return Err(Error::new(form).at("maskedPan"));
        }
        Ok(Self {
            position: card.position,
            card_id: card.card_id.parse().at("cardId")?,
            issuer_request_id: match card.issuer_request_id {
                Some(id) => Some(id.parse().at("issuerRequestId")?),
                None => None,
            },
            masked_pan: card.masked_pan,
            channel: card.channel.parse().at("channel")?,
            destination: card.destination.parse().at("destination")?,
            product: card.product,
            profile: card.profile,
            not_after: CardDate::from_iso(&card.not_after).at("notAfter")?,
            transport_key,
            transport_mode,
            applications,
            magstripe: card.magstripe.into(),
            print: card.print.into(),
            carrier: card.carrier.map(Into::into),
            packaging: card.packaging.map(Into::into),
            shipment: card.shipment.map(TryInto::try_into).transpose().at("shipment")?,
            record_mac: card.record_mac.as_deref().map(RecordMac::from_hex).transpose().at("recordMac")?,
        })
    }
}

impl CardLine {
    /// What a personalization session needs of the card. `configured` is how its destination's transport key enciphers
    /// ([`crate::profile::TransportKeyConfig`]), for a line that does not say it itself.
    #[must_use]
    pub fn personalization_data(&self, configured: ProtectMode) -> PersonalizationData {
        let (key, mode) = (&self.transport_key, self.transport_mode.unwrap_or(configured));
        personalization_data(&self.card_id, self.not_after, key, &self.applications, mode)
    }
}

pub(super) fn is_masked(pan: &str) -> bool {
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let hidden = |t: &str| !t.is_empty() && t.bytes().all(|b| b == b'*');
    let parts = pan.split_at_checked(6).and_then(|(bin, rest)| {
        let (middle, last) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
        Some(digits(bin) && hidden(middle) && digits(last))
    });
    parts.unwrap_or(false)
}

/// Bytes from hexadecimal in upper case, as every output of this program has it.
pub(super) fn upper_hex(text: &str) -> Result<Vec<u8>> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(ErrorKind::Format("hexadecimal in upper case").into());
    }
    from_hex(text)
}

fn one_byte(text: &str) -> Result<u8> {
    match upper_hex(text)?.as_slice() {
        [byte] => Ok(*byte),
        _ => Err(ErrorKind::Format("two hexadecimal digits").into()),
    }
}

/// The algorithm of a transport key by its name.
pub(super) fn transport_algorithm(name: &str) -> Result<KeyAlgorithm> {
    use KeyAlgorithm::{Aes128, Aes192, Aes256, Tdes2, Tdes3};
    let all = [Tdes2, Tdes3, Aes128, Aes192, Aes256];
    all.into_iter().find(|a| a.name() == name).ok_or_else(|| ErrorKind::Unknown("this algorithm").into())
}

/// A key check value: 3 to 16 bytes in hexadecimal.
pub(super) fn check_kcv(kcv: &str) -> Result<()> {
    if (3..=16).contains(&upper_hex(kcv)?.len()) {
        return Ok(());
    }
    Err(ErrorKind::Format("3 to 16 bytes in hexadecimal").into())
}

fn transport_key(key: wire::TransportKey) -> Result<TransportKeyInfo> {
    check_kcv(&key.kcv).at("kcv")?;
    Ok(TransportKeyInfo {
        index: key.index.parse().at("index")?,
        algorithm: transport_algorithm(&key.algorithm).at("algorithm")?,
        kcv: key.kcv,
        wrapped: key.wrapped,
    })
}

fn application(from: wire::Application, transport: KeyAlgorithm) -> Result<PreparedApplication> {
    let aid = from.aid.parse().at("aid")?;
    upper_hex(&from.aid).at("aid")?;
    let interfaces = interfaces(&from.interfaces).at("interfaces")?;
    let mut dgis = Vec::with_capacity(from.dgis.len());
    for (dgi, i) in from.dgis.into_iter().zip(0_usize..) {
        dgis.push(grouping(dgi, transport).at_with(|| format!("dgis[{i}]"))?);
    }
    if dgis.is_empty() {
        return Err(Error::new(ErrorKind::Missing("a DGI")).at("dgis"));
    }
    let dgis = ProtectedDgiSet::from_prepared(dgis).at("dgis")?;
    let script = match from.script {
        Some(steps) => {
            let steps = steps.into_iter().zip(0_usize..);
            let steps = steps.map(|(step, i)| script_step(step, &dgis).at_with(|| format!("script[{i}]")));
            Some(Script(steps.collect::<Result<_>>()?))
        }
        None => None,
    };
    Ok(PreparedApplication { aid, interfaces, dgis, script })
}

fn interfaces(names: &[String]) -> Result<Vec<Interface>> {
    let mut out = Vec::with_capacity(names.len());
    for name in names {
        let known = [Interface::Contact, Interface::Contactless];
        let found = known.into_iter().find(|i| i.name() == name);
        let found = found.ok_or(ErrorKind::Unknown("this interface"))?;
        if out.contains(&found) {
            return Err(ErrorKind::Duplicate("an interface").into());
        }
        out.push(found);
    }
    if out.is_empty() {
        return Err(ErrorKind::Missing("an interface").into());
    }
    Ok(out)
}

fn tag(text: &str) -> Result<DgiTag> {
    upper_hex(text)?;
    text.parse()
}

fn grouping(from: wire::Dgi, transport: KeyAlgorithm) -> Result<ProtectedDgi> {
    let tag = tag(&from.dgi).at("dgi")?;
    let value = upper_hex(&from.value.into_zeroizing()).at("value")?;
    let known = [Protection::None, Protection::Transport];
    let protection = known.into_iter().find(|p| p.name() == from.protection);
    let protection = protection.ok_or(ErrorKind::Unknown("this protection")).at("protection")?;
    if protection == Protection::Transport {
        check_blocks(value.len(), transport).at("value")?;
    }
    Ok(ProtectedDgi { tag, value, protection })
}

/// A cryptogram is whole blocks of the transport key.
pub(super) fn check_blocks(found: usize, transport: KeyAlgorithm) -> Result<()> {
    if found == 0 || !found.is_multiple_of(transport.block_len()) {
        let expected = "whole blocks of the transport key";
        return Err(ErrorKind::Length { expected, found, unit: "bytes" }.into());
    }
    Ok(())
}

fn script_step(from: wire::Step, set: &ProtectedDgiSet) -> Result<ScriptStep> {
    match (from.apdu, from.store_data, from.recipher) {
        (Some(apdu), None, None) => Ok(ScriptStep::Apdu(upper_hex(&apdu.into_zeroizing()).at("apdu")?)),
        (None, Some(data), Some(true)) => {
            let dgis = data.dgis.iter().map(|d| tag(d)).collect::<Result<Vec<_>>>().at("storeData.dgis")?;
            let secret = |t: &DgiTag| set.get(*t).is_some_and(|d| d.protection == Protection::Transport);
            if dgis.is_empty() || !dgis.iter().all(secret) {
                let what = ErrorKind::Value("a step reciphers secret DGIs of its application");
                return Err(Error::new(what).at("storeData.dgis"));
            }
            Ok(ScriptStep::StoreData {
                p1: one_byte(&data.p1).at("storeData.p1")?,
                p2: one_byte(&data.p2).at("storeData.p2")?,
                dgis,
            })
        }
        _ => Err(ErrorKind::Format("a command, or STORE DATA to recipher").into()),
    }
}

#[cfg(test)]
pub(super) mod tests;
