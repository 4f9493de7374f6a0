//! A double of a token that counts what it is asked, and the keys of a test issuer as entries of `keys.toml`.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::hash::hmac_sha256;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::RsaPrivate;
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::error::{ErrorKind, Result};
use emv_dataprep::hsm::{Mechanism, Object, ObjectKind, Permission, TokenApi, import_oda, import_symmetric};
use emv_dataprep::keys::tr31::{self, Header, Version};
use emv_dataprep::keys::{KcvMethod, KeyAlgorithm, KeyAttributes, KeyEntry, KeyRef, KeyUse, OdaKeyInfo};
use emv_dataprep::secret::Secret;

use crate::common::TestIssuer;

enum Value {
    Symmetric(KeyAlgorithm, Secret),
    Rsa(RsaPrivate),
}

struct Stored {
    label: String,
    id: Vec<u8>,
    may: Permission,
    value: Value,
}

/// A token in memory. A call is written down as `what label`.
pub struct Double {
    objects: Mutex<Vec<Stored>>,
    calls: Mutex<Vec<String>>,
    /// Calls that are still answered.
    left: AtomicUsize,
    pub mechanisms: Vec<Mechanism>,
}

impl Double {
    pub fn new() -> Self {
        Self {
            objects: Mutex::default(),
            calls: Mutex::default(),
            left: AtomicUsize::new(usize::MAX),
            mechanisms: Mechanism::ALL.to_vec(),
        }
    }

    /// The data calls since this was last asked.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Answers so many more data calls, and none after them.
    pub fn lose_after(&self, calls: usize) {
        self.left.store(calls, Ordering::SeqCst);
    }

    pub fn may(&self, label: &str) -> Option<Permission> {
        self.objects.lock().unwrap().iter().find(|o| o.label == label).map(|o| o.may)
    }

    /// Puts any object there, as somebody else's program could.
    pub fn put(&self, label: &str, id: &[u8], algorithm: KeyAlgorithm, key: &[u8]) {
        let value = Value::Symmetric(algorithm, Secret::copy_of(key));
        let stored =
            Stored { label: label.to_owned(), id: id.to_vec(), may: Permission::EncryptAndDecrypt, value };
        self.objects.lock().unwrap().push(stored);
    }

    pub fn remove(&self, label: &str) {
        self.objects.lock().unwrap().retain(|o| o.label != label);
    }

    fn data_call<T>(&self, what: &str, key: usize, work: impl FnOnce(&Stored) -> Result<T>) -> Result<T> {
        let lost = || ErrorKind::KeySourceLost("test");
        let taken = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        taken.map_err(|_| lost())?;
        let objects = self.objects.lock().unwrap();
        let object = objects.get(key).ok_or_else(lost)?;
        self.calls.lock().unwrap().push(format!("{what} {}", object.label));
        work(object)
    }

    fn create(&self, label: &str, id: &[u8], may: Permission, value: Value) {
        let stored = Stored { label: label.to_owned(), id: id.to_vec(), may, value };
        self.objects.lock().unwrap().push(stored);
    }
}

impl TokenApi for Double {
    type Handle = usize;

    fn mechanisms(&self) -> Result<Vec<Mechanism>> {
        Ok(self.mechanisms.clone())
    }

    fn find(&self, label: &str) -> Result<Vec<Object<usize>>> {
        let objects = self.objects.lock().unwrap();
        let found = objects.iter().enumerate().filter(|(_, o)| o.label == label);
        Ok(found
            .map(|(handle, o)| {
                let kind = match &o.value {
                    Value::Symmetric(algorithm, _) => ObjectKind::Symmetric(*algorithm),
                    Value::Rsa(key) => ObjectKind::Rsa(OdaKeyInfo {
                        modulus: key.public().modulus().to_vec(),
                        exponent: key.public().exponent().to_vec(),
                    }),
                };
                Object { handle, id: o.id.clone(), kind }
            })
            .collect())
    }

    fn encrypt(&self, mechanism: Mechanism, key: usize, data: &mut [u8]) -> Result<()> {
        let what = if matches!(mechanism, Mechanism::Des3Cbc | Mechanism::AesCbc) { "cbc" } else { "ecb" };
        self.data_call(what, key, |o| {
            let Value::Symmetric(_, key) = &o.value else { return Err(ErrorKind::KeyUsage.into()) };
            match mechanism {
                _ if o.may == Permission::Sign => Err(ErrorKind::KeyUsage.into()),
                Mechanism::Des3Ecb => TdesKey::new(key)?.encrypt_ecb(data),
                Mechanism::Des3Cbc => TdesKey::new(key)?.encrypt_cbc([0; 8], data),
                Mechanism::AesEcb => AesKey::new(key)?.encrypt_ecb(data),
                Mechanism::AesCbc => AesKey::new(key)?.encrypt_cbc([0; 16], data),
                _ => Err(ErrorKind::KeyUsage.into()),
            }
        })
    }

    fn decrypt(&self, mechanism: Mechanism, key: usize, data: &mut [u8]) -> Result<()> {
        self.data_call("decrypt", key, |o| match (&o.value, mechanism) {
            _ if o.may != Permission::EncryptAndDecrypt => Err(ErrorKind::KeyUsage.into()),
            (Value::Symmetric(_, key), Mechanism::Des3Ecb) => TdesKey::new(key)?.decrypt_ecb(data),
            (Value::Symmetric(_, key), Mechanism::AesEcb) => AesKey::new(key)?.decrypt_ecb(data),
            _ => Err(ErrorKind::KeyUsage.into()),
        })
    }

    fn sign(&self, mechanism: Mechanism, key: usize, message: &[u8]) -> Result<Vec<u8>> {
        self.data_call("sign", key, |o| match (&o.value, mechanism) {
            _ if o.may != Permission::Sign => Err(ErrorKind::KeyUsage.into()),
            (Value::Symmetric(_, key), Mechanism::Sha256Hmac) => Ok(hmac_sha256(key, &[message]).to_vec()),
            (Value::Rsa(key), Mechanism::RsaX509) => key.apply(message),
            _ => Err(ErrorKind::KeyUsage.into()),
        })
    }

    fn create_secret(
        &self,
        label: &str,
        id: &[u8],
        algorithm: KeyAlgorithm,
        may: Permission,
        key: &Secret,
    ) -> Result<()> {
        self.create(label, id, may, Value::Symmetric(algorithm, key.duplicate()));
        Ok(())
    }

    fn create_rsa(&self, label: &str, id: &[u8], key: &RsaPrivate) -> Result<()> {
        let copy = RsaPrivate::from_primes(key.p().expose(), key.q().expose(), key.exponent())?;
        self.create(label, id, Permission::Sign, Value::Rsa(copy));
        Ok(())
    }
}

/// A key-block protection key of tests.
pub fn kbpk() -> Secret {
    Secret::new((0..32).map(|i: u8| i.wrapping_mul(13).wrapping_add(5)).collect())
}

/// An entry of `keys.toml` for a clear key.
pub fn entry(key: KeyRef, algorithm: KeyAlgorithm, value: &[u8]) -> KeyEntry {
    let header = Header::for_use(key.usage, algorithm, Version::D);
    let mut rng = Seed::fixed([3; 32]).named_stream(b"entry", Purpose::TestIssuer).rng();
    let value = Secret::copy_of(value);
    let kcv_method = KcvMethod::usual(algorithm);
    KeyEntry {
        key,
        block: tr31::wrap(&kbpk(), &header, &value, &mut rng).unwrap(),
        kcv: kcv_method.compute(&value, algorithm).unwrap(),
        kcv_method,
        attributes: KeyAttributes { pvki: (key.usage == KeyUse::Pvk).then_some(1), dki: None },
    }
}

/// All symmetric keys of an issuer.
pub fn entries(issuer: &TestIssuer) -> Vec<KeyEntry> {
    issuer.keys.iter().map(|(key, (algorithm, value))| entry(*key, *algorithm, value)).collect()
}

/// Puts all keys of an issuer into a token.
pub fn import(api: &impl TokenApi, issuer: &TestIssuer) {
    for entry in entries(issuer) {
        import_symmetric(api, &kbpk(), &entry).unwrap();
    }
    for (index, key) in &issuer.issuer_keys {
        import_oda(api, *index, key).unwrap();
    }
}
