//! Published channels, from the card's side: the card makes the same INITIALIZE UPDATE responses and takes the same wrapped
//! commands, byte for byte.

use super::*;
use crate::verify::card_os::channel::Dek;

struct Published<'a> {
    protocol: Protocol,
    keys: [&'a str; 3],
    keydata: &'a str,
    version: u8,
    sequence: u32,
    aid: &'a str,
    challenge: &'a str,
    /// INITIALIZE UPDATE, its response data, EXTERNAL AUTHENTICATE.
    opening: [&'a str; 3],
}

impl Published<'_> {
    fn open(&self) -> VirtualCard {
        let [enc, mac, dek] = self.keys.map(secret);
        let mut config = CardConfig::new(self.protocol, StaticKeys { enc, mac, dek });
        config.keydata = hex(self.keydata).try_into().unwrap();
        config.version = self.version;
        config.sequence = self.sequence;
        config.security_domain = hex(self.aid);
        if !self.challenge.is_empty() {
            config.challenges = vec![hex(self.challenge)];
        }
        let mut card = VirtualCard::new(config).unwrap();
        let [initialize_update, response, external_authenticate] = self.opening;
        assert_eq!(send(&mut card, initialize_update), format!("{response}9000"));
        assert_eq!(send(&mut card, external_authenticate), "9000");
        card
    }

    /// Every command passes the channel; a bit turned in it does not, and ends the channel.
    fn commands(&self, wrapped: &[&str]) {
        let mut card = self.open();
        for command in wrapped {
            assert_ne!(send(&mut card, command), "6982", "{command}");
            assert!(card.channel_is_open());
        }
        for (n, command) in wrapped.iter().enumerate() {
            let bytes = hex(command);
            for at in [1, 2, 3, 5, bytes.len() - 3] {
                let mut card = self.open();
                wrapped[..n].iter().for_each(|c| drop(send(&mut card, c)));
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert_eq!(card.transmit(&bad), [0x69, 0x82], "{command} byte {at}");
                assert!(!card.channel_is_open());
                assert_eq!(send(&mut card, command), "6982", "closed");
            }
        }
    }

    fn plain(&self, card: &mut VirtualCard, wrapped: &str) -> String {
        let command = Command::read(&hex(wrapped)).unwrap();
        let plain = card.channel.as_mut().unwrap().unwrap(command).unwrap();
        ::hex::encode_upper([&plain.header()[..], &plain.data].concat())
    }
}

const SAME: [&str; 3] = ["404142434445464748494A4B4C4D4E4F"; 3];

/// kaoh/globalplatform, test vectors of SCP02 with i=15.
#[test]
fn scp02_i15() {
    let published = Published {
        protocol: Protocol::Scp02 { i: 0x15 },
        keys: SAME,
        keydata: "000074746E6E6E626262",
        version: 1,
        sequence: 0x069F,
        aid: "A000000003000000",
        challenge: "AA2A0591E733",
        opening: [
            "8050000008D5AD539A60CA5E7200",
            "000074746E6E6E6262620102069FAA2A0591E73367DD78794D04315E",
            "84820100107C799B3C771DBAE6BEF49310977617BA",
        ],
    };
    published.commands(&["84F220020A4F00BB6E71C0EFCFCF0D00"]);
    let published = Published {
        sequence: 0x06A1,
        challenge: "5086BBEE58F4",
        opening: [
            "8050000008EBAA9E53C696281B00",
            "000074746E6E6E626262010206A15086BBEE58F467149061DA4B6EAE",
            "848203001005814C116071EB67D8BA9D9879454564",
        ],
        ..published
    };
    let wrapped = [
        "84E4008018BC146FA0403BE4BAD3BC089E4ABD8674DA7EFEA21047B85800",
        "84E4008018C2748C1669FAFC0E20C5253680388A4A49C9A6038D77B45700",
    ];
    published.commands(&wrapped);
    let mut card = published.open();
    assert_eq!(published.plain(&mut card, wrapped[0]), "80E400804F08D0D1D2D3D4D50101");
    assert_eq!(published.plain(&mut card, wrapped[1]), "80E400804F07D0D1D2D3D4D501");
}

/// osmocom/pysim: three different keys.
#[test]
fn scp02_three_keys() {
    let published = Published {
        protocol: Protocol::Scp02 { i: 0x15 },
        keys: [
            "100102030405060708090A0B0C0D0E0F",
            "101102030405060708090A0B0C0D0E0F",
            "102102030405060708090A0B0C0D0E0F",
        ],
        keydata: "00000000000000000000",
        version: 0x70,
        sequence: 1,
        aid: "A000000151000000",
        challenge: "6B4524ABEE7C",
        opening: [
            "805000000840A62C37FA6304F800",
            "00000000000000000000700200016B4524ABEE7CF32EA3838BC148F3",
            "8482010010BA6961667737C5BCEBECE14C7D6A4376",
        ],
    };
    published.commands(&[
        "84F220020814DB34FA4341DCA8",
        "84CA00660855ED7C5FF069512B00",
        "84F22002124F0212345C054F9F70C58FC1B380C4228AF8",
        "84F280020A4F003B95F09317DE6A4E00",
    ]);
}

/// GlobalPlatformPro: session DEK of counter 0000 with the test key.
#[test]
fn scp02_session_dek() {
    let scp = scp02::Scp02::new(0x15, &StaticKeys::same(&test_key()), 0).unwrap();
    let mut block = hex("EFBEE6C6D99D7B70BDE9D7E927F020AF");
    Dek::Tdes(&scp.dek).decipher(&mut block).unwrap();
    assert_eq!(block, test_key().expose());
}

fn pysim_aes_128() -> Published<'static> {
    Published {
        protocol: Protocol::Scp03 { i: 0x70, counter: CounterRule::EveryCommand },
        keys: [
            "000102030405060708090A0B0C0D0E0F",
            "101112131415161718191A1B1C1D1E1F",
            "202122232425262728292A2B2C2D2E2F",
        ],
        keydata: "00000000000000000000",
        version: 0x30,
        sequence: 1,
        aid: "A0000005591010FFFFFFFF8900000100",
        challenge: "",
        opening: [
            "80503000088E1552D0513C60F300",
            "0000000000000000000030037030760CD2C47C1DD395065FE5EAD8A9D7000001",
            "8482030010FD4721A14D9B07003C451D2F8AE6BB21",
        ],
    }
}

#[test]
fn scp03_aes_128() {
    let published = pysim_aes_128();
    let wrapped = [
        "84E2910018CA9C00F6713D79BC8BAA642BDFF51C3F6A4082D3BD9AD26C00",
        "84F2200208C9811B11F1264CF1",
        "84CA006608E10AB60B3054798800",
        "84F22002184E2908BDB48B2315A55482E9E936CA122D6ECFAE7D17416E",
        "84F28002180DD10A6B6193E5340B9E77D32D5A179CD710AC2773AEFB2800",
    ];
    published.commands(&wrapped);
    let mut card = published.open();
    let plain = wrapped.map(|w| published.plain(&mut card, w));
    let want =
        ["80E29100BF3E035C015A", "80F22002", "80CA0066", "80F220024F0212345C054F9F70C5", "80F280024F00"];
    assert_eq!(plain, want);
}

#[test]
fn scp03_response_mac_and_encryption() {
    let published = Published {
        sequence: 3,
        opening: [
            "8050300008FDF38259A1E0DE4400",
            "000000000000000000003003703B1ACA81E821F219081CDC01C26B372D000003",
            "84823300108C36F96BCC00724A4E13AD591D7DA3F0",
        ],
        ..pysim_aes_128()
    };
    let mut card = published.open();
    let wrapped = "84E2910018267A85DFE4A98FCA6FB0527E0DFECCE4914E40401433C87F00";
    assert_eq!(published.plain(&mut card, wrapped), "80E29100BF3E035C015A");
    let data = hex("BF3E125A1089882119900000000000000000000005");
    let protected = card.channel.as_mut().unwrap().protect(data, StatusWord::DONE);
    let want = "F3BA2B1013AA6224F5E1C138D71805C569E5439B47576260B75FC021B25097CB2E68F8A0144975B9";
    assert_eq!(::hex::encode_upper(protected), want);
    // An error has no response MAC.
    assert!(card.channel.as_mut().unwrap().protect(Vec::new(), StatusWord::NO_DATA).is_empty());
}

#[test]
fn scp03_aes_256() {
    let published = Published {
        keys: [
            "000102030405060708090A0B0C0D0E0F000102030405060708090A0B0C0D0E0F",
            "101112131415161718191A1B1C1D1E1F101112131415161718191A1B1C1D1E1F",
            "202122232425262728292A2B2C2D2E2F202122232425262728292A2B2C2D2E2F",
        ],
        version: 0x32,
        opening: [
            "8050320008C6066990FC426E1D00",
            "000000000000000000003203708682CD81BBD8919F2DE3F2664581F118000001",
            "848203001077C493B632EDADAF865A1E64ACC07CE9",
        ],
        ..pysim_aes_128()
    };
    let wrapped = "84E29100183DDAA60594963BEFAADA3525B492EDE23C2AB2C1CE3AFE4400";
    published.commands(&[wrapped]);
    assert_eq!(published.plain(&mut published.open(), wrapped), "80E29100BF3E035C015A");
}

/// kaoh/globalplatform, SCP03.
#[test]
fn scp03_kaoh() {
    let published = Published {
        keys: [
            "F995D0A069335C7DF42E590317FFEA6D",
            "58563362EC5A4541ABCD32B34B1EAE7D",
            "404142434445464748494A4B4C4D4E4F",
        ],
        sequence: 0x15,
        aid: "A000000151000000",
        opening: [
            "8050000008B2BDE1A2DC66BD5600",
            "00000000000000000000300370C40932A6FEFEAEB2E127185170F45FCA000015",
            "848203001059D54D932423D29F6313C970875F8C2F",
        ],
        ..pysim_aes_128()
    };
    let wrapped = "84E400801829F06AEC3180B3EFE91FF662310B945DE0D5FE66AD67A5B6";
    published.commands(&[wrapped]);
    assert_eq!(published.plain(&mut published.open(), wrapped), "80E400804F08A00100015141434C");
}

/// Self-made sessions that an independent script computed: S8, and S16 (version 1.2 of amendment D).
#[test]
fn scp03_s8_and_s16() {
    let protocol = |i| Protocol::Scp03 { i, counter: CounterRule::EveryCommand };
    let s8 = Published {
        protocol: protocol(0x70),
        keys: SAME,
        version: 1,
        aid: "A000000151000000",
        opening: [
            "8050000008112233445566778800",
            "0000000000000000000001037086C8BD65FA1044EEE68C7601B9B974C2000001",
            "84820300107D2C92E2FFCF2013499EB2905C250894",
        ],
        ..pysim_aes_128()
    };
    let wrapped = "84E2000018B6BEDFD856C2F5FC097D518117854DA0C09AA3C85943F8B6";
    s8.commands(&[wrapped]);
    assert_eq!(s8.plain(&mut s8.open(), wrapped), "80E200000101037001AA");
    let s16 = Published {
        protocol: protocol(0x71),
        opening: [
            "80500000101122334455667788112233445566778800",
            "000000000000000000000103716924434C956736C8EE6122E8A3FC612FA99BCD24E348211E74EFD0CAC2B8859C000001",
            "848203002051175F5D1B4C571EAEBA5F0DBEBD62BB1A383572B873029D886828C695BF1980",
        ],
        ..s8
    };
    let wrapped = "84E20000207C1AFEF9923F83B4485C53F3007ADBA2A30FA0CFB806700ECD65BEBDBF237BEA";
    s16.commands(&[wrapped]);
    assert_eq!(s16.plain(&mut s16.open(), wrapped), "80E200000101037001AA");
}

/// A whole CPS session under KMC diversification, computed by an independent script: every grouping arrives.
#[test]
fn a_cps_session() {
    let keydata: [u8; 10] = hex("541333FFFFFF01020304").try_into().unwrap();
    let keys = StaticKeys::derive(&test_key(), Diversification::Emv, &keydata).unwrap();
    let mut config = CardConfig::new(Protocol::Scp02 { i: 0x55 }, keys);
    config.keydata = keydata;
    config.instances = vec![hex(PAYMENT)];
    let mut card = VirtualCard::new(config).unwrap();
    assert!(send(&mut card, "00A4040007A0000000031010").ends_with("9000"));
    let response = "541333FFFFFF0102030401020001787AA7D85D162F05B66CD4D385C39000";
    assert_eq!(send(&mut card, "80500100081122334455667788"), response);
    assert_eq!(send(&mut card, "8482030010ADD33BE49CA309D698211332C94EEFCB"), "9000");
    for command in [
        "84E200002846623B4A91477A9C5A746FE8E122B8A22CDDFC45A9B7FEEAAA960D1FEE9B926CA4BFE07572D60F53",
        "84E26001406C2BF344E04456CE2EF67C284885AE212441B55DAB8B3711B404E8ED09432142ACD105CF5EC8B0F596D356B4CF1E3A164CB0E49E68BDA417F5D85D344F3952A8",
        "84E2000218C95847286B4A015E8745DF762F9D7DD3312702D3452315D9",
        "84E26003181B5A9A0C7E99562BC4A0BB3A1E723C205529450F7DB4DB3A",
        "84E2000410088195735CAA8463455324F6FC6680CE",
    ] {
        assert_eq!(send(&mut card, command), "9000");
    }
    let held: Vec<_> =
        card.held(&hex(PAYMENT)).into_iter().map(|(t, v)| (t, ::hex::encode_upper(v.expose()))).collect();
    let keys =
        "112233440066778811223344550077888B4F854F0831FBF2635A212E4DDDB92A11220044556677881122330055667788";
    let want = [
        (0x0101, "701357114761739001010010D22122011143878089"),
        (0x8000, keys),
        (0x8010, "241234FFFFFFFFFF"),
        (0x9000, "97DCB0CE4E2CB37DF3"),
        (0x9010, "0303"),
    ];
    assert_eq!(held, want.map(|(t, v)| (t, v.to_owned())));
    // The last block comes before FCI and GPO data are there.
    assert_eq!(send(&mut card, "84E2800510CDAAB4F205724C6F3BD6C235E2691605"), "6A80");
    assert_eq!(card.applet_state(&hex(PAYMENT)), Some(AppletState::Selectable));
}

/// The static DEK of SCP03: AES CBC, ICV zero.
#[test]
fn scp03_static_dek() {
    let card = pysim_aes_128();
    let [enc, mac, _] = card.keys.map(secret);
    let keys = StaticKeys { enc, mac, dek: test_key() };
    let scp = scp03::Scp03::new(0x70, CounterRule::EveryCommand, &keys, &[0; 8], &[0; 8]).unwrap();
    let mut data = hex(
        "0AF8C6191E02D9FFDF00B4328443A008EA892E9E3391A7513DCD223C5CC93542B909D23AA3D0C8D24A898EF564631ED4",
    );
    Dek::Aes(&scp.dek).decipher(&mut data).unwrap();
    assert_eq!(::hex::encode_upper(data), WHOLE[4].1);
}
