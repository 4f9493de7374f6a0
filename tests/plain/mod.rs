//! The algorithms a second time, as the standards print them: slow, short, and without a line of the library or of
//! the crates that it uses. Tests compare random cases with them.
#![allow(dead_code, reason = "each test uses some of them")]

pub(crate) mod aes;
pub(crate) mod cases;
pub(crate) mod des;
pub(crate) mod sha;

/// CMAC (SP 800-38B) over any block cipher of 8 or 16 bytes.
pub(crate) fn cmac(block: usize, encrypt: impl Fn(&[u8]) -> Vec<u8>, message: &[u8]) -> Vec<u8> {
    let double = |v: &[u8]| {
        let carry = v[0] >> 7;
        let mut out: Vec<u8> =
            (0..v.len()).map(|i| (v[i] << 1) | v.get(i + 1).map_or(0, |n| n >> 7)).collect();
        *out.last_mut().unwrap() ^= carry * if v.len() == 16 { 0x87 } else { 0x1B };
        out
    };
    let k1 = double(&encrypt(&vec![0; block]));
    let k2 = double(&k1);
    let mut data = message.to_vec();
    let subkey = if !data.is_empty() && data.len().is_multiple_of(block) {
        k1
    } else {
        data.push(0x80);
        data.resize(data.len().div_ceil(block) * block, 0);
        k2
    };
    let last = data.len() - block;
    for (d, k) in data[last..].iter_mut().zip(&subkey) {
        *d ^= k;
    }
    cbc(block, encrypt, &vec![0; block], &data)[last..].to_vec()
}

/// CBC, enciphering.
pub(crate) fn cbc(block: usize, encrypt: impl Fn(&[u8]) -> Vec<u8>, iv: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chain = iv.to_vec();
    for part in data.chunks(block) {
        chain = encrypt(&xor(part, &chain));
        out.extend_from_slice(&chain);
    }
    out
}

pub(crate) fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(x, y)| x ^ y).collect()
}

/// MAC algorithm 3 of ISO/IEC 9797-1, padding method 2.
pub(crate) fn retail_mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut data = message.to_vec();
    data.push(0x80);
    data.resize(data.len().div_ceil(8) * 8, 0);
    let chain = cbc(8, |b| des::encrypt(&key[..8], b), &[0; 8], &data);
    des::encrypt(&key[..8], &des::decrypt(&key[8..16], &chain[chain.len() - 8..]))
}

/// MAC algorithm 1 with TDES, padding method 1.
pub(crate) fn tdes_cbc_mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut data = message.to_vec();
    data.resize(data.len().max(1).div_ceil(8) * 8, 0);
    let chain = cbc(8, |b| des::tdes_encrypt(key, b), &[0; 8], &data);
    chain[chain.len() - 8..].to_vec()
}

/// A key block over the given header, from the text of X9.143.
pub(crate) fn key_block(kbpk: &[u8], header: &str, key: &[u8], pad: &[u8]) -> String {
    if header.starts_with(['A', 'C']) {
        return variant_key_block(kbpk, header, key, pad);
    }
    let aes = header.starts_with('D');
    let block = if aes { 16 } else { 8 };
    let cipher =
        |k: Vec<u8>| move |b: &[u8]| if aes { aes::encrypt(&k, b) } else { des::tdes_encrypt(&k, b) };
    let derive = |usage: u8| {
        let algorithm = match (aes, kbpk.len()) {
            (false, 16) => 0,
            (false, _) => 1,
            (true, n) => (n / 8) as u8,
        };
        let bits = (kbpk.len() * 8) as u16;
        let mut out = Vec::new();
        for i in 1..=4_u8 {
            let message = [i, 0, usage, 0, 0, algorithm, (bits >> 8) as u8, bits as u8];
            out.extend(cmac(block, cipher(kbpk.to_vec()), &message));
        }
        out.truncate(kbpk.len());
        out
    };
    let plain = [&((key.len() * 8) as u16).to_be_bytes()[..], key, pad].concat();
    let mac = cmac(block, cipher(derive(1)), &[header.as_bytes(), &plain].concat());
    let hidden = cbc(block, cipher(derive(0)), &mac, &plain);
    format!("{header}{}{}", cases::hex(&hidden), cases::hex(&mac))
}

/// Versions A and C: the keys are variants, the IV is the head of the header, the MAC is over what is enciphered.
fn variant_key_block(kbpk: &[u8], header: &str, key: &[u8], pad: &[u8]) -> String {
    let variant = |with: u8| kbpk.iter().map(|b| b ^ with).collect::<Vec<u8>>();
    let (encipher, authenticate) = (variant(0x45), variant(0x4D));
    let plain = [&((key.len() * 8) as u16).to_be_bytes()[..], key, pad].concat();
    let hidden = cbc(8, |b| des::tdes_encrypt(&encipher, b), &header.as_bytes()[..8], &plain);
    let mac = tdes_cbc_mac(&authenticate, &[header.as_bytes(), &hidden].concat());
    format!("{header}{}{}", cases::hex(&hidden), cases::hex(&mac[..4]))
}
