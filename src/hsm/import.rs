use super::api::{Object, ObjectKind, Permission, TokenApi};
use super::token::{label, left_label, oda_label};
use crate::crypto::hash::sha256;
use crate::crypto::rsa::{Exponent, RsaPrivate, RsaPublic};
use crate::crypto::tdes::TdesKey;
use crate::error::{ErrorKind, Place, Result};
use crate::keys::tr31::{Mode, Policy, ProtectionKey};
use crate::keys::{KcvMethod, KeyAlgorithm, KeyEntry, KeyIndex, KeyUse};
use crate::secret::Secret;

/// Puts the key of one entry of `keys.toml` into a token: its block is opened here, and the key is in memory until the
/// token has it. A card verification key gets its second object, the left half twice: the one place where K1 = K2 is
/// right, because tokens that lack single DES do it with TDES then.
///
/// The objects stay, are sensitive and not extractable, and may do what the key's use needs: HMAC keys sign, PIN keys
/// encipher and decipher (encipher only, if the block says so), all others encipher. `CKA_ID` is made of the
/// object's own enciphered zeros (HMAC keys: the check value).
///
/// An object of the same label that the token has already stays as it is, so that what was interrupted can be done
/// again; [`super::Token::open`] checks all of them. The number of objects that were made comes back.
///
/// # Errors
/// With the label as their place: those of [`Policy::import`]; [`ErrorKind::KcvMismatch`]; those of
/// [`TokenApi::create_secret`].
pub fn import_symmetric<A: TokenApi>(api: &A, kbpk: &dyn ProtectionKey, entry: &KeyEntry) -> Result<usize> {
    import_entry(api, kbpk, entry).at_with(|| label(entry.key))
}

fn import_entry<A: TokenApi>(api: &A, kbpk: &dyn ProtectionKey, entry: &KeyEntry) -> Result<usize> {
    let imported = Policy::for_use(entry.key.usage).import(kbpk, &entry.block)?;
    entry.kcv_method.verify(&imported.key, imported.algorithm, &entry.kcv)?;
    let may = match (entry.key.usage, imported.header.mode()) {
        (KeyUse::Ledger, _) => Permission::Sign,
        // Its check value is made by enciphering, so a key that only deciphers may do both; the token's keeper here
        // refuses what the block's mode does not allow.
        (KeyUse::Pin, mode) if mode != Mode::ENCRYPT => Permission::EncryptAndDecrypt,
        _ => Permission::Encrypt,
    };
    let mut made = create(api, &label(entry.key), imported.algorithm, may, &imported.key)?;
    if entry.key.usage == KeyUse::Cvk && imported.algorithm.is_tdes() {
        let half = imported.key.expose().get(..8).ok_or(ErrorKind::Internal("a key without a left half"))?;
        let left = Secret::concat(&[half, half]);
        let tdes = KeyAlgorithm::Tdes2;
        let second = create(api, &left_label(entry.key), tdes, Permission::Encrypt, &left).at("left half")?;
        made = made.saturating_add(second);
    }
    Ok(made)
}

fn create<A: TokenApi>(
    api: &A,
    label: &str,
    algorithm: KeyAlgorithm,
    may: Permission,
    key: &Secret,
) -> Result<usize> {
    if !api.find(label)?.is_empty() {
        return Ok(0);
    }
    let zeros = if algorithm.is_tdes() {
        TdesKey::new(key)?.encrypt_block([0; 8]).to_vec()
    } else if algorithm == KeyAlgorithm::Hmac {
        KcvMethod::Hmac.compute(key, algorithm)?.bytes().to_vec()
    } else {
        KcvMethod::AesEcb.compute(key, algorithm)?.bytes().to_vec()
    };
    api.create_secret(label, zeros.get(..3).unwrap_or(&zeros), algorithm, may, key)?;
    Ok(1)
}

/// Makes an issuer RSA key in a token: its public values. The key never is anywhere else.
///
/// # Errors
/// Those of [`TokenApi`]; [`ErrorKind::Value`] if the token has a key of this index; those of [`RsaPublic::check`] for
/// what the token made.
///
/// [`RsaPublic::check`]: crate::crypto::rsa::RsaPublic::check
pub fn generate_oda<A: TokenApi>(
    api: &A,
    index: KeyIndex,
    bits: usize,
    exponent: Exponent,
) -> Result<RsaPublic> {
    let generate = || -> Result<RsaPublic> {
        let label = oda_label(index);
        if !api.find(&label)?.is_empty() {
            return Err(ErrorKind::Value("the token has a key of this index").into());
        }
        let id = sha256(&[label.as_bytes()]);
        api.generate_rsa(&label, id.get(..3).unwrap_or_default(), bits, exponent)?;
        let found = api.find(&label)?;
        let [Object { kind: ObjectKind::Rsa(info), .. }] = found.as_slice() else {
            return Err(ErrorKind::KeyRefused("the token does not show the key that it made").into());
        };
        let key = RsaPublic::new(&info.modulus, &info.exponent)?;
        key.check()?;
        if key.bits() != bits || key.exponent() != exponent.to_bytes() {
            return Err(ErrorKind::KeyRefused("the token made another key than it was asked for").into());
        }
        Ok(key)
    };
    generate().at_with(|| oda_label(index))
}

/// Puts an issuer RSA key into a token. `CKA_ID` is the beginning of the SHA-256 of its modulus.
///
/// # Errors
/// As [`import_symmetric`]; those of [`RsaPrivate::check`].
pub fn import_oda<A: TokenApi>(api: &A, index: KeyIndex, key: &RsaPrivate) -> Result<usize> {
    let import = || -> Result<usize> {
        key.check()?;
        if !api.find(&oda_label(index))?.is_empty() {
            return Ok(0);
        }
        let digest = sha256(&[key.public().modulus()]);
        api.create_rsa(&oda_label(index), digest.get(..3).unwrap_or_default(), key)?;
        Ok(1)
    };
    import().at_with(|| oda_label(index))
}
