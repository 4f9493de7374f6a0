use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::bytes::from_hex;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::rsa::{Exponent, KeySpec, generate};
use crate::keys::CvvKind;
use crate::keys::tr31::{Header, Version, wrap};

const A: &str = "4C37C8319D76ADAB58D9431543C2165B";
const B: &str = "0123456789ABCDEFFEDCBA9876543210";
const C: &str = "8FA77937B9C18F265D0B345B7589C210";

fn secret(hex: &str) -> Secret {
    Secret::new(from_hex(hex).unwrap())
}

fn kbpk() -> Secret {
    Secret::new((0x10..0x30).collect())
}

fn block(of: KeyUse, key: &str) -> String {
    let algorithm = match (of, key.len()) {
        (KeyUse::Pool | KeyUse::Job, 64) => KeyAlgorithm::Aes256,
        (_, 64) => KeyAlgorithm::Hmac,
        _ => KeyAlgorithm::Tdes2,
    };
    let mut rng = Seed::fixed([2; 32]).named_stream(b"ring", Purpose::TestIssuer).rng();
    wrap(&kbpk(), &Header::for_use(of, algorithm, Version::D), &secret(key), &mut rng).unwrap()
}

fn entry(of: KeyUse, index: u8, key: &str) -> KeyEntry {
    let (algorithm, kcv_method) = match (of, key.len()) {
        (KeyUse::Pool | KeyUse::Job, 64) => (KeyAlgorithm::Aes256, KcvMethod::AesCmac),
        (_, 64) => (KeyAlgorithm::Hmac, KcvMethod::Hmac),
        _ => (KeyAlgorithm::Tdes2, KcvMethod::Tdes),
    };
    KeyEntry {
        key: KeyRef::new(of, KeyIndex(index)),
        block: block(of, key),
        kcv: kcv_method.compute(&secret(key), algorithm).unwrap(),
        kcv_method,
        attributes: KeyAttributes { dki: None, pvki: (of == KeyUse::Pvk).then_some(1) },
    }
}

fn ring(entries: &[KeyEntry]) -> Result<SoftwareRing> {
    let mut ring = SoftwareRing::new(Backend::Portable);
    entries.iter().try_for_each(|e| ring.load(&kbpk(), e))?;
    Ok(ring)
}

fn refusal(entries: &[KeyEntry]) -> String {
    ring(entries).unwrap_err().to_string()
}

#[test]
fn loads_every_use_and_answers_by_name() {
    let entries: Vec<KeyEntry> = KeyUse::ALL
        .iter()
        .enumerate()
        .map(|(i, of)| {
            let key = format!("{:02X}{}", 2 * i + 1, &A[2..]);
            let long = matches!(of, KeyUse::Ledger | KeyUse::Pool | KeyUse::Job);
            entry(*of, 0x0A, if long { A.repeat(2) } else { key }.as_str())
        })
        .collect();
    let ring = ring(&entries).unwrap();
    assert_eq!(ring.keys().len(), KeyUse::ALL.len());
    let ac = ring.info(KeyRef::new(KeyUse::ImkAc, KeyIndex(0x0A))).unwrap();
    assert_eq!((ac.dki, ac.pvki, ac.algorithm), (Some(0x0A), None, KeyAlgorithm::Tdes2));
    assert_eq!(ac.kcv, entries[0].kcv.to_string());
    assert_eq!(ring.info(KeyRef::new(KeyUse::Pvk, KeyIndex(0x0A))).unwrap().pvki, Some(1));
    let missing = ring.info(KeyRef::new(KeyUse::Cvk, KeyIndex(1))).unwrap_err();
    assert_eq!(missing.to_string(), "cvk 01: no such key");
}

#[test]
fn each_refusal_names_use_and_index() {
    let good = entry(KeyUse::Cvk, 1, A);
    let mut wrong_kcv = good.clone();
    wrong_kcv.kcv = "08D7B4".parse().unwrap();
    assert_eq!(refusal(&[wrong_kcv]), "cvk 01: the key check value differs");
    let mut short_kcv = good.clone();
    short_kcv.kcv = Kcv::new(&good.kcv.bytes()[..2]).unwrap();
    assert!(refusal(&[short_kcv]).starts_with("cvk 01: 2 bytes of check value"));
    let mut wrong_usage = good.clone();
    wrong_usage.block = block(KeyUse::Pin, A);
    assert_eq!(refusal(&[wrong_usage]), "cvk 01: the key's usage does not allow this");
    assert_eq!(refusal(&[good.clone(), good.clone()]), "cvk 01: this use and index stands twice");
    let mut no_pvki = entry(KeyUse::Pvk, 1, A);
    no_pvki.attributes.pvki = None;
    assert_eq!(refusal(&[no_pvki]), "pvk 01: pvki is missing");
    let equal = entry(KeyUse::Cvk, 1, "4C37C8319D76ADAB4C37C8319D76ADAB");
    assert_eq!(refusal(&[equal]), "cvk 01: the key is refused: two neighbouring parts are equal");
    let mut other_kbpk = SoftwareRing::new(Backend::Portable);
    let error = other_kbpk.load(&Secret::new(vec![1; 32]), &good).unwrap_err();
    assert!(error.to_string().starts_with("cvk 01: the key block is not authentic"), "{error}");
}

#[test]
fn no_two_card_master_keys_of_an_index_are_equal() {
    let equal = refusal(&[entry(KeyUse::ImkAc, 1, A), entry(KeyUse::ImkSmc, 1, A)]);
    assert_eq!(equal, "imk-smc 01: the key is refused: it equals another card master key of this index");
    assert!(ring(&[entry(KeyUse::ImkAc, 1, A), entry(KeyUse::ImkSmc, 2, A)]).is_ok());
    assert!(
        ring(&[entry(KeyUse::ImkAc, 1, A), entry(KeyUse::ImkSmi, 1, B), entry(KeyUse::ImkSmc, 1, C)]).is_ok()
    );
}

#[test]
fn a_cvk_for_one_value_stands_before_the_one_for_all() {
    let all = KeyRef::new(KeyUse::Cvk, KeyIndex(1));
    let icvv = KeyRef::cvk(KeyIndex(1), CvvKind::Icvv);
    let mut special = entry(KeyUse::Cvk, 1, B);
    special.key = icvv;
    let ring = ring(&[entry(KeyUse::Cvk, 1, A), special]).unwrap();
    assert_eq!(ring.info(icvv).unwrap().key, icvv);
    assert_eq!(ring.info(icvv).unwrap().kcv, "08D7B4");
    assert_eq!(ring.info(KeyRef::cvk(KeyIndex(1), CvvKind::Cvv2)).unwrap().key, all);
}

#[test]
fn a_key_does_what_its_use_allows() {
    let ring = ring(&[
        entry(KeyUse::Cvk, 1, A),
        entry(KeyUse::Pin, 1, B),
        entry(KeyUse::ImkAc, 1, C),
        entry(KeyUse::Ledger, 1, &A.repeat(2)),
    ])
    .unwrap();
    let key = |of| KeyRef::new(of, KeyIndex(1));
    let refused = |r: Result<()>| assert_eq!(r.unwrap_err().kind(), &ErrorKind::KeyUsage);
    let mut data = [0x11; 16];
    refused(ring.decrypt_ecb(key(KeyUse::ImkAc), &mut data));
    refused(ring.decrypt_ecb(key(KeyUse::Cvk), &mut data));
    refused(ring.encrypt_ecb(key(KeyUse::Ledger), &mut data));
    refused(ring.encrypt_ecb_left(key(KeyUse::Pin), &mut data));
    refused(ring.hmac_sha256(key(KeyUse::Pin), &[]).map(|_| ()));
    ring.encrypt_ecb(key(KeyUse::Pin), &mut data).unwrap();
    ring.decrypt_ecb(key(KeyUse::Pin), &mut data).unwrap();
    assert_eq!(data, [0x11; 16]);
    assert!(ring.encrypt_ecb(key(KeyUse::Cvk), &mut data[..9]).is_err());
    assert!(ring.encrypt_ecb_left(key(KeyUse::Cvk), &mut data[..9]).is_err());
    let macs = ring.hmac_sha256(key(KeyUse::Ledger), &[b"a", b"b"]).unwrap();
    assert_eq!(macs[1], hmac_sha256(&secret(&A.repeat(2)), &[b"b"]));
}

#[test]
fn blocks_are_worked_on_as_the_cipher_does() {
    let ring = ring(&[entry(KeyUse::Cvk, 1, A), entry(KeyUse::Transport, 1, B)]).unwrap();
    let cvk = TdesKey::new(&secret(A)).unwrap();
    let transport = TdesKey::new(&secret(B)).unwrap();
    let mut data = [[1; 8], [2; 8]].concat();
    ring.encrypt_ecb_left(KeyRef::new(KeyUse::Cvk, KeyIndex(1)), &mut data).unwrap();
    assert_eq!(data, [cvk.left_encrypt([1; 8]), cvk.left_encrypt([2; 8])].concat());
    let mut messages = vec![vec![3; 16], vec![3; 8]];
    ring.encrypt_cbc(KeyRef::new(KeyUse::Transport, KeyIndex(1)), &mut messages).unwrap();
    let first = transport.encrypt_block([3; 8]);
    assert_eq!(messages[1], first);
    assert_eq!(messages[0][..8], first);
    assert_ne!(messages[0][8..], first);
}

#[test]
fn issuer_rsa_keys_sign_and_are_named_by_index() {
    let spec = KeySpec::new(512, Exponent::F4).unwrap();
    let key = generate(spec, &Seed::fixed([5; 32]).named_stream(b"oda", Purpose::TestIssuer)).unwrap();
    let public = key.public().clone();
    let mut ring = SoftwareRing::new(Backend::Portable);
    ring.add_oda(KeyIndex(7), key).unwrap();
    let message = [vec![0x6A], vec![0x55; 63]].concat();
    let signed = ring.rsa_private(KeyIndex(7), &[message.clone(), message.clone()]).unwrap();
    assert_eq!(public.apply(&signed[1]).unwrap(), message);
    assert_eq!(ring.oda_info(KeyIndex(7)).unwrap().modulus, public.modulus());
    let short = ring.rsa_private(KeyIndex(7), &[vec![0; 63]]).unwrap_err();
    assert!(short.to_string().starts_with("issuer RSA key 07: "), "{short}");
    assert_eq!(ring.oda_info(KeyIndex(8)).unwrap_err().to_string(), "issuer RSA key 08: no such key");
    assert_eq!(ring.oda_keys().collect::<Vec<_>>(), [KeyIndex(7)]);
}

#[test]
fn known_test_keys_are_named_and_debug_shows_none() {
    let ring = ring(&[entry(KeyUse::Cvk, 1, A), entry(KeyUse::Cvk, 2, B)]).unwrap();
    assert_eq!(ring.known_test_keys().collect::<Vec<_>>(), [KeyRef::new(KeyUse::Cvk, KeyIndex(2))]);
    assert_eq!(format!("{ring:?}"), "SoftwareRing(2 keys, 0 issuer RSA keys)");
}

#[test]
fn possibly_weak_keys_are_loaded_and_named() {
    let (weak, other) = (KeyRef::new(KeyUse::Cvk, KeyIndex(1)), KeyRef::new(KeyUse::Cvk, KeyIndex(2)));
    let ring = ring(&[
        entry(KeyUse::Cvk, 1, "1F1F01010E0E01014C37C8319D76ADAB"),
        entry(KeyUse::Cvk, 2, A),
        // The same bytes as an AES key mean nothing.
        entry(KeyUse::Pool, 1, "1F1F01010E0E01014C37C8319D76ADAB1F1F01010E0E01014C37C8319D76ADAB"),
    ])
    .unwrap();
    assert!(ring.info(other).is_ok());
    assert_eq!(ring.possibly_weak_keys().collect::<Vec<_>>(), [weak]);
}

/// A source that counts its calls: the double for tests that prove batching.
struct Counting<'a> {
    inner: &'a SoftwareRing,
    calls: AtomicUsize,
}

impl Counting<'_> {
    fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl KeySource for Counting<'_> {
    fn name(&self) -> &'static str {
        "counting"
    }
    fn keys(&self) -> Vec<KeyInfo> {
        self.inner.keys()
    }
    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        self.inner.info(key)
    }
    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.count();
        self.inner.encrypt_ecb(key, blocks)
    }
    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.count();
        self.inner.decrypt_ecb(key, blocks)
    }
    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        self.count();
        self.inner.encrypt_ecb_left(key, blocks)
    }
    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        self.count();
        self.inner.encrypt_cbc(key, messages)
    }
    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo> {
        self.inner.oda_info(index)
    }
    fn rsa_private(&self, index: KeyIndex, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.count();
        self.inner.rsa_private(index, messages)
    }
}

/// A thousand cards' blocks are one call, and a source behind the trait gives the same bytes.
#[test]
fn a_chunk_is_one_call_whatever_its_size() {
    let ring = ring(&[entry(KeyUse::ImkAc, 1, C), entry(KeyUse::Transport, 1, B)]).unwrap();
    let counting = Counting { inner: &ring, calls: AtomicUsize::new(0) };
    let source: &dyn KeySource = &counting;
    let imk = KeyRef::new(KeyUse::ImkAc, KeyIndex(1));
    let plain: Vec<u8> = (0..16_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let mut many = plain.clone();
    source.encrypt_ecb(imk, &mut many).unwrap();
    assert_eq!(counting.calls.load(Ordering::Relaxed), 1);
    for (at, block) in plain.chunks(8).enumerate() {
        let mut one = block.to_vec();
        ring.encrypt_ecb(imk, &mut one).unwrap();
        assert_eq!(one, many[at * 8..at * 8 + 8]);
    }
    source.encrypt_cbc(KeyRef::new(KeyUse::Transport, KeyIndex(1)), &mut vec![vec![0; 64]; 1000]).unwrap();
    assert_eq!(counting.calls.load(Ordering::Relaxed), 2);
    let unsupported = source.hmac_sha256(imk, &[]).unwrap_err();
    assert!(matches!(unsupported.kind(), ErrorKind::Unsupported(_)));
}

#[test]
fn pool_and_job_keys_wrap_data_keys_and_open_nothing_else() {
    for usage in [KeyUse::Pool, KeyUse::Job] {
        wraps_data_keys(usage);
    }
    // Nothing but AES-256.
    assert_eq!(
        refusal(&[entry(KeyUse::Pool, 1, A)]),
        "pool 01: the key is refused: a key that wraps data keys is an AES-256 key"
    );
}

fn wraps_data_keys(usage: KeyUse) {
    let pool = KeyRef::new(usage, KeyIndex(1));
    let ring = ring(&[entry(usage, 1, &A.repeat(2)), entry(KeyUse::Ledger, 1, &B.repeat(2))]).unwrap();
    let mut random = Seed::fixed([3; 32]).named_stream(b"data key", Purpose::TestIssuer).rng();
    let key = Secret::copy_of(&[7; 32]);
    let block = ring.wrap_data_key(pool, &key, &mut random).unwrap();
    assert_eq!(&block[5..9], "D0AB");
    assert_eq!(ring.unwrap_data_key(pool, &block).unwrap(), key);
    // A changed character, another usage, another wrapping key, a key of another length.
    let mut changed = block.clone().into_bytes();
    let last = changed.last_mut().unwrap();
    *last = if *last == b'0' { b'1' } else { b'0' };
    assert!(ring.unwrap_data_key(pool, std::str::from_utf8(&changed).unwrap()).is_err());
    let header = Header::for_use(KeyUse::Transport, KeyAlgorithm::Aes256, Version::D);
    let other = wrap(&secret(&A.repeat(2)), &header, &key, &mut random).unwrap();
    assert_eq!(ring.unwrap_data_key(pool, &other).unwrap_err().kind(), &ErrorKind::KeyUsage);
    let ledger = KeyRef::new(KeyUse::Ledger, KeyIndex(1));
    assert_eq!(ring.wrap_data_key(ledger, &key, &mut random).unwrap_err().kind(), &ErrorKind::KeyUsage);
    let short = ring.wrap_data_key(pool, &Secret::copy_of(&[7; 16]), &mut random).unwrap();
    assert!(ring.unwrap_data_key(pool, &short).is_err());
    assert!(ring.unwrap_data_key(KeyRef::new(usage, KeyIndex(2)), &block).is_err());
}
