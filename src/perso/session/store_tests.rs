#![allow(clippy::arithmetic_side_effects)] // small numbers of a test

use super::*;
use crate::perso::plan::StoreStructure;
use proptest::prelude::*;

fn set(dgis: &[(u16, usize, Protection)]) -> ProtectedDgiSet {
    let one = |(tag, len, protection): &(u16, usize, Protection)| ProtectedDgi {
        tag: DgiTag(*tag),
        value: vec![0xAB; *len],
        protection: *protection,
    };
    ProtectedDgiSet::from_prepared(dgis.iter().map(one).collect()).unwrap()
}

fn names(store: &StoreData, set: &ProtectedDgiSet, max: usize) -> Vec<String> {
    parts(store, set, Some(8), max).unwrap().iter().map(Part::name).collect()
}

const CLEAR: Protection = Protection::None;
const SECRET: Protection = Protection::Transport;

#[test]
fn order_groups_and_filling() {
    let set = set(&[
        (0x9102, 30, CLEAR),
        (0x0101, 40, CLEAR),
        (0x8000, 48, SECRET),
        (0x9000, 9, CLEAR),
        (0x9010, 2, CLEAR),
        (0x8010, 8, SECRET),
    ]);
    let mut store = StoreData::default();
    assert_eq!(names(&store, &set, 239), ["9102", "0101", "8000", "9000", "9010", "8010"]);
    store.first = vec![DgiTag(0x8000), DgiTag(0x9000), DgiTag(0xA001)];
    store.last = vec![DgiTag(0x9102)];
    assert_eq!(names(&store, &set, 239), ["8000", "9000", "0101", "9010", "8010", "9102"]);
    store.groups = vec![vec![DgiTag(0x9000), DgiTag(0x0101), DgiTag(0x9011)]];
    assert_eq!(names(&store, &set, 239), ["8000", "9000 0101", "9010", "8010", "9102"]);
    assert!(parts(&store, &set, Some(8), 50).is_err(), "the group is longer than a command");
    store.groups = vec![vec![DgiTag(0x8000), DgiTag(0x9000)]];
    assert!(parts(&store, &set, Some(8), 239).is_err(), "mixed");
    store.groups = vec![vec![DgiTag(0x9000), DgiTag(0x9010)]];
    assert!(parts(&store, &set, Some(8), 239).is_err(), "apart");
    let fill = StoreData { packing: Packing::Fill, optional: vec![DgiTag(0x9000)], ..StoreData::default() };
    assert_eq!(names(&fill, &set, 239), ["9102 0101", "8000", "9000", "9010", "8010"]);
    assert_eq!(names(&fill, &set, 50), ["9102", "0101", "8000", "9000", "9010", "8010"]);
}

#[test]
fn p1_says_kind_and_end() {
    let store = StoreData { structure: StoreStructure::Dgi, ..StoreData::default() };
    let all = parts(&store, &set(&[(0x9102, 3, CLEAR), (0x8000, 16, SECRET)]), Some(8), 239).unwrap();
    assert_eq!(all[0].p1(&store, true), 0x08);
    assert_eq!((all[1].p1(&store, false), all[1].p1(&store, true)), (0x68, 0xE8));
    let empty = StoreData { completion: StoreCompletion::EmptyCompletion, ..StoreData::default() };
    let all = parts(&empty, &set(&[(0x8000, 16, SECRET)]), Some(8), 239).unwrap();
    assert_eq!(
        (all[0].p1(&empty, true), all[1].p1(&empty, true), all[1].name().as_str()),
        (0x60, 0x80, "7FFF")
    );
}

#[test]
fn more_commands_than_p2_can_count_are_refused() {
    let long = set(&[(0x3001, 65_000, CLEAR)]);
    assert!(parts(&StoreData::default(), &long, None, 255).is_ok());
    assert!(parts(&StoreData::default(), &long, None, 253).is_err());
    // AES blocks make values longer: it is seen before the first command.
    let many: Vec<_> = (0..128).map(|i| (0x8100 + i, 8, SECRET)).collect();
    let store = StoreData { max_data: 11, ..StoreData::default() };
    assert!(parts(&store, &set(&many), Some(8), 239).is_ok());
    assert!(parts(&StoreData { max_data: 6, ..store }, &set(&many), Some(16), 239).is_err());
}

#[test]
fn a_pin_block_grows_by_random_bytes_and_others_as_the_plan_says() {
    let store = StoreData::default();
    assert_eq!(refill(&store, DgiTag::REFERENCE_PIN, [7; 16], 16, 8), Refill::Bytes(vec![7; 8]));
    assert_eq!(refill(&store, DgiTag::REFERENCE_PIN, [7; 16], 16, 16), Refill::Refuse);
    assert_eq!(refill(&store, DgiTag(0x8205), [7; 16], 16, 72), Refill::Bit);
    assert_eq!(refill(&store, DgiTag(0x8205), [7; 16], 8, 72), Refill::Refuse);
    let zeros = StoreData { aes_filling: AesFilling::Zeros, ..store };
    assert_eq!(refill(&zeros, DgiTag(0x8205), [7; 16], 16, 72), Refill::Zeros);
}

proptest! {
    #[test]
    fn pieces_are_full_but_the_last_and_make_the_whole(data in proptest::collection::vec(any::<u8>(), 1..700), max in 1_usize..256) {
        let pieces = cut(&data, max).unwrap();
        let (last, full) = (pieces.back().unwrap().len(), pieces.len() - 1);
        prop_assert!(pieces.iter().take(full).all(|p| p.len() == max) && last >= 1 && last <= max);
        prop_assert_eq!(pieces.iter().flat_map(|p| p.to_vec()).collect::<Vec<u8>>(), data);
    }

    #[test]
    fn every_grouping_stands_once_and_the_last_part_alone_is_last(
        lens in proptest::collection::vec((1_usize..300, any::<bool>()), 1..12), fill: bool, max in 20_usize..255
    ) {
        let dgis: Vec<_> = lens.iter().enumerate().map(|(i, (len, secret))| {
            let tag = u16::try_from(i).unwrap() + 0xA000;
            (tag, if *secret { len.next_multiple_of(8) } else { *len }, if *secret { SECRET } else { CLEAR })
        }).collect();
        let packing = if fill { Packing::Fill } else { Packing::Single };
        let store = StoreData { packing, ..StoreData::default() };
        let all = parts(&store, &set(&dgis), Some(16), max).unwrap();
        let tags: Vec<u16> = all.iter().flat_map(|p| p.dgis.iter().map(|d| d.0)).collect();
        prop_assert_eq!(tags, dgis.iter().map(|d| d.0).collect::<Vec<_>>());
        prop_assert_eq!(all.iter().filter(|p| p.last).count(), 1);
        prop_assert!(all.last().unwrap().last);
    }
}
