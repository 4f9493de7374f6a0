use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::card::{Pan, Pin, Psn};
use crate::crypto::aes::AesKey;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::tdes::TdesKey;
use crate::error::ErrorKind;
use crate::issuer::{DerivationOption, PinBlockFormat, PinBlockJob, cvc3, cvv, icc_key, pvv};
use crate::keys::{CvvKind, KeyUse};

/// Keys in clear, and a list of the calls made.
#[derive(Default)]
struct Counting {
    keys: BTreeMap<KeyRef, (KeyAlgorithm, Secret)>,
    calls: Mutex<Vec<String>>,
    lost: bool,
}

impl Counting {
    fn with(mut self, key: KeyRef, algorithm: KeyAlgorithm) -> Self {
        let fill = u8::try_from(self.keys.len()).unwrap();
        let bytes = (1..).map(|i: u8| i.wrapping_mul(29).wrapping_add(fill.wrapping_mul(17)));
        let bytes: Vec<u8> = bytes.take(algorithm.key_len()).collect();
        self.keys.insert(key, (algorithm, Secret::new(bytes)));
        self
    }

    fn clear(&self, key: KeyRef) -> Result<(KeyRef, KeyAlgorithm, &Secret)> {
        let all = KeyRef { only: None, ..key };
        let found = self.keys.get_key_value(&key).or_else(|| self.keys.get_key_value(&all));
        let (name, (algorithm, bytes)) = found.ok_or(ErrorKind::KeyUnknown)?;
        Ok((*name, *algorithm, bytes))
    }

    fn call(&self, what: &str, key: KeyRef) -> Result<()> {
        if self.lost {
            return Err(ErrorKind::KeySourceLost("test").into());
        }
        self.calls.lock().unwrap().push(format!("{what} {key}"));
        Ok(())
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl KeySource for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn keys(&self) -> Vec<KeyInfo> {
        self.keys.keys().map(|k| self.info(*k).unwrap()).collect()
    }

    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        let (key, algorithm, _) = self.clear(key)?;
        Ok(KeyInfo { key, algorithm, kcv: "ABCDEF".into(), dki: None, pvki: None })
    }

    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.call("ecb", key)?;
        let (_, algorithm, bytes) = self.clear(key)?;
        if algorithm.is_tdes() {
            TdesKey::new(bytes)?.encrypt_ecb(blocks)
        } else {
            AesKey::new(bytes)?.encrypt_ecb(blocks)
        }
    }

    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.call("decrypt", key)?;
        let (_, algorithm, bytes) = self.clear(key)?;
        if algorithm.is_tdes() {
            TdesKey::new(bytes)?.decrypt_ecb(blocks)
        } else {
            AesKey::new(bytes)?.decrypt_ecb(blocks)
        }
    }

    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.call("left", key)?;
        let key = TdesKey::new(self.clear(key)?.2)?;
        blocks.as_chunks_mut::<8>().0.iter_mut().for_each(|b| *b = key.left_encrypt(*b));
        Ok(())
    }

    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        self.call("cbc", key)?;
        let (_, algorithm, bytes) = self.clear(key)?;
        messages.iter_mut().try_for_each(|m| {
            if algorithm.is_tdes() {
                TdesKey::new(bytes)?.encrypt_cbc([0; 8], m)
            } else {
                AesKey::new(bytes)?.encrypt_cbc([0; 16], m)
            }
        })
    }

    fn oda_info(&self, _: KeyIndex) -> Result<OdaKeyInfo> {
        Err(ErrorKind::KeyUnknown.into())
    }

    fn rsa_private(&self, _: KeyIndex, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Err(ErrorKind::KeyUnknown.into())
    }

    fn wrap_key(
        &self,
        wrapping: KeyRef,
        _: KeyUse,
        _: KeyAlgorithm,
        key: &Secret,
        _: &mut StreamRng,
    ) -> Result<String> {
        self.call("wrap", wrapping)?;
        Ok(format!("D{}", key.len()))
    }
}

fn key(usage: KeyUse, index: u8) -> KeyRef {
    KeyRef::new(usage, KeyIndex(index))
}

fn pans(count: u64) -> Vec<Pan> {
    (0..count).map(|i| Pan::without_check(&format!("{}", 4_761_739_001_010_010 + i * 7)).unwrap()).collect()
}

fn rng() -> StreamRng {
    Seed::fixed([4; 32]).named_stream(b"module", Purpose::Pin).rng()
}

fn tdes(source: &Counting, key: KeyRef) -> TdesKey {
    TdesKey::new(source.clear(key).unwrap().2).unwrap()
}

#[test]
fn cvvs_take_two_calls_a_key_and_stand_in_order() {
    let (a, b) = (key(KeyUse::Cvk, 1), key(KeyUse::Cvk, 2));
    let module =
        KeyModule::new(Counting::default().with(a, KeyAlgorithm::Tdes2).with(b, KeyAlgorithm::Tdes3));
    let pans = pans(200);
    // Index 1 is loaded for every value, so the names with and without a kind lead to one key.
    let names = [a, KeyRef::cvk(KeyIndex(1), CvvKind::Icvv), b];
    let jobs: Vec<CvvJob<'_>> = pans
        .iter()
        .zip(names.iter().cycle())
        .map(|(pan, key)| CvvJob {
            key: *key,
            pan,
            expiry: [2, 9, 0, 6],
            service_code: "201".parse().unwrap(),
        })
        .collect();
    let found = module.cvv(&jobs).unwrap();
    assert_eq!(module.source().calls(), ["left cvk 01", "ecb cvk 01", "left cvk 02", "ecb cvk 02"]);
    for (job, got) in jobs.iter().zip(found) {
        let want =
            cvv::compute(&tdes(module.source(), job.key), job.pan, job.expiry, job.service_code, 3).unwrap();
        assert_eq!(got.unwrap(), want);
    }
}

#[test]
fn one_bad_job_fails_alone() {
    let good = key(KeyUse::Cvk, 1);
    let module = KeyModule::new(
        Counting::default()
            .with(good, KeyAlgorithm::Tdes2)
            .with(key(KeyUse::Pvk, 1), KeyAlgorithm::Tdes2)
            .with(key(KeyUse::Cvk, 9), KeyAlgorithm::Aes128),
    );
    let pan = &pans(1)[0];
    let job =
        |key, digit| CvvJob { key, pan, expiry: [2, 9, 0, digit], service_code: "999".parse().unwrap() };
    let jobs = [
        job(good, 6),
        job(key(KeyUse::Cvk, 7), 6),
        job(good, 10),
        job(key(KeyUse::Pvk, 1), 6),
        job(key(KeyUse::Cvk, 9), 6),
        job(good, 6),
    ];
    let found = module.cvv(&jobs).unwrap();
    let kinds: Vec<Option<ErrorKind>> =
        found.iter().map(|r| r.as_ref().err().map(|e| e.kind().clone())).collect();
    assert_eq!(
        kinds,
        [
            None,
            Some(ErrorKind::KeyUnknown),
            Some(ErrorKind::Format("four decimal expiry digits")),
            Some(ErrorKind::KeyUsage),
            Some(ErrorKind::KeyUsage),
            None
        ]
    );
    assert_eq!(found[1].as_ref().unwrap_err().to_string(), "CVV: cvk 07: no such key");
}

#[test]
fn a_lost_source_stops_the_whole_call() {
    let cvk = key(KeyUse::Cvk, 1);
    let mut source = Counting::default().with(cvk, KeyAlgorithm::Tdes2);
    source.lost = true;
    let pan = &pans(1)[0];
    let jobs = [CvvJob { key: cvk, pan, expiry: [0; 4], service_code: "999".parse().unwrap() }];
    assert!(KeyModule::new(source).cvv(&jobs).unwrap_err().stops_batch());
}

#[test]
fn pvvs_natural_pins_and_offsets_take_one_call() {
    let pvk = key(KeyUse::Pvk, 1);
    let module = KeyModule::new(Counting::default().with(pvk, KeyAlgorithm::Tdes2));
    let pans = pans(50);
    let table = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5];
    let natural: Vec<NaturalPinJob<'_>> = (0..50_u8)
        .map(|i| NaturalPinJob {
            key: pvk,
            validation_data: [i; 8],
            decimalization: &table,
            pin_len: 4 + usize::from(i % 9),
        })
        .collect();
    let pins: Vec<HeldPin> = module.natural_pin(&natural).unwrap().into_iter().map(|p| p.unwrap()).collect();
    assert_eq!(module.source().calls(), ["ecb pvk 01"]);

    let offsets: Vec<_> = natural.iter().copied().zip(&pins).collect();
    for offset in module.pin_offset(&offsets).unwrap() {
        assert!(offset.unwrap().expose().iter().all(|d| *d == 0), "a natural PIN has offset zero");
    }
    assert_eq!(module.source().calls(), ["ecb pvk 01"]);

    let jobs: Vec<PvvJob<'_>> =
        pans.iter().zip(&pins).map(|(pan, pin)| PvvJob { key: pvk, pvki: 1, pan, pin }).collect();
    for (job, got) in jobs.iter().zip(module.pvv(&jobs).unwrap()) {
        let want = pvv::compute(&tdes(module.source(), pvk), job.pan, 1, &job.pin.0).unwrap();
        assert_eq!(got.unwrap(), want);
    }
    assert_eq!(module.source().calls(), ["ecb pvk 01"]);

    let bad = NaturalPinJob { decimalization: &[b'0'; 16], ..natural[0] };
    assert!(module.natural_pin(&[bad]).unwrap()[0].is_err());
    let bad = NaturalPinJob { pin_len: 13, ..natural[0] };
    assert!(module.natural_pin(&[bad, natural[0]]).unwrap()[0].is_err());
}

#[test]
fn card_keys_take_one_call_a_master_and_one_a_transport_key() {
    let masters = [key(KeyUse::ImkAc, 1), key(KeyUse::ImkSmi, 1), key(KeyUse::ImkSmc, 1)];
    let aes_master = [key(KeyUse::ImkAc, 2)];
    let transports = [key(KeyUse::Transport, 1), key(KeyUse::Transport, 2)];
    let mut source = Counting::default();
    for master in masters {
        source = source.with(master, KeyAlgorithm::Tdes2);
    }
    source = source
        .with(aes_master[0], KeyAlgorithm::Aes256)
        .with(transports[0], KeyAlgorithm::Tdes2)
        .with(transports[1], KeyAlgorithm::Aes128);
    let module = KeyModule::new(source);
    let fixed = transports.map(|t| module.static_transport_key(t).unwrap());
    assert_eq!(
        *fixed[1].info(),
        crate::issuer::TransportKeyInfo {
            index: KeyIndex(2),
            algorithm: KeyAlgorithm::Aes128,
            kcv: "ABCDEF".into(),
            wrapped: None
        }
    );
    let own = module.fresh_transport_key(transports[1], KeyAlgorithm::Tdes3, &mut rng()).unwrap();
    assert_eq!(own.info().wrapped.as_deref(), Some("D24"));
    assert_eq!(own.info().kcv.len(), 6);
    module.source().calls();

    let pans = pans(60);
    let jobs: Vec<CardKeysJob<'_>> = pans
        .iter()
        .zip(0_usize..)
        .map(|(pan, i)| CardKeysJob {
            masters: if i % 4 == 3 { &aes_master } else { &masters },
            option: if i % 4 == 3 { DerivationOption::C } else { DerivationOption::A },
            pan,
            psn: Psn::default(),
            transport: match i % 3 {
                0 => &fixed[0],
                1 => &fixed[1],
                _ => &own,
            },
            mode: if i % 2 == 0 { ProtectMode::Ecb } else { ProtectMode::Cbc },
        })
        .collect();
    let found = module.card_keys(&jobs).unwrap();
    assert_eq!(
        module.source().calls(),
        [
            "ecb imk-ac 01",
            "ecb imk-ac 02",
            "ecb imk-smi 01",
            "ecb imk-smc 01",
            "ecb transport 01",
            "cbc transport 01",
            "ecb transport 02",
            "cbc transport 02"
        ]
    );
    for (job, got) in jobs.iter().zip(found) {
        let got = got.unwrap();
        let mut plain = got.cryptogram.clone();
        let transport = match &job.transport.key {
            crate::issuer::module::TransportKeyKind::Static(k) => module.source().clear(*k).unwrap().2,
            crate::issuer::module::TransportKeyKind::PerBlock(k) => k,
        };
        match (job.transport.info().algorithm.is_tdes(), job.mode) {
            (true, ProtectMode::Ecb) => TdesKey::new(transport).unwrap().decrypt_ecb(&mut plain).unwrap(),
            (true, ProtectMode::Cbc) => {
                TdesKey::new(transport).unwrap().decrypt_cbc([0; 8], &mut plain).unwrap();
            }
            (false, ProtectMode::Ecb) => AesKey::new(transport).unwrap().decrypt_ecb(&mut plain).unwrap(),
            (false, ProtectMode::Cbc) => {
                AesKey::new(transport).unwrap().decrypt_cbc([0; 16], &mut plain).unwrap();
            }
        }
        let mut want = Vec::new();
        for (master, kcv) in job.masters.iter().zip(&got.kcvs) {
            let imk = module.source().clear(*master).unwrap().2;
            let mk = icc_key::derive(job.option, imk, job.pan, job.psn).unwrap();
            want.extend_from_slice(mk.expose());
            if mk.len() == 16 {
                assert_eq!(TdesKey::new(&mk).unwrap().encrypt_block([0; 8])[..3], *kcv);
            } else {
                assert_eq!(AesKey::new(&mk).unwrap().encrypt_block([1; 16])[..3], *kcv);
            }
        }
        assert_eq!(plain, want);
        assert_eq!(got.kcvs.len(), job.masters.len());
    }
}

#[test]
fn card_keys_that_cannot_be_made_fail_alone() {
    let (good, aes192) = ([key(KeyUse::ImkAc, 1)], [key(KeyUse::ImkAc, 3)]);
    let transport = key(KeyUse::Transport, 1);
    let module = KeyModule::new(
        Counting::default()
            .with(good[0], KeyAlgorithm::Tdes2)
            .with(aes192[0], KeyAlgorithm::Aes192)
            .with(transport, KeyAlgorithm::Aes128)
            .with(key(KeyUse::Cvk, 1), KeyAlgorithm::Tdes2),
    );
    let transport = module.static_transport_key(transport).unwrap();
    let pan = &pans(1)[0];
    let job = |masters| CardKeysJob {
        masters,
        option: DerivationOption::A,
        pan,
        psn: Psn::default(),
        transport: &transport,
        mode: ProtectMode::Ecb,
    };
    let half = [good[0], key(KeyUse::ImkSmi, 7)];
    let wrong_use = [key(KeyUse::Cvk, 1)];
    let jobs = [
        job(&good),
        job(&half),
        job(&wrong_use),
        job(&[]),
        CardKeysJob { option: DerivationOption::C, ..job(&good) },
        // Twenty-four bytes are not whole blocks of an AES transport key.
        CardKeysJob { option: DerivationOption::C, ..job(&aes192) },
        job(&good),
    ];
    let found = module.card_keys(&jobs).unwrap();
    let good_ones: Vec<bool> = found.iter().map(Result::is_ok).collect();
    assert_eq!(good_ones, [true, false, false, false, false, false, true]);
    assert_eq!(found[1].as_ref().unwrap_err().to_string(), "ICC master key: imk-smi 07: no such key");
    assert!(module.static_transport_key(key(KeyUse::Cvk, 1)).is_err());
}

fn fill(number: u64) -> crate::crypto::rng::CardStream {
    Seed::fixed([4; 32]).named_stream(&number.to_be_bytes(), Purpose::Pin)
}

#[test]
fn pin_blocks_go_out_and_come_back_with_one_call_a_key() {
    let (old, new) = (key(KeyUse::Pin, 1), key(KeyUse::Pin, 2));
    let mailer = key(KeyUse::Mailer, 1);
    let module = KeyModule::new(
        Counting::default()
            .with(old, KeyAlgorithm::Tdes2)
            .with(new, KeyAlgorithm::Aes256)
            .with(mailer, KeyAlgorithm::Tdes2),
    );
    let pans = pans(20);
    let pin = module.generate_pin(6, &mut rng()).unwrap();
    assert_eq!(format!("{pin:?}"), "HeldPin(Pin(****))");
    let kinds = [
        (PinBlockFormat::Iso0, old),
        (PinBlockFormat::Iso1, old),
        (PinBlockFormat::Iso3, old),
        (PinBlockFormat::Iso4, new),
    ];
    let export = |format, key, pan, number| ExportPinJob {
        key,
        block: PinBlockJob { format, pan, pin: &pin },
        fill: fill(number),
    };
    let out: Vec<ExportPinJob<'_>> =
        pans.iter().zip(kinds.iter().cycle()).zip(0..).map(|((p, (f, k)), n)| export(*f, *k, p, n)).collect();
    let blocks: Vec<Vec<u8>> = module.export_pins(&out).unwrap().into_iter().map(|b| b.unwrap()).collect();
    assert_eq!(module.source().calls(), ["ecb pin 01", "ecb pin 02", "ecb pin 02"]);
    let import = |job: &ExportPinJob<'_>, block| ImportPinJob {
        format: job.block.format,
        key: job.key,
        block,
        pan: out[0].block.pan,
    };
    let back: Vec<ImportPinJob<'_>> =
        out.iter().zip(&blocks).map(|(o, b)| ImportPinJob { pan: o.block.pan, ..import(o, b) }).collect();
    for pin_back in module.import_pins(&back).unwrap() {
        assert_eq!(pin_back.unwrap().0, pin.0);
    }
    assert_eq!(module.source().calls(), ["decrypt pin 01", "decrypt pin 02", "decrypt pin 02"]);

    // One block too long, one of another card: each is refused alone, and alike.
    let mut long = blocks[0].clone();
    long.push(0);
    let found = module.import_pins(&[import(&out[0], &long), import(&out[7], &blocks[7]), back[1]]).unwrap();
    let refusal = super::super::pin_block::refusal();
    assert_eq!(found[0].as_ref().unwrap_err(), &refusal);
    assert_eq!(found[1].as_ref().unwrap_err(), &refusal);
    assert!(found[2].is_ok());
    for (format, key) in kinds {
        let wrong = if key == old { new } else { old };
        let found = module.export_pins(&[export(format, wrong, &pans[0], 0)]).unwrap();
        assert_eq!(found[0].as_ref().unwrap_err().kind(), &ErrorKind::KeyUsage);
    }
    let block = module.export_pins(&[export(PinBlockFormat::Iso1, mailer, &pans[0], 0)]).unwrap().remove(0);
    let block = block.unwrap();
    assert_eq!(block.len(), 8);
    let job = ImportPinJob { key: mailer, ..import(&out[1], &block) };
    assert!(module.import_pins(&[job]).unwrap()[0].is_err(), "a mailer key reads nothing");
}

#[test]
fn reference_pins_under_both_kinds_of_transport_key_take_one_call_each() {
    let (t, a) = (key(KeyUse::Transport, 1), key(KeyUse::Transport, 2));
    let module =
        KeyModule::new(Counting::default().with(t, KeyAlgorithm::Tdes2).with(a, KeyAlgorithm::Aes128));
    let pan = &pans(1)[0];
    let pin = HeldPin(Pin::from_digits(&[0, 3, 1, 7]).unwrap());
    let fixed = [t, a].map(|t| module.static_transport_key(t).unwrap());
    let job = |transport: usize, format| ReferencePinJob {
        transport: &fixed[transport],
        mode: ProtectMode::Ecb,
        block: PinBlockJob { format, pan, pin: &pin },
        fill: fill(9),
    };
    let iso2 = PinBlockFormat::Iso2;
    let jobs = [job(0, iso2), job(1, iso2), job(0, PinBlockFormat::Iso4), job(0, iso2), job(1, iso2)];
    let mut got = module.reference_pins(&jobs).unwrap();
    assert_eq!(module.source().calls(), ["ecb transport 01", "ecb transport 02"]);
    assert!(matches!(got.remove(2).unwrap_err().kind(), ErrorKind::Unsupported(_)));
    let got: Vec<Vec<u8>> = got.into_iter().map(|b| b.unwrap()).collect();
    for tdes_block in [&got[0], &got[2]] {
        let clear = tdes(module.source(), t).decrypt_block(tdes_block[..].try_into().unwrap());
        assert_eq!(hex::encode_upper(clear), "240317FFFFFFFFFF");
    }
    let aes = AesKey::new(module.source().clear(a).unwrap().2).unwrap();
    for aes_block in [&got[1], &got[3]] {
        let clear = aes.decrypt_block(aes_block[..].try_into().unwrap());
        assert_eq!(hex::encode_upper(&clear[..8]), "240317FFFFFFFFFF");
        assert_ne!(clear[8..], [0; 8]);
    }
}

#[test]
fn ivcvc3_takes_one_call() {
    let master = key(KeyUse::ImkCvc3, 1);
    let module = KeyModule::new(Counting::default().with(master, KeyAlgorithm::Tdes2));
    let pans = pans(9);
    let jobs: Vec<IvCvc3Job<'_>> = pans
        .iter()
        .map(|pan| IvCvc3Job {
            master,
            option: DerivationOption::A,
            pan,
            psn: Psn::default(),
            track: b"B476173^TEST^",
        })
        .collect();
    let found = module.ivcvc3(&jobs).unwrap();
    assert_eq!(module.source().calls(), ["ecb imk-cvc3 01"]);
    for (job, got) in jobs.iter().zip(found) {
        let imk = module.source().clear(master).unwrap().2;
        let kd = icc_key::derive(job.option, imk, job.pan, job.psn).unwrap();
        assert_eq!(got.unwrap(), cvc3::ivcvc3(&TdesKey::new(&kd).unwrap(), job.track));
    }
}

#[test]
fn values_under_a_transport_key_keep_their_order_and_lengths() {
    let t = key(KeyUse::Transport, 1);
    let module = KeyModule::new(Counting::default().with(t, KeyAlgorithm::Tdes2));
    let transport = module.static_transport_key(t).unwrap();
    let values = [Secret::new(vec![1; 8]), Secret::new(vec![2; 72]), Secret::new(vec![3; 16])];
    let refs: Vec<&Secret> = values.iter().collect();
    let found = module.protect(&transport, ProtectMode::Ecb, &refs).unwrap();
    assert_eq!(module.source().calls(), ["ecb transport 01"]);
    for (value, mut got) in values.iter().zip(found) {
        tdes(module.source(), t).decrypt_ecb(&mut got).unwrap();
        assert_eq!(value.expose(), got);
    }
    assert!(module.protect(&transport, ProtectMode::Ecb, &[&Secret::new(vec![1; 9])]).is_err());
}

#[test]
fn fresh_keys_are_fresh_and_sound() {
    let w = key(KeyUse::Transport, 1);
    let module = KeyModule::new(Counting::default().with(w, KeyAlgorithm::Aes256));
    let mut r = rng();
    let a = module.fresh_transport_key(w, KeyAlgorithm::Tdes2, &mut r).unwrap();
    let b = module.fresh_transport_key(w, KeyAlgorithm::Tdes2, &mut r).unwrap();
    assert_ne!(a.info().kcv, b.info().kcv);
    let c = module.fresh_transport_key(w, KeyAlgorithm::Aes128, &mut r).unwrap();
    assert_eq!(c.info().kcv.len(), 10);
    assert!(module.fresh_transport_key(w, KeyAlgorithm::Hmac, &mut r).is_err());
    assert!(module.fresh_transport_key(key(KeyUse::Pin, 1), KeyAlgorithm::Aes128, &mut r).is_err());
    assert!(!format!("{a:?}").contains("expose") && format!("{a:?}").contains("Secret(16 bytes)"));
}

#[test]
fn over_the_software_ring_a_key_made_for_a_block_is_in_its_key_block() {
    use crate::crypto::backend::Backend;
    use crate::keys::{KeyAttributes, SoftwareRing, tr31};

    let (w, cvk) = (key(KeyUse::Transport, 1), key(KeyUse::Cvk, 1));
    let kbpk: Vec<u8> = (0..32).map(|i: u8| i.wrapping_mul(7).wrapping_add(3)).collect();
    let mut ring = SoftwareRing::new(Backend::Portable);
    ring.add_clear(w, KeyAlgorithm::Aes256, Secret::copy_of(&kbpk), KeyAttributes::default()).unwrap();
    let pair = Secret::new(hex::decode("0123456789ABCDEFFEDCBA9876543210").unwrap());
    ring.add_clear(cvk, KeyAlgorithm::Tdes2, pair, KeyAttributes::default()).unwrap();
    let module = KeyModule::new(ring);

    for algorithm in [KeyAlgorithm::Tdes2, KeyAlgorithm::Tdes3, KeyAlgorithm::Aes128, KeyAlgorithm::Aes256] {
        let fresh = module.fresh_transport_key(w, algorithm, &mut rng()).unwrap();
        let block = fresh.info().wrapped.clone().unwrap();
        let (_, unwrapped) = tr31::unwrap(&Secret::copy_of(&kbpk), &block).unwrap();
        assert_eq!(unwrapped.len(), algorithm.key_len());
        let value = Secret::new(vec![9; 32]);
        let mut got = module.protect(&fresh, ProtectMode::Cbc, &[&value]).unwrap().remove(0);
        if algorithm.is_tdes() {
            TdesKey::new(&unwrapped).unwrap().decrypt_cbc([0; 8], &mut got).unwrap();
        } else {
            AesKey::new(&unwrapped).unwrap().decrypt_cbc([0; 16], &mut got).unwrap();
        }
        assert_eq!(got, value.expose());
    }

    // Visa's published example, through the name of the key.
    let pan = Pan::without_check("4123456789012").unwrap();
    let job = CvvJob {
        key: KeyRef::cvk(KeyIndex(1), CvvKind::Cvv1),
        pan: &pan,
        expiry: [8, 7, 0, 1],
        service_code: "101".parse().unwrap(),
    };
    let cvv = module.cvv(&[job]).unwrap().remove(0).unwrap();
    assert_eq!(cvv.to_text().as_str(), "370");
}
