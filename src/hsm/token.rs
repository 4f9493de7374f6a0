use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::api::{Mechanism, Object, ObjectKind, TokenApi};
use crate::crypto::rng::StreamRng;
use crate::crypto::rsa::RsaPublic;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::keys::tr31::{BlockCipher, Header, Mode, ProtectionKey, Version, header, unwrap, wrap};
use crate::keys::{
    CvvKind, Kcv, KcvMethod, KeyAlgorithm, KeyEntry, KeyIndex, KeyInfo, KeyRef, KeySource, KeyUse,
    OdaKeyInfo, data_key_header,
};
use crate::secret::Secret;

/// Bytes that go into one data call; more go in several. Tokens behind a network take 64 KiB and more.
const MOST_BYTES: usize = 1 << 16;

/// `CKA_LABEL` of a symmetric key: `use:index`, and `:for` where a card verification key serves one value only.
///
/// ```
/// use emv_dataprep::hsm::{label, left_label, oda_label};
/// use emv_dataprep::keys::{CvvKind, KeyIndex, KeyRef, KeyUse};
/// assert_eq!(label(KeyRef::new(KeyUse::ImkAc, KeyIndex(1))), "imk-ac:01");
/// assert_eq!(label(KeyRef::cvk(KeyIndex(1), CvvKind::Icvv)), "cvk:01:icvv");
/// assert_eq!(left_label(KeyRef::new(KeyUse::Cvk, KeyIndex(1))), "cvk:01:left");
/// assert_eq!(oda_label(KeyIndex(0x0A)), "oda:0A");
/// ```
#[must_use]
pub fn label(key: KeyRef) -> String {
    let only = match key.only {
        None => "",
        Some(CvvKind::Cvv1) => ":cvv1",
        Some(CvvKind::Icvv) => ":icvv",
        Some(CvvKind::Cvv2) => ":cvv2",
    };
    format!("{}:{}{only}", key.usage, key.index)
}

/// `CKA_LABEL` of the second object of a card verification key: its left half twice.
#[must_use]
pub fn left_label(key: KeyRef) -> String {
    format!("{}:left", label(key))
}

/// `CKA_LABEL` of an issuer RSA key.
#[must_use]
pub fn oda_label(index: KeyIndex) -> String {
    format!("oda:{index}")
}

/// The keys of an issuer in a token: a [`KeySource`] whose keys never leave it.
///
/// Everything is looked at when it is opened: mechanisms, one object for each name, algorithm, check values. What the
/// token is asked later are data calls, a few for each key and chunk of cards. `card_session` is not offered: a
/// personalization station derives its session keys in memory.
pub struct Token<A: TokenApi> {
    api: A,
    mechanisms: Vec<Mechanism>,
    keys: BTreeMap<KeyRef, Held<A::Handle>>,
    oda: BTreeMap<KeyIndex, (A::Handle, RsaPublic)>,
}

struct Held<H> {
    info: KeyInfo,
    mode: Mode,
    handle: H,
    /// The left half twice, of a card verification key.
    left: Option<H>,
}

impl<A: TokenApi> Token<A> {
    /// Finds and checks the keys of `entries` and the issuer RSA keys of `oda` in the token. The blocks of `entries` are
    /// not opened; what their headers say of the mode of use holds.
    ///
    /// # Errors
    /// With the key or mechanism as their place: [`ErrorKind::Missing`] for a mechanism; [`ErrorKind::KeyUnknown`],
    /// [`ErrorKind::Duplicate`] for an object; [`ErrorKind::KcvMismatch`]; [`ErrorKind::KeyRefused`] when two of AC, SMI
    /// and SMC at one index are equal; [`ErrorKind::KeyUsage`] for an object of another type.
    pub fn open(api: A, entries: &[KeyEntry], oda: impl IntoIterator<Item = KeyIndex>) -> Result<Self> {
        let mechanisms = api.mechanisms()?;
        let mut token = Self { api, mechanisms, keys: BTreeMap::new(), oda: BTreeMap::new() };
        for entry in entries {
            let held = token.hold(entry).at_with(|| label(entry.key)).at("token")?;
            if token.keys.insert(entry.key, held).is_some() {
                return Err(Error::new(ErrorKind::Duplicate("this use and index")).at(label(entry.key)));
            }
        }
        for index in oda {
            let found = token.find_oda(index).at_with(|| oda_label(index)).at("token")?;
            token.oda.insert(index, found);
        }
        token.refuse_equal_card_masters().at("token")?;
        Ok(token)
    }

    /// Every issuer RSA key that was found.
    pub fn oda_keys(&self) -> impl Iterator<Item = KeyIndex> {
        self.oda.keys().copied()
    }

    /// What is asked.
    pub const fn api(&self) -> &A {
        &self.api
    }

    fn needs(&self, mechanism: Mechanism) -> Result<()> {
        if self.mechanisms.contains(&mechanism) {
            return Ok(());
        }
        Err(ErrorKind::Missing(mechanism.name()).into())
    }

    fn hold(&self, entry: &KeyEntry) -> Result<Held<A::Handle>> {
        let object = one(&self.api, &label(entry.key))?;
        let ObjectKind::Symmetric(algorithm) = object.kind else { return Err(ErrorKind::KeyUsage.into()) };
        self.needs(Mechanism::ecb(algorithm).unwrap_or(Mechanism::Sha256Hmac))?;
        let kcv = entry.kcv.to_string();
        let info = KeyInfo::of(entry.key, algorithm, kcv, entry.attributes)?;
        let found = self.check_value(object.handle, algorithm, entry.kcv_method)?;
        if entry.kcv.bytes().len() < 3 || !found.begins_with(&entry.kcv) {
            return Err(ErrorKind::KcvMismatch.into());
        }
        let left = if entry.key.usage == KeyUse::Cvk && algorithm.is_tdes() {
            Some(self.hold_left(&left_label(entry.key)).at("left half")?)
        } else {
            None
        };
        let mode = header(&entry.block).map_or(Mode::ANY, |h| h.mode());
        Ok(Held { info, mode, handle: object.handle, left })
    }

    /// The object KA‖KA, checked against its own `CKA_ID`.
    fn hold_left(&self, label: &str) -> Result<A::Handle> {
        let object = one(&self.api, label)?;
        if object.kind != ObjectKind::Symmetric(KeyAlgorithm::Tdes2) {
            return Err(ErrorKind::KeyUsage.into());
        }
        let mut zeros = [0; 8];
        self.api.encrypt(Mechanism::Des3Ecb, object.handle, &mut zeros)?;
        if object.id.is_empty() || !zeros.starts_with(&object.id) {
            return Err(ErrorKind::KcvMismatch.into());
        }
        Ok(object.handle)
    }

    /// A check value as long as it can be.
    fn check_value(&self, handle: A::Handle, algorithm: KeyAlgorithm, method: KcvMethod) -> Result<Kcv> {
        let fits = match method {
            KcvMethod::Tdes | KcvMethod::TdesCmac => algorithm.is_tdes(),
            KcvMethod::AesCmac | KcvMethod::AesEcb | KcvMethod::AesGp => {
                !algorithm.is_tdes() && algorithm != KeyAlgorithm::Hmac
            }
            KcvMethod::Hmac => algorithm == KeyAlgorithm::Hmac,
        };
        if !fits {
            return Err(ErrorKind::Value("the check value's method is for another algorithm").into());
        }
        let key = InToken { api: &self.api, handle, algorithm };
        let ecb = |cipher: BlockCipher, byte: u8| {
            let mut block = vec![byte; cipher.block_len()];
            key.encrypt_ecb(cipher, &mut block).and_then(|()| Kcv::new(&block))
        };
        let cmac = |cipher: BlockCipher| {
            let zeros = vec![0; cipher.block_len()];
            let mac = key.cmac(cipher, &[&zeros])?.pop();
            Kcv::new(mac.ok_or(ErrorKind::Internal("a CMAC is missing"))?.expose())
        };
        match method {
            KcvMethod::Tdes => ecb(BlockCipher::Tdes, 0),
            KcvMethod::AesEcb => ecb(BlockCipher::Aes, 0),
            KcvMethod::AesGp => ecb(BlockCipher::Aes, 1),
            KcvMethod::TdesCmac => cmac(BlockCipher::Tdes),
            KcvMethod::AesCmac => cmac(BlockCipher::Aes),
            KcvMethod::Hmac => Kcv::new(&self.api.sign(Mechanism::Sha256Hmac, handle, &[])?),
        }
    }

    fn find_oda(&self, index: KeyIndex) -> Result<(A::Handle, RsaPublic)> {
        self.needs(Mechanism::RsaX509)?;
        let object = one(&self.api, &oda_label(index))?;
        let ObjectKind::Rsa(public) = object.kind else { return Err(ErrorKind::KeyUsage.into()) };
        let modulus: Vec<u8> = public.modulus.into_iter().skip_while(|b| *b == 0).collect();
        Ok((object.handle, RsaPublic::new(&modulus, &public.exponent)?))
    }

    /// As the software ring: one master key, one purpose. Equal keys encipher alike.
    fn refuse_equal_card_masters(&self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for (name, held) in &self.keys {
            if !matches!(name.usage, KeyUse::ImkAc | KeyUse::ImkSmi | KeyUse::ImkSmc) {
                continue;
            }
            let mut block = vec![0; held.info.algorithm.block_len()];
            self.encrypt_with(held, &mut block)?;
            if seen.insert((name.index, block), ()).is_some() {
                let kind = ErrorKind::KeyRefused("it equals another card master key of this index");
                return Err(Error::new(kind).at(label(*name)));
            }
        }
        Ok(())
    }

    /// The key of this name; a `cvk` key for one value falls back to the one that serves all.
    fn held(&self, key: KeyRef) -> Result<&Held<A::Handle>> {
        let all = KeyRef { only: None, ..key };
        let found = self.keys.get(&key).or_else(|| self.keys.get(&all));
        found.ok_or_else(|| Error::new(ErrorKind::KeyUnknown).at(key.to_string()))
    }

    fn to_encrypt(&self, key: KeyRef) -> Result<&Held<A::Handle>> {
        let held = self.held(key)?;
        if held.mode == Mode::DECRYPT || held.info.algorithm == KeyAlgorithm::Hmac {
            return Err(usage(key));
        }
        Ok(held)
    }

    fn encrypt_with(&self, held: &Held<A::Handle>, blocks: &mut [u8]) -> Result<()> {
        let mechanism = Mechanism::ecb(held.info.algorithm).ok_or_else(|| usage(held.info.key))?;
        whole_blocks(blocks.len(), held.info.algorithm)?;
        let mut parts = blocks.chunks_mut(MOST_BYTES);
        parts.try_for_each(|part| self.api.encrypt(mechanism, held.handle, part))
    }

    /// The wrapping key as what derives the two keys of a block.
    fn wrapping(&self, key: KeyRef) -> Result<InToken<'_, A>> {
        let held = self.to_encrypt(key)?;
        if held.info.algorithm.is_tdes() {
            return Err(usage(key));
        }
        Ok(InToken { api: &self.api, handle: held.handle, algorithm: held.info.algorithm })
    }

    fn pool_key(&self, key: KeyRef) -> Result<InToken<'_, A>> {
        if matches!(key.usage, KeyUse::Pool | KeyUse::Job) { self.wrapping(key) } else { Err(usage(key)) }
    }

    fn oda_key(&self, index: KeyIndex) -> Result<&(A::Handle, RsaPublic)> {
        let found = self.oda.get(&index);
        found.ok_or_else(|| Error::new(ErrorKind::KeyUnknown).at(format!("issuer RSA key {index}")))
    }
}

/// One object for a label.
fn one<A: TokenApi>(api: &A, label: &str) -> Result<Object<A::Handle>> {
    let mut found = api.find(label)?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(ErrorKind::KeyUnknown.into()),
        (Some(object), true) => Ok(object),
        (Some(_), false) => Err(ErrorKind::Duplicate("an object of this label").into()),
    }
}

fn usage(key: KeyRef) -> Error {
    Error::new(ErrorKind::KeyUsage).at(key.to_string())
}

fn whole_blocks(found: usize, algorithm: KeyAlgorithm) -> Result<()> {
    if found.is_multiple_of(algorithm.block_len()) {
        return Ok(());
    }
    let expected = if algorithm.is_tdes() { "a multiple of 8" } else { "a multiple of 16" };
    Err(ErrorKind::Length { expected, found, unit: "bytes" }.into())
}

/// A key in a token that derives the keys of a key block, or a check value, by enciphering.
struct InToken<'a, A: TokenApi> {
    api: &'a A,
    handle: A::Handle,
    algorithm: KeyAlgorithm,
}

impl<A: TokenApi> ProtectionKey for InToken<'_, A> {
    fn key_len(&self) -> usize {
        self.algorithm.key_len()
    }

    fn encrypt_ecb(&self, cipher: BlockCipher, blocks: &mut [u8]) -> Result<()> {
        let mechanism = Mechanism::ecb(self.algorithm).ok_or(ErrorKind::KeyUsage)?;
        if (cipher == BlockCipher::Tdes) != self.algorithm.is_tdes() {
            return Err(ErrorKind::KeyUsage.into());
        }
        whole_blocks(blocks.len(), self.algorithm)?;
        self.api.encrypt(mechanism, self.handle, blocks)
    }
}

/// A key-block protection key that stays in a token: it is asked to encipher, and the two keys of each block that it
/// protects are derived in the program's memory (X9.143, versions B and D).
pub struct TokenProtectionKey<A: TokenApi> {
    api: A,
    handle: A::Handle,
    algorithm: KeyAlgorithm,
}

impl<A: TokenApi> TokenProtectionKey<A> {
    /// The one key of this `CKA_LABEL`.
    ///
    /// # Errors
    /// With the label as the place: [`ErrorKind::KeyUnknown`], [`ErrorKind::Duplicate`]; [`ErrorKind::KeyUsage`] if it is
    /// not a TDES or AES key.
    pub fn find(api: A, label: &str) -> Result<Self> {
        let object = one(&api, label).at_with(|| label.to_owned())?;
        match object.kind {
            ObjectKind::Symmetric(algorithm) if algorithm != KeyAlgorithm::Hmac => {
                Ok(Self { api, handle: object.handle, algorithm })
            }
            _ => Err(Error::new(ErrorKind::KeyUsage).at(label.to_owned())),
        }
    }
}

impl<A: TokenApi> ProtectionKey for TokenProtectionKey<A> {
    fn key_len(&self) -> usize {
        self.algorithm.key_len()
    }

    fn encrypt_ecb(&self, cipher: BlockCipher, blocks: &mut [u8]) -> Result<()> {
        let key = InToken { api: &self.api, handle: self.handle, algorithm: self.algorithm };
        key.encrypt_ecb(cipher, blocks)
    }
}

impl<A: TokenApi> fmt::Debug for TokenProtectionKey<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenProtectionKey({})", self.algorithm)
    }
}

impl<A: TokenApi> KeySource for Token<A> {
    fn name(&self) -> &'static str {
        "pkcs11"
    }

    fn keys(&self) -> Vec<KeyInfo> {
        self.keys.values().map(|h| h.info.clone()).collect()
    }

    fn info(&self, key: KeyRef) -> Result<KeyInfo> {
        self.held(key).map(|h| h.info.clone())
    }

    fn encrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        let held = self.to_encrypt(key)?;
        self.encrypt_with(held, blocks).at_with(|| key.to_string())
    }

    /// PIN keys only: nothing else of a batch is ever deciphered.
    fn decrypt_ecb(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        let held = self.held(key)?;
        let mechanism = Mechanism::ecb(held.info.algorithm).ok_or_else(|| usage(key))?;
        if key.usage != KeyUse::Pin || held.mode == Mode::ENCRYPT {
            return Err(usage(key));
        }
        whole_blocks(blocks.len(), held.info.algorithm)?;
        let mut parts = blocks.chunks_mut(MOST_BYTES);
        parts.try_for_each(|part| self.api.decrypt(mechanism, held.handle, part)).at_with(|| key.to_string())
    }

    /// By the second object of a card verification key.
    fn encrypt_ecb_left(&self, key: KeyRef, blocks: &mut [u8]) -> Result<()> {
        let left = self.to_encrypt(key)?.left.ok_or_else(|| usage(key))?;
        whole_blocks(blocks.len(), KeyAlgorithm::Tdes2)?;
        let mut parts = blocks.chunks_mut(MOST_BYTES);
        parts
            .try_for_each(|part| self.api.encrypt(Mechanism::Des3Ecb, left, part))
            .at_with(|| key.to_string())
    }

    /// Whichever asks less often: the token's CBC, one call a message; or ECB over all messages in step, one call for the
    /// first blocks of all, one for the second, and so on.
    fn encrypt_cbc(&self, key: KeyRef, messages: &mut [Vec<u8>]) -> Result<()> {
        let held = self.to_encrypt(key)?;
        let algorithm = held.info.algorithm;
        messages.iter().try_for_each(|m| whole_blocks(m.len(), algorithm))?;
        let block = algorithm.block_len();
        let longest = messages.iter().map(Vec::len).max().unwrap_or_default();
        let steps = longest.checked_div(block).unwrap_or_default();
        let cbc = Mechanism::cbc(algorithm).filter(|m| self.mechanisms.contains(m));
        if let Some(mechanism) = cbc.filter(|_| messages.len() <= steps && longest <= MOST_BYTES) {
            let mut messages = messages.iter_mut().filter(|m| !m.is_empty());
            let done = messages.try_for_each(|m| self.api.encrypt(mechanism, held.handle, m));
            return done.at_with(|| key.to_string());
        }
        let mut row = Zeroizing::new(Vec::with_capacity(messages.len().saturating_mul(block)));
        for step in 0..steps {
            let (start, end) = (step.saturating_mul(block), step.saturating_add(1).saturating_mul(block));
            row.clear();
            for message in messages.iter().filter(|m| m.len() >= end) {
                let before = start.checked_sub(block).and_then(|at| message.get(at..start));
                let chain = before.unwrap_or_default().iter().copied().chain(std::iter::repeat(0));
                let plain = message.get(start..end).unwrap_or_default();
                row.extend(plain.iter().zip(chain).map(|(p, c)| p ^ c));
            }
            self.encrypt_with(held, &mut row).at_with(|| key.to_string())?;
            let reached = messages.iter_mut().filter(|m| m.len() >= end);
            for (message, done) in reached.zip(row.chunks_exact(block)) {
                if let Some(place) = message.get_mut(start..end) {
                    place.copy_from_slice(done);
                }
            }
        }
        Ok(())
    }

    /// The two keys of the block are CMACs under the token's key: they, and the key that is wrapped, are in memory.
    fn wrap_key(
        &self,
        wrapping: KeyRef,
        usage_of_key: KeyUse,
        algorithm: KeyAlgorithm,
        key: &Secret,
        random: &mut StreamRng,
    ) -> Result<String> {
        let header = Header::for_use(usage_of_key, algorithm, Version::D);
        wrap(&self.wrapping(wrapping)?, &header, key, random)
    }

    fn wrap_data_key(&self, wrapping: KeyRef, key: &Secret, random: &mut StreamRng) -> Result<String> {
        wrap(&self.pool_key(wrapping)?, &data_key_header(), key, random)
    }

    fn unwrap_data_key(&self, wrapping: KeyRef, block: &str) -> Result<Secret> {
        let (header, key) = unwrap(&self.pool_key(wrapping)?, block)?;
        if header != data_key_header() || key.len() != KeyAlgorithm::Aes256.key_len() {
            return Err(usage(wrapping));
        }
        Ok(key)
    }

    fn hmac_sha256(&self, key: KeyRef, messages: &[&[u8]]) -> Result<Vec<[u8; 32]>> {
        let held = self.held(key)?;
        if held.info.algorithm != KeyAlgorithm::Hmac {
            return Err(usage(key));
        }
        let one = |message: &&[u8]| {
            let mac = self.api.sign(Mechanism::Sha256Hmac, held.handle, message)?;
            let wrong = |_| Error::new(ErrorKind::KeySourceLost("an HMAC of another length"));
            <[u8; 32]>::try_from(mac).map_err(wrong)
        };
        messages.iter().map(one).collect::<Result<_>>().at_with(|| key.to_string())
    }

    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo> {
        let (_, public) = self.oda_key(index)?;
        Ok(OdaKeyInfo { modulus: public.modulus().to_vec(), exponent: public.exponent().to_vec() })
    }

    fn rsa_private(&self, index: KeyIndex, messages: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let (handle, public) = self.oda_key(index)?;
        let one = |message: &Vec<u8>| {
            if message.len() != public.len() || message.as_slice() >= public.modulus() {
                return Err(ErrorKind::Value("a message that is not below the modulus").into());
            }
            let found = self.api.sign(Mechanism::RsaX509, *handle, message)?;
            let mut signature = vec![0; public.len().saturating_sub(found.len())];
            signature.extend_from_slice(&found);
            if signature.len() != public.len() || public.apply(&signature)? != *message {
                return Err(ErrorKind::KeySourceLost("a signature that is wrong").into());
            }
            Ok(signature)
        };
        messages.iter().map(one).collect::<Result<_>>().at_with(|| format!("issuer RSA key {index}"))
    }
}

impl<A: TokenApi> fmt::Debug for Token<A> {
    /// Counts only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} keys, {} issuer RSA keys)", self.keys.len(), self.oda.len())
    }
}
