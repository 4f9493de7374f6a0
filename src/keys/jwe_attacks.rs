//! Our own twins of the known attacks on ECDH-ES and GCM envelopes. Each is built with the honest key agreement where
//! there is one, so that it is the check under test that refuses, and not the tag. All are refused with the same error.

use super::tests::{ALICE, BOB, EPK, assert_refused, honest_header, key, parts, rng, seal_with};
use super::*;

/// The prime of P-256 (SP 800-186, 3.2.1.3), big-endian.
const P: [u8; 32] = {
    let mut p = [0xFF; 32];
    let mut at = 4;
    while at < 8 {
        p[at] = 0;
        at += 1;
    }
    p[7] = 1;
    while at < 20 {
        p[at] = 0;
        at += 1;
    }
    p
};

/// y of the point with x = 0: a square root of b.
const Y_OF_ZERO: &str = "66485C780E2F83D72433BD5D84A06BB6541C2AF31DAE871728BF856A174F93F4";

fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn header_with_epk(epk: &str) -> String {
    format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","kid":"bob","epk":{epk}}}"#)
}

fn epk(x: &[u8], y: &[u8]) -> String {
    json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)}).to_string()
}

/// Sealed with any key agreement result.
fn seal_under(header: &str, z: &[u8], plaintext: &[u8]) -> String {
    let cipher = content_cipher(z, &[], &[]).unwrap();
    let aad = b64(header.as_bytes());
    let mut data = plaintext.to_vec();
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from([7; IV]), aad.as_bytes(), InOutBuf::from(&mut *data))
        .unwrap();
    format!("{aad}..{}.{}.{}", b64(&[7; IV]), b64(&data), b64(&tag))
}

/// A coordinate of zero is no reason to refuse: the point (0, sqrt b) is on the curve. The same point with x + p is.
#[test]
fn coordinates_are_below_the_prime() {
    let y: [u8; 32] = crate::bytes::array_from_hex(Y_OF_ZERO).unwrap();
    let point = |x: &[u8], y: &[u8]| {
        let members = serde_json::from_str(&epk(x, y)).unwrap();
        point(&members)
    };
    let bob = key(BOB);
    let shared = bob.secret.diffie_hellman(&point(&[0; 32], &y).unwrap());
    let z = shared.raw_secret_bytes();
    let sealed = seal_under(&header_with_epk(&epk(&[0; 32], &y)), z, b"text");
    assert_eq!(open(&bob, &sealed).unwrap().1.expose(), b"text");
    assert_refused(&seal_under(&header_with_epk(&epk(&P, &y)), z, b"text"), "x + p");
    assert_refused(&seal_under(&header_with_epk(&epk(&[0xFF; 32], &y)), z, b"text"), "x of all ones");
    // y + p does not fit in 32 bytes for this y; a y of p itself stands for 0, which no point of the curve has.
    assert_refused(&seal_under(&header_with_epk(&epk(&[0; 32], &P)), z, b"text"), "y of p");
}

/// Antipa, Brown, Menezes, Struik, Vanstone 2003: a point of a small subgroup of another curve leaks the private key
/// modulo its order. Such points have y = 0 (order 2), or lie on y² = x³ - 3x + b' for another b'.
#[test]
fn points_of_other_curves_are_refused() {
    let alice = key(ALICE);
    let [x, y] = ["x", "y"].map(|name| {
        let members: Map<String, Value> = serde_json::from_str(&alice.public().to_json()).unwrap();
        Base64UrlUnpadded::decode_vec(members[name].as_str().unwrap()).unwrap()
    });
    let zero = [0; 32];
    let one = {
        let mut one = zero;
        one[31] = 1;
        one
    };
    for (x, y, what) in [
        (&x[..], &zero[..], "order two on a twisted b"),
        (&zero, &zero, "0, 0"),
        (&one, &one, "1, 1"),
        (&y, &x, "exchanged"),
        (&zero, &one, "0, 1"),
    ] {
        // The attacker knows the small set of possible results, and tries each: x of the point, and zeros.
        for z in [x, &zero, y] {
            assert_refused(&seal_under(&header_with_epk(&epk(x, y)), z, b"text"), what);
        }
    }
    // Every single bit of a good point.
    for bit in 0..512 {
        let (mut x, mut y) = (x.clone(), y.clone());
        let part = if bit < 256 { &mut x } else { &mut y };
        part[bit % 256 / 8] ^= 1 << (bit % 8);
        assert_refused(&seal_with(&header_with_epk(&epk(&x, &y)), b"text", b"", b""), "one bit of the point");
    }
    // The negative of the point is a good point, and gives the same z: the header is authenticated, so it is a change.
    let honest = seal_with(&honest_header(""), b"text", b"", b"");
    let negative: Vec<u8> = p256::elliptic_curve::bigint::U256::from_be_slice(&P)
        .wrapping_sub(&p256::elliptic_curve::bigint::U256::from_be_slice(&y))
        .to_be_bytes()
        .to_vec();
    let header = b64(header_with_epk(&epk(&x, &negative)).as_bytes());
    let rest = honest.split_once('.').unwrap().1;
    assert_refused(&format!("{header}.{rest}"), "the negative point under an honest tag");
}

#[test]
fn forms_of_a_point_that_are_refused() {
    let (x, y) =
        ("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps");
    let bytes = Base64UrlUnpadded::decode_vec(x).unwrap();
    let compressed = b64(&[&[0x03][..], &bytes].concat());
    let long = b64(&[&[0x00][..], &bytes].concat());
    for bad in [
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{compressed}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{compressed}","y":""}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{compressed}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{long}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{y}"}}"#, b64(&bytes[1..])),
        r#"{"kty":"EC","crv":"P-256","x":"","y":""}"#.to_owned(),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}=","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":" {x}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{y}"}}"#, x.replace('-', "+"))
            .replace("SV0", "SV1"),
        format!(r#"{{"kty":"EC","crv":"P-256","x":["{x}"],"y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","x":"{x}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256K","x":"{x}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{x}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-521","x":"{x}","y":"{y}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#),
        format!(r#"{{"kty":"EC","x":"{x}","y":"{y}"}}"#),
        format!(r#"{{"crv":"P-256","x":"{x}","y":"{y}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","d":"{x}"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","d":null}}"#),
        "null".to_owned(),
        "[]".to_owned(),
        format!("\"{x}\""),
    ] {
        assert_refused(&seal_with(&header_with_epk(&bad), b"text", b"", b""), &bad);
    }
    // What a point does not need is passed over (RFC 7518, 4.6.1.1).
    let more = EPK.replacen('{', r#"{"kid":"epk-1","use":"enc","#, 1);
    assert!(open(&key(BOB), &seal_with(&header_with_epk(&more), b"text", b"", b"")).is_ok());
}

/// A cut tag makes forgery as easy as it is short (Ferguson 2005): only sixteen bytes are read.
#[test]
fn tags_and_ivs_of_other_lengths_are_refused() {
    let honest = seal_with(&honest_header(""), b"text", b"", b"");
    let [header, _, iv, text, tag] = <[String; 5]>::try_from(parts(&honest)).unwrap();
    let tag = Base64UrlUnpadded::decode_vec(&tag).unwrap();
    for len in 0..16 {
        assert_refused(&format!("{header}..{iv}.{text}.{}", b64(&tag[..len])), "a cut tag");
    }
    for more in 1..=16 {
        let long = [&tag[..], &vec![0; more]].concat();
        assert_refused(&format!("{header}..{iv}.{text}.{}", b64(&long)), "a longer tag");
        assert_refused(
            &format!("{header}..{iv}.{text}.{}", b64(&[&vec![0; more], &tag[..]].concat())),
            "longer",
        );
    }
    for len in (0..12).chain(13..=24) {
        let iv = vec![7; len];
        assert_refused(&format!("{header}..{}.{text}.{}", b64(&iv), b64(&tag)), "another IV length");
    }
    // A tag that moved into the ciphertext, and the other way round.
    let data = Base64UrlUnpadded::decode_vec(&text).unwrap();
    let all = [&data[..], &tag].concat();
    for at in [0, 1, 3, 5, 16, 20] {
        assert_refused(&format!("{header}..{iv}.{}.{}", b64(&all[..at]), b64(&all[at..])), "moved");
    }
    assert_refused(&format!("{header}..{iv}..{}", b64(&tag)), "no ciphertext");
}

/// Another algorithm is refused even when the attacker did everything right for it.
#[test]
fn the_header_does_not_choose_the_algorithm() {
    let (alice, bob) = (key(ALICE), key(BOB));
    let sealed = |header: &str, cek: &Secret| {
        let cipher = Aes256Gcm::new_from_slice(cek.expose()).unwrap();
        let aad = b64(header.as_bytes());
        let mut data = b"text".to_vec();
        let tag =
            cipher.encrypt_inout_detached(&Nonce::from([7; IV]), aad.as_bytes(), InOutBuf::from(&mut *data));
        format!("{aad}..{}.{}.{}", b64(&[7; IV]), b64(&data), b64(&tag.unwrap()))
    };
    let honest = |alg: &str, enc: &str| honest_header("").replace("ECDH-ES", alg).replace("A256GCM", enc);
    let cek = |id: &str| agree(&alice, bob.public(), id, b"", b"", 256).unwrap();
    assert!(open(&bob, &sealed(&honest("ECDH-ES", "A256GCM"), &cek("A256GCM"))).is_ok());
    for alg in [
        "dir",
        "none",
        "",
        "ecdh-es",
        "RSA-OAEP",
        "RSA1_5",
        "A256KW",
        "A256GCMKW",
        "PBES2-HS256+A128KW",
        "ECDH-ES+A128KW",
        "ECDH-ES+A256KW",
        "ECDH-1PU",
    ] {
        for id in ["A256GCM", alg] {
            assert_refused(&sealed(&honest(alg, "A256GCM"), &cek(id)), alg);
        }
        // A key under the public key's own bytes, or of zeros: what `dir` would take.
        for key in [vec![0; 32], bob.public().thumbprint().into_bytes()[..32].to_vec()] {
            assert_refused(&sealed(&honest(alg, "A256GCM"), &Secret::new(key)), alg);
        }
    }
    for enc in ["A128GCM", "A192GCM", "A128CBC-HS256", "A256CBC-HS512", "a256gcm", "none", "", "XC20P"] {
        for id in ["A256GCM", enc] {
            assert_refused(&sealed(&honest("ECDH-ES", enc), &cek(id)), enc);
        }
    }
    // alg and enc in each other's place; lists; null.
    assert_refused(&sealed(&honest("A256GCM", "ECDH-ES"), &cek("A256GCM")), "exchanged");
    for bad in [r#"["ECDH-ES"]"#, "null", "1", r#"{"a":"ECDH-ES"}"#] {
        let header = honest_header("").replace("\"ECDH-ES\"", bad);
        assert_refused(&sealed(&header, &cek("A256GCM")), bad);
    }
}

#[test]
fn registered_members_and_kids_that_are_refused() {
    for more in [
        r#","zip":"DEF""#,
        r#","zip":null"#,
        r#","crit":[]"#,
        r#","crit":["exp"],"exp":1"#,
        r#","jku":"file:x""#,
        r#","jwk":{"kty":"oct","k":"AA"}"#,
        r#","x5u":"x""#,
        r#","x5c":[]"#,
        r#","x5t":"x""#,
        r#","x5t#S256":"x""#,
        r#","kid":"bob""#,
        r#","kid":"alice""#,
        r#","epk":{}"#,
        r#","apu":null"#,
        r#","apu":"QQ=""#,
        r#","apu":"QR""#,
        r#","apv":" ""#,
        r#","apv":["Qm9i"]"#,
        r#","\u0061lg":"ECDH-ES""#,
    ] {
        assert_refused(&seal_with(&honest_header(more), b"text", b"", b""), more);
    }
    for kid in ["\"\"", "\"Bob\"", "\"bob \"", "\"bob\\u0000\"", "\"alice\"", "null", "[\"bob\"]", "0"] {
        let header = honest_header("").replace("\"bob\"", kid);
        assert_refused(&seal_with(&header, b"text", b"", b""), kid);
    }
    assert_refused(
        &seal_with(&honest_header("").replace("\"kid\":\"bob\",", ""), b"text", b"", b""),
        "no kid",
    );
    // apu and apv enter the key: another one, or none, is another key.
    let with = honest_header(r#","apu":"QWxpY2U","apv":"Qm9i""#);
    assert!(open(&key(BOB), &seal_with(&with, b"text", b"Alice", b"Bob")).is_ok());
    for (apu, apv) in [(&b""[..], &b""[..]), (b"Bob", b"Alice"), (b"Alice", b""), (b"AliceB", b"ob")] {
        assert_refused(&seal_with(&with, b"text", apu, apv), "another party");
    }
}

#[test]
fn sizes_and_depths_are_bounded() {
    let long = |n: usize| honest_header(&format!(",\"more\":\"{}\"", "x".repeat(n)));
    let room = MAX_HEADER - long(0).len();
    assert!(open(&key(BOB), &seal_with(&long(room), b"text", b"", b"")).is_ok(), "exactly 4 KiB");
    for n in [room + 1, 5000, 9000, 1 << 20] {
        assert_refused(&seal_with(&long(n), b"text", b"", b""), "a long header");
    }
    for depth in [130, 1000, 1900] {
        let deep = format!(",\"deep\":{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_refused(&seal_with(&honest_header(&deep), b"text", b"", b""), "a deep header");
        let deep = format!(",\"deep\":{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_refused(&seal_with(&honest_header(&deep), b"text", b"", b""), "a deep header");
    }
    // A long tail of parts, or of dots, is not looked at part by part.
    assert_refused(&".".repeat(1 << 20), "dots");
    assert_refused(&"A".repeat(1 << 20), "one long part");
}

#[test]
fn other_shapes_of_the_compact_form_are_refused() {
    let honest = seal_with(&honest_header(""), b"text", b"", b"");
    assert!(open(&key(BOB), &honest).is_ok());
    let [header, _, iv, text, tag] = <[String; 5]>::try_from(parts(&honest)).unwrap();
    let pad = |part: &str| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4));
    let json = json!({"protected": header, "iv": iv, "ciphertext": text, "tag": tag}).to_string();
    for bad in [
        format!("{header}.{iv}.{text}.{tag}"),
        format!("{header}..{iv}.{text}.{tag}."),
        format!("{header}..{iv}.{text}.{tag}.{tag}"),
        format!(".{header}..{iv}.{text}.{tag}"),
        format!("{header}.AA.{iv}.{text}.{tag}"),
        format!(" {honest}"),
        format!("{honest} "),
        format!("{honest}\n"),
        format!("\u{feff}{honest}"),
        format!("{header}. .{iv}.{text}.{tag}"),
        format!("{header}..{iv}.{text}\n.{tag}"),
        format!("{}..{iv}.{text}.{tag}", pad(&format!("{header}A"))),
        format!("{header}..{iv}.{}.{tag}", pad(&text)),
        format!("{header}..{iv}.{text}.{}", pad(&tag)),
        honest.replace('.', ","),
        honest.to_uppercase(),
        json,
    ] {
        assert_ne!(bad, honest);
        assert_refused(&bad, &bad);
    }
    // The last character of a part whose unused bits are not zero decodes to the same bytes elsewhere: not here.
    let last = tag.pop_last();
    for other in
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().filter(|c| *c != last.1)
    {
        assert_refused(&format!("{header}..{iv}.{text}.{}{other}", last.0), "not canonical");
    }
}

trait PopLast {
    fn pop_last(&self) -> (String, char);
}

impl PopLast for String {
    fn pop_last(&self) -> (String, char) {
        let mut head = self.clone();
        let last = head.pop().unwrap();
        (head, last)
    }
}

/// Header bytes are authenticated: other JSON for the same members is another header.
#[test]
fn a_header_written_differently_is_a_change() {
    let honest = seal_with(&honest_header(r#","cards":12"#), b"text", b"", b"");
    let rest = honest.split_once('.').unwrap().1;
    let same = |text: &str| assert_refused(&format!("{}.{rest}", b64(text.as_bytes())), text);
    let header = honest_header(r#","cards":12"#);
    assert_eq!(format!("{}.{rest}", b64(header.as_bytes())), honest);
    same(&header.replacen('{', "{ ", 1));
    same(&format!("{header} "));
    same(&header.replace("\"alg\"", "\"\\u0061lg\""));
    same(&header.replace("\"cards\":12", "\"cards\":13"));
    same(&header.replace(",\"cards\":12", ""));
    for at in 0..header.len() {
        let mut bytes = header.clone().into_bytes();
        bytes[at] ^= 1;
        assert_refused(&format!("{}.{rest}", b64(&bytes)), "one bit of the header");
    }
}

/// A sender may use an ephemeral key again (its fault, and no harm to the recipient); a stranger's does not open; and
/// this program never does.
#[test]
fn reused_and_foreign_ephemeral_keys() {
    let bob = key(BOB);
    let one = seal_with(&honest_header(""), b"one", b"", b"");
    let two = seal_with(&honest_header(""), b"two", b"", b"");
    assert_eq!(open(&bob, &one).unwrap().1.expose(), b"one");
    assert_eq!(open(&bob, &two).unwrap().1.expose(), b"two");
    // The epk of another message: the key agreement gives another key.
    let other = seal(bob.public(), &Map::new(), b"three", &mut rng()).unwrap();
    let foreign: Value =
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(&parts(&other)[0]).unwrap()).unwrap();
    assert_refused(
        &seal_with(&header_with_epk(&foreign["epk"].to_string()), b"text", b"", b""),
        "a foreign epk",
    );
    // The recipient's own public key as epk, sealed by someone who has not the private one.
    let own: Map<String, Value> = point_members(&bob.public().point);
    assert_refused(
        &seal_with(&header_with_epk(&Value::Object(own).to_string()), b"text", b"", b""),
        "own epk",
    );
    let mut stream = rng();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let sealed = seal(bob.public(), &Map::new(), b"same", &mut stream).unwrap();
        let [header, _, iv, ..] = <[String; 5]>::try_from(parts(&sealed)).unwrap();
        assert!(seen.insert(header) & seen.insert(iv));
    }
}

/// An empty plaintext is a plaintext: that it is no JSON is the next reader's to say.
#[test]
fn an_empty_plaintext_opens() {
    assert!(open(&key(BOB), &seal_with(&honest_header(""), b"", b"", b"")).unwrap().1.is_empty());
}
