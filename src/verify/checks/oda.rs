//! Certificates of every path, signed static data, private keys.

use super::super::chip::{Chip, Path};
use super::super::crt::{PIN_KEY, SIGNATURE_KEY, private_key};
use super::super::oda::{Certified, Parts, icc_key, issuer_key, static_signature};
use super::super::report::{CheckName, Findings};
use super::{Card, Learned};

/// What one path's certificates gave.
#[derive(Default)]
pub(in super::super) struct PathKeys {
    pub(in super::super) issuer: Option<Certified>,
    pub(in super::super) icc: Option<Certified>,
    pub(in super::super) pin: Option<Certified>,
}

fn parts<'a>(path: &Path<'a>, certificate: u32, remainder: u32, exponent: u32) -> Option<Parts<'a>> {
    Some(Parts {
        certificate: path.get(certificate)?,
        remainder: path.get(remainder),
        exponent: path.get(exponent)?,
    })
}

/// The PAN that the path's certificates must carry: its own 5A, else the card's.
fn pan_of(card: &Card<'_>, path: &Path<'_>) -> Option<Vec<u8>> {
    if let Some(cn) = path.get(0x5A) {
        let mut digits = super::super::derive::nibbles(cn);
        if digits.last() == Some(&15) {
            digits.pop();
        }
        return Some(digits);
    }
    card.pan.as_ref().map(|p| p.to_vec())
}

/// Recovers the certificates of a path.
pub(in super::super) fn certificates(
    card: &Card<'_>,
    chip: &Chip<'_>,
    path: &Path<'_>,
    found: &mut Findings,
) -> PathKeys {
    let mut keys = PathKeys::default();
    let has_signature = path.has(0x93) || path.has(0x9F46);
    if has_signature {
        const NAME: CheckName = CheckName::StaticData;
        let signed: usize = path.afl.iter().map(|e| usize::from(e.signed)).sum();
        found.require(NAME, signed > 0, "no record is signed");
        found.require(NAME, path.static_data.len() <= 2048, "the static data is over 2048 bytes");
    }
    let Some(issuer_parts) = parts(path, 0x90, 0x92, 0x9F32) else { return keys };
    let Some([index]) = path.get(0x8F) else {
        found.fail(CheckName::IssuerCertificate, "the CA key index 8F is missing");
        return keys;
    };
    let Some(pan) = pan_of(card, path) else {
        found.fail(CheckName::IssuerCertificate, "there is no PAN to check the certificate with");
        return keys;
    };
    let candidates = card.keys.ca_keys(chip.rid(), *index);
    let mut outcome = None;
    for ca in candidates {
        match issuer_key(ca, issuer_parts, &pan) {
            Ok(issuer) => {
                let lives = ca.expires.is_none_or(|last| issuer.expiry.last_day() <= last);
                found.require(CheckName::Expiry, lives, "the issuer certificate outlives the CA key");
                outcome = Some(Ok(issuer));
                break;
            }
            Err(why) => outcome = Some(Err(why)),
        }
    }
    let Some(result) = outcome else {
        if card.keys.has_ca() {
            found.fail(CheckName::IssuerCertificate, "no CA key of this RID and index is known");
        }
        return keys;
    };
    let Some(issuer) = found.take(CheckName::IssuerCertificate, result) else { return keys };
    if let Some(ssad) = path.get(0x93) {
        found.take(CheckName::Ssad, static_signature(&issuer.key, ssad, &path.static_data));
    }
    if let Some(icc) = parts(path, 0x9F46, 0x9F48, 0x9F47) {
        let result = icc_key(&issuer.key, icc, &path.static_data, &pan);
        keys.icc = found.take(CheckName::IccCertificate, result);
        if let Some(icc) = &keys.icc {
            let inside = icc.expiry <= issuer.expiry;
            found.require(CheckName::Expiry, inside, "the ICC certificate outlives the issuer certificate");
        }
    }
    if let Some(pin) = parts(path, 0x9F2D, 0x9F2F, 0x9F2E) {
        keys.pin = found.take(CheckName::PinCertificate, icc_key(&issuer.key, pin, &[], &pan));
    }
    keys.issuer = Some(issuer);
    keys
}

/// Private keys of an application against the certified ones.
pub(in super::super) fn private_keys(
    card: &Card<'_>,
    chip: &Chip<'_>,
    paths: &[PathKeys],
    learned: &mut Learned,
    found: &mut Findings,
) {
    const NAME: CheckName = CheckName::Crt;
    let Some(transport) = &card.transport else { return };
    let certified =
        |pick: fn(&PathKeys) -> Option<&Certified>| paths.iter().filter_map(pick).collect::<Vec<_>>();
    for (dgis, keys, is_signature) in [
        (SIGNATURE_KEY, certified(|p| p.icc.as_ref()), true),
        (PIN_KEY, certified(|p| p.pin.as_ref()), false),
    ] {
        let Some((first, others)) = keys.split_first() else { continue };
        if !dgis.any(chip) {
            continue;
        }
        let one = others.iter().all(|k| k.key.modulus() == first.key.modulus());
        found.require(NAME, one, "certificates of one application vouch for different keys");
        let private = found.take(NAME, private_key(chip, dgis, transport, &first.key));
        if is_signature {
            learned.private = private;
        }
    }
}
