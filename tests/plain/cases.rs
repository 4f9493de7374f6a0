//! How many random cases, and which ones: the same in every run.

/// Random cases of each symmetric algorithm: 10,000 in a release build, a tenth where debug assertions are on; the
/// environment variable `CASES` says another number.
pub(crate) fn count() -> usize {
    asked().unwrap_or(if cfg!(debug_assertions) { 1_000 } else { 10_000 })
}

/// Random cases of RSA and elliptic curves: 500, and a tenth likewise; a twentieth of `CASES`.
pub(crate) fn slow_count() -> usize {
    asked().map_or(if cfg!(debug_assertions) { 50 } else { 500 }, |n| n.div_ceil(20))
}

/// Generated RSA keys: 50, and a tenth likewise; a two-hundredth of `CASES`.
pub(crate) fn key_count() -> usize {
    asked().map_or(if cfg!(debug_assertions) { 5 } else { 50 }, |n| n.div_ceil(200))
}

fn asked() -> Option<usize> {
    std::env::var("CASES").ok().map(|n| n.parse().expect("CASES is a number"))
}

/// A small generator of test inputs (xorshift64*).
pub(crate) struct Cases(u64);

impl Cases {
    /// A sequence of its own for each name (FNV-1a).
    pub(crate) fn new(name: &str) -> Self {
        let seed = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3));
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 8) % bound
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    pub(crate) fn up_to(&mut self, len: u64) -> Vec<u8> {
        let len = self.below(len) as usize;
        self.bytes(len)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().unwrap()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    pub(crate) fn digits(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    /// 12 to 19 digits.
    pub(crate) fn pan(&mut self) -> String {
        let len = 12 + self.below(8) as usize;
        self.digits(len)
    }

    /// 4 to 12 digits.
    pub(crate) fn pin(&mut self) -> String {
        let len = 4 + self.below(9) as usize;
        self.digits(len)
    }
}

/// The cases of one test.
pub(crate) fn each(name: &str, mut case: impl FnMut(&mut Cases)) {
    let mut cases = Cases::new(name);
    (0..count()).for_each(|_| case(&mut cases));
}

/// The cases of one test of RSA or elliptic curves.
pub(crate) fn each_slow(name: &str, mut case: impl FnMut(&mut Cases)) {
    let mut cases = Cases::new(name);
    (0..slow_count()).for_each(|_| case(&mut cases));
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
