//! The golden cards as sessions take them, a station with its keys, and the loop between a session and the virtual card.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::Seed;
use emv_dataprep::crypto::rsa::{Exponent, RsaPrivate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::keys::{
    CardKeys, CipherMode, Diversification, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeySource, KeyUse,
    SoftwareRing, TransportName,
};
use emv_dataprep::perso::channel::{ChannelProtocol, SecurityLevel};
use emv_dataprep::perso::plan::PersonalizationPlan;
use emv_dataprep::perso::session::{
    ApplicationData, Claim, Failure, PersonalizationData, Report, Session, SessionInput, StationSettings,
    Step,
};
use emv_dataprep::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection};
use emv_dataprep::profile::plan_file;
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::card_os::{
    AppletState, CardConfig, CounterRule, Delivery, FaultyCard, LifeCycle, Protocol, StaticKeys, VirtualCard,
    transact,
};
use emv_dataprep::verify::{CaPublicKey, Interface, Keys};
use serde_json::Value;

pub const PROFILES: [&str; 4] = ["visa-style-dual", "mastercard-style-dual", "ccd-generic", "online-only"];
pub const PLANS: [&str; 2] = ["generic-gp", "pre-personalized"];
/// The master key of the station's chips, and KEYDATA of two chips.
const MASTER: [u8; 16] = *b"KMC of the chips";
pub const CHIP: [u8; 10] = [0x47, 0x61, 0x73, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1];
pub const OTHER_CHIP: [u8; 10] = [0x47, 0x61, 0x73, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2];

/// A golden card: what the session gets, and what whoever checks knows beside.
pub struct Golden {
    pub data: PersonalizationData,
    pub transport: Vec<u8>,
    /// CA keys and issuer master keys, for terminal and host.
    pub keys: Keys,
    pub interfaces: BTreeMap<Vec<u8>, Vec<Interface>>,
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

impl Golden {
    pub fn read(profile: &str) -> Self {
        let text = std::fs::read(format!("vectors/cards/{profile}.json")).unwrap();
        let file: Value = serde_json::from_slice(&text).unwrap();
        let card = &file["expected"]["card"];
        let mut keys = Keys::default();
        let mut transport = Vec::new();
        for (name, value) in file["inputs"]["keys"].as_object().unwrap() {
            let words: Vec<&str> = name.split(' ').collect();
            if (words[0], words[1]) == ("transport", "01") {
                transport = bytes(value);
            }
            if words[0] == "imk-ac" {
                keys.add("imk-ac", u8::from_str_radix(words[1], 16).unwrap(), Secret::new(bytes(value)));
            }
        }
        for scheme in file["inputs"]["schemes"].as_array().unwrap() {
            let exponent = u32::try_from(scheme["ca"]["e"].as_u64().unwrap()).unwrap();
            let (p, q) = (bytes(&scheme["ca"]["p"]), bytes(&scheme["ca"]["q"]));
            let ca = RsaPrivate::from_primes(&p, &q, Exponent::new(exponent).unwrap()).unwrap();
            keys.add_ca(CaPublicKey {
                rid: bytes(&scheme["rid"]).try_into().unwrap(),
                index: 0xF1,
                modulus: ca.public().modulus().to_vec(),
                exponent: ca.public().exponent().to_vec(),
                checksum: None,
                expires: None,
            });
        }
        let mut interfaces = BTreeMap::new();
        let mut applications = Vec::new();
        for application in card["chip"]["applications"].as_array().unwrap() {
            let aid = bytes(&application["aid"]);
            let named = application["interfaces"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| if i == "contact" { Interface::Contact } else { Interface::Contactless });
            interfaces.insert(aid.clone(), named.collect());
            let dgis = application["dgis"].as_array().unwrap().iter().map(|d| ProtectedDgi {
                tag: DgiTag(u16::from_str_radix(d["dgi"].as_str().unwrap(), 16).unwrap()),
                value: bytes(&d["value"]),
                protection: if d["protection"] == "none" { Protection::None } else { Protection::Transport },
            });
            let dgis = ProtectedDgiSet::from_prepared(dgis.collect()).unwrap();
            applications.push(ApplicationData { aid: hex::encode_upper(aid).parse().unwrap(), dgis });
        }
        let data = PersonalizationData {
            card_reference: card["cardId"].as_str().unwrap().parse().unwrap(),
            not_after: CardDate::from_yymmdd("260501").unwrap(),
            transport: TransportName {
                key: KeyRef::new(KeyUse::Transport, KeyIndex(1)),
                wrapped: None,
                mode: CipherMode::Ecb,
                kcv: Some(card["transportKey"]["kcv"].as_str().unwrap().to_owned()),
            },
            applications,
        };
        Self { data, transport, keys, interfaces }
    }

    pub fn aids(&self) -> Vec<Vec<u8>> {
        self.data.applications.iter().map(|a| a.aid.as_bytes().to_vec()).collect()
    }

    /// A grouping in clear.
    pub fn clear(&self, dgi: &ProtectedDgi) -> Vec<u8> {
        let mut value = dgi.value.clone();
        if dgi.protection == Protection::Transport {
            TdesKey::from_bytes(&self.transport).unwrap().decrypt_ecb(&mut value).unwrap();
        }
        value
    }

    /// Every block of eight bytes of the secret groupings in clear, padding left aside.
    pub fn secrets(&self) -> Vec<[u8; 8]> {
        let all = self.data.applications.iter().flat_map(|a| a.dgis.dgis());
        let secret = all.filter(|d| d.protection == Protection::Transport);
        let mut out = Vec::new();
        for dgi in secret {
            out.extend(self.clear(dgi).as_chunks::<8>().0.iter().filter(|b| b[1..] != [0; 7]));
        }
        assert!(!out.is_empty());
        out
    }

    /// Whether the chip holds exactly this card: every grouping, nothing else, all applications personalized.
    pub fn is_in(&self, card: &VirtualCard) -> Result<(), String> {
        for application in &self.data.applications {
            let aid = application.aid.as_bytes();
            if card.applet_state(aid) != Some(AppletState::Personalized) {
                return Err(format!("{} is {:?}", application.aid, card.applet_state(aid)));
            }
            let held = card.held(aid);
            let mut wanted: Vec<&ProtectedDgi> = application.dgis.dgis().iter().collect();
            wanted.sort_by_key(|d| d.tag);
            if !held.iter().map(|(tag, _)| *tag).eq(wanted.iter().map(|d| d.tag.0)) {
                return Err(format!("{}: other groupings", application.aid));
            }
            for ((_, is), dgi) in held.iter().zip(wanted) {
                let should = self.clear(dgi);
                let padding = should.strip_prefix(is.expose());
                let good = match padding {
                    Some([]) => true,
                    Some([0x80, zeros @ ..]) => {
                        dgi.protection == Protection::Transport && zeros.iter().all(|b| *b == 0)
                    }
                    _ => false,
                };
                if !good {
                    return Err(format!("{}: DGI {} differs", application.aid, dgi.tag));
                }
            }
        }
        Ok(())
    }

    /// A terminal and the host meet every payment application over each of its interfaces.
    pub fn transactions(&self, card: &mut VirtualCard) {
        for (aid, interfaces) in &self.interfaces {
            if aid.ends_with(b"DDF01") {
                continue;
            }
            for interface in interfaces {
                card.reset();
                card.set_interface(*interface);
                let done = transact(aid, &self.keys, &mut |apdu| card.transmit(apdu));
                let done = done.unwrap_or_else(|e| panic!("{} {interface:?}: {e}", hex::encode_upper(aid)));
                assert_eq!(done.accepted, Some(()), "{done:?}");
                // The profile `online-only` (AID F0000000010A01) has no certificates.
                assert_eq!(done.certified.is_some(), !aid.ends_with(&[0x0A, 0x01]), "{done:?}");
            }
            card.set_interface(Interface::Contact);
        }
    }
}

/// One kind of chip and the channel to it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// 2 or 3.
    pub scp: u8,
    pub i: u8,
    pub level: SecurityLevel,
    pub algorithm: KeyAlgorithm,
    /// `None`: static keys.
    pub diversification: Option<Diversification>,
}

impl Kind {
    pub const fn scp02(i: u8, level: SecurityLevel) -> Self {
        let diversification = Some(Diversification::EmvCps);
        Self { scp: 2, i, level, algorithm: KeyAlgorithm::Tdes2, diversification }
    }

    pub const fn scp03(i: u8, level: SecurityLevel) -> Self {
        let diversification = Some(Diversification::Kdf3);
        Self { scp: 3, i, level, algorithm: KeyAlgorithm::Aes128, diversification }
    }

    fn master(self) -> Vec<u8> {
        MASTER.repeat(2)[..self.algorithm.key_len()].to_vec()
    }

    pub fn plan(self, name: &str) -> PersonalizationPlan {
        let file = format!("scripts/{name}.toml");
        let (plan, findings) = plan_file::load(&file, &std::fs::read(&file).unwrap());
        let mut plan = plan.unwrap_or_else(|| panic!("{findings:?}"));
        for channel in plan.channels.values_mut() {
            channel.accept = vec![ChannelProtocol::new(self.scp, self.i).unwrap()];
            channel.level = self.level;
            // The version of the master key that the station has.
            channel.key_version = 1;
        }
        plan
    }

    /// The station: transport key, and the chips' master key or static keys.
    pub fn station(self, golden: &Golden) -> (Arc<dyn KeySource>, StationSettings) {
        let mut ring = SoftwareRing::new(Backend::Portable);
        let mut add = |usage, algorithm, value: &[u8]| {
            let name = KeyRef::new(usage, KeyIndex(1));
            ring.add_clear(name, algorithm, Secret::copy_of(value), KeyAttributes::default()).unwrap();
        };
        add(KeyUse::Transport, KeyAlgorithm::Tdes2, &golden.transport);
        let index = KeyIndex(1);
        let keys = match self.diversification {
            Some(diversification) => {
                add(KeyUse::Kmc, self.algorithm, &self.master());
                CardKeys::Master { index, diversification }
            }
            None => {
                for usage in [KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek] {
                    add(usage, self.algorithm, &self.master());
                }
                CardKeys::Static { index }
            }
        };
        let key_sets = BTreeMap::from([("card-manager".to_owned(), keys)]);
        let settings = StationSettings { key_sets, personalizer: [0x12, 0x34], equipment: [0, 0, 0, 7] };
        (Arc::new(ring), settings)
    }

    /// A chip as the plan expects it.
    pub fn chip(self, plan: &str, golden: &Golden, keydata: [u8; 10]) -> VirtualCard {
        self.chip_with(plan, golden, keydata, |_| ())
    }

    /// The same, changed.
    pub fn chip_with(
        self,
        plan: &str,
        golden: &Golden,
        keydata: [u8; 10],
        change: impl FnOnce(&mut CardConfig),
    ) -> VirtualCard {
        use emv_dataprep::verify::card_os::Diversification as Method;
        let method = match self.diversification {
            Some(Diversification::EmvCps) => Method::Emv,
            Some(Diversification::Visa2) => Method::Visa2,
            Some(_) => Method::Kdf3,
            None => Method::None,
        };
        let keys = StaticKeys::derive(&Secret::new(self.master()), method, &keydata).unwrap();
        let protocol = match self.scp {
            2 => Protocol::Scp02 { i: self.i },
            _ => Protocol::Scp03 { i: self.i, counter: CounterRule::EveryCommand },
        };
        let mut config = CardConfig::new(protocol, keys);
        config.keydata = keydata;
        config.seed = [keydata[9]; 16];
        if plan == "pre-personalized" {
            config.instances = golden.aids();
        }
        change(&mut config);
        VirtualCard::new(config).unwrap()
    }

    pub fn input(self, plan: &str, golden: &Golden, random: u8) -> (SessionInput, Arc<dyn KeySource>) {
        let (keys, station) = self.station(golden);
        let input = SessionInput {
            data: golden.data.clone(),
            plan: self.plan(plan),
            station,
            random: Seed::fixed([random; 32]),
            today: CardDate::from_yymmdd("260115").unwrap(),
            earlier_claim: None,
            reassignment: None,
        };
        (input, keys)
    }
}

/// How a session ended, with what its caller kept.
pub struct Ended {
    pub outcome: Result<Report, Failure>,
    pub state: Vec<u8>,
    pub claims: Vec<Claim>,
    pub log: String,
}

/// Runs a session against a chip on a line.
pub fn drive(session: &mut Session, line: &mut FaultyCard) -> Ended {
    let mut claims = Vec::new();
    let mut state;
    let outcome = loop {
        let step = session.next();
        state = session.state().to_bytes();
        match step {
            Step::Reset => {
                line.reset();
                session.reset_done();
            }
            Step::Send(command) => match line.transmit(&command.apdu.to_bytes()) {
                Delivery::Response(response) => session.response(&response),
                Delivery::Nothing | Delivery::Late(_) => session.no_answer(),
            },
            Step::Claim(claim) => {
                claims.push(claim);
                session.claimed();
            }
            Step::Waiting => panic!("the loop told every outcome"),
            Step::Done(report) => break Ok(report),
            Step::Failed(failure) => break Err(failure),
        }
    };
    let log = session.log().iter().map(|line| format!("{line}\n")).collect();
    Ended { outcome, state, claims, log }
}

/// The state of the card after a plan.
pub const fn final_state(plan: &str) -> LifeCycle {
    if plan.len() == "generic-gp".len() { LifeCycle::Secured } else { LifeCycle::Initialized }
}
