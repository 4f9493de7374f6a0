use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Pan, Pin};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::DigitValue;
use emv_dataprep::issuer::decimal::DecimalizationTable;
use emv_dataprep::issuer::decimal::nibbles;
use emv_dataprep::issuer::ibm3624::{self, ValidationLayout};
use emv_dataprep::keys::KeyUse;
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::cvv::other_keys;
use super::search::{Choice, Found, search};
use super::source::{KeyArgs, PinArgs};
use super::steps;
use crate::failure::Failure;

const CLAUSE: &str = "IBM 3624 PIN generation";

/// IBM 3624: natural PIN, offset of a PIN, PIN of an offset
#[derive(clap::Args)]
#[command(
    after_help = "With a PIN the offset is computed, with --offset the PIN, with neither the natural PIN.\n\n\
Example: dataprep calc pin --test-key 0123456789ABCDEFFEDCBA9876543210 --table 1234567890123456 --pan 1122334455667788 \
--layout sixteen --test-pin 4524 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// The PAN
    #[arg(long, required_unless_present = "validation_data")]
    pan: Option<String>,
    /// How the validation data come from the PAN: twelve (rightmost without the check digit, padded), sixteen (rightmost),
    /// or FIRST:COUNT (COUNT digits from position FIRST, from zero, padded)
    #[arg(long, default_value = "twelve")]
    layout: String,
    /// Padding of the validation data, one hexadecimal digit
    #[arg(long, value_name = "DIGIT", default_value = "F")]
    pad: String,
    /// The validation data themselves, sixteen hexadecimal digits
    #[arg(long, value_name = "HEX", conflicts_with = "pan")]
    validation_data: Option<String>,
    /// Decimalization table, sixteen decimal digits
    #[arg(long, value_name = "DIGITS", default_value = "0123456789012345")]
    table: String,
    /// Digits of the natural PIN, where no PIN is given
    #[arg(long, default_value_t = 4)]
    length: usize,
    /// An offset: its PIN is computed
    #[arg(long, value_name = "DIGITS", conflicts_with_all = ["pin_file", "pin_stdin", "test_pin"])]
    offset: Option<String>,
    /// An offset to compare with the PIN's: exit code 3 if it differs, and the mistake that gives it
    #[arg(long, value_name = "DIGITS")]
    check: Option<String>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("pin");
    args.pin.check_beside(&args.key)?;
    let pan = args.pan.as_deref().map(|p| arguments::pan(p, &mut answer)).transpose()?;
    let pad = one_digit(&args.pad)?;
    let layout = layout(&args.layout, pad)?;
    let table: DecimalizationTable =
        args.table.parse().map_err(|_| arguments::wrong("table", "sixteen decimal digits"))?;
    let offset = args.offset.as_deref().map(|o| arguments::digits("offset", o)).transpose()?;
    let check = args.check.as_deref().map(|c| arguments::digits("check", c)).transpose()?;
    if check.is_some() && !args.pin.is_given() {
        return Err(Failure::usage("--check compares the offset of a PIN: a PIN is needed"));
    }
    let loaded = args.key.load(&args.common, &[KeyUse::Pvk])?;
    let pin = if args.pin.is_given() { Some(args.pin.load()?) } else { None };
    if pin.is_none() {
        loaded.may_show("a PIN")?;
    }
    if let Some(pan) = &pan {
        answer.result("PAN", pan.masked());
    }
    // A single DES key K is the key K K.
    let whole = if loaded.key.len() == 8 {
        Secret::concat(&[loaded.key.expose(), loaded.key.expose()])
    } else {
        loaded.key.duplicate()
    };
    answer.result("key KCV", steps::kcv(&whole, true)?);
    let key = TdesKey::new(&whole)?;
    let validation = match (&args.validation_data, &pan) {
        (Some(text), _) => arguments::array("validation-data", text)?,
        (None, Some(pan)) => {
            let data = layout.apply(pan)?;
            answer.step(
                Step::new(format!("Validation data: {}", words(layout)), CLAUSE)
                    .with("PAN", pan.to_text().as_str())
                    .gives("validation data", hex_upper(&data)),
            );
            data
        }
        (None, None) => return Err(Failure::usage("--pan or --validation-data is needed")),
    };
    let length = pin.as_ref().map_or(args.length, Pin::len);
    let natural = explain(&mut answer, &key, &whole, validation, &table, &args.table, length)?;
    match (&pin, &offset) {
        (Some(pin), _) => {
            let value = ibm3624::offset(&natural, pin)?.to_text();
            answer.step(
                Step::new("Offset = PIN less natural PIN, digit by digit, without carry", CLAUSE)
                    .with("PIN", steps::text_of(pin.expose()))
                    .with("natural PIN", steps::text_of(natural.expose()))
                    .gives("offset", value.as_str()),
            );
            answer.ends_in(&value)?;
            answer.result("offset", value.as_str());
            if let Some(given) = check {
                if given.len() != pin.len() {
                    return Err(Failure::usage("--check has another number of digits than the PIN"));
                }
                let right = Reading { key: &whole, pan: pan.as_ref(), layout, validation, table };
                answer.check(&steps::text_of(&given), &value, || mistakes(&right, pin, &given));
            }
        }
        (None, Some(offset)) => {
            let found = ibm3624::pin_from_offset(&natural, &DigitValue::new(offset.clone()))?;
            let value = steps::text_of(found.expose());
            answer.step(
                Step::new("PIN = natural PIN and offset, digit by digit, without carry", CLAUSE)
                    .with("natural PIN", steps::text_of(natural.expose()))
                    .with("offset", steps::text_of(offset))
                    .gives("PIN", value.clone()),
            );
            answer.result("PIN", value);
        }
        (None, None) => answer.result("natural PIN", steps::text_of(natural.expose())),
    }
    Ok(answer)
}

fn one_digit(text: &str) -> Result<u8, Failure> {
    let digit = u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 1);
    digit.ok_or_else(|| arguments::wrong("pad", "one hexadecimal digit"))
}

fn layout(text: &str, pad: u8) -> Result<ValidationLayout, Failure> {
    let wrong = || arguments::wrong("layout", "twelve, sixteen or FIRST:COUNT");
    match text {
        "twelve" => Ok(ValidationLayout::RightmostTwelve { pad }),
        "sixteen" => Ok(ValidationLayout::RightmostSixteen),
        _ => {
            let (first, count) = text.split_once(':').ok_or_else(wrong)?;
            let (first, count) = (first.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
            Ok(ValidationLayout::Slice { first, count, pad })
        }
    }
}

fn words(layout: ValidationLayout) -> String {
    match layout {
        ValidationLayout::RightmostTwelve { pad } => {
            format!("the twelve rightmost PAN digits without the check digit, then {pad:X}")
        }
        ValidationLayout::RightmostSixteen => "the sixteen rightmost PAN digits".to_owned(),
        ValidationLayout::Slice { first, count, pad } => {
            format!("{count} PAN digits from position {first}, then {pad:X}")
        }
    }
}

fn explain(
    answer: &mut Answer,
    key: &TdesKey,
    bytes: &Secret,
    validation: [u8; 8],
    table: &DecimalizationTable,
    table_text: &str,
    length: usize,
) -> Result<Pin, Failure> {
    let block = key.encrypt_block(validation);
    answer.step(
        Step::new("Encipher the validation data under the PIN verification key", CLAUSE)
            .with("key", hex_upper(bytes.expose()))
            .with("validation data", hex_upper(&validation))
            .gives("E", hex_upper(&block)),
    );
    let digits = table.apply(&nibbles(&block));
    answer.step(
        Step::new("Each hexadecimal digit through the decimalization table", CLAUSE)
            .with("hexadecimal digit", "0123456789ABCDEF")
            .with("stands for", table_text)
            .gives("digits", steps::text_of(&digits)),
    );
    answer.step(
        Step::new(format!("The leftmost {length} digits"), CLAUSE)
            .with("digits", steps::text_of(&digits))
            .gives("natural PIN", digits.get(..length).map(steps::text_of).unwrap_or_default()),
    );
    let natural = ibm3624::natural_pin(key, validation, table, length)?;
    answer.ends_in(&steps::text_of(natural.expose()))?;
    Ok(natural)
}

struct Reading<'a> {
    key: &'a Secret,
    pan: Option<&'a Pan>,
    layout: ValidationLayout,
    validation: [u8; 8],
    table: DecimalizationTable,
}

/// Which mistake gives the other side's offset.
fn mistakes(right: &Reading<'_>, pin: &Pin, given: &[u8]) -> Found {
    let layouts: Vec<ValidationLayout> = [0xF, 0x0]
        .into_iter()
        .map(|pad| ValidationLayout::RightmostTwelve { pad })
        .chain([
            ValidationLayout::RightmostSixteen,
            ValidationLayout::Slice { first: 0, count: 16, pad: 0xF },
        ])
        .chain([0xF, 0x0].map(|pad| ValidationLayout::Slice { first: 0, count: 12, pad }))
        .filter(|l| {
            *l != right.layout && right.pan.is_some_and(|p| l.apply(p).is_ok_and(|d| d != right.validation))
        })
        .collect();
    let table_words = (right.table != DecimalizationTable::DEFAULT)
        .then(|| "the decimalization table is the usual one, 0123456789012345".to_owned());
    let keys = other_keys(right.key);
    let choices = [
        Choice::new(layouts.iter().map(|l| format!("the validation data are {}", words(*l)))),
        Choice::new(table_words),
        Choice::new(keys.iter().map(|(words, _)| (*words).to_owned())),
        Choice::new(["the offset is natural PIN less PIN".to_owned()]),
    ];
    let range = u32::try_from(given.len()).ok().and_then(|n| 10_u32.checked_pow(n));
    search(&choices, 2, range, |at| {
        let number = |choice: usize| at.get(choice).and_then(|n| n.checked_sub(1));
        let validation = match (number(0).and_then(|n| layouts.get(n)), right.pan) {
            (Some(layout), Some(pan)) => layout.apply(pan).unwrap_or(right.validation),
            _ => right.validation,
        };
        let table = if number(1).is_some() { DecimalizationTable::DEFAULT } else { right.table };
        let key = number(2).and_then(|n| keys.get(n)).map_or(right.key, |(_, key)| key);
        let Ok(key) = TdesKey::new(key) else { return false };
        let Ok(natural) = ibm3624::natural_pin(&key, validation, &table, pin.len()) else { return false };
        let offset =
            if number(3).is_some() { ibm3624::offset(pin, &natural) } else { ibm3624::offset(&natural, pin) };
        offset.is_ok_and(|o| o.expose() == given)
    })
}
