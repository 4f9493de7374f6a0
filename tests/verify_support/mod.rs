//! A small issuer of its own: makes whole cards for the tests of `verify`, with plain code over the primitives.
#![allow(dead_code, unreachable_pub, reason = "a part of each test that includes it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use emv_dataprep::crypto::hash::sha1;
use emv_dataprep::crypto::rsa::{Exponent, RsaPrivate};
use emv_dataprep::crypto::tdes::{TdesKey, adjust_parity};
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::{
    CaPublicKey, CardContext, Derivation, ExpiryOrder, IssuerReturn, Keys, OuterPinBlock,
};
use serde_json::{Value, json};

// Primes of test keys, made once for these tests; p - 1 and q - 1 share no factor with 3 and 65537.
pub const CA: [&str; 2] = [
    "D548F4677636D1F33790DB4F73DCF21B6A3F698CC448178DFD8845DD9A8EFF1D0E9956018445D0E12F292F63BB31C9F31B2EF87F04F92F6B8369A24D838EC9FD",
    "C77DDF4ED81E99201238A231190CECDD56CF956305C2B3DEF8CB178D5A2FF452F45E445E69E955852E364F5376BD790CE024A0232AB9DD0E284720BEF1B46379",
];
pub const ISSUER: [&str; 2] = [
    "D4AFE045C3EDB5BB8660518F806D0FAD002DAC0E9FBC6D3B7E7236F4131D77ADC28A56442E34F1DDDA24C8052B452F6F85527736E53B183F",
    "E75C252045ADC7A80FEBAB295C4D43AF73A40688563DEDF1D5584B2108569C0D2F26E81E7447F1C12F6EAE7ADE070E004ECDB25F1A28B9CB",
];
pub const ICC: [&str; 2] = [
    "F9D068C111BC430BA4F6EF98774FACAF923E28BDEE364F7704F3C61F2940F6A3965BAB621B45344A30F4D6769D8AA4B5",
    "EB8929697482747E4D0A0F3AADBE863D23B5A83A042602B0BF0479F2727FC99D21FB7BF474E6EF9CA55482B253CCA30F",
];
pub const PIN_KEY: [&str; 2] = [
    "C73EA830489BD0D8860B457024610172A9CF375FF777E3DCFA9B247FE84E0877F6AD1F64033C0D8967711E59",
    "C41DA2B101A6A5B7759DC2CD9FE35392BE95C1FAA8471E0D5DF9AEBC8ED9D9FC3860A71B55BAF97147170E93",
];

pub const RID: [u8; 5] = [0xA0, 0, 0, 0, 3];
pub const AID: &str = "A0000000031010";
pub const PAN: &str = "4761739001010010";
pub const EXP: &str = "2906";
pub const TK: [u8; 16] =
    [0x15, 0x2A, 0x37, 0x49, 0x5B, 0x6D, 0x7F, 0x80, 0x91, 0xA2, 0xB3, 0xC4, 0xD5, 0xE6, 0xF7, 0x08];
pub const IMKS: [(&str, u8); 3] = [("imk-ac", 0x21), ("imk-smi", 0x43), ("imk-smc", 0x65)];
pub const CVK: [u8; 16] =
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];
pub const PVK: [u8; 16] = [0x76; 16];
pub const PIN_KEY_BYTES: [u8; 16] = [0x3E, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
pub const PIN: &str = "4071";

pub fn hex(bytes: &[u8]) -> String {
    emv_dataprep::bytes::hex_upper(bytes)
}

pub fn unhex(text: &str) -> Vec<u8> {
    emv_dataprep::bytes::from_hex(text).unwrap()
}

pub fn rsa(primes: [&str; 2], e: Exponent) -> RsaPrivate {
    RsaPrivate::from_primes(&unhex(primes[0]), &unhex(primes[1]), e).unwrap()
}

/// TLV from text: tag, value.
pub fn tlv(tag: &str, value: &[u8]) -> Vec<u8> {
    let mut out = unhex(tag);
    match value.len() {
        n @ 0..128 => out.push(n as u8),
        n @ 128..256 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend_from_slice(value);
    out
}

fn nibbles_to_bytes(text: &str) -> Vec<u8> {
    unhex(text)
}

fn decimalize(block: [u8; 8], n: usize) -> String {
    let text = hex(&block);
    let digits = text.chars().filter(char::is_ascii_digit);
    let letters = text.chars().filter(char::is_ascii_alphabetic).map(|c| char::from(c as u8 - b'A' + b'0'));
    digits.chain(letters).take(n).collect()
}

pub fn cvv(expiry: &str, code: &str) -> String {
    let d = unhex(&format!("{:0<32}", format!("{PAN}{expiry}{code}")));
    let key = TdesKey::from_bytes(&CVK).unwrap();
    let mut block = key.left_encrypt(d[..8].try_into().unwrap());
    for (b, x) in block.iter_mut().zip(&d[8..]) {
        *b ^= x;
    }
    decimalize(key.encrypt_block(block), 3)
}

pub fn pvv(pvki: u8) -> String {
    let tsp = format!("{}{pvki}{PIN}", &PAN[4..15]);
    decimalize(TdesKey::from_bytes(&PVK).unwrap().encrypt_block(unhex(&tsp).try_into().unwrap()), 4)
}

pub fn imk(seed: u8) -> Vec<u8> {
    let mut key: Vec<u8> = (0..16).map(|i| seed.wrapping_mul(i + 3) ^ 0x5A).collect();
    adjust_parity(&mut key);
    key
}

fn udk(imk: &[u8]) -> Vec<u8> {
    let y: [u8; 8] = unhex(&format!("{PAN}01")[2..]).try_into().unwrap();
    let key = TdesKey::from_bytes(imk).unwrap();
    let mut out = key.encrypt_block(y).to_vec();
    out.extend(key.encrypt_block(y.map(|b| b ^ 0xFF)));
    adjust_parity(&mut out);
    out
}

fn under_tk(value: &[u8]) -> Vec<u8> {
    let mut out = value.to_vec();
    TdesKey::from_bytes(&TK).unwrap().encrypt_ecb(&mut out).unwrap();
    out
}

fn pad80(value: &[u8]) -> Vec<u8> {
    let mut out = value.to_vec();
    out.push(0x80);
    out.resize(out.len().div_ceil(8) * 8, 0);
    out
}

/// A certificate and its remainder.
pub fn certificate(
    signer: &RsaPrivate,
    format: u8,
    subject: &[u8],
    subject_modulus: &[u8],
    exponent: &[u8],
    expiry: [u8; 2],
    static_data: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let n = signer.public().len();
    let mut block = vec![0x6A, format];
    block.extend_from_slice(subject);
    block.extend(expiry);
    block.extend([0, 0, 7, 1, 1, subject_modulus.len() as u8, exponent.len() as u8]);
    let room = n - block.len() - 21;
    let (left, remainder) = subject_modulus.split_at(room.min(subject_modulus.len()));
    block.extend_from_slice(left);
    block.resize(n - 21, 0xBB);
    let hash = sha1(&[&block[1..], remainder, exponent, static_data]);
    block.extend(hash);
    block.push(0xBC);
    (signer.apply(&block).unwrap(), remainder.to_vec())
}

fn ssad(signer: &RsaPrivate, static_data: &[u8]) -> Vec<u8> {
    let mut block = vec![0x6A, 3, 1, 0xDA, 0xC0];
    block.resize(signer.public().len() - 21, 0xBB);
    let hash = sha1(&[&block[1..], static_data]);
    block.extend(hash);
    block.push(0xBC);
    signer.apply(&block).unwrap()
}

pub struct Made {
    pub line: Value,
    pub keys: Keys,
    pub context: CardContext,
}

pub fn keys() -> Keys {
    let ca = rsa(CA, Exponent::THREE);
    let mut keys = Keys::default();
    keys.add("transport", 0x01, Secret::copy_of(&TK));
    for (name, seed) in IMKS {
        keys.add(name, 0x02, Secret::new(imk(seed)));
    }
    keys.add("cvk", 0x03, Secret::copy_of(&CVK));
    keys.add("pvk", 0x04, Secret::copy_of(&PVK));
    keys.set_pvki(0x04, 1);
    keys.add("pin", 0x05, Secret::copy_of(&PIN_KEY_BYTES));
    keys.add("mailer", 0x06, Secret::copy_of(&PIN_KEY_BYTES));
    keys.add_ca(CaPublicKey {
        rid: RID,
        index: 0x92,
        modulus: ca.public().modulus().to_vec(),
        exponent: vec![3],
        checksum: Some(sha1(&[&RID, &[0x92], ca.public().modulus(), &[3]])),
        expires: None,
    });
    keys
}

fn pin_block(format: u8) -> Vec<u8> {
    let mut block = match format {
        0 => {
            let field = unhex(&format!("04{PIN}FFFFFFFFFF"));
            let pan = unhex(&format!("0000{}", &PAN[3..15]));
            field.iter().zip(pan).map(|(a, b)| a ^ b).collect::<Vec<u8>>()
        }
        _ => unhex(&format!("14{PIN}1A2B3C4D5E")),
    };
    TdesKey::from_bytes(&PIN_KEY_BYTES).unwrap().encrypt_ecb(&mut block).unwrap();
    block
}

pub fn context() -> CardContext {
    CardContext {
        today: Some(emv_dataprep::card::CardDate::from_yymmdd("260501").unwrap()),
        derivation_index: Some(2),
        derivation: Some(Derivation::OptionA),
        cvk_index: Some(3),
        pvk_index: Some(4),
        cvv2_order: Some(ExpiryOrder::Mmyy),
        service_code: Some("201".into()),
        track1_pattern: Some("000000|cvv|000000".into()),
        track2_pattern: Some("pvki|pvv|cvv".into()),
        chip_track2_pattern: Some("pvki|pvv|cvv".into()),
        issuer_return: Some(IssuerReturn {
            psn: Some("01".into()),
            pvv: Some(pvv(1).into()),
            pvki: Some(1),
            pin_block: Some(OuterPinBlock {
                format: 0,
                usage: "pin",
                key_index: Some(5),
                block: pin_block(0),
            }),
            serials: vec![[0, 0, 7]],
            ..Default::default()
        }),
        mailer: Some(OuterPinBlock { format: 1, usage: "mailer", key_index: Some(6), block: pin_block(1) }),
        ..Default::default()
    }
}

fn dgi(tag: &str, value: &[u8]) -> Value {
    json!({"dgi": tag, "value": hex(value), "protection": "none"})
}

fn secret(tag: &str, value: &[u8]) -> Value {
    json!({"dgi": tag, "value": hex(&under_tk(value)), "protection": "transport"})
}

fn key_dgis(series: &str, key: &RsaPrivate) -> Vec<Value> {
    [key.qinv(), key.dq(), key.dp(), key.q(), key.p()]
        .iter()
        .enumerate()
        .map(|(i, part)| secret(&format!("{series}0{}", i + 1), &pad80(part.expose())))
        .collect()
}

/// Records of one path: static records first, then the certificates over them.
fn oda_records(
    sfi: u8,
    aip: [u8; 2],
    contact: bool,
    issuer: &RsaPrivate,
    icc: &RsaPrivate,
    pin: &RsaPrivate,
) -> Vec<Value> {
    let signed = [
        tlv("5A", &unhex(PAN)),
        tlv("5F24", &unhex("290630")),
        tlv("5F25", &unhex("260101")),
        tlv("5F28", &unhex("0826")),
        tlv("5F34", &[1]),
        tlv("9F07", &unhex(if contact { "FF80" } else { "C080" })),
        tlv("8E", &unhex("00000000000000004103440342035E031F03")),
        tlv("9F0D", &unhex("F040642000")),
        tlv("9F0E", &unhex("0010880000")),
        tlv("9F0F", &unhex("F0E064F800")),
        tlv("9F4A", &[0x82]),
    ]
    .concat();
    let static_data = [signed.as_slice(), &aip].concat();
    let mut pan = unhex(PAN);
    pan.resize(10, 0xFF);
    let icc_public = icc.public();
    let (cert, rest) =
        certificate(issuer, 4, &pan, icc_public.modulus(), icc_public.exponent(), [6, 0x29], &static_data);
    let ca = rsa(CA, Exponent::THREE);
    let issuer_public = issuer.public();
    let (issuer_cert, issuer_rest) = certificate(
        &ca,
        2,
        &unhex("476173FF"),
        issuer_public.modulus(),
        issuer_public.exponent(),
        [0x12, 0x30],
        &[],
    );
    let mut records = vec![
        signed,
        [tlv("8F", &[0x92]), tlv("90", &issuer_cert), tlv("92", &issuer_rest), tlv("9F32", &[3])].concat(),
        [tlv("9F46", &cert), tlv("9F48", &rest), tlv("9F47", &[1, 0, 1]), tlv("9F49", &unhex("9F3704"))]
            .concat(),
        tlv("93", &ssad(issuer, &static_data)),
    ];
    if contact {
        let pin_public = pin.public();
        let (cert, rest) =
            certificate(issuer, 4, &pan, pin_public.modulus(), pin_public.exponent(), [6, 0x29], &[]);
        records.push([tlv("9F2D", &cert), tlv("9F2F", &rest), tlv("9F2E", &[3])].concat());
        let cdol = "9F02069F03069F1A0295055F2A029A039C019F3704";
        records.push(
            [
                tlv("8C", &unhex(cdol)),
                tlv("8D", &unhex(&format!("8A02{cdol}"))),
                tlv("5F20", b"DOE/JANE"),
                tlv("57", &chip_track2()),
                tlv("5F30", &unhex("0201")),
            ]
            .concat(),
        );
    }
    let named = records.iter().enumerate();
    named.map(|(i, r)| dgi(&format!("{sfi:02X}{:02X}", i + 1), &tlv("70", r))).collect()
}

fn chip_track2() -> Vec<u8> {
    nibbles_to_bytes(&format!("{PAN}D{EXP}2011{}{}", pvv(1), cvv(EXP, "999")))
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
        if dgi["protection"] == "transport" {
            steps.push(json!({"storeData": {"p1": format!("{:02X}", 0x60 | last), "p2": format!("{p2:02X}"), "dgis": [dgi["dgi"]]}, "recipher": true}));
            p2 += 1;
            continue;
        }
        let count = bytes.len().div_ceil(231);
        for (n, chunk) in bytes.chunks(231).enumerate() {
            let last = if n + 1 == count { last } else { 0 };
            steps.push(json!({"apdu": format!("80E2{last:02X}{p2:02X}{:02X}{}", chunk.len(), hex(chunk))}));
            p2 += 1;
        }
    }
    Value::Array(steps)
}

/// A dual-interface card with SDA, DDA, offline PIN, PSE and PPSE.
pub fn dual_card() -> Made {
    let issuer = rsa(ISSUER, Exponent::THREE);
    let icc = rsa(ICC, Exponent::F4);
    let pin = rsa(PIN_KEY, Exponent::THREE);
    let card_keys: Vec<u8> = IMKS.iter().flat_map(|(_, seed)| udk(&imk(*seed))).collect();
    let kcvs: Vec<u8> = card_keys
        .chunks(16)
        .flat_map(|k| TdesKey::from_bytes(k).unwrap().encrypt_block([0; 8])[..3].to_vec())
        .collect();
    let fci = tlv("A5", &[tlv("50", b"VISA DEBIT"), tlv("87", &[1]), tlv("5F2D", b"en")].concat());
    let cless = tlv(
        "A5",
        &[tlv("50", b"VISA DEBIT"), tlv("87", &[1]), tlv("9F38", &unhex("9F66049F02069F3704"))].concat(),
    );
    // SFI 1 holds the contact records, SFI 2 the contactless ones; the first record of each is signed.
    let gpo = [tlv("82", &[0x7C, 0]), tlv("94", &unhex("0801010108020600"))].concat();
    let qvsdc = [
        tlv("82", &[0x70, 0]),
        tlv("94", &unhex("1001010110020400")),
        tlv("57", &chip_track2()),
        tlv("9F10", &unhex("06010A03000000")),
        tlv("9F6C", &[0, 0]),
    ]
    .concat();
    let mut dgis = vec![dgi("9102", &fci), dgi("9103", &cless), dgi("9104", &gpo), dgi("9117", &qvsdc)];
    dgis.extend(oda_records(1, [0x7C, 0], true, &issuer, &icc, &pin));
    dgis.extend(oda_records(2, [0x70, 0], false, &issuer, &icc, &pin));
    dgis.push(secret("8000", &card_keys));
    dgis.push(dgi("9000", &kcvs));
    dgis.push(dgi("9010", &[3, 3]));
    dgis.push(secret("8010", &unhex(&format!("24{PIN}FFFFFFFFFF"))));
    dgis.extend(key_dgis("82", &icc));
    dgis.extend(key_dgis("83", &pin));
    let pse_name = "315041592E5359532E4444463031";
    let ppse_name = "325041592E5359532E4444463031";
    let entry = tlv("61", &[tlv("4F", &unhex(AID)), tlv("50", b"VISA DEBIT"), tlv("87", &[1])].concat());
    let pse = vec![
        dgi("9102", &tlv("A5", &[tlv("88", &[1]), tlv("5F2D", b"en")].concat())),
        dgi("0101", &tlv("70", &entry)),
    ];
    let ppse = vec![dgi("9102", &tlv("A5", &tlv("BF0C", &entry)))];
    let tail = format!("1{}{}", pvv(1), cvv(EXP, "201"));
    let line = json!({
        "format": "emv-dataprep/card/1", "position": 1, "cardId": "c-1", "issuerRequestId": "r-1",
        "maskedPan": "476173******0010", "channel": "CENTRAL", "destination": "PC1", "product": "p", "profile": "q",
        "transportKey": {"index": "01", "kcv": hex(&TdesKey::from_bytes(&TK).unwrap().encrypt_block([0; 8])[..3]), "algorithm": "TDES-2KEY"},
        "chip": {"applications": [
            {"aid": pse_name, "interfaces": ["contact"], "dgis": pse, "script": script(pse_name, &pse)},
            {"aid": ppse_name, "interfaces": ["contactless"], "dgis": ppse, "script": script(ppse_name, &ppse)},
            {"aid": AID, "interfaces": ["contact", "contactless"], "dgis": dgis, "script": script(AID, &dgis)},
        ]},
        "magstripe": {
            "track1": format!("B{PAN}^DOE/JANE^{EXP}201000000{}000000", cvv(EXP, "201")),
            "track2": format!("{PAN}={EXP}201{tail}"),
            "track3": null,
        },
        "print": {"pan": "4761 7390 0101 0010", "name": "JANE DOE", "expiry": "06/29", "cvv2": cvv("0629", "000")},
        "carrier": null, "packaging": null, "shipment": null,
    });
    Made { line, keys: keys(), context: context() }
}
