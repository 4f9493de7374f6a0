//! DES from FIPS 46-3: a block is 64 truth values, bit 1 first, and every table is the printed one.

fn bits(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|b| (0..8).map(move |i| b >> (7 - i) & 1 == 1)).collect()
}

fn bytes(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|c| c.iter().fold(0, |b, x| b << 1 | u8::from(*x))).collect()
}

fn permute(bits: &[bool], table: &[u8]) -> Vec<bool> {
    table.iter().map(|i| bits[usize::from(*i) - 1]).collect()
}

pub(crate) fn round_keys(key: &[u8]) -> Vec<Vec<bool>> {
    let cd = permute(&bits(key), &PC1);
    let (mut c, mut d) = (cd[..28].to_vec(), cd[28..].to_vec());
    let mut keys = Vec::new();
    for shift in [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1] {
        c.rotate_left(shift);
        d.rotate_left(shift);
        keys.push(permute(&[c.clone(), d.clone()].concat(), &PC2));
    }
    keys
}

fn run(keys: &[Vec<bool>], block: &[u8]) -> Vec<u8> {
    let lr = permute(&bits(block), &IP);
    let (mut l, mut r) = (lr[..32].to_vec(), lr[32..].to_vec());
    for key in keys {
        let mut out = Vec::new();
        for (s, six) in
            permute(&r, &E).iter().zip(key).map(|(a, b)| a ^ b).collect::<Vec<_>>().chunks(6).enumerate()
        {
            let row = usize::from(six[0]) * 2 + usize::from(six[5]);
            let column = six[1..5].iter().fold(0, |n, x| n << 1 | usize::from(*x));
            let value = S[s][row * 16 + column];
            out.extend((0..4).map(|i| value >> (3 - i) & 1 == 1));
        }
        let f = permute(&out, &P);
        let next = l.iter().zip(&f).map(|(a, b)| a ^ b).collect();
        l = std::mem::replace(&mut r, next);
    }
    // The halves are not exchanged after the last round: the inverse of IP by search in its table.
    let joined = [r, l].concat();
    let mut out = vec![false; 64];
    for (i, from) in IP.iter().enumerate() {
        out[usize::from(*from) - 1] = joined[i];
    }
    bytes(&out)
}

pub(crate) fn encrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    run(&round_keys(key), block)
}

pub(crate) fn decrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let mut keys = round_keys(key);
    keys.reverse();
    run(&keys, block)
}

fn parts(key: &[u8]) -> (&[u8], &[u8], &[u8]) {
    (&key[..8], &key[8..16], if key.len() == 24 { &key[16..] } else { &key[..8] })
}

pub(crate) fn tdes_encrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let (k1, k2, k3) = parts(key);
    encrypt(k3, &decrypt(k2, &encrypt(k1, block)))
}

pub(crate) fn tdes_decrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let (k1, k2, k3) = parts(key);
    decrypt(k1, &encrypt(k2, &decrypt(k3, block)))
}

const IP: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48,
    40, 32, 24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21,
    13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];
const E: [u8; 48] = [
    32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20,
    21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1,
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
