//! The card manager: instances, keys, states, CPLC, and a line with faults.

use super::*;

const MODULE: &str = "06A00000033301 07A0000003330101";

fn install(aid: &str) -> String {
    let data = format!("{MODULE}{:02X}{aid}010002C90000", aid.len() / 2).replace(' ', "");
    format!("80E60C00{:02X}{data}", data.len() / 2)
}

fn manager(change: impl FnOnce(&mut CardConfig)) -> (VirtualCard, Host) {
    let mut card = card_with(&[], change);
    assert!(send(&mut card, "00A4040000").ends_with("9000"));
    let host = Host::open(&mut card, 3);
    (card, host)
}

#[test]
fn instances_come_and_go() {
    let (mut card, mut host) = manager(|_| ());
    assert_eq!(host.send(&mut card, "80E40000094F07A0000000031010"), "6A88");
    assert_eq!(host.send(&mut card, &install(PAYMENT)), "009000");
    assert_eq!(host.send(&mut card, &install(PAYMENT)), "6985");
    assert_eq!(card.applet_state(&hex(PAYMENT)), Some(AppletState::Selectable));
    let unknown = install(PAYMENT).replace("A0000003330101", "A0000003330109");
    assert_eq!(host.send(&mut card, &unknown), "6A88");
    assert_eq!(host.send(&mut card, &install("A0000000")), "6A80", "an AID of four bytes");
    assert_eq!(host.send(&mut card, "80F24002024F00"), "E30D4F07A00000000310109F700107".to_owned() + "9000");
    assert_eq!(host.send(&mut card, "80E40000094F07A0000000031010"), "009000");
    assert_eq!(card.applet_state(&hex(PAYMENT)), None);
    assert_eq!(send(&mut card, "00A4040007A0000000031010"), "6A82");
    // All of it needs an authenticated channel.
    send(&mut card, "00A4040000");
    for command in
        [&install(PAYMENT), "80E40000094F07A0000000031010", "80F0800F00", "80E280000B9F66081234567812345678"]
    {
        assert_eq!(send(&mut card, command), "6982", "{command}");
    }
}

#[test]
fn data_through_the_security_domain() {
    let (mut card, mut host) = manager(|_| ());
    assert_eq!(host.send(&mut card, "80E620000D000007A0000000031010000000"), "6A88");
    assert_eq!(host.send(&mut card, &install(PAYMENT)), "009000");
    assert_eq!(host.store(&mut card, 0, 0, "9010", "0303"), "6A88", "nothing is being personalized");
    assert_eq!(host.send(&mut card, "80E620000D000007A0000000031010000000"), "009000");
    for (n, (tag, value)) in WHOLE.iter().chain([&P]).enumerate() {
        let p1 = if tag.starts_with('8') { 0x60 } else { 0 } | if *tag == P.0 { 0x80 } else { 0 };
        assert_eq!(host.store(&mut card, p1, n as u8, tag, value), "9000", "{tag}");
    }
    assert_eq!(card.applet_state(&hex(PAYMENT)), Some(AppletState::Personalized));
    // The channel is the security domain's: what follows is its own again.
    assert_eq!(host.store(&mut card, 0x80, 0, "9F66", "1234567812345678"), "9000");
    assert_eq!(host.send(&mut card, "80E620000D000007A0000000031010000000"), "009000");
    assert_eq!(host.store(&mut card, 0, 0, "9010", "0303"), "6985");
    let (mut card, mut host) = manager(|c| c.rules.forwarded = false);
    host.send(&mut card, &install(PAYMENT));
    assert_eq!(host.send(&mut card, "80E620000D000007A0000000031010000000"), "6985");
}

#[test]
fn production_data_is_written_once() {
    let (mut card, mut host) = manager(|_| ());
    assert_eq!(host.store(&mut card, 0x80, 0, "9F67", "00012345AABBCCDD"), "9000");
    assert_eq!(host.store(&mut card, 0x80, 0, "9F66", "000254321122334455"), "6A80");
    assert_eq!(host.store(&mut card, 0x80, 0, "9F66", "0002543211223344"), "9000");
    assert_eq!(host.store(&mut card, 0x80, 0, "9F66", "0002543211223344"), "6985");
    let answer = host.send(&mut card, "80CA9F7F");
    assert!(
        answer.starts_with("9F7F2A") && answer.ends_with("00012345AABBCCDD00025432112233449000"),
        "{answer}"
    );
    assert_eq!(host.send(&mut card, "80CA00CF"), "CF0A541333FFFFFF010203049000");
    assert!(host.send(&mut card, "80CA0066").starts_with("66"));
    assert_eq!(host.send(&mut card, "80CA00C1"), "C10200029000");
    assert_eq!(host.send(&mut card, "80CA0042"), "6A88");
}

#[test]
fn the_card_goes_forward_only() {
    let (mut card, mut host) = manager(|c| c.life_cycle = LifeCycle::OpReady);
    assert_eq!(host.send(&mut card, "80F0800F"), "6985");
    assert_eq!(host.send(&mut card, "80F08007"), "9000");
    assert_eq!(host.send(&mut card, "80F0800F"), "9000");
    assert_eq!(host.send(&mut card, "80F08007"), "6985");
    assert_eq!(card.life_cycle(), LifeCycle::Secured);
    host.send(&mut card, &install(PAYMENT));
    // PERSONALIZED comes from the application alone; the domain locks and unlocks.
    assert_eq!(host.send(&mut card, "80F0400F07A0000000031010"), "6985");
    assert_eq!(host.send(&mut card, "80F0408707A0000000031010"), "9000");
    assert_eq!(host.send(&mut card, "80F0400707A0000000031010"), "9000");
    assert_eq!(card.applet_state(&hex(PAYMENT)), Some(AppletState::Selectable));
    assert_eq!(host.send(&mut card, "80F0807F"), "9000");
    assert_eq!(host.send(&mut card, &install("A0000000041010")), "6985", "locked");
    assert_eq!(send(&mut card, "00A4040007A0000000031010"), "6A82");
}

#[test]
fn new_keys_replace_old_ones() {
    let (mut card, mut host) = manager(|_| ());
    let field = |host: &Host, kcv: &str| {
        let mut key = hex("0123456789ABCDEFFEDCBA9876543210");
        host.dek.encrypt_ecb(&mut key).unwrap();
        format!("8010{}03{kcv}", ::hex::encode_upper(key))
    };
    let put = |host: &Host, old: &str, kcv: &str| format!("80D8{old}814302{}", field(host, kcv).repeat(3));
    let command = put(&host, "01", "08D7B5");
    assert_eq!(host.send(&mut card, &command), "9485");
    let command = put(&host, "05", "08D7B4");
    assert_eq!(host.send(&mut card, &command), "6A88");
    let command = put(&host, "01", "08D7B4");
    assert_eq!(host.send(&mut card, &command), "0208D7B408D7B408D7B49000");
    assert_eq!(send(&mut card, "8050010008112233445566778800"), "6A88", "the old version is gone");
    let answer = send(&mut card, "8050020008112233445566778800");
    assert!(answer.starts_with("541333FFFFFF010203040202"), "{answer}");
}

#[test]
fn a_host_must_prove_itself() {
    let mut card = card_with(&[], |_| ());
    assert_eq!(send(&mut card, "848201001000112233445566770011223344556677"), "6985", "no INITIALIZE UPDATE");
    send(&mut card, "80500000081122334455667788");
    assert_eq!(send(&mut card, "848201001000112233445566770011223344556677"), "6300");
    assert_eq!(send(&mut card, "848201001000112233445566770011223344556677"), "6985", "one try");
    assert_eq!(send(&mut card, "8050070008112233445566778800"), "6A88", "no such version");
    assert_eq!(send(&mut card, "80500000071122334455667700"), "6700");
    // The counter of SCP02 has not moved, so the answer is the same.
    let (first, second) =
        (send(&mut card, "80500000081122334455667788"), send(&mut card, "80500000081122334455667788"));
    assert_eq!(first, second);
    for i in [0x00, 0x02, 0x0A, 0x1A, 0x17] {
        let config = CardConfig::new(Protocol::Scp02 { i }, StaticKeys::same(&test_key()));
        assert!(VirtualCard::new(config).is_err(), "{i:02X}");
    }
    let config = CardConfig::new(Protocol::Scp02 { i: 0x15 }, StaticKeys::same(&Secret::copy_of(&[1; 24])));
    assert!(VirtualCard::new(config).is_err());
}

proptest::proptest! {
    /// Whatever comes, the card answers with a status word, in the channel and outside.
    #[test]
    fn any_bytes_are_answered(
        select: bool,
        commands in proptest::collection::vec((0_usize..14, proptest::prelude::any::<[u8; 2]>(),
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)), 1..12),
        raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20),
    ) {
        let mut card = card_with(&[PAYMENT], |_| ());
        assert!(card.transmit(&raw).len() >= 2);
        send(&mut card, if select { "00A4040007A0000000031010" } else { "00A4040000" });
        let mut host = Host::open(&mut card, 3);
        for (kind, parameters, data) in commands {
            let ins = [0xE2, 0xE2, 0xE4, 0xE6, 0xE6, 0xD8, 0xF0, 0xF2, 0xCA, 0xA8, 0xB2, 0x88, 0xAE, 0x00][kind];
            let head = format!("80{ins:02X}{}{:02X}", ::hex::encode_upper(parameters), data.len());
            let answer = host.send(&mut card, &(head + &::hex::encode_upper(&data)));
            assert!(answer.len() >= 4);
            if card.life_cycle() == LifeCycle::Terminated {
                break;
            }
        }
    }
}

#[test]
fn nothing_secret_is_told() {
    let mut card = card_with(&[PAYMENT], |_| ());
    personalize(&mut card, |_, v| Some(v.to_owned()));
    let config = CardConfig::new(Protocol::Scp02 { i: 0x55 }, StaticKeys::same(&test_key()));
    let mut line = FaultyCard::new(card, Vec::new());
    let delivery = line.transmit(&hex("00A4040007A0000000031010"));
    let text = format!("{line:?} {config:?} {delivery:?}");
    assert!(text.contains("Applet(A0000000031010, Personalized, 13 groupings)"), "{text}");
    for secret in ["1234FF", "404142", "112233440066", "64, 65", "[165", "50424F43"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn a_line_with_faults() {
    let deliver = |kind, apdus: &[&str]| {
        let card = card_with(&[PAYMENT], |_| ());
        let mut line = FaultyCard::new(card, vec![Fault { at: 0, kind }]);
        let all: Vec<_> = apdus.iter().map(|a| line.transmit(&hex(a))).collect();
        all.into_iter()
            .map(|d| match d {
                Delivery::Response(r) => ::hex::encode_upper(r),
                Delivery::Nothing => "-".to_owned(),
                Delivery::Late(r) => format!("late {}", ::hex::encode_upper(r)),
            })
            .collect::<Vec<_>>()
    };
    let (select, init) = ("00A4040007A0000000031010", "8050000008112233445566778800");
    let good = "6F0B8407A0000000031010A5009000";
    assert_eq!(deliver(FaultKind::TornBefore, &[select]), ["-"]);
    assert_eq!(deliver(FaultKind::TornAfter, &[select]), ["-"]);
    assert_eq!(deliver(FaultKind::Late, &[select]), [format!("late {good}")]);
    assert_eq!(deliver(FaultKind::Refused(StatusWord(0x6F00)), &[select]), ["6F00"]);
    assert_eq!(deliver(FaultKind::Answered(StatusWord(0x6F00)), &[select]), ["6F00"]);
    assert_eq!(deliver(FaultKind::WrongLe, &[select, select]), ["6C00", good]);
    assert_eq!(deliver(FaultKind::MoreData, &[select, "00C000000D"]), ["610D", good]);
    assert_eq!(deliver(FaultKind::Cut, &[select]), [&good[..good.len() - 2]]);
    assert_eq!(deliver(FaultKind::Altered { byte: 0, mask: 1 }, &[select]), [good.replacen("6F", "6E", 1)]);
    let plain = deliver(FaultKind::Late, &[select, init]).remove(1);
    let bad = deliver(FaultKind::BadCryptogram, &[select, init]).remove(1);
    assert_eq!((&plain[..40], plain[40..] == bad[40..]), (&bad[..40], false));
    let other = deliver(FaultKind::OtherVersion(9), &[select, init]).remove(1);
    assert_eq!((&other[20..22], &other[22..]), ("09", &plain[22..]));
    let other = deliver(FaultKind::OtherChip([7; 10]), &[select, init, "80CA00CF00", init]);
    assert!(other[1].starts_with(&"07".repeat(10)) && other[3].starts_with(&"07".repeat(10)));
    assert_eq!(other[2], format!("CF0A{}9000", "07".repeat(10)));
}
