//! Writes the assembly of the AVX-512 IFMA kernels; their mathematics stands in
//! `src/crypto/rsa/lanes/mod.rs`. Those for AVX2 are in `build/avx2.rs`.
//!
//! The kernels are straight-line code whose speed comes from hand-allocated registers, so a program writes
//! them: each build makes them again, and no generated file is kept.

#[path = "build/avx2.rs"]
mod avx2;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

/// 52-bit limbs of the kernels. `lanes/kernel.rs` names the same sizes.
const SIZES: [usize; 7] = [10, 12, 13, 14, 15, 17, 20];

/// Bytes of one vector.
const ZMM: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// o = 2^sh a a / R.
    Square,
    /// o = a b / R.
    Multiply,
}

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/avx2.rs");
    let mut text = String::new();
    for limbs in SIZES {
        for kind in [Kind::Square, Kind::Multiply] {
            let name = if kind == Kind::Square { "square" } else { "multiply" };
            let lines: Vec<String> = kernel(limbs, kind).iter().map(|line| format!("{line:?}")).collect();
            // A macro, so that the kernel stands inside the function that gives its operands.
            let _ =
                writeln!(text, "macro_rules! {name}_{limbs} {{ ($($operand:tt)*) => {{ ::core::arch::asm!(");
            let _ = writeln!(text, "{},\n$($operand)*) }}; }}", lines.join(",\n"));
        }
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo gives OUT_DIR"))?;
    let out = PathBuf::from(out);
    fs::write(out.join("ifma_kernels.rs"), text)?;
    fs::write(out.join("avx2_kernels.rs"), avx2::text())
}

/// One kernel: `limbs` columns of product and reduction, one after the other; a column is retired as soon
/// as the reduction has made it zero, so that limbs + 1 accumulators live at a time, in a ring of
/// registers.
fn kernel(limbs: usize, kind: Kind) -> Vec<String> {
    let ring = limbs + 1;
    let column = |k: usize| format!("zmm{}", k % ring);
    let mut free: Vec<String> = (ring..32).map(|i| format!("zmm{i}")).collect();
    let mut take =
        || free.pop().unwrap_or_else(|| unreachable!("a kernel of at most 20 limbs leaves registers"));
    let (q, y, x) = (take(), take(), take());
    // As many limbs of n as there are registers left; the others are read from memory.
    let kept = free.len().min(limbs);
    let modulus = |j: usize| {
        free.get(j)
            .filter(|_| j < kept)
            .cloned()
            .unwrap_or_else(|| format!("zmmword ptr [{{n}}+{}]", ZMM * j))
    };
    let mut code = Code::default();
    for (j, register) in free.iter().enumerate().take(kept) {
        code.push(format!("vmovdqa64 {register},zmmword ptr [{{n}}+{}]", ZMM * j));
    }
    for k in 0..ring {
        code.push(format!("vpxorq {0},{0},{0}", column(k)));
    }
    code.rows =
        (0..limbs).flat_map(|i| row(limbs, kind, i, &x, &column).into_iter().map(move |t| (i, t))).collect();
    code.rows.reverse();
    code.pull_rows(0);
    let quota = code.rows.len().div_ceil(limbs - 1);

    for k in 0..limbs {
        // The rows that add to column k.
        code.pull_rows(if kind == Kind::Square { k / 2 } else { k });
        code.push(format!("vpxorq {q},{q},{q}"));
        code.push(format!("vpmadd52luq {q},{},zmmword ptr [{{n0}}]", column(k)));
        code.push(format!("vpaddq {y},{},zmmword ptr [{{mask}}]", column(k)));
        code.push(format!("vpsrlq {y},{y},52"));
        let low = |j: usize| format!("vpmadd52luq {},{q},{}", column(k + j), modulus(j));
        let high = |j: usize| format!("vpmadd52huq {},{q},{}", column(k + j + 1), modulus(j));
        // First what the next column waits for.
        let mut reduction =
            vec![low(1), format!("vpmadd52huq {y},{q},{}", modulus(0)), low(2), low(3), high(1)];
        reduction.push(format!("vpaddq {0},{0},{y}", column(k + 1)));
        reduction.extend((4..limbs).map(low));
        reduction.extend((2..limbs).map(high));
        // Rows of the product between them, one instruction for two.
        let mut left = quota;
        for (t, line) in reduction.into_iter().enumerate() {
            code.push(line);
            if t % 2 == 1 && left > 0 {
                code.pull(1, k);
                left -= 1;
            }
        }
        code.pull(left, k);
        if k < limbs - 1 {
            code.push(format!("vpxorq {0},{0},{0}", column(k)));
        }
    }
    code.pull_rows(limbs);
    carries(&mut code, limbs, kind, [&q, &x], &free, &column);
    code.lines
}

/// Row i of the product. Squaring takes limb i squared, then limb i times the doubled limbs above it: the
/// doubled number from limb i + 1 on, whose lowest limb has no carry in.
fn row(limbs: usize, kind: Kind, i: usize, x: &str, column: &impl Fn(usize) -> String) -> Vec<String> {
    let at = |base: &str, index: usize| format!("zmmword ptr [{{{base}}}+{}]", ZMM * index);
    let terms: Vec<(usize, String)> = match kind {
        Kind::Square => std::iter::once((2 * i, x.to_owned()))
            .chain(
                (i + 1..limbs).map(|j| (i + j, at("a", if j == i + 1 { 2 * limbs + j } else { limbs + j }))),
            )
            .collect(),
        Kind::Multiply => (0..limbs).map(|j| (i + j, at("a", j))).collect(),
    };
    let mut lines = vec![format!("vmovdqa64 {x},{}", at(if kind == Kind::Square { "a" } else { "b" }, i))];
    lines.extend(terms.iter().map(|(c, operand)| format!("vpmadd52luq {},{x},{operand}", column(*c))));
    lines.extend(terms.iter().map(|(c, operand)| format!("vpmadd52huq {},{x},{operand}", column(c + 1))));
    lines
}

/// The last pass: shifts each column, carries into the next one, and stores the limbs in the three forms that a
/// squaring reads.
fn carries(
    code: &mut Code,
    limbs: usize,
    kind: Kind,
    [limb, carry]: [&str; 2],
    free: &[String],
    column: &impl Fn(usize) -> String,
) {
    let [mask, shift, doubled, top_bit, ..] = free else {
        unreachable!("a kernel of at most 20 limbs leaves eight registers")
    };
    code.push(format!("vmovdqa64 {mask},zmmword ptr [{{mask}}]"));
    if kind == Kind::Square {
        code.push(format!("vmovdqa64 {shift},zmmword ptr [{{sh}}]"));
        for k in 0..limbs {
            code.push(format!("vpsllvq {0},{0},{shift}", column(limbs + k)));
        }
    }
    for k in 0..limbs {
        let c = column(limbs + k);
        let is_last = k == limbs - 1;
        if k > 0 {
            code.push(format!("vpaddq {c},{c},{carry}"));
        }
        if is_last {
            code.push(format!("vmovdqa64 {limb},{c}"));
        } else {
            code.push(format!("vpsrlq {carry},{c},52"));
            code.push(format!("vpandq {limb},{c},{mask}"));
        }
        code.push(format!("vmovdqa64 zmmword ptr [{{o}}+{}],{limb}", ZMM * k));
        if k > 0 {
            code.push(format!("vpaddq {doubled},{c},{c}"));
            if !is_last {
                code.push(format!("vpandq {doubled},{doubled},{mask}"));
            }
            code.push(format!("vmovdqa64 zmmword ptr [{{o}}+{}],{doubled}", ZMM * (2 * limbs + k)));
            if k > 1 {
                code.push(format!("vporq {doubled},{doubled},{top_bit}"));
                code.push(format!("vmovdqa64 zmmword ptr [{{o}}+{}],{doubled}", ZMM * (limbs + k)));
            }
        }
        code.push(format!("vpsrlq {top_bit},{limb},51"));
    }
}

#[derive(Default)]
struct Code {
    lines: Vec<String>,
    /// Instructions of the product's rows that are not placed yet, last one first.
    rows: Vec<(usize, String)>,
}

impl Code {
    fn push(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Places up to `count` instructions of rows up to `row`.
    fn pull(&mut self, count: usize, row: usize) {
        for _ in 0..count {
            if self.rows.last().is_none_or(|(of, _)| *of > row) {
                break;
            }
            self.lines.extend(self.rows.pop().map(|(_, line)| line));
        }
    }

    /// Places all instructions of rows up to `row`.
    fn pull_rows(&mut self, row: usize) {
        self.pull(usize::MAX, row);
    }
}
