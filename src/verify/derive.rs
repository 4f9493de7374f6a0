//! The values of a card, derived again from the issuer's keys with code of this module alone: plain, digit by digit.

use zeroize::Zeroizing;

use crate::card::Pin;
use crate::crypto::aes::AesKey;
use crate::crypto::hash::sha1;
use crate::crypto::mac::cmac_aes;
use crate::crypto::tdes::TdesKey;
use crate::secret::Secret;

use super::keys::{Derivation, Transport};
use super::line::{TransportAlgorithm, TransportMode};

/// Digits 0 to 9, most significant first.
pub(super) type Digits = Zeroizing<Vec<u8>>;

/// Digits of ASCII text; `None` for anything else.
pub(super) fn digits(text: &str) -> Option<Digits> {
    text.bytes()
        .map(|b| b.is_ascii_digit().then_some(b & 0x0F))
        .collect::<Option<Vec<_>>>()
        .map(Zeroizing::new)
}

pub(super) fn nibbles(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).collect()
}

fn pack<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let bytes: Vec<u8> = digits.chunks_exact(2).filter_map(|c| Some(c.first()? << 4 | c.get(1)?)).collect();
    bytes.try_into().ok()
}

/// Decimal digits left to right, then the letters A to F as 0 to 5, left to right.
fn decimalize(block: &[u8]) -> Vec<u8> {
    let all = nibbles(block);
    let (mut low, mut high) = (all.clone(), all);
    low.retain(|n| *n < 10);
    high.retain(|n| *n > 9);
    low.extend(high.iter().map(|n| n % 10));
    low
}

/// An ICC master key of `PAN ‖ PSN` (Book 2, A1.4).
pub(super) fn icc_master_key(option: Derivation, imk: &Secret, pan: &[u8], psn: &[u8]) -> Option<Secret> {
    let mut x: Digits = Zeroizing::new(pan.to_vec());
    x.extend_from_slice(psn);
    if option == Derivation::OptionC {
        let mut y = vec![0_u8; 32_usize.checked_sub(x.len())?];
        y.extend_from_slice(&x);
        let y: [u8; 16] = pack(&y)?;
        let key = AesKey::new(imk).ok()?;
        let mut out = key.encrypt_block(y).to_vec();
        out.extend_from_slice(&key.encrypt_block(y.map(|b| !b)));
        out.truncate(imk.len());
        return Some(Secret::new(out));
    }
    let sixteen: Vec<u8> = if option == Derivation::OptionB && pan.len() > 16 {
        if x.len() % 2 == 1 {
            x.insert(0, 0);
        }
        let packed: Vec<u8> = x.chunks(2).map(|c| c.iter().fold(0, |a, d| a << 4 | d)).collect();
        decimalize(&sha1(&[&packed])).into_iter().take(16).collect()
    } else {
        while x.len() < 16 {
            x.insert(0, 0);
        }
        x.iter().rev().take(16).rev().copied().collect()
    };
    let y: [u8; 8] = pack(&sixteen)?;
    let key = TdesKey::new(imk).ok()?;
    let mut out = Zeroizing::new(key.encrypt_block(y).to_vec());
    out.extend_from_slice(&key.encrypt_block(y.map(|b| !b)));
    Some(Secret::new(out.iter().map(|b| odd(*b)).collect()))
}

/// The byte with its low bit set to make the count of ones odd.
pub(super) fn odd(b: u8) -> u8 {
    if (b >> 1).count_ones().is_multiple_of(2) { b | 1 } else { b & 0xFE }
}

/// CVV of PAN, four expiry digits and service code: three digits.
pub(super) fn cvv(key: &Secret, pan: &[u8], expiry: &[u8], service_code: &[u8]) -> Option<Digits> {
    let mut d = Zeroizing::new([pan, expiry, service_code].concat());
    d.resize(32, 0);
    let (left, right) = d.split_at_checked(16)?;
    let (b1, b2): ([u8; 8], [u8; 8]) = (pack(left)?, pack(right)?);
    let key = TdesKey::new(key).ok()?;
    let t1 = key.left_encrypt(b1);
    let mixed = (u64::from_be_bytes(t1) ^ u64::from_be_bytes(b2)).to_be_bytes();
    Some(Zeroizing::new(decimalize(&key.encrypt_block(mixed)).into_iter().take(3).collect()))
}

/// Visa PVV of PAN, PVKI and PIN: four digits.
pub(super) fn pvv(key: &Secret, pvki: u8, pan: &[u8], pin: &Pin) -> Option<Digits> {
    let (_, account) = pan.split_last()?;
    let from = account.len().checked_sub(11)?;
    let tsp = Zeroizing::new([account.get(from..)?, &[pvki], pin.expose().get(..4)?].concat());
    let block = TdesKey::new(key).ok()?.encrypt_block(pack(&tsp)?);
    Some(Zeroizing::new(decimalize(&block).into_iter().take(4).collect()))
}

/// The PIN of a clear PIN block of ISO 9564-1, formats 0 to 3.
pub(super) fn pin_of_block(format: u8, block: &[u8], pan: &[u8]) -> Option<Pin> {
    let mut field = Zeroizing::new(nibbles(block));
    if field.len() != 16 {
        return None;
    }
    if format == 0 || format == 3 {
        // The twelve rightmost digits without the check digit; a shorter PAN has zeros on the left.
        let (_, account) = pan.split_last()?;
        for (n, d) in field.iter_mut().rev().zip(account.iter().rev().take(12)) {
            *n ^= d;
        }
    }
    let len = usize::from(*field.get(1)?);
    let end = len.checked_add(2)?;
    let (pin, fill) = (field.get(2..end)?, field.get(end..)?);
    let fill_is_right = match format {
        0 | 2 => fill.iter().all(|n| *n == 15),
        3 => fill.iter().all(|n| *n > 9),
        _ => true,
    };
    if field.first() != Some(&format) || !fill_is_right {
        return None;
    }
    Pin::from_digits(pin).ok()
}

/// The PIN of a format 4 block (ISO 9564-1, 9.4.2.3), deciphered with its AES key.
pub(super) fn pin_of_format_4(key: &Secret, block: &[u8], pan: &[u8]) -> Option<Pin> {
    let key = AesKey::new(key).ok()?;
    let over = pan.len().saturating_sub(12);
    let mut field = Zeroizing::new(vec![u8::try_from(over).ok()?]);
    field.resize(1 + 12_usize.saturating_sub(pan.len()), 0);
    field.extend_from_slice(pan);
    field.resize(32, 0);
    let pan_field: [u8; 16] = pack(&field)?;
    let inner = key.decrypt_block(block.try_into().ok()?);
    let pin_field =
        key.decrypt_block((u128::from_be_bytes(inner) ^ u128::from_be_bytes(pan_field)).to_be_bytes());
    let n = Zeroizing::new(nibbles(&pin_field));
    let end = usize::from(*n.get(1)?).checked_add(2)?;
    if n.first() != Some(&4) || end > 14 || n.get(end..16)?.iter().any(|f| *f != 10) {
        return None;
    }
    Pin::from_digits(n.get(2..end)?).ok()
}

/// Check value of a card key as DGI 9000 carries it: three bytes.
pub(super) fn card_key_kcv(key: &[u8], aes: bool) -> Option<[u8; 3]> {
    let block = if aes {
        AesKey::from_bytes(key).ok()?.encrypt_block([1; 16]).to_vec()
    } else {
        TdesKey::from_bytes(key).ok()?.encrypt_block([0; 8]).to_vec()
    };
    block.get(..3)?.try_into().ok()
}

/// Whether `kcv` is a check value of this transport key by one of the methods in use: TDES of zeros, CMAC of
/// zeros, AES of zeros, AES of sixteen bytes 01.
pub(super) fn is_kcv_of(transport: &Transport<'_>, kcv: &[u8]) -> bool {
    let key = transport.key;
    let mut made: Vec<Vec<u8>> = Vec::new();
    match transport.algorithm {
        TransportAlgorithm::Tdes(_) => {
            made.extend(TdesKey::new(key).map(|k| k.encrypt_block([0; 8]).to_vec()).ok());
            made.extend(crate::crypto::mac::cmac_tdes(key, &[&[0; 8]]).map(|m| m.to_vec()).ok());
        }
        TransportAlgorithm::Aes(_) => {
            made.extend(cmac_aes(key, &[&[0; 16]]).map(|m| m.to_vec()).ok());
            if let Ok(cipher) = AesKey::new(key) {
                made.extend([0, 1].map(|b| cipher.encrypt_block([b; 16]).to_vec()));
            }
        }
    }
    kcv.len() >= 3 && made.iter().any(|m| m.starts_with(kcv))
}

/// Deciphers a DGI value.
pub(super) fn decipher(transport: &Transport<'_>, mode: TransportMode, value: &[u8]) -> Option<Secret> {
    Secret::filled(value.len(), |out| {
        out.copy_from_slice(value);
        match (transport.algorithm, mode) {
            (TransportAlgorithm::Tdes(_), TransportMode::Ecb) => {
                TdesKey::new(transport.key)?.decrypt_ecb(out)
            }
            (TransportAlgorithm::Tdes(_), TransportMode::Cbc) => {
                TdesKey::new(transport.key)?.decrypt_cbc([0; 8], out)
            }
            (TransportAlgorithm::Aes(_), TransportMode::Ecb) => AesKey::new(transport.key)?.decrypt_ecb(out),
            (TransportAlgorithm::Aes(_), TransportMode::Cbc) => {
                AesKey::new(transport.key)?.decrypt_cbc([0; 16], out)
            }
        }
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(hex::decode(text).unwrap())
    }

    fn d(text: &str) -> Digits {
        digits(text).unwrap()
    }

    #[test]
    fn decimalization_takes_a_second_pass() {
        assert_eq!(decimalize(&[0xAB, 0xC1, 0xDE, 0xF2]), [1, 2, 0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn the_kcv_of_a_known_key() {
        let key = secret("0123456789ABCDEFFEDCBA9876543210");
        let transport = Transport { key: &key, algorithm: TransportAlgorithm::Tdes(16), mode: None };
        assert!(is_kcv_of(&transport, &[0x08, 0xD7, 0xB4]));
        assert!(!is_kcv_of(&transport, &[0x08, 0xD7, 0xB5]));
        assert!(!is_kcv_of(&transport, &[0x08, 0xD7]));
        // GlobalPlatform test key 000102..0F, AES of bytes 01: C35280.
        assert_eq!(card_key_kcv(&(0..16).collect::<Vec<u8>>(), true), Some([0xC3, 0x52, 0x80]));
    }

    #[test]
    fn pin_blocks() {
        let pin = pin_of_block(2, &hex::decode("241234FFFFFFFFFF").unwrap(), &[]).unwrap();
        assert_eq!(pin.expose(), [1, 2, 3, 4]);
        for bad in [
            "241234FFFFFFFFF0",
            "231234FFFFFFFFFF",
            "041234FFFFFFFFFF",
            "24123AFFFFFFFFFF",
            "2D1234FFFFFFFFFF",
        ] {
            assert!(pin_of_block(2, &hex::decode(bad).unwrap(), &[]).is_none(), "{bad}");
        }
        // psec 1.3.0, tests/test_pinblock.py: formats 0, 3 and 4.
        let pan = d("5555555551234567");
        let block = hex::decode("041261AAAAEDCBA9").unwrap();
        assert_eq!(pin_of_block(0, &block, &pan).unwrap().expose(), [1, 2, 3, 4]);
        assert!(pin_of_block(0, &block, &d("5555555561234567")).is_none());
        let key = secret("00112233445566778899AABBCCDDEEFF");
        let pan = d("1234567890123456789");
        let block = hex::decode("28B41FDDD29B743E93124BD8E32D921E").unwrap();
        assert_eq!(pin_of_format_4(&key, &block, &pan).unwrap().expose(), [1, 2, 3, 4]);
        assert!(pin_of_format_4(&key, &block, &pan[1..]).is_none());
    }

    #[test]
    fn published_icc_master_keys() {
        let imk = secret("0123456789ABCDEFFEDCBA9876543210");
        // pyemv 1.5.0 documentation.
        let a = icc_master_key(Derivation::OptionA, &imk, &d("99012345678901234"), &d("45")).unwrap();
        assert_eq!(a, secret("67F8292358083E5EA7AB7FDA58D53B6B"));
        let b = icc_master_key(Derivation::OptionB, &imk, &d("12345678901234567"), &d("01")).unwrap();
        assert_eq!(b, secret("AD406D7F6D7570916D75E5DCAB8CF737"));
        // cfpp, inputs of c/test/test_emv.c.
        let imk = secret("DFADBFEF0123456789866443DFADBFEF");
        let c = icc_master_key(Derivation::OptionC, &imk, &d("9012345432101232"), &d("01")).unwrap();
        assert_eq!(c, secret("3AD95FE6AD75062DFCF19D834504AC23"));
    }

    #[test]
    fn published_cvv_and_pvv() {
        let key = secret("0123456789ABCDEFFEDCBA9876543210");
        // Visa CVV test data; psec 1.3.0, tests/test_pin.py.
        assert_eq!(*cvv(&key, &d("4123456789012"), &d("8701"), &d("101")).unwrap(), *d("370"));
        let pin = Pin::from_digits(&d("4524")).unwrap();
        assert_eq!(*pvv(&key, 1, &d("1122334455667788"), &pin).unwrap(), *d("8523"));
    }

    #[test]
    fn parity_is_odd_for_every_byte() {
        assert!((0..=255).all(|b| odd(b).count_ones() % 2 == 1 && odd(b) & 0xFE == b & 0xFE));
    }
}
