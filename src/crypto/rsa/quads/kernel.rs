//! The generated kernels behind one trait. `build/avx2.rs` writes them.

use zeroize::Zeroize;

use super::{LANES, LIMB_MASK, Lane, Num};

include!(concat!(env!("OUT_DIR"), "/avx2_kernels.rs"));

/// The constants of all kernels, four times each.
#[repr(C, align(64))]
struct Constants([[u64; 4]; 8]);

static CONSTANTS: Constants = Constants([
    // C = 1.5 * 2^103, C + K, the mask of a limb, 2^52, 2^52 + 2^50, K = 1.5 * 2^52.
    [C; 4],
    [C | 3; 4],
    [LIMB_MASK; 4],
    [TWO_52; 4],
    [TWO_52 | 1 << 50; 4],
    [TWO_52 | 1 << 51; 4],
    // The bias of a sum, and the same without that of a carry.
    [1 << 62 | 1 << 50; 4],
    [(1 << 62 | 1 << 50) - (1 << 11); 4],
]);

const C: u64 = (1023 + 103) << 52 | 1 << 51;
const TWO_52: u64 = (1023 + 52) << 52;

/// How far each lane's square is shifted: 0 or 1.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Shifts(pub(super) [u64; LANES]);

/// What a kernel notes on its way: the quotient's limbs and a carry, for at most 20 limbs. Wiped when dropped.
#[repr(C, align(64))]
pub(super) struct Scratch([Lane; 21]);

impl Scratch {
    pub(super) const fn new() -> Self {
        Self([Lane([0.0; LANES]); 21])
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for lane in &mut self.0 {
            lane.0.zeroize();
        }
    }
}

/// The kernels for numbers of `L` limbs.
pub(super) trait Kernel<const L: usize> {
    /// x = 2^shift x^2 / R mod n, lane by lane.
    ///
    /// # Safety
    /// The machine must have AVX2 and FMA.
    unsafe fn square(x: &mut Num<L>, n: &Num<L>, n0: &Lane, shift: &Shifts, scratch: &mut Scratch);

    /// x = x b / R mod n, lane by lane.
    ///
    /// # Safety
    /// The machine must have AVX2 and FMA.
    unsafe fn multiply(x: &mut Num<L>, b: &Num<L>, n: &Num<L>, n0: &Lane, scratch: &mut Scratch);
}

/// The size whose kernels are meant.
pub(super) struct Kernels;

macro_rules! kernels {
    ($($limbs:literal $square:ident $multiply:ident $first_of_square:ident $first_of_multiply:ident;)+) => { $(
        impl Kernel<$limbs> for Kernels {
            #[inline(never)]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn square(
                x: &mut Num<$limbs>,
                n: &Num<$limbs>,
                n0: &Lane,
                shift: &Shifts,
                scratch: &mut Scratch,
            ) {
                // SAFETY: the kernel reads L lanes at `a` and `n`, one at `n0` and `sh`, 2 L constants at `f` and 8 at
                // `c`, writes L lanes at `a`, each after its last read, and reads and writes L + 1 of the 21 lanes at
                // `q`. No access needs an alignment above that of its type. It changes no register but those named,
                // no stack, and of the floating-point control word the exception flags only.
                unsafe {
                    $square!(
                        a = in(reg) std::ptr::from_mut(x), n = in(reg) n, n0 = in(reg) n0, sh = in(reg) shift,
                        c = in(reg) &raw const CONSTANTS, f = in(reg) &raw const $first_of_square,
                        q = in(reg) std::ptr::from_mut(scratch), i = out(reg) _, j = out(reg) _,
                        out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                        out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                        out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _, options(nostack)
                    );
                }
            }

            #[inline(never)]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn multiply(
                x: &mut Num<$limbs>,
                b: &Num<$limbs>,
                n: &Num<$limbs>,
                n0: &Lane,
                scratch: &mut Scratch,
            ) {
                // SAFETY: as for the squaring, with L lanes at `b` read and no shift.
                unsafe {
                    $multiply!(
                        a = in(reg) std::ptr::from_mut(x), b = in(reg) b, n = in(reg) n, n0 = in(reg) n0,
                        c = in(reg) &raw const CONSTANTS, f = in(reg) &raw const $first_of_multiply,
                        q = in(reg) std::ptr::from_mut(scratch), i = out(reg) _, j = out(reg) _,
                        out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                        out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                        out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _, options(nostack)
                    );
                }
            }
        }
    )+ };
}

kernels! {
    6 square_6 multiply_6 SQUARE_6 MULTIPLY_6;
    11 square_11 multiply_11 SQUARE_11 MULTIPLY_11;
    12 square_12 multiply_12 SQUARE_12 MULTIPLY_12;
    13 square_13 multiply_13 SQUARE_13 MULTIPLY_13;
    14 square_14 multiply_14 SQUARE_14 MULTIPLY_14;
    16 square_16 multiply_16 SQUARE_16 MULTIPLY_16;
    17 square_17 multiply_17 SQUARE_17 MULTIPLY_17;
    20 square_20 multiply_20 SQUARE_20 MULTIPLY_20;
}

/// Runs `$body` with `$limbs` bound to the smallest kernel size for numbers of `$bits` bits; `$otherwise`
/// where there is none.
macro_rules! by_limbs {
    ($bits:expr, $limbs:ident => $body:expr, $otherwise:expr) => {{
        macro_rules! arm {
            ($size:literal) => {{
                const $limbs: usize = $size;
                $body
            }};
        }
        match $crate::crypto::rsa::quads::limbs_for($bits) {
            0..=6 => arm!(6),
            7..=11 => arm!(11),
            12 => arm!(12),
            13 => arm!(13),
            14 => arm!(14),
            15..=16 => arm!(16),
            17 => arm!(17),
            18..=20 => arm!(20),
            _ => $otherwise,
        }
    }};
}
pub(super) use by_limbs;
