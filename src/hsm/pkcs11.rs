//! The token behind a PKCS#11 library.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Library};
use cryptoki::error::{Error as CkError, RvError};
use cryptoki::mechanism::{Mechanism as Ck, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use zeroize::{Zeroize, Zeroizing};

use super::api::{Mechanism, Object, ObjectKind, Permission, TokenApi};
use crate::crypto::rsa::{Exponent, RsaPrivate};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::keys::{KeyAlgorithm, OdaKeyInfo};
use crate::secret::Secret;

/// One token of a PKCS#11 library, logged in as its user.
///
/// A thread takes a session out of a pool and puts it back; a session that failed is not used again. The library is
/// initialised once in a process and stays so.
pub struct Pkcs11 {
    slot: Slot,
    sessions: Mutex<Vec<Session>>,
    library: Library,
    writable: bool,
}

/// Whether objects are to be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Pkcs11 {
    /// Loads `library`, finds the one token whose label is `token`, and logs in with `pin`.
    ///
    /// # Errors
    /// [`ErrorKind::KeySourceLost`] with what was tried as the place.
    pub fn open(library: &Path, token: &str, pin: &Secret) -> Result<Self> {
        Self::start(library, token, pin, Access::Read)
    }

    /// As [`Pkcs11::open`], to make objects.
    ///
    /// # Errors
    /// As [`Pkcs11::open`].
    pub fn open_to_import(library: &Path, token: &str, pin: &Secret) -> Result<Self> {
        Self::start(library, token, pin, Access::Write)
    }

    fn start(library: &Path, token: &str, pin: &Secret, access: Access) -> Result<Self> {
        let loaded = Library::new(library).map_err(|e| lost(&e)).at("PKCS#11 library")?;
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match loaded.initialize(arguments) {
            Ok(()) | Err(CkError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(e) => return Err(lost(&e)).at("PKCS#11 library"),
        }
        let slots = loaded.get_slots_with_initialized_token().map_err(|e| lost(&e)).at("PKCS#11 slots")?;
        let mut found = None;
        for slot in slots {
            let info = loaded.get_token_info(slot).map_err(|e| lost(&e)).at("PKCS#11 slots")?;
            if info.label() == token && found.replace(slot).is_some() {
                return Err(ErrorKind::Duplicate("this token").into());
            }
        }
        let slot = found.ok_or(ErrorKind::KeySourceLost("no token has this label")).at("token")?;
        let writable = access == Access::Write;
        let session = open_session(&loaded, slot, writable)?;
        let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &pin) {
            Ok(()) | Err(CkError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(CkError::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
                return Err(Error::new(ErrorKind::KeyRefused("the token does not take this PIN")).at("token"));
            }
            Err(e) => return Err(lost(&e)).at("token"),
        }
        Ok(Self { slot, sessions: Mutex::new(vec![session]), library: loaded, writable })
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a session that no other thread has.
    fn with<T>(&self, work: impl FnOnce(&Session) -> Result<T, CkError>) -> Result<T> {
        let free = self.sessions().pop();
        let session = match free {
            Some(session) => session,
            None => open_session(&self.library, self.slot, self.writable)?,
        };
        let done = work(&session).map_err(|e| lost(&e));
        // With its last session a token logs out, so one whose call was refused is kept; one that was lost is not.
        if done.as_ref().err().is_none_or(|e| !e.stops_batch()) {
            self.sessions().push(session);
        }
        done
    }
}

fn open_session(library: &Library, slot: Slot, writable: bool) -> Result<Session> {
    let session = if writable { library.open_rw_session(slot) } else { library.open_ro_session(slot) };
    session.map_err(|e| lost(&e)).at("token session")
}

/// What a failed call means. A call that a token refuses for its key is an error of that key; everything else stops the
/// batch, whatever the reason: it can be resumed.
fn lost(error: &CkError) -> Error {
    let CkError::Pkcs11(code, _) = error else {
        return ErrorKind::KeySourceLost(match error {
            CkError::LibraryLoading(_) | CkError::MissingSymbol(_) => "the PKCS#11 library cannot be loaded",
            CkError::NullFunctionPointer => "the PKCS#11 library lacks a function",
            _ => "the PKCS#11 library answers what is not understood",
        })
        .into();
    };
    match code {
        RvError::KeyFunctionNotPermitted | RvError::KeyTypeInconsistent => ErrorKind::KeyUsage,
        RvError::AttributeValueInvalid
        | RvError::AttributeTypeInvalid
        | RvError::TemplateInconsistent
        | RvError::TemplateIncomplete
        | RvError::KeySizeRange => ErrorKind::KeyRefused("the token does not take it"),
        RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::TokenNotRecognized => {
            ErrorKind::KeySourceLost("the token is gone")
        }
        RvError::SessionHandleInvalid | RvError::SessionClosed | RvError::UserNotLoggedIn => {
            ErrorKind::KeySourceLost("the token's session has ended")
        }
        RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid => {
            ErrorKind::KeySourceLost("the token's object is gone")
        }
        RvError::MechanismInvalid | RvError::MechanismParamInvalid => {
            ErrorKind::KeySourceLost("the token lacks the mechanism")
        }
        RvError::DataLenRange | RvError::DataInvalid => {
            ErrorKind::KeySourceLost("the token does not take the data")
        }
        RvError::SessionReadOnly | RvError::TokenWriteProtected => {
            ErrorKind::KeySourceLost("the token is write protected")
        }
        RvError::DeviceMemory | RvError::HostMemory => ErrorKind::KeySourceLost("the token has no room"),
        RvError::PinLocked | RvError::PinExpired => {
            ErrorKind::KeyRefused("the token's PIN is locked or has ended")
        }
        _ => ErrorKind::KeySourceLost("the token reports an error of its own"),
    }
    .into()
}

const fn mechanism_type(mechanism: Mechanism) -> MechanismType {
    match mechanism {
        Mechanism::Des3Ecb => MechanismType::DES3_ECB,
        Mechanism::Des3Cbc => MechanismType::DES3_CBC,
        Mechanism::AesEcb => MechanismType::AES_ECB,
        Mechanism::AesCbc => MechanismType::AES_CBC,
        Mechanism::Sha256Hmac => MechanismType::SHA256_HMAC,
        Mechanism::RsaX509 => MechanismType::RSA_X_509,
    }
}

const fn ck(mechanism: Mechanism) -> Ck<'static> {
    match mechanism {
        Mechanism::Des3Ecb => Ck::Des3Ecb,
        Mechanism::Des3Cbc => Ck::Des3Cbc([0; 8]),
        Mechanism::AesEcb => Ck::AesEcb,
        Mechanism::AesCbc => Ck::AesCbc([0; 16]),
        Mechanism::Sha256Hmac => Ck::Sha256Hmac,
        Mechanism::RsaX509 => Ck::RsaX509,
    }
}

/// The answer of a data call into its place. A key of a card may be in it: the library's buffer is wiped.
fn put_back(data: &mut [u8], answer: Vec<u8>) -> Result<()> {
    let answer = Zeroizing::new(answer);
    if answer.len() != data.len() {
        return Err(ErrorKind::KeySourceLost("the token changes a length").into());
    }
    data.copy_from_slice(&answer);
    Ok(())
}

/// What all key objects have: they stay, and neither leave nor change.
fn common(label: &str, id: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ]
}

/// Wipes the copies of key values that a template holds.
fn wipe(template: &mut [Attribute]) {
    for attribute in template {
        match attribute {
            Attribute::Value(v)
            | Attribute::PrivateExponent(v)
            | Attribute::Prime1(v)
            | Attribute::Prime2(v)
            | Attribute::Exponent1(v)
            | Attribute::Exponent2(v)
            | Attribute::Coefficient(v) => v.zeroize(),
            _ => {}
        }
    }
}

impl TokenApi for Pkcs11 {
    type Handle = ObjectHandle;

    fn mechanisms(&self) -> Result<Vec<Mechanism>> {
        let list = self.library.get_mechanism_list(self.slot).map_err(|e| lost(&e)).at("token")?;
        Ok(Mechanism::ALL.into_iter().filter(|m| list.contains(&mechanism_type(*m))).collect())
    }

    fn find(&self, label: &str) -> Result<Vec<Object<ObjectHandle>>> {
        let mut found = Vec::new();
        for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY] {
            let template = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
            for handle in self.with(|s| s.find_objects(&template))? {
                found.push(self.describe(handle)?);
            }
        }
        Ok(found)
    }

    fn encrypt(&self, mechanism: Mechanism, key: ObjectHandle, data: &mut [u8]) -> Result<()> {
        let answer = self.with(|s| s.encrypt(&ck(mechanism), key, data))?;
        put_back(data, answer)
    }

    fn decrypt(&self, mechanism: Mechanism, key: ObjectHandle, data: &mut [u8]) -> Result<()> {
        let answer = self.with(|s| s.decrypt(&ck(mechanism), key, data))?;
        put_back(data, answer)
    }

    fn sign(&self, mechanism: Mechanism, key: ObjectHandle, message: &[u8]) -> Result<Vec<u8>> {
        self.with(|s| s.sign(&ck(mechanism), key, message))
    }

    fn create_secret(
        &self,
        label: &str,
        id: &[u8],
        algorithm: KeyAlgorithm,
        may: Permission,
        key: &Secret,
    ) -> Result<()> {
        let mut template = common(label, id);
        let key_type = match algorithm {
            KeyAlgorithm::Tdes2 => KeyType::DES2,
            KeyAlgorithm::Tdes3 => KeyType::DES3,
            KeyAlgorithm::Aes128 | KeyAlgorithm::Aes192 | KeyAlgorithm::Aes256 => KeyType::AES,
            KeyAlgorithm::Hmac => KeyType::GENERIC_SECRET,
        };
        template.extend([
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(key_type),
            Attribute::Encrypt(matches!(may, Permission::Encrypt | Permission::EncryptAndDecrypt)),
            Attribute::Decrypt(may == Permission::EncryptAndDecrypt),
            Attribute::Sign(may == Permission::Sign),
            Attribute::Verify(false),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::Value(key.expose().to_vec()),
        ]);
        let made = self.with(|s| s.create_object(&template));
        wipe(&mut template);
        made.map(|_| ())
    }

    fn create_rsa(&self, label: &str, id: &[u8], key: &RsaPrivate) -> Result<()> {
        let mut template = common(label, id);
        template.extend([
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Sign(true),
            Attribute::SignRecover(false),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::Modulus(key.public().modulus().to_vec()),
            Attribute::PublicExponent(key.public().exponent().to_vec()),
            Attribute::PrivateExponent(key.d()?.expose().to_vec()),
            Attribute::Prime1(key.p().expose().to_vec()),
            Attribute::Prime2(key.q().expose().to_vec()),
            Attribute::Exponent1(key.dp().expose().to_vec()),
            Attribute::Exponent2(key.dq().expose().to_vec()),
            Attribute::Coefficient(key.qinv().expose().to_vec()),
        ]);
        let made = self.with(|s| s.create_object(&template));
        wipe(&mut template);
        made.map(|_| ())
    }

    fn generate_rsa(&self, label: &str, id: &[u8], bits: usize, exponent: Exponent) -> Result<()> {
        let long = ErrorKind::KeyRefused("its length");
        let public = [
            // The public values stand in the private object; this one goes with the session.
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::ModulusBits(bits.try_into().map_err(|_| long)?),
            Attribute::PublicExponent(exponent.to_bytes()),
        ];
        let mut private = common(label, id);
        private.extend([
            Attribute::Sign(true),
            Attribute::SignRecover(false),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
        ]);
        self.with(|s| s.generate_key_pair(&Ck::RsaPkcsKeyPairGen, &public, &private)).map(|_| ())
    }
}

impl Pkcs11 {
    fn describe(&self, handle: ObjectHandle) -> Result<Object<ObjectHandle>> {
        let first = [AttributeType::Class, AttributeType::KeyType, AttributeType::Id];
        let (mut class, mut key_type, mut id) = (None, None, Vec::new());
        for attribute in self.with(|s| s.get_attributes(handle, &first))? {
            match attribute {
                Attribute::Class(c) => class = Some(c),
                Attribute::KeyType(k) => key_type = Some(k),
                Attribute::Id(bytes) => id = bytes,
                _ => {}
            }
        }
        let is_secret = class == Some(ObjectClass::SECRET_KEY);
        let kind = match key_type {
            Some(KeyType::DES2) if is_secret => ObjectKind::Symmetric(KeyAlgorithm::Tdes2),
            Some(KeyType::DES3) if is_secret => ObjectKind::Symmetric(KeyAlgorithm::Tdes3),
            Some(KeyType::GENERIC_SECRET | KeyType::SHA256_HMAC) if is_secret => {
                ObjectKind::Symmetric(KeyAlgorithm::Hmac)
            }
            Some(KeyType::AES) if is_secret => match self.value_len(handle)? {
                Some(16) => ObjectKind::Symmetric(KeyAlgorithm::Aes128),
                Some(24) => ObjectKind::Symmetric(KeyAlgorithm::Aes192),
                Some(32) => ObjectKind::Symmetric(KeyAlgorithm::Aes256),
                _ => ObjectKind::Other,
            },
            Some(KeyType::RSA) if class == Some(ObjectClass::PRIVATE_KEY) => {
                ObjectKind::Rsa(self.public_values(handle)?)
            }
            _ => ObjectKind::Other,
        };
        Ok(Object { handle, id, kind })
    }

    fn value_len(&self, handle: ObjectHandle) -> Result<Option<usize>> {
        let found = self.with(|s| s.get_attributes(handle, &[AttributeType::ValueLen]))?;
        Ok(found.into_iter().find_map(|a| match a {
            Attribute::ValueLen(len) => Some(usize::from(len)),
            _ => None,
        }))
    }

    fn public_values(&self, handle: ObjectHandle) -> Result<OdaKeyInfo> {
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
        for attribute in self.with(|s| s.get_attributes(handle, &wanted))? {
            match attribute {
                Attribute::Modulus(bytes) => modulus = bytes,
                Attribute::PublicExponent(bytes) => exponent = bytes,
                _ => {}
            }
        }
        Ok(OdaKeyInfo { modulus, exponent })
    }
}

impl fmt::Debug for Pkcs11 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11(slot {})", self.slot.id())
    }
}
