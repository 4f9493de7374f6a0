//! A segment as bytes.

use serde::{Deserialize, Serialize};

use crate::crypto::aead;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::rsa::{Exponent, KeySpec, PrimeTag, PrimeTagKey, RsaPrivate};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{KeyIndex, KeyRef, KeySource, KeyUse};
use crate::secret::Secret;

/// Most keys of a segment: what a kill can cost its holder.
pub const SEGMENT: u64 = 256;

const FORMAT: &str = "emv-dataprep/pool/1";

/// Where the keys of a segment come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    /// Made for the pool.
    Made,
    /// Left over from a segment that was claimed, and counted there.
    Returned,
}

/// The line that a segment begins with; what is left when it is burnt has no `seal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Header {
    format: String,
    pub(super) id: String,
    bits: usize,
    exponent: u32,
    pub(super) count: u64,
    pub(super) origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<Seal>,
}

/// How the keys are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Seal {
    /// Index of the `pool` key.
    pool_key: String,
    /// The segment key's key block.
    block: String,
    /// The IV, hexadecimal.
    iv: String,
}

/// p ‖ q of one key, both of half the key's length.
#[derive(Debug)]
pub(super) struct RawKey(Secret);

impl RawKey {
    pub(super) fn of(key: &RsaPrivate) -> Self {
        Self(Secret::concat(&[key.p().expose(), key.q().expose()]))
    }

    /// Any bytes.
    #[cfg(test)]
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(Secret::new(bytes))
    }

    /// Tags of p and q.
    pub(super) fn prime_tags(&self, tag_key: &PrimeTagKey) -> [PrimeTag; 2] {
        let (p, q) = self.0.expose().split_at(self.0.len() / 2);
        [tag_key.tag(p), tag_key.tag(q)]
    }

    /// The key: its parts are computed anew from the primes and the exponent, which must have an inverse for both, and
    /// its size is looked at. Its pair-wise consistency test was made when the key was; the seal says that no bit has
    /// changed since.
    pub(super) fn build(&self, spec: KeySpec) -> Result<RsaPrivate> {
        let bytes = self.0.expose();
        let (p, q) = bytes.split_at_checked(prime_len(spec)).ok_or(ErrorKind::Internal("a prime"))?;
        let key = RsaPrivate::from_primes(p, q, spec.exponent())?;
        if key.public().bits() != spec.bits() || key.p().expose() != p {
            return Err(ErrorKind::KeyRefused("it is not a key of its segment's size").into());
        }
        Ok(key)
    }
}

/// A segment that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) header: Header,
    pub(super) keys: Vec<RawKey>,
}

const fn prime_len(spec: KeySpec) -> usize {
    spec.bits() / 16
}

impl Header {
    /// The size and exponent of its keys.
    pub(super) fn spec(&self) -> Result<KeySpec> {
        KeySpec::new(self.bits, Exponent::new(self.exponent)?)
    }

    /// Whether the keys are still in it.
    pub(super) const fn is_sealed(&self) -> bool {
        self.seal.is_some()
    }

    /// The line of what is left when the keys are gone.
    pub(super) fn burnt(&self) -> Vec<u8> {
        Self { seal: None, ..self.clone() }.line()
    }

    fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The header of a file, and what follows it.
    pub(super) fn read<'a>(bytes: &'a [u8], id: &str, spec: KeySpec) -> Result<(Self, &'a [u8], &'a [u8])> {
        let malformed = || Error::new(ErrorKind::Format("a segment of a key pool"));
        let end = bytes.iter().position(|b| *b == b'\n').ok_or_else(malformed)?;
        let (line, rest) = bytes.split_at_checked(end.saturating_add(1)).ok_or_else(malformed)?;
        let header: Self = serde_json::from_slice(line).map_err(|_| malformed())?;
        if header.format != FORMAT {
            return Err(ErrorKind::Unsupported("this format of pool segment").into());
        }
        if header.id != id || header.spec()? != spec || header.count == 0 || header.count > SEGMENT {
            return Err(ErrorKind::Value("it is not the segment that its name says").into());
        }
        Ok((header, line, rest))
    }
}

/// Seals keys as a segment under a fresh segment key: its bytes.
pub(super) fn seal(
    source: &dyn KeySource,
    pool_key: KeyRef,
    id: &str,
    spec: KeySpec,
    origin: Origin,
    keys: &[RawKey],
) -> Result<Vec<u8>> {
    let mut rng = Seed::from_os()?.named_stream(id.as_bytes(), Purpose::PoolSegment).rng();
    let key = Secret::filled(aead::KEY, |out| {
        rng.fill(out);
        Ok::<(), Error>(())
    })?;
    let iv = rng.bytes::<{ aead::IV }>();
    let header = Header {
        format: FORMAT.to_owned(),
        id: id.to_owned(),
        bits: spec.bits(),
        exponent: spec.exponent().get(),
        count: keys.len() as u64,
        origin,
        seal: Some(Seal {
            pool_key: pool_key.index.to_string(),
            block: source.wrap_data_key(pool_key, &key, &mut rng)?,
            iv: crate::bytes::hex_upper(&iv),
        }),
    };
    let parts: Vec<&[u8]> = keys.iter().map(|k| k.0.expose()).collect();
    let plain = Secret::concat(&parts);
    let mut out = header.line();
    let sealed = aead::seal(&key, iv, &out, plain.expose())?;
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Opens a segment: every byte of it is authenticated.
pub(super) fn open(source: &dyn KeySource, id: &str, spec: KeySpec, bytes: &[u8]) -> Result<Opened> {
    let (header, line, sealed) = Header::read(bytes, id, spec)?;
    let seal = header.seal.as_ref().ok_or(ErrorKind::Value("the segment is burnt"))?;
    let index: KeyIndex = seal.pool_key.parse()?;
    let iv = crate::bytes::array_from_hex(&seal.iv)?;
    let key = source.unwrap_data_key(KeyRef::new(KeyUse::Pool, index), &seal.block)?;
    let plain = aead::open(&key, iv, line, sealed)?;
    let each = prime_len(spec).saturating_mul(2);
    let keys: Vec<RawKey> = plain.expose().chunks(each).map(|k| RawKey(Secret::copy_of(k))).collect();
    if keys.len() as u64 != header.count || keys.iter().any(|k| k.0.len() != each) {
        return Err(ErrorKind::Value("the segment holds another number of keys than it says").into());
    }
    Ok(Opened { header, keys })
}
