use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd, Resize};
use proptest::prelude::*;

use super::arith::{Moduli, fermat};
use super::kernel::{Kernel, Kernels, Scratch, Shifts, by_limbs};
use super::*;
use crate::crypto::backend::Backend;
use crate::crypto::rng::{Purpose, Seed};
use crate::crypto::rsa::sample::{Side, Window, WindowId};
use crate::crypto::rsa::{Exponent, KeySpec, is_prime, sample, sieve};

/// The sizes at the ends of each kernel's range, and those of EMV.
const PRIME_BITS: [usize; 18] =
    [256, 296, 304, 512, 552, 560, 576, 608, 616, 640, 656, 704, 712, 768, 808, 816, 864, 992];

fn available() -> bool {
    Backend::Avx2.is_available()
}

fn boxed(words: &Words) -> BoxedUint {
    BoxedUint::from_words(words.iter().copied())
}

/// Words with edge values among them.
fn words() -> impl Strategy<Value = Words> {
    let word = prop_oneof![Just(0_u64), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>(), any::<u64>()];
    prop::collection::vec(word, WORDS..=WORDS).prop_map(|v| v.try_into().unwrap())
}

/// The lowest `bits` bits, the top one and the lowest one set.
fn modulus(mut x: Words, bits: usize) -> Words {
    for (i, word) in x.iter_mut().enumerate() {
        *word = match bits.saturating_sub(64 * i) {
            0 => 0,
            left if left < 64 => *word & ((1 << left) - 1),
            _ => *word,
        };
    }
    x[(bits - 1) / 64] |= 1 << ((bits - 1) % 64);
    x[0] |= 1;
    x
}

struct Peer {
    n: BoxedUint,
    params: BoxedMontyParams,
}

impl Peer {
    fn new(n: &Words) -> Self {
        let n = boxed(n);
        Self { params: BoxedMontyParams::new(Odd::new(n.clone()).unwrap()), n }
    }

    fn below(&self, x: &Words) -> Words {
        let reduced = boxed(x).rem(&self.n.to_nz().unwrap());
        reduced.to_words().as_ref().try_into().unwrap()
    }

    fn form(&self, x: &BoxedUint) -> BoxedMontyForm {
        let wide = self.n.clone().resize_unchecked(x.bits_precision().max(self.n.bits_precision()));
        let reduced = x.clone().resize_unchecked(wide.bits_precision()).rem(&wide.to_nz().unwrap());
        BoxedMontyForm::new(reduced.resize_unchecked(self.n.bits_precision()), &self.params)
    }
}

/// R as a number.
fn r<const L: usize>() -> BoxedUint {
    BoxedUint::one().resize_unchecked(2048).shl_vartime((LIMB_BITS * L) as u32).unwrap()
}

/// Every operation of eight moduli of `bits` bits on any two numbers, against `crypto-bigint`.
#[target_feature(enable = "avx2,fma")]
fn agrees<const L: usize>(bits: usize, n: &[Words; LANES], a: &[Words; LANES], b: &[Words; LANES])
where
    Kernels: Kernel<L>,
{
    let n = n.map(|n| modulus(n, bits));
    let peers = n.map(|n| Peer::new(&n));
    let a: [Words; LANES] = std::array::from_fn(|i| peers[i].below(&a[i]));
    let b: [Words; LANES] = std::array::from_fn(|i| peers[i].below(&b[i]));
    let slices = |x: &'static [Words; LANES]| x.each_ref().map(Words::as_slice);
    let leaked = |x: [Words; LANES]| slices(Box::leak(Box::new(x)));
    let moduli = Moduli::<L>::new(&n, bits);
    let am = moduli.enter(leaked(a));
    let product = moduli.product(&am, &b);
    let power = moduli.leave(&moduli.power(&am, &b, bits));
    let wide = moduli.leave(&moduli.enter_wide(leaked(a), leaked(b)));
    // The kernels by themselves: a chain of squares, each shifted as the bits of b say, and products.
    let n0 = Lane(n.map(|n| {
        let inverse = Odd::new(boxed(&n)).unwrap().as_ref().invert_mod2k_vartime(51).0;
        ((1_u64 << 51) - inverse.to_words()[0]) as f64
    }));
    let (modulus_limbs, mut x) = (Num::<L>::pack(leaked(n)), Num::<L>::pack(leaked(a)));
    let factor = Num::<L>::pack(leaked(b));
    let mut scratch = Scratch::new();
    let mut values: [BoxedMontyForm; LANES] = std::array::from_fn(|i| peers[i].form(&boxed(&a[i])));
    let r_inverse: [_; LANES] = std::array::from_fn(|i| peers[i].form(&r::<L>()).invert().unwrap());
    for step in 0..12 {
        let shift: [u64; LANES] = std::array::from_fn(|i| b[i][0] >> step & 1);
        // SAFETY: the caller's target features are those of the kernels, here and below.
        unsafe { Kernels::square(&mut x, &modulus_limbs, &n0, &Shifts(shift), &mut scratch) };
        for (i, value) in values.iter_mut().enumerate() {
            *value = &value.square() * &r_inverse[i];
            if shift[i] == 1 {
                *value = value.double();
            }
        }
        if step % 3 == 2 {
            // SAFETY: as above.
            unsafe { Kernels::multiply(&mut x, &factor, &modulus_limbs, &n0, &mut scratch) };
            for (i, value) in values.iter_mut().enumerate() {
                *value = &(&*value * &peers[i].form(&boxed(&b[i]))) * &r_inverse[i];
            }
        }
    }
    for limb in &x.0[..L - 1] {
        assert!(limb.0.iter().all(|limb| limb.fract() == 0.0 && limb.abs() <= (1_u64 << 50) as f64));
    }
    // SAFETY: as above.
    unsafe { Kernels::multiply(&mut x, &Num::pack(leaked(ones())), &modulus_limbs, &n0, &mut scratch) };
    for (i, peer) in peers.iter().enumerate() {
        let (x_form, y) = (peer.form(&boxed(&a[i])), peer.form(&boxed(&b[i])));
        assert_eq!(boxed(&moduli.leave(&am)[i]), x_form.retrieve());
        assert_eq!(boxed(&product[i]), (&x_form * &y).retrieve());
        assert_eq!(boxed(&power[i]), x_form.pow(&boxed(&b[i])).retrieve());
        assert_eq!(boxed(&wide[i]), (&x_form + &(&y * &peer.form(&r::<L>()))).retrieve());
        assert_eq!(boxed(&x.lane(i, &n[i])), (&values[i] * &r_inverse[i]).retrieve());
    }
}

fn ones() -> [Words; LANES] {
    let mut one = [0; WORDS];
    one[0] = 1;
    [one; LANES]
}

fn agrees_at(bits: usize, n: &[Words; LANES], a: &[Words; LANES], b: &[Words; LANES]) {
    // SAFETY: each test asks first whether the machine has the instructions.
    unsafe { by_limbs!(bits, L => agrees::<L>(bits, n, a, b), unreachable!("a size without kernels")) }
}

proptest! {
    #![proptest_config(crate::crypto::rsa::tests::cases(12))]

    #[test]
    fn arithmetic_agrees_with_crypto_bigint(
        size in 0..PRIME_BITS.len(),
        n in prop::array::uniform8(words()),
        a in prop::array::uniform8(words()),
        b in prop::array::uniform8(words()),
    ) {
        if available() {
            agrees_at(PRIME_BITS[size], &n, &a, &b);
        }
    }
}

#[test]
fn arithmetic_agrees_on_edges_of_every_size() {
    if !available() {
        return;
    }
    let (zero, all) = ([0; WORDS], [u64::MAX; WORDS]);
    // Limbs of 2^50, where a limb becomes negative, and of 2^50 - 1.
    let limbs = |limb: u64| {
        let mut x = [0; WORDS];
        for bit in (0..WORDS * 64).filter(|bit| limb >> (bit % LIMB_BITS) & 1 == 1) {
            x[bit / 64] |= 1 << (bit % 64);
        }
        x
    };
    let (half, below_half) = (limbs(1 << 50), limbs((1 << 50) - 1));
    let [one, ..] = ones();
    let mut two = zero;
    two[0] = 2;
    for bits in PRIME_BITS {
        let n = [all, zero, half, below_half, all, zero, half, below_half];
        // n - 1 of each modulus.
        let top = n.map(|n| {
            let mut n = modulus(n, bits);
            n[0] -= 1;
            n
        });
        agrees_at(bits, &n, &[zero, zero, one, half, top[4], top[5], all, below_half], &top);
        agrees_at(bits, &n, &top, &top);
        agrees_at(bits, &n, &[half; LANES], &[below_half; LANES]);
        agrees_at(bits, &n, &top, &[zero, one, zero, one, two, half, all, all]);
    }
}

#[target_feature(enable = "avx2,fma")]
fn verdicts<const L: usize>(n: &[Words; LANES], bases: &[Words; LANES], bits: usize) -> (u8, u8)
where
    Kernels: Kernel<L>,
{
    (fermat::<L>(n, bits), Moduli::<L>::new(n, bits).miller_rabin(bases, bits))
}

/// The verdicts of both tests on the numbers of one window, primes and composites.
#[test]
fn verdicts_agree_with_the_import_test() {
    if !available() {
        return;
    }
    for bits in [256, 512, 704, 992] {
        let spec = KeySpec::new(2 * bits, Exponent::THREE).unwrap();
        let id = WindowId { side: Side::P, attempt: 0, window: 0 };
        let stream = Seed::fixed([0x66; 32]).named_stream(b"verdicts", Purpose::TestIssuer);
        let window = Window::draw(&spec, &stream, id).unwrap();
        let left = sieve::survivors::<WORDS>(&window, &spec, u32::MAX);
        let mut primes = 0;
        for eight in left.chunks_exact(LANES).take(12) {
            let lanes: [Words; LANES] = std::array::from_fn(|i| window.candidate(eight[i]));
            let bases = std::array::from_fn(|i| id.bases(&stream, eight[i]).next(&lanes[i], bits));
            // SAFETY: the machine has the instructions.
            let (fermat, miller_rabin) = unsafe {
                by_limbs!(bits, L => verdicts::<L>(&lanes, &bases, bits), unreachable!("a size without kernels"))
            };
            for (i, words) in lanes.iter().enumerate() {
                let is_prime = is_prime(&sample::to_be(words, bits / 8));
                assert_eq!(fermat >> i & 1 == 1, is_prime, "{bits}");
                assert_eq!(miller_rabin >> i & 1 == 1, is_prime, "{bits}");
                primes += u32::from(is_prime);
            }
        }
        assert!(primes > 0, "{bits}");
    }
}

/// Numbers whose n - 1 has many factors of two.
#[test]
fn miller_rabin_counts_the_twos() {
    if !available() {
        return;
    }
    let bits = 256;
    // 3·2^254 + k·2^32 + 1: prime for some k.
    let chosen: Vec<Words> = (0_u64..400)
        .map(|k| {
            let mut n = [0; WORDS];
            n[3] = 3 << 62;
            n[0] = k << 32 | 1;
            n
        })
        .collect();
    let mut primes = 0;
    for eight in chosen.chunks_exact(LANES) {
        let lanes: [Words; LANES] = eight.try_into().unwrap();
        let three = ones().map(|mut one| {
            one[0] = 3;
            one
        });
        // SAFETY: the machine has the instructions.
        let verdicts = unsafe { Moduli::<6>::new(&lanes, bits).miller_rabin(&three, bits) };
        for (i, n) in lanes.iter().enumerate() {
            let passes = crate::crypto::rsa::prime::Candidate::<4>::new(n).passes_miller_rabin(&three[0]);
            assert_eq!(verdicts >> i & 1 == 1, passes);
            primes += u32::from(passes);
        }
    }
    assert!(primes > 0);
}
