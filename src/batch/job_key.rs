//! The data key of a job.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::rng::{Purpose, Seed};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::keys::{KeyIndex, KeyRef, KeySource, KeyUse};
use crate::secret::Secret;

const FORMAT: &str = "emv-dataprep/job-key/1";

/// The data key of one job (an output folder): 256 bits.
///
/// It makes the keys that the job works with for itself, above all that of `recordMac`
/// ([`crate::output::RecordMacKey`]). It rests in `job.key` as an X9.143 block of usage D0 under a key of use `job`. The
/// prepared files are not under it: they are sealed for their destinations, who cannot have it. So who destroys
/// it destroys what ties the records of the job to its orders, and nothing else.
///
/// ```
/// use emv_dataprep::batch::JobKey;
/// use emv_dataprep::crypto::backend::Backend;
/// use emv_dataprep::crypto::rng::Seed;
/// use emv_dataprep::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
/// use emv_dataprep::secret::Secret;
/// let mut ring = SoftwareRing::new(Backend::Portable);
/// let name = KeyRef::new(KeyUse::Job, KeyIndex(1));
/// ring.add_clear(name, KeyAlgorithm::Aes256, Secret::copy_of(&[7; 32]), KeyAttributes::default())?;
/// let key = JobKey::draw(None)?;
/// let text = key.seal(&ring, None)?.expect("the ring has a job key");
/// assert_eq!(JobKey::open(&ring, text.as_bytes())?.secret(), key.secret());
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub struct JobKey(Secret);

impl std::fmt::Debug for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobKey(***)")
    }
}

/// `job.key`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    format: String,
    /// Index of the key that wraps.
    key_index: String,
    /// The X9.143 block.
    block: String,
}

impl JobKey {
    /// A key: from the operating system, or with a fixed seed from that.
    ///
    /// # Errors
    /// [`ErrorKind::Randomness`].
    pub fn draw(fixed: Option<&Seed>) -> Result<Self> {
        let fresh;
        let seed = match fixed {
            Some(seed) => seed,
            None => {
                fresh = Seed::from_os()?;
                &fresh
            }
        };
        let key = Zeroizing::new(seed.keyed_digest(&[b"emv-dataprep/job-key/1"]));
        Ok(Self(Secret::copy_of(key.as_slice())))
    }

    /// The key of use `job` that wraps: the one of the highest index.
    #[must_use]
    pub fn wrapping(source: &dyn KeySource) -> Option<KeyRef> {
        let names = source.keys().into_iter().map(|info| info.key);
        names.filter(|name| name.usage == KeyUse::Job).max_by_key(|name| name.index)
    }

    /// The text of `job.key`; `None` when the source has no key of use `job`. With a fixed seed the padding comes from it,
    /// too.
    ///
    /// # Errors
    /// Those of [`KeySource::wrap_data_key`]; [`ErrorKind::Randomness`].
    pub fn seal(&self, source: &dyn KeySource, fixed: Option<&Seed>) -> Result<Option<String>> {
        let Some(wrapping) = Self::wrapping(source) else { return Ok(None) };
        let fresh;
        let seed = match fixed {
            Some(seed) => seed,
            None => {
                fresh = Seed::from_os()?;
                &fresh
            }
        };
        let mut padding = seed.named_stream(b"job key", Purpose::JobKey).rng();
        let block = source.wrap_data_key(wrapping, &self.0, &mut padding)?;
        let file = File { format: FORMAT.to_owned(), key_index: wrapping.index.to_string(), block };
        let text = serde_json::to_string(&file);
        let text = text.map_err(|_| Error::new(ErrorKind::Internal("job.key could not be written")))?;
        Ok(Some(text + "\n"))
    }

    /// Which key of use `job` a `job.key` is under.
    ///
    /// # Errors
    /// As [`JobKey::open`] for its form.
    pub fn wrapped_under(text: &[u8]) -> Result<KeyRef> {
        let file = read(text)?;
        Ok(KeyRef::new(KeyUse::Job, file.key_index.parse::<KeyIndex>().at("keyIndex")?))
    }

    /// Opens a `job.key`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for another form; those of [`KeySource::unwrap_data_key`]: the `job` key is not loaded, or
    /// the block is under another one.
    pub fn open(source: &dyn KeySource, text: &[u8]) -> Result<Self> {
        let wrapping = Self::wrapped_under(text)?;
        source.unwrap_data_key(wrapping, &read(text)?.block).map(Self).at_with(|| format!("key {wrapping}"))
    }

    /// The key itself.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.0
    }
}

fn read(text: &[u8]) -> Result<File> {
    let file: File = serde_json::from_slice(text).map_err(|_| ErrorKind::Format("a job key"))?;
    if file.format != FORMAT {
        return Err(ErrorKind::Unsupported("this format of job key").into());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::backend::Backend;
    use crate::keys::{KeyAlgorithm, KeyAttributes, SoftwareRing};

    fn ring(keys: &[(u8, u8)]) -> SoftwareRing {
        let mut ring = SoftwareRing::new(Backend::Portable);
        for (index, byte) in keys {
            let name = KeyRef::new(KeyUse::Job, KeyIndex(*index));
            let key = Secret::copy_of(&[*byte; 32]);
            ring.add_clear(name, KeyAlgorithm::Aes256, key, KeyAttributes::default()).unwrap();
        }
        ring
    }

    #[test]
    fn the_highest_index_wraps_and_the_file_says_which() {
        let key = JobKey::draw(None).unwrap();
        let text = key.seal(&ring(&[(1, 1), (9, 2), (4, 3)]), None).unwrap().unwrap();
        assert_eq!(JobKey::wrapped_under(text.as_bytes()).unwrap().index, KeyIndex(9));
        assert_eq!(JobKey::open(&ring(&[(9, 2)]), text.as_bytes()).unwrap().0, key.0);
        assert!(JobKey::open(&ring(&[(1, 2)]), text.as_bytes()).is_err(), "another index");
        assert!(JobKey::open(&ring(&[(9, 1)]), text.as_bytes()).is_err(), "another key");
        assert!(JobKey::open(&ring(&[(9, 2)]), text.replace("/1\"", "/2\"").as_bytes()).is_err());
        assert!(key.seal(&ring(&[]), None).unwrap().is_none());
    }

    #[test]
    fn a_seed_fixes_every_byte_and_nothing_else_does() {
        let ring = ring(&[(1, 1)]);
        let seed = Seed::fixed([5; 32]);
        let made = |seed: Option<&Seed>| JobKey::draw(seed).unwrap().seal(&ring, seed).unwrap().unwrap();
        assert_eq!(made(Some(&seed)), made(Some(&seed)));
        assert_ne!(made(Some(&seed)), made(Some(&Seed::fixed([6; 32]))));
        assert_ne!(made(None), made(None));
    }

    #[test]
    fn nothing_secret_is_told() {
        let key = JobKey(Secret::copy_of(&[0x41; 32]));
        assert_eq!(format!("{key:?}"), "JobKey(***)");
    }
}
