//! SHA-1 and SHA-256 from FIPS 180-4, HMAC from FIPS 198-1. The constants are computed from the primes.

fn padded(message: &[u8]) -> Vec<u8> {
    let mut out = message.to_vec();
    out.push(0x80);
    while out.len() % 64 != 56 {
        out.push(0);
    }
    out.extend((message.len() as u64 * 8).to_be_bytes());
    out
}

fn schedule(chunk: &[u8]) -> Vec<u32> {
    chunk.chunks(4).map(|b| u32::from_be_bytes(b.try_into().unwrap())).collect()
}

pub(crate) fn sha1(message: &[u8]) -> Vec<u8> {
    let mut h: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    for chunk in padded(message).chunks(64) {
        let mut w = schedule(chunk);
        for i in 16..80 {
            w.push((w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (i, word) in w.iter().enumerate() {
            let (f, k): (u32, u32) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5A82_7999),
                1 => (b ^ c ^ d, 0x6ED9_EBA1),
                2 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6),
            };
            let t = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, t);
        }
        for (x, y) in h.iter_mut().zip([a, b, c, d, e]) {
            *x = x.wrapping_add(y);
        }
    }
    h.iter().flat_map(|x| x.to_be_bytes()).collect()
}

/// The first 32 bits of the fraction of the n-th root of a prime: the largest f with (whole + f / 2^32)^n <= prime.
fn fraction(prime: u128, root: u32) -> u32 {
    let scale = prime << (32 * root);
    let (mut low, mut high) = (0_u128, 1_u128 << 37);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle.pow(root) <= scale { low = middle } else { high = middle }
    }
    low as u32
}

fn primes() -> Vec<u128> {
    (2..400).filter(|n| (2..*n).all(|d| n % d != 0)).collect()
}

pub(crate) fn sha256(message: &[u8]) -> Vec<u8> {
    static CONSTANTS: std::sync::OnceLock<(Vec<u32>, Vec<u32>)> = std::sync::OnceLock::new();
    let (k, first) = CONSTANTS.get_or_init(|| {
        let roots = |root, n| primes().into_iter().take(n).map(|p| fraction(p, root)).collect();
        (roots(3, 64), roots(2, 8))
    });
    let mut h = first.clone();
    for chunk in padded(message).chunks(64) {
        let mut w = schedule(chunk);
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = h.clone();
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let ch = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7].wrapping_add(s1).wrapping_add(ch).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(maj);
        }
        for (x, y) in h.iter_mut().zip(v) {
            *x = x.wrapping_add(y);
        }
    }
    h.iter().flat_map(|x| x.to_be_bytes()).collect()
}

/// The first 64 bits of the fraction of the square (2) or cube (3) root of a prime.
fn fraction64(prime: u128, root: u32) -> u64 {
    use num_bigint::BigUint;
    let scaled = BigUint::from(prime) << (64 * root);
    let whole = scaled.nth_root(root);
    (whole & BigUint::from(u64::MAX)).try_into().unwrap()
}

pub(crate) fn sha512(message: &[u8]) -> Vec<u8> {
    static CONSTANTS: std::sync::OnceLock<(Vec<u64>, Vec<u64>)> = std::sync::OnceLock::new();
    let (k, first) = CONSTANTS.get_or_init(|| {
        let primes: Vec<u128> = (2..420).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
        let roots = |root, n| primes.iter().take(n).map(|p| fraction64(*p, root)).collect();
        (roots(3, 80), roots(2, 8))
    });
    let mut data = message.to_vec();
    data.push(0x80);
    while data.len() % 128 != 112 {
        data.push(0);
    }
    data.extend((message.len() as u128 * 8).to_be_bytes());
    let mut h = first.clone();
    for chunk in data.chunks(128) {
        let mut w: Vec<u64> = chunk.chunks(8).map(|b| u64::from_be_bytes(b.try_into().unwrap())).collect();
        for i in 16..80 {
            let s0 = w[i - 15].rotate_right(1) ^ w[i - 15].rotate_right(8) ^ (w[i - 15] >> 7);
            let s1 = w[i - 2].rotate_right(19) ^ w[i - 2].rotate_right(61) ^ (w[i - 2] >> 6);
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = h.clone();
        for i in 0..80 {
            let s1 = v[4].rotate_right(14) ^ v[4].rotate_right(18) ^ v[4].rotate_right(41);
            let ch = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7].wrapping_add(s1).wrapping_add(ch).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(28) ^ v[0].rotate_right(34) ^ v[0].rotate_right(39);
            let maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(maj);
        }
        for (x, y) in h.iter_mut().zip(v) {
            *x = x.wrapping_add(y);
        }
    }
    h.iter().flat_map(|x| x.to_be_bytes()).collect()
}

pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { sha256(key) } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|b| b ^ with).collect::<Vec<u8>>();
    sha256(&[pad(0x5C), sha256(&[pad(0x36), message.to_vec()].concat())].concat())
}
