//! Cards of the shipped profiles, and envelopes. The test issuer is the demo's, in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use emv_dataprep::batch::EnvelopeKeys;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, RsaPrivate, generate};
use emv_dataprep::issuer::KeyModule;
use emv_dataprep::keys::{PrivateJwk, SoftwareRing, jwe};
use emv_dataprep::order::{Frame, parse_order};
use emv_dataprep::output::card_line;
use emv_dataprep::prepare::{
    CardRequest, Context, FirstSerial, RsaKeySupply, Scripts, TransportKeys, prepare_batch,
};
use emv_dataprep::profile::Issuer;
use emv_dataprep::secret::Secret;

use super::Measure;
use crate::demo::{self, TestIssuer};
use crate::failure::Failure;
use crate::issuer_dir::secret_from_hex;
use crate::prepare::Start;

/// Orders of which the cards are made.
const ORDERS: u64 = 200;

/// Cards that go through the steps together.
const SLICE: usize = 16;

/// The demo's issuer, its keys open, and orders by profile.
pub struct BenchIssuer {
    issuer: Issuer,
    module: KeyModule<SoftwareRing>,
    requests: BTreeMap<String, Vec<CardRequest>>,
    ready: Ready,
    transport: TransportKeys,
    envelope: PrivateJwk,
    start: Start,
    backend: Backend,
}

/// One ready key of each size, given again and again: what the rest of a card costs.
struct Ready(BTreeMap<(usize, u32), [Secret; 2]>);

impl RsaKeySupply for Ready {
    fn take(&self, _: u64, _: Purpose, spec: KeySpec) -> Option<RsaPrivate> {
        let [p, q] = self.0.get(&(spec.bits(), spec.exponent().get()))?;
        RsaPrivate::from_primes(p.expose(), q.expose(), spec.exponent()).ok()
    }
}

impl BenchIssuer {
    /// Makes all of it: some RSA keys among it.
    pub fn make(backend: Backend) -> Result<Self, Failure> {
        let seed = Seed::fixed(demo::SEED);
        let made = TestIssuer::make(&seed, ORDERS, &mut |_| {})?;
        let issuer =
            Issuer::load(&made.files).map_err(|_| Failure::refused("the demo's issuer is refused"))?;
        let secret = |name: &str| {
            let bytes = made.secrets.get(name).map(|b| b.trim_ascii());
            bytes.ok_or_else(|| Failure::refused("a secret of the demo is missing"))
        };
        let kbpk = secret_from_hex(secret("kbpk.hex")?).ok_or_else(|| Failure::refused("kbpk.hex"))?;
        let mut ring = SoftwareRing::new(backend);
        for entry in issuer.key_entries() {
            ring.load(&kbpk, entry)?;
        }
        let password = Secret::copy_of(secret("oda.pass")?);
        for oda in issuer.oda_keys() {
            let der = made.files.get(&oda.private_key_file).map(Vec::as_slice).unwrap_or_default();
            ring.add_oda(oda.index, RsaPrivate::from_pkcs8_encrypted(der, &password)?)?;
        }
        let envelope = PrivateJwk::from_json(secret("envelope.jwk")?)?;
        let mut envelopes = EnvelopeKeys::default();
        let kid = envelope.public().kid().to_owned();
        envelopes.add(&kid, PrivateJwk::from_json(secret("envelope.jwk")?)?)?;

        let now = demo::NOW.parse().map_err(|_| Failure::refused("the demo's time cannot be read"))?;
        let start = Start::at(now)?;
        let (mut orders, mut frame) = (Vec::new(), Frame::new());
        frame.feed(&made.orders, &mut orders);
        frame.finish(&mut orders);
        let mut requests: BTreeMap<String, Vec<CardRequest>> = BTreeMap::new();
        for order in &orders {
            let request = parse_order(&issuer, &envelopes, order, start.today);
            let request = request.map_err(|_| Failure::refused("an order of the demo is refused"))?;
            let of_profile = requests.entry(request.profile.clone()).or_default();
            if of_profile.len() < SLICE {
                of_profile.push(request);
            }
        }
        let mut ready = BTreeMap::new();
        for profile in issuer.profiles() {
            let oda = profile.oda.clone().unwrap_or_default();
            for key in [oda.icc_key, oda.pin_key].into_iter().flatten() {
                let spec = KeySpec::new(key.bits, Exponent::new(key.exponent)?)?;
                let made = generate(spec, &seed.named_stream(b"bench", Purpose::TestIssuer))?;
                ready.insert((key.bits, key.exponent), [made.p().duplicate(), made.q().duplicate()]);
            }
        }
        let module = KeyModule::new(ring);
        let transport = TransportKeys::for_block(&issuer, &module, &seed, 0)?;
        Ok(Self { issuer, module, requests, ready: Ready(ready), transport, envelope, start, backend })
    }

    fn context<'a>(&'a self, seed: &'a Seed, supply: Option<&'a dyn RsaKeySupply>) -> Context<'a> {
        Context {
            issuer: &self.issuer,
            module: &self.module,
            seed,
            today: self.start.today,
            backend: self.backend,
            transport_keys: &self.transport,
            scripts: Scripts::Build,
            supply,
            first_serial: FirstSerial::of_seed(seed),
            prime_tags: None,
        }
    }

    /// Cards of each profile with ready and with fresh keys, one envelope sealed and opened.
    pub fn measures<'a>(&'a self, seed: &'a Seed) -> Result<Vec<Measure<'a>>, Failure> {
        let mut measures = Vec::new();
        for (profile, requests) in &self.requests {
            let has_key = self
                .issuer
                .profile(profile)
                .and_then(|p| p.oda.as_ref())
                .is_some_and(|o| o.icc_key.is_some() || o.pin_key.is_some());
            let ready: &dyn RsaKeySupply = &self.ready;
            let kinds: &[(&str, Option<&dyn RsaKeySupply>)] =
                if has_key { &[(", ready key", Some(ready)), (", fresh key", None)] } else { &[("", None)] };
            for (kind, supply) in kinds {
                let supply = *supply;
                let count = AtomicU64::new(0);
                measures.push(Measure::new(format!("card {profile}{kind}"), "cards", move || {
                    // Other keys every time: one prime is found sooner than another.
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    let seed = Seed::fixed(seed.keyed_digest(&[b"bench", &number.to_be_bytes()]));
                    let cards = prepare_batch(&self.context(&seed, supply), requests)?;
                    let good = cards.iter().filter(|c| c.is_ok()).count();
                    if good < requests.len() {
                        return Err(Failure::refused("a card of the demo is refused"));
                    }
                    Ok(good as u64)
                }));
            }
        }
        let one = self.requests.values().flatten().next().map(std::slice::from_ref).unwrap_or_default();
        let card = prepare_batch(&self.context(seed, Some(&self.ready)), one)?.pop();
        let card =
            card.and_then(Result::ok).ok_or_else(|| Failure::refused("a card of the demo is refused"))?;
        let line = card_line(&card);
        let members = serde_json::Map::new();
        let stream = seed.named_stream(b"bench", Purpose::Envelope);
        let sealed = jwe::seal(self.envelope.public(), &members, &line, &mut stream.rng())?;
        let size = line.len();
        let count = AtomicU64::new(0);
        measures.push(Measure::new(format!("JWE sealed, {size} bytes"), "envelopes", move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            jwe::seal(self.envelope.public(), &members, &line, &mut stream.sub(&[number]).rng())?;
            Ok(1)
        }));
        measures.push(Measure::new(format!("JWE opened, {size} bytes"), "envelopes", move || {
            jwe::open(&self.envelope, &sealed)?;
            Ok(1)
        }));
        Ok(measures)
    }
}
