use proptest::prelude::*;

use super::*;
use crate::crypto::rng::{Purpose, Seed};

pub(super) fn rng() -> StreamRng {
    Seed::fixed([4; 32]).named_stream(b"jwe", Purpose::Envelope).rng()
}

pub(super) const ALICE: &str = r#"{"kty":"EC","crv":"P-256","kid":"alice","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps","d":"0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"}"#;
pub(super) const BOB: &str = r#"{"kty":"EC","crv":"P-256","kid":"bob","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#;

pub(super) fn key(text: &str) -> PrivateJwk {
    PrivateJwk::from_json(text.as_bytes()).unwrap()
}

/// RFC 7518, appendix C: both sides derive the same key.
#[test]
fn rfc_7518_appendix_c() {
    let (alice, bob) = (key(ALICE), key(BOB));
    let by_alice = agree(&alice, bob.public(), "A128GCM", b"Alice", b"Bob", 128).unwrap();
    let by_bob = agree(&bob, alice.public(), "A128GCM", b"Alice", b"Bob", 128).unwrap();
    assert_eq!(Base64UrlUnpadded::encode_string(by_alice.expose()), "VqqN6vgjbSBcIijNcacQGg");
    assert_eq!(by_alice, by_bob);
}

pub(super) fn parts(sealed: &str) -> Vec<String> {
    sealed.split('.').map(str::to_owned).collect()
}

fn header_of(sealed: &str) -> Value {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(&parts(sealed)[0]).unwrap()).unwrap()
}

/// Seals with any header text: the attacker's pen. The key agreement is the honest one.
pub(super) fn seal_with(header: &str, plaintext: &[u8], apu: &[u8], apv: &[u8]) -> String {
    let (alice, bob) = (key(ALICE), key(BOB));
    let cek = agree(&alice, bob.public(), "A256GCM", apu, apv, 256).unwrap();
    let cipher = Aes256Gcm::new_from_slice(cek.expose()).unwrap();
    let aad = Base64UrlUnpadded::encode_string(header.as_bytes());
    let mut data = plaintext.to_vec();
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from([7; IV]), aad.as_bytes(), InOutBuf::from(&mut *data))
        .unwrap();
    let b64 = |b: &[u8]| Base64UrlUnpadded::encode_string(b);
    format!("{aad}..{}.{}.{}", b64(&[7; IV]), b64(&data), b64(&tag))
}

pub(super) const EPK: &str = r#"{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}"#;

pub(super) fn honest_header(more: &str) -> String {
    format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","kid":"bob","epk":{EPK}{more}}}"#)
}

pub(super) fn assert_refused(sealed: &str, what: &str) {
    let error = open(&key(BOB), sealed).expect_err(what);
    assert_eq!(error, refused(), "{what}");
}

#[test]
fn an_honest_envelope_opens() {
    let (header, text) = open(&key(BOB), &seal_with(&honest_header(""), b"text", b"", b"")).unwrap();
    assert_eq!((header.len(), text.expose()), (0, &b"text"[..]));
    let with_parties = honest_header(r#","apu":"QWxpY2U","apv":"Qm9i","cards":12"#);
    let (header, text) = open(&key(BOB), &seal_with(&with_parties, b"text", b"Alice", b"Bob")).unwrap();
    assert_eq!((header["cards"].as_u64(), text.expose()), (Some(12), &b"text"[..]));
    assert_refused(&seal_with(&with_parties, b"text", b"Alice", b"Bod"), "another apv");
}

/// Sealed by Python's jwcrypto 1.6.1, which shares no code with us.
#[test]
fn an_envelope_of_jwcrypto_opens() {
    let sealed = concat!(
        "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImU1aUZXQzJiZ2wtZkhW",
        "M2hwUXBVUkJDS3Y3U1dZS3k0VG9vaEpBam1FREUiLCJ5IjoibGFRTjh6UTNIZHVDVmxUS1lSNS1velFiN3V6VEMteXpmX1JERlY1enNmSSJ9LCJr",
        "aWQiOiJib2IifQ..x2Inzy3JcuqMRtlT.qgx0iRQxmnbNCZA.dktLcD9NmnLaLtQMx3hKVw",
    );
    assert_eq!(open(&key(BOB), sealed).unwrap().1.expose(), br#"{"pan":"0"}"#);
    assert_eq!(key(BOB).public().thumbprint(), "Vy57XrArUrW0NbpI12tEzDHABxMwrTh6HHXRenSpnCo");
}

#[test]
fn headers_that_are_refused() {
    let swap = |from: &str, to: &str| {
        let header = honest_header("").replace(from, to);
        assert_ne!(header, honest_header(""));
        header
    };
    let cases = [
        swap("ECDH-ES", "ECDH-ES+A256KW"),
        swap("ECDH-ES", "dir"),
        swap("A256GCM", "A128GCM"),
        swap("A256GCM", "A256CBC-HS512"),
        swap("\"bob\"", "\"alice\""),
        swap("\"kid\":\"bob\",", ""),
        swap("\"bob\"", "7"),
        swap(",\"epk\"", ",\"epq\""),
        swap("P-256", "P-384"),
        swap("\"kty\":\"EC\"", "\"kty\":\"OKP\""),
        // Not on the curve: x with another last bit, y of another point, x and y exchanged.
        swap("W5SV0", "W5SV4"),
        swap("MFpps", "MFppk"),
        swap("\"x\"", "\"z\"").replace("\"y\"", "\"x\"").replace("\"z\"", "\"y\""),
        swap("\"kty\":\"EC\"", "\"kty\":\"EC\",\"d\":\"AA\""),
        honest_header(r#","zip":"DEF""#),
        honest_header(r#","crit":["cards"],"cards":1"#),
        honest_header(r#","jwk":{}"#),
        honest_header(r#","alg":"ECDH-ES""#),
        honest_header(r#","cards":1,"cards":1"#),
        honest_header(r#","apu":7"#),
        honest_header(r#","apu":"+""#),
        honest_header(&format!(",\"more\":\"{}\"", "x".repeat(4096))),
        "[]".to_owned(),
        String::new(),
    ];
    for header in cases {
        assert_refused(&seal_with(&header, b"text", b"", b""), &header);
    }
    let zeros = Base64UrlUnpadded::encode_string(&[0; 32]);
    let infinity = honest_header("").replace("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", &zeros);
    assert_refused(
        &seal_with(&infinity.replace("SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps", &zeros), b"", b"", b""),
        "the point 0, 0",
    );
}

#[test]
fn every_changed_character_is_refused() {
    let bob = key(BOB);
    let sealed = seal(bob.public(), &Map::new(), b"one short card", &mut rng()).unwrap();
    for at in 0..sealed.len() {
        for change in [b'A', b'_', b'.', b'=', b'5', b' '] {
            let mut bytes = sealed.clone().into_bytes();
            if bytes[at] != change {
                bytes[at] = change;
                assert_refused(std::str::from_utf8(&bytes).unwrap(), "one character changed");
            }
        }
        assert_refused(&sealed[..at], "cut");
    }
    assert_refused(&format!("{sealed}."), "a sixth segment");
    let [header, _, iv, text, tag] = <[String; 5]>::try_from(parts(&sealed)).unwrap();
    assert_refused(&format!("{header}.AAAA.{iv}.{text}.{tag}"), "an encrypted key");
    assert_refused(&format!("{header}..{iv}.{text}.{}", &tag[..16]), "a tag of twelve bytes");
    assert_refused(&format!("{header}..{}.{text}.{tag}", &iv[..8]), "an IV of six bytes");
    assert_refused(&format!("{header}..{iv}.{text}.{tag}="), "padding");
}

#[test]
fn another_key_of_the_same_name_opens_nothing() {
    let bob = key(BOB);
    let other = PrivateJwk::generate(&mut rng()).with_kid("bob").unwrap();
    let sealed = seal(bob.public(), &Map::new(), b"text", &mut rng()).unwrap();
    assert_eq!(open(&other, &sealed).unwrap_err(), refused());
    assert_eq!(open(&key(ALICE), &sealed).unwrap_err(), refused());
    assert_eq!(recipient(&sealed).unwrap(), "bob");
    assert_eq!(recipient("a.b.c").unwrap_err(), refused());
}

/// Equal streams give equal bytes, and the header is what was asked for.
#[test]
fn the_envelope_follows_from_its_stream() {
    let bob = key(BOB);
    let mut members = Map::new();
    members.insert("file".to_owned(), "cards-000000.jwe".into());
    let first = seal(bob.public(), &members, b"text", &mut rng()).unwrap();
    assert_eq!(first, seal(bob.public(), &members, b"text", &mut rng()).unwrap());
    let mut stream = rng();
    let one = seal(bob.public(), &members, b"text", &mut stream).unwrap();
    let two = seal(bob.public(), &members, b"text", &mut stream).unwrap();
    assert_ne!(header_of(&one)["epk"], header_of(&two)["epk"]);
    assert_ne!(parts(&one)[2], parts(&two)[2]);
    let header = header_of(&first);
    assert_eq!(
        (&header["alg"], &header["enc"], &header["kid"]),
        (&json!("ECDH-ES"), &json!("A256GCM"), &json!("bob"))
    );
    assert_eq!(header["file"], "cards-000000.jwe");
    for name in RESERVED {
        let mut bad = Map::new();
        bad.insert(name.to_owned(), Value::Null);
        assert!(seal(bob.public(), &bad, b"", &mut rng()).is_err());
    }
    members.insert("long".to_owned(), "x".repeat(4096).into());
    assert!(seal(bob.public(), &members, b"", &mut rng()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn open_undoes_seal(plaintext in prop::collection::vec(any::<u8>(), 0..300), file in "[ -~]{0,40}", line: u64) {
        let bob = key(BOB);
        let mut members = Map::new();
        members.insert("file".to_owned(), file.into());
        members.insert("line".to_owned(), line.into());
        let sealed = seal(bob.public(), &members, &plaintext, &mut rng()).unwrap();
        let (header, out) = open(&bob, &sealed).unwrap();
        prop_assert_eq!(header, members);
        prop_assert_eq!(out.expose(), &plaintext[..]);
    }

    #[test]
    fn any_text_is_refused(text in "[A-Za-z0-9_.{}\":-]{0,200}", other in ".{0,100}") {
        prop_assert!(open(&key(BOB), &text).is_err());
        prop_assert!(open(&key(BOB), &other).is_err());
        prop_assert!(recipient(&text).is_err());
    }
}
