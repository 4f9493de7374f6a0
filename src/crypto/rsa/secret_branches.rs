//! Under valgrind: secrets are marked as undefined memory, and a branch or an address that depends on one is an error
//! (the method of A. Langley's ctgrind). `scripts/long/rsa-valgrind` runs these tests; elsewhere they show nothing.
#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code, reason = "requests to valgrind")]

use super::mont::Mont;
use crate::crypto::rng::{Purpose, Seed};

/// `VALGRIND_MAKE_MEM_UNDEFINED` and `VALGRIND_MAKE_MEM_DEFINED` of memcheck.h: 'M' 'C', then a number.
#[derive(Clone, Copy)]
enum Request {
    Undefined = 0x4D43_0001,
    Defined = 0x4D43_0002,
}

/// Asks valgrind; outside of it nothing happens.
fn mark<T>(request: Request, values: &[T]) {
    let arguments = [request as u64, values.as_ptr() as u64, size_of_val(values) as u64, 0, 0, 0];
    let mut _answer = 0_u64;
    // SAFETY: valgrind.h's sequence for amd64: four rotations by 128 in all and an exchange with itself, which change
    // nothing. Valgrind reads the six arguments.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(), inout("rdx") _answer, inout("rdi") 0_u64 => _,
        );
    }
}

fn numbers<const N: usize>() -> [[u64; N]; 3] {
    let mut rng = Seed::fixed([0x77; 32]).named_stream(b"branches", Purpose::TestIssuer).rng();
    let [mut n, mut base, exponent] =
        std::array::from_fn(|_| std::array::from_fn(|_| u64::from_le_bytes(rng.bytes())));
    n[0] |= 1;
    n[N - 1] |= 1 << 63;
    base[N - 1] >>= 1;
    [n, base, exponent]
}

/// The whole of a private operation on one prime: modulus, base and exponent are secret.
#[test]
#[ignore = "shows something under valgrind only"]
fn the_portable_power_branches_on_no_secret() {
    let [n, base, exponent] = numbers::<11>();
    let expected = {
        let mont = Mont::<11>::new(n);
        mont.retrieve(&mont.pow(&mont.mul(&base, &mont.r2()), &exponent))
    };
    // The size of the modulus is public: its highest word stays defined.
    mark(Request::Undefined, &n[..10]);
    mark(Request::Undefined, &base);
    mark(Request::Undefined, &exponent);
    let mont = Mont::<11>::new(n);
    let power = mont.retrieve(&mont.pow(&mont.mul(&base, &mont.r2()), &exponent));
    mark(Request::Defined, &power);
    assert_eq!(power, expected);
}

/// Fermat's test on a secret candidate.
#[test]
#[ignore = "shows something under valgrind only"]
fn the_portable_power_of_two_branches_on_no_secret() {
    let [n, _, exponent] = numbers::<11>();
    let expected = Mont::<11>::new(n).pow_of_two(&exponent);
    mark(Request::Undefined, &n[..10]);
    mark(Request::Undefined, &exponent);
    let power = Mont::<11>::new(n).pow_of_two(&exponent);
    mark(Request::Defined, &power);
    assert_eq!(power, expected);
}
