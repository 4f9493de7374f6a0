use proptest::prelude::*;

use super::*;
use crate::bytes::{from_hex, hex_upper};
use crate::issuer::ProtectMode;
use crate::keys::{KeyAlgorithm, KeyIndex};
use crate::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection};
use crate::secret::Secret;

/// The skeleton of the framing: one application, IDTK 0000000001, IDOWNER 476173, three DGIs; made by another program.
const SKELETON: &str = concat!(
    "30322E3100A0000D003030000107A0000000031010008F1407A00000000310100B0100000000012011018000001A034761730014130F01EF000C0000",
    "00000000000000000000000000000059EF57010115701357114761739001010010D22122011143878089800030000000000000000000000000000000",
    "00000000000000000000000000000000000000000000000000000000000000000090000997DCB0CE4E2CB37DF300"
);

fn dgi(tag: u16, value: &[u8], protection: Protection) -> ProtectedDgi {
    ProtectedDgi { tag: DgiTag(tag), value: value.to_vec(), protection }
}

fn skeleton() -> ChipCard {
    let record = from_hex("701357114761739001010010D22122011143878089").unwrap();
    let dgis = ProtectedDgiSet::from_prepared(vec![
        dgi(0x0101, &record, Protection::None),
        dgi(0x8000, &[0; 48], Protection::Transport),
        dgi(0x9000, &from_hex("97DCB0CE4E2CB37DF3").unwrap(), Protection::None),
    ]);
    ChipCard {
        reference: Some("c-1".to_owned()),
        position: Some(7),
        masked_pan: Some("476173******0010".to_owned()),
        transport: Some(TransportReference {
            index: Some(KeyIndex(1)),
            algorithm: Some(KeyAlgorithm::Tdes2),
            kcv: Some("08D7B4".to_owned()),
            wrapped: None,
            mode: None,
        }),
        applications: vec![ChipApplication { aid: "A0000000031010".parse().unwrap(), dgis: dgis.unwrap() }],
    }
}

fn absent() -> CpsSettings {
    CpsSettings { reference: CardReference::None, ..CpsSettings::default() }
}

#[test]
fn the_skeleton_byte_for_byte() {
    let record = CpsRecord::build(&skeleton(), &absent(), None).unwrap();
    let bytes = record.encode(&absent()).unwrap();
    assert_eq!(bytes.len(), 166);
    assert_eq!(hex_upper(&bytes), SKELETON);
    let read = read_records(&bytes, &absent()).unwrap();
    assert_eq!(read, [record]);
    let card = read[0].to_card(&absent()).unwrap();
    assert_eq!(card.applications, skeleton().applications);
    let key = card.transport.unwrap();
    assert_eq!((key.index, key.mode), (Some(KeyIndex(1)), Some(ProtectMode::Ecb)));
}

#[test]
fn every_byte_of_the_skeleton_is_read() {
    // A changed byte is refused, or gives another record that is written as those bytes again.
    let bytes = from_hex(SKELETON).unwrap();
    let mut refused = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            match read_records(&changed, &absent()) {
                Err(_) => refused += 1,
                Ok(records) => assert_eq!(records[0].encode(&absent()).unwrap(), changed, "byte {at}"),
            }
        }
        assert!(read_records(&bytes[..at], &absent()).is_err() || at == 0, "cut at {at}");
    }
    assert!(refused > 8 * 50, "{refused}");
}

#[test]
fn module_identifier_and_count() {
    let settings =
        CpsSettings { module_identifier: "EMV#".to_owned(), count_digits: 7, ..CpsSettings::default() };
    let record = CpsRecord::build(&skeleton(), &settings, None).unwrap();
    let bytes = record.encode(&settings).unwrap();
    // CRN is three bytes longer than in the skeleton.
    assert_eq!(&bytes[..15], b"EMV#000016902.1");
    let two = [bytes.clone(), bytes.clone()].concat();
    assert_eq!(read_records(&two, &settings).unwrap(), [record.clone(), record]);
    let mut wrong = bytes.clone();
    wrong[10] = b'8';
    let error = read_records(&[bytes, wrong].concat(), &settings).unwrap_err();
    assert_eq!(error.to_string(), "record 2: LCCA: the count of bytes is wrong");
    let small = CpsSettings { count_digits: 2, ..CpsSettings::default() };
    assert!(CpsRecord::build(&skeleton(), &small, None).unwrap().encode(&small).is_err());
}

#[test]
fn device_instructions_list_what_the_application_has() {
    let tags = |list: &[u16]| list.iter().map(|t| DgiTag(*t)).collect::<Vec<_>>();
    let settings = CpsSettings {
        order: vec![tags(&[0x8000, 0x9000]), tags(&[0x9010, 0x8010])],
        version_control: tags(&[0x9000, 0x9117]),
        enciphered: EncipheredList::Secret,
        random: tags(&[0x8010]),
        groups: vec![tags(&[0x0101, 0x9000])],
        security_level: SecurityLevel::MacAndEncryption,
        update_cplc: CplcUpdate::Write,
        ..absent()
    };
    let pdi = |settings: &CpsSettings| {
        let bytes = CpsRecord::build(&skeleton(), settings, None).unwrap().encode(settings).unwrap();
        assert_eq!(read_records(&bytes, settings).unwrap()[0].encode(settings).unwrap(), bytes);
        let hex = hex_upper(&bytes);
        let at = hex.find("0F01EF").unwrap();
        let len = usize::from_str_radix(&hex[at + 6..at + 10], 16).unwrap();
        hex[at + 10..at + 10 + 2 * len].to_owned()
    };
    assert_eq!(pdi(&settings), "0005048000900000029000000380001100000005040101900003".to_owned() + "01");
    let counted = CpsSettings { list_framing: ListFraming::Count, ..settings.clone() };
    assert_eq!(pdi(&counted), "0005028000900000029000000380001100000005020101900003".to_owned() + "01");
    let mixed = CpsSettings { groups: vec![tags(&[0x8000, 0x9000])], ..settings };
    let error = CpsRecord::build(&skeleton(), &mixed, None).unwrap_err().to_string();
    assert_eq!(error, "application A0000000031010: GROUP: the DGIs of a group are all clear or all secret");
}

#[test]
fn the_record_mac_goes_over_the_span() {
    // ISO/IEC 9797-1 algorithm 3 written out with single DES blocks: a second computation.
    let key: Vec<u8> = (0x10..0x20).collect();
    let mac_key = RecordMacKey::known(Secret::copy_of(&key), [0xEE; 16]).unwrap();
    let section = &from_hex(SKELETON).unwrap()[23..165];
    for (span, input) in [
        (MacSpan::Section, section),
        (MacSpan::AidData, &section[1..]),
        (MacSpan::IcData, &section[section.len() - 0x59..]),
    ] {
        let settings = CpsSettings { mac: Some(span), ..absent() };
        let record = CpsRecord::build(&skeleton(), &settings, Some(&mac_key)).unwrap();
        let bytes = record.encode(&settings).unwrap();
        let tail = &bytes[bytes.len() - 25..];
        assert_eq!((tail[0], &tail[1..17]), (24, &[0xEE; 16][..]));
        assert_eq!(tail[17..], second_mac(&key, input), "{span:?}");
        let read = &read_records(&bytes, &settings).unwrap()[0].applications[0];
        assert!(read.check_mac(&Secret::copy_of(&key), span, &settings).is_ok());
        assert!(read.check_mac(&Secret::copy_of(&[1; 16]), span, &settings).is_err());
        let mut changed = read.clone();
        changed.data[0].dgis[1].1[5] ^= 1;
        assert!(changed.check_mac(&Secret::copy_of(&key), span, &settings).is_err());
    }
    let settings = CpsSettings { mac: Some(MacSpan::Section), ..absent() };
    let error = CpsRecord::build(&skeleton(), &settings, None).unwrap_err().to_string();
    assert_eq!(error, "application A0000000031010: 3d: the record MAC key is missing");
}

fn second_mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    use crate::crypto::tdes::TdesKey;
    // Single DES is TDES with equal halves.
    let left = TdesKey::from_bytes(&[&key[..8], &key[..8]].concat()).unwrap();
    let right = TdesKey::from_bytes(&[&key[8..], &key[8..]].concat()).unwrap();
    let mut padded = data.to_vec();
    padded.push(0x80);
    while padded.len() % 8 != 0 {
        padded.push(0);
    }
    let mut chain = [0_u8; 8];
    for block in padded.chunks(8) {
        for (c, b) in chain.iter_mut().zip(block) {
            *c ^= b;
        }
        chain = left.encrypt_block(chain);
    }
    left.encrypt_block(right.decrypt_block(chain)).to_vec()
}

#[test]
fn what_a_record_cannot_carry_is_refused() {
    let refused = |change: fn(&mut ChipCard), settings: CpsSettings| {
        let mut card = skeleton();
        change(&mut card);
        CpsRecord::build(&card, &settings, None).unwrap_err().to_string()
    };
    let key = |card: &mut ChipCard, f: fn(&mut TransportReference)| f(card.transport.as_mut().unwrap());
    let wrapped: fn(&mut ChipCard) = |c| c.transport.as_mut().unwrap().wrapped = Some("B".to_owned());
    assert!(refused(wrapped, absent()).contains("TKDATA: a transport key made for one block"));
    let aes: fn(&mut ChipCard) = |c| c.transport.as_mut().unwrap().algorithm = Some(KeyAlgorithm::Aes128);
    assert!(refused(aes, absent()).contains("TKDATA: an AES transport key without a CMODE"));
    let codes = CipherModeCodes { aes_cbc: Some(0x30), ..CipherModeCodes::default() };
    let settings = CpsSettings { mode: ProtectMode::Cbc, mode_codes: codes, ..absent() };
    let mut card = skeleton();
    key(&mut card, |k| k.algorithm = Some(KeyAlgorithm::Aes128));
    let record = CpsRecord::build(&card, &settings, None).unwrap();
    assert_eq!(record.applications[0].transport[0].mode, 0x30);
    assert_eq!(record.to_card(&settings).unwrap().transport.unwrap().mode, Some(ProtectMode::Cbc));
    assert!(refused(|c| c.transport = None, absent()).contains("the transport key is missing"));
    assert!(refused(|c| c.masked_pan = None, absent()).contains("IDOWNER"));
    assert!(refused(|c| c.reference = None, CpsSettings::default()).contains("the card id is missing"));
    let position = CpsSettings { reference: CardReference::Position, ..CpsSettings::default() };
    let record = CpsRecord::build(&skeleton(), &position, None).unwrap();
    assert_eq!(
        (record.reference.as_slice(), record.to_card(&position).unwrap().position),
        (&b"7"[..], Some(7))
    );
    assert!(refused(|c| c.position = None, position).contains("the position is missing"));
}

#[test]
fn records_that_contradict_themselves_are_refused() {
    let good = CpsRecord::build(&skeleton(), &absent(), None).unwrap();
    let refused = |change: fn(&mut RecordApplication)| {
        let mut record = good.clone();
        change(&mut record.applications[0]);
        record.to_card(&absent()).unwrap_err().to_string()
    };
    assert!(refused(|a| a.steps[0].tag = 0xEE).contains("a step without its data"));
    assert!(refused(|a| a.steps.clear()).contains("data without its step"));
    assert!(refused(|a| a.transport[0].dgis.push(DgiTag(0x8010))).contains("not in the data"));
    assert!(refused(|a| a.transport[0].mode = 0x12).contains("CMODE"));
    assert!(refused(|a| a.transport[0].key_id[0] = 1).contains("IDTK"));
    assert!(
        refused(|a| {
            let again = a.data[0].dgis[0].clone();
            a.data[0].dgis.push(again)
        })
        .contains("twice")
    );
    let mut record = good;
    record.reference = b"x".to_vec();
    assert!(record.to_card(&absent()).is_err());
    assert_eq!(record.to_card(&CpsSettings::default()).unwrap().reference.as_deref(), Some("x"));
    assert!(!format!("{record:?}").contains("4761739001"));
    assert!(
        format!("{:?}", record.applications[0].data[0]).starts_with("DataBlock(EF, 0101 21 bytes, 8000 48")
    );
}

#[test]
fn words_and_key_identifiers() {
    let id: KeyIdentifier = "AB{index}CD".parse().unwrap();
    assert_eq!((id.len(), id.to_string()), (3, "AB{index}CD".to_owned()));
    assert_eq!(id.of(Some(KeyIndex(0x12))).unwrap(), [0xAB, 0x12, 0xCD]);
    assert_eq!(id.read(&[0xAB, 0x12, 0xCD]).unwrap(), Some(KeyIndex(0x12)));
    assert!(id.of(None).is_err() && id.read(&[0xAB, 0xCD]).is_err());
    let fixed: KeyIdentifier = "0102".parse().unwrap();
    assert_eq!((fixed.of(None).unwrap(), fixed.read(&[1, 2]).unwrap()), (vec![1, 2], None));
    for bad in ["", "{index}{index}", "0", "{INDEX}"] {
        assert!(bad.parse::<KeyIdentifier>().is_err(), "{bad}");
    }
    for span in MacSpan::ALL {
        assert_eq!(span.name().parse::<MacSpan>().unwrap(), *span);
    }
    assert!("all".parse::<MacSpan>().is_err());
    assert_eq!("rid".parse::<OwnerId>().unwrap(), OwnerId::Rid);
    assert_eq!("0102".parse::<OwnerId>().unwrap(), OwnerId::Fixed(vec![1, 2]));
    assert!("bin".parse::<OwnerId>().is_err());
    assert!(CipherModeCodes::default().are_distinct());
    assert!(!CipherModeCodes { aes_ecb: Some(0x10), ..CipherModeCodes::default() }.are_distinct());
}

fn tags() -> impl Strategy<Value = Vec<DgiTag>> {
    proptest::collection::vec(any::<u16>().prop_map(DgiTag), 0..4)
}

fn application() -> impl Strategy<Value = RecordApplication> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
    let entry = (proptest::collection::vec(any::<u8>(), 5), any::<u8>(), tags())
        .prop_map(|(key_id, mode, dgis)| TransportEntry { key_id, mode, dgis });
    let lists = || proptest::collection::vec(tags(), 0..3);
    let pdi =
        (lists(), tags(), proptest::collection::vec((any::<u16>(), any::<u8>()), 0..3), tags(), lists());
    let pdi =
        (pdi, 0_usize..3, any::<bool>()).prop_map(|((order, version_control, enc, random, groups), l, c)| {
            DeviceInstructions {
                order,
                version_control,
                enciphered: enc.into_iter().map(|(t, k)| (DgiTag(t), k)).collect(),
                random,
                groups,
                security_level: SecurityLevel::ALL[l],
                update_cplc: if c { CplcUpdate::Write } else { CplcUpdate::Leave },
            }
        });
    let step =
        (any::<[u8; 3]>(), pdi, bytes(9)).prop_map(|([action, requirement, tag], instructions, pointer)| {
            ProcessingStep { action, requirement, tag, instructions, pointer }
        });
    let block =
        (any::<u8>(), proptest::collection::vec((any::<u16>(), bytes(300)), 0..3)).prop_map(|(tag, dgis)| {
            DataBlock { tag, dgis: dgis.into_iter().map(|(t, v)| (DgiTag(t), v)).collect() }
        });
    let mac = proptest::option::of(any::<([u8; 16], [u8; 8])>())
        .prop_map(|m| m.map(|(enciphered_key, mac)| RecordMac { enciphered_key, mac }));
    (
        proptest::collection::vec(any::<u8>(), 5..=16),
        proptest::collection::vec(entry, 0..3),
        bytes(10),
        proptest::collection::vec(step, 0..3),
        bytes(10),
        proptest::collection::vec(block, 0..3),
        mac,
    )
        .prop_map(|(aid, transport, owner, steps, log_data, data, mac)| RecordApplication {
            aid: crate::emv::Aid::new(&aid).unwrap(),
            transport,
            owner,
            steps,
            log_data,
            data,
            mac,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        records in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..20), proptest::collection::vec(application(), 0..3)), 0..3),
        counted in any::<bool>(), products in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4), 0..3),
    ) {
        let settings = CpsSettings {
            module_identifier: "IC".to_owned(),
            count_digits: 7,
            products,
            list_framing: if counted { ListFraming::Count } else { ListFraming::Bytes },
            ..CpsSettings::default()
        };
        let records: Vec<CpsRecord> =
            records.into_iter().map(|(reference, applications)| CpsRecord { reference, applications }).collect();
        let mut bytes = Vec::new();
        for record in &records {
            bytes.extend(record.encode(&settings).unwrap());
        }
        prop_assert!(read_records(&bytes, &settings).unwrap() == records);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut framed = b"02.1".to_vec();
        framed.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
        framed.extend_from_slice(&bytes);
        if let Ok(records) = read_records(&framed, &CpsSettings::default()) {
            let again: Vec<u8> =
                records.iter().flat_map(|r| r.encode(&CpsSettings::default()).unwrap()).collect();
            prop_assert_eq!(again, framed);
        }
    }
}
