use proptest::prelude::*;

use super::*;

const TYP: &str = "test";

fn key(byte: u8) -> Ed25519Private {
    Ed25519Private::from_seed(&Secret::copy_of(&[byte; 32])).unwrap()
}

fn public(key: &Ed25519Private) -> SigningPublicJwk {
    SigningPublicJwk::new(key.public())
}

fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Signed with any header text: the attacker's pen. The signature is honest.
fn signed_with(header: &str, payload: &[u8]) -> String {
    let input = format!("{}.{}", b64(header.as_bytes()), b64(payload));
    let signature = key(1).sign_plain(input.as_bytes());
    format!("{input}.{}", b64(&signature))
}

fn header(more: &str) -> String {
    format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"test"{more}}}"#, public(&key(1)).kid())
}

fn verified(compact: &str) -> Result<(Map<String, Value>, Secret)> {
    Signed::read(compact.as_bytes(), TYP)?.verify(&public(&key(1)))
}

/// RFC 8037, appendix A.4: the signature over a published signing input.
#[test]
fn rfc_8037_appendix_a() {
    let seed = Base64UrlUnpadded::decode_vec("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let key = Ed25519Private::from_seed(&Secret::new(seed)).unwrap();
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(b64(&key.sign_plain(input.as_bytes())), signature);
    // That example has no kid and no typ: this program signs and reads none such.
    assert!(Signed::read(format!("{input}.{signature}").as_bytes(), TYP).is_err());
}

#[test]
fn what_is_signed_is_verified() {
    let mut members = Map::new();
    members.insert("file".to_owned(), json!("a"));
    let text = sign(&key(1), TYP, &members, b"payload").unwrap();
    assert_eq!(text, sign(&key(1), TYP, &members, b"payload").unwrap(), "the same bytes again");
    let read = Signed::read(text.expose(), TYP).unwrap();
    assert_eq!(read.kid(), public(&key(1)).kid());
    assert_eq!(format!("{read:?}"), format!("Signed(by {:?}, 7 bytes)", read.kid()));
    let (header, payload) = read.verify(&public(&key(1))).unwrap();
    assert_eq!((header, payload.expose()), (members.clone(), &b"payload"[..]));
    assert_eq!(Signed::read(text.expose(), TYP).unwrap().unverified().0, members);
    assert!(Signed::read(text.expose(), TYP).unwrap().verify(&public(&key(2))).is_err());
    assert!(Signed::read(text.expose(), "other").is_err());
    for name in REGISTERED {
        let mut bad = Map::new();
        bad.insert(name.to_owned(), Value::Null);
        assert!(sign(&key(1), TYP, &bad, b"").is_err(), "{name}");
    }
    members.insert("long".to_owned(), json!("x".repeat(4096)));
    assert!(sign(&key(1), TYP, &members, b"").is_err());
}

#[test]
fn headers_that_are_refused() {
    assert!(verified(&signed_with(&header(""), b"x")).is_ok());
    assert!(verified(&signed_with(&header(r#","cards":1"#), b"x")).is_ok());
    let swap = |from: &str, to: &str| {
        let changed = header("").replace(from, to);
        assert_ne!(changed, header(""));
        changed
    };
    let own_key = header(&format!(",\"jwk\":{}", public(&key(1)).to_json()));
    for bad in [
        swap("EdDSA", "none"),
        swap("EdDSA", "HS256"),
        swap("EdDSA", "ES256"),
        swap("EdDSA", "eddsa"),
        swap("\"alg\":\"EdDSA\",", ""),
        swap("\"alg\":\"EdDSA\"", "\"alg\":null"),
        swap("\"typ\":\"test\"", "\"typ\":\"JWT\""),
        swap(",\"typ\":\"test\"", ""),
        swap("\"kid\":\"", "\"kid\":\"x"),
        swap("\"kid\"", "\"kiD\""),
        header(r#","alg":"EdDSA""#),
        header(r#","crit":["b64"],"b64":false"#),
        header(r#","b64":false"#),
        header(r#","b64":true"#),
        header(r#","crit":[]"#),
        header(r#","cty":"JWS""#),
        header(r#","jku":"file:key""#),
        header(r#","x5c":[]"#),
        header(r#","cards":1,"cards":1"#),
        header(&format!(",\"more\":\"{}\"", "x".repeat(4096))),
        header(&format!(",\"deep\":{}{}", "[".repeat(1000), "]".repeat(1000))),
        own_key,
        "[]".to_owned(),
        String::new(),
    ] {
        assert!(verified(&signed_with(&bad, b"x")).is_err(), "{bad}");
    }
}

/// The public key as the secret of an HMAC: the classic of libraries that let the header choose the algorithm.
#[test]
fn a_mac_under_the_public_key_is_no_signature() {
    let head = header("").replace("EdDSA", "HS256");
    let input = format!("{}.{}", b64(head.as_bytes()), b64(b"x"));
    for secret in [key(1).public().to_bytes().to_vec(), public(&key(1)).to_json().into_bytes()] {
        let mac = crate::crypto::hash::hmac_sha256(&Secret::new(secret), &[input.as_bytes()]);
        for mac in [mac.to_vec(), [mac, mac].concat()] {
            assert!(verified(&format!("{input}.{}", b64(&mac))).is_err());
        }
    }
    // As alg EdDSA with such bytes in the place of the signature.
    let input = format!("{}.{}", b64(header("").as_bytes()), b64(b"x"));
    assert!(verified(&format!("{input}.{}", b64(&[0; 64]))).is_err());
    assert!(verified(&format!("{input}.")).is_err());
}

#[test]
fn every_changed_character_is_refused() {
    let text = signed_with(&header(""), b"one short card");
    for at in 0..text.len() {
        for change in [b'A', b'_', b'.', b'=', b'5', b' '] {
            let mut bytes = text.clone().into_bytes();
            if bytes[at] != change {
                bytes[at] = change;
                assert!(verified(std::str::from_utf8(&bytes).unwrap()).is_err(), "character {at}");
            }
        }
        assert!(verified(&text[..at]).is_err(), "cut at {at}");
    }
    for bad in
        [format!("{text}."), format!(".{text}"), format!("{text}="), format!("{text}\n"), format!(" {text}")]
    {
        assert!(verified(&bad).is_err());
    }
    // A detached payload, and the JSON form.
    let parts: Vec<&str> = text.split('.').collect();
    assert!(verified(&format!("{}..{}", parts[0], parts[2])).is_err());
    let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    assert!(verified(&json).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn verify_undoes_sign(payload in prop::collection::vec(any::<u8>(), 0..300), file in "[ -~]{0,40}", line: u64) {
        let mut members = Map::new();
        members.insert("file".to_owned(), file.into());
        members.insert("line".to_owned(), line.into());
        let text = sign(&key(1), TYP, &members, &payload).unwrap();
        let (header, out) = Signed::read(text.expose(), TYP).unwrap().verify(&public(&key(1))).unwrap();
        prop_assert_eq!(header, members);
        prop_assert_eq!(out.expose(), &payload[..]);
    }

    #[test]
    fn any_text_is_refused(text in "[A-Za-z0-9_.{}\":-]{0,200}", other in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(Signed::read(text.as_bytes(), TYP).is_err());
        prop_assert!(Signed::read(&other, TYP).is_err());
    }
}
