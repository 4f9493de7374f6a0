//! Montgomery arithmetic on 64-bit words for one modulus of `N` words, in constant time.
//!
//! R = 2^(64 N). Every value stays below the modulus n: a product of two such values is (a b + q n) / R with
//! q < R, so it is below 2 n, and one conditional subtraction brings it back.

#![allow(clippy::indexing_slicing, reason = "indexes run over arrays whose length is a constant of the type")]

use std::hint::black_box;

use zeroize::Zeroize;

/// A modulus with the constants of its arithmetic. Wiped when dropped: it may be a prime.
pub(super) struct Mont<const N: usize> {
    n: [u64; N],
    /// -1/n mod 2^64.
    n0: u64,
    /// R mod n: one in Montgomery form.
    one: [u64; N],
}

impl<const N: usize> Mont<N> {
    /// The arithmetic of the odd `n`, whose top word is not zero.
    pub(super) fn new(n: [u64; N]) -> Self {
        let mut inverse = n[0];
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(n[0].wrapping_mul(inverse)));
        }
        let mut mont = Self { n, n0: inverse.wrapping_neg(), one: [0; N] };
        // 2^(bits - 1) is below n (n is odd); double it up to R.
        let top_bit = 63_u32.saturating_sub(n[N - 1].leading_zeros());
        let mut one = [0; N];
        one[N - 1] = 1 << top_bit;
        for _ in top_bit..64 {
            mont.double(&mut one, 1);
        }
        mont.one = one;
        mont
    }

    /// One in Montgomery form.
    pub(super) fn one(&self) -> &[u64; N] {
        &self.one
    }

    /// R^2 mod n, which brings a number into Montgomery form.
    ///
    /// 2^N R, squared six times, is 2^(64 N) R.
    pub(super) fn r2(&self) -> [u64; N] {
        let mut x = self.one;
        for _ in 0..N {
            self.double(&mut x, 1);
        }
        for _ in 0..6 {
            x = self.mul(&x, &x);
        }
        x
    }

    /// a b / R mod n.
    #[inline]
    pub(super) fn mul(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let n = &self.n;
        let mut t = [0_u64; N];
        let mut top = 0_u64;
        for x in a {
            let (low, mut product_carry) = mac(t[0], *x, b[0], 0);
            let q = low.wrapping_mul(self.n0);
            let (_, mut reduce_carry) = mac(low, q, n[0], 0);
            for j in 1..N {
                let s;
                (s, product_carry) = mac(t[j], *x, b[j], product_carry);
                (t[j - 1], reduce_carry) = mac(s, q, n[j], reduce_carry);
            }
            let s = u128::from(top)
                .wrapping_add(u128::from(product_carry))
                .wrapping_add(u128::from(reduce_carry));
            (t[N - 1], top) = split(s);
        }
        self.subtract_once(&mut t, top);
        t
    }

    /// low + R high, any two values below R, in Montgomery form.
    ///
    /// A product with one factor below R and one below n is still below 2 n before its last subtraction.
    pub(super) fn wide_to_montgomery(&self, low: &[u64; N], high: &[u64; N], r2: &[u64; N]) -> [u64; N] {
        let low = self.mul(low, r2);
        let high = self.mul(&self.mul(high, r2), r2);
        self.add(&low, &high)
    }

    /// a + b mod n.
    fn add(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let mut out = [0; N];
        let mut carry = 0;
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            (*o, carry) = mac(*a, *b, 1, carry);
        }
        self.subtract_once(&mut out, carry);
        out
    }

    /// a - b mod n, for a and b below n.
    pub(super) fn sub(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        self.add(a, &self.negate(b))
    }

    /// x / R mod n: out of Montgomery form.
    pub(super) fn retrieve(&self, x: &[u64; N]) -> [u64; N] {
        let mut unit = [0; N];
        unit[0] = 1;
        self.mul(x, &unit)
    }

    /// x + x mod n where `bit` is 1, x where it is 0.
    #[inline]
    fn double(&self, x: &mut [u64; N], bit: u32) {
        let mask = u64::from(bit & 1).wrapping_neg();
        let mut carry = 0;
        for word in x.iter_mut() {
            let out = (*word & mask) >> 63;
            *word = (*word << (bit & 1)) | carry;
            carry = out;
        }
        self.subtract_once(x, carry);
    }

    /// n - x, for x from 0 to n.
    pub(super) fn negate(&self, x: &[u64; N]) -> [u64; N] {
        let mut out = [0; N];
        let mut borrow = 0;
        for ((o, n), x) in out.iter_mut().zip(&self.n).zip(x) {
            (*o, borrow) = sbb(*n, *x, borrow);
        }
        out
    }

    /// Subtracts n from the N + 1 words `top`, `x` where they are not below it.
    #[inline]
    fn subtract_once(&self, x: &mut [u64; N], top: u64) {
        let mut difference = [0; N];
        let mut borrow = 0;
        for ((d, x), n) in difference.iter_mut().zip(x.iter()).zip(&self.n) {
            (*d, borrow) = sbb(*x, *n, borrow);
        }
        // Below n exactly when the subtraction borrows and there is no word above.
        let keep = (borrow & !top & 1).wrapping_neg();
        for (x, d) in x.iter_mut().zip(difference) {
            *x = (*x & keep) | (d & !keep);
        }
    }

    /// 2^exponent in Montgomery form, from the top bit down, without a branch on the exponent.
    pub(super) fn pow_of_two(&self, exponent: &[u64; N]) -> [u64; N] {
        let mut x = self.one;
        for word in exponent.iter().rev() {
            for i in (0..64).rev() {
                x = self.mul(&x, &x);
                self.double(&mut x, u32::from((word >> i) & 1 == 1));
            }
        }
        x
    }

    /// base^exponent, both sides in Montgomery form: windows of four bits, each read through the whole table.
    pub(super) fn pow(&self, base: &[u64; N], exponent: &[u64; N]) -> [u64; N] {
        let mut table = [self.one; 16];
        for i in 1..16 {
            table[i] = self.mul(&table[i - 1], base);
        }
        let mut x = self.one;
        for word in exponent.iter().rev() {
            for i in (0..16).rev() {
                for _ in 0..4 {
                    x = self.mul(&x, &x);
                }
                let mut power = select(&table, (word >> (4 * i)) & 15);
                x = self.mul(&x, &power);
                power.zeroize();
            }
        }
        for power in &mut table {
            power.zeroize();
        }
        x
    }
}

impl<const N: usize> Drop for Mont<N> {
    fn drop(&mut self) {
        self.n.zeroize();
        self.n0.zeroize();
        self.one.zeroize();
    }
}

/// The entry of number `index`, read in constant time.
fn select<const N: usize>(table: &[[u64; N]; 16], index: u64) -> [u64; N] {
    let mut out = [0; N];
    for (i, entry) in (0_u64..).zip(table) {
        let differs = i ^ index;
        // All ones when equal: only zero has no top bit in itself or its negative.
        // The compiler must not see that it is one of two values: it would branch on it.
        let mask = black_box(((differs | differs.wrapping_neg()) >> 63).wrapping_sub(1));
        for (o, e) in out.iter_mut().zip(entry) {
            *o |= e & mask;
        }
    }
    out
}

/// a + b c + d, low word first. At most (2^64 - 1) + (2^64 - 1)^2 + (2^64 - 1) = 2^128 - 1.
#[inline(always)]
fn mac(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    split(u128::from(b).wrapping_mul(u128::from(c)).wrapping_add(u128::from(a)).wrapping_add(u128::from(d)))
}

/// a - b - borrow, and the borrow out.
#[inline(always)]
fn sbb(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let t = u128::from(a).wrapping_sub(u128::from(b)).wrapping_sub(u128::from(borrow));
    let (low, high) = split(t);
    (low, high & 1)
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "the two words of a double word")]
fn split(t: u128) -> (u64, u64) {
    (t as u64, (t >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
    use crypto_bigint::{Odd, Uint};
    use proptest::prelude::*;

    /// A modulus, two numbers below it, an exponent, all with edge words among them.
    fn numbers<const N: usize>() -> impl Strategy<Value = [[u64; N]; 4]> {
        let word =
            prop_oneof![Just(0_u64), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>(), any::<u64>()];
        let number = prop::collection::vec(word, N..=N);
        (number.clone(), number.clone(), number.clone(), number, 0_u32..64).prop_map(|(n, a, b, e, cut)| {
            let mut n: [u64; N] = n.try_into().unwrap();
            n[0] |= 1;
            n[N - 1] = (n[N - 1] >> cut) | 1;
            let odd = Odd::new(Uint::from_words(n)).unwrap();
            let below = |x: Vec<u64>| {
                let x = Uint::<N>::from_words(x.try_into().unwrap());
                *x.rem(odd.as_nz_ref()).as_words()
            };
            [n, below(a), below(b), e.try_into().unwrap()]
        })
    }

    fn agrees<const N: usize>([n, a, b, e]: [[u64; N]; 4]) {
        let mont = Mont::<N>::new(n);
        let params = FixedMontyParams::new_vartime(Odd::new(Uint::from_words(n)).unwrap());
        let peer = |x: &[u64; N]| FixedMontyForm::new(&Uint::from_words(*x), &params);
        let own = |x: &[u64; N]| mont.mul(x, &mont.r2());
        assert_eq!(mont.one(), peer(&Uint::<N>::ONE.to_words()).as_montgomery().as_words());
        assert_eq!(&own(&a), peer(&a).as_montgomery().as_words());
        assert_eq!(mont.retrieve(&own(&a)), a);
        let product = peer(&a).mul(&peer(&b)).retrieve();
        assert_eq!(mont.retrieve(&mont.mul(&own(&a), &own(&b))), *product.as_words());
        let power = peer(&a).pow(&Uint::<N>::from_words(e)).retrieve();
        assert_eq!(mont.retrieve(&mont.pow(&own(&a), &e)), *power.as_words());
        let two = FixedMontyForm::new(&Uint::<N>::from_u64(2).rem(params.modulus().as_nz_ref()), &params);
        assert_eq!(
            mont.retrieve(&mont.pow_of_two(&e)),
            *two.pow(&Uint::<N>::from_words(e)).retrieve().as_words()
        );
        if a != [0; N] {
            assert_eq!(&mont.negate(&own(&a)), peer(&a).neg().as_montgomery().as_words());
        }
    }

    proptest! {
        #![proptest_config(crate::crypto::rsa::tests::cases(64))]

        #[test]
        fn four_words_agree_with_crypto_bigint(x in numbers::<4>()) {
            agrees(x);
        }

        #[test]
        fn eleven_words_agree_with_crypto_bigint(x in numbers::<11>()) {
            agrees(x);
        }

        #[test]
        fn sixteen_words_agree_with_crypto_bigint(x in numbers::<16>()) {
            agrees(x);
        }
    }
}
