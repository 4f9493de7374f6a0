//! The IFMA kernels as the search and the signatures ask for them: the one place where the size of the primes chooses a
//! kernel.

use zeroize::{Zeroize, Zeroizing};

use super::arith::{self, fermat};
use super::kernel::{Kernel, Kernels, by_limbs};
use super::{Num, sieve, sign};
use crate::crypto::backend::Backend;
use crate::crypto::rsa::keygen::{KeySpec, Sampling};
use crate::crypto::rsa::sample::{WORDS, Window, Words};
use crate::crypto::rsa::search::{Engine, LANES, Moduli};
use crate::crypto::rsa::{RsaPrivate, sieve as portable_sieve};
use crate::error::{ErrorKind, Result};

/// The kernels for primes of `bits` bits, on a machine with AVX-512F, DQ, VL and IFMA.
#[derive(Clone, Copy)]
pub(in crate::crypto::rsa) struct Ifma {
    bits: usize,
}

impl Ifma {
    /// None on another machine, and for a size without kernels.
    pub(in crate::crypto::rsa) fn for_bits(bits: usize) -> Option<Self> {
        let has_kernel = bits >= 256 && by_limbs!(bits, L => L > 0, false);
        (has_kernel && Backend::Avx512.is_available()).then_some(Self { bits })
    }
}

impl Engine for Ifma {
    fn survivors(&self, window: &Window, spec: &KeySpec) -> Vec<u16> {
        match spec.sampling() {
            // SAFETY: the machine has the instructions, as `for_bits` saw.
            Sampling::Windows => unsafe { sieve::survivors(window, spec) },
            Sampling::FreshCandidates => portable_sieve::survivors::<WORDS>(window, spec, 1 << 11),
        }
    }

    fn fermat(&self, words: &[Words; LANES]) -> u8 {
        // SAFETY: as above.
        unsafe { by_limbs!(self.bits, L => fermat::<L>(words, self.bits), 0) }
    }

    fn moduli(&self, words: &[Words; LANES]) -> Box<dyn Moduli + '_> {
        by_limbs!(self.bits, L => Box::new(Ready::<L>::new(self, words)), Box::new(NoSize))
    }

    fn sign_each(&self, keys: &[&RsaPrivate], blocks: &[Vec<u8>]) -> Vec<Result<Vec<u8>>> {
        let none =
            || keys.iter().map(|_| Err(ErrorKind::Internal("a prime size without kernels").into())).collect();
        // SAFETY: as above.
        unsafe { by_limbs!(self.bits, L => sign::sign_each::<L>(keys, blocks), none()) }
    }
}

/// Eight moduli; made by [`Ifma::moduli`] only, so on a machine with the instructions.
struct Ready<const L: usize> {
    moduli: arith::Moduli<L>,
    words: Zeroizing<[Words; LANES]>,
    bits: usize,
}

impl<const L: usize> Ready<L>
where
    Kernels: Kernel<L>,
{
    fn new(engine: &Ifma, words: &[Words; LANES]) -> Self {
        let bits = engine.bits;
        // SAFETY: the machine has the instructions, as `for_bits` saw.
        let moduli = unsafe { arith::Moduli::new(words, bits) };
        Self { moduli, words: Zeroizing::new(*words), bits }
    }
}

impl<const L: usize> Moduli for Ready<L>
where
    Kernels: Kernel<L>,
{
    fn miller_rabin(&self, bases: &[Words; LANES]) -> u8 {
        // SAFETY: the machine has the instructions, as this type says.
        unsafe { self.moduli.miller_rabin(&self.words, bases, self.bits) }
    }

    fn power(&self, bases: &[Words; LANES], exponents: &[Words; LANES]) -> Zeroizing<[Words; LANES]> {
        // SAFETY: as above.
        unsafe {
            let mut base = self.moduli.enter(&Num::pack(bases));
            let mut power = self.moduli.leave(&self.moduli.power(&base, exponents, self.bits));
            let out = Zeroizing::new(std::array::from_fn(|lane| power.lane(lane)));
            base.zeroize();
            power.zeroize();
            out
        }
    }
}

/// Stands where a size has no kernel, which `for_bits` keeps out: nothing passes.
struct NoSize;

impl Moduli for NoSize {
    fn miller_rabin(&self, _: &[Words; LANES]) -> u8 {
        0
    }

    fn power(&self, _: &[Words; LANES], _: &[Words; LANES]) -> Zeroizing<[Words; LANES]> {
        Zeroizing::new([[0; WORDS]; LANES])
    }
}
