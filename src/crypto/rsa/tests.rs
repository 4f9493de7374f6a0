use proptest::prelude::*;

use super::*;
use crate::crypto::rng::{Purpose, Seed};

/// Cases of a property test: `default`, or what `EMV_DATAPREP_CASES` says (`scripts/long/rsa-kernels`).
pub(super) fn cases(default: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("EMV_DATAPREP_CASES").ok().and_then(|n| n.parse().ok());
    proptest::test_runner::Config::with_cases(cases.unwrap_or(default))
}

/// Two published 576-bit primes and their CRT parts: the test CA key of sasc999/javaemvreader,
/// TEST_CA_A123456789_RSA_KeyPair.txt.
const P: &str = "E67D4CBC4A35BF67D547AF9046248180E520ED4771D9CD993F9D3B073F87FA0A59C2E50B5299E57AE095DA4DF777025560952926A7F10CD5860FC11E7FA7F4904BF8E9A06708836F";
const Q: &str = "BA38BF7C2495DD0DAA728ECEECA93B46CD8E4A8F6CD063E7CFB93674B4AC598BA83E8DAEA1D9AB810AB9C13AF11A63E64673F0A0D381C5F9A8D8C28891D32F029AE102491B067513";
const DP: &str = "99A8DDD2DC23D4EFE3851FB584185655EE15F384F69133BB7FBE275A2A5AA6B1912C98B2371143A74063E6DEA4FA018E406370C46FF6088E595FD614551AA30ADD509BC044B0579F";
const DQ: &str = "7C25D4FD6DB93E091C4C5F349DC627848909870A488AED453526244DCDC83BB27029B3C9C13BC7AB5C7BD6274B66ED442EF7F5C08D012EA6709081B0613774AC6740AC30BCAEF8B7";
const QINV: &str = "20375AC9529B6198E753E753F147A8F2A913B0BBF17D00EB7E42F818EC2C878BB7B816BF3927269DAE7DA319260A75C79378E3B925BAA2448B60DBACE8DA03459FA25EC50D85FE71";

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn published() -> RsaPrivate {
    RsaPrivate::from_primes(&hex(P), &hex(Q), Exponent::THREE).unwrap()
}

#[test]
fn published_crt_parts() {
    let key = published();
    assert_eq!(key.p().expose(), hex(P));
    assert_eq!(key.q().expose(), hex(Q));
    assert_eq!(key.dp().expose(), hex(DP));
    assert_eq!(key.dq().expose(), hex(DQ));
    assert_eq!(key.qinv().expose(), hex(QINV));
    assert_eq!(key.public().len(), 144);
    assert_eq!(key.public().exponent(), [3]);
}

#[test]
fn published_public_operation() {
    // openemv/crypto, test/crypto_rsa_test.c: the block 2 under e = 65537.
    let n = hex(
        "6BEED8BC3903F65628B8F072EEA03790F53D08018BA9B6490AE8FE0525C9A290DB411D7AE164C948FEB1F268DFBD0A67",
    );
    let out = hex(
        "216152385FA02E805467DFDA935E67AF44D0B95687DEDB07AD072736435A2177755BD591A494AE8BD124D1F09B65AD71",
    );
    let mut block = vec![0; 48];
    block[47] = 2;
    assert_eq!(RsaPublic::new(&n, &[0, 1, 0, 1]).unwrap().apply(&block).unwrap(), out);
}

#[test]
fn primes_in_either_order_give_one_key() {
    let exchanged = RsaPrivate::from_primes(&hex(Q), &hex(P), Exponent::THREE).unwrap();
    assert_eq!(exchanged.qinv(), published().qinv());
    assert_eq!(exchanged.dp(), published().dp());
}

#[test]
fn primes_of_unequal_length() {
    // 2^17 - 1 and 251 are prime: a modulus of 25 bits, four bytes, parts of three.
    let key = RsaPrivate::from_primes(&[0, 251], &[0x01, 0xFF, 0xFF], Exponent::new(7).unwrap()).unwrap();
    assert_eq!(key.p().expose(), [0x01, 0xFF, 0xFF]);
    assert_eq!(key.q().expose(), [0, 0, 251]);
    let block = [0, 0, 0x12, 0x34];
    assert_eq!(key.public().apply(&key.apply(&block).unwrap()).unwrap(), block);
}

#[test]
fn refused_primes() {
    let five = Exponent::new(5).unwrap();
    for (p, q, e) in
        [(53, 53, five), (53, 62, five), (1, 53, five), (61, 53, five), (61, 53, Exponent::THREE)]
    {
        assert!(RsaPrivate::from_primes(&[p], &[q], e).is_err(), "{p} {q}");
    }
    // 9 = 3^2 beside 3: q has no inverse mod p.
    assert!(RsaPrivate::from_primes(&[9], &[3], five).is_err());
}

#[test]
fn refused_public_keys_and_blocks() {
    assert!(RsaPublic::new(&[], &[3]).is_err());
    assert!(RsaPublic::new(&[0, 0x0C, 0xA1], &[3]).is_err());
    assert!(RsaPublic::new(&[0x0C, 0xA0], &[3]).is_err());
    assert!(RsaPublic::new(&[0x0C, 0xA1], &[1]).is_err());
    assert!(RsaPublic::new(&[0x0C, 0xA1], &[2]).is_err());
    assert!(RsaPublic::new(&[0x0C, 0xA1], &[0x0C, 0xA1]).is_err());
    let key = RsaPublic::new(&[0x0C, 0xA1], &[17]).unwrap();
    assert!(key.apply(&[65]).is_err());
    assert!(key.apply(&[0x0C, 0xA1]).is_err());
    assert_eq!(key.apply(&[0, 0]).unwrap(), [0, 0]);
    assert!(Exponent::new(1).is_err() && Exponent::new(4).is_err());
}

#[test]
fn debug_names_no_secret() {
    assert_eq!(format!("{:?}", published()), "RsaPrivate(1152 bits, e = 3)");
    assert_eq!(format!("{:?}", published().public()), "RsaPublic(1152 bits, e = 03)");
}

#[test]
fn the_private_exponent_is_the_least_one() {
    // d of the published file is the inverse mod lcm.
    let d = published().d().unwrap();
    let published_start = hex("1BF1B042CED4EA05FEC4BE7833897CF0D3817CE1CB845B365B0B6064D6CFBA32");
    assert_eq!(d.expose()[..32], published_start);
}

#[test]
fn pkcs8_keeps_the_key_and_the_rsa_crate_reads_it() {
    use rsa::pkcs8::DecodePrivateKey;
    use rsa::traits::{PrivateKeyParts, PublicKeyParts};

    let key = published();
    let der = key.to_pkcs8().unwrap();
    let back = RsaPrivate::from_pkcs8(der.expose()).unwrap();
    assert_eq!(back.qinv(), key.qinv());
    assert_eq!(back.public(), key.public());

    let peer = rsa::RsaPrivateKey::from_pkcs8_der(der.expose()).unwrap();
    peer.validate().unwrap();
    assert_eq!(peer.n_bytes().as_ref(), key.public().modulus());
    assert_eq!(peer.d().to_be_bytes().as_ref(), key.d().unwrap().expose());
}

#[test]
fn encrypted_pkcs8_opens_under_its_password_only() {
    let key = published();
    let mut random = Seed::fixed([9; 32]).named_stream(b"pkcs8", Purpose::TestIssuer).rng();
    let password = Secret::copy_of(&[0x42; 32]);
    let sealed = key.to_pkcs8_encrypted(&password, &mut random).unwrap();
    let back = RsaPrivate::from_pkcs8_encrypted(&sealed, &password).unwrap();
    assert_eq!(back.p(), key.p());
    assert!(!sealed.windows(32).any(|w| w == &key.p().expose()[..32]));
    assert!(RsaPrivate::from_pkcs8_encrypted(&sealed, &Secret::copy_of(&[0x43; 32])).is_err());
    assert!(RsaPrivate::from_pkcs8_encrypted(&sealed[1..], &password).is_err());
    assert!(RsaPrivate::from_pkcs8(&sealed).is_err());
}

/// The file may say both private exponents, and no third.
#[test]
fn the_private_exponent_of_older_files_is_read() {
    let key = published();
    let (der, d) = (key.to_pkcs8().unwrap(), key.d().unwrap());
    let phi = key.d_mod_phi().unwrap();
    assert_ne!(d, phi);
    let mut bytes = der.expose().to_vec();
    let at = bytes.windows(d.len()).position(|w| w == d.expose()).unwrap();
    bytes[at..at + d.len()].copy_from_slice(phi.expose());
    assert_eq!(RsaPrivate::from_pkcs8(&bytes).unwrap().dp(), key.dp());
    bytes[at + d.len() - 1] ^= 2;
    assert!(matches!(RsaPrivate::from_pkcs8(&bytes).unwrap_err().kind(), ErrorKind::KeyRefused(_)));
}

/// A file says what its password function costs: bounded before any of it is spent.
#[test]
fn a_costly_password_function_is_refused() {
    use ::pkcs8::PrivateKeyInfoRef;
    use ::pkcs8::pkcs5::{pbes2, scrypt};
    let clear = published().to_pkcs8().unwrap();
    let seal = |params| {
        let info = PrivateKeyInfoRef::try_from(clear.expose()).unwrap();
        info.encrypt_with_params(params, b"word").unwrap().as_bytes().to_vec()
    };
    let open = |sealed: &[u8]| RsaPrivate::from_pkcs8_encrypted(sealed, &Secret::copy_of(b"word"));
    let replaced = |sealed: &[u8], old: &[u8], new: &[u8]| {
        let at = sealed.windows(old.len()).position(|w| w == old).unwrap();
        [&sealed[..at], new, &sealed[at + old.len()..]].concat()
    };
    let is_refused = |sealed: &[u8]| {
        let started = std::time::Instant::now();
        let error = open(sealed).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::KeyRefused(_)), "{error}");
        assert!(started.elapsed().as_secs() < 5);
    };

    // DER integers of one width, so that only the number changes.
    let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(65_537, &[1; 16], [2; 16]).unwrap();
    let sealed = seal(params);
    assert!(open(&sealed).is_ok());
    is_refused(&replaced(&sealed, &[2, 3, 1, 0, 1], &[2, 3, 0x7F, 0xFF, 0xFF]));

    let cost = scrypt::Params::new(10, 8, 1).unwrap();
    let params = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &[1; 16], [2; 16]).unwrap();
    let sealed = seal(params);
    assert!(open(&sealed).is_ok());
    // N, r, p = 2^10, 8, 1 become 2^10, 127, 127 and 2^14, 127, 1.
    is_refused(&replaced(&sealed, &[2, 2, 4, 0, 2, 1, 8, 2, 1, 1], &[2, 2, 4, 0, 2, 1, 127, 2, 1, 127]));
    is_refused(&replaced(&sealed, &[2, 2, 4, 0, 2, 1, 8, 2, 1, 1], &[2, 2, 0x40, 0, 2, 1, 127, 2, 1, 1]));
}

#[test]
fn a_changed_part_is_refused() {
    let der = published().to_pkcs8().unwrap();
    let d = hex::encode(published().d().unwrap().expose());
    for part in [DP, DQ, QINV, &d] {
        let mut bytes = der.expose().to_vec();
        let needle = hex(part);
        let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
        bytes[at + 20] ^= 1;
        let error = RsaPrivate::from_pkcs8(&bytes).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::KeyRefused(_)), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn recover_undoes_sign(mut block in prop::collection::vec(any::<u8>(), 144..=144)) {
        let key = published();
        block[0] &= 0x7F;
        let signature = key.apply(&block).unwrap();
        prop_assert_eq!(key.public().apply(&signature).unwrap(), block);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(RsaPrivate::from_pkcs8(&bytes).is_err());
        prop_assert!(RsaPrivate::from_pkcs8_encrypted(&bytes, &Secret::copy_of(b"x")).is_err());
    }
}
