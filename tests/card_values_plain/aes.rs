//! AES of FIPS 197, enciphering only; the S-box is computed, not copied.

use std::sync::OnceLock;

fn mul(mut a: u8, mut b: u8) -> u8 {
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

fn sbox() -> &'static [u8; 256] {
    static BOX: OnceLock<[u8; 256]> = OnceLock::new();
    BOX.get_or_init(|| {
        let mut out = [0; 256];
        for x in 0..=255_u8 {
            // The inverse in the field is the 254th power.
            let inverse = (0..254).fold(1, |p, _| mul(p, x));
            out[usize::from(x)] = (0..5).fold(0x63, |v, i| v ^ inverse.rotate_left(i));
        }
        out
    })
}

fn expand(key: &[u8]) -> Vec<[u8; 4]> {
    let nk = key.len() / 4;
    let mut w: Vec<[u8; 4]> = key.chunks(4).map(|c| c.try_into().unwrap()).collect();
    let mut rcon = 1;
    for i in nk..4 * (nk + 7) {
        let mut t = w[i - 1];
        if i % nk == 0 {
            t.rotate_left(1);
            t = t.map(|b| sbox()[usize::from(b)]);
            t[0] ^= rcon;
            rcon = mul(rcon, 2);
        } else if nk > 6 && i % nk == 4 {
            t = t.map(|b| sbox()[usize::from(b)]);
        }
        let before = w[i - nk];
        w.push([0, 1, 2, 3].map(|j| before[j] ^ t[j]));
    }
    w
}

pub(crate) fn encrypt(key: &[u8], block: [u8; 16]) -> [u8; 16] {
    let w = expand(key);
    let rounds = w.len() / 4 - 1;
    let mut state = block;
    let add = |state: &mut [u8; 16], round: usize| {
        for (i, b) in state.iter_mut().enumerate() {
            *b ^= w[4 * round + i / 4][i % 4];
        }
    };
    add(&mut state, 0);
    for round in 1..=rounds {
        let substituted = state.map(|b| sbox()[usize::from(b)]);
        let mut shifted = [0; 16];
        for (i, slot) in shifted.iter_mut().enumerate() {
            // Row i % 4 moves left by its number.
            *slot = substituted[(i + 4 * (i % 4)) % 16];
        }
        state = shifted;
        if round < rounds {
            for column in state.chunks_mut(4) {
                let c = [column[0], column[1], column[2], column[3]];
                for (i, slot) in column.iter_mut().enumerate() {
                    *slot = mul(c[i], 2) ^ mul(c[(i + 1) % 4], 3) ^ c[(i + 2) % 4] ^ c[(i + 3) % 4];
                }
            }
        }
        add(&mut state, round);
    }
    state
}
