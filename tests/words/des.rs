//! DES from the tables of FIPS 46-3, bit by bit.

const IP: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48,
    40, 32, 24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21,
    13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];
const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6,
    22, 11, 4, 25,
];
const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44,
    36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20,
    12, 4,
];
const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37,
    47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const SHIFTS: [u32; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5,
        3, 8, 4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14,
        10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9,
        11, 5, 0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12,
        0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11,
        15, 1, 13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3,
        11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10,
        14, 9, 10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11,
        12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9,
        8, 6, 4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9,
        10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11,
        3, 8, 9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7,
        6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15,
        8, 6, 1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15,
        14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14,
        9, 2, 7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0,
        3, 5, 6, 11,
    ],
];

/// Picks bits of a `width`-bit value, numbered from 1 at the most significant end.
fn permute(value: u64, width: u32, table: &[u8]) -> u64 {
    table.iter().fold(0, |out, bit| (out << 1) | ((value >> (width - u32::from(*bit))) & 1))
}

fn round_keys(key: u64) -> [u64; 16] {
    let both = permute(key, 64, &PC1);
    let (mut c, mut d) = (both >> 28, both & 0x0FFF_FFFF);
    SHIFTS.map(|s| {
        c = ((c << s) | (c >> (28 - s))) & 0x0FFF_FFFF;
        d = ((d << s) | (d >> (28 - s))) & 0x0FFF_FFFF;
        permute((c << 28) | d, 56, &PC2)
    })
}

fn feistel(right: u64, key: u64) -> u64 {
    let mut out = 0;
    for (i, sbox) in S.iter().enumerate() {
        // Six bits of the expansion: bits 4i-1 to 4i+4 of the right half, cyclic, most significant first.
        let six = (0..6).fold(0, |v, j| {
            let bit = (4 * i + 31 + j) % 32;
            (v << 1) | ((right >> (31 - bit)) & 1)
        }) ^ ((key >> (42 - 6 * i)) & 0x3F);
        let row = ((six >> 4) & 2) | (six & 1);
        let column = (six >> 1) & 0xF;
        out = (out << 4) | u64::from(sbox[(row * 16 + column) as usize]);
    }
    permute(out, 32, &P)
}

fn run(keys: impl Iterator<Item = u64>, block: u64) -> u64 {
    let mixed = permute(block, 64, &IP);
    let (mut left, mut right) = (mixed >> 32, mixed & 0xFFFF_FFFF);
    for key in keys {
        (left, right) = (right, left ^ feistel(right, key));
    }
    let joined = (right << 32) | left;
    // The final permutation undoes the initial one.
    IP.iter()
        .enumerate()
        .fold(0, |out, (i, bit)| out | (((joined >> (63 - i)) & 1) << (64 - u32::from(*bit))))
}

pub(crate) fn encrypt(key: &[u8], block: u64) -> u64 {
    run(round_keys(word(key)).into_iter(), block)
}

fn decrypt(key: &[u8], block: u64) -> u64 {
    run(round_keys(word(key)).into_iter().rev(), block)
}

/// Two-key TDES.
pub(crate) fn tdes(key: &[u8], block: u64) -> u64 {
    let (left, right) = key.split_at(8);
    encrypt(left, decrypt(right, encrypt(left, block)))
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

/// Odd parity, counted bit by bit.
pub(crate) fn parity(key: &mut [u8]) {
    for b in key {
        let ones: u32 = (1..8).map(|i| u32::from((*b >> i) & 1)).sum();
        *b = (*b & 0xFE) | u8::from(ones.is_multiple_of(2));
    }
}

pub(crate) fn tdes_decrypt(key: &[u8], block: u64) -> u64 {
    let (left, right) = key.split_at(8);
    decrypt(left, encrypt(right, decrypt(left, block)))
}

/// CBC of whole blocks, the IV zero.
pub(crate) fn tdes_cbc(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut chain = 0;
    let mut out = Vec::new();
    for block in data.chunks(8) {
        chain = tdes(key, word(block) ^ chain);
        out.extend(chain.to_be_bytes());
    }
    out
}

/// MAC algorithm 3 over whole blocks.
pub(crate) fn retail_mac(key: &[u8], padded: &[u8]) -> u64 {
    let chain = padded.chunks(8).fold(0, |c, b| encrypt(&key[..8], c ^ word(b)));
    encrypt(&key[..8], decrypt(&key[8..], chain))
}
