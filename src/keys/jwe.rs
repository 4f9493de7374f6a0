//! Compact JWE (RFC 7516) with ECDH-ES on P-256 and A256GCM (RFC 7518): D1's `encryptedData`, and the envelope of
//! everything that leaves.
//!
//! ECDH-ES proves no sender: whoever has the public key can seal. A failure to open always has the same words.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::jwk::{PrivateJwk, PublicJwk, point, point_members, random_secret};
use super::strict_json;
use crate::crypto::hash::sha256;
use crate::crypto::rng::StreamRng;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Bytes of a protected header that is read.
const MAX_HEADER: usize = 4096;
/// Bytes of the IV.
const IV: usize = 12;
/// Bytes of the authentication tag.
const TAG: usize = 16;
/// The content encryption, which is also AlgorithmID of the key derivation (RFC 7518, 4.6.2).
const ENC: &str = "A256GCM";

/// Header members that this envelope sets or refuses: none of them can be a private one.
const RESERVED: [&str; 14] =
    ["alg", "enc", "epk", "kid", "apu", "apv", "zip", "crit", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256"];

/// Seals `plaintext` for `recipient`. `private_members` stand in the protected header: authenticated, not secret.
///
/// The ephemeral key and the IV are drawn from `rng`: the caller sees to it that no stream meets two plaintexts.
///
/// # Errors
/// [`ErrorKind::Value`] for a private member by a registered name; [`ErrorKind::Length`] for a header above 4 KiB.
///
/// ```
/// use emv_dataprep::crypto::rng::{Purpose, Seed};
/// use emv_dataprep::keys::{PrivateJwk, jwe};
/// let mut rng = Seed::fixed([1; 32]).named_stream(b"example", Purpose::Envelope).rng();
/// let key = PrivateJwk::generate(&mut rng);
/// let mut members = serde_json::Map::new();
/// members.insert("cards".to_owned(), 1.into());
/// let sealed = jwe::seal(key.public(), &members, b"a card", &mut rng)?;
/// assert_eq!(jwe::recipient(&sealed)?, key.public().kid());
/// let (header, plaintext) = jwe::open(&key, &sealed)?;
/// assert_eq!((header, plaintext.expose()), (members, &b"a card"[..]));
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn seal(
    recipient: &PublicJwk,
    private_members: &Map<String, Value>,
    plaintext: &[u8],
    rng: &mut StreamRng,
) -> Result<String> {
    if RESERVED.iter().any(|name| private_members.contains_key(*name)) {
        return Err(ErrorKind::Value("a private header member has a registered name").into());
    }
    let ephemeral = random_secret(rng);
    let iv = rng.bytes::<IV>();
    let mut header = private_members.clone();
    header.insert("alg".to_owned(), json!("ECDH-ES"));
    header.insert("enc".to_owned(), json!(ENC));
    header.insert("epk".to_owned(), Value::Object(point_members(&ephemeral.public_key())));
    header.insert("kid".to_owned(), json!(recipient.kid()));
    let header = Value::Object(header).to_string();
    if header.len() > MAX_HEADER {
        return Err(ErrorKind::Length { expected: "at most 4096", found: header.len(), unit: "bytes" }.into());
    }
    // Room for the whole envelope at once: it may be megabytes, and would be moved again and again while it grows.
    let room = header.len().saturating_add(plaintext.len()).div_ceil(3).saturating_mul(4).saturating_add(64);
    let mut out = String::with_capacity(room);
    push_base64url(&mut out, header.as_bytes())?;
    let shared = ephemeral.diffie_hellman(&recipient.point);
    let cipher = content_cipher(shared.raw_secret_bytes(), &[], &[])?;
    let mut data = plaintext.to_vec();
    let sealed = cipher.encrypt_inout_detached(&Nonce::from(iv), out.as_bytes(), InOutBuf::from(&mut *data));
    let tag = sealed.map_err(|_| ErrorKind::Value("the plaintext is too long for one envelope"))?;
    out.push_str("..");
    for part in [&iv[..], &data, &tag] {
        push_base64url(&mut out, part)?;
        out.push('.');
    }
    out.pop();
    Ok(out)
}

/// Appends the base64url form of `bytes`, in pieces of whole groups of three bytes.
fn push_base64url(out: &mut String, bytes: &[u8]) -> Result<()> {
    const PIECE: usize = 3 * 1024;
    let mut text = [0; PIECE / 3 * 4];
    for piece in bytes.chunks(PIECE) {
        let text = Base64UrlUnpadded::encode(piece, &mut text);
        out.push_str(text.map_err(|_| ErrorKind::Internal("room for a piece of an envelope"))?);
    }
    Ok(())
}

/// The `kid` of the key that opens an envelope. Nothing is verified yet.
///
/// # Errors
/// The one error of [`open`].
pub fn recipient(compact: &str) -> Result<String> {
    Parts::read(compact).map(|parts| parts.kid).ok_or_else(refused)
}

/// Opens an envelope: the header members that are not registered ones, and the plaintext.
///
/// # Errors
/// [`ErrorKind::Crypto`], always with the same words: not the compact form; another `alg` or `enc`; `zip` or
/// `crit`; a repeated member; a header above 4 KiB; an `epk` that is not on the curve; another `kid`; a changed byte.
pub fn open(key: &PrivateJwk, compact: &str) -> Result<(Map<String, Value>, Secret)> {
    let parts = Parts::read(compact).filter(|p| p.kid == key.public().kid()).ok_or_else(refused)?;
    let shared = key.secret.diffie_hellman(&parts.epk);
    let cipher = content_cipher(shared.raw_secret_bytes(), &parts.apu, &parts.apv)?;
    let mut data = Zeroizing::new(parts.ciphertext);
    let (iv, tag) = (Nonce::from(parts.iv), Tag::from(parts.tag));
    cipher
        .decrypt_inout_detached(&iv, parts.aad.as_bytes(), InOutBuf::from(data.as_mut_slice()), &tag)
        .map_err(|_| refused())?;
    Ok((parts.private_members, Secret::new(std::mem::take(&mut *data))))
}

/// The one refusal.
fn refused() -> Error {
    ErrorKind::Crypto("the envelope does not open").into()
}

/// The five segments, read.
struct Parts<'a> {
    aad: &'a str,
    kid: String,
    epk: p256::PublicKey,
    apu: Vec<u8>,
    apv: Vec<u8>,
    private_members: Map<String, Value>,
    iv: [u8; IV],
    ciphertext: Vec<u8>,
    tag: [u8; TAG],
}

impl<'a> Parts<'a> {
    fn read(compact: &'a str) -> Option<Self> {
        let mut segments = compact.split('.');
        let (aad, encrypted_key, iv, ciphertext, tag) =
            (segments.next()?, segments.next()?, segments.next()?, segments.next()?, segments.next()?);
        // Direct key agreement: there is no encrypted key (RFC 7518, 4.6).
        if segments.next().is_some() || !encrypted_key.is_empty() || aad.len() > MAX_HEADER.saturating_mul(2)
        {
            return None;
        }
        let header = Base64UrlUnpadded::decode_vec(aad).ok().filter(|h| h.len() <= MAX_HEADER)?;
        let mut members = strict_json::object(&header).ok()?;
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) => Some(Some(text)),
            Some(_) => None,
            None => Some(None),
        };
        if text("alg")?? != "ECDH-ES" || text("enc")?? != ENC {
            return None;
        }
        let kid = text("kid")??;
        let party = |info: Option<String>| {
            info.map_or_else(|| Some(Vec::new()), |i| Base64UrlUnpadded::decode_vec(&i).ok())
        };
        let (apu, apv) = (party(text("apu")?)?, party(text("apv")?)?);
        let Some(Value::Object(epk)) = members.remove("epk") else { return None };
        if epk.contains_key("d") || RESERVED.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        Some(Self {
            aad,
            kid,
            epk: point(&epk).ok()?,
            apu,
            apv,
            private_members: members,
            iv: Base64UrlUnpadded::decode_vec(iv).ok()?.try_into().ok()?,
            ciphertext: Base64UrlUnpadded::decode_vec(ciphertext).ok()?,
            tag: Base64UrlUnpadded::decode_vec(tag).ok()?.try_into().ok()?,
        })
    }
}

fn content_cipher(shared: &[u8], apu: &[u8], apv: &[u8]) -> Result<Aes256Gcm> {
    let key = concat_kdf(shared, ENC, apu, apv, 256)?;
    Aes256Gcm::new_from_slice(key.expose()).map_err(|_| ErrorKind::Internal("a key of 32 bytes").into())
}

/// The Concat KDF of RFC 7518, 4.6.2 (SP 800-56A, 5.8.1) for keys of at most 256 bits: one round of SHA-256 over
/// counter ‖ Z ‖ AlgorithmID ‖ PartyUInfo ‖ PartyVInfo ‖ bits, each text after its length.
pub(crate) fn concat_kdf(z: &[u8], algorithm: &str, apu: &[u8], apv: &[u8], bits: u16) -> Result<Secret> {
    let length = |part: &[u8]| {
        u32::try_from(part.len())
            .map(u32::to_be_bytes)
            .map_err(|_| ErrorKind::Internal("a text of this length"))
    };
    let algorithm = algorithm.as_bytes();
    let digest = Zeroizing::new(sha256(&[
        &1_u32.to_be_bytes(),
        z,
        &length(algorithm)?,
        algorithm,
        &length(apu)?,
        apu,
        &length(apv)?,
        apv,
        &u32::from(bits).to_be_bytes(),
    ]));
    let key =
        digest.get(..usize::from(bits / 8)).ok_or(ErrorKind::Internal("a derived key of this length"))?;
    Ok(Secret::copy_of(key))
}

/// ECDH of a private key and a public one, then [`concat_kdf`]: for known-answer tests.
pub(crate) fn agree(
    key: &PrivateJwk,
    peer: &PublicJwk,
    algorithm: &str,
    apu: &[u8],
    apv: &[u8],
    bits: u16,
) -> Result<Secret> {
    let shared = key.secret.diffie_hellman(&peer.point);
    concat_kdf(shared.raw_secret_bytes(), algorithm, apu, apv, bits)
}

#[cfg(test)]
#[path = "jwe_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "jwe_attacks.rs"]
mod attacks;
