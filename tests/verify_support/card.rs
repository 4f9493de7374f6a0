//! A whole card line.

use emv_dataprep::crypto::hash::hmac_sha256;
use emv_dataprep::crypto::rsa::{Exponent, RsaPrivate};
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::{CardContext, Keys, Letter};
use serde_json::{Value, json};

use super::values::{AID, EXP, Issuing, PIN, certificate, hex, pad80, rsa, ssad, tlv, unhex};
use super::{CA, ISSUER, KeyForm, PIN_KEY, Spec};

/// A card line and what a witness of it is given.
pub struct Made {
    pub line: Value,
    pub keys: Keys,
    pub context: CardContext,
}

struct Maker {
    issuing: Issuing,
    issuer: RsaPrivate,
    icc: RsaPrivate,
    pin: RsaPrivate,
    serials: Vec<[u8; 3]>,
}

fn dgi(tag: &str, value: &[u8]) -> Value {
    json!({"dgi": tag, "value": hex(value), "protection": "none"})
}

fn serial(serials: &mut Vec<[u8; 3]>) -> u8 {
    let next = serials.len() as u8 + 7;
    serials.push([0, 0, next]);
    next
}

impl Maker {
    fn secret(&self, tag: &str, value: &[u8]) -> Value {
        json!({"dgi": tag, "value": hex(&self.issuing.under_tk(value)), "protection": "transport"})
    }

    fn padded(&self, value: &[u8], always: bool) -> Vec<u8> {
        let block = self.issuing.block();
        if always || !value.len().is_multiple_of(block) { pad80(value, block) } else { value.to_vec() }
    }

    fn key_dgis(&self, key: &RsaPrivate, pin: bool) -> Vec<Value> {
        let form = self.issuing.spec.form;
        if matches!(form, KeyForm::Crt | KeyForm::CrtPadded) {
            let series = if pin { "83" } else { "82" };
            let parts = [key.qinv(), key.dq(), key.dp(), key.q(), key.p()];
            let named = parts.iter().enumerate();
            return named
                .map(|(i, part)| {
                    let value = self.padded(part.expose(), form == KeyForm::CrtPadded);
                    self.secret(&format!("{series}0{}", i + 1), &value)
                })
                .collect();
        }
        let (d, n) = if pin { ("8102", "8104") } else { ("8101", "8103") };
        let modulus = key.public().modulus();
        vec![
            self.secret(d, &self.padded(key.d().unwrap().expose(), false)),
            match form {
                KeyForm::PlainClearModulus => dgi(n, modulus),
                _ => self.secret(n, &self.padded(modulus, false)),
            },
        ]
    }

    /// Records of one path: signed data first, then the certificates that the AIP asks for.
    fn records(&mut self, sfi: u8, aip: u8, contact: bool) -> Vec<Value> {
        let spec = self.issuing.spec.clone();
        let signed = [
            tlv("5A", &self.issuing.pan_cn()),
            tlv("5F24", &unhex("290630")),
            tlv("5F25", &unhex("260101")),
            tlv("5F28", &unhex("0826")),
            tlv("5F34", &unhex(spec.psn)),
            tlv("9F07", &unhex(if contact { "FF80" } else { "C080" })),
            tlv("8E", &unhex("00000000000000004103440342035E031F03")),
            tlv("9F0D", &unhex("F040642000")),
            tlv("9F0E", &unhex("0010880000")),
            tlv("9F0F", &unhex("F0E064F800")),
            tlv("9F4A", &[0x82]),
        ]
        .concat();
        let static_data = [signed.as_slice(), &[aip, 0]].concat();
        let mut pan = self.issuing.pan_cn();
        pan.resize(10, 0xFF);
        let mut records = vec![signed];
        if aip & 0x61 != 0 {
            let ca = rsa(CA, Exponent::THREE);
            let (issuer, rest) = certificate(&ca, 2, &unhex("476173FF"), &self.issuer, [0x12, 0x30], 1, &[]);
            let mut record = [tlv("8F", &[0x92]), tlv("90", &issuer), tlv("9F32", &[3])].concat();
            if !rest.is_empty() {
                record.extend(tlv("92", &rest));
            }
            records.push(record);
        }
        if aip & 0x21 != 0 {
            let n = serial(&mut self.serials);
            let (icc, rest) = certificate(&self.issuer, 4, &pan, &self.icc, [6, 0x29], n, &static_data);
            let exponent = tlv("9F47", self.icc.public().exponent());
            let mut record = [tlv("9F46", &icc), exponent, tlv("9F49", &unhex("9F3704"))].concat();
            if !rest.is_empty() {
                record.extend(tlv("9F48", &rest));
            }
            records.push(record);
        }
        if aip & 0x40 != 0 {
            records.push(tlv("93", &ssad(&self.issuer, &static_data)));
        }
        if contact && spec.pin_key {
            let n = serial(&mut self.serials);
            let (pin, rest) = certificate(&self.issuer, 4, &pan, &self.pin, [6, 0x29], n, &[]);
            records.push([tlv("9F2D", &pin), tlv("9F2F", &rest), tlv("9F2E", &[3])].concat());
        }
        if contact {
            let cdol = "9F02069F03069F1A0295055F2A029A039C019F3704";
            records.push(
                [
                    tlv("8C", &unhex(cdol)),
                    tlv("8D", &unhex(&format!("8A02{cdol}"))),
                    tlv("5F20", b"DOE/JANE"),
                    tlv("57", &self.issuing.chip_track2()),
                    tlv("5F30", &unhex("0201")),
                ]
                .concat(),
            );
        } else if aip & 0x01 != 0 {
            records.push(tlv("8C", &unhex("9F02069F03069F1A0295055F2A029A039C019F3704")));
        }
        let named = records.iter().enumerate();
        named.map(|(i, r)| dgi(&format!("{sfi:02X}{:02X}", i + 1), &tlv("70", r))).collect()
    }

    fn payment(&mut self) -> Vec<Value> {
        let spec = self.issuing.spec.clone();
        let fci = tlv("A5", &[tlv("50", b"VISA DEBIT"), tlv("87", &[1]), tlv("5F2D", b"en")].concat());
        let mut dgis = vec![dgi("9102", &fci)];
        let records = self.records(1, spec.aip, true);
        let afl = [8, 1, 1, u8::from(spec.aip & 0x61 != 0), 8, 2, records.len() as u8, 0];
        dgis.push(dgi("9104", &[tlv("82", &[spec.aip, 0]), tlv("94", &afl)].concat()));
        dgis.extend(records);
        if spec.contactless {
            let pdol = tlv("9F38", &unhex("9F66049F02069F3704"));
            let fci = tlv("A5", &[tlv("50", b"VISA DEBIT"), tlv("87", &[1]), pdol].concat());
            dgis.push(dgi("9103", &fci));
            let aip = spec.aip & 0xFB;
            let records = self.records(2, aip, false);
            let afl = [16, 1, 1, u8::from(aip & 0x61 != 0), 16, 2, records.len() as u8, 0];
            let gpo = [
                tlv("82", &[aip, 0]),
                tlv("94", if records.len() > 1 { &afl } else { &afl[..4] }),
                tlv("57", &self.issuing.chip_track2()),
                tlv("9F10", &unhex("06010A03000000")),
                tlv("9F6C", &[0, 0]),
            ];
            dgis.push(dgi("9117", &gpo.concat()));
            dgis.extend(records);
        }
        let (keys, kcvs) = self.issuing.card_keys();
        dgis.push(self.secret("8000", &keys));
        dgis.push(dgi("9000", &kcvs));
        dgis.push(dgi("9010", &[3, 3]));
        let mut pin = unhex(&format!("24{PIN}FFFFFFFFFF"));
        pin.resize(self.issuing.block(), 0xA7);
        dgis.push(self.secret("8010", &pin));
        if spec.aip & 0x21 != 0 {
            dgis.extend(self.key_dgis(&self.icc, false));
        }
        if spec.pin_key {
            dgis.extend(self.key_dgis(&self.pin, true));
        }
        dgis
    }
}

fn script(aid: &str, dgis: &[Value]) -> Value {
    let mut steps = vec![json!({"apdu": format!("00A40400{:02X}{aid}00", aid.len() / 2)})];
    let mut p2 = 0_u8;
    for (i, dgi) in dgis.iter().enumerate() {
        let last = if i + 1 == dgis.len() { 0x80 } else { 0 };
        let value = unhex(dgi["value"].as_str().unwrap());
        let mut bytes = unhex(dgi["dgi"].as_str().unwrap());
        if value.len() > 254 {
            bytes.extend([0xFF, (value.len() >> 8) as u8, value.len() as u8]);
        } else {
            bytes.push(value.len() as u8);
        }
        bytes.extend_from_slice(&value);
        let count = bytes.len().div_ceil(231);
        if dgi["protection"] == "transport" {
            let (p1, now) = (format!("{:02X}", 0x60 | last), format!("{p2:02X}"));
            steps.push(json!({"storeData": {"p1": p1, "p2": now, "dgis": [dgi["dgi"]]}, "recipher": true}));
            p2 += count as u8;
            continue;
        }
        for (n, chunk) in bytes.chunks(231).enumerate() {
            let last = if n + 1 == count { last } else { 0 };
            steps.push(json!({"apdu": format!("80E2{last:02X}{p2:02X}{:02X}{}", chunk.len(), hex(chunk))}));
            p2 += 1;
        }
    }
    Value::Array(steps)
}

/// Makes the card.
pub fn made(spec: &Spec) -> Made {
    let issuing = Issuing::new(spec);
    let mut maker = Maker {
        issuing,
        issuer: rsa(ISSUER, Exponent::THREE),
        icc: rsa(spec.icc, spec.exponent),
        pin: rsa(PIN_KEY, Exponent::THREE),
        serials: Vec::new(),
    };
    let dgis = maker.payment();
    let issuing = &maker.issuing;
    let entry = tlv("61", &[tlv("4F", &unhex(AID)), tlv("50", b"VISA DEBIT"), tlv("87", &[1])].concat());
    let pse = vec![
        dgi("9102", &tlv("A5", &[tlv("88", &[1]), tlv("5F2D", b"en")].concat())),
        dgi("0101", &tlv("70", &entry)),
    ];
    let ppse = vec![dgi("9102", &tlv("A5", &tlv("BF0C", &entry)))];
    let application = |aid: &str, interfaces: &[&str], dgis: &[Value]| {
        let mut app = json!({"aid": aid, "interfaces": interfaces, "dgis": dgis});
        if spec.script {
            app["script"] = script(aid, dgis);
        }
        app
    };
    let both: &[&str] = if spec.contactless { &["contact", "contactless"] } else { &["contact"] };
    let mut applications = vec![application("315041592E5359532E4444463031", &["contact"], &pse)];
    if spec.contactless {
        applications.push(application("325041592E5359532E4444463031", &["contactless"], &ppse));
    }
    applications.push(application(AID, both, &dgis));
    let pan = &issuing.pan;
    let stripe_cvv = issuing.cvv(EXP, "201");
    let line = json!({
        "format": "emv-dataprep/card/1", "position": 1, "cardId": "c-1", "issuerRequestId": "r-1",
        "maskedPan": format!("{}{}{}", &pan[..6], "*".repeat(pan.len() - 10), &pan[pan.len() - 4..]),
        "channel": "CENTRAL", "destination": "PC1", "product": "p", "profile": "q",
        "transportKey": {
            "index": "01", "kcv": hex(&issuing.transport_kcv()), "algorithm": issuing.transport_name(),
        },
        "chip": {"applications": applications},
        "magstripe": {
            "track1": format!("B{pan}^DOE/JANE^{EXP}201000000{stripe_cvv}000000"),
            "track2": format!("{pan}={EXP}2011{}{stripe_cvv}", issuing.pvv()),
            "track3": null,
        },
        "print": {
            "pan": pan.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect::<Vec<_>>().join(" "),
            "name": "JANE DOE", "expiry": "06/29", "cvv2": issuing.cvv("0629", "000"),
        },
        "carrier": null, "packaging": null, "shipment": null,
    });
    Made { line, keys: issuing.keys(), context: issuing.context(maker.serials.clone()) }
}

/// The data key of the job.
const JOB: [u8; 32] = [0x5A; 32];

impl Made {
    /// The card as one of a job with a data key: its line, its return and a PIN mailer for JANE DOE carry their MACs.
    pub fn with_job(mut self) -> Self {
        let key = Secret::new(hmac_sha256(&Secret::copy_of(&JOB), &[b"emv-dataprep/record-mac/1"]).to_vec());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pan = text(&self.line["print"]["pan"]).replace(' ', "");
        let record = self.context.issuer_return.as_mut().unwrap();
        let psn = record.psn.clone().unwrap();
        let position = self.line["position"].as_u64().unwrap().to_be_bytes();
        let id = text(&self.line["cardId"]);
        let mac = |label: &str, names: &[&str]| {
            let mut fields = vec![label.as_bytes(), &position, id.as_bytes(), pan.as_bytes(), EXP.as_bytes()];
            fields.push(psn.as_bytes());
            fields.extend(names.iter().map(|n| n.as_bytes()));
            let message: Vec<u8> =
                fields.iter().flat_map(|f| [&(f.len() as u32).to_be_bytes()[..], f].concat()).collect();
            hmac_sha256(&key, &[&message])
        };
        let names = ["DOE/JANE", "JANE DOE", ""];
        record.record_mac = Some(mac("return", &names));
        let name = Some("JANE DOE".to_owned().into());
        self.context.letter = Some(Letter { name, record_mac: Some(mac("mailer", &["JANE DOE"])) });
        self.line["recordMac"] = hex(&mac("card", &names)).into();
        self.keys.set_job(Secret::copy_of(&JOB));
        self
    }
}
