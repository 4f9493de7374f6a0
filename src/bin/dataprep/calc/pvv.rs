use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Pan, Pin};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::decimal::{DecimalizationTable, nibbles};
use emv_dataprep::issuer::pvv;
use emv_dataprep::keys::KeyUse;
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::cvv::other_keys;
use super::search::{Choice, Found, search};
use super::source::{KeyArgs, PinArgs};
use super::steps;
use crate::failure::Failure;

const CLAUSE: &str = "Visa PIN verification value";

/// Visa PIN verification value
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep calc pvv --test-key 0123456789ABCDEFFEDCBA9876543210 --pan 1122334455667788 \
--pvki 1 --test-pin 4524 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// The PAN
    #[arg(long)]
    pan: String,
    /// PIN verification key index, one digit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    pvki: u8,
    /// A PVV to compare with: exit code 3 if it differs, and the mistake that gives it
    #[arg(long, value_name = "NNNN")]
    check: Option<String>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("pvv");
    args.pin.check_beside(&args.key)?;
    let pan = arguments::pan(&args.pan, &mut answer)?;
    let check = args.check.as_deref().map(|c| arguments::digits("check", c)).transpose()?;
    if check.as_ref().is_some_and(|c| c.len() != pvv::DIGITS) {
        return Err(arguments::wrong("check", "four decimal digits"));
    }
    let loaded = args.key.load(&args.common, &[KeyUse::Pvk])?;
    let pin = args.pin.load()?;
    answer.result("PAN", pan.masked());
    loaded.describe(
        steps::imk_algorithm(emv_dataprep::issuer::DerivationOption::A, loaded.key.len())?,
        &mut answer,
    )?;
    let key = TdesKey::new(&loaded.key)?;
    let tsp = pvv::tsp(&pan, args.pvki, &pin)?;
    let text = pan.to_text();
    let end = text.len().saturating_sub(1);
    answer.step(
        Step::new(
            "TSP = the eleven rightmost PAN digits without the check digit, PVKI, the first four PIN digits",
            CLAUSE,
        )
        .with("PAN", text.as_str())
        .with("eleven digits", text.get(end.saturating_sub(11)..end).unwrap_or_default())
        .with("PVKI", args.pvki.to_string())
        .with("PIN digits", pin.expose().get(..4).map(steps::text_of).unwrap_or_default())
        .gives("TSP", hex_upper(tsp.as_slice())),
    );
    let block = key.encrypt_block(*tsp);
    answer.step(
        Step::new("Encipher the TSP under the PIN verification key", CLAUSE)
            .with("key", hex_upper(loaded.key.expose()))
            .with("TSP", hex_upper(tsp.as_slice()))
            .gives("block", hex_upper(&block)),
    );
    steps::decimal(&mut answer, CLAUSE, &block, pvv::DIGITS, "PVV")?;
    let value = pvv::compute(&key, &pan, args.pvki, &pin)?.to_text();
    answer.ends_in(&value)?;
    answer.result("PVV", value.as_str());
    if let Some(given) = check {
        answer
            .check(&steps::text_of(&given), &value, || mistakes(&loaded.key, &pan, args.pvki, &pin, &given));
    }
    Ok(answer)
}

/// Which mistake gives the other side's PVV.
fn mistakes(key: &Secret, pan: &Pan, pvki: u8, pin: &Pin, given: &[u8]) -> Found {
    let pvkis: Vec<u8> = (0..=9).filter(|n| *n != pvki).collect();
    let keys = other_keys(key);
    let choices = [
        Choice::new(pvkis.iter().map(|n| format!("the PVKI is {n}, not {pvki}"))),
        Choice::new(keys.iter().map(|(words, _)| (*words).to_owned())),
        Choice::new(["the check digit is among the eleven PAN digits".to_owned()]),
        Choice::new(
            (pin.len() > 4).then(|| "the last four digits of the PIN enter, not the first".to_owned()),
        ),
        Choice::new(["letters are decimalized in place (A to 0), not after the digits".to_owned()]),
    ];
    search(&choices, 2, Some(10_000), |at| {
        let number = |choice: usize| at.get(choice).and_then(|n| n.checked_sub(1));
        let pvki = number(0).and_then(|n| pvkis.get(n)).copied().unwrap_or(pvki);
        let key = number(1).and_then(|n| keys.get(n)).map_or(key, |(_, key)| key);
        let mut text = pan.to_text();
        if number(2).is_some() {
            // One digit more at the right moves the window over the check digit.
            text.push('0');
            text.remove(0);
        }
        let digits = pin.expose();
        let digits =
            if number(3).is_some() { digits.get(digits.len().saturating_sub(4)..) } else { Some(digits) };
        let (Ok(pan), Ok(pin), Ok(key)) =
            (Pan::without_check(&text), Pin::from_digits(digits.unwrap_or_default()), TdesKey::new(key))
        else {
            return false;
        };
        let Ok(tsp) = pvv::tsp(&pan, pvki, &pin) else { return false };
        let block = key.encrypt_block(*tsp);
        if number(4).is_some() {
            return DecimalizationTable::DEFAULT.apply(&nibbles(&block)).starts_with(given);
        }
        pvv::value(&block).is_ok_and(|v| v.expose() == given)
    })
}
