//! The channel against a card side written beside it from the same clauses on the primitives, and what it must refuse.
#![allow(clippy::arithmetic_side_effects)] // small numbers of a test

use proptest::prelude::*;

use super::*;
use crate::crypto::aes::AesKey;
use crate::crypto::backend::Backend;
use crate::crypto::mac::{Padding, cmac_aes, retail_mac, strip_bit_padding, tdes_cbc_mac};
use crate::crypto::tdes::TdesKey;
use crate::keys::{
    CardKeys, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, Scp02Key, Scp03Key, SoftwareRing,
};
use crate::perso::apdu::StatusWord;
use crate::secret::Secret;

const OK: StatusWord = StatusWord::SUCCESS;

fn static_key(n: u8, len: usize) -> Secret {
    Secret::new((0..len).map(|i| n ^ u8::try_from(i).unwrap().wrapping_mul(7).wrapping_add(0x41)).collect())
}

fn ring(algorithm: KeyAlgorithm) -> SoftwareRing {
    let mut ring = SoftwareRing::new(Backend::Portable);
    for (n, usage) in [(1, KeyUse::CardEnc), (2, KeyUse::CardMac), (3, KeyUse::CardDek)] {
        let key = static_key(n, algorithm.key_len());
        ring.add_clear(KeyRef::new(usage, KeyIndex(1)), algorithm, key, KeyAttributes::default()).unwrap();
    }
    ring
}

/// The card's half, one command at a time.
#[allow(clippy::large_enum_variant)] // one of them lives at a time
enum Card {
    Two { enc: TdesKey, mac: TdesKey, rmac: TdesKey, option: Scp02Option, chain: [u8; 8], response: [u8; 8] },
    Three { enc: AesKey, mac: Secret, rmac: Secret, chain: [u8; 16], counter: u128, len: usize },
}

struct Rig {
    settings: ChannelSettings,
    ring: SoftwareRing,
    challenge: Vec<u8>,
}

const SEQUENCE: [u8; 2] = [0x12, 0x34];

impl Rig {
    fn new(protocol: u8, i: u8, level: SecurityLevel, algorithm: KeyAlgorithm) -> Self {
        let protocol = ChannelProtocol::new(protocol, i).unwrap();
        let settings = ChannelSettings::new(protocol, level, CardKeys::Static { index: KeyIndex(1) });
        let challenge = vec![0xC4; protocol.challenge_len()];
        Self { settings, ring: ring(algorithm), challenge }
    }

    fn level(&self) -> SecurityLevel {
        self.settings.level
    }

    /// The response to INITIALIZE UPDATE, and the card behind it.
    fn answer(&self) -> (Vec<u8>, Card) {
        let mut out = vec![0x11; 10];
        match self.settings.protocol {
            ChannelProtocol::Scp02(option) => {
                let keys = |base: u8, of: Scp02Key| {
                    let base = if option.byte() & 1 == 0 { 1 } else { base };
                    TdesKey::new(&of.derive(&static_key(base, 16), SEQUENCE).unwrap()).unwrap()
                };
                let enc = keys(1, Scp02Key::Enc);
                out.extend([1, 2]);
                out.extend(SEQUENCE);
                out.extend([0xCA; 6]);
                let input = [&self.challenge[..], &SEQUENCE, &[0xCA; 6]].concat();
                out.extend(tdes_cbc_mac(&enc, [0; 8], Padding::Bit, &input));
                let (mac, rmac) = (keys(2, Scp02Key::CMac), keys(2, Scp02Key::RMac));
                (out, Card::Two { enc, mac, rmac, option, chain: [0; 8], response: [0; 8] })
            }
            ChannelProtocol::Scp03(option) => {
                let len = option.mac_len();
                let size = self.ring_key_len();
                let challenge = vec![0xCA; len];
                let context = [&self.challenge[..], &challenge].concat();
                let key = |n: u8, of: Scp03Key| of.derive(&static_key(n, size), &context).unwrap();
                let mac = key(2, Scp03Key::Mac);
                out.extend([1, 3, option.byte()]);
                out.extend(&challenge);
                let bits = u8::try_from(len * 8).unwrap();
                let cryptogram = cmac_aes(&mac, &[&[0; 13], &[0, bits, 1], &context]).unwrap();
                out.extend(&cryptogram[..len]);
                if option.pseudo_random_challenge() {
                    out.extend([0, 0, 9]);
                }
                let enc = AesKey::new(&key(1, Scp03Key::Enc)).unwrap();
                (out, Card::Three { enc, mac, rmac: key(2, Scp03Key::RMac), chain: [0; 16], counter: 0, len })
            }
        }
    }

    fn ring_key_len(&self) -> usize {
        use crate::keys::KeySource;
        self.ring.info(KeyRef::new(KeyUse::CardEnc, KeyIndex(1))).unwrap().algorithm.key_len()
    }

    fn opened(&self) -> (Channel, Card) {
        let (answer, card) = self.answer();
        let answer = ResponseApdu::new(answer, OK);
        (Channel::open(&self.settings, &self.ring, &self.challenge, &answer).unwrap(), card)
    }

    fn authenticated(&self) -> (Channel, Card) {
        let (mut channel, mut card) = self.opened();
        let command = channel.external_authenticate().unwrap();
        assert!(card.takes_external_authenticate(&command));
        channel.authenticated(&ResponseApdu::new(Vec::new(), OK)).unwrap();
        (channel, card)
    }
}

impl Card {
    fn takes_external_authenticate(&mut self, command: &CommandApdu) -> bool {
        let bytes = command.to_bytes();
        match self {
            Self::Two { mac, chain, response, .. } => {
                let (covered, got) = bytes.split_last_chunk::<8>().unwrap();
                *chain = *got;
                *response = *got;
                retail_mac(mac, [0; 8], Padding::Bit, covered) == *got
            }
            Self::Three { mac, chain, len, .. } => {
                let (covered, got) = bytes.split_at(bytes.len() - *len);
                *chain = cmac_aes(mac, &[&[0; 16], covered]).unwrap();
                chain[..*len] == *got
            }
        }
    }

    /// Checks and opens a command; gives its data in clear.
    fn takes(&mut self, level: SecurityLevel, command: &CommandApdu) -> Option<Vec<u8>> {
        match self {
            Self::Two { enc, mac, option, chain, .. } => {
                if !level.c_mac() {
                    return Some(command.data().to_vec());
                }
                let (data, got) = command.data().split_last_chunk::<8>()?;
                let mut data = data.to_vec();
                if level.c_decryption() && !data.is_empty() {
                    enc.decrypt_cbc([0; 8], &mut data).ok()?;
                    data = strip_bit_padding(&data).ok()?.to_vec();
                }
                let icv = if option.encrypts_icv() { mac.left_encrypt(*chain) } else { *chain };
                let mut covered = command.header().to_vec();
                covered.push(u8::try_from(data.len() + 8).unwrap());
                covered.extend(&data);
                *chain = *got;
                (retail_mac(mac, icv, Padding::Bit, &covered) == *got).then_some(data)
            }
            Self::Three { enc, mac, chain, counter, len, .. } => {
                *counter += 1;
                if !level.c_mac() {
                    return Some(command.data().to_vec());
                }
                let at = command.data().len().checked_sub(*len)?;
                let (data, got) = command.data().split_at(at);
                let head = [&command.header()[..], &[command.lc()]].concat();
                *chain = cmac_aes(mac, &[&chain[..], &head, data]).unwrap();
                if chain[..*len] != *got {
                    return None;
                }
                let mut data = data.to_vec();
                if level.c_decryption() && !data.is_empty() {
                    let icv = enc.encrypt_block(counter.to_be_bytes());
                    enc.decrypt_cbc(icv, &mut data).ok()?;
                    data = strip_bit_padding(&data).ok()?.to_vec();
                }
                Some(data)
            }
        }
    }

    /// A response with all that the level asks for. `plain` is the command in clear.
    fn answers(
        &mut self,
        level: SecurityLevel,
        plain: &CommandApdu,
        data: &[u8],
        sw: StatusWord,
    ) -> ResponseApdu {
        if !level.r_mac() {
            return ResponseApdu::new(data.to_vec(), sw);
        }
        match self {
            Self::Two { rmac, response, .. } => {
                let mut covered = plain.header().to_vec();
                covered.push(plain.lc());
                covered.extend(plain.data());
                covered.push(u8::try_from(data.len()).unwrap());
                covered.extend(data);
                covered.extend(sw.0.to_be_bytes());
                *response = retail_mac(rmac, *response, Padding::Bit, &covered);
                ResponseApdu::new([data, response].concat(), sw)
            }
            Self::Three { enc, rmac, chain, counter, len, .. } => {
                let mut data = data.to_vec();
                if level.r_encryption() && !data.is_empty() {
                    let mut block = counter.to_be_bytes();
                    block[0] = 0x80;
                    data = Padding::Bit.pad(&data, 16);
                    enc.encrypt_cbc(enc.encrypt_block(block), &mut data).unwrap();
                }
                let mac = cmac_aes(rmac, &[&chain[..], &data, &sw.0.to_be_bytes()]).unwrap();
                data.extend(&mac[..*len]);
                ResponseApdu::new(data, sw)
            }
        }
    }
}

/// Every protocol, option, key size and level that goes together.
fn rigs() -> Vec<Rig> {
    let mut out = Vec::new();
    let two = [0x04, 0x05, 0x14, 0x15, 0x24, 0x35, 0x44, 0x45, 0x54, 0x55, 0x65, 0x75];
    let three = [0x00, 0x10, 0x20, 0x30, 0x60, 0x70, 0x01, 0x71];
    let aes = [KeyAlgorithm::Aes128, KeyAlgorithm::Aes192, KeyAlgorithm::Aes256];
    let all = two
        .into_iter()
        .map(|i| (2, i, KeyAlgorithm::Tdes2))
        .chain(three.into_iter().flat_map(|i| aes.map(|a| (3, i, a))));
    for (protocol, i, algorithm) in all {
        for level in SecurityLevel::ALL {
            if level.is_offered_by(ChannelProtocol::new(protocol, i).unwrap()) {
                out.push(Rig::new(protocol, i, level, algorithm));
            }
        }
    }
    out
}

fn exchange(channel: &mut Channel, card: &mut Card, plain: &CommandApdu, answer: &[u8], sw: StatusWord) {
    let level = channel.level();
    let wrapped = channel.wrap(plain).unwrap();
    assert_eq!(card.takes(level, &wrapped).as_deref(), Some(plain.data()));
    assert_eq!(wrapped.le(), plain.le());
    let response = channel.unwrap(&card.answers(level, plain, answer, sw)).unwrap();
    assert_eq!((response.data(), response.status()), (answer, sw));
}

#[test]
fn every_combination_opens_and_carries() {
    let rigs = rigs();
    assert!(rigs.len() > 100, "{}", rigs.len());
    for rig in rigs {
        let (mut channel, mut card) = rig.authenticated();
        let most = channel.max_plain_data();
        let protocol = rig.settings.protocol;
        for len in [0, 1, 7, 8, 15, 16, 200, most] {
            let plain = CommandApdu::new([0x80, 0xE2, 0x00, 0x07], vec![0x5A; len], Some(0)).unwrap();
            exchange(&mut channel, &mut card, &plain, &vec![0xA5; len.min(200)], OK);
            let warning = StatusWord(0x6310);
            exchange(&mut channel, &mut card, &plain.with_le(None), &[], warning);
        }
        let longer = CommandApdu::new([0x80, 0xE2, 0, 0], vec![0; (most + 1).min(255)], None).unwrap();
        assert_eq!(channel.wrap(&longer).is_err(), most < 255, "{protocol:?} {:?}", rig.level());
        // The most that is taken fills the APDU: one block or byte more would not fit.
        let full = Channel::resume(&rig.settings, &rig.ring, &channel.state());
        if rig.level().c_mac() {
            let most = CommandApdu::new([0x80, 0xE2, 0, 0], vec![0; most], None).unwrap();
            assert!(full.unwrap().wrap(&most).unwrap().data().len() > 255 - protocol.block_len());
        }
    }
}

#[test]
fn sizes_per_level() {
    let most = |scp, i, level: SecurityLevel| level.max_plain_data(ChannelProtocol::new(scp, i).unwrap());
    let levels = [SecurityLevel::None, SecurityLevel::CMac, SecurityLevel::CDecryption];
    assert_eq!(levels.map(|l| most(2, 0x55, l)), [255, 247, 239]);
    assert_eq!(levels.map(|l| most(3, 0x70, l)), [255, 247, 239]);
    assert_eq!(levels.map(|l| most(3, 0x71, l)), [255, 239, 223]);
}

#[test]
fn options_and_levels_that_do_not_go_together() {
    for i in [0x0A, 0x1A, 0x1B, 0x00, 0x85, 0x07, 0x0D] {
        assert!(Scp02Option::new(i).is_err(), "{i:02X}");
    }
    for i in [0x40, 0x50, 0x02, 0x04, 0x08, 0x80] {
        assert!(Scp03Option::new(i).is_err(), "{i:02X}");
    }
    assert!(ChannelProtocol::new(1, 0x05).is_err());
    let offered = |scp, i, level: SecurityLevel| level.is_offered_by(ChannelProtocol::new(scp, i).unwrap());
    assert!(!offered(2, 0x55, SecurityLevel::CMacRMac) && offered(2, 0x75, SecurityLevel::RMac));
    assert!(!offered(2, 0x75, SecurityLevel::Full) && !offered(3, 0x70, SecurityLevel::RMac));
    assert!(!offered(3, 0x20, SecurityLevel::Full) && offered(3, 0x60, SecurityLevel::Full));
    assert!(SecurityLevel::from_byte(0x02).is_err());
    assert!(SecurityLevel::CDecryption.includes(SecurityLevel::CMac));
    assert!(!SecurityLevel::CMac.includes(SecurityLevel::CDecryption));
    let rig = Rig::new(2, 0x15, SecurityLevel::CMac, KeyAlgorithm::Tdes2);
    let wrong = ChannelSettings { level: SecurityLevel::CMacRMac, ..rig.settings.clone() };
    assert!(matches!(Channel::initialize_update(&wrong, &rig.challenge), Err(ChannelError::Settings(_))));
    assert!(matches!(Channel::initialize_update(&rig.settings, &[0; 16]), Err(ChannelError::Settings(_))));
}

#[test]
fn the_card_must_be_the_one_that_is_expected() {
    for rig in [
        Rig::new(2, 0x15, SecurityLevel::CDecryption, KeyAlgorithm::Tdes2),
        Rig::new(3, 0x60, SecurityLevel::Full, KeyAlgorithm::Aes128),
    ] {
        let (answer, _) = rig.answer();
        let open = |settings: &ChannelSettings, data: &[u8], sw: u16| {
            let response = ResponseApdu::new(data.to_vec(), StatusWord(sw));
            Channel::open(settings, &rig.ring, &rig.challenge, &response).unwrap_err()
        };
        assert_eq!(open(&rig.settings, &[], 0x6A88), ChannelError::Status(StatusWord(0x6A88)));
        assert_eq!(open(&rig.settings, &answer[..answer.len() - 1], 0x9000), ChannelError::Response);
        assert_eq!(open(&rig.settings, &[&answer[..], &[0]].concat(), 0x9000), ChannelError::Response);
        assert_eq!(open(&rig.settings, &[], 0x9000), ChannelError::Response);
        let other = ChannelSettings { key_version: 2, ..rig.settings.clone() };
        assert_eq!(open(&other, &answer, 0x9000), ChannelError::KeyVersion);
        let mut other = answer.clone();
        other[11] ^= 1;
        assert_eq!(open(&rig.settings, &other, 0x9000), ChannelError::Protocol);
        // KEYDATA and key version do not enter the cryptogram of static keys; every later byte does.
        let from = if rig.settings.protocol.number() == 2 { 12 } else { 13 };
        for at in from..answer.len() {
            let mut other = answer.clone();
            other[at] ^= 0x10;
            assert_eq!(open(&rig.settings, &other, 0x9000), ChannelError::Cryptogram, "byte {at}");
        }
    }
    // A card that states another option of SCP03.
    let rig = Rig::new(3, 0x70, SecurityLevel::CMac, KeyAlgorithm::Aes128);
    let mut answer = rig.answer().0;
    answer[12] = 0x30;
    let response = ResponseApdu::new(answer, OK);
    let error = Channel::open(&rig.settings, &rig.ring, &rig.challenge, &response).unwrap_err();
    assert_eq!(error, ChannelError::Protocol);
}

/// The rig's card does not make its challenge from the AID: told to check, the channel refuses it.
#[test]
fn a_challenge_of_another_application_is_refused() {
    for rig in [
        Rig::new(2, 0x55, SecurityLevel::CMac, KeyAlgorithm::Tdes2),
        Rig::new(3, 0x70, SecurityLevel::CMac, KeyAlgorithm::Aes128),
    ] {
        let settings =
            ChannelSettings { aid: Some("A0000000031010".parse().unwrap()), ..rig.settings.clone() };
        let response = ResponseApdu::new(rig.answer().0, OK);
        let error = Channel::open(&settings, &rig.ring, &rig.challenge, &response).unwrap_err();
        assert_eq!(error, ChannelError::Challenge);
    }
}

#[test]
fn a_refused_host_closes_the_channel() {
    let rig = Rig::new(2, 0x15, SecurityLevel::CMac, KeyAlgorithm::Tdes2);
    let (mut channel, _) = rig.opened();
    let command = CommandApdu::new([0x80, 0xE2, 0, 0], vec![1], None).unwrap();
    assert!(matches!(channel.wrap(&command), Err(ChannelError::Order(_))));
    assert!(matches!(channel.authenticated(&ResponseApdu::new(Vec::new(), OK)), Err(ChannelError::Order(_))));
    channel.external_authenticate().unwrap();
    assert!(channel.external_authenticate().is_err());
    let refused = StatusWord(0x6300);
    let error = channel.authenticated(&ResponseApdu::new(Vec::new(), refused)).unwrap_err();
    assert_eq!(error, ChannelError::Status(refused));
    assert_eq!(error.to_string(), "the card refuses the secure channel: 6300, authentication failed");
    assert!(!channel.is_open());
    assert_eq!(channel.wrap(&command), Err(ChannelError::Closed));
}

#[test]
fn commands_and_responses_alternate() {
    let rig = Rig::new(3, 0x30, SecurityLevel::CMac, KeyAlgorithm::Aes128);
    let (mut channel, _) = rig.authenticated();
    let response = ResponseApdu::new(Vec::new(), OK);
    assert!(matches!(channel.unwrap(&response), Err(ChannelError::Order(_))));
    let command = CommandApdu::new([0x80, 0xE2, 0, 0], vec![1], None).unwrap();
    channel.wrap(&command).unwrap();
    assert!(matches!(channel.wrap(&command), Err(ChannelError::Order(_))));
    channel.unwrap(&response).unwrap();
    let messaging = CommandApdu::new([0x84, 0xE2, 0, 0], vec![1], None).unwrap();
    assert!(matches!(channel.wrap(&messaging), Err(ChannelError::Command(_))));
    // A logical channel's number is sent and not covered.
    let other = CommandApdu::new([0x81, 0xE2, 0, 0], vec![1], None).unwrap();
    assert_eq!(channel.wrap(&other).unwrap().cla(), 0x85);
}

#[test]
fn an_altered_response_closes_the_channel() {
    for rig in [
        Rig::new(2, 0x75, SecurityLevel::CDecryptionRMac, KeyAlgorithm::Tdes2),
        Rig::new(2, 0x35, SecurityLevel::RMac, KeyAlgorithm::Tdes2),
        Rig::new(3, 0x70, SecurityLevel::Full, KeyAlgorithm::Aes256),
        Rig::new(3, 0x21, SecurityLevel::CMacRMac, KeyAlgorithm::Aes128),
    ] {
        let plain = CommandApdu::new([0x80, 0xCA, 0x9F, 0x7F], Vec::new(), Some(0)).unwrap();
        let len = {
            let (mut channel, mut card) = rig.authenticated();
            card.takes(rig.level(), &channel.wrap(&plain).unwrap()).unwrap();
            card.answers(rig.level(), &plain, &[1, 2, 3], OK).to_bytes().len()
        };
        // Every byte of data and MAC; and the status word, exchanged for a warning.
        for at in 0..len - 1 {
            let (mut channel, mut card) = rig.authenticated();
            card.takes(rig.level(), &channel.wrap(&plain).unwrap()).unwrap();
            let mut bytes = card.answers(rig.level(), &plain, &[1, 2, 3], OK).to_bytes();
            if at < len - 2 {
                bytes[at] ^= 0x01;
            } else {
                bytes[len - 2..].copy_from_slice(&[0x62, 0x83]);
            }
            let error = channel.unwrap(&ResponseApdu::parse(&bytes).unwrap()).unwrap_err();
            assert_eq!(error, ChannelError::ResponseMac, "byte {at}");
            assert_eq!(channel.wrap(&plain), Err(ChannelError::Closed));
        }
        // Without its MAC.
        let (mut channel, _) = rig.authenticated();
        channel.wrap(&plain).unwrap();
        assert_eq!(channel.unwrap(&ResponseApdu::new(vec![], OK)), Err(ChannelError::Response));
    }
}

#[test]
fn an_error_status_comes_without_mac() {
    for rig in [
        Rig::new(2, 0x75, SecurityLevel::CMacRMac, KeyAlgorithm::Tdes2),
        Rig::new(3, 0x70, SecurityLevel::Full, KeyAlgorithm::Aes128),
    ] {
        let (mut channel, mut card) = rig.authenticated();
        let plain = CommandApdu::new([0x80, 0xE2, 0, 0], vec![9; 9], None).unwrap();
        card.takes(rig.level(), &channel.wrap(&plain).unwrap()).unwrap();
        let unknown = ResponseApdu::new(Vec::new(), StatusWord::NOT_FOUND);
        assert_eq!(channel.unwrap(&unknown).unwrap(), unknown);
        exchange(&mut channel, &mut card, &plain, &[], OK);
    }
}

#[test]
fn the_state_is_bytes_and_goes_on() {
    for rig in rigs() {
        let (channel, mut card) = rig.authenticated();
        let mut channel = channel;
        for n in 1..4_u8 {
            let state = channel.state();
            let bytes = state.to_bytes();
            assert_eq!(ChannelState::from_bytes(&bytes).unwrap(), state);
            assert_eq!(state.to_bytes(), bytes);
            for cut in 0..bytes.len() {
                assert!(ChannelState::from_bytes(&bytes[..cut]).is_err());
            }
            assert!(ChannelState::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
            // Nothing of the static or session keys is in it: it is a function of what passed over the line.
            channel = Channel::resume(&rig.settings, &rig.ring, &state).unwrap();
            let plain = CommandApdu::new([0x80, 0xE2, 0, n], vec![n; 20], None).unwrap();
            exchange(&mut channel, &mut card, &plain, &[n; 3], OK);
        }
    }
}

#[test]
fn a_state_of_other_settings_is_refused() {
    let rig = Rig::new(2, 0x75, SecurityLevel::CMacRMac, KeyAlgorithm::Tdes2);
    let (mut channel, _) = rig.authenticated();
    let state = channel.state();
    let other = ChannelSettings { level: SecurityLevel::CMac, ..rig.settings.clone() };
    assert!(matches!(Channel::resume(&other, &rig.ring, &state), Err(ChannelError::Settings(_))));
    channel.wrap(&CommandApdu::new([0x80, 0xE2, 0, 0], vec![1], None).unwrap()).unwrap();
    let waiting = Channel::resume(&rig.settings, &rig.ring, &channel.state());
    assert!(matches!(waiting, Err(ChannelError::Order(_))));
}

#[test]
fn debug_names_no_key_and_no_data() {
    let rig = Rig::new(2, 0x75, SecurityLevel::CMacRMac, KeyAlgorithm::Tdes2);
    let (mut channel, _) = rig.authenticated();
    channel.wrap(&CommandApdu::new([0x80, 0xE2, 0, 0], b"4761739001010010".to_vec(), None).unwrap()).unwrap();
    let text = format!("{channel:?}");
    assert!(text.contains("SoftwareSession(SCP02)"));
    let pending: Vec<String> = b"4761739001".iter().map(ToString::to_string).collect();
    assert!(!text.contains(&pending.join(", ")), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_conversation(which in 0..1000_usize, talk in proptest::collection::vec(
        (any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..=223), proptest::collection::vec(any::<u8>(), 0..=200), any::<Option<u8>>()), 1..6))
    {
        let rigs = rigs();
        let rig = &rigs[which % rigs.len()];
        let (mut channel, mut card) = rig.authenticated();
        for (p1, p2, data, answer, le) in talk {
            let plain = CommandApdu::new([0x80, 0xE2, p1, p2], data, le).unwrap();
            exchange(&mut channel, &mut card, &plain, &answer, OK);
        }
    }

    #[test]
    fn any_bytes_are_a_state_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
        if let Ok(state) = ChannelState::from_bytes(&bytes) {
            prop_assert_eq!(state.to_bytes(), bytes);
        }
    }
}
