use proptest::prelude::*;

use super::*;
use crate::prepare::{Address, CardDesign, CarrierConfig, Phone, SensitiveText, Shipment};

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[A-Za-z0-9 /^=\\\\\"\u{e9}\u{2028}-]{0,12}").unwrap()
}

fn sensitive() -> impl Strategy<Value = Option<SensitiveText>> {
    proptest::option::of(text().prop_map(SensitiveText::new))
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

fn list(most: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(text(), 0..=most)
}

fn address() -> impl Strategy<Value = Box<Address>> {
    let phone = proptest::option::of((text(), text()))
        .prop_map(|p| p.map(|(country_code, phone_number)| Phone { country_code, phone_number }));
    let must = (text(), text(), text(), text(), text());
    let may = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), phone);
    (must, may).prop_map(|(must, may)| {
        let (last_name, line1, city, zip_code, country_code) = must;
        let (title, first_name, company_name, line2, line3, state, email, mobile_phone_number) = may;
        Box::new(Address {
            title,
            first_name,
            last_name,
            company_name,
            line1,
            line2,
            line3,
            city,
            state,
            zip_code,
            country_code,
            mobile_phone_number,
            email,
        })
    })
}

fn shipment() -> impl Strategy<Value = Option<ShipmentRecord>> {
    let individual = address().prop_map(|delivery_address| Some(Shipment::Individual { delivery_address }));
    let bulk = (address(), proptest::option::of(address()), maybe(), maybe()).prop_map(
        |(delivery_address, individual_address, group_id, order_id)| {
            Some(Shipment::Bulk { delivery_address, individual_address, group_id, order_id })
        },
    );
    let kind = prop_oneof![Just(None), individual, bulk];
    let record = (text(), maybe(), kind);
    proptest::option::of(record.prop_map(|(delivery, priority, shipment)| ShipmentRecord {
        delivery,
        priority,
        shipment,
    }))
}

fn application() -> impl Strategy<Value = PreparedApplication> {
    let aid = proptest::collection::vec(any::<u8>(), 5..=16);
    let dgis = proptest::collection::btree_map(
        prop_oneof![0x0101_u16..0x7FEF, 0x8000_u16..0xFFFF],
        (any::<bool>(), proptest::collection::vec(any::<[u8; 8]>(), 1..6)),
        1..6,
    );
    let interfaces = prop_oneof![
        Just(vec![Interface::Contact]),
        Just(vec![Interface::Contactless]),
        Just(vec![Interface::Contactless, Interface::Contact])
    ];
    (aid, dgis, interfaces, any::<bool>()).prop_map(|(aid, dgis, interfaces, with_script)| {
        let aid = crate::emv::Aid::new(&aid).unwrap();
        let dgis = dgis.into_iter().map(|(tag, (secret, value))| ProtectedDgi {
            tag: DgiTag(tag),
            value: value.concat(),
            protection: if secret { Protection::Transport } else { Protection::None },
        });
        let dgis = ProtectedDgiSet::from_prepared(dgis.collect()).unwrap();
        let script = with_script.then(|| Script::build(&aid, &dgis, &Default::default()).unwrap());
        PreparedApplication { aid, interfaces, dgis, script }
    })
}

fn print() -> impl Strategy<Value = Print> {
    let design = (list(5), list(10), maybe(), maybe(), maybe()).prop_map(
        |(images, custom_lines, card_image, artwork_id, member_id)| CardDesign {
            images,
            custom_lines,
            card_image,
            artwork_id,
            member_id,
        },
    );
    let texts = (sensitive(), sensitive(), sensitive(), sensitive(), sensitive());
    (texts, maybe(), proptest::option::of(design), any::<bool>()).prop_map(
        |((pan, name, second_name, expiry, cvv2), member_id, design, alpha_card)| Print {
            pan,
            name,
            second_name,
            expiry,
            cvv2,
            member_id,
            design,
            alpha_card,
        },
    )
}

fn carrier() -> impl Strategy<Value = Option<Carrier>> {
    let config = (maybe(), list(5), list(10), maybe(), proptest::option::of(any::<u8>())).prop_map(
        |(language, images, custom_lines, multi_card_id, multi_card_order)| CarrierConfig {
            language,
            images,
            custom_lines,
            multi_card_id,
            multi_card_order,
        },
    );
    let carrier = (text(), text(), sensitive(), config).prop_map(|(id, issuance, name, config)| Carrier {
        id,
        issuance,
        name,
        config,
    });
    proptest::option::of(carrier)
}

/// Any value that a card line can say.
pub(in crate::output) fn any_card() -> impl Strategy<Value = CardLine> {
    let ids = (1..u64::MAX, "[A-Za-z0-9_-]{1,48}", proptest::option::of("[A-Za-z0-9_-]{1,64}"));
    let day = (0_u8..100, 1_u8..13, 1_u8..29)
        .prop_map(|(y, m, d)| CardDate::from_yymmdd(&format!("{y:02}{m:02}{d:02}")).unwrap());
    let names = (0_usize..3, "[A-Za-z0-9_-]{1,64}", text(), text(), "[0-9]{6}\\*{2,9}[0-9]{4}", day);
    let mode = proptest::option::of(prop_oneof![Just(ProtectMode::Ecb), Just(ProtectMode::Cbc)]);
    let wrapped = proptest::option::of("[A-Z0-9]{16,40}");
    let key = (any::<u8>(), any::<bool>(), "([0-9A-F]{2}){3,5}", wrapped, mode);
    let packaging = (text(), list(3)).prop_map(|(id, inserts)| Packaging { id, inserts });
    let stripe = (sensitive(), sensitive(), sensitive()).prop_map(|(track1, track2, track3)| Magstripe {
        track1,
        track2,
        track3,
    });
    let chip = proptest::collection::vec(application(), 0..3);
    let rest = (print(), carrier(), proptest::option::of(packaging), shipment());
    (ids, names, key, chip, stripe, rest).prop_map(|(ids, names, key, applications, magstripe, rest)| {
        let (position, card_id, request) = ids;
        let (channel, destination, product, profile, masked_pan, not_after) = names;
        let (index, triple, kcv, wrapped, mode) = key;
        let (print, carrier, packaging, shipment) = rest;
        CardLine {
            position,
            card_id: card_id.parse().unwrap(),
            issuer_request_id: request.map(|r| r.parse().unwrap()),
            masked_pan,
            channel: Channel::ALL[channel],
            destination: destination.parse().unwrap(),
            product,
            profile,
            not_after,
            transport_key: TransportKeyInfo {
                index: crate::keys::KeyIndex(index),
                algorithm: if triple { KeyAlgorithm::Tdes3 } else { KeyAlgorithm::Tdes2 },
                kcv,
                wrapped,
            },
            transport_mode: mode,
            applications,
            magstripe,
            print,
            carrier,
            packaging,
            shipment,
            record_mac: (position % 2 == 0)
                .then(|| super::RecordMac::from_hex(&format!("{position:064X}")).unwrap()),
        }
    })
}

const GOOD: &str = concat!(
    r#"{"format":"emv-dataprep/card/1","position":3,"cardId":"c-3","issuerRequestId":null,"#,
    r#""maskedPan":"476173******0010","channel":"CENTRAL","destination":"PC1","product":"p","profile":"q","notAfter":"2026-04-15","#,
    r#""transportKey":{"index":"0A","kcv":"08D7B4","algorithm":"TDES-2KEY"},"#,
    r#""chip":{"applications":[{"aid":"A0000000031010","interfaces":["contact","contactless"],"#,
    r#""dgis":[{"dgi":"0101","value":"7000","protection":"none"},"#,
    r#"{"dgi":"8010","value":"ABABABABABABABAB","protection":"transport"}],"#,
    r#""script":[{"apdu":"00A40400"},{"storeData":{"p1":"E0","p2":"01","dgis":["8010"]},"recipher":true}]}]},"#,
    r#""magstripe":{"track1":null,"track2":"4761739001010010=29062010000","track3":null},"#,
    r#""print":{"pan":"4761739001010010"},"carrier":null,"packaging":null,"shipment":null}"#
);

proptest! {
    #[test]
    fn what_is_written_is_read_back(card in any_card()) {
        let line = card.to_json();
        let read = CardLine::read(std::str::from_utf8(&line).unwrap()).unwrap();
        prop_assert!(read == card, "the value differs");
        prop_assert!(read.to_json() == line, "the line differs");
    }

    #[test]
    fn a_changed_line_is_refused_or_written_as_it_is_read(at in 0..GOOD.len(), to in any::<u8>()) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = to;
        if let Ok(text) = std::str::from_utf8(&bytes)
            && let Ok(card) = CardLine::read(text)
        {
            let again = CardLine::read(std::str::from_utf8(&card.to_json()).unwrap()).unwrap();
            prop_assert!(again == card);
        }
    }
}

#[test]
fn refusals_name_their_place_and_no_value() {
    assert!(CardLine::read(GOOD).is_ok());
    let cases: [(&str, &str, &str); 26] = [
        ("card/1", "card/2", "format: this format of a line is not known"),
        (
            r#"{"format":"emv-dataprep/card/1","position":3"#,
            r#"{"position":3,"format":"emv-dataprep/card/1""#,
            "begins with its format",
        ),
        (r#""position":3"#, r#""position":0"#, "position: "),
        (r#""product":"p""#, r#""product":"p","pin":"1234""#, "is not a card line"),
        (r#""product":"p""#, r#""product":"p","product":"p""#, "is not a card line"),
        (r#""issuerRequestId":null,"#, "", "is not a card line"),
        (r#""print":{"#, r#""print":{"pan2":"","#, "is not a card line"),
        ("476173******0010", "4761739001010010", "maskedPan: "),
        ("CENTRAL", "MIDDLE", "channel: "),
        (r#""PC1""#, r#""../PC1""#, "destination: "),
        ("2026-04-15", "2026-02-30", "notAfter: "),
        (r#""0A""#, r#""0a""#, "transportKey: index: "),
        ("08D7B4", "08D7", "transportKey: kcv: "),
        ("TDES-2KEY", "HMAC-SHA-256", "transportKey: algorithm: "),
        (r#"TDES-2KEY""#, r#"TDES-2KEY","mode":"OFB""#, "transportKey: mode: "),
        ("A0000000031010", "a0000000031010", "chip.applications[0]: aid: "),
        (r#","contactless"]"#, r#","contact"]"#, "chip.applications[0]: interfaces: "),
        (r#""dgi":"0101""#, r#""dgi":"8010""#, "dgis: DGI 8010: "),
        (r#""dgi":"0101""#, r#""dgi":"7FFF""#, "dgis: DGI 7FFF: "),
        ("ABABABABABABABAB", "ABABABABABABAB", "dgis[1]: value: "),
        ("ABABABABABABABAB", "abABABABABABABAB", "dgis[1]: value: "),
        (r#""protection":"none""#, r#""protection":"clear""#, "dgis[0]: protection: "),
        (r#""dgis":["8010"]"#, r#""dgis":["0101"]"#, "script[1]: storeData.dgis: "),
        (r#""dgis":["8010"]"#, r#""dgis":[]"#, "script[1]: storeData.dgis: "),
        (r#""recipher":true"#, r#""recipher":false"#, "script[1]: "),
        (r#""shipment":null"#, r#""shipment":{"delivery":"POST","groupId":"1"}"#, "shipment: "),
    ];
    for (from, to, message) in cases {
        assert!(GOOD.contains(from), "{from}");
        let error = CardLine::read(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
        assert!(!error.contains("4761739001010010") && !error.contains("1234"), "{error}");
    }
    // A value in the place of another type is not told either.
    let error = CardLine::read(&GOOD.replacen("3,", "\"4761739001010010\",", 1)).unwrap_err().to_string();
    assert!(!error.contains("4761739001010010"), "{error}");
    for text in ["", "[]", "{}", "null", &format!("{GOOD} x"), &GOOD[..GOOD.len() - 1]] {
        assert!(CardLine::read(text).is_err());
    }
}

#[test]
fn debug_names_ids_and_the_masked_pan() {
    let text = format!("{:?}", CardLine::read(GOOD).unwrap());
    let shown = concat!(
        r#"CardLine { position: 3, card_id: CardId("c-3"), pan: "476173******0010", "#,
        r#"destination: DestinationId("PC1"), .. }"#
    );
    assert_eq!(text, shown);
}
