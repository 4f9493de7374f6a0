//! Published sessions of secure channels, byte for byte, and two that an independent script made where none is published.

use super::*;
use crate::bytes::{from_hex, hex_upper};
use crate::crypto::backend::Backend;
use crate::crypto::mac::{Padding, retail_mac};
use crate::crypto::tdes::TdesKey;
use crate::keys::{
    CardKeys, ChannelKey, CipherMode, Diversification, KcvMethod, KeyAlgorithm, KeyAttributes, KeyIndex,
    KeyRef, KeyUse, Scp02Key, Scp03Key, SoftwareRing, TransportName,
};
use crate::secret::Secret;

const DEFAULT: &str = "404142434445464748494A4B4C4D4E4F";
const KEYS: CardKeys = CardKeys::Static { index: KeyIndex(1) };

fn bytes(hex: &str) -> Vec<u8> {
    from_hex(&hex.replace(' ', "")).unwrap()
}

fn secret(hex: &str) -> Secret {
    Secret::new(bytes(hex))
}

fn add(ring: &mut SoftwareRing, usage: KeyUse, algorithm: KeyAlgorithm, hex: &str) {
    let key = KeyRef::new(usage, KeyIndex(1));
    ring.add_clear(key, algorithm, secret(hex), KeyAttributes::default()).unwrap();
}

fn ring(algorithm: KeyAlgorithm, enc: &str, mac: &str, dek: &str) -> SoftwareRing {
    let mut ring = SoftwareRing::new(Backend::Portable);
    for (usage, key) in [(KeyUse::CardEnc, enc), (KeyUse::CardMac, mac), (KeyUse::CardDek, dek)] {
        add(&mut ring, usage, algorithm, key);
    }
    ring
}

fn scp02(i: u8, level: SecurityLevel) -> ChannelSettings {
    ChannelSettings::new(ChannelProtocol::new(2, i).unwrap(), level, KEYS)
}

fn scp03(i: u8, level: SecurityLevel, aid: &str, key_version: u8) -> ChannelSettings {
    let protocol = ChannelProtocol::new(3, i).unwrap();
    ChannelSettings {
        aid: Some(aid.parse().unwrap()),
        key_version,
        ..ChannelSettings::new(protocol, level, KEYS)
    }
}

/// INITIALIZE UPDATE and its response, EXTERNAL AUTHENTICATE, then commands in clear and wrapped.
fn session(
    settings: &ChannelSettings,
    ring: &SoftwareRing,
    initialize_update: &str,
    answer: &str,
    external_authenticate: &str,
    commands: &[(&str, &str)],
) -> Channel {
    let first = CommandApdu::parse(&bytes(initialize_update)).unwrap();
    let challenge = first.data().to_vec();
    assert_eq!(Channel::initialize_update(settings, &challenge).unwrap(), first);
    let answer = ResponseApdu::new(bytes(answer), crate::perso::apdu::StatusWord::SUCCESS);
    let mut channel = Channel::open(settings, ring, &challenge, &answer).unwrap();
    assert_eq!(hex_upper(&channel.external_authenticate().unwrap().to_bytes()), external_authenticate);
    channel.authenticated(&ResponseApdu::parse(&[0x90, 0x00]).unwrap()).unwrap();
    for (plain, wrapped) in commands {
        let command = channel.wrap(&CommandApdu::parse(&bytes(plain)).unwrap()).unwrap();
        assert_eq!(hex_upper(&command.to_bytes()), *wrapped, "{plain}");
        if !settings.level.r_mac() {
            channel.unwrap(&ResponseApdu::parse(&[0x90, 0x00]).unwrap()).unwrap();
        }
    }
    channel
}

/// kaoh/globalplatform, securityModuleTest: one key for all, i = 15.
#[test]
fn scp02_with_the_default_key() {
    let ring = ring(KeyAlgorithm::Tdes2, DEFAULT, DEFAULT, DEFAULT);
    session(
        &scp02(0x15, SecurityLevel::CMac),
        &ring,
        "8050000008D5AD539A60CA5E7200",
        "000074746E6E6E6262620102069FAA2A0591E73367DD78794D04315E",
        "84820100107C799B3C771DBAE6BEF49310977617BA",
        &[("80F22002024F0000", "84F220020A4F00BB6E71C0EFCFCF0D00")],
    );
    session(
        &scp02(0x15, SecurityLevel::CDecryption),
        &ring,
        "8050000008EBAA9E53C696281B00",
        "000074746E6E6E626262010206A15086BBEE58F467149061DA4B6EAE",
        "848203001005814C116071EB67D8BA9D9879454564",
        &[
            (
                "80E400800A4F08D0D1D2D3D4D5010100",
                "84E4008018BC146FA0403BE4BAD3BC089E4ABD8674DA7EFEA21047B85800",
            ),
            (
                "80E40080094F07D0D1D2D3D4D50100",
                "84E4008018C2748C1669FAFC0E20C5253680388A4A49C9A6038D77B45700",
            ),
        ],
    );
    for (sequence, enc, mac, dek) in [
        (
            [0x06, 0x9F],
            "A7E638E94A6AEC1AB596BA9E46FF2B7F",
            "3D19A0E1F74FFE5260157E1E150AC67E",
            "60B7A058C8A743A2D5AC7310EE1A36A7",
        ),
        (
            [0x06, 0xA1],
            "590D31AD3295B85CD5F8056246F03212",
            "964CD624B47829AAB6C4BEF65827CEC7",
            "B035339904B1478F86764BBFC6CEE06B",
        ),
    ] {
        for (of, expected) in [(Scp02Key::Enc, enc), (Scp02Key::CMac, mac), (Scp02Key::Dek, dek)] {
            assert_eq!(of.derive(&secret(DEFAULT), sequence).unwrap(), secret(expected));
        }
    }
}

/// osmocom/pysim, SCP02 tests: three keys. A command without Lc is covered with Lc 08.
#[test]
fn scp02_with_three_keys() {
    let keys = [
        "100102030405060708090A0B0C0D0E0F",
        "101102030405060708090A0B0C0D0E0F",
        "102102030405060708090A0B0C0D0E0F",
    ];
    let ring = ring(KeyAlgorithm::Tdes2, keys[0], keys[1], keys[2]);
    session(
        &ChannelSettings { key_version: 0x70, ..scp02(0x15, SecurityLevel::CMac) },
        &ring,
        "805070000840A62C37FA6304F800",
        "00000000000000000000700200016B4524ABEE7CF32EA3838BC148F3",
        "8482010010BA6961667737C5BCEBECE14C7D6A4376",
        &[
            ("80F22002", "84F220020814DB34FA4341DCA8"),
            ("80CA006600", "84CA00660855ED7C5FF069512B00"),
            ("80F220020A4F0212345C054F9F70C5", "84F22002124F0212345C054F9F70C58FC1B380C4228AF8"),
            ("80F28002024F0000", "84F280020A4F003B95F09317DE6A4E00"),
        ],
    );
    for (of, key, expected) in [
        (Scp02Key::Enc, keys[0], "1BA074B31F72A6C44FE8F5D9AFE4DA2F"),
        (Scp02Key::CMac, keys[1], "29A69328E60494982632039DDD47A2F1"),
        (Scp02Key::Dek, keys[2], "511DB767812597722109C867F9D7257A"),
        (Scp02Key::RMac, keys[1], "FDF8A06C38FA7A54123C80AB9087BF25"),
    ] {
        assert_eq!(of.derive(&secret(key), [0, 1]).unwrap(), secret(expected));
    }
}

/// GlobalPlatformPro, TestPlaintextKeys: check values of diversified keys.
#[test]
fn diversified_keys() {
    let key_data = bytes("00010203040506070809");
    let of = [ChannelKey::Enc, ChannelKey::Mac, ChannelKey::Dek];
    for (method, algorithm, kcv_method, expected) in [
        (
            Diversification::EmvCps,
            KeyAlgorithm::Tdes2,
            KcvMethod::Tdes,
            [
                ("0EF59FCBF8019B62E62AF6EA20B8BF25", "C33013"),
                ("3E383EB6F2762B88155F76BDFED05A02", "6F4CA6"),
                ("64021E43C0C7D264A1C7C6D01E1C8761", "BB8179"),
            ],
        ),
        (
            Diversification::Visa2,
            KeyAlgorithm::Tdes2,
            KcvMethod::Tdes,
            [
                ("8510FC973208218CA86888BCEC203635", "2BE598"),
                ("1068B5FB6F06C78C7A4DFC343B21C78F", "58DA38"),
                ("2DAEE809C71405FF259C3BE695A1F66E", "3C328E"),
            ],
        ),
        (
            Diversification::Kdf3,
            KeyAlgorithm::Aes128,
            KcvMethod::AesGp,
            [
                ("808BC985A1069AD2A9AC94E0FE7B8843", "E79C05"),
                ("65942E0BF4F3F32AEFACBA5671456275", "D1BD77"),
                ("6A74F6F6040CCA10D8A3FDC7914FD7CC", "3FDE8C"),
            ],
        ),
    ] {
        for (which, (key, kcv)) in of.into_iter().zip(expected) {
            let derived = method.derive(&secret(DEFAULT), &key_data, which).unwrap();
            assert_eq!(derived, secret(key));
            assert_eq!(kcv_method.compute(&derived, algorithm).unwrap().to_string(), kcv);
        }
    }
    let master = secret("8C72C72CF908411653018807950D82FBAD947562F0828A0B10B8B9606ABF3BCD");
    let enc = Diversification::Kdf3.derive(&master, &bytes("D9B1DE5D0362DEDCE4FB"), ChannelKey::Enc).unwrap();
    assert_eq!(enc, secret("9AAC5D0B3601F89438A0D9D0B6B256CFB47E6462DFA5228D3420C4AC7C224781"));
    for (of, key, kcv) in [
        (Scp02Key::Enc, "010B0371D78377B801F2D62AFC671D95", "F2DCDD"),
        (Scp02Key::CMac, "D1C28C601652A4770D67AD82D2D2E1C4", "5FCC69"),
        (Scp02Key::Dek, "E11987EE331B417A5D67D760692F89D4", "85272E"),
        (Scp02Key::RMac, "FFAEC7EC7FAD69F9FBFF093BF2F79C45", "9F749A"),
    ] {
        let derived = of.derive(&secret(DEFAULT), [0, 0]).unwrap();
        assert_eq!(derived, secret(key));
        assert_eq!(KcvMethod::Tdes.compute(&derived, KeyAlgorithm::Tdes2).unwrap().to_string(), kcv);
    }
    for (key, kcv) in [
        ("000102030405060708090A0B0C0D0E0F", "C35280"),
        ("101112131415161718191A1B1C1D1E1F", "013808"),
        ("202122232425262728292A2B2C2D2E2F", "840DE5"),
    ] {
        let found = KcvMethod::AesGp.compute(&secret(key), KeyAlgorithm::Aes128).unwrap();
        assert_eq!(found.to_string(), kcv);
    }
}

const ENC: &str = "000102030405060708090A0B0C0D0E0F";
const MAC: &str = "101112131415161718191A1B1C1D1E1F";
const DEK: &str = "202122232425262728292A2B2C2D2E2F";
const ISD: &str = "A0000005591010FFFFFFFF8900000100";

/// osmocom/pysim, SCP03 tests: i = 70, the card challenge follows from the AID of the issuer security domain.
#[test]
fn scp03_s8() {
    let aes128 = ring(KeyAlgorithm::Aes128, ENC, MAC, DEK);
    session(
        &scp03(0x70, SecurityLevel::CDecryption, ISD, 0x30),
        &aes128,
        "80503000088E1552D0513C60F300",
        "0000000000000000000030037030760CD2C47C1DD395065FE5EAD8A9D7000001",
        "8482030010FD4721A14D9B07003C451D2F8AE6BB21",
        &[
            ("80E2910006BF3E035C015A00", "84E2910018CA9C00F6713D79BC8BAA642BDFF51C3F6A4082D3BD9AD26C00"),
            ("80F22002", "84F2200208C9811B11F1264CF1"),
            ("80CA006600", "84CA006608E10AB60B3054798800"),
            ("80F220020A4F0212345C054F9F70C5", "84F22002184E2908BDB48B2315A55482E9E936CA122D6ECFAE7D17416E"),
            ("80F28002024F0000", "84F28002180DD10A6B6193E5340B9E77D32D5A179CD710AC2773AEFB2800"),
        ],
    );
    let context = bytes("8E1552D0513C60F3 30760CD2C47C1DD3");
    for (of, key, expected) in [
        (Scp03Key::Enc, ENC, "EE54985E150155E021725489F717D645"),
        (Scp03Key::Mac, MAC, "59B76DDFF91DBA0515A9644DE3A48863"),
        (Scp03Key::RMac, MAC, "5942BF778C5942F17037DA8278F9330D"),
    ] {
        assert_eq!(of.derive(&secret(key), &context).unwrap(), secret(expected));
    }
    let aes256 = ring(KeyAlgorithm::Aes256, &ENC.repeat(2), &MAC.repeat(2), &DEK.repeat(2));
    session(
        &scp03(0x70, SecurityLevel::CDecryption, ISD, 0x32),
        &aes256,
        "8050320008C6066990FC426E1D00",
        "000000000000000000003203708682CD81BBD8919F2DE3F2664581F118000001",
        "848203001077C493B632EDADAF865A1E64ACC07CE9",
        &[("80E2910006BF3E035C015A00", "84E29100183DDAA60594963BEFAADA3525B492EDE23C2AB2C1CE3AFE4400")],
    );
}

/// osmocom/pysim, level 33: the response comes enciphered and with an R-MAC.
#[test]
fn scp03_s8_with_r_mac_and_r_encryption() {
    let ring = ring(KeyAlgorithm::Aes128, ENC, MAC, DEK);
    let mut channel = session(
        &scp03(0x70, SecurityLevel::Full, ISD, 0x30),
        &ring,
        "8050300008FDF38259A1E0DE4400",
        "000000000000000000003003703B1ACA81E821F219081CDC01C26B372D000003",
        "84823300108C36F96BCC00724A4E13AD591D7DA3F0",
        &[("80E2910006BF3E035C015A00", "84E2910018267A85DFE4A98FCA6FB0527E0DFECCE4914E40401433C87F00")],
    );
    let response =
        bytes("F3BA2B1013AA6224F5E1C138D71805C569E5439B47576260B75FC021B25097CB2E68F8A0144975B9 9000");
    let plain = channel.unwrap(&ResponseApdu::parse(&response).unwrap()).unwrap();
    assert_eq!(hex_upper(plain.data()), "BF3E125A1089882119900000000000000000000005");
}

/// kaoh/globalplatform, SCP03 test.
#[test]
fn scp03_of_another_library() {
    let (enc, mac) = ("F995D0A069335C7DF42E590317FFEA6D", "58563362EC5A4541ABCD32B34B1EAE7D");
    let aes128 = ring(KeyAlgorithm::Aes128, enc, mac, DEK);
    session(
        &scp03(0x70, SecurityLevel::CDecryption, "A000000151000000", 0),
        &aes128,
        "8050000008B2BDE1A2DC66BD5600",
        "00000000000000000000300370C40932A6FEFEAEB2E127185170F45FCA000015",
        "848203001059D54D932423D29F6313C970875F8C2F",
        &[("80E400800A4F08A00100015141434C", "84E400801829F06AEC3180B3EFE91FF662310B945DE0D5FE66AD67A5B6")],
    );
    let context = bytes("B2BDE1A2DC66BD56 C40932A6FEFEAEB2");
    for (of, key, expected) in [
        (Scp03Key::Enc, enc, "9B841BB63D1087484FF7F16802017243"),
        (Scp03Key::Mac, mac, "8117FE5ADED74AC0DAABE9FB81DBDB67"),
        (Scp03Key::RMac, mac, "4521D75E4D6F60DBFB8AB4EE254EF6F1"),
    ] {
        assert_eq!(of.derive(&secret(key), &context).unwrap(), secret(expected));
    }
}

/// kaoh/globalplatform: card-manager keys under the static Key-DEK, as STORE DATA (groupings 00B9 and 8113) sends them. The
/// key block of PUT KEY holds the same cryptograms.
#[test]
fn new_keys_under_the_static_dek() {
    let new = [DEFAULT, "505152535455565758595A5B5C5D5E5F", "606162636465666768696A6B6C6D6E6F"];
    let mut ring = ring(KeyAlgorithm::Aes128, DEFAULT, DEFAULT, ENC);
    for (usage, key) in [KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek].into_iter().zip(new) {
        let name = KeyRef::new(usage, KeyIndex(2));
        ring.add_clear(name, KeyAlgorithm::Aes128, secret(key), KeyAttributes::default()).unwrap();
    }
    let next = Some(CardKeys::Static { index: KeyIndex(2) });
    let request = crate::keys::CardSessionRequest {
        keys: KEYS,
        key_data: [0; 10],
        channel: crate::keys::SecureChannel::Scp03 { context: vec![0; 16] },
        transport: None,
        new_keys: next,
    };
    use crate::keys::KeySource;
    let keys = ring.card_session(&request).unwrap().new_keys().unwrap();
    let found: Vec<_> = keys.iter().map(|k| (hex_upper(&k.cryptogram), hex_upper(&k.kcv))).collect();
    let expected = [
        ("D533E59B45A153ED7E5E9C5DFCFD4AAA", "504A77"),
        ("3EF0B1A5E3059DAB21FCE23A7B61C4CA", "F2A8DF"),
        ("ADDE68F7AD497268D31A0DDD5C74B08F", "D7D0E4"),
    ];
    assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    // GlobalPlatformPro: the default key under the session DEK of SCP02, sequence counter 0000.
    let mut two = ring_of_default();
    add_second(&mut two);
    let request = crate::keys::CardSessionRequest {
        channel: crate::keys::SecureChannel::Scp02 {
            sequence: [0, 0],
            base_keys: crate::keys::BaseKeys::Three,
        },
        ..request
    };
    let keys = two.card_session(&request).unwrap().new_keys().unwrap();
    assert_eq!(hex_upper(&keys[0].cryptogram), "EFBEE6C6D99D7B70BDE9D7E927F020AF");
    assert_eq!(hex_upper(&keys[0].kcv), "8BAF47");
}

fn ring_of_default() -> SoftwareRing {
    ring(KeyAlgorithm::Tdes2, DEFAULT, DEFAULT, DEFAULT)
}

fn add_second(ring: &mut SoftwareRing) {
    for usage in [KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek] {
        let name = KeyRef::new(usage, KeyIndex(2));
        ring.add_clear(name, KeyAlgorithm::Tdes2, secret(DEFAULT), KeyAttributes::default()).unwrap();
    }
}

/// seciot/CardApplet-PayPass: the one personalization command of a mag-stripe applet; its MAC is the MAC of SCP02 without a
/// session, and its key comes under the same key.
#[test]
fn paypass_mag_stripe_command() {
    let apdu = bytes(
        "84E2A000AB01017F9F6C020001563E42353431333132333435363738343830305E535550504C4945442F4E4F545E303930363130313333303030333333303030323232323230303031313131309F6401039F62060000003800009F630600000000E0E09F6502000E9F66020E709F6B135413123456784800D09061019000990000000F9F670103A0010B00004000000000778099D3A002105229A2B1820F3213CAF2243CB19C5DF7DE65E29F48C7F212",
    );
    let key = TdesKey::new(&secret("A86A3D06CAE7046A106358D5B8239CBE")).unwrap();
    let (covered, mac) = apdu.split_last_chunk::<8>().unwrap();
    assert_eq!(retail_mac(&key, [0; 8], Padding::Bit, covered), *mac);
    let groupings = crate::perso::parse_dgis(&covered[5..]).unwrap();
    assert_eq!(groupings.len(), 3);
    let mut value = groupings[2].value.to_vec();
    key.decrypt_ecb(&mut value).unwrap();
    assert_eq!(hex_upper(&value), "A3D0BC420A766611F7BC19E7F2E221AF");
}

const KEYS_8000: &str =
    "112233440066778811223344550077888B4F854F0831FBF2635A212E4DDDB92A11220044556677881122330055667788";

fn transport(ring: &mut SoftwareRing) -> Option<TransportName> {
    add(ring, KeyUse::Transport, KeyAlgorithm::Tdes2, "0123456789ABCDEFFEDCBA9876543210");
    let key = KeyRef::new(KeyUse::Transport, KeyIndex(1));
    Some(TransportName { key, wrapped: None, mode: CipherMode::Ecb, kcv: Some("08D7B4".to_owned()) })
}

fn under_transport(plain: &[u8]) -> Vec<u8> {
    let mut value = plain.to_vec();
    TdesKey::new(&secret("0123456789ABCDEFFEDCBA9876543210")).unwrap().encrypt_ecb(&mut value).unwrap();
    value
}

/// A whole session of a CPS applet (computed by an independent script): KMC diversified, values from the transport key to the
/// session DEK, C-MAC and C-DECRYPTION, i = 55.
#[test]
fn a_whole_scp02_session() {
    let mut ring = SoftwareRing::new(Backend::Portable);
    add(&mut ring, KeyUse::Kmc, KeyAlgorithm::Tdes2, DEFAULT);
    let key_data = bytes("541333FFFFFF01020304");
    for (of, key, kcv) in [
        (ChannelKey::Enc, "5ED34959AD1AB4DDF569F187288DFA0C", "480A20"),
        (ChannelKey::Mac, "3B9083B13A312B283ECC25C11D4FA076", "520B7C"),
        (ChannelKey::Dek, "EE849DA4851CD9619DBD1F2076A9C3B1", "58B43E"),
    ] {
        let derived = Diversification::EmvCps.derive(&secret(DEFAULT), &key_data, of).unwrap();
        assert_eq!(derived, secret(key));
        assert_eq!(KcvMethod::Tdes.compute(&derived, KeyAlgorithm::Tdes2).unwrap().to_string(), kcv);
    }
    let settings = ChannelSettings {
        key_version: 1,
        keys: CardKeys::Master { index: KeyIndex(1), diversification: Diversification::EmvCps },
        aid: Some("A0000000031010".parse().unwrap()),
        transport: transport(&mut ring),
        ..scp02(0x55, SecurityLevel::CDecryption)
    };
    let mut channel = session(
        &settings,
        &ring,
        "8050010008112233445566778800",
        "541333FFFFFF0102030401020001787AA7D85D162F05B66CD4D385C3",
        "8482030010ADD33BE49CA309D698211332C94EEFCB",
        &[(
            "80E2000018010115701357114761739001010010D22122011143878089",
            "84E200002846623B4A91477A9C5A746FE8E122B8A22CDDFC45A9B7FEEAAA960D1FEE9B926CA4BFE07572D60F53",
        )],
    );
    assert_eq!(channel.key_data().to_string(), "541333FFFFFF01020304");
    let keys = bytes(KEYS_8000);
    let under = under_transport(&keys);
    assert_eq!(
        hex_upper(&under),
        "9191B29DE7245AF1DB35D43D34F8E5DE3FFDBCB3F13EB0DA9CFB2AA7F26BFC83FB5E8351C801881B55D439447F908073"
    );
    let value = channel.recipher(&under, &Refill::Refuse).unwrap();
    assert_eq!(
        hex_upper(&value),
        "110CE762B8CDB3BCF8A92A03137B38A55A7EBBFC89D31A17A8247F6F9CE1D58647C9DE9AA99DEE30CB4341401F58703F"
    );
    let pin = channel.recipher(&under_transport(&bytes("241234FFFFFFFFFF")), &Refill::Refuse).unwrap();
    assert_eq!(hex_upper(&pin), "A065E69CEC26EE9F");
    for (plain, wrapped) in [
        (
            format!("80E2600133800030{}", hex_upper(&value)),
            "84E26001406C2BF344E04456CE2EF67C284885AE212441B55DAB8B3711B404E8ED09432142ACD105CF5EC8B0F596D356B4CF1E3A164CB0E49E68BDA417F5D85D344F3952A8",
        ),
        (
            "80E200020C90000997DCB0CE4E2CB37DF3".to_owned(),
            "84E2000218C95847286B4A015E8745DF762F9D7DD3312702D3452315D9",
        ),
        (
            format!("80E260030B801008{}", hex_upper(&pin)),
            "84E26003181B5A9A0C7E99562BC4A0BB3A1E723C205529450F7DB4DB3A",
        ),
        ("80E20004059010020303".to_owned(), "84E2000410088195735CAA8463455324F6FC6680CE"),
        ("80E28005037FFF00".to_owned(), "84E2800510CDAAB4F205724C6F3BD6C235E2691605"),
    ] {
        let command = channel.wrap(&CommandApdu::parse(&bytes(&plain)).unwrap()).unwrap();
        assert_eq!(hex_upper(&command.to_bytes()), wrapped, "{plain}");
        channel.unwrap(&ResponseApdu::parse(&[0x90, 0x00]).unwrap()).unwrap();
    }
    // CRT prime of a published 1024-bit test key, padded to 72 bytes.
    let prime = "D0BAD286ED4E1CBE6CED5391A9696ED58F317E4A52D0E37C755C01225F676AB712A15D1B953BD67FB8DFB610655965352583B46B260E481661DF74FE85C20AC18000000000000000";
    let value = channel.recipher(&under_transport(&bytes(prime)), &Refill::Refuse).unwrap();
    assert_eq!(
        hex_upper(&value),
        "20445453B92E7C8E577AA9D91798B7C0DD986AACDDB034AD7B14B2B31091D54B5406C15CF296765CA66DA1022A7D5E152A3F9302EE2830DBE92B4CE817BBE669CBFC24BEE5605F72"
    );
}

/// SCP03 in both lengths (computed by an independent script; no S16 session is published), and values under the static DEK.
#[test]
fn scp03_s8_and_s16() {
    let mut ring = ring(KeyAlgorithm::Aes128, DEFAULT, DEFAULT, DEFAULT);
    let transport = transport(&mut ring);
    let settings =
        ChannelSettings { transport, ..scp03(0x70, SecurityLevel::CDecryption, "A000000151000000", 1) };
    let channel = session(
        &settings,
        &ring,
        "8050010008112233445566778800",
        "0000000000000000000001037086C8BD65FA1044EEE68C7601B9B974C2000001",
        "84820300107D2C92E2FFCF2013499EB2905C250894",
        &[("80E20000060101037001AA", "84E2000018B6BEDFD856C2F5FC097D518117854DA0C09AA3C85943F8B6")],
    );
    let value = channel.recipher(&under_transport(&bytes(KEYS_8000)), &Refill::Refuse).unwrap();
    assert_eq!(
        hex_upper(&value),
        "0AF8C6191E02D9FFDF00B4328443A008EA892E9E3391A7513DCD223C5CC93542B909D23AA3D0C8D24A898EF564631ED4"
    );
    session(
        &scp03(0x71, SecurityLevel::CDecryption, "A000000151000000", 1),
        &ring,
        "80500100101122334455667788112233445566778800",
        "000000000000000000000103716924434C956736C8EE6122E8A3FC612FA99BCD24E348211E74EFD0CAC2B8859C000001",
        "848203002051175F5D1B4C571EAEBA5F0DBEBD62BB1A383572B873029D886828C695BF1980",
        &[(
            "80E20000060101037001AA",
            "84E20000207C1AFEF9923F83B4485C53F3007ADBA2A30FA0CFB806700ECD65BEBDBF237BEA",
        )],
    );
}
