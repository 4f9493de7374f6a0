//! What people mix up about card keys: the readings that a search tries.

use emv_dataprep::card::{Pan, Psn};
use emv_dataprep::issuer::{DerivationOption, icc_key};
use emv_dataprep::keys::KeyAlgorithm;
use emv_dataprep::secret::Secret;

use super::cvv::other_keys;
use super::search::{Choice, Found, search};
use super::steps;

/// Every PAN sequence number but `right`.
pub fn other_psns(right: Psn) -> Vec<Psn> {
    (0..100_u8).filter_map(|n| format!("{n:02}").parse().ok()).filter(|psn| *psn != right).collect()
}

/// Words for them.
pub fn psn_words(others: &[Psn], right: Psn) -> Vec<String> {
    others
        .iter()
        .map(|psn| {
            let absent = if *psn == Psn::default() { " (or absent)" } else { "" };
            format!("the PAN sequence number is {psn}{absent}, not {right}")
        })
        .collect()
}

/// The other TDES option, where it makes a difference.
pub const fn other_option(option: DerivationOption) -> Option<(DerivationOption, &'static str)> {
    match option {
        DerivationOption::A => Some((DerivationOption::B, "the derivation option is B, not A")),
        DerivationOption::B => Some((DerivationOption::A, "the derivation option is A, not B")),
        DerivationOption::C => None,
    }
}

/// Which mistake gives the check value of an ICC master key.
pub fn of_icc_key(
    imk: &Secret,
    algorithm: KeyAlgorithm,
    option: DerivationOption,
    pan: &Pan,
    psn: Psn,
    given: &str,
) -> Found {
    let psns = other_psns(psn);
    let option_words = other_option(option).map(|(_, words)| words.to_owned());
    let keys = if algorithm.is_tdes() { other_keys(imk) } else { Vec::new() };
    let choices = [
        Choice::new(psn_words(&psns, psn)),
        Choice::new(option_words),
        Choice::new(keys.iter().map(|(words, _)| (*words).to_owned())),
        Choice::new(["it is the check value of the issuer master key itself".to_owned()]),
    ];
    let kcv_is =
        |key: &Secret| steps::long_kcv(key, algorithm.is_tdes()).is_ok_and(|long| long.starts_with(given));
    let range = u32::try_from(given.len()).ok().filter(|n| *n < 6).and_then(|n| 16_u32.checked_pow(n));
    search(&choices, 2, range, |reading| {
        let number = |choice: usize| reading.get(choice).and_then(|n| n.checked_sub(1));
        let psn = number(0).and_then(|n| psns.get(n)).copied().unwrap_or(psn);
        let option = number(1).and_then(|_| other_option(option)).map_or(option, |(other, _)| other);
        let key = number(2).and_then(|n| keys.get(n)).map_or(imk, |(_, key)| key);
        match number(3) {
            Some(_) => kcv_is(key),
            None => icc_key::derive(option, key, pan, psn).is_ok_and(|mk| kcv_is(&mk)),
        }
    })
}
