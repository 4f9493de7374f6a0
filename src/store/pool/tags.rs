//! Tags of the primes of every key that the pool still has.

use super::segment;
use super::{Pool, PoolSupply, Result};
use crate::crypto::rsa::{KeySpec, PrimeTag, PrimeTagKey};

impl Pool<'_> {
    /// Gives `each` the tags of p and q of every key that is ready. Damaged segments are left out: nobody gets their keys.
    fn ready_prime_tags<E: From<super::PoolError>>(
        &self,
        tag_key: &PrimeTagKey,
        each: &mut impl FnMut([PrimeTag; 2]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        for spec in self.specs()? {
            // A process that gives back keys has claimed their first segment before: what is listed now and ready after
            // holds no key twice.
            for id in self.settled_ids(spec)? {
                let Some(bytes) =
                    self.store.read(&self.ready(spec).join(&id)).map_err(super::PoolError::from)?
                else {
                    continue;
                };
                match segment::open(self.source, &id, spec, &bytes) {
                    Ok(opened) => opened.keys.iter().try_for_each(|key| each(key.prime_tags(tag_key)))?,
                    Err(e) if e.stops_batch() => return Err(super::PoolError::Keys(e).into()),
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn settled_ids(&self, spec: KeySpec) -> Result<Vec<String>> {
        let mut ids = self.ready_ids(spec)?;
        let (ready, burnt) = (self.ready(spec), self.burnt(spec));
        ids.retain(|id| self.store.exists(&ready.join(id)) && !self.store.exists(&burnt.join(id)));
        Ok(ids)
    }
}

impl PoolSupply<'_> {
    /// Gives `each` the tags of p and q of every key that may still be used: those of the pool, and those that this
    /// process holds and nobody took.
    ///
    /// # Errors
    /// [`super::PoolError`] when the pool cannot be read, or what `each` fails with.
    pub fn prime_tags<E: From<super::PoolError>>(
        &self,
        tag_key: &PrimeTagKey,
        mut each: impl FnMut([PrimeTag; 2]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let held: Vec<[PrimeTag; 2]> = self.held_keys(|key| key.prime_tags(tag_key));
        held.into_iter().try_for_each(&mut each)?;
        self.pool.ready_prime_tags(tag_key, &mut each)
    }
}
