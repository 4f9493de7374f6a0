//! Symmetric keys of the card, reference PIN, PVV, issuer's return and PIN mailer.

use crate::card::Pin;
use crate::secret::Secret;

use super::super::chip::Chip;
use super::super::derive::{
    card_key_kcv, decipher, digits, icc_master_key, is_kcv_of, nibbles, odd, pin_of_block, pin_of_format_4,
    pvv,
};
use super::super::keys::{Derivation, Given, OuterPinBlock, Transport};
use super::super::line::TransportMode;
use super::super::report::{CheckName, Findings};
use super::{Card, CardKeys, Learned};

/// The transport key's check value and length.
pub(in super::super) fn transport(card: &Card<'_>, found: &mut Findings) {
    let (Some(name), Some(transport)) = (&card.line.transport_key, &card.transport) else { return };
    const NAME: CheckName = CheckName::TransportKcv;
    let length = transport.key.len() == name.algorithm.key_len();
    found.require(NAME, length, "the transport key has another length than its algorithm");
    found.require(NAME, is_kcv_of(transport, &name.kcv), "the transport key's check value differs");
}

/// 9000 against 8000, 9001 against 8001.
pub(in super::super) fn check_values(
    card: &Card<'_>,
    chip: &Chip<'_>,
    learned: &mut Learned,
    found: &mut Findings,
) {
    const NAME: CheckName = CheckName::Kcv;
    for (keys_tag, kcv_tag) in [(0x8000, 0x9000), (0x8001, 0x9001), (0x8002, 0x9002)] {
        let (keys, kcvs) = match (chip.secret(keys_tag), chip.clear(kcv_tag)) {
            (None, None) => continue,
            (Some(keys), Some(kcvs)) => (keys, kcvs),
            _ => {
                found.fail(NAME, "card keys and their check values do not stand together");
                continue;
            }
        };
        let (kcvs, rest) = kcvs.as_chunks::<3>();
        let size = keys.len().checked_div(kcvs.len()).unwrap_or(0);
        let whole = keys.len() == size.saturating_mul(kcvs.len());
        if !rest.is_empty() || !whole || !matches!(size, 16 | 24 | 32) {
            found.fail(NAME, "the number of check values is not that of the keys");
            continue;
        }
        let Some(transport) = &card.transport else { continue };
        let mut read = None;
        for mode in transport.modes() {
            let Some(plain) = decipher(transport, mode, keys) else { continue };
            for aes in [false, true] {
                let parts = plain.expose().chunks(size);
                if parts.zip(kcvs).all(|(key, kcv)| card_key_kcv(key, aes) == Some(*kcv)) {
                    read = Some((plain.duplicate(), aes));
                }
            }
        }
        let Some((plain, aes)) = read else {
            found.fail(NAME, "a check value is not that of its key");
            continue;
        };
        let keys: Vec<Secret> = plain.expose().chunks(size).map(Secret::copy_of).collect();
        let equal =
            keys.iter().enumerate().any(|(i, a)| keys.iter().skip(i.saturating_add(1)).any(|b| a == b));
        found.require(NAME, !equal, "two keys of the card are equal");
        let parity = aes || plain.expose().iter().all(|b| odd(*b) == *b);
        found.require(NAME, parity, "a TDES key of the card has not odd parity");
        learned.card_keys.push(CardKeys { dgi: keys_tag, aes, keys });
    }
}

/// PAN sequence number of the card, two digits; `00` when nothing names one.
fn psn(card: &Card<'_>) -> Option<[u8; 2]> {
    let chip = card.payment().flat_map(|c| &c.paths).find_map(|p| p.get(0x5F34));
    let returned = || card.context.issuer_return.as_ref().and_then(|r| r.psn.as_deref()).and_then(digits);
    match chip {
        Some([bcd]) => Some([bcd >> 4, bcd & 15]),
        Some(_) => None,
        None => returned().map_or(Some([0, 0]), |d| d.as_slice().try_into().ok()),
    }
}

/// The card's keys, derived again from the issuer master keys that are given.
pub(in super::super) fn master_keys(card: &Card<'_>, learned: &mut Learned, found: &mut Findings) {
    const NAME: CheckName = CheckName::IccKeys;
    learned.host_key = None;
    let (Some(pan), Some(psn)) = (&card.pan, psn(card)) else { return };
    for set in &learned.card_keys {
        match card.context.card_keys.get(&set.dgi) {
            Some(uses) => {
                let uses: Vec<&str> = uses.iter().map(String::as_str).collect();
                if uses.len() != set.keys.len() {
                    found.fail(NAME, "the card has more or fewer keys than its profile");
                    continue;
                }
                derive_as(card, set, &uses, pan, &psn, &mut learned.host_key, found);
            }
            None if set.dgi == 0x8000 && set.keys.len() <= 3 => {
                let uses: Vec<&str> =
                    ["imk-ac", "imk-smi", "imk-smc"].into_iter().take(set.keys.len()).collect();
                derive_as(card, set, &uses, pan, &psn, &mut learned.host_key, found);
            }
            None => search(card, set, pan, &psn, found),
        }
    }
}

fn options(card: &Card<'_>, aes: bool) -> impl Iterator<Item = Derivation> {
    let wanted = card.context.derivation;
    let all = [Derivation::OptionA, Derivation::OptionB, Derivation::OptionC].into_iter();
    all.filter(move |o| wanted.is_none_or(|w| w == *o) && (*o == Derivation::OptionC) == aes)
}

/// Derives from the master keys of these uses, in order.
fn derive_as(
    card: &Card<'_>,
    set: &CardKeys,
    uses: &[&str],
    pan: &[u8],
    psn: &[u8],
    host_key: &mut Option<Secret>,
    found: &mut Findings,
) {
    let Some(first) = uses.first() else { return };
    let mut tried = false;
    let mut fits = false;
    for (index, _) in card.keys.candidates(first, card.context.derivation_index) {
        let masters: Option<Vec<&Secret>> = uses.iter().map(|u| card.keys.get(u, index)).collect();
        let Some(masters) = masters else { continue };
        tried = true;
        for option in options(card, set.aes) {
            let derived: Vec<_> =
                masters.iter().filter_map(|imk| icc_master_key(option, imk, pan, psn)).collect();
            if derived == set.keys {
                fits = true;
                if set.dgi == 0x8000 {
                    *host_key = derived.into_iter().next();
                }
            }
        }
    }
    if tried {
        found.require(CheckName::IccKeys, fits, "the card's keys are not those of the issuer master keys");
    }
}

/// When the profile is not known: each key may come from any master key of one index. No match proves nothing.
fn search(card: &Card<'_>, set: &CardKeys, pan: &[u8], psn: &[u8], found: &mut Findings) {
    let uses = ["imk-ac", "imk-smi", "imk-smc", "imk-dac", "imk-idn", "imk-cvc3"];
    let candidates = || uses.iter().flat_map(|u| card.keys.candidates(u, card.context.derivation_index));
    let made = |key: &Secret| {
        options(card, set.aes)
            .any(|o| candidates().any(|(_, imk)| icc_master_key(o, imk, pan, psn).as_ref() == Some(key)))
    };
    if set.keys.iter().all(made) {
        found.pass(CheckName::IccKeys);
    }
}

/// 8010 and 9010.
pub(in super::super) fn reference_pin(
    card: &Card<'_>,
    chip: &Chip<'_>,
    learned: &mut Learned,
    found: &mut Findings,
) {
    const NAME: CheckName = CheckName::ReferencePin;
    let (block, counter) = (chip.secret(0x8010), chip.clear(0x9010));
    if let Some(counter) = counter {
        let good = matches!(counter, [count, limit] if count == limit && (1..=15).contains(limit));
        if !good {
            found.fail(NAME, "the PIN try counter is not the limit, or not 1 to 15");
        }
    }
    match (block, counter) {
        (None, None) => return,
        (Some(_), Some(_)) => {}
        _ => found.fail(NAME, "8010 and 9010 do not stand together"),
    }
    let (Some(block), Some(transport)) = (block, &card.transport) else { return };
    let pin = one_block(transport, block).and_then(|plain| clear_reference_pin(&plain));
    let Some(pin) = pin else {
        found.fail(NAME, "8010 does not hold a PIN block");
        return;
    };
    found.pass(NAME);
    let same = learned.reference_pin.as_ref().is_none_or(|other| *other == pin);
    found.require(NAME, same, "two applications have different reference PINs");
    learned.reference_pin = Some(pin);
}

/// The PIN block in a DGI 8010 of one cipher block; under AES eight random bytes follow it.
fn one_block(transport: &Transport<'_>, value: &[u8]) -> Option<Secret> {
    if value.len() != transport.algorithm.block() {
        return None;
    }
    let plain = decipher(transport, TransportMode::Ecb, value)?;
    plain.expose().get(..8).map(Secret::copy_of)
}

/// Format 2; control nibble 0 without PAN; format 1.
fn clear_reference_pin(block: &Secret) -> Option<Pin> {
    let fields = nibbles(block.expose());
    match fields.first()? {
        0 => {
            let mut as_format_2 = block.expose().to_vec();
            if let Some(first) = as_format_2.first_mut() {
                *first |= 0x20;
            }
            pin_of_block(2, Secret::new(as_format_2).expose(), &[])
        }
        format => pin_of_block(*format, block.expose(), &[]).filter(|_| *format == 1 || *format == 2),
    }
}

/// Outcome of opening a PIN block outside the card.
enum Opened {
    /// No key for it is given.
    NoKey,
    /// No key that is given opens it.
    Wrong,
    Pin(Pin),
}

fn open(card: &Card<'_>, outer: &OuterPinBlock) -> Opened {
    let candidates = card.keys.candidates(outer.usage, outer.key_index);
    if candidates.is_empty() {
        return Opened::NoKey;
    }
    let Some(pan) = &card.pan else { return Opened::NoKey };
    for (_, key) in candidates {
        let pin = if outer.format == 4 {
            pin_of_format_4(key, &outer.block, pan)
        } else {
            let tdes = super::super::line::TransportAlgorithm::Tdes(key.len());
            let transport = Transport { key, algorithm: tdes, mode: None };
            let plain = decipher(&transport, TransportMode::Ecb, &outer.block);
            plain.and_then(|p| pin_of_block(outer.format, p.expose(), pan))
        };
        if let Some(pin) = pin {
            return Opened::Pin(pin);
        }
    }
    Opened::Wrong
}

/// The issuer's return, the PIN mailer and the PVV.
pub(in super::super) fn outside(card: &Card<'_>, learned: &mut Learned, found: &mut Findings) {
    if let Some(returned) = &card.context.issuer_return {
        const NAME: CheckName = CheckName::IssuerReturn;
        found.pass(NAME);
        if let Some(text) = returned.psn.as_deref() {
            let same = digits(text).is_some_and(|d| psn(card).is_some_and(|p| p == **d));
            found.require(NAME, same, "the PSN returned is not the card's");
        }
        if let Some(text) = returned.pvv.as_deref() {
            found.require(NAME, digits(text).is_some_and(|d| d.len() == 4), "the PVV is not four digits");
        }
        if !returned.serials.is_empty() {
            let mut on_card: Vec<_> = learned.certificates.iter().map(|c| c.serial).collect();
            let mut said = returned.serials.clone();
            on_card.sort_unstable();
            on_card.dedup();
            said.sort_unstable();
            said.dedup();
            let known = on_card.is_empty() || on_card == said;
            found.require(NAME, known, "the certificate serials returned are not the card's");
        }
        if let Some(block) = &returned.pin_block {
            compare_pin(card, block, NAME, learned, found);
        }
    }
    if let Some(mailer) = &card.context.mailer {
        compare_pin(card, mailer, CheckName::PinMailer, learned, found);
    }
    check_pvv(card, learned, found);
}

fn compare_pin(
    card: &Card<'_>,
    block: &OuterPinBlock,
    name: CheckName,
    learned: &mut Learned,
    found: &mut Findings,
) {
    match open(card, block) {
        Opened::NoKey => {}
        Opened::Wrong => found.fail(name, "the PIN block does not open"),
        Opened::Pin(pin) => {
            let same = learned.reference_pin.as_ref().is_none_or(|other| *other == pin);
            found.require(name, same, "the PIN is not the card's reference PIN");
            learned.reference_pin.get_or_insert(pin);
        }
    }
}

fn check_pvv(card: &Card<'_>, learned: &Learned, found: &mut Findings) {
    let (Some(returned), Some(pin), Some(pan)) =
        (&card.context.issuer_return, &learned.reference_pin, &card.pan)
    else {
        return;
    };
    let Some(expected) = returned.pvv.as_deref().and_then(|t| digits(t)) else { return };
    if card.context.given.contains(&Given::Pvv) {
        return;
    }
    let mut tried = false;
    let mut fits = false;
    for (index, key) in card.keys.candidates("pvk", card.context.pvk_index) {
        let Some(pvki) = returned.pvki.or_else(|| card.keys.pvki_of(index)) else { continue };
        tried = true;
        let stated = pvki < 10 && card.keys.pvki_of(index).is_none_or(|s| s == pvki);
        fits |= stated && pvv(key, pvki, pan, pin).is_some_and(|made| *made == *expected);
    }
    if tried {
        found.require(CheckName::Pvv, fits, "the PVV is not that of the PIN");
    }
}
