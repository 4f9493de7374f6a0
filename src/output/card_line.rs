use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::formats::mode_name;
use super::reader::CardLine;
use super::record_mac::RecordMac;
use crate::bytes::hex_upper;
use crate::issuer::{ProtectMode, TransportKeyInfo};
use crate::perso::{ProtectedDgiSet, Script, ScriptStep};
use crate::prepare::{
    CardData, Carrier, IssuerReturn, Magstripe, Packaging, PinMailer, PreparedApplication, PreparedCard,
    Print, ShipmentRecord,
};

/// Value of the member `format` of a card line.
pub const CARD_FORMAT: &str = "emv-dataprep/card/1";
/// Value of the member `format` of a PIN-mailer line.
pub const MAILER_FORMAT: &str = "emv-dataprep/mailer/1";
/// Value of the member `format` of an issuer-return line.
pub const RETURN_FORMAT: &str = "emv-dataprep/return/1";

/// A card and the value of its line name their members alike.
macro_rules! line_json {
    ($card:ident, $mac:expr) => {{
        let line = Line {
            format: CARD_FORMAT,
            position: $card.position,
            card_id: $card.card_id.as_str(),
            issuer_request_id: $card.issuer_request_id.as_ref().map(|id| id.as_str()),
            masked_pan: &$card.masked_pan,
            channel: $card.channel.name(),
            destination: $card.destination.as_str(),
            product: &$card.product,
            profile: &$card.profile,
            not_after: $card.not_after.iso(),
            transport_key: TransportKeyLine::new(&$card.transport_key, $card.transport_mode.into()),
            chip: Chip { applications: $card.applications.iter().map(Into::into).collect() },
            magstripe: (&$card.magstripe).into(),
            print: &$card.print,
            carrier: $card.carrier.as_ref(),
            packaging: $card.packaging.as_ref(),
            shipment: $card.shipment.as_ref(),
            record_mac: $mac,
        };
        let values = $card.applications.iter().flat_map(|a| a.dgis.dgis());
        let values: usize = values.map(|d| d.value.len().saturating_mul(4).saturating_add(128)).sum();
        secret_json(&line, values.saturating_add(4096))
    }};
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    format: &'static str,
    position: u64,
    card_id: &'a str,
    issuer_request_id: Option<&'a str>,
    masked_pan: &'a str,
    channel: &'static str,
    destination: &'a str,
    product: &'a str,
    profile: &'a str,
    not_after: String,
    transport_key: TransportKeyLine<'a>,
    chip: Chip<'a>,
    magstripe: Tracks<'a>,
    print: &'a Print,
    carrier: Option<&'a Carrier>,
    packaging: Option<&'a Packaging>,
    shipment: Option<&'a ShipmentRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_mac: Option<RecordMac>,
}

#[derive(Serialize)]
struct TransportKeyLine<'a> {
    index: String,
    kcv: &'a str,
    algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped: Option<&'a str>,
}

#[derive(Serialize)]
struct Chip<'a> {
    applications: Vec<Application<'a>>,
}

#[derive(Serialize)]
struct Application<'a> {
    aid: String,
    interfaces: Vec<&'static str>,
    dgis: Dgis<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<Steps<'a>>,
}

/// All three tracks by name, null when the stripe has none.
#[derive(Serialize)]
struct Tracks<'a> {
    track1: Option<&'a str>,
    track2: Option<&'a str>,
    track3: Option<&'a str>,
}

struct Dgis<'a>(&'a ProtectedDgiSet);

#[derive(Serialize)]
struct DgiLine {
    dgi: String,
    value: Zeroizing<String>,
    protection: &'static str,
}

struct Steps<'a>(&'a Script);

#[derive(Serialize)]
#[serde(untagged)]
enum StepLine {
    Apdu {
        apdu: Zeroizing<String>,
    },
    StoreData {
        #[serde(rename = "storeData")]
        store_data: StoreData,
        recipher: bool,
    },
}

#[derive(Serialize)]
struct StoreData {
    p1: String,
    p2: String,
    dgis: Vec<String>,
}

impl Serialize for Dgis<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.dgis().iter().map(|dgi| DgiLine {
            dgi: dgi.tag.to_string(),
            value: Zeroizing::new(hex_upper(&dgi.value)),
            protection: dgi.protection.name(),
        }))
    }
}

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.0.iter().map(|step| match step {
            ScriptStep::Apdu(bytes) => StepLine::Apdu { apdu: Zeroizing::new(hex_upper(bytes)) },
            ScriptStep::StoreData { p1, p2, dgis } => StepLine::StoreData {
                store_data: StoreData {
                    p1: format!("{p1:02X}"),
                    p2: format!("{p2:02X}"),
                    dgis: dgis.iter().map(ToString::to_string).collect(),
                },
                recipher: true,
            },
        }))
    }
}

impl<'a> TransportKeyLine<'a> {
    fn new(info: &'a TransportKeyInfo, mode: Option<ProtectMode>) -> Self {
        Self {
            index: info.index.to_string(),
            kcv: &info.kcv,
            algorithm: info.algorithm.name(),
            mode: mode.map(mode_name),
            wrapped: info.wrapped.as_deref(),
        }
    }
}

impl<'a> From<&'a PreparedApplication> for Application<'a> {
    fn from(application: &'a PreparedApplication) -> Self {
        Self {
            aid: application.aid.to_string(),
            interfaces: application.interfaces.iter().map(|i| i.name()).collect(),
            dgis: Dgis(&application.dgis),
            script: application.script.as_ref().map(Steps),
        }
    }
}

impl<'a> From<&'a Magstripe> for Tracks<'a> {
    fn from(stripe: &'a Magstripe) -> Self {
        Self {
            track1: stripe.track1.as_ref().map(|t| t.expose()),
            track2: stripe.track2.as_ref().map(|t| t.expose()),
            track3: stripe.track3.as_ref().map(|t| t.expose()),
        }
    }
}

/// A prepared card as one line of JSON, members always in the same order, hexadecimal in upper case, no line end.
#[must_use]
pub fn card_line(card: &PreparedCard) -> Zeroizing<Vec<u8>> {
    card_line_with(card, None)
}

/// As [`card_line`], with the MAC of the record.
#[must_use]
pub fn card_line_with(card: &PreparedCard, mac: Option<RecordMac>) -> Zeroizing<Vec<u8>> {
    line_json!(card, mac)
}

impl CardLine {
    /// The line again: as [`card_line`] writes it.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let card = self;
        line_json!(card, card.record_mac)
    }
}

/// A PIN mailer as one line of JSON: nothing in it names the card.
#[must_use]
pub fn mailer_line(mailer: &PinMailer) -> Zeroizing<Vec<u8>> {
    mailer_line_with(mailer, None)
}

/// As [`mailer_line`], with the MAC of the record.
#[must_use]
pub fn mailer_line_with(mailer: &PinMailer, record_mac: Option<RecordMac>) -> Zeroizing<Vec<u8>> {
    secret_json(&Versioned { format: MAILER_FORMAT, record: mailer, given: &[], record_mac }, 2048)
}

/// What the issuer's host needs of one card, as one line of JSON. It says which values the order gave, since these
/// cannot be computed again.
#[must_use]
pub fn return_line(record: &IssuerReturn, data: &CardData) -> Zeroizing<Vec<u8>> {
    return_line_with(record, data, None)
}

/// As [`return_line`], with the MAC of the record.
#[must_use]
pub fn return_line_with(
    record: &IssuerReturn,
    data: &CardData,
    record_mac: Option<RecordMac>,
) -> Zeroizing<Vec<u8>> {
    let tracks = [&data.track1, &data.track2, &data.track3];
    let given = [
        (data.cvv1.is_some(), "cvv1"),
        (data.cvv2.is_some(), "cvv2"),
        (data.pvv.is_some(), "pvv"),
        (data.encoded_name.is_some(), "encodedName"),
        (tracks.iter().any(|t| t.is_some()), "track"),
    ];
    let given: Vec<&'static str> = given.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    secret_json(&Versioned { format: RETURN_FORMAT, record, given: &given, record_mac }, 2048)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versioned<'a, T> {
    format: &'static str,
    #[serde(flatten)]
    record: &'a T,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    given: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    record_mac: Option<RecordMac>,
}

/// Room for the whole text is taken first, so that its growth leaves no copies behind. Writing these shapes cannot
/// fail: text keys, no numbers that JSON cannot hold.
fn secret_json(value: &impl Serialize, room: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "a line of output is always JSON");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyAlgorithm, KeyIndex};
    use crate::perso::{DgiTag, ProtectedDgi, Protection};
    use crate::prepare::SensitiveText;
    use crate::profile::{Channel, Interface};

    fn text(value: &str) -> Option<SensitiveText> {
        Some(SensitiveText::new(value.to_owned()))
    }

    fn card() -> PreparedCard {
        let dgi = |tag, value: &[u8], protection| ProtectedDgi {
            tag: DgiTag(tag),
            value: value.to_vec(),
            protection,
        };
        let dgis = ProtectedDgiSet::from_prepared(vec![
            dgi(0x0101, &[0x70, 0x00], Protection::None),
            dgi(0x8010, &[0xAB; 8], Protection::Transport),
        ]);
        PreparedCard {
            position: 3,
            card_id: "c-3".parse().unwrap(),
            issuer_request_id: None,
            masked_pan: "476173******0010".to_owned(),
            channel: Channel::Central,
            destination: "PC1".parse().unwrap(),
            product: "p".to_owned(),
            profile: "q".to_owned(),
            not_after: crate::card::CardDate::from_iso("2027-02-19").unwrap(),
            transport_key: TransportKeyInfo {
                index: KeyIndex(0x0A),
                algorithm: KeyAlgorithm::Tdes2,
                kcv: "08D7B4".to_owned(),
                wrapped: None,
            },
            transport_mode: ProtectMode::Cbc,
            applications: vec![PreparedApplication {
                aid: "A0000000031010".parse().unwrap(),
                interfaces: vec![Interface::Contact, Interface::Contactless],
                dgis: dgis.unwrap(),
                script: Some(Script(vec![
                    ScriptStep::Apdu(vec![0x00, 0xA4, 0x04, 0x00]),
                    ScriptStep::StoreData { p1: 0xE0, p2: 1, dgis: vec![DgiTag(0x8010)] },
                ])),
            }],
            magstripe: Magstripe { track1: None, track2: text("4761739001010010=29062010000"), track3: None },
            print: Print { pan: text("4761739001010010"), ..Print::default() },
            carrier: None,
            packaging: None,
            shipment: None,
            mailer: None,
            issuer_return: IssuerReturn {
                position: 3,
                card_id: "c-3".parse().unwrap(),
                issuer_request_id: None,
                psn: "00".to_owned(),
                pvki: Some(1),
                pvv: text("1234"),
                offset: None,
                pin_block: None,
                certificate_serials: vec!["000001".to_owned()],
                mailer_reference: None,
            },
            rsa_keys: crate::prepare::RsaKeyCounts::default(),
            rsa_traces: Vec::new(),
        }
    }

    #[test]
    fn the_line_is_the_contract_and_the_witness_reads_it() {
        let line = card_line(&card());
        let text = std::str::from_utf8(&line).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"format":"emv-dataprep/card/1","position":3,"cardId":"c-3","issuerRequestId":null,"#,
                r#""maskedPan":"476173******0010","channel":"CENTRAL","destination":"PC1","product":"p","profile":"q","#,
                r#""notAfter":"2027-02-19","#,
                r#""transportKey":{"index":"0A","kcv":"08D7B4","algorithm":"TDES-2KEY","mode":"CBC"},"#,
                r#""chip":{"applications":[{"aid":"A0000000031010","interfaces":["contact","contactless"],"#,
                r#""dgis":[{"dgi":"0101","value":"7000","protection":"none"},"#,
                r#"{"dgi":"8010","value":"ABABABABABABABAB","protection":"transport"}],"#,
                r#""script":[{"apdu":"00A40400"},{"storeData":{"p1":"E0","p2":"01","dgis":["8010"]},"recipher":true}]}]},"#,
                r#""magstripe":{"track1":null,"track2":"4761739001010010=29062010000","track3":null},"#,
                r#""print":{"pan":"4761739001010010"},"carrier":null,"packaging":null,"shipment":null}"#
            )
        );
        let read = crate::verify::CardLine::read(text).unwrap();
        assert_eq!((read.applications[0].dgis.len(), read.applications[0].aid.len()), (2, 7));
        let value = CardLine::read(text).unwrap();
        assert_eq!(value, CardLine::from(&card()));
        assert_eq!(value.personalization_data(ProtectMode::Ecb), card().personalization_data());
        assert_eq!(value.to_json(), line);
    }

    #[test]
    fn the_return_names_its_format_first() {
        let mut data = CardData {
            pan: "4761739001010010".parse().unwrap(),
            expiry: crate::card::Expiry::from_yymm("2906").unwrap(),
            name: None,
            second_name: None,
            encoded_name: None,
            cvv1: None,
            cvv2: None,
            pvv: None,
            psn: None,
            payment_account_reference: None,
            effective_date: None,
            track1: None,
            track2: None,
            track3: None,
            pin_block: None,
        };
        let line =
            |data: &CardData| String::from_utf8(return_line(&card().issuer_return, data).to_vec()).unwrap();
        let plain = concat!(
            r#"{"format":"emv-dataprep/return/1","position":3,"cardId":"c-3","issuerRequestId":null,"psn":"00","#,
            r#""pvki":1,"pvv":"1234","certificateSerials":["000001"]}"#
        );
        assert_eq!(line(&data), plain);
        data.track2 = text("4761739001010010=29062010000");
        let with = format!("{},\"given\":[\"track\"]}}", plain.strip_suffix('}').unwrap());
        assert_eq!(line(&data), with);
    }
}
