#![allow(clippy::arithmetic_side_effects, reason = "an overflow ends the test")]

use proptest::prelude::*;

use super::*;
use crate::bytes::{from_hex, hex_upper};

fn dgi(tag: u16, value: Vec<u8>, protection: Protection) -> ProtectedDgi {
    ProtectedDgi { tag: DgiTag(tag), value, protection }
}

fn clear(tag: u16, hex: &str) -> ProtectedDgi {
    dgi(tag, from_hex(hex).unwrap(), Protection::None)
}

fn set(dgis: Vec<ProtectedDgi>) -> ProtectedDgiSet {
    ProtectedDgiSet::from_prepared(dgis).unwrap()
}

fn aid() -> Aid {
    "A0000000031010".parse().unwrap()
}

fn lines(script: &Script) -> Vec<String> {
    let line = |step: &ScriptStep| match step {
        ScriptStep::Apdu(bytes) => hex_upper(bytes),
        ScriptStep::StoreData { p1, p2, dgis } => format!("{p1:02X}{p2:02X} {dgis:?}"),
    };
    script.0.iter().map(line).collect()
}

#[test]
fn a_whole_session_as_published_scripts_have_it() {
    // The commands of a synthetic CPS session: record, 8000, 9000, 8010, 9010, completion, P2 counting 00 to 05.
    let keys =
        "9191B29DE7245AF1DB35D43D34F8E5DE3FFDBCB3F13EB0DA9CFB2AA7F26BFC83FB5E8351C801881B55D439447F908073";
    let dgis = vec![
        clear(0x0101, "701357114761739001010010D22122011143878089"),
        dgi(0x8000, from_hex(keys).unwrap(), Protection::Transport),
        clear(0x9000, "97DCB0CE4E2CB37DF3"),
        dgi(0x8010, vec![0x0F; 8], Protection::Transport),
        clear(0x9010, "0303"),
    ];
    let plan = ScriptPlan { completion: Completion::EmptyCompletion, ..ScriptPlan::default() };
    let script = Script::build(&aid(), &set(dgis), &plan).unwrap();
    assert_eq!(
        lines(&script),
        [
            "00A4040007A000000003101000",
            "80E2000018010115701357114761739001010010D22122011143878089",
            "6001 [DgiTag(8000)]",
            "80E200020C90000997DCB0CE4E2CB37DF3",
            "6003 [DgiTag(8010)]",
            "80E20004059010020303",
            "80E28005037FFF00",
        ]
    );
    let text = lines(&script).concat();
    assert!(!text.contains(&keys[..16]) && !text.contains("0F0F0F0F"));
}

#[test]
fn the_last_grouping_alone_carries_the_last_block_bit() {
    let dgis = vec![clear(0x9010, "0303"), dgi(0x8205, vec![7; 72], Protection::Transport)];
    let script = Script::build(&aid(), &set(dgis), &ScriptPlan::default()).unwrap();
    assert_eq!(lines(&script)[1..], ["80E20000059010020303", "E001 [DgiTag(8205)]"]);
    let long = vec![dgi(0x3001, vec![7; 300], Protection::None)];
    let script = Script::build(&aid(), &set(long), &ScriptPlan::default()).unwrap();
    let lines = lines(&script);
    // Three bytes of length; 239 bytes, then the 66 that are left, without a header.
    assert!(lines[1].starts_with("80E20000EF3001FF012C0707"));
    assert!(lines[2].starts_with("80E28001420707"));
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_long_secret_takes_its_block_numbers() {
    // 250 bytes and a header of three are 253: two commands of at most 239.
    let dgis = vec![dgi(0x8103, vec![7; 248], Protection::Transport), clear(0x9010, "0303")];
    let script = Script::build(&aid(), &set(dgis), &ScriptPlan::default()).unwrap();
    assert_eq!(lines(&script)[1..], ["6000 [DgiTag(8103)]", "80E28002059010020303"]);
}

#[test]
fn groups_share_a_command() {
    let dgis = vec![
        clear(0x9102, "A500"),
        clear(0x9104, "82021C00"),
        dgi(0x8201, vec![1; 64], Protection::Transport),
        dgi(0x8202, vec![1; 64], Protection::Transport),
        dgi(0x8203, vec![1; 64], Protection::Transport),
    ];
    let crt = vec![DgiTag(0x8201), DgiTag(0x8202), DgiTag(0x8203)];
    let first = vec![DgiTag(0x9102), DgiTag(0x9104)];
    let plan = |groups: Vec<Vec<DgiTag>>| ScriptPlan { groups, ..ScriptPlan::default() };
    let script = Script::build(&aid(), &set(dgis.clone()), &plan(vec![first, crt.clone()])).unwrap();
    assert_eq!(
        lines(&script)[1..],
        [
            "80E200000C910202A500910404 82021C00".replace(' ', ""),
            "E001 [DgiTag(8201), DgiTag(8202), DgiTag(8203)]".into()
        ]
    );
    let refused = |groups| Script::build(&aid(), &set(dgis.clone()), &plan(groups)).is_err();
    // Out of order, of both kinds, beyond the end, absent, too long.
    assert!(refused(vec![vec![DgiTag(0x9104), DgiTag(0x9102)]]));
    assert!(refused(vec![vec![DgiTag(0x9104), DgiTag(0x8201)]]));
    assert!(refused(vec![vec![DgiTag(0x8203), DgiTag(0x8204)]]));
    assert!(refused(vec![vec![DgiTag(0x9105)]]));
    let narrow = ScriptPlan { max_data: 100, groups: vec![crt], completion: Completion::LastGrouping };
    assert!(Script::build(&aid(), &set(dgis), &narrow).is_err());
}

#[test]
fn at_most_256_commands() {
    let plan = ScriptPlan { max_data: 1, ..ScriptPlan::default() };
    let of =
        |len: usize| Script::build(&aid(), &set(vec![dgi(0x3001, vec![0; len], Protection::None)]), &plan);
    let full = of(251);
    // 251 bytes and three of header are 254 commands, P2 up to FD.
    assert!(
        hex_upper(match full.unwrap().0.last().unwrap() {
            ScriptStep::Apdu(bytes) => bytes,
            ScriptStep::StoreData { .. } => &[],
        })
        .starts_with("80E280FD01")
    );
    assert!(of(253).is_ok());
    assert!(of(254).is_err());
    assert!(Script::build(&aid(), &set(vec![]), &ScriptPlan::default()).is_err());
    let zero = ScriptPlan { max_data: 0, ..ScriptPlan::default() };
    assert!(Script::build(&aid(), &set(vec![clear(0x9010, "0303")]), &zero).is_err());
}

#[test]
fn debug_names_no_data() {
    let script =
        Script::build(&aid(), &set(vec![clear(0x9200, "4761739001")]), &ScriptPlan::default()).unwrap();
    assert!(!format!("{script:?}").contains("4761"));
}

proptest! {
    #[test]
    fn the_clear_groupings_come_back(
        parts in proptest::collection::btree_map(
            0x3000_u16..0x3040, (proptest::collection::vec(any::<u8>(), 0..600), any::<bool>()), 1..8),
        max_data in 20_u8..=255,
        empty_completion in any::<bool>(),
    ) {
        let mut dgis = Vec::new();
        for (tag, (value, secret)) in parts {
            let protection = if secret { Protection::Transport } else { Protection::None };
            dgis.push(dgi(tag, value, protection));
        }
        let completion = if empty_completion { Completion::EmptyCompletion } else { Completion::LastGrouping };
        let plan = ScriptPlan { max_data, groups: Vec::new(), completion };
        let script = Script::build(&aid(), &set(dgis.clone()), &plan).unwrap();
        let mut want: Vec<_> = dgis.iter().filter(|d| d.protection == Protection::None)
            .map(|d| (d.tag, d.value.clone())).collect();
        if empty_completion {
            want.push((DgiTag::COMPLETION, Vec::new()));
        }
        prop_assert_eq!(script.clear_dgis().unwrap(), want);
        // P2 counts every command, those of secrets by the length of their groupings; bit 8 stands at the end only.
        let mut next = 0_usize;
        let last = script.0.len() - 1;
        for (i, step) in script.0.iter().enumerate().skip(1) {
            let (p1, p2, count) = match step {
                ScriptStep::Apdu(a) => (a[2], a[3], 1),
                ScriptStep::StoreData { p1, p2, dgis: tags } => {
                    let value = &dgis.iter().find(|d| d.tag == tags[0]).unwrap().value;
                    let header = if value.len() < 255 { 3 } else { 5 };
                    (*p1, *p2, (value.len() + header).div_ceil(usize::from(max_data)))
                }
            };
            prop_assert_eq!(usize::from(p2), next);
            prop_assert_eq!(p1 & P1_LAST != 0, i == last);
            next += count;
        }
    }
}
