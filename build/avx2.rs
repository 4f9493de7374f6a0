//! Writes the assembly of the AVX2 kernels; their mathematics stands in `src/crypto/rsa/quads/mod.rs`.

#![allow(
    clippy::indexing_slicing,
    reason = "columns are counted by the loops that name them; a build that stops is seen"
)]

use std::fmt::Write as _;
use std::ops::Range;

use super::Kind;

/// Limbs of 51 bits of the kernels. `quads/kernel.rs` names the same sizes.
pub(super) const SIZES: [usize; 8] = [6, 11, 12, 13, 14, 16, 17, 20];

/// Bytes of one limb of eight numbers: two vectors, one for each half of the lanes.
const LIMB: usize = 64;

/// Columns that are worked on at a time, each with its sum in a register.
const BLOCK: usize = 3;

/// Registers of one half of the lanes: the sums, a factor, two temporaries.
const HALF: usize = BLOCK + 4;

/// The double 1.5 * 2^103 as an integer: what each upper half carries beside itself.
const UPPER: u64 = (1023 + 103) << 52 | 1 << 51;

/// The double 1.5 * 2^52 as an integer: what each lower half carries beside itself.
const LOWER: u64 = (1023 + 52) << 52 | 1 << 51;

/// Makes a sum positive, and rounds the carry: 2^62 + 2^50.
const BIAS: u64 = 1 << 62 | 1 << 50;

/// What a carry out of a biased sum has too much: 2^62 / 2^51.
const CARRY_BIAS: u64 = 1 << 11;

/// The kernels of all sizes as macros, and the table of first sums of each.
pub(super) fn text() -> String {
    let mut text = String::new();
    for limbs in SIZES {
        for kind in [Kind::Square, Kind::Multiply] {
            let name = if kind == Kind::Square { "square" } else { "multiply" };
            let mut kernel = Kernel::new(limbs, kind);
            kernel.write();
            let lines: Vec<String> = kernel.lines.iter().map(|line| format!("{line:?}")).collect();
            let _ =
                writeln!(text, "macro_rules! {name}_{limbs} {{ ($($operand:tt)*) => {{ ::core::arch::asm!(");
            let _ = writeln!(text, "{},\n$($operand)*) }}; }}", lines.join(",\n"));
            let first: Vec<String> = kernel.first.iter().map(|sum| format!("[{sum}; 4]")).collect();
            let upper = name.to_uppercase();
            let _ = writeln!(
                text,
                "static {upper}_{limbs}: [[u64; 4]; {}] = [{}];",
                kernel.first.len(),
                first.join(", ")
            );
        }
    }
    text
}

/// One kernel, column by column in blocks. Each half of the lanes has registers of its own; an instruction of one half
/// and the same of the other follow each other, so that neither waits for its own results.
struct Kernel {
    limbs: usize,
    kind: Kind,
    lines: Vec<String>,
    /// Halves of products that each column takes: upper, lower.
    taken: Vec<[u64; 2]>,
    /// What each column's sum begins with.
    first: Vec<u64>,
}

/// A constant: the vector of that number at `c`, the same for both halves.
const ONE_AND_A_HALF: &str = "ymm14";
const DIFFERENCE: &str = "ymm15";
const MASK: &str = "{c:2}";
const EXPONENT: &str = "{c:3}";
const OFFSET: &str = "{c:4}";
const TO_SIGNED: &str = "{c:5}";
const ADD_BIAS: &str = "{c:6}";
const ADD_BIAS_LESS_CARRY: &str = "{c:7}";

/// Registers by their role: in the text of an instruction they stand for those of one half.
const FACTOR: &str = "%F";
const UPPER_HALF: &str = "%U";
const LOWER_HALF: &str = "%L";

impl Kernel {
    fn new(limbs: usize, kind: Kind) -> Self {
        let taken = vec![[0, 0]; 2 * limbs + 1];
        Self { limbs, kind, lines: Vec::new(), taken, first: Vec::new() }
    }

    /// The instruction for both halves.
    fn push(&mut self, line: &str) {
        for half in 0..2 {
            let mut text = line.to_owned();
            for i in 0..=BLOCK {
                text = text.replace(&format!("%S{i}"), &format!("ymm{}", half * HALF + i));
            }
            for (role, i) in [(FACTOR, BLOCK + 1), (UPPER_HALF, BLOCK + 2), (LOWER_HALF, BLOCK + 3)] {
                text = text.replace(role, &format!("ymm{}", half * HALF + i));
            }
            self.lines.push(text.replace("%H", &(half * LIMB / 2).to_string()));
        }
    }

    /// The sum of column `k`.
    fn sum(k: usize) -> String {
        format!("%S{}", k % (BLOCK + 1))
    }

    /// Limb `i` of the number at `base`.
    fn limb_of(base: &str, i: usize) -> String {
        format!("ymmword ptr [{{{base}}}+{}+%H]", LIMB * i)
    }

    /// Adds the factor times the limb in memory to columns k and k + 1.
    fn product(&mut self, k: usize, memory: &str) {
        let (at, above) = (Self::sum(k), Self::sum(k + 1));
        self.push(&format!("vmovapd {UPPER_HALF},{ONE_AND_A_HALF}"));
        self.push(&format!("vfmadd231pd {UPPER_HALF},{FACTOR},{memory}"));
        self.push(&format!("vsubpd {LOWER_HALF},{DIFFERENCE},{UPPER_HALF}"));
        self.push(&format!("vpaddq {above},{above},{UPPER_HALF}"));
        self.push(&format!("vfmadd231pd {LOWER_HALF},{FACTOR},{memory}"));
        self.push(&format!("vpaddq {at},{at},{LOWER_HALF}"));
        self.taken[k][1] += 1;
        self.taken[k + 1][0] += 1;
    }

    fn write(&mut self) {
        let (limbs, columns) = (self.limbs, 2 * self.limbs);
        self.lines.push(format!("vmovapd {ONE_AND_A_HALF},ymmword ptr [{{c}}]"));
        self.lines.push(format!("vmovapd {DIFFERENCE},ymmword ptr [{{c}}+32]"));
        for start in (0..columns).step_by(BLOCK) {
            let end = (start + BLOCK).min(columns);
            for k in start..=end {
                if (k > start || start == 0) && k < columns {
                    self.push(&format!("vmovdqu {},ymmword ptr [{{f}}+{}]", Self::sum(k), 32 * k));
                }
            }
            let in_block = |i: usize, from: usize| -> Vec<usize> {
                (from..limbs).filter(|j| (start..end).contains(&(i + j))).collect()
            };
            // Products of both numbers. A square takes each limb times itself, and twice the limb times those above.
            let is_square = self.kind == Kind::Square;
            let base = if is_square { "a" } else { "b" };
            let full =
                end.saturating_sub(limbs)..if is_square { start.div_ceil(2) } else { (start + 1).min(limbs) };
            self.rows(start..end, full.clone(), base, "a", is_square);
            for i in (0..limbs).filter(|i| !full.contains(i)) {
                let js = in_block(i, if is_square { i } else { 0 });
                if js.is_empty() {
                    continue;
                }
                self.push(&format!("vmovapd {FACTOR},{}", Self::limb_of(base, i)));
                let mut doubled = !is_square;
                for j in js {
                    if !doubled && j > i {
                        self.push(&format!("vaddpd {FACTOR},{FACTOR},{FACTOR}"));
                        doubled = true;
                    }
                    self.product(i + j, &Self::limb_of("a", j));
                }
            }
            // Products of the modulus and the quotient's limbs of earlier blocks.
            let earlier = start.min(limbs);
            let full = end.saturating_sub(limbs)..earlier;
            self.rows(start..end, full.clone(), "q", "n", false);
            for i in (0..earlier).filter(|i| !full.contains(i)) {
                let js = in_block(i, 0);
                if js.is_empty() {
                    continue;
                }
                self.push(&format!("vmovapd {FACTOR},{}", Self::limb_of("q", i)));
                for j in js {
                    self.product(i + j, &Self::limb_of("n", j));
                }
            }
            for k in start..end {
                if k < limbs { self.quotient(end, k) } else { self.limb(k, k + 1 == end) }
            }
        }
        let constants = [MASK, EXPONENT, OFFSET, TO_SIGNED, ADD_BIAS, ADD_BIAS_LESS_CARRY];
        for line in &mut self.lines {
            for (i, constant) in (2..).zip(constants) {
                *line = line.replace(constant, &format!("ymmword ptr [{{c}}+{}]", 32 * i));
            }
        }
        self.first = (0..columns)
            .map(|k| {
                let [upper, lower] = self.taken[k];
                let bias = if k < limbs { BIAS } else { 0 };
                let carry = if (1..=limbs).contains(&k) { CARRY_BIAS } else { 0 };
                bias.wrapping_sub(upper.wrapping_mul(UPPER))
                    .wrapping_sub(lower.wrapping_mul(LOWER))
                    .wrapping_sub(carry)
            })
            .collect();
    }

    /// The rows that reach all columns of a block, in a loop: fully written out, the kernels of the larger sizes would
    /// not fit the cache of decoded instructions.
    fn rows(&mut self, columns: Range<usize>, rows: Range<usize>, factor: &str, other: &str, doubled: bool) {
        if rows.is_empty() {
            return;
        }
        // {i} is the byte offset of the row's factor, {j} that of the other limb of the block's first column.
        self.lines.push(format!("mov {{i:e}},{}", LIMB * rows.start));
        self.lines.push(format!("mov {{j:e}},{}", LIMB * (columns.start - rows.start)));
        self.lines.push("2:".into());
        self.push(&format!("vmovapd {FACTOR},ymmword ptr [{{{factor}}}+{{i}}+%H]"));
        if doubled {
            self.push(&format!("vaddpd {FACTOR},{FACTOR},{FACTOR}"));
        }
        let before = self.taken.clone();
        for (at, k) in columns.enumerate() {
            self.product(k, &format!("ymmword ptr [{{{other}}}+{{j}}+{}+%H]", LIMB * at));
        }
        for (taken, before) in self.taken.iter_mut().zip(before) {
            for (taken, before) in taken.iter_mut().zip(before) {
                *taken += (*taken - before) * (rows.len() as u64 - 1);
            }
        }
        self.lines.push(format!("add {{i}},{LIMB}"));
        self.lines.push(format!("sub {{j}},{LIMB}"));
        self.lines.push(format!("cmp {{i:e}},{}", LIMB * rows.end));
        self.lines.push("jne 2b".into());
    }

    /// Limb k of the quotient, its products inside the block, the carry out of column k.
    fn quotient(&mut self, end: usize, k: usize) {
        let (sum, above) = (Self::sum(k), Self::sum(k + 1));
        // The sum's lowest limb as a double from -2^50 to 2^50.
        self.push(&format!("vpand {FACTOR},{sum},{MASK}"));
        self.push(&format!("vpor {FACTOR},{FACTOR},{EXPONENT}"));
        self.push(&format!("vsubpd {FACTOR},{FACTOR},{OFFSET}"));
        // The lower half of its product with -1/n.
        self.push(&format!("vmovapd {UPPER_HALF},{ONE_AND_A_HALF}"));
        self.push(&format!("vfmadd231pd {UPPER_HALF},{FACTOR},{}", Self::limb_of("n0", 0)));
        self.push(&format!("vsubpd {LOWER_HALF},{DIFFERENCE},{UPPER_HALF}"));
        self.push(&format!("vfmadd231pd {LOWER_HALF},{FACTOR},{}", Self::limb_of("n0", 0)));
        self.push(&format!("vsubpd {FACTOR},{LOWER_HALF},{TO_SIGNED}"));
        self.push(&format!("vmovapd {},{FACTOR}", Self::limb_of("q", k)));
        for j in 0..(end - k).min(self.limbs) {
            self.product(k + j, &Self::limb_of("n", j));
            if j == 0 {
                self.push(&format!("vpsrlq {sum},{sum},51"));
                self.push(&format!("vpaddq {above},{above},{sum}"));
            }
        }
    }

    /// Limb k - `limbs` of the result, and the carry out of it, which waits in memory for the next block.
    fn limb(&mut self, k: usize, is_last: bool) {
        let (sum, at) = (Self::sum(k), k - self.limbs);
        if self.kind == Kind::Square {
            self.push(&format!("vpsllvq {sum},{sum},ymmword ptr [{{sh}}+%H]"));
        }
        self.push(&format!("vpaddq {sum},{sum},{}", if at == 0 { ADD_BIAS } else { ADD_BIAS_LESS_CARRY }));
        if at > 0 {
            let carry =
                if k.is_multiple_of(BLOCK) { Self::limb_of("q", self.limbs) } else { UPPER_HALF.into() };
            self.push(&format!("vpaddq {sum},{sum},{carry}"));
        }
        self.push(&format!("vpsrlq {UPPER_HALF},{sum},51"));
        self.push(&format!("vpand {sum},{sum},{MASK}"));
        self.push(&format!("vpor {sum},{sum},{EXPONENT}"));
        self.push(&format!("vsubpd {sum},{sum},{OFFSET}"));
        self.push(&format!("vmovapd {},{sum}", Self::limb_of("a", at)));
        if is_last {
            self.push(&format!("vmovdqa {},{UPPER_HALF}", Self::limb_of("q", self.limbs)));
        }
    }
}
