//! What an application takes and what it refuses while it is personalized.

use super::*;

fn whole(card: &mut VirtualCard) -> Vec<(String, String)> {
    personalize(card, |_, value| Some(value.to_owned()))
}

fn state(card: &VirtualCard) -> AppletState {
    card.applet_state(&hex(PAYMENT)).unwrap()
}

/// The refusals when one grouping's value is another, or is left out.
fn with(tag: &str, value: Option<&str>) -> Vec<(String, String)> {
    let mut card = card_with(&[PAYMENT], |_| ());
    let answers =
        personalize(&mut card, |t, v| if t == tag { value.map(str::to_owned) } else { Some(v.to_owned()) });
    assert_eq!(state(&card) == AppletState::Personalized, refusals(&answers).is_empty());
    answers
}

fn first_refusal(tag: &str, value: Option<&str>) -> (String, String) {
    let answers = with(tag, value);
    let (tag, sw) = refusals(&answers).first().copied().unwrap_or(("", ""));
    (tag.to_owned(), sw.to_owned())
}

#[test]
fn a_whole_application_is_personalized_once() {
    let mut card = card_with(&[PAYMENT], |_| ());
    assert_eq!(refusals(&whole(&mut card)), [] as [(&str, &str); 0]);
    assert_eq!(state(&card), AppletState::Personalized);
    let held = card
        .held(&hex(PAYMENT))
        .into_iter()
        .map(|(t, v)| (format!("{t:04X}"), ::hex::encode_upper(v.expose())));
    let want: BTreeMap<_, _> =
        WHOLE.iter().chain([&P]).map(|(t, v)| ((*t).to_owned(), (*v).to_owned())).collect();
    assert_eq!(held.collect::<BTreeMap<_, _>>(), want);
    // No write after it, in the same channel or a new one.
    let again = whole(&mut card);
    assert!(again.iter().all(|(_, sw)| sw == "6985"), "{again:?}");
    assert_eq!(
        send(&mut card, &format!("00A4040007{PAYMENT}")),
        "6F16".to_owned() + "8407" + PAYMENT + WHOLE[0].1 + "9000"
    );
}

#[test]
fn each_grouping_has_its_form() {
    let wrong = |tag: &str, value: &str| {
        assert_eq!(first_refusal(tag, Some(value)), (tag.to_owned(), "6A80".to_owned()), "{tag} {value}");
    };
    wrong("9102", "500B50424F4320637265");
    wrong("9102", "A50A500B50424F4320637265");
    wrong("9104", "94040801010082023900AA");
    wrong("0101", "5A0862280001000011175F2403301231");
    wrong("0101", "70035A0862");
    wrong("3000", "9F3602");
    wrong("9010", "0403");
    wrong("9010", "1010");
    wrong("9010", "03");
    wrong("8010", "2F1234FFFFFFFFFF");
    wrong("8010", "241A34FFFFFFFFFF");
    wrong("8010", "241234FFFFFFFFF0");
    wrong("8010", "241234FFFFFFFFFF241234FFFFFFFFFF");
    wrong("8000", "112233440066778811223344550077888B4F854F0831FBF2");
    wrong("9000", "97DCB0CE");
}

#[test]
fn check_values_must_agree_in_either_order() {
    let (tag, sw) = first_refusal("9000", Some("97DCB0CE4E2CB37DF4"));
    assert_eq!((tag.as_str(), sw.as_str()), ("9000", "6982"));
    let mut card = card_with(&[PAYMENT], |c| c.rules.kcv_mismatch = StatusWord(0x9315));
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    let mut host = Host::open(&mut card, 1);
    assert_eq!(host.store(&mut card, 0, 0, "9000", "97DCB0CE4E2CB37DF4"), "9000");
    assert_eq!(host.store(&mut card, 0x60, 1, "8000", WHOLE[4].1), "9315");
    // A card that insists on the order.
    let mut card = card_with(&[PAYMENT], |c| {
        c.rules.key_order = PairOrder::Strict;
        c.rules.pin_order = PairOrder::Strict;
        c.rules.out_of_order = StatusWord(0x9580);
    });
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    let mut host = Host::open(&mut card, 1);
    assert_eq!(host.store(&mut card, 0, 0, "9000", WHOLE[5].1), "9580");
    assert_eq!(host.store(&mut card, 0x60, 0, "8010", WHOLE[7].1), "9580");
    assert_eq!(refusals(&whole(&mut card)), [] as [(&str, &str); 0]);
}

#[test]
fn the_last_block_needs_everything() {
    for missing in ["9102", "9104", "0101", "8000", "9000", "9010", "8010", "8201", "8203"] {
        assert_eq!(first_refusal(missing, None), ("8205".to_owned(), "6A80".to_owned()), "{missing}");
    }
    assert_eq!(first_refusal("3000", None), (String::new(), String::new()), "3000 may be absent");
    // Parts of another key do not fit; a part with padding does.
    let mut bent = WHOLE[9].1.to_owned();
    bent.replace_range(90..92, "00");
    assert_eq!(first_refusal("8202", Some(&bent)), ("8205".to_owned(), "6A80".to_owned()));
    let padded = WHOLE[9].1.to_owned() + "8000000000000000";
    assert_eq!(first_refusal("8202", Some(&padded)), (String::new(), String::new()));
    let padded = WHOLE[9].1.to_owned() + "8000000000000001";
    assert_eq!(first_refusal("8202", Some(&padded)), ("8205".to_owned(), "6A80".to_owned()));
}

#[test]
fn secrets_come_enciphered_and_nothing_else() {
    let mut card = card_with(&[PAYMENT], |_| ());
    for (p1, tag, value) in
        [(0, "8000", WHOLE[4].1), (0, "8010", WHOLE[7].1), (0x60, "9010", "0303030303030303")]
    {
        send(&mut card, &format!("00A4040007{PAYMENT}"));
        let mut host = Host::open(&mut card, 3);
        assert_eq!(host.store(&mut card, p1, 0, tag, value), "6A80", "{tag}");
    }
    // Ciphertext of another key: the PIN block's digits are none.
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    let mut host = Host::open(&mut card, 3);
    assert_eq!(host.send(&mut card, "80E260000B801008241234FFFFFFFFFF"), "6A80");
}

#[test]
fn groupings_that_the_card_does_not_know() {
    let mut card = card_with(&[PAYMENT], |c| {
        c.rules.unknown.insert(0x3000);
        c.rules.known.insert(0xA005);
    });
    let answers = whole(&mut card);
    assert_eq!(refusals(&answers), [("3000", "6A88")]);
    assert_eq!(state(&card), AppletState::Personalized, "the others are counted on");
    let mut card = card_with(&[PAYMENT], |c| c.rules.known.extend([0xA005]));
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    let mut host = Host::open(&mut card, 1);
    assert_eq!(host.store(&mut card, 0, 0, "A005", "01"), "9000");
    assert_eq!(host.store(&mut card, 0, 1, "A006", "01"), "6A88");
}

#[test]
fn the_level_and_the_protection_of_every_command() {
    // Without a channel, and at a level below the card's.
    let mut card = card_with(&[PAYMENT], |c| c.rules.level = RequiredLevel::MacAndEncryption);
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    assert_eq!(send(&mut card, "80E200000590100203 03"), "6982");
    let mut host = Host::open(&mut card, 1);
    assert_eq!(host.store(&mut card, 0, 0, "9010", "0303"), "6982");
    let mut host = Host::open(&mut card, 3);
    assert_eq!(host.store(&mut card, 0, 0, "9010", "0303"), "9000");
    // A command without its MAC ends the channel; so does one that was sent before.
    assert_eq!(send(&mut card, "80E200010590000203 03"), "6982");
    assert!(!card.channel_is_open());
    let mut host = Host::open(&mut card, 3);
    let command = host.wrap("80E200000590100203 03".replace(' ', "").as_str());
    assert_eq!(card.transmit(&command), [0x90, 0]);
    assert_eq!(card.transmit(&command), [0x69, 0x82]);
    // SELECT ends it too.
    let mut host = Host::open(&mut card, 3);
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    assert_eq!(host.store(&mut card, 0, 0, "9010", "0303"), "6982");
}

#[test]
fn a_torn_session_leaves_nothing() {
    let mut card = card_with(&[PAYMENT], |_| ());
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    let mut host = Host::open(&mut card, 3);
    for (n, (tag, value)) in WHOLE.iter().enumerate() {
        let p1 = if tag.starts_with('8') { 0x60 } else { 0 };
        assert_eq!(host.store(&mut card, p1, n as u8, tag, value), "9000");
    }
    card.reset();
    assert_eq!(state(&card), AppletState::Selectable);
    // Going on where it was torn is not possible: P2 begins anew, and what came before is gone.
    send(&mut card, &format!("00A4040007{PAYMENT}"));
    let mut host = Host::open(&mut card, 3);
    assert_eq!(host.store(&mut card, 0xE0, 12, P.0, P.1), "6A86");
    assert_eq!(host.store(&mut card, 0xE0, 0, P.0, P.1), "6A80");
    assert_eq!(refusals(&whole(&mut card)), [] as [(&str, &str); 0]);
}

#[test]
fn directories() {
    let (pse, ppse) = ("315041592E5359532E4444463031", "325041592E5359532E4444463031");
    let mut card = card_with(&[pse, ppse], |_| ());
    send(&mut card, &format!("00A404000E{pse}"));
    let mut host = Host::open(&mut card, 1);
    assert_eq!(host.store(&mut card, 0x80, 0, "9102", "A503880101"), "6A80", "no record");
    assert_eq!(host.store(&mut card, 0, 0, "8010", "0303"), "6A88");
    assert_eq!(host.store(&mut card, 0, 1, "9102", "A503880101"), "9000");
    let record = "701661144F07A0000000031010500950424F432074657374";
    assert_eq!(host.store(&mut card, 0x80, 2, "0101", record), "9000");
    assert_eq!(card.applet_state(&hex(pse)), Some(AppletState::Personalized));
    assert_eq!(send(&mut card, "00B2010C00"), "6982", "the channel is open: every command is protected");
    send(&mut card, &format!("00A404000E{pse}"));
    assert_eq!(send(&mut card, "00B2010C00"), format!("{record}9000"));
    assert_eq!(send(&mut card, "00B2020C00"), "6A83");
    send(&mut card, &format!("00A404000E{ppse}"));
    let mut host = Host::open(&mut card, 1);
    assert_eq!(host.store(&mut card, 0, 0, "0101", record), "6A88");
    assert_eq!(host.store(&mut card, 0x80, 1, "9102", "A50CBF0C0961074F05A000000003"), "9000");
    assert_eq!(card.applet_state(&hex(ppse)), Some(AppletState::Personalized));
}
