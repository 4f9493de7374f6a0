//! The body of every fuzz target, as plain functions: `fuzz_targets/*.rs` call them with made-up inputs, and
//! `tests/fuzz_replay.rs` with the inputs in `seeds/`.
//!
//! A target must not panic, whatever it is given. Where there is a writer, what is read is written and compared.

mod issuing;
mod session;

pub use issuing::{ca_response, ec_certificate, private_key};
pub use session::{script_plan, session_state};

use std::collections::BTreeMap;
use std::sync::OnceLock;

use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::ed25519::Ed25519Private;
use emv_dataprep::crypto::hash::sha1;
use emv_dataprep::crypto::rng::{Purpose, Seed, StreamRng};
use emv_dataprep::crypto::rsa::{self, Exponent, KeySpec, RsaPrivate};
use emv_dataprep::emv::{Afl, CvmList, Dol, Tag, tlv};
use emv_dataprep::issuer::oda::{
    CaKeyIndex, CaPublicKey, IccCertificate, IccKeyKind, IssuerCertificate, Rid, sdad, verify_ssad,
};
use emv_dataprep::keys::{KeyAlgorithm, KeyUse, PrivateJwk, PublicJwk, SigningPublicJwk, jwe, jws, tr31};
use emv_dataprep::order::{Frame, NoEnvelopeKey, RawOrder, parse_order};
use emv_dataprep::output::formats::template::{TemplateFile, of_format};
use emv_dataprep::output::formats::{apdu, chip_json, dgi_lines};
use emv_dataprep::output::{Manifest, RejectedLine, StatusLine};
use emv_dataprep::perso::record::{CardReference, CpsRecord, CpsSettings, ListFraming, read_records};
use emv_dataprep::perso::{encode_dgi, parse_dgis};
use emv_dataprep::profile::format::FormatFile;
use emv_dataprep::profile::{Issuer, Level};
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::{CardContext, CardLine, CheckName, Keys, Outcome, verify_card};

/// Whether the input was good for anything: seeds of both kinds exist for every target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Refused as a whole.
    Refused,
    /// Accepted: the comparison that follows was made.
    Accepted,
}

use Reached::{Accepted, Refused};

/// A target: one input.
pub type Target = fn(&[u8]) -> Reached;

/// Every target by its name: the name of its binary and of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("order", order),
    ("card_data", card_data),
    ("jwe", jwe),
    ("jwk", jwk),
    ("jws", jws),
    ("tr31", tr31),
    ("tlv", tlv),
    ("dol", dol),
    ("afl", afl),
    ("cvm", cvm),
    ("dgi", dgi),
    ("issuer_files", issuer_files),
    ("certificate", certificate),
    ("ca_response", ca_response),
    ("ec_certificate", ec_certificate),
    ("private_key", private_key),
    ("card_line", card_line),
    ("output_lines", output_lines),
    ("cps_record", cps_record),
    ("bureau_formats", bureau_formats),
    ("script_plan", script_plan),
    ("session_state", session_state),
];

fn rng() -> StreamRng {
    Seed::fixed([0x46; 32]).named_stream(b"fuzz", Purpose::TestIssuer).rng()
}

fn today() -> CardDate {
    CardDate::from_yymmdd("260115").expect("a day")
}

// ---------------------------------------------------------------- orders

const ISSUER: &str = include_str!("issuer.toml");

/// Keys of every use at index 01. The blocks are not opened when a configuration is read.
fn keys_toml() -> String {
    let mut text = "version = 1\n".to_owned();
    for usage in KeyUse::ALL {
        let pvki = if *usage == KeyUse::Pvk { "pvki = 1\n" } else { "" };
        text += &format!(
            "[[key]]\nuse = \"{usage}\"\nindex = \"01\"\nblock = \"-\"\nkcv = \"000000\"\nkcv_method = \"tdes\"\n{pvki}"
        );
    }
    text
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let texts = [
        ("issuer.toml", ISSUER.to_owned()),
        ("keys.toml", keys_toml()),
        ("products/online-basic.toml", include_str!("../../products/online-basic.toml").to_owned()),
        ("products/fuzz.toml", include_str!("product.toml").to_owned()),
        ("profiles/online-only.toml", include_str!("../../profiles/online-only.toml").to_owned()),
    ];
    texts.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect()
}

fn issuer() -> &'static Issuer {
    static ISSUER: OnceLock<Issuer> = OnceLock::new();
    ISSUER.get_or_init(|| Issuer::load(&files()).unwrap_or_else(|found| panic!("{found:#?}")))
}

/// No text that people read may hold a run of digits that could be a PAN of the input.
fn tells_no_pan(text: &str) {
    let longest = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    assert!(longest < Some(12), "a message holds a long number: {text}");
}

fn parse(order: &RawOrder) -> Reached {
    match parse_order(issuer(), &NoEnvelopeKey, order, today()) {
        Ok(request) => {
            assert_eq!(request.position, order.position());
            tells_no_pan(&format!("{:?}", request.data));
            Accepted
        }
        Err(rejected) => {
            assert_eq!(rejected.position, order.position());
            tells_no_pan(&rejected.rejection.reason);
            Refused
        }
    }
}

/// A stream of orders: whole and cut into pieces it gives the same orders with the same positions and outcomes.
pub fn order(data: &[u8]) -> Reached {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut frame = Frame::with_max_line(1 << 12);
        let mut orders = Vec::new();
        for piece in pieces {
            frame.feed(piece, &mut orders);
        }
        frame.finish(&mut orders);
        assert_eq!(frame.count(), orders.len() as u64);
        let outcomes: Vec<(u64, Reached)> = orders.iter().map(|o| (o.position(), parse(o))).collect();
        outcomes
    };
    let whole = read(&mut std::iter::once(data));
    assert!(whole.iter().zip(1..).all(|((position, _), n)| *position == n), "positions count up");
    let size = data.first().map_or(1, |b| usize::from(*b % 7) + 1);
    assert_eq!(whole, read(&mut data.chunks(size)), "pieces of {size}");
    whole.into_iter().map(|(_, reached)| reached).max().unwrap_or(Refused)
}

/// Card data inside of an order that is good otherwise.
pub fn card_data(data: &[u8]) -> Reached {
    let mut text = br#"{"cardId":"c-1","order":{"distributionChannel":"INSTANT","persoStation":"S1","services":{"issuance":"CREATION"},"paymentApplication":{"config":"online-only","derivationKeyIndex":"01","pvKeyIndex":"01","cvKeyIndex":"01"},"cardProductId":"fuzz"},"cardData":"#.to_vec();
    text.extend_from_slice(data);
    text.push(b'}');
    parse(&RawOrder::new(1, &text))
}

// ---------------------------------------------------------------- keys

/// Bob's key of RFC 7518, appendix C: published, so no secret.
const BOB: &[u8] = br#"{"kty":"EC","crv":"P-256","kid":"bob","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#;

fn envelope_key() -> &'static PrivateJwk {
    static KEY: OnceLock<PrivateJwk> = OnceLock::new();
    KEY.get_or_init(|| PrivateJwk::from_json(BOB).expect("a key"))
}

/// As an envelope; and as a plaintext that is sealed, opened, and refused when a character changes.
pub fn jwe(data: &[u8]) -> Reached {
    let key = envelope_key();
    let text = String::from_utf8_lossy(data);
    let _ = jwe::recipient(&text);
    let opened = jwe::open(key, &text).is_ok();

    let sealed = jwe::seal(key.public(), &serde_json::Map::new(), data, &mut rng()).expect("seals");
    let (members, plaintext) = jwe::open(key, &sealed).expect("opens");
    assert!(members.is_empty() && plaintext.expose() == data);
    let at =
        data.iter().fold(0_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(*b))) % sealed.len();
    let mut changed = sealed.into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("ASCII");
    assert!(jwe::open(key, &changed).is_err(), "character {at} is changed");
    if opened { Accepted } else { Refused }
}

/// As a compact JWS; and as a payload that is signed, verified, and refused when a character changes.
pub fn jws(data: &[u8]) -> Reached {
    let key = Ed25519Private::from_seed(&Secret::copy_of(&[1; 32])).expect("a key");
    let sender = SigningPublicJwk::new(key.public());
    let read = jws::Signed::read(data, "fuzz");
    let verified = read.is_ok_and(|signed| signed.verify(&sender).is_ok());

    let signed = jws::sign(&key, "fuzz", &serde_json::Map::new(), data).expect("signs");
    let (members, payload) =
        jws::Signed::read(signed.expose(), "fuzz").expect("reads").verify(&sender).expect("verifies");
    assert!(members.is_empty() && payload.expose() == data);
    let at =
        data.iter().fold(0_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(*b))) % signed.len();
    let mut changed = signed.expose().to_vec();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let refused = jws::Signed::read(&changed, "fuzz").and_then(|signed| signed.verify(&sender)).is_err();
    assert!(refused, "character {at} is changed");
    if verified { Accepted } else { Refused }
}

/// A public and a private JWK: what is read is written, and read again as the same.
pub fn jwk(data: &[u8]) -> Reached {
    let mut reached = Refused;
    if let Ok(key) = PublicJwk::from_json(data) {
        assert_eq!(PublicJwk::from_json(key.to_json().as_bytes()).as_ref(), Ok(&key));
        reached = Accepted;
    }
    if let Ok(key) = SigningPublicJwk::from_json(data) {
        assert_eq!(SigningPublicJwk::from_json(key.to_json().as_bytes()).as_ref(), Ok(&key));
        reached = Accepted;
    }
    if let Ok(key) = PublicJwk::choose(data, None) {
        assert_eq!(PublicJwk::choose(data, Some(key.kid())).as_ref(), Ok(&key));
        reached = Accepted;
    }
    if let Ok(key) = PrivateJwk::from_json(data) {
        let again = PrivateJwk::from_json(key.to_json().as_bytes()).expect("its own form");
        assert_eq!(again.public(), key.public());
        reached = Accepted;
    }
    reached
}

/// As a key block; and as a key that is wrapped, unwrapped, and refused when a character changes.
pub fn tr31(data: &[u8]) -> Reached {
    let kbpk = Secret::new(vec![0x42; 32]);
    let tdes_kbpk = Secret::new((0x10..0x28).map(|b| b ^ 1).collect());
    let text = String::from_utf8_lossy(data);
    let mut reached = Refused;
    for kbpk in [&kbpk, &tdes_kbpk] {
        for usage in KeyUse::ALL {
            let _ = tr31::Policy::for_use(*usage).import(kbpk, &text);
        }
        let Ok((header, key)) = tr31::unwrap(kbpk, &text) else { continue };
        let again = tr31::wrap(kbpk, &header, &key, &mut rng()).expect("its own key");
        assert_eq!(tr31::unwrap(kbpk, &again).as_ref(), Ok(&(header, key)));
        reached = Accepted;
    }
    let algorithm = match data.len() {
        16 => KeyAlgorithm::Tdes2,
        24 => KeyAlgorithm::Tdes3,
        32 => KeyAlgorithm::Aes256,
        _ => return reached,
    };
    let header = tr31::Header::for_use(KeyUse::Transport, algorithm, tr31::Version::D);
    let key = Secret::copy_of(data);
    let block = tr31::wrap(&kbpk, &header, &key, &mut rng()).expect("wraps");
    assert_eq!(tr31::unwrap(&kbpk, &block), Ok((header, key)));
    let at = usize::from(data[0]) % block.len();
    let mut changed = block.into_bytes();
    changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
    assert!(tr31::unwrap(&kbpk, &String::from_utf8(changed).expect("ASCII")).is_err(), "character {at}");
    Accepted
}

// ---------------------------------------------------------------- EMV data

/// BER-TLV: canonical objects written again are the same bytes; every byte of a tree comes from the input.
pub fn tlv(data: &[u8]) -> Reached {
    let _ = Tag::from_bytes(data);
    for rules in [tlv::Rules::Ber, tlv::Rules::Canonical] {
        if let Ok(nodes) = tlv::tree(data, rules) {
            for (_, object) in nodes.iter().flat_map(|n| n.flatten()) {
                assert!(object.value.len() < data.len());
                let written = tlv::encode(object.tag, object.value);
                assert_eq!(tlv::parse_one(&written, tlv::Rules::Canonical), Ok(object));
            }
        }
    }
    match tlv::parse(data) {
        Ok(objects) => {
            let written: Vec<u8> = objects.iter().flat_map(|o| tlv::encode(o.tag, o.value)).collect();
            assert_eq!(written, data);
            for object in &objects {
                assert!(tlv::find(data, object.tag).is_ok_and(|found| found.is_some()));
            }
            Accepted
        }
        Err(_) => Refused,
    }
}

/// DOL: written again it is the same, and it is filled to the length that it asks for.
pub fn dol(data: &[u8]) -> Reached {
    let Ok(dol) = Dol::parse(data) else { return Refused };
    assert_eq!(dol.encode(), data);
    for value in [None, Some(Vec::new()), Some(vec![0x12; 3]), Some(vec![0x12; 300])] {
        assert_eq!(dol.fill(|_, _| value.clone()).len(), dol.total_len());
    }
    assert!(dol.entries().iter().all(|e| dol.contains(e.tag)));
    Accepted
}

/// AFL: written again it is the same, from its own records it is an AFL of the same records.
pub fn afl(data: &[u8]) -> Reached {
    let Ok(afl) = Afl::parse(data) else { return Refused };
    assert_eq!(afl.encode(), data);
    let records: Vec<_> = afl.records().collect();
    let counted: usize = afl.entries().iter().map(|e| usize::from(e.last - e.first) + 1).sum();
    assert_eq!(records.len(), counted);
    if let Ok(again) = Afl::of_records(records.iter().copied()) {
        assert_eq!(again.records().collect::<Vec<_>>(), records);
    }
    Accepted
}

/// CVM list: written again it is the same.
pub fn cvm(data: &[u8]) -> Reached {
    let Ok(list) = CvmList::parse(data) else { return Refused };
    assert_eq!(list.encode(), data);
    assert!(list.has_offline_pin() || !list.has_enciphered_pin());
    Accepted
}

/// DGIs: written again they are the same.
pub fn dgi(data: &[u8]) -> Reached {
    let Ok(dgis) = parse_dgis(data) else { return Refused };
    let written: Vec<u8> =
        dgis.iter().flat_map(|d| encode_dgi(d.tag, d.value).expect("its length")).collect();
    assert_eq!(written, data);
    Accepted
}

// ---------------------------------------------------------------- configuration

/// A configuration file: the first line names it (`profiles/x.toml`), the rest is its text. The other files are good.
pub fn issuer_files(data: &[u8]) -> Reached {
    let at = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (path, rest) = data.split_at(at);
    let mut files = files();
    files.insert(String::from_utf8_lossy(path).into_owned(), rest.get(1..).unwrap_or_default().to_vec());
    let (issuer, findings) = Issuer::check(&files, Some(today()));
    assert_eq!(issuer.is_some(), findings.iter().all(|f| f.level == Level::Warning), "{findings:#?}");
    let order = findings.iter().map(|f| (&f.file, f.line));
    assert!(order.is_sorted(), "findings are in the order of files and lines");
    if issuer.is_some() { Accepted } else { Refused }
}

// ---------------------------------------------------------------- certificates

fn signer() -> &'static RsaPrivate {
    static KEY: OnceLock<RsaPrivate> = OnceLock::new();
    KEY.get_or_init(|| {
        let spec = KeySpec::new(768, Exponent::new(3).expect("3")).expect("a size");
        let stream = Seed::fixed([0x46; 32]).named_stream(b"signer", Purpose::TestIssuer);
        rsa::generate(spec, &stream).expect("a key")
    })
}

/// Certificates and signatures. The first byte says what: 0 the bytes as they are; else a well-formed frame is made
/// around them and signed, so that what stands inside of it is read.
pub fn certificate(data: &[u8]) -> Reached {
    let Some((kind, rest)) = data.split_first() else { return Refused };
    let key = signer();
    let public = key.public();
    let n = public.len();
    let (signed, remainder, exponent) = if *kind == 0 {
        (rest.to_vec(), Vec::new(), vec![3])
    } else {
        let room = n - 22;
        let (body, remainder) = rest.split_at(rest.len().min(room));
        // A signature over data has no exponent in its hash.
        let exponent = match kind % 3 {
            0 => vec![3],
            1 => vec![1, 0, 1],
            _ => Vec::new(),
        };
        let mut block = vec![0x6A];
        block.extend_from_slice(body);
        block.resize(room + 1, 0xBB);
        let hash = sha1(&[&block[1..], remainder, &exponent]);
        block.extend_from_slice(&hash);
        block.push(0xBC);
        (key.apply(&block).expect("smaller than the modulus"), remainder.to_vec(), exponent)
    };
    let mut reached = Refused;
    let ca = CaPublicKey::new(Rid([0xA0, 0, 0, 0, 3]), CaKeyIndex(1), public.modulus(), public.exponent());
    if let Ok(ca) = ca {
        let given = IssuerCertificate {
            certificate: signed.clone(),
            remainder: remainder.clone(),
            exponent: exponent.clone(),
        };
        if let Ok(found) = given.verify(&ca) {
            assert_eq!(found.key.exponent(), exponent);
            assert!(found.key.modulus().ends_with(&remainder));
            reached = Accepted;
        }
    }
    let given = IccCertificate { certificate: signed.clone(), remainder: remainder.clone(), exponent };
    let _ = given.recover(public);
    for kind in [IccKeyKind::Authentication, IccKeyKind::PinEncipherment] {
        if let Ok(found) = given.verify(public, kind, &[]) {
            assert!(found.key.modulus().ends_with(&remainder));
            reached = Accepted;
        }
    }
    if verify_ssad(public, &signed, &remainder).is_ok() {
        reached = Accepted;
    }
    if let Ok(found) = sdad::verify(public, &signed, &remainder) {
        tells_no_pan(&format!("{found:?}"));
        reached = Accepted;
    }
    let _ = sdad::dynamic_number(rest);
    let _ = sdad::CdaDynamicData::parse(rest);
    reached
}

// ---------------------------------------------------------------- output

/// A prepared card line, as the second witness reads it, with no key at all.
pub fn card_line(data: &[u8]) -> Reached {
    let text = String::from_utf8_lossy(data);
    let report = verify_card(&text, &Keys::default(), &CardContext::default());
    let read = CardLine::read(&text);
    assert_eq!(read.is_ok(), report.outcome(CheckName::Form) == Outcome::Passed);
    if read.is_ok() { Accepted } else { Refused }
}

/// Lines of `status.jsonl` and `rejected.jsonl`, and a manifest: what is read is written and read as the same.
pub fn output_lines(data: &[u8]) -> Reached {
    let text = String::from_utf8_lossy(data);
    let mut reached = Refused;
    if let Ok(line) = StatusLine::read(&text) {
        assert_eq!(StatusLine::read(&line.to_json()), Ok(line));
        reached = Accepted;
    }
    if let Ok(line) = RejectedLine::read(&text) {
        assert_eq!(RejectedLine::read(&line.to_json()), Ok(line));
        reached = Accepted;
    }
    if let Ok(manifest) = Manifest::read(data) {
        assert_eq!(manifest.to_json().as_bytes(), data);
        reached = Accepted;
    }
    reached
}

// ---------------------------------------------------------------- formats for bureaus

/// CPS records. The first byte says which settings (its lowest bit) and whether a frame is made around the bytes (the next
/// one), so that what stands inside of it is read. Records are written again as they came; a card that is read from one gives
/// a record that reads as the same card.
pub fn cps_record(data: &[u8]) -> Reached {
    let Some((how, rest)) = data.split_first() else { return Refused };
    let plain = CpsSettings { reference: CardReference::None, ..CpsSettings::default() };
    let settings = if how & 1 == 0 {
        plain
    } else {
        let module_identifier = "EMV".to_owned();
        CpsSettings { module_identifier, count_digits: 7, list_framing: ListFraming::Count, ..plain }
    };
    let mut bytes = rest.to_vec();
    if how & 2 != 0
        && let Ok(len) = u16::try_from(rest.len())
    {
        let count = if how & 1 == 0 { String::new() } else { format!("EMV{:07}", rest.len() + 6) };
        bytes = [count.as_bytes(), b"02.1", &len.to_be_bytes(), rest].concat();
    }
    let Ok(records) = read_records(&bytes, &settings) else { return Refused };
    let written = records.iter().flat_map(|r| r.encode(&settings).expect("its lengths")).collect::<Vec<_>>();
    assert_eq!(written, bytes);
    for record in &records {
        if let Ok(mut card) = record.to_card(&settings) {
            card.masked_pan = Some("476173******0010".to_owned());
            if let Some(key) = card.transport.as_mut() {
                // An AES mode byte is not among these settings, so the key is a TDES one.
                key.algorithm = Some(KeyAlgorithm::Tdes2);
            }
            if let Ok(again) = CpsRecord::build(&card, &settings, None) {
                let read = again.to_card(&settings).expect("what was built");
                assert_eq!(read.applications, card.applications);
            }
        }
    }
    Accepted
}

const TEMPLATE: &str = include_str!("../../formats/emboss-line.toml");

/// The other formats; the first byte says which: DGI lines, APDU scripts, chip lines, card lines, the records of the
/// shipped template. What is read is written and read again.
pub fn bureau_formats(data: &[u8]) -> Reached {
    let Some((which, rest)) = data.split_first() else { return Refused };
    let text = String::from_utf8_lossy(rest);
    let good = match which {
        b'd' => dgi_lines::read(&text).map(|cards| {
            let lines = cards.iter().map(|c| dgi_lines::write(c).expect("what was read").to_string());
            let again = dgi_lines::header() + &lines.collect::<String>();
            assert!(dgi_lines::read(&again).expect("what was written") == cards);
        }),
        b'a' => apdu::read(&text).map(|cards| {
            let lines = cards.iter().map(|c| apdu::write(c).expect("what was read").to_string());
            let again = apdu::header() + &lines.collect::<String>();
            assert!(apdu::read(&again).expect("what was written") == cards);
        }),
        b'c' => chip_json::read(&text).map(|card| {
            let again = chip_json::write(&card);
            assert!(chip_json::read(&String::from_utf8_lossy(&again)).expect("what was written") == card);
        }),
        b'l' => emv_dataprep::output::CardLine::read(&text).map(|card| {
            let again = card.to_json();
            let again = emv_dataprep::output::CardLine::read(&String::from_utf8_lossy(&again));
            assert!(again.expect("what was written") == card);
        }),
        _ => {
            let (format, _) = FormatFile::check("emboss-line", TEMPLATE.as_bytes());
            let format = format.expect("the shipped template");
            let template = of_format(&format).expect("the shipped template");
            TemplateFile::read(rest, template).map(|file| {
                assert_eq!(file.encode(template).expect("what was read").as_slice(), rest);
            })
        }
    };
    if good.is_ok() { Accepted } else { Refused }
}
