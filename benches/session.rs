//! A personalization session: our own time, without the card's and the reader's.
//!
//! `cargo bench --bench session`. The card's answers are recorded once from the virtual card and played back; a session with
//! the same random bytes sends the same commands, which is checked before anything is timed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::sync::Arc;

use common::{TestIssuer, order_of};
use criterion::{Criterion, criterion_group, criterion_main};
use emv_dataprep::batch::EnvelopeKeys;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{self, Exponent, KeySpec, RsaPrivate};
use emv_dataprep::issuer::ProtectMode;
use emv_dataprep::keys::{
    CardKeys, Diversification, KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeySource, KeyUse, PrivateJwk,
    Refill, SoftwareRing, TransportName, jwe,
};
use emv_dataprep::order::{EnvelopeOpener, Frame, parse_order};
use emv_dataprep::output::{CardLine, Form, Recipients, Sheet, card_line, open, seal};
use emv_dataprep::perso::apdu::{CommandApdu, ResponseApdu};
use emv_dataprep::perso::channel::{
    Channel, ChannelProtocol, ChannelSettings, Scp02Option, Scp03Option, SecurityLevel,
};
use emv_dataprep::perso::plan::PersonalizationPlan;
use emv_dataprep::perso::session::{PersonalizationData, Session, SessionInput, StationSettings, Step};
use emv_dataprep::prepare::{PreparedCard, RsaKeySupply, prepare_one};
use emv_dataprep::profile::plan_file;
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::card_os::{
    CardConfig, CounterRule, Diversification as CardDiversification, Protocol, StaticKeys, VirtualCard,
};

const MASTER: [u8; 16] = *b"KMC of the chips";

/// One key that is ready: what a pool gives.
struct Ready(KeySpec, Vec<u8>, Vec<u8>);

impl RsaKeySupply for Ready {
    fn take(&self, _: u64, _: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        if spec == self.0 { RsaPrivate::from_primes(&self.1, &self.2, spec.exponent()).ok() } else { None }
    }
}

fn ready() -> Ready {
    let spec = KeySpec::new(1408, Exponent::new(65537).unwrap()).unwrap();
    let stream = Seed::fixed([1; 32]).named_stream(b"ready", Purpose::IccKey);
    let key = rsa::generate(spec, &stream).unwrap();
    Ready(spec, key.p().expose().to_vec(), key.q().expose().to_vec())
}

#[derive(Clone, Copy)]
enum Kind {
    Scp02,
    Scp03,
}

impl Kind {
    const ALL: [(&'static str, Self); 2] = [("scp02", Self::Scp02), ("scp03", Self::Scp03)];

    fn keys(self) -> CardKeys {
        let (index, diversification) = match self {
            Self::Scp02 => (KeyIndex(1), Diversification::EmvCps),
            Self::Scp03 => (KeyIndex(2), Diversification::Kdf3),
        };
        CardKeys::Master { index, diversification }
    }

    fn protocol(self) -> ChannelProtocol {
        match self {
            Self::Scp02 => ChannelProtocol::Scp02(Scp02Option::new(0x15).unwrap()),
            Self::Scp03 => ChannelProtocol::Scp03(Scp03Option::new(0x70).unwrap()),
        }
    }

    fn card(self) -> VirtualCard {
        let (protocol, method) = match self {
            Self::Scp02 => (Protocol::Scp02 { i: 0x15 }, CardDiversification::Emv),
            Self::Scp03 => {
                (Protocol::Scp03 { i: 0x70, counter: CounterRule::EveryCommand }, CardDiversification::Kdf3)
            }
        };
        let master = Secret::copy_of(&MASTER);
        let mut config = CardConfig::new(protocol, StaticKeys::same(&master));
        config.keys = StaticKeys::derive(&master, method, &config.keydata).unwrap();
        VirtualCard::new(config).unwrap()
    }
}

/// The station's keys: transport key and chips' master keys.
fn station(issuer: &TestIssuer) -> Arc<dyn KeySource> {
    let mut ring = SoftwareRing::new(Backend::detect());
    let mut add = |key, algorithm, value: &[u8]| {
        ring.add_clear(key, algorithm, Secret::copy_of(value), KeyAttributes::default()).unwrap();
    };
    let transport = KeyRef::new(KeyUse::Transport, KeyIndex(1));
    let (algorithm, value) = &issuer.keys[&transport];
    add(transport, *algorithm, value);
    add(KeyRef::new(KeyUse::Kmc, KeyIndex(1)), KeyAlgorithm::Tdes2, &MASTER);
    add(KeyRef::new(KeyUse::Kmc, KeyIndex(2)), KeyAlgorithm::Aes128, &MASTER);
    Arc::new(ring)
}

fn plan() -> PersonalizationPlan {
    plan_file::load("scripts/generic-gp.toml", include_bytes!("../scripts/generic-gp.toml")).0.unwrap()
}

fn session(
    issuer: &TestIssuer,
    kind: Kind,
    data: PersonalizationData,
    plan: &PersonalizationPlan,
    keys: &Arc<dyn KeySource>,
) -> Session {
    let input = SessionInput {
        data,
        plan: plan.clone(),
        station: StationSettings {
            key_sets: [("card-manager".to_owned(), kind.keys())].into(),
            ..StationSettings::default()
        },
        random: Seed::fixed([7; 32]),
        today: issuer.today,
        earlier_claim: None,
        reassignment: None,
    };
    Session::new(input, Arc::clone(keys)).unwrap()
}

/// Drives a session to its end; gives the number of commands.
fn drive(session: &mut Session, mut card: impl FnMut(&[u8]) -> Vec<u8>) -> usize {
    let mut commands = 0;
    loop {
        match session.next() {
            Step::Send(command) => {
                commands += 1;
                session.response(&card(&command.apdu.to_bytes()));
            }
            Step::Reset => session.reset_done(),
            Step::Claim(_) => session.claimed(),
            Step::Done(_) => return commands,
            other => panic!("{other:?}"),
        }
    }
}

fn to_first_apdu(session: &mut Session) -> CommandApdu {
    loop {
        match session.next() {
            Step::Send(command) => return command.apdu,
            Step::Reset => session.reset_done(),
            other => panic!("{other:?}"),
        }
    }
}

/// An INSTANT order as D1 sends it: the card data in an envelope.
fn order(envelope: &PrivateJwk, seed: &Seed) -> String {
    let text = order_of("visa-style-dual", "c-1", 1);
    let mut order: serde_json::Value = serde_json::from_str(&text).unwrap();
    let data = order["cardData"].take().to_string();
    order.as_object_mut().unwrap().remove("cardData");
    let mut rng = seed.named_stream(b"order", Purpose::Envelope).rng();
    let sealed = jwe::seal(envelope.public(), &serde_json::Map::new(), data.as_bytes(), &mut rng).unwrap();
    let inner = order["order"].as_object_mut().unwrap();
    inner.remove("shipment");
    inner.insert("distributionChannel".to_owned(), "INSTANT".into());
    inner.insert("persoStation".to_owned(), "KIOSK-PS-101".into());
    inner.insert("encryptedData".to_owned(), sealed.into());
    order.to_string()
}

fn prepared(issuer: &TestIssuer, ready: &Ready, text: &str, envelopes: &dyn EnvelopeOpener) -> PreparedCard {
    let (mut frame, mut orders) = (Frame::new(), Vec::new());
    frame.feed(text.as_bytes(), &mut orders);
    frame.finish(&mut orders);
    let request =
        parse_order(&issuer.issuer, envelopes, &orders[0], issuer.today).unwrap_or_else(|e| panic!("{e}"));
    prepare_one(&issuer.context_with(Some(ready)), request).unwrap().unwrap_or_else(|e| panic!("{e:?}"))
}

fn channels(c: &mut Criterion) {
    let issuer = TestIssuer::new();
    let keys = station(&issuer);
    let mut group = c.benchmark_group("channel");
    for (name, kind) in Kind::ALL {
        let key = KeyRef::new(KeyUse::Transport, KeyIndex(1));
        let transport =
            TransportName { key, wrapped: None, mode: emv_dataprep::keys::CipherMode::Ecb, kcv: None };
        let settings = ChannelSettings {
            transport: Some(transport),
            ..ChannelSettings::new(kind.protocol(), SecurityLevel::CDecryption, kind.keys())
        };
        let challenge = [0x5A; 8];
        let mut card = kind.card();
        card.transmit(&CommandApdu::select(None).to_bytes());
        let command = Channel::initialize_update(&settings, &challenge).unwrap();
        let answer = ResponseApdu::parse(&card.transmit(&command.to_bytes())).unwrap();
        let ok = ResponseApdu::parse(&[0x90, 0x00]).unwrap();
        let open_channel = || {
            let mut channel = Channel::open(&settings, &*keys, &challenge, black_box(&answer)).unwrap();
            black_box(channel.external_authenticate().unwrap());
            channel.authenticated(&ok).unwrap();
            channel
        };
        group.bench_function(format!("{name}/set-up"), |b| b.iter(open_channel));
        let store = CommandApdu::new([0x80, 0xE2, 0x00, 0x00], vec![0x70; 231], None).unwrap();
        let mut channel = open_channel();
        group.bench_function(format!("{name}/store-data-231"), |b| {
            b.iter(|| {
                black_box(channel.wrap(black_box(&store)).unwrap());
                channel.unwrap(&ok).unwrap();
            });
        });
        let value = [0x11; 48];
        group.bench_function(format!("{name}/recipher-48"), |b| {
            b.iter(|| channel.recipher(black_box(&value), &Refill::Refuse).unwrap());
        });
    }
    group.finish();
}

fn sessions(c: &mut Criterion) {
    let issuer = TestIssuer::new();
    let (ready, keys, plan) = (ready(), station(&issuer), plan());
    let envelope = PrivateJwk::generate(&mut issuer.seed.named_stream(b"envelope", Purpose::Envelope).rng());
    let kid = envelope.public().kid().to_owned();
    let text = order(&envelope, &issuer.seed);
    let mut envelopes = EnvelopeKeys::default();
    envelopes.add(&kid, envelope).unwrap();
    let card = prepared(&issuer, &ready, &text, &envelopes);
    let data = card.personalization_data();

    let mut group = c.benchmark_group("card");
    for (name, kind) in Kind::ALL {
        let mut chip = kind.card();
        let mut tape: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let count = drive(&mut session(&issuer, kind, data.clone(), &plan, &keys), |command| {
            let answer = chip.transmit(command);
            tape.push((command.to_vec(), answer.clone()));
            answer
        });
        let mut at = 0;
        drive(&mut session(&issuer, kind, data.clone(), &plan, &keys), |command| {
            assert_eq!(tape[at].0, command, "command {at}");
            at += 1;
            tape[at - 1].1.clone()
        });
        println!("{name}: {count} commands"); // the size of what is timed
        group.bench_function(format!("{name}/to-last-apdu"), |b| {
            b.iter(|| {
                let mut at = 0;
                drive(&mut session(&issuer, kind, data.clone(), &plan, &keys), |_| {
                    at += 1;
                    tape[at - 1].1.clone()
                })
            });
        });
    }

    let station_key =
        PrivateJwk::generate(&mut issuer.seed.named_stream(b"station", Purpose::Envelope).rng());
    let mut recipients = Recipients::default();
    recipients.add(card.destination.clone(), station_key.public().clone());
    let sheet = Sheet { batch: "bench", file: "cards-000000.jwe", form: Form::EachLine };
    let sealed_line = || {
        let card = prepared(&issuer, &ready, black_box(&text), &envelopes);
        let line = card_line(&card);
        seal(&recipients, &card.destination, &sheet, &[&line], &issuer.seed).unwrap()
    };
    let first = |sealed: &str| {
        let opened = open(&station_key, sealed).unwrap();
        let line = CardLine::read(std::str::from_utf8(&opened.text).unwrap().trim_end()).unwrap();
        let data = line.personalization_data(ProtectMode::Ecb);
        to_first_apdu(&mut session(&issuer, Kind::Scp02, data, &plan, &keys))
    };
    group.bench_function("order-to-prepared", |b| {
        b.iter(|| prepared(&issuer, &ready, black_box(&text), &envelopes));
    });
    group.bench_function("order-to-sealed-line", |b| b.iter(sealed_line));
    let sealed = sealed_line();
    group.bench_function("sealed-line-to-first-apdu", |b| b.iter(|| first(black_box(&sealed))));
    group.bench_function("order-to-first-apdu", |b| b.iter(|| first(&sealed_line())));
    group.finish();
}

criterion_group!(benches, channels, sessions);
criterion_main!(benches);
