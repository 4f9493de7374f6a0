//! AES from FIPS 197: the S-box is computed from the inverse in the field, not looked up.

fn times(mut a: u8, mut b: u8) -> u8 {
    let mut out = 0;
    while b != 0 {
        if b & 1 == 1 {
            out ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1B };
        b >>= 1;
    }
    out
}

/// The S-box: the inverse (a^254), then the affine map of section 5.1.1.
pub(crate) fn s_box() -> Vec<u8> {
    (0..=255_u8)
        .map(|a| {
            let inverse = (0..254).fold(1, |p, _| times(p, a));
            inverse
                ^ inverse.rotate_left(1)
                ^ inverse.rotate_left(2)
                ^ inverse.rotate_left(3)
                ^ inverse.rotate_left(4)
                ^ 0x63
        })
        .collect()
}

fn box_once() -> &'static [u8] {
    static BOX: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BOX.get_or_init(s_box)
}

fn words(key: &[u8]) -> Vec<[u8; 4]> {
    let s = box_once();
    let nk = key.len() / 4;
    let mut w: Vec<[u8; 4]> = key.chunks(4).map(|c| c.try_into().unwrap()).collect();
    let mut rcon = 1;
    for i in nk..4 * (nk + 7) {
        let mut t = w[i - 1];
        if i % nk == 0 {
            t.rotate_left(1);
            t = t.map(|b| s[usize::from(b)]);
            t[0] ^= rcon;
            rcon = times(rcon, 2);
        } else if nk > 6 && i % nk == 4 {
            t = t.map(|b| s[usize::from(b)]);
        }
        let before = w[i - nk];
        w.push(std::array::from_fn(|j| before[j] ^ t[j]));
    }
    w
}

pub(crate) fn encrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let (s, w) = (box_once(), words(key));
    let rounds = w.len() / 4 - 1;
    let mut state = block.to_vec();
    for round in 0..=rounds {
        if round > 0 {
            // SubBytes and ShiftRows: row r of column c comes from column c + r.
            state = (0..16).map(|i| s[usize::from(state[(i + 4 * (i % 4)) % 16])]).collect();
            if round < rounds {
                state = (0..16)
                    .map(|i| {
                        let column = &state[i / 4 * 4..i / 4 * 4 + 4];
                        let at = |n: usize| column[(i + n) % 4];
                        times(at(0), 2) ^ times(at(1), 3) ^ at(2) ^ at(3)
                    })
                    .collect();
            }
        }
        state = state.iter().zip(w[round * 4..round * 4 + 4].concat()).map(|(a, b)| a ^ b).collect();
    }
    state
}

/// The steps of `encrypt`, backwards.
pub(crate) fn decrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let (s, w) = (box_once(), words(key));
    let back = |b: u8| s.iter().position(|x| *x == b).unwrap() as u8;
    let rounds = w.len() / 4 - 1;
    let mut state = block.to_vec();
    for round in (0..=rounds).rev() {
        state = state.iter().zip(w[round * 4..round * 4 + 4].concat()).map(|(a, b)| a ^ b).collect();
        if round > 0 {
            if round < rounds {
                state = (0..16)
                    .map(|i| {
                        let column = &state[i / 4 * 4..i / 4 * 4 + 4];
                        let at = |n: usize| column[(i + n) % 4];
                        times(at(0), 14) ^ times(at(1), 11) ^ times(at(2), 13) ^ times(at(3), 9)
                    })
                    .collect();
            }
            let before = state.clone();
            for i in 0..16 {
                state[(i + 4 * (i % 4)) % 16] = back(before[i]);
            }
        }
    }
    state
}
