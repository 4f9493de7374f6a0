use serde::{Deserialize, Serialize};

/// What the search for weak RSA keys looked at before the manifest was signed. A batch with a repeat gets no manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeakKeys {
    /// Primes of the batch's card keys: two of each key.
    pub primes: u64,
    /// Primes of the issuer's own RSA keys, as far as they are known here.
    pub issuer: u64,
    /// Primes of keys that the pool still has.
    pub pool: u64,
    /// Primes of earlier batches.
    pub history: u64,
    /// Moduli that went through the batch gcd: a random sample of the cards' and all whose primes are not known.
    pub moduli: u64,
    /// Primes that were met more than once: always 0.
    pub repeats: u64,
}
