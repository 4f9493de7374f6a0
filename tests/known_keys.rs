//! The table of keys that everybody can have: what is in it, and that it is all there.
//!
//! `EMV_DATAPREP_KNOWN=write cargo test --test known_keys` writes `src/keys/published.txt` anew, after the demo has got another key.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod cli_support;

use std::collections::BTreeMap;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use emv_dataprep::bytes::{from_hex, hex_upper};
use emv_dataprep::crypto::ed25519::{Ed25519Private, Ed25519Public};
use emv_dataprep::crypto::hash::sha256;
use emv_dataprep::crypto::rsa::RsaPublic;
use emv_dataprep::keys::{
    PrivateJwk, PublicJwk, is_known_test_jwk, is_known_test_key, is_known_test_rsa, is_known_test_signer,
    tr31,
};
use emv_dataprep::profile::Issuer;
use emv_dataprep::secret::Secret;

use cli_support::demo;

const TABLE: &str = "src/keys/published.txt";

/// Moduli whose private keys are published, or that belong to a scheme's test CA.
const MODULI: [(&str, &str); 5] = [
    (
        "Visa test CA 92 (openemv/emv-utils, src/emv_capk_static_data.h)",
        "996AF56F569187D09293C14810450ED8EE3357397B18A2458EFAA92DA3B6DF6514EC060195318FD43BE9B8F0CC669E3F\
         844057CBDDF8BDA191BB64473BC8DC9A730DB8F6B4EDE3924186FFD9B8C7735789C23A36BA0B8AF65372EB57EA5D89E7\
         D14E9C7B6B557460F10885DA16AC923F15AF3758F0F03EBD3C5C2C949CBA306DB44E6A2C076C5F67E281D7EF56785DC4\
         D75945E491F01918800A9E2DC66F60080566CE0DAF8D17EAD46AD8E30A247C9F",
    ),
    (
        "Visa test CA 94 (openemv/emv-utils, src/emv_capk_static_data.h)",
        "ACD2B12302EE644F3F835ABD1FC7A6F62CCE48FFEC622AA8EF062BEF6FB8BA8BC68BBF6AB5870EED579BC3973E121303\
         D34841A796D6DCBC41DBF9E52C4609795C0CCF7EE86FA1D5CB041071ED2C51D2202F63F1156C58A92D38BC60BDF424E1\
         776E2BC9648078A03B36FB554375FC53D57C73F5160EA59F3AFC5398EC7B67758D65C9BFF7828B6B82D4BE124A416AB7\
         301914311EA462C19F771F31B3B57336000DFF732D3B83DE07052D730354D297BEC72871DCCF0E193F171ABA27EE464C\
         6A97690943D59BDABB2A27EB71CEEBDAFA1176046478FD62FEC452D5CA393296530AA3F41927ADFE434A2DF2AE3054F8\
         840657A26E0FC617",
    ),
    (
        "Mastercard test CA F1 (lumag/emv-tools, data/mastercard-test.keys)",
        "A0DCF4BDE19C3546B4B6F0414D174DDE294AABBB828C5A834D73AAE27C99B0B053A90278007239B6459FF0BBCD7B4B9C\
         6C50AC02CE91368DA1BD21AAEADBC65347337D89B68F5C99A09D05BE02DD1F8C5BA20E2F13FB2A27C41D3F85CAD5CF66\
         68E75851EC66EDBF98851FD4E42C44C1D59F5984703B27D5B9F21B8FA0D93279FBBF69E090642909C9EA27F898959541\
         AA6757F5F624104F6E1D3A9532F2A6E51515AEAD1B43B3D7835088A2FAFA7BE7",
    ),
    (
        "test CA of javaemvreader (testkeys/TEST_CA_A123456789_RSA_KeyPair.txt)",
        "A7AA2190D8FD7C23F89C76D13538EDA4F508ED4AC51A23462244425D08DE5D2E3CE49F5F4536796B19667E0080A6AEE6\
         721F6F38FBA9A53884C48674CB11C0C93E3A8811382272A44A09B8867B9DAD4CF5CC7E39D5D8CF5185582D65BEBCC3E5\
         54FCDEBBD55105B1BAFF05FD5A9A883A0E67D8EE15CC922A8DE0B613E244568AFE1F4FFD311516DD87E34EB5534D7C3D",
    ),
    (
        "test issuer of cfpp (c/test/test_emv.c)",
        "C117ADED75677D4D745412841745F6CA48E5C37211FB4C7CA8495747ED183E8A9F39956FE354FF657DE2D464019BA31B\
         2D6F8583D9832AA8028D8A75FF8D634E92CA6D1A296205585F11271340A537E93EB0ECD5B34109FF8BFA1F8C1E0692E4\
         89B9309BCF8E1817D97D8D074F88D515C8C1AE81340596DB58A901D49E23ECAEA732979BCDF3EF5DCF25BF867FFC08F1\
         C1AAF883D46004B4676E534FC8DE002E20B603804F2D7341B2D0C8E176C214E446A1E3766E6E861B81A93AC29830CA61",
    ),
];

/// RFC 7515, appendix A.2.
const RFC7515_RSA: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

/// Points on P-256 whose private keys are published.
const POINTS: [(&str, &str, &str); 4] = [
    (
        "RFC 7518, appendix C: Alice",
        "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
        "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
    ),
    (
        "RFC 7518, appendix C: Bob",
        "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
        "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
    ),
    (
        "RFC 7517, appendix A.2",
        "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    ),
    (
        "RFC 7515, appendix A.3",
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ),
];

/// Seeds of Ed25519 keys: RFC 8032, 7.1, tests 1, 2, 3.
const SEEDS: [(&str, &str); 3] = [
    ("RFC 8032, test 1", "9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60"),
    ("RFC 8032, test 2", "4CCD089B28FF96DA9DB6C346EC114E0F5B8A319F35ABA624DA8CF6ED4FB8A6FB"),
    ("RFC 8032, test 3", "C5AA8DF43F9F837BEDB7442F31DCB7B166D38535076F094B85CE3A2E0B4458F7"),
];

/// A key by its kind, as the table's digest is over it.
struct Known {
    what: String,
    kind: &'static str,
    bytes: Vec<u8>,
    is_known: bool,
}

impl Known {
    fn secret(what: String, key: &Secret) -> Self {
        let bytes = key.expose().iter().map(|b| b & 0xFE).collect();
        Self { what, kind: "symmetric", bytes, is_known: is_known_test_key(key) }
    }

    fn rsa(what: String, key: &RsaPublic) -> Self {
        Self { what, kind: "rsa", bytes: key.modulus().to_vec(), is_known: is_known_test_rsa(key) }
    }

    fn point(what: String, key: &PublicJwk) -> Self {
        Self { what, kind: "p-256", bytes: key.thumbprint().into_bytes(), is_known: is_known_test_jwk(key) }
    }

    fn signer(what: String, key: &Ed25519Public) -> Self {
        Self { what, kind: "ed25519", bytes: key.to_bytes().to_vec(), is_known: is_known_test_signer(key) }
    }

    fn line(&self) -> String {
        let text = [b"emv-dataprep/known-key/1 ", self.kind.as_bytes(), &[0], &self.bytes].concat();
        format!("{} {} {}\n", hex_upper(&sha256(&[&text])[..16]), self.kind, self.what)
    }
}

fn published() -> Vec<Known> {
    let mut out = Vec::new();
    let standard = Base64UrlUnpadded::decode_vec(RFC7515_RSA).unwrap();
    let moduli = MODULI.map(|(what, hex)| (what, from_hex(hex).unwrap()));
    for (what, modulus) in moduli.into_iter().chain([("RFC 7515, appendix A.2", standard)]) {
        out.push(Known::rsa(what.to_owned(), &RsaPublic::new(&modulus, &[3]).unwrap()));
    }
    for (what, x, y) in POINTS {
        let text = format!(r#"{{"kty":"EC","crv":"P-256","kid":"k","x":"{x}","y":"{y}"}}"#);
        out.push(Known::point(what.to_owned(), &PublicJwk::from_json(text.as_bytes()).unwrap()));
    }
    for (what, seed) in SEEDS {
        let key = Ed25519Private::from_seed(&Secret::new(from_hex(seed).unwrap())).unwrap();
        out.push(Known::signer(what.to_owned(), &key.public()));
    }
    out
}

fn hex_file(path: &Path) -> Secret {
    Secret::new(from_hex(std::fs::read_to_string(path).unwrap().trim()).unwrap())
}

/// Every key that the demo writes.
fn of_the_demo() -> Vec<Known> {
    let demo = demo();
    let kbpk = hex_file(&demo.path("secrets/kbpk.hex"));
    let files = cli_support::all_files(&demo.path("issuer"));
    let files: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|(path, bytes)| (path.to_str().unwrap().to_owned(), bytes)).collect();
    let issuer = Issuer::load(&files).unwrap();
    let mut out = vec![Known::secret("demo: key-block protection key".to_owned(), &kbpk)];
    for entry in issuer.key_entries() {
        let (_, key) = tr31::unwrap(&kbpk, &entry.block).unwrap();
        out.push(Known::secret(format!("demo: {}", entry.key), &key));
    }
    for oda in issuer.oda_keys() {
        let certificate = &oda.certificates[0];
        out.push(Known::rsa(format!("demo: oda {}", oda.index), &certificate.key));
        out.push(Known::rsa(format!("demo: CA of oda {}", oda.index), certificate.ca.key()));
    }
    for (name, bytes) in cli_support::all_files(&demo.path("secrets")) {
        let name = name.to_str().unwrap();
        if let Some(stem) = name.strip_suffix(".jwk") {
            let key = PrivateJwk::from_json(&bytes).unwrap();
            out.push(Known::point(format!("demo: {stem}"), key.public()));
        }
    }
    out.push(Known::signer("demo: signing key".to_owned(), issuer.signing_public_key().unwrap()));
    out
}

#[test]
fn every_published_key_is_known() {
    let mut all = published();
    let demo = of_the_demo();
    assert!(demo.len() > 35, "{}", demo.len());
    all.extend(demo);
    let lines: String = all.iter().map(Known::line).collect();
    if std::env::var_os("EMV_DATAPREP_KNOWN").is_some_and(|v| v == "write") {
        std::fs::write(TABLE, &lines).unwrap();
        return;
    }
    let unknown: Vec<&str> = all.iter().filter(|k| !k.is_known).map(|k| k.what.as_str()).collect();
    assert!(
        unknown.is_empty(),
        "not in {TABLE} (EMV_DATAPREP_KNOWN=write cargo test --test known_keys): {unknown:?}"
    );
    assert_eq!(std::fs::read_to_string(TABLE).unwrap(), lines, "{TABLE} has other lines");
}

/// Another seed's demo has no key that everybody knows.
#[test]
fn other_keys_are_not_known() {
    for byte in [1, 2, 3] {
        let seed = emv_dataprep::crypto::rng::Seed::fixed([byte; 32]);
        let mut rng = seed.named_stream(b"k", emv_dataprep::crypto::rng::Purpose::TestIssuer).rng();
        assert!(!is_known_test_key(&Secret::copy_of(&rng.bytes::<16>())));
        assert!(!is_known_test_jwk(PrivateJwk::generate(&mut rng).public()));
        let signer = Ed25519Private::from_seed(&Secret::copy_of(&rng.bytes::<32>())).unwrap();
        assert!(!is_known_test_signer(&signer.public()));
    }
}
