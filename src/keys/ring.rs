use std::collections::BTreeMap;
use std::fmt;

use super::card_session::{self, ClearCardKeys, ClearTransport};
use super::kcv::{Kcv, KcvMethod};
use super::tr31::{
    Algorithm, Header, LegacyVersions, Mode, ParityRule, Policy, ProtectionKey, Usage, Version,
    refuse_weak_tdes, unwrap, wrap,
};
use super::{
    CardKeys, CardSession, CardSessionRequest, KeyAlgorithm, KeyIndex, KeyInfo, KeyRef, KeySource, KeyUse,
    OdaKeyInfo, TransportName,
};
use crate::crypto::aes::AesKey;
use crate::crypto::backend::Backend;
use crate::crypto::hash::hmac_sha256;
use crate::crypto::rng::StreamRng;
use crate::crypto::rsa::{PrimeTag, PrimeTagKey, RsaPrivate, sign_batch};
use crate::crypto::tdes::{TdesKey, has_possibly_weak_part};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::secret::{Secret, wipe_stack};

/// One entry of `keys.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Use, index, and for a `cvk` key that serves one value only, which.
    pub key: KeyRef,
    /// The key block.
    pub block: String,
    /// The check value that is stated, three bytes or more.
    pub kcv: Kcv,
    /// How it was computed.
    pub kcv_method: KcvMethod,
    /// The attributes beside it.
    pub attributes: KeyAttributes,
}

/// What is stated about a key beside its check value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyAttributes {
    /// `dki` of an `imk-ac` key; its index when absent.
    pub dki: Option<u8>,
    /// `pvki` of a `pvk` key, one digit; required there.
    pub pvki: Option<u8>,
}

/// Keys in the memory of this program: the [`KeySource`] without hardware.
///
/// Every key is checked when it is loaded: key block, usage and mode of use, parity, weak parts, equal parts,
/// check value, a second key of the same name. Of the application keys AC, SMI and SMC of one index no two may be
/// equal. An error names use and index.
///
/// ```
/// use emv_dataprep::crypto::backend::Backend;
/// use emv_dataprep::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeySource, KeyUse, SoftwareRing};
/// use emv_dataprep::secret::Secret;
/// let mut ring = SoftwareRing::new(Backend::Portable);
/// let cvk = KeyRef::new(KeyUse::Cvk, KeyIndex(1));
/// let key = Secret::new(hex::decode("0123456789ABCDEFFEDCBA9876543210").unwrap());
/// ring.add_clear(cvk, KeyAlgorithm::Tdes2, key, KeyAttributes::default())?;
/// let mut block = [0; 8];
/// ring.encrypt_ecb(cvk, &mut block)?;
/// assert_eq!(block[..3], [0x08, 0xD7, 0xB4]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub struct SoftwareRing {
    /// In boxes: a map moves what it holds, and leaves copies of it where it was.
    keys: BTreeMap<KeyRef, Box<Loaded>>,
    oda: BTreeMap<KeyIndex, RsaPrivate>,
    backend: Backend,
    legacy: LegacyVersions,
    parity: ParityRule,
}

struct Loaded {
    info: KeyInfo,
    mode: Mode,
    key: Secret,
    cipher: Cipher,
}

enum Cipher {
    Tdes(Box<TdesKey>),
    Aes(Box<AesKey>),
    Hmac,
}

impl Drop for Loaded {
    /// A key of `aes` has room for either of two forms of its schedule; the room of the other holds what the stack left
    /// there, and is not wiped. So a key of zeros takes the place of all of it.
    fn drop(&mut self) {
        if let Cipher::Aes(key) = &mut self.cipher {
            wipe_stack();
            if let Ok(zeros) = AesKey::new(&Secret::new(vec![0; 32])) {
                **key = zeros;
            }
        }
    }
}

impl SoftwareRing {
    /// An empty ring. RSA signatures are made by the kernels of `backend`.
    #[must_use]
    pub const fn new(backend: Backend) -> Self {
        Self {
            keys: BTreeMap::new(),
            oda: BTreeMap::new(),
            backend,
            legacy: LegacyVersions::Refuse,
            parity: ParityRule::Adjust,
        }
    }

    /// With another rule for key blocks of versions A and C.
    #[must_use]
    pub const fn legacy_versions(mut self, rule: LegacyVersions) -> Self {
        self.legacy = rule;
        self
    }

    /// With another rule for DES keys without odd parity.
    #[must_use]
    pub const fn parity(mut self, rule: ParityRule) -> Self {
        self.parity = rule;
        self
    }

    /// Loads one entry of `keys.toml` from its key block.
    ///
    /// # Errors
    /// With the key's use and index as their place: those of [`Policy::import`]; [`ErrorKind::KcvMismatch`];
    /// [`ErrorKind::Duplicate`] for a name that is loaded; [`ErrorKind::KeyRefused`] when two of AC, SMI and SMC
    /// at one index are equal; [`ErrorKind::Missing`] for a `pvk` key without `pvki`.
    pub fn load(&mut self, kbpk: &dyn ProtectionKey, entry: &KeyEntry) -> Result<()> {
        let loaded = self.load_entry(kbpk, entry).at_with(|| entry.key.to_string());
        wipe_stack();
        loaded
    }

    fn load_entry(&mut self, kbpk: &dyn ProtectionKey, entry: &KeyEntry) -> Result<()> {
        if entry.kcv.bytes().len() < 3 {
            let found = entry.kcv.bytes().len();
            return Err(ErrorKind::Length { expected: "3 to 8", found, unit: "bytes of check value" }.into());
        }
        let policy = Policy::for_use(entry.key.usage).legacy(self.legacy).parity(self.parity);
        let imported = policy.import(kbpk, &entry.block)?;
        entry.kcv_method.verify(&imported.key, imported.algorithm, &entry.kcv)?;
        let kcv = entry.kcv.to_string();
        self.insert(
            entry.key,
            imported.algorithm,
            imported.key,
            imported.header.mode(),
            kcv,
            entry.attributes,
        )
    }

    /// Loads a clear key: tests, and a test issuer that is being made. Weak keys and equal parts are refused here
    /// too; parity and known test keys are not looked at.
    ///
    /// # Errors
    /// As [`SoftwareRing::load`], but for those of the key block; [`ErrorKind::Length`] if the key has not the
    /// length of its algorithm.
    pub fn add_clear(
        &mut self,
        key: KeyRef,
        algorithm: KeyAlgorithm,
        value: Secret,
        attributes: KeyAttributes,
    ) -> Result<()> {
        let add = || {
            let kcv = KcvMethod::usual(algorithm).compute(&value, algorithm)?.to_string();
            if algorithm.is_tdes() {
                refuse_weak_tdes(&value)?;
            }
            Ok::<_, Error>(kcv)
        };
        let kcv = add().at_with(|| key.to_string())?;
        self.insert(key, algorithm, value, Mode::ANY, kcv, attributes).at_with(|| key.to_string())
    }

    /// Loads an issuer RSA key. It is checked as a key from outside.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] for an index that is loaded; those of [`RsaPrivate::check`].
    pub fn add_oda(&mut self, index: KeyIndex, key: RsaPrivate) -> Result<()> {
        key.check().at_with(|| format!("issuer RSA key {index}"))?;
        if self.oda.contains_key(&index) {
            return Err(Error::new(ErrorKind::Duplicate("this index")).at(format!("issuer RSA key {index}")));
        }
        self.oda.insert(index, key);
        Ok(())
    }

    /// Every issuer RSA key that is loaded.
    pub fn oda_keys(&self) -> impl Iterator<Item = KeyIndex> {
        self.oda.keys().copied()
    }

    /// The names of the keys that everybody knows ([`super::is_known_test_key`]): production refuses them.
    pub fn known_test_keys(&self) -> impl Iterator<Item = KeyRef> {
        self.keys.iter().filter(|(_, l)| super::is_known_test_key(&l.key)).map(|(name, _)| *name)
    }

    /// The names of the TDES keys with a possibly weak part ([`has_possibly_weak_part`]): they work, people are told.
    pub fn possibly_weak_keys(&self) -> impl Iterator<Item = KeyRef> {
        let is_found =
            |loaded: &Loaded| loaded.info.algorithm.is_tdes() && has_possibly_weak_part(loaded.key.expose());
        self.keys.iter().filter(move |(_, loaded)| is_found(loaded)).map(|(name, _)| *name)
    }

    fn insert(
        &mut self,
        key: KeyRef,
        algorithm: KeyAlgorithm,
        value: Secret,
        mode: Mode,
        kcv: String,
        attributes: KeyAttributes,
    ) -> Result<()> {
        let info = KeyInfo::of(key, algorithm, kcv, attributes)?;
        if self.keys.contains_key(&key) {
            return Err(ErrorKind::Duplicate("this use and index").into());
        }
        self.refuse_equal_card_masters(key, algorithm, &value)?;
        let cipher = match algorithm {
            KeyAlgorithm::Tdes2 | KeyAlgorithm::Tdes3 => Cipher::Tdes(Box::new(TdesKey::new(&value)?)),
            KeyAlgorithm::Aes128 | KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => {
                Cipher::Aes(Box::new(AesKey::new(&value)?))
            }
            KeyAlgorithm::Hmac => Cipher::Hmac,
        };
        self.keys.insert(key, Box::new(Loaded { info, mode, key: value, cipher }));
        Ok(())
    }

    /// One master key, one purpose (PCI PIN, requirement 19): AC, SMI and SMC of one index differ, parity bits
    /// left aside.
    fn refuse_equal_card_masters(&self, key: KeyRef, algorithm: KeyAlgorithm, value: &Secret) -> Result<()> {
        const MASTERS: [KeyUse; 3] = [KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc];
        if !MASTERS.contains(&key.usage) {
            return Ok(());
        }
        let mask = if algorithm.is_tdes() { 0xFE } else { 0xFF };
        let others = MASTERS.iter().filter(|u| **u != key.usage);
        for other in others.filter_map(|u| self.keys.get(&KeyRef::new(*u, key.index))) {
            let (a, b) = (value.expose(), other.key.expose());
            let same = a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | ((x ^ y) & mask)) == 0;
            if same {
                return Err(ErrorKind::KeyRefused("it equals another card master key of this index").into());
            }
        }
        Ok(())
    }

    /// The key of this name; a `cvk` key for one value falls back to the one that serves all.
    fn find(&self, key: KeyRef) -> Result<&Loaded> {
        let all = KeyRef { only: None, ..key };
        let found = self.keys.get(&key).or_else(|| self.keys.get(&all));
        found.map(Box::as_ref).ok_or_else(|| Error::new(ErrorKind::KeyUnknown).at(key.to_string()))
    }

    fn to_encrypt(&self, key: KeyRef) -> Result<&Loaded> {
        let loaded = self.find(key)?;
        if loaded.mode == Mode::DECRYPT { Err(usage(key)) } else { Ok(loaded) }
    }
}

/// What the block of a data key says: data encryption, both ways, AES, not exportable.
pub(crate) fn data_key_header() -> Header {
    Header::new(Version::D, Usage::D0, Algorithm::AES, Mode::BOTH)
}

fn usage(key: KeyRef) -> Error {
    Error::new(ErrorKind::KeyUsage).at(key.to_string())
}

impl KeySource for SoftwareRing {
    fn name(&self) -> &'static str {
        "software"
    }

    fn keys(&self) -> Vec<KeyInfo> {
        self.keys.values().map(|l| l.info.clone()).collect()
    }

    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        self.find(key).map(|l| l.info.clone())
    }

    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        match &self.to_encrypt(key)?.cipher {
            Cipher::Tdes(c) => c.encrypt_ecb(blocks),
            Cipher::Aes(c) => c.encrypt_ecb(blocks),
            Cipher::Hmac => Err(usage(key)),
        }
    }

    /// PIN and transport keys only: nothing else is ever deciphered here.
    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        let loaded = self.find(key)?;
        let may = matches!(key.usage, KeyUse::Pin | KeyUse::Transport) && loaded.mode != Mode::ENCRYPT;
        match &loaded.cipher {
            Cipher::Tdes(c) if may => c.decrypt_ecb(blocks),
            Cipher::Aes(c) if may => c.decrypt_ecb(blocks),
            _ => Err(usage(key)),
        }
    }

    /// Card verification keys only.
    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        let Cipher::Tdes(cipher) = &self.to_encrypt(key)?.cipher else { return Err(usage(key)) };
        if key.usage != KeyUse::Cvk {
            return Err(usage(key));
        }
        let found = blocks.len();
        let (whole, rest) = blocks.as_chunks_mut::<8>();
        if !rest.is_empty() {
            return Err(ErrorKind::Length { expected: "a multiple of 8", found, unit: "bytes" }.into());
        }
        for block in whole {
            *block = cipher.left_encrypt(*block);
        }
        Ok(())
    }

    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        match &self.to_encrypt(key)?.cipher {
            Cipher::Tdes(c) => messages.iter_mut().try_for_each(|m| c.encrypt_cbc([0; 8], m)),
            Cipher::Aes(c) => messages.iter_mut().try_for_each(|m| c.encrypt_cbc([0; 16], m)),
            Cipher::Hmac => Err(usage(key)),
        }
    }

    fn wrap_key(
        &self,
        wrapping: KeyRef,
        usage_of_key: KeyUse,
        algorithm: KeyAlgorithm,
        key: &Secret,
        random: &mut StreamRng,
    ) -> Result<String> {
        let loaded = self.to_encrypt(wrapping)?;
        match loaded.cipher {
            Cipher::Aes(_) => {
                wrap(&loaded.key, &Header::for_use(usage_of_key, algorithm, Version::D), key, random)
            }
            Cipher::Tdes(_) | Cipher::Hmac => Err(usage(wrapping)),
        }
    }

    fn wrap_data_key(&self, wrapping: KeyRef, key: &Secret, random: &mut StreamRng) -> Result<String> {
        wrap(&self.wraps_data_keys(wrapping)?.key, &data_key_header(), key, random)
    }

    fn unwrap_data_key(&self, wrapping: KeyRef, block: &str) -> Result<Secret> {
        let (header, key) = unwrap(&self.wraps_data_keys(wrapping)?.key, block)?;
        if header != data_key_header() || key.len() != KeyAlgorithm::Aes256.key_len() {
            return Err(usage(wrapping));
        }
        Ok(key)
    }

    fn hmac_sha256(&self, key: KeyRef, messages: &[&[u8]]) -> Result<Vec<[u8; 32]>> {
        let loaded = self.find(key)?;
        match loaded.cipher {
            Cipher::Hmac => Ok(messages.iter().map(|m| hmac_sha256(&loaded.key, &[m])).collect()),
            Cipher::Tdes(_) | Cipher::Aes(_) => Err(usage(key)),
        }
    }

    fn card_session(&self, request: &CardSessionRequest) -> Result<Box<dyn CardSession>> {
        let keys = self.card_keys(&request.keys)?;
        let new_keys = request.new_keys.as_ref().map(|k| self.card_keys(k)).transpose()?;
        let transport = request.transport.as_ref().map(|t| self.transport(t)).transpose()?;
        card_session::open(&keys, &request.key_data, &request.channel, transport, new_keys.as_ref())
    }

    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo> {
        let public = self.oda_key(index)?.public();
        Ok(OdaKeyInfo { modulus: public.modulus().to_vec(), exponent: public.exponent().to_vec() })
    }

    fn oda_prime_tags(&self, index: KeyIndex, tag_key: &PrimeTagKey) -> Result<[PrimeTag; 2]> {
        self.oda_key(index).map(|key| tag_key.tags(key))
    }

    fn rsa_private(&self, index: KeyIndex, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let key = self.oda_key(index)?;
        let signed: Result<Vec<_>> = sign_batch(self.backend, key, messages).into_iter().collect();
        signed.at_with(|| format!("issuer RSA key {index}"))
    }
}

impl SoftwareRing {
    fn to_derive(&self, usage_of_key: KeyUse, index: KeyIndex) -> Result<&Loaded> {
        let key = KeyRef::new(usage_of_key, index);
        let loaded = self.find(key)?;
        if loaded.mode == Mode::DERIVE || loaded.mode == Mode::ANY { Ok(loaded) } else { Err(usage(key)) }
    }

    fn card_keys(&self, keys: &CardKeys) -> Result<ClearCardKeys<'_>> {
        match *keys {
            CardKeys::Static { index } => {
                let [enc, mac, dek] = [KeyUse::CardEnc, KeyUse::CardMac, KeyUse::CardDek]
                    .map(|usage_of_key| self.to_derive(usage_of_key, index));
                let (enc, mac, dek) = (enc?, mac?, dek?);
                let algorithm = enc.info.algorithm;
                if mac.info.algorithm != algorithm || dek.info.algorithm != algorithm {
                    return Err(Error::new(ErrorKind::Value("the three card keys differ in algorithm"))
                        .at(format!("card keys {index}")));
                }
                Ok(ClearCardKeys::Static { enc: &enc.key, mac: &mac.key, dek: &dek.key, algorithm })
            }
            CardKeys::Master { index, diversification } => {
                let master = self.to_derive(KeyUse::Kmc, index)?;
                Ok(ClearCardKeys::Master {
                    key: &master.key,
                    algorithm: master.info.algorithm,
                    diversification,
                })
            }
        }
    }

    /// The transport key that values come under: a loaded one, or one wrapped under a loaded one.
    fn transport(&self, name: &TransportName) -> Result<ClearTransport> {
        let place = || format!("transport key {}", name.key.index);
        if name.key.usage != KeyUse::Transport {
            return Err(usage(name.key));
        }
        let loaded = self.find(name.key)?;
        if loaded.mode == Mode::ENCRYPT || loaded.info.algorithm == KeyAlgorithm::Hmac {
            return Err(usage(name.key));
        }
        let (key, algorithm) = match &name.wrapped {
            None => (loaded.key.duplicate(), loaded.info.algorithm),
            Some(block) => {
                let policy = Policy::for_use(KeyUse::Transport).parity(self.parity);
                let imported = policy.import(&loaded.key, block).at_with(place)?;
                (imported.key, imported.algorithm)
            }
        };
        if let Some(stated) = &name.kcv {
            let stated = stated.parse::<Kcv>().at_with(place)?;
            // As it was stated when the key was loaded here, whatever the method; else by the usual one.
            let as_loaded = name.wrapped.is_none()
                && loaded.info.kcv.parse::<Kcv>().is_ok_and(|own| own.begins_with(&stated));
            if !as_loaded {
                KcvMethod::usual(algorithm).verify(&key, algorithm, &stated).at_with(place)?;
            }
        }
        Ok(ClearTransport { key, algorithm, mode: name.mode })
    }

    fn wraps_data_keys(&self, key: KeyRef) -> Result<&Loaded> {
        if matches!(key.usage, KeyUse::Pool | KeyUse::Job) { self.find(key) } else { Err(usage(key)) }
    }

    fn oda_key(&self, index: KeyIndex) -> Result<&RsaPrivate> {
        let found = self.oda.get(&index);
        found.ok_or_else(|| Error::new(ErrorKind::KeyUnknown).at(format!("issuer RSA key {index}")))
    }
}

impl fmt::Debug for SoftwareRing {
    /// Counts only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareRing({} keys, {} issuer RSA keys)", self.keys.len(), self.oda.len())
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
