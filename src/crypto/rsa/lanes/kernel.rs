//! The generated kernels behind one trait. `build.rs` writes them.

use super::{LIMB_MASK, Lane, Num};

include!(concat!(env!("OUT_DIR"), "/ifma_kernels.rs"));

static MASK: Lane = Lane([LIMB_MASK; 8]);

/// A number in the three forms that a squaring reads, and that every kernel writes: its limbs; the limbs of
/// its double; those without the carry from the limb below.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Forms<const L: usize>(pub(super) [Num<L>; 3]);

/// The kernels for numbers of `L` limbs.
pub(super) trait Kernel<const L: usize> {
    /// x = 2^shift x^2 / R mod n, lane by lane, `shift` 0 or 1.
    ///
    /// # Safety
    /// The machine must have AVX-512F and IFMA.
    unsafe fn square(x: &mut Forms<L>, n: &Num<L>, n0: &Lane, shift: &Lane);

    /// x = x b / R mod n, lane by lane.
    ///
    /// # Safety
    /// The machine must have AVX-512F and IFMA.
    unsafe fn multiply(x: &mut Forms<L>, b: &Num<L>, n: &Num<L>, n0: &Lane);
}

/// The size whose kernels are meant.
pub(super) struct Kernels;

macro_rules! kernels {
    ($($limbs:literal $square:ident $multiply:ident;)+) => { $(
        impl Kernel<$limbs> for Kernels {
            #[target_feature(enable = "avx512f,avx512ifma")]
            unsafe fn square(x: &mut Forms<$limbs>, n: &Num<$limbs>, n0: &Lane, shift: &Lane) {
                let x = std::ptr::from_mut(x);
                // SAFETY: the kernel reads 3 L vectors at `a`, L at `n`, one at `n0`, `sh` and `mask`, and
                // writes 3 L at `o` = `a` after its last read; all are aligned to 64 bytes by their types.
                // It changes no register but those named, and no stack.
                unsafe {
                    $square!(
                        a = in(reg) x, o = in(reg) x, n = in(reg) n, n0 = in(reg) n0, sh = in(reg) shift,
                        mask = in(reg) &raw const MASK,
                        out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                        out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                        out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                        out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                        out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
                        out("zmm30") _, out("zmm31") _, options(nostack)
                    );
                }
            }

            #[target_feature(enable = "avx512f,avx512ifma")]
            unsafe fn multiply(x: &mut Forms<$limbs>, b: &Num<$limbs>, n: &Num<$limbs>, n0: &Lane) {
                let x = std::ptr::from_mut(x);
                // SAFETY: the kernel reads L vectors at `a`, `b` and `n`, one at `n0` and `mask`, and
                // writes 3 L at `o` = `a` after its last read; all are aligned to 64 bytes by their types.
                // It changes no register but those named, and no stack.
                unsafe {
                    $multiply!(
                        a = in(reg) x, b = in(reg) b, o = in(reg) x, n = in(reg) n, n0 = in(reg) n0,
                        mask = in(reg) &raw const MASK,
                        out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                        out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                        out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                        out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                        out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
                        out("zmm30") _, out("zmm31") _, options(nostack)
                    );
                }
            }
        }
    )+ };
}

kernels! {
    10 square_10 multiply_10;
    12 square_12 multiply_12;
    13 square_13 multiply_13;
    14 square_14 multiply_14;
    15 square_15 multiply_15;
    17 square_17 multiply_17;
    20 square_20 multiply_20;
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
        match $crate::crypto::rsa::lanes::limbs_for($bits) {
            0..=10 => arm!(10),
            11..=12 => arm!(12),
            13 => arm!(13),
            14 => arm!(14),
            15 => arm!(15),
            16..=17 => arm!(17),
            18..=20 => arm!(20),
            _ => $otherwise,
        }
    }};
}
pub(super) use by_limbs;
