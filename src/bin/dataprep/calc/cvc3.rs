use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::cvc3;
use emv_dataprep::issuer::{DerivationOption, icc_key};
use emv_dataprep::keys::KeyUse;
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::{self, Common, Derivation, KeyIs};
use super::cvv::other_keys;
use super::mistakes::{other_option, other_psns, psn_words};
use super::search::{Choice, Found, search};
use super::source::KeyArgs;
use super::steps;
use crate::failure::Failure;

const CLAUSE: &str = "Mastercard contactless magnetic-stripe mode, CVC3";

/// CVC3 and IVCVC3 of one track
#[derive(clap::Args)]
#[command(after_help = "Without --un and --atc the IVCVC3 of the track is computed alone.\n\n\
Example: dataprep calc cvc3 --test-key 12345678123456781234567812345678 --pan 1234567890123456 \
--track 1234567890123456D12012061000110000000F --un 00002710 --atc 2710 --digits 3 --explain")]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    /// What the key is: imk (issuer master key for CVC3) or mk (KDCVC3)
    #[arg(long, value_enum, default_value = "imk")]
    key_is: KeyIs,
    /// Derivation option
    #[arg(long, value_enum, default_value = "a", ignore_case = true)]
    derivation: Derivation,
    /// The PAN, for an issuer master key
    #[arg(long)]
    pan: Option<String>,
    /// PAN sequence number; absent is 00
    #[arg(long, value_name = "NN")]
    psn: Option<String>,
    /// Static track data: track 2 the value of 9F6B, track 1 that of 56 as ASCII bytes, dynamic positions at zero
    #[arg(long, value_name = "HEX", required_unless_present = "ivcvc3")]
    track: Option<String>,
    /// The IVCVC3 itself, two bytes
    #[arg(long, value_name = "HEX", conflicts_with = "track")]
    ivcvc3: Option<String>,
    /// Unpredictable number, four bytes, binary-coded decimal
    #[arg(long, value_name = "HEX", requires = "atc")]
    un: Option<String>,
    /// Application transaction counter, two bytes, binary; 0000 where the profile leaves it out
    #[arg(long, value_name = "HEX", requires = "un")]
    atc: Option<String>,
    /// How many of the five digits the track carries
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5))]
    digits: u8,
    /// A CVC3 to compare with: exit code 3 if it differs, and the mistake that gives it
    #[arg(long, value_name = "DIGITS", requires = "un")]
    check: Option<String>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("cvc3");
    let pan = args.pan.as_deref().map(|p| arguments::pan(p, &mut answer)).transpose()?;
    let psn = arguments::psn(args.psn.as_deref())?;
    let track = args.track.as_deref().map(|t| arguments::hex("track", t)).transpose()?;
    let un = args.un.as_deref().map(|t| arguments::array::<4>("un", t)).transpose()?;
    let atc = args.atc.as_deref().map(|t| arguments::array::<2>("atc", t)).transpose()?;
    let check = args.check.as_deref().map(|t| arguments::digits("check", t)).transpose()?;
    let loaded = args.key.load(&args.common, &[KeyUse::ImkCvc3])?;
    let option: DerivationOption = args.derivation.into();
    if option == DerivationOption::C {
        return Err(Failure::usage("CVC3 is under TDES: --derivation a or b"));
    }
    if let Some(pan) = &pan {
        answer.result("PAN", pan.masked());
    }
    loaded.describe(steps::imk_algorithm(option, loaded.key.len())?, &mut answer)?;
    let kd = match (args.key_is, &pan) {
        (KeyIs::Imk, Some(pan)) => steps::icc_master_key(&mut answer, option, &loaded.key, pan, psn)?,
        (KeyIs::Imk, None) => return Err(Failure::usage("--pan is needed for an issuer master key")),
        (KeyIs::Mk, _) => loaded.key.duplicate(),
        (KeyIs::Sk, _) => return Err(Failure::usage("CVC3 has no session key: --key-is imk or mk")),
    };
    let key = TdesKey::new(&kd)?;
    let iv: [u8; 2] = match (&track, &args.ivcvc3) {
        (Some(track), _) => {
            let mac = steps::mac3(&mut answer, &key, Padding::Bit, track, "MAC over the static track data");
            let iv = cvc3::ivcvc3(&key, track);
            answer.step(
                Step::new("IVCVC3 = the last two bytes", CLAUSE)
                    .with("MAC", hex_upper(&mac))
                    .gives("IVCVC3", mac.last_chunk::<2>().map(|b| hex_upper(b)).unwrap_or_default()),
            );
            answer.ends_in(&hex_upper(&iv))?;
            iv
        }
        (None, Some(text)) => arguments::array("ivcvc3", text)?,
        (None, None) => return Err(Failure::usage("--track or --ivcvc3 is needed")),
    };
    answer.result("IVCVC3", hex_upper(&iv));
    let (Some(un), Some(atc)) = (un, atc) else { return Ok(answer) };
    let input = [iv.as_slice(), &un, &atc].concat();
    let block = key.encrypt_block(steps::eight(&input)?);
    answer.step(
        Step::new("Encipher IVCVC3, unpredictable number and ATC", CLAUSE)
            .with("IVCVC3", hex_upper(&iv))
            .with("unpredictable number", hex_upper(&un))
            .with("ATC", hex_upper(&atc))
            .gives("block", hex_upper(&block)),
    );
    let [.., high, low] = block;
    let five = format!("{:05}", u16::from_be_bytes([high, low]));
    answer.step(
        Step::new("The last two bytes as a number of five decimal digits, leading zeros kept", CLAUSE)
            .with("last two bytes", hex_upper(&[high, low]))
            .gives("CVC3", five.clone()),
    );
    let whole = cvc3::cvc3(&key, iv, un, atc).to_text();
    answer.ends_in(&whole)?;
    let value = rightmost(&whole, args.digits);
    answer.step(
        Step::new(format!("The rightmost {} digits", args.digits), CLAUSE)
            .with("CVC3", five)
            .gives("CVC3", value.clone()),
    );
    answer.result("CVC3", value.clone());
    if let Some(given) = check {
        if given.len() != usize::from(args.digits) {
            return Err(Failure::usage("--check has another number of digits than --digits"));
        }
        let right = Reading { key: loaded.key, is: args.key_is, option, track, iv, un, atc };
        let given = steps::text_of(&given);
        answer.check(&given, &value, || mistakes(&right, pan.as_ref(), psn, &given));
    }
    Ok(answer)
}

fn rightmost(digits: &str, count: u8) -> String {
    digits.get(digits.len().saturating_sub(usize::from(count))..).unwrap_or_default().to_owned()
}

struct Reading {
    key: Secret,
    is: KeyIs,
    option: DerivationOption,
    track: Option<Vec<u8>>,
    iv: [u8; 2],
    un: [u8; 4],
    atc: [u8; 2],
}

fn mistakes(
    right: &Reading,
    pan: Option<&emv_dataprep::card::Pan>,
    psn: emv_dataprep::card::Psn,
    given: &str,
) -> Found {
    let psns = if pan.is_some() { other_psns(psn) } else { Vec::new() };
    let keys = other_keys(&right.key);
    let atcs: Vec<[u8; 2]> = {
        let number = u16::from_be_bytes(right.atc);
        let near = [number.wrapping_add(1), number.wrapping_sub(1), 0];
        near.into_iter().filter(|n| *n != number).map(u16::to_be_bytes).collect()
    };
    let role = match (right.is, pan) {
        (KeyIs::Imk, _) => Some((KeyIs::Mk, "the key is KDCVC3 already, not the issuer master key")),
        (_, Some(_)) => Some((KeyIs::Imk, "the key is the issuer master key, not KDCVC3")),
        _ => None,
    };
    let option = pan.and_then(|_| other_option(right.option));
    let choices = [
        // A PSN matches by chance often where a value is short: it is tried with one mistake at most.
        Choice::new(role.map(|(_, words)| words.to_owned())),
        Choice::new(option.map(|(_, words)| words.to_owned())),
        Choice::new(psn_words(psns.get(..3).unwrap_or_default(), psn)),
        Choice::new(keys.iter().map(|(words, _)| (*words).to_owned())),
        Choice::new(
            atcs.iter().map(|a| format!("the ATC is {}, not {}", hex_upper(a), hex_upper(&right.atc))),
        ),
        Choice::new(["the unpredictable number is zeros".to_owned()]),
        Choice::new(
            right.track.as_ref().map(|_| "the static track data are padded with zeros (method 1)".to_owned()),
        ),
    ];
    let range = u32::try_from(given.len()).ok().and_then(|n| 10_u32.checked_pow(n));
    search(&choices, 2, range, |at| {
        let number = |choice: usize| at.get(choice).and_then(|n| n.checked_sub(1));
        let is = number(0).and(role).map_or(right.is, |(is, _)| is);
        let option = number(1).and(option).map_or(right.option, |(option, _)| option);
        let psn = number(2).and_then(|n| psns.get(n)).copied().unwrap_or(psn);
        let key = number(3).and_then(|n| keys.get(n)).map_or(&right.key, |(_, key)| key);
        let atc = number(4).and_then(|n| atcs.get(n)).copied().unwrap_or(right.atc);
        let un = if number(5).is_some() { [0; 4] } else { right.un };
        let kd = match (is, pan) {
            (KeyIs::Imk, Some(pan)) => icc_key::derive(option, key, pan, psn).ok(),
            _ => Some(key.duplicate()),
        };
        let Some(kd) = kd.and_then(|k| TdesKey::new(&k).ok()) else { return false };
        let iv = match (&right.track, number(6)) {
            (Some(track), None) => cvc3::ivcvc3(&kd, track),
            (Some(track), Some(_)) => {
                let [.., a, b] = emv_dataprep::crypto::mac::retail_mac(&kd, [0; 8], Padding::Zeros, track);
                [a, b]
            }
            (None, _) => right.iv,
        };
        cvc3::cvc3(&kd, iv, un, atc).to_text().ends_with(given)
    })
}
