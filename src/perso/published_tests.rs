//! Groupings that real test cards have, from public personalization scripts and a public sample card. They are read,
//! taken apart into the types of `emv`, and written again to the same bytes.

use super::*;
use crate::bytes::{from_hex, hex_upper};
use crate::emv::{Afl, Aip, AipFlag, CvmList, Dol, Record, Tag, tlv};

fn bytes(hex: &str) -> Vec<u8> {
    from_hex(&hex.replace(' ', "")).unwrap()
}

/// Writes the data objects of a value again, from the innermost out.
fn rewritten(nodes: &[tlv::Node<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for node in nodes {
        let inner =
            if node.children.is_empty() { node.tlv.value.to_vec() } else { rewritten(&node.children) };
        tlv::push(&mut out, node.tlv.tag, &inner);
    }
    out
}

#[test]
fn select_responses_and_records_are_canonical() {
    for (number, hex) in [
        // PBOC test profile: contact and contactless SELECT responses, PSE and PPSE, records.
        (
            0x9102,
            "A54B500B50424F43204372656469748701019F380F9F1A029F7A019F02065F2A029F4E145F2D087A68656E667264659F1101019F120F4341524420494D4147452030303331BF0C059F4D020B0A",
        ),
        (
            0x9103,
            "A554500B50424F43204372656469748701019F38189F66049F02069F03069F1A0295055F2A029A039C019F37045F2D087A68656E667264659F1101019F120F4341524420494D4147452030303331BF0C059F4D020B0A",
        ),
        (0x9203, "82027C00941008010100100102001801040120010200"),
        (0x9207, "82027C00940810010200180103019F101307010103000000010A01000000000000000000"),
        (0x9200, "9F101307010103000000010A01000000000000000000"),
        (0x9102, "A5128801015F2D087A68656E667264659F110101"),
        (0x9102, "A51FBF0C1C611A4F08A000000333010101500B50424F4320437265646974870101"),
        (
            0x0101,
            "702B61294F08A000000333010101500B50424F43204372656469749F120F4341524420494D4147452030303239",
        ),
        (0x0301, "701B5A0862280001000011175F24033012315F25039507019F08020030"),
        // Visa cloud sample card.
        (
            0x9103,
            "6F338407A0000000031010A528500B56495341204352454449549F38189F66049F02069F03069F1A0295055F2A029A039C019F3704",
        ),
        (0x9206, "820200C0940408010100"),
        (0x3001, "9F68041000A000"),
        (0x0101, "701557134005571000001989D15102215555533300341F"),
        (0x0103, "70179F070200809F19030102039F7C04010291175F28020840"),
    ] {
        let value = bytes(hex);
        let dgi = encode_dgi(DgiTag(number), &value).unwrap();
        let read = parse_dgis(&dgi).unwrap();
        assert_eq!((read.len(), read[0].value), (1, &value[..]), "{hex}");
        assert_eq!(hex_upper(&rewritten(&tlv::tree(&value, tlv::Rules::Canonical).unwrap())), hex);
        if let Some((sfi, record)) = DgiTag(number).emv_record() {
            assert_eq!(Record::verbatim(sfi, record, value.clone()).unwrap().bytes(), value);
        }
    }
}

#[test]
fn gpo_data_lists_and_rules() {
    // PBOC 9104, contact: SDA, DDA, CVM, TRM, issuer authentication; eight records, one of them signed.
    let gpo = bytes("82027C00941008010100100102001801020120010300");
    let objects = tlv::parse(&gpo).unwrap();
    let aip = Aip::parse(objects[0].value).unwrap();
    assert!(aip.has(AipFlag::Dda) && aip.has(AipFlag::IssuerAuthentication) && !aip.has(AipFlag::Cda));
    assert_eq!(Afl::parse(objects[1].value).unwrap().records().count(), 8);
    // Visa cloud sample, magnetic-stripe mode.
    let msd = bytes("820200C0940408010100");
    let objects = tlv::parse(&msd).unwrap();
    assert_eq!(Afl::parse(objects[1].value).unwrap().encode(), [8, 1, 1, 0]);
    // PBOC record 0402: CDOL1 asks for 32 bytes; CDOL2 for an authorisation response code besides.
    let record = bytes(
        "70368C189F02069F03069F1A0295055F2A029A039F21039C019F37048D1A8A029F02069F03069F1A0295055F2A029A039F21039C019F3704",
    );
    let outer = tlv::parse_one(&record, tlv::Rules::Canonical).unwrap();
    let dol = |tag| Dol::parse(tlv::find(outer.value, tag).unwrap().unwrap()).unwrap();
    assert_eq!((dol(Tag::CDOL1).total_len(), dol(Tag::CDOL2).total_len()), (32, 34));
    assert!(dol(Tag::CDOL2).contains(Tag::AUTHORISATION_RESPONSE_CODE));
    // PBOC record 0403: online PIN, signature, then no CVM.
    let record =
        bytes("702C8E120000000000000000420342035E0343031F009F0D05F0200400009F0E0500508800009F0F05F020049800");
    let outer = tlv::parse_one(&record, tlv::Rules::Canonical).unwrap();
    let list = CvmList::parse(tlv::find(outer.value, Tag::CVM_LIST).unwrap().unwrap()).unwrap();
    assert_eq!((list.rules.len(), list.has_offline_pin(), list.rules[4].method), (5, true, 0x1F));
}
