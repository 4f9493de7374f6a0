use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd, Resize};
use proptest::prelude::*;

use super::arith::{Moduli, fermat};
use super::kernel::{Kernel, Kernels, by_limbs};
use super::*;
use crate::crypto::backend::Backend;
use crate::crypto::rng::{CardStream, Purpose, Seed};
use crate::crypto::rsa::prime::Candidate;
use crate::crypto::rsa::sample::{Side, Window, WindowId};
use crate::crypto::rsa::{
    Exponent, KeySpec, Sampling, generate, generate_batch, is_prime, sample, sign_batch,
};

/// The sizes at the ends of each kernel's range, and those of EMV.
const PRIME_BITS: [usize; 14] = [256, 264, 512, 520, 576, 616, 640, 704, 720, 768, 776, 864, 936, 992];

fn stream(name: &str) -> CardStream {
    Seed::fixed([0x66; 32]).named_stream(name.as_bytes(), Purpose::TestIssuer)
}

fn available() -> bool {
    Backend::Avx512.is_available()
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

    fn reduce(&self, x: &BoxedUint) -> BoxedUint {
        x.rem(&self.n.to_nz().unwrap())
    }

    fn form(&self, x: &BoxedUint) -> BoxedMontyForm {
        BoxedMontyForm::new(self.reduce(x), &self.params)
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn agrees<const L: usize>(bits: usize, n: &[Words; LANES], a: &[Words; LANES], b: &[Words; LANES])
where
    Kernels: Kernel<L>,
{
    let n = n.map(|n| modulus(n, bits));
    let peers: Vec<Peer> = n.iter().map(Peer::new).collect();
    let below = |x: &[Words; LANES]| -> [Words; LANES] {
        std::array::from_fn(|i| peers[i].reduce(&boxed(&x[i])).as_words().to_vec().try_into().unwrap())
    };
    let (a, b) = (below(a), below(b));
    let moduli = Moduli::<L>::new(&n, bits);
    let (am, bm) = (moduli.enter(&Num::pack(&a)), moduli.enter(&Num::pack(&b)));
    let product = moduli.leave(&moduli.product(&am, &bm));
    let difference = moduli.subtract(&Num::pack(&a), &Num::pack(&b));
    let power = moduli.leave(&moduli.power(&am, &b, bits));
    let wide = moduli.leave(&moduli.enter_wide(&Num::pack(&a), &Num::pack(&b)));
    for (i, peer) in peers.iter().enumerate() {
        let (x, y) = (peer.form(&boxed(&a[i])), peer.form(&boxed(&b[i])));
        assert_eq!(boxed(&moduli.leave(&am).lane(i)), x.retrieve());
        assert_eq!(boxed(&product.lane(i)), (&x * &y).retrieve());
        assert_eq!(boxed(&difference.lane(i)), (&x - &y).retrieve());
        assert_eq!(boxed(&power.lane(i)), x.pow(&boxed(&b[i])).retrieve());
        // a + b 2^(52 L)
        let r = BoxedUint::one().resize_unchecked(2048).shl_vartime((LIMB_BITS * L) as u32).unwrap();
        let r = peer.form(&r);
        assert_eq!(boxed(&wide.lane(i)), (&x + &(&y * &r)).retrieve());
    }
}

fn agrees_at(bits: usize, n: &[Words; LANES], a: &[Words; LANES], b: &[Words; LANES]) {
    // SAFETY: each test asks first whether the machine has the instructions.
    unsafe { by_limbs!(bits, L => agrees::<L>(bits, n, a, b), unreachable!("a size without kernels")) }
}

proptest! {
    #![proptest_config(crate::crypto::rsa::tests::cases(8))]

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
    let (zero, ones) = ([0; WORDS], [u64::MAX; WORDS]);
    let mut one = zero;
    one[0] = 1;
    let mut two = zero;
    two[0] = 2;
    for bits in PRIME_BITS {
        let n = [ones, zero, ones, zero, ones, zero, ones, zero];
        // n - 1 of each modulus.
        let top = n.map(|n| {
            let mut n = modulus(n, bits);
            n[0] -= 1;
            n
        });
        agrees_at(bits, &n, &[zero, zero, one, one, top[4], top[5], ones, two], &top);
        agrees_at(bits, &n, &top, &top);
        agrees_at(bits, &n, &top, &[zero, one, zero, one, two, two, ones, ones]);
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn verdicts<const L: usize>(n: &[Words; LANES], bases: &[Words; LANES], bits: usize) -> (u8, u8)
where
    Kernels: Kernel<L>,
{
    (fermat::<L>(n, bits), Moduli::<L>::new(n, bits).miller_rabin(n, bases, bits))
}

/// The verdicts of both tests on the numbers of one window, primes and composites.
#[test]
fn verdicts_agree_with_the_portable_tests() {
    if !available() {
        return;
    }
    for bits in [256, 512, 704, 992] {
        let spec = KeySpec::new(2 * bits, Exponent::THREE).unwrap();
        let id = WindowId { side: Side::P, attempt: 0, window: 0 };
        let stream = stream("verdicts");
        let window = Window::draw(&spec, &stream, id).unwrap();
        // SAFETY: the machine has the instructions.
        let left = unsafe { super::sieve::survivors(&window, &spec) };
        let portable = crate::crypto::rsa::sieve::survivors::<WORDS>(&window, &spec, u32::MAX);
        if bits < 640 {
            // Half as deep: it leaves more.
            assert!(left.len() > portable.len() && portable.iter().all(|t| left.contains(t)), "{bits}");
        } else {
            assert_eq!(left, portable, "{bits}");
        }
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
            if bits == 512 {
                let portable = Candidate::<8>::new(&lanes[0]);
                assert_eq!(fermat & 1 == 1, portable.passes_fermat());
                assert_eq!(miller_rabin & 1 == 1, portable.passes_miller_rabin(&bases[0]));
            }
        }
        assert!(primes > 0, "{bits}");
    }
}

/// Numbers whose n - 1 has many factors of two, and composites that fool base 2.
#[test]
fn miller_rabin_counts_the_twos() {
    if !available() {
        return;
    }
    let bits = 256;
    // 3·2^254 + k·2^32 + 1: prime for some k.
    let mut candidates = (0_u64..400).map(|k| {
        let mut n = [0; WORDS];
        n[3] = 3 << 62;
        n[0] = k << 32 | 1;
        n
    });
    let chosen: Vec<Words> = candidates.by_ref().collect();
    let primes = chosen.iter().filter(|n| is_prime(&sample::to_be(n, 32))).count();
    assert!(primes > 0);
    for eight in chosen.chunks_exact(LANES) {
        let lanes: [Words; LANES] = eight.try_into().unwrap();
        let mut three = [0; WORDS];
        three[0] = 3;
        // SAFETY: the machine has the instructions.
        let verdicts = unsafe { Moduli::<10>::new(&lanes, bits).miller_rabin(&lanes, &[three; LANES], bits) };
        for (i, n) in lanes.iter().enumerate() {
            assert_eq!(verdicts >> i & 1 == 1, Candidate::<4>::new(n).passes_miller_rabin(&three));
        }
    }
}

#[test]
fn the_lanes_give_the_portable_keys() {
    let specs = [
        (512, Exponent::THREE),
        (1024, Exponent::F4),
        (1040, Exponent::THREE),
        (1280, Exponent::THREE),
        (1408, Exponent::F4),
        (1984, Exponent::THREE),
    ];
    let streams: Vec<_> = (0..specs.len()).map(|i| stream(&format!("keys {i}"))).collect();
    let mut jobs = Vec::new();
    for ((bits, exponent), stream) in specs.into_iter().zip(&streams) {
        jobs.push((KeySpec::new(bits, exponent).unwrap(), stream));
    }
    let small = KeySpec::new(512, Exponent::F4).unwrap();
    jobs.extend(streams.iter().chain(&streams[..5]).map(|stream| (small, stream)));
    jobs.push((small.with_sampling(Sampling::FreshCandidates), &streams[0]));
    let lanes = generate_batch(Backend::Avx512, &jobs);
    let quads = generate_batch(Backend::Avx2, &jobs);
    for ((spec, stream), (key, quad)) in jobs.iter().zip(lanes.into_iter().zip(quads)) {
        let (portable, key, quad) = (generate(*spec, stream).unwrap(), key.unwrap(), quad.unwrap());
        assert_eq!((key.p(), key.q(), key.qinv()), (quad.p(), quad.q(), quad.qinv()), "{}", spec.bits());
        for (a, b) in [
            (portable.p(), key.p()),
            (portable.q(), key.q()),
            (portable.dp(), key.dp()),
            (portable.dq(), key.dq()),
            (portable.qinv(), key.qinv()),
        ] {
            assert_eq!(a, b, "{}", spec.bits());
        }
        assert_eq!(portable.public(), key.public());
    }
}

#[test]
fn one_key_or_many_are_the_same() {
    let spec = KeySpec::new(1024, Exponent::F4).unwrap();
    let streams: Vec<_> = (0..19).map(|i| stream(&format!("many {i}"))).collect();
    let jobs: Vec<_> = streams.iter().map(|s| (spec, s)).collect();
    let many = generate_batch(Backend::Avx512, &jobs);
    for (job, key) in jobs.iter().zip(many) {
        let alone = generate_batch(Backend::Avx512, &[*job]).pop().unwrap().unwrap();
        assert_eq!(alone.p(), key.unwrap().p());
    }
}

#[test]
fn the_lanes_give_the_portable_signatures() {
    for (bits, exponent) in
        [(512, Exponent::F4), (1040, Exponent::THREE), (1408, Exponent::F4), (1984, Exponent::THREE)]
    {
        let key = generate(KeySpec::new(bits, exponent).unwrap(), &stream("signatures")).unwrap();
        let mut edge = key.public().modulus().to_vec();
        *edge.last_mut().unwrap() -= 1;
        let mut blocks: Vec<_> = (0..10).map(|i| vec![i * 13; edge.len()]).collect();
        blocks.push(edge);
        blocks.insert(3, vec![0xFF; bits / 8]);
        blocks.insert(9, vec![1; 5]);
        let portable = sign_batch(Backend::Portable, &key, &blocks);
        let lanes = sign_batch(Backend::Avx512, &key, &blocks);
        assert_eq!(portable, lanes);
        assert_eq!(portable, sign_batch(Backend::Avx2, &key, &blocks));
        assert_eq!(lanes.iter().filter(|s| s.is_err()).count(), 2);
    }
}

#[test]
fn a_fault_in_one_lane_is_not_given_out() {
    let spec = KeySpec::new(512, Exponent::F4).unwrap();
    let mut key = generate(spec, &stream("fault")).unwrap();
    key.dq = generate(spec, &stream("another")).unwrap().dq().duplicate();
    for backend in [Backend::Avx2, Backend::Avx512] {
        let signed = sign_batch(backend, &key, &vec![vec![0x11; 64]; 9]);
        assert!(signed.iter().all(Result::is_err));
    }
}
