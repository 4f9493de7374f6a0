use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Expiry, Pan, ServiceCode};
use emv_dataprep::crypto::tdes::{TdesKey, xor};
use emv_dataprep::issuer::DigitValue;
use emv_dataprep::issuer::cvv::{self, ExpiryOrder};
use emv_dataprep::issuer::decimal::{DecimalizationTable, nibbles};
use emv_dataprep::keys::KeyUse;
use emv_dataprep::secret::Secret;
use zeroize::Zeroizing;

use super::answer::{Answer, Step};
use super::arguments::{self, Common, Derivation, KeyIs};
use super::search::{Choice, Found, chosen, search};
use super::source::KeyArgs;
use super::steps;
use crate::failure::Failure;

const CLAUSE: &str = "Visa CVV and Mastercard CVC calculation";

/// CVV, CVC, iCVV, CVV2 and dCVV
#[derive(clap::Args)]
#[command(
    after_help = "Example: dataprep calc cvv --test-key 0123456789ABCDEFFEDCBA9876543210 --pan 4123456789012 \
--expiry 8701 --expiry-order yymm --service-code 101 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    /// Which value: it sets the service code of icvv (999) and cvv2 (000)
    #[arg(long, value_enum, default_value = "cvv")]
    kind: Kind,
    /// The PAN
    #[arg(long)]
    pan: String,
    /// Expiry, year and month
    #[arg(long, value_name = "YYMM")]
    expiry: String,
    /// In which order the expiry enters: yymm on stripe and chip; for cvv2 the issuer's choice
    #[arg(long, value_enum)]
    expiry_order: Order,
    /// Service code of the track; for cvv and dcvv
    #[arg(long, value_name = "NNN")]
    service_code: Option<String>,
    /// Digits of the value
    #[arg(long, default_value_t = cvv::DIGITS)]
    digits: usize,
    /// dcvv: application transaction counter, four decimal digits
    #[arg(long, value_name = "NNNN")]
    atc: Option<String>,
    /// dcvv: what the key is
    #[arg(long, value_enum, default_value = "imk")]
    key_is: KeyIs,
    /// dcvv: derivation option of the ICC master key
    #[arg(long, value_enum, default_value = "a", ignore_case = true)]
    derivation: Derivation,
    /// dcvv: PAN sequence number; absent is 00
    #[arg(long, value_name = "NN")]
    psn: Option<String>,
    /// A value to compare with: exit code 3 if it differs, and the mistake that gives it
    #[arg(long, value_name = "DIGITS")]
    check: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// CVV, CVC of the magnetic stripe
    Cvv,
    /// iCVV, Chip CVC of the chip's track 2 equivalent
    Icvv,
    /// CVV2, CVC2, printed
    Cvv2,
    /// dCVV of Visa's contactless magnetic-stripe mode (legacy)
    Dcvv,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// Year, then month
    Yymm,
    /// Month, then year
    Mmyy,
}

impl Order {
    const fn word(self) -> &'static str {
        match self {
            Self::Yymm => "YYMM",
            Self::Mmyy => "MMYY",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Yymm => Self::Mmyy,
            Self::Mmyy => Self::Yymm,
        }
    }

    const fn digits(self, expiry: Expiry) -> [u8; 4] {
        match self {
            Self::Yymm => ExpiryOrder::Yymm.digits(expiry),
            Self::Mmyy => ExpiryOrder::Mmyy.digits(expiry),
        }
    }
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("cvv");
    let pan = arguments::pan(&args.pan, &mut answer)?;
    let expiry = arguments::expiry(&args.expiry)?;
    let service_code = service_code(args)?;
    let check = args.check.as_deref().map(|c| arguments::digits("check", c)).transpose()?;
    let uses: &[KeyUse] = if args.kind == Kind::Dcvv { &[KeyUse::ImkAc] } else { &[KeyUse::Cvk] };
    let atc = args.atc.as_deref().map(|t| arguments::digits("atc", t)).transpose()?;
    let atc: Option<[u8; 4]> = match (args.kind, atc) {
        (Kind::Dcvv, Some(d)) => {
            Some(d.try_into().map_err(|_| arguments::wrong("atc", "four decimal digits"))?)
        }
        (Kind::Dcvv, None) => return Err(Failure::usage("dcvv needs --atc")),
        (_, Some(_)) => return Err(Failure::usage("--atc is for dcvv")),
        (_, None) => None,
    };
    let loaded = args.key.load(&args.common, uses)?;
    let algorithm = steps::imk_algorithm(emv_dataprep::issuer::DerivationOption::A, loaded.key.len())?;
    answer.result("PAN", pan.masked());
    loaded.describe(algorithm, &mut answer)?;

    let key = match (args.kind, args.key_is) {
        (Kind::Dcvv, KeyIs::Imk) => {
            let psn = arguments::psn(args.psn.as_deref())?;
            steps::icc_master_key(&mut answer, args.derivation.into(), &loaded.key, &pan, psn)?
        }
        _ => loaded.key.duplicate(),
    };
    let entering = match atc {
        Some(atc) => with_counter(&mut answer, &pan, atc)?,
        None => Pan::without_check(&pan.to_text())?,
    };
    let reading = Reading {
        key,
        pan: entering,
        expiry: args.expiry_order.digits(expiry),
        service_code,
        digits: args.digits,
        decimals: Decimals::TwoPasses,
    };
    explain(&mut answer, &reading, args.expiry_order)?;
    // The library's own function has the last word.
    let cvk = TdesKey::new(&reading.key)?;
    let value = match (args.kind, atc) {
        (Kind::Dcvv, Some(atc)) if args.digits == cvv::DIGITS => {
            cvv::dcvv(&cvk, &pan, atc, reading.expiry, service_code)?
        }
        _ => cvv::compute(&cvk, &reading.pan, reading.expiry, service_code, args.digits)?,
    };
    let value = value.to_text();
    answer.ends_in(&value)?;
    answer.result(name(args.kind), value.as_str());
    if let Some(given) = check {
        if given.len() != args.digits {
            return Err(Failure::usage("--check has another number of digits than --digits"));
        }
        answer.check(&steps::text_of(&given), &value, || mistakes(args, &reading, expiry, &given));
    }
    Ok(answer)
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cvv => "CVV",
        Kind::Icvv => "iCVV",
        Kind::Cvv2 => "CVV2",
        Kind::Dcvv => "dCVV",
    }
}

fn service_code(args: &Args) -> Result<ServiceCode, Failure> {
    let fixed = match args.kind {
        Kind::Icvv => Some(ServiceCode::ICVV),
        Kind::Cvv2 => Some(ServiceCode::CVV2),
        Kind::Cvv | Kind::Dcvv => None,
    };
    match (fixed, &args.service_code) {
        (None, None) => Err(Failure::usage("--service-code is needed: the one of the track")),
        (Some(code), None) => Ok(code),
        (fixed, Some(text)) => {
            let given = arguments::service_code(text)?;
            if fixed.is_some_and(|f| f != given) {
                return Err(Failure::usage("icvv has the service code 999, cvv2 has 000"));
            }
            Ok(given)
        }
    }
}

/// The PAN of a dCVV: the counter in place of its first four digits.
fn with_counter(answer: &mut Answer, pan: &Pan, atc: [u8; 4]) -> Result<Pan, Failure> {
    let mut text = pan.to_text();
    text.replace_range(..4, &steps::text_of(&atc));
    answer.step(
        Step::new(
            "The counter replaces the first four digits of the PAN",
            "Visa dCVV (contactless magnetic-stripe mode)",
        )
        .with("PAN", pan.to_text().as_str())
        .with("ATC", steps::text_of(&atc))
        .gives("PAN for the value", text.as_str()),
    );
    Ok(Pan::without_check(&text)?)
}

/// Everything that a value depends on.
struct Reading {
    key: Secret,
    pan: Pan,
    expiry: [u8; 4],
    service_code: ServiceCode,
    digits: usize,
    decimals: Decimals,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decimals {
    TwoPasses,
    InPlace,
}

impl Reading {
    fn value(&self) -> Option<DigitValue> {
        let key = TdesKey::new(&self.key).ok()?;
        let block = cvv::last_block(&key, &cvv::blocks(&self.pan, self.expiry, self.service_code).ok()?);
        match self.decimals {
            Decimals::TwoPasses => cvv::value(&block, self.digits).ok(),
            Decimals::InPlace => {
                let digits = DecimalizationTable::DEFAULT.apply(&nibbles(&block));
                digits.get(..self.digits).map(|d| DigitValue::new(d.to_vec()))
            }
        }
    }
}

fn explain(answer: &mut Answer, reading: &Reading, order: Order) -> Result<(), Failure> {
    let key = TdesKey::new(&reading.key)?;
    let blocks = cvv::blocks(&reading.pan, reading.expiry, reading.service_code)?;
    let [b1, b2] = *blocks;
    answer.step(
        Step::new("PAN, expiry and service code, then zeros to 32 digits: two blocks", CLAUSE)
            .with("PAN", reading.pan.to_text().as_str())
            .with(format!("expiry {}", order.word()), steps::text_of(&reading.expiry))
            .with("service code", reading.service_code.to_string())
            .gives("B1 B2", format!("{} {}", hex_upper(&b1), hex_upper(&b2))),
    );
    let t1 = key.left_encrypt(b1);
    let keys: Vec<String> = reading.key.expose().chunks(8).map(hex_upper).collect();
    answer.step(
        Step::new("Encipher B1 with K1 (single DES)", CLAUSE)
            .with("K1", keys.first().cloned().unwrap_or_default())
            .with("B1", hex_upper(&b1))
            .gives("T1", hex_upper(&t1)),
    );
    let t2 = xor(t1, b2);
    answer.step(
        Step::new("Exclusive-or B2", CLAUSE)
            .with("T1", hex_upper(&t1))
            .with("B2", hex_upper(&b2))
            .gives("T2", hex_upper(&t2)),
    );
    let t = key.encrypt_block(t2);
    answer.step(
        Step::new("Encipher with the whole key: E(K1), D(K2), E(K1)", CLAUSE)
            .with("K1 K2", keys.join(" "))
            .with("T2", hex_upper(&t2))
            .gives("T", hex_upper(&t)),
    );
    steps::decimal(answer, CLAUSE, &t, reading.digits, "value")
}

/// Service codes that cards carry, tried beside those of iCVV and CVV2.
const SERVICE_CODES: [&str; 10] = ["000", "999", "101", "201", "221", "121", "120", "220", "206", "226"];

/// Which mistake gives the value of the other side.
fn mistakes(args: &Args, right: &Reading, expiry: Expiry, given: &[u8]) -> Found {
    let order = args.expiry_order;
    let expiries = [right.expiry, order.other().digits(expiry), [0; 4]];
    let expiry_words = [
        format!("the expiry enters as {}, not {}", order.other().word(), order.word()),
        "the expiry enters as 0000".to_owned(),
    ];
    let codes: Vec<ServiceCode> = std::iter::once(right.service_code)
        .chain(SERVICE_CODES.iter().filter_map(|c| c.parse().ok()).filter(|c| *c != right.service_code))
        .collect();
    let code_words = codes.iter().skip(1).map(|code| {
        let what = match *code {
            ServiceCode::ICVV => " (it is an iCVV)",
            ServiceCode::CVV2 => " (it is a CVV2)",
            _ => "",
        };
        format!("the service code is {code}{what}, not {}", right.service_code)
    });
    let keys = other_keys(&right.key);
    let key_words = keys.iter().map(|(words, _)| (*words).to_owned());
    let pans = other_pans(&right.pan);
    let pan_words = pans.iter().map(|(words, _)| words.clone());
    let choices = [
        Choice::new(expiry_words),
        Choice::new(code_words),
        Choice::new(key_words),
        Choice::new(pan_words),
        Choice::new(["letters are decimalized in place (A to 0), not after the digits".to_owned()]),
    ];
    let range = u32::try_from(right.digits).ok().and_then(|d| 10_u32.checked_pow(d));
    search(&choices, 2, range, |reading| {
        let key = match reading.get(2).and_then(|n| keys.get(n.checked_sub(1)?)) {
            Some((_, key)) => key,
            None => &right.key,
        };
        let pan = match reading.get(3).and_then(|n| pans.get(n.checked_sub(1)?)) {
            Some((_, pan)) => pan,
            None => &right.pan,
        };
        let (Some(expiry), Some(code)) = (chosen(&expiries, reading, 0), chosen(&codes, reading, 1)) else {
            return false;
        };
        let (Ok(pan), decimals) = (
            Pan::without_check(&pan.to_text()),
            if reading.get(4) == Some(&1) { Decimals::InPlace } else { Decimals::TwoPasses },
        ) else {
            return false;
        };
        let other = Reading {
            key: key.duplicate(),
            pan,
            expiry: *expiry,
            service_code: *code,
            digits: right.digits,
            decimals,
        };
        other.value().is_some_and(|v| v.expose() == given)
    })
}

/// Keys that people take for a double-length key: its halves swapped, its left half alone, its right half alone.
pub fn other_keys(key: &Secret) -> Vec<(&'static str, Secret)> {
    let Some((left, right)) = key.expose().split_at_checked(8).filter(|_| key.len() == 16) else {
        return Vec::new();
    };
    vec![
        ("K1 and K2 are swapped", Secret::concat(&[right, left])),
        ("the left half of the key is used alone (single DES)", Secret::concat(&[left, left])),
        ("the right half of the key is used alone (single DES)", Secret::concat(&[right, right])),
    ]
}

/// PANs that people take for a short one.
fn other_pans(pan: &Pan) -> Vec<(String, Pan)> {
    let text = pan.to_text();
    [16_usize, 19]
        .into_iter()
        .filter(|len| *len > text.len())
        .filter_map(|len| {
            let padded = Zeroizing::new(format!("{:0>len$}", text.as_str()));
            Some((
                format!("the PAN is padded left with zeros to {len} digits"),
                Pan::without_check(&padded).ok()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_mixed_up() {
        let key = Secret::new(emv_dataprep::bytes::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap());
        let words: Vec<String> = other_keys(&key).iter().map(|(_, k)| hex_upper(k.expose())).collect();
        assert_eq!(words[0], "FEDCBA98765432100123456789ABCDEF");
        assert_eq!(words[1], "0123456789ABCDEF0123456789ABCDEF");
        assert!(other_keys(&Secret::new(vec![1; 24])).is_empty());
    }

    #[test]
    fn a_short_pan_has_longer_readings() {
        let pan = Pan::without_check("4123456789012").unwrap();
        let longer: Vec<usize> = other_pans(&pan).iter().map(|(_, p)| p.len()).collect();
        assert_eq!(longer, [16, 19]);
    }
}
