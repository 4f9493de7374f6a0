//! No block of memory is given back with a secret in it: cards are made through the library, and every block that is
//! freed on the way is searched for keys, PINs, PIN blocks, CVVs and PANs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)] // a test
#![allow(unsafe_code, reason = "an allocator is unsafe by its nature")]

mod common;
mod leak_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use common::{TestIssuer, order_of, profiles};
use emv_dataprep::batch::{BlockNumber, Cards, EnvelopeKeys, Made, Pipeline as _};
use emv_dataprep::card::Psn;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, PrimeTagKey, RsaPrivate};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::icc_key;
use emv_dataprep::keys::{KeyIndex, KeyRef, KeyUse, PrivateJwk, PublicJwk, jwe};
use emv_dataprep::order::Frame;
use emv_dataprep::output::{Form, Recipients, RecordMacKey, Sheet, seal};
use emv_dataprep::prepare::{FirstSerial, Scripts};
use emv_dataprep::profile::DestinationId;
use emv_dataprep::secret::Secret;
use leak_support::Needles;
use serde_json::Value;

#[global_allocator]
static WATCHING: Watching = Watching;

struct Watching;

/// Whether freed blocks are searched now.
static ARMED: AtomicBool = AtomicBool::new(false);
static NEEDLES: AtomicPtr<Needles> = AtomicPtr::new(std::ptr::null_mut());
static BLOCKS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
/// What was found, by what it is and where it was freed, with how often.
static FOUND: OnceLock<Mutex<BTreeMap<String, u64>>> = OnceLock::new();

thread_local! {
    /// Set while the search itself allocates.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every block comes from the system's allocator with the layout that was asked for, and goes back with it.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that what is searched later was written by whoever had the block.
        // SAFETY: the caller's layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ARMED.load(Ordering::Relaxed) {
            // SAFETY: the block is whole until it goes back, and all of it was written.
            look(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        // SAFETY: the block came from there with this layout.
        unsafe { System.dealloc(block, layout) }
    }
    // `realloc` is the trait's own: a new block, a copy, and the old block through `dealloc`.
}

fn look(block: &[u8]) {
    let outside = INSIDE.try_with(|inside| !inside.replace(true)).unwrap_or(false);
    if !outside {
        return;
    }
    BLOCKS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(block.len() as u64, Ordering::Relaxed);
    // SAFETY: set once before the search begins, from a box that is leaked.
    let needles = unsafe { NEEDLES.load(Ordering::Acquire).as_ref() };
    let hit =
        needles.and_then(|n| n.find(block)).map(|(_, kind, how)| (kind, how)).or_else(|| few_digits(block));
    if let Some((kind, how)) = hit {
        let whole = Backtrace::force_capture().to_string();
        let place = frames(&whole);
        let mut found = FOUND.get_or_init(Mutex::default).lock().unwrap();
        *found
            .entry(format!("{kind} ({how}), block of {} bytes, freed in\n{place}", block.len()))
            .or_default() += 1;
    }
    let _ = INSIDE.try_with(|inside| inside.set(false));
}

/// A CVV or PIN by itself: a small block with three decimal digits as text and nothing else, or of exactly three or four
/// digits, one a byte. Three digits are everywhere, so longer blocks are not searched for them; there they stand beside
/// the PAN.
fn few_digits(block: &[u8]) -> Option<(&'static str, &'static str)> {
    let used = block.len() - block.iter().rev().take_while(|b| **b == 0).count();
    let value = &block[..used];
    let service_code = matches!(value, b"201" | b"221" | b"206" | b"226" | b"601");
    if value.len() == 3 && block.len() <= 32 && value.iter().all(u8::is_ascii_digit) && !service_code {
        return Some(("three digits alone", "text"));
    }
    let alone = block.len() == value.len() || block.len() == 12;
    let raw = matches!(value.len(), 3 | 4) && alone && value.iter().all(|b| *b < 10) && differ(value);
    raw.then_some(("three or four digits alone", "a digit a byte"))
}

/// No digit stands twice. Lengths, locators and exponents (010001) look like digits; they repeat themselves.
fn differ(digits: &[u8]) -> bool {
    digits.iter().enumerate().all(|(i, d)| !digits[..i].contains(d))
}

/// The places of this crate and of this test on the way, innermost first.
fn frames(backtrace: &str) -> String {
    let mut places: Vec<&str> = backtrace
        .lines()
        .filter_map(|l| l.trim().strip_prefix("at "))
        .filter(|place| {
            !place.starts_with("/rustc/") && !place.contains("/library/") && !place.contains("fn look")
        })
        .filter_map(|place| place.rsplit_once(':').map(|p| p.0))
        .filter(|place| !place.contains("tests/alloc_secrets") || place.contains("registry"))
        .map(|place| place.rsplit_once("/registry/src/").map_or(place, |p| p.1))
        .collect();
    places.dedup();
    places.iter().take(8).map(|place| format!("    {place}\n")).collect()
}

fn cards_to_make() -> u64 {
    let named = std::env::var("ALLOC_CARDS").ok().and_then(|n| n.parse().ok());
    named.unwrap_or(if cfg!(debug_assertions) { 120 } else { 1000 })
}

/// The orders: every shipped profile in turn, each with its own PAN and PIN.
fn orders(issuer: &TestIssuer, count: u64) -> Vec<String> {
    let key = TdesKey::from_bytes(&issuer.keys[&KeyRef::new(KeyUse::Pin, KeyIndex(1))].1).unwrap();
    (0..count)
        .map(|i| {
            let profile = profiles()[usize::try_from(i % 4).unwrap()];
            let pin = (1000 + i * 7919 % 9000).to_string();
            let pin = hex::decode(format!("14{pin}{:010X}", 0xA0_1234_5678_u64 + i)).unwrap();
            let block = hex::encode_upper(key.encrypt_block(pin.try_into().unwrap()));
            let order = order_of(profile, &format!("card-{i}"), 314_159_265 + i * 1_000_003 % 600_000_000);
            order.replace("BLOCK", &block) + "\n"
        })
        .collect()
}

/// The order as it is sent: some card data sealed as D1 does, some PANs with an escape, some to a destination whose
/// transport key is made for the block and is AES.
fn sent(i: usize, order: &str, envelope: &PublicJwk, seed: &Seed) -> String {
    let mut order: Value = serde_json::from_str(order).unwrap();
    if i.is_multiple_of(3) {
        order["order"]["persoCenter"] = "PC2".into();
    }
    if i % 5 == 1 {
        let data = order.as_object_mut().unwrap().remove("cardData").unwrap().to_string();
        let mut rng = seed.named_stream(format!("envelope {i}").as_bytes(), Purpose::Envelope).rng();
        let sealed = jwe::seal(envelope, &serde_json::Map::new(), data.as_bytes(), &mut rng).unwrap();
        order["order"]["encryptedData"] = sealed.into();
    }
    let mut text = order.to_string();
    if i % 7 == 3 {
        text = text.replacen(r#""pan":""#, r#""pan":"\u003"#, 1);
    }
    text + "\n"
}

/// One block of cards: orders read from text, prepared, written as lines, sealed. The sealed text, and the lines for
/// whoever wants to learn from them.
fn make(pipeline: &Cards<'_>, seed: &Seed, orders: &[String], sealer: &Recipients) -> Vec<Made> {
    let mut frame = Frame::new();
    let mut raw = Vec::new();
    for order in orders {
        frame.feed(order.as_bytes(), &mut raw);
    }
    frame.finish(&mut raw);
    let requests: Vec<_> =
        raw.iter().map(|order| pipeline.parse(order).1.unwrap_or_else(|e| panic!("{e}"))).collect();
    drop(raw);
    let block = pipeline.begin(seed, BlockNumber(0)).unwrap();
    let made = pipeline.prepare(seed, &block, &requests).unwrap();
    let made: Vec<Made> = made.into_iter().map(|m| m.unwrap_or_else(|e| panic!("{e}"))).collect();
    let lines: Vec<&[u8]> = made.iter().map(|m| m.card.as_slice()).collect();
    for form in [Form::Whole, Form::EachLine] {
        let sheet = Sheet { batch: "b", file: "prepared/CENTRAL/PC1/cards-000000.jwe", form };
        assert!(!seal(sealer, &"PC1".parse().unwrap(), &sheet, &lines, seed).unwrap().is_empty());
    }
    made
}

/// Everything secret that the cards hold, learnt from what was made: who has the keys can open it.
fn learn(issuer: &TestIssuer, made: &[Made], orders: &[String]) -> Needles {
    let mut needles = Needles::new();
    for (key, (_, value)) in &issuer.keys {
        needles.key(key.usage.name(), value);
    }
    let clear = |usage| TdesKey::from_bytes(&issuer.keys[&KeyRef::new(usage, KeyIndex(1))].1).unwrap();
    let open = |usage, text: &str| {
        let mut value = hex::decode(text).unwrap();
        clear(usage).decrypt_ecb(&mut value).unwrap();
        value
    };
    for (card, order) in made.iter().zip(orders) {
        let order: Value = serde_json::from_str(order).unwrap();
        let pan = order["cardData"]["pan"].as_str().unwrap();
        needles.digits("PAN", pan);
        let line: Value = serde_json::from_slice(&card.card).unwrap();
        let profile = issuer.issuer.profile(line["profile"].as_str().unwrap()).unwrap();
        let index = order["order"]["paymentApplication"]["derivationKeyIndex"].as_str().unwrap();
        for usage in profile.master_keys() {
            let imk = &issuer.keys[&KeyRef::new(usage, index.parse().unwrap())].1;
            let pan = pan.parse().unwrap();
            let key =
                icc_key::derive(profile.derivation, &Secret::copy_of(imk), &pan, Psn::default()).unwrap();
            needles.key("ICC master key", key.expose());
        }
        let mut crt: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for application in line["chip"]["applications"].as_array().unwrap() {
            for dgi in application["dgis"].as_array().unwrap() {
                if dgi["protection"] != "transport" {
                    continue;
                }
                let value = open(KeyUse::Transport, dgi["value"].as_str().unwrap());
                let tag = dgi["dgi"].as_str().unwrap();
                match tag {
                    "8010" => {
                        needles.bytes("PIN block", &value);
                        let digits = hex::encode(&value[1..3]);
                        let field = hex::decode(format!("04{digits}FFFFFFFFFF")).unwrap();
                        // `04 00 .. FF FF FF FF FF` stands in every big number whose highest limb is full.
                        if value[1] != 0 {
                            needles.bytes("PIN block", &field);
                        }
                    }
                    tag if tag.starts_with("82") || tag.starts_with("83") => {
                        needles.number("RSA private key", &value);
                        crt.insert(tag.to_owned(), value);
                    }
                    _ => {}
                }
            }
        }
        if let (Some(q), Some(p)) = (crt.get("8204"), crt.get("8205"))
            && let Some(key) = rsa_key(p, q, profile.id.as_str())
        {
            for part in [key.p(), key.q(), key.dp(), key.dq(), key.qinv()] {
                needles.number("RSA private key", part.expose());
            }
            needles.number("RSA private key", key.d().unwrap().expose());
        }
        if let Some((_, mailer)) = &card.mailer {
            let mailer: Value = serde_json::from_slice(mailer).unwrap();
            needles.bytes("PIN block", &open(KeyUse::Mailer, mailer["pinBlock"].as_str().unwrap()));
        }
        if let Some(block) = order["cardData"]["pinBlock"]["value"].as_str() {
            needles.bytes("PIN block", &open(KeyUse::Pin, block));
        }
    }
    needles
}

/// The key of a card from its primes, which end in fill bytes: once for a profile, since it is slow.
fn rsa_key(p: &[u8], q: &[u8], _profile: &str) -> Option<RsaPrivate> {
    let unfilled = |b: &[u8]| {
        let zeros = b.iter().rev().take_while(|b| **b == 0).count();
        let end = b.len() - zeros;
        if end > 0 && b[end - 1] == 0x80 { b[..end - 1].to_vec() } else { b.to_vec() }
    };
    let (p, q) = (unfilled(p), unfilled(q));
    [3, 65537].into_iter().find_map(|e| RsaPrivate::from_primes(&p, &q, Exponent::new(e).unwrap()).ok())
}

#[test]
fn no_freed_block_holds_a_secret() {
    the_search_finds_what_is_there();
    let issuer = TestIssuer::new();
    let orders = orders(&issuer, cards_to_make());
    let home: DestinationId = "issuer".parse().unwrap();
    let seed = Seed::fixed([0x5C; 32]);
    let envelope = PrivateJwk::generate(&mut seed.named_stream(b"envelope", Purpose::Envelope).rng());
    let to_us = envelope.public().clone();
    let mut envelopes = EnvelopeKeys::default();
    envelopes.add(to_us.kid(), envelope).unwrap();
    let mut sealer = Recipients::default();
    let key = PrivateJwk::generate(&mut seed.named_stream(b"key", Purpose::Envelope).rng());
    sealer.add("PC1".parse().unwrap(), key.public().clone());
    let macs = RecordMacKey::of_job(&Secret::new(vec![0x6A; 32]));
    let prime_tags = PrimeTagKey::new(Secret::new(vec![0x6B; 32])).unwrap();
    let pipeline = Cards {
        macs: Some(&macs),
        prime_tags: Some(&prime_tags),
        issuer: &issuer.issuer,
        module: &issuer.module,
        opener: &envelopes,
        today: issuer.today,
        backend: Backend::detect(),
        scripts: Scripts::Build,
        supply: None,
        home: &home,
        first_serial: FirstSerial::default(),
        tags: None,
    };
    let made: Vec<Made> = orders.chunks(100).flat_map(|o| make(&pipeline, &seed, o, &sealer)).collect();
    let needles = learn(&issuer, &made, &orders);
    assert!(needles.len() > orders.len() * 50, "{} forms", needles.len());
    drop(made);
    NEEDLES.store(Box::into_raw(Box::new(needles)), Ordering::Release);

    let sent: Vec<String> =
        orders.iter().enumerate().map(|(i, order)| sent(i, order, &to_us, &seed)).collect();
    ARMED.store(true, Ordering::SeqCst);
    for block in sent.chunks(100) {
        drop(make(&pipeline, &seed, block, &sealer));
    }
    // The other kernels that make keys and sign, with fewer cards. The plain backend is exempt: its numbers are those of
    // `crypto-bigint`, which wipes no temporary ones (SECURITY.md).
    for backend in [Backend::Avx2, Backend::Portable] {
        if backend.require().is_ok() {
            drop(make(&Cards { backend, ..pipeline }, &seed, &sent[..sent.len() / 10], &sealer));
        }
    }
    ARMED.store(false, Ordering::SeqCst);

    let (blocks, bytes) = (BLOCKS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    assert!(blocks > 10_000, "{blocks} blocks of {bytes} bytes were searched");
    let found = FOUND.get_or_init(Mutex::default).lock().unwrap();
    let mut texts: Vec<_> = found.iter().map(|(what, n)| (*n, what)).collect();
    texts.sort_by(|a, b| b.cmp(a));
    let report: String = texts.iter().map(|(n, what)| format!("{n} x {what}")).collect();
    assert!(found.is_empty(), "{} kinds of block:\n{report}", found.len());
}

/// Not a test of its own: it would free blocks beside the one that watches.
fn the_search_finds_what_is_there() {
    let mut needles = Needles::new();
    needles.digits("PAN", "4761739001010010");
    needles.key("key", &[0x3A, 0x17, 0x90, 0x44, 0x5E, 0x61, 0x7C, 0x88, 1, 2, 3, 4, 5, 6, 7, 8]);
    let text = |kind: &str, bytes: &[u8]| assert_eq!(needles.find(bytes).map(|f| f.1), Some(kind));
    text("PAN", b"%B4761739001010010^");
    text("PAN", &hex::decode("5A084761739001010010").unwrap());
    text("PAN", b"5A084761739001010010");
    text("key", &hex::decode("003A1790445E617C88").unwrap());
    text("key", b"3a1790445e617c88");
    for before in 0..3 {
        let mut bytes = vec![b'x'; before];
        bytes.extend_from_slice(b"4761739001010010 and more");
        use base64ct::Encoding as _;
        text("PAN", base64ct::Base64::encode_string(&bytes).as_bytes());
        text("PAN", base64ct::Base64Url::encode_string(&bytes).as_bytes());
    }
    assert_eq!(needles.find(b"476173******0010"), None);
    assert_eq!(few_digits(b"123").map(|f| f.1), Some("text"));
    assert_eq!(few_digits(&[1, 2, 3]).map(|f| f.1), Some("a digit a byte"));
    assert_eq!(few_digits(b"12"), None);
}
