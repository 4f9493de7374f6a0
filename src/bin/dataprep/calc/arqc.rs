use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::issuer::cryptogram::{self, CryptogramVersion};
use emv_dataprep::keys::KeyUse;

use super::answer::Answer;
use super::arguments::{self, Common};
use super::card_key::{self, CardKeyArgs, Diversifier, Reading, Session};
use super::data::{self, DataArgs, Element, Material};
use super::near;
use super::readings::{self, Others};
use super::search::{Choice, Found, search};
use super::steps;
use crate::failure::Failure;

/// Application cryptogram: ARQC, TC or AAC
#[derive(clap::Args)]
#[command(
    after_help = "With --check the exit code is 3 for another value, and the mistake that gives it is looked for: \
derivation option, PAN sequence number, session key, padding, the data of another cryptogram version, an element left out, \
key halves, counter.\n\n\
Example: dataprep calc arqc --test-key 0123456789ABCDEFFEDCBA9876543210 --cvn 0A --pan 1234567890123456 --psn 00 \
--data 0000000040000000000000000124800004800001241911050152BF4585 --aip 1800 --atc 001C --iad 06010A03A06010 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    card: CardKeyArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Cryptogram version: the byte in the issuer application data, 0A visa:11 12 22 10 mchip:11 14 15 A5 A6
    #[arg(long, value_name = "BYTE")]
    cvn: Option<String>,
    /// Padding, where it is not that of the cryptogram version
    #[arg(long, value_enum)]
    padding: Option<PaddingMethod>,
    /// An application cryptogram to compare with
    #[arg(long, value_name = "HEX")]
    check: Option<String>,
}

/// Padding of ISO/IEC 9797-1.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PaddingMethod {
    /// Method 1: zeros
    Zeros,
    /// Method 2: 80, then zeros
    Bit,
}

impl From<PaddingMethod> for Padding {
    fn from(method: PaddingMethod) -> Self {
        match method {
            PaddingMethod::Zeros => Self::Zeros,
            PaddingMethod::Bit => Self::Bit,
        }
    }
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("arqc");
    let version = args.cvn.as_deref().map(card_key::version).transpose()?;
    let session = args.card.session(version.map(|v| Session::from(v.session())))?;
    let padding = args.padding.map(Padding::from).or(version.map(CryptogramVersion::padding));
    let padding = padding.ok_or_else(|| Failure::usage("--padding is needed where no --cvn says it"))?;
    let check = args.check.as_deref().map(|c| arguments::array::<8>("check", c)).transpose()?;
    let material = args.data.material()?;
    let with = Diversifier { atc: material.atc, un: material.un, ..Diversifier::default() };
    let reading = args.card.load(&args.common, &[KeyUse::ImkAc], session, with, &mut answer)?;
    if let Some(version) = version {
        answer.result("cryptogram version", card_key::version_words(version));
        if material.contradicts(version) {
            answer.note(format!("the issuer application data do not say version {:02X}", version.byte()));
        }
    }
    // Without a version only the whole input can be given.
    let elements =
        material.elements(version.unwrap_or(CryptogramVersion::Visa12)).map_err(|e| match version {
            Some(_) => e,
            None => Failure::usage("--input is needed where no --cvn says which elements enter"),
        })?;
    let input = data::join(&elements);
    let sk = reading.explain(&mut answer)?;
    answer.step(data::step(&elements, "EMV 4.4 Book 2, 8.1.1 and the scheme's cryptogram version"));
    let ac = if session.is_aes() {
        steps::cmac_eight(&mut answer, &sk, &input, "application cryptogram")?;
        cryptogram::application_cryptogram_aes(&sk, &input)?
    } else {
        let key = TdesKey::new(&sk)?;
        steps::mac3(&mut answer, &key, padding, &input, "application cryptogram");
        cryptogram::application_cryptogram(&key, padding, &input)
    };
    answer.ends_in(&hex_upper(&ac))?;
    answer.result("application cryptogram", hex_upper(&ac));
    if let Some(given) = check {
        answer.check(&hex_upper(&given), &hex_upper(&ac), || {
            mistakes(&reading, &material, version, padding, &elements, given)
        });
    }
    Ok(answer)
}

/// The cryptogram of one reading.
fn cryptogram_of(reading: &Reading, padding: Padding, input: &[u8]) -> Option<[u8; 8]> {
    let sk = reading.session_key()?;
    if reading.session.is_aes() {
        return cryptogram::application_cryptogram_aes(&sk, input).ok();
    }
    Some(cryptogram::application_cryptogram(&TdesKey::new(&sk).ok()?, padding, input))
}

const SESSIONS: [Session; 6] =
    [Session::Mk, Session::Csk, Session::Skd, Session::CskAes, Session::Tree8, Session::Tree16];

fn mistakes(
    right: &Reading,
    material: &Material,
    version: Option<CryptogramVersion>,
    padding: Padding,
    elements: &[Element],
    given: [u8; 8],
) -> Found {
    let input = data::join(elements);
    let others = Others::new(right, &SESSIONS);
    let paddings: Vec<(&str, Padding)> = [
        ("the padding is method 1 (zeros)", Padding::Zeros),
        ("the padding is method 2 (80, then zeros)", Padding::Bit),
        ("the padding is method 3 (length before)", Padding::Length),
    ]
    .into_iter()
    .filter(|(_, p)| *p != padding && !right.session.is_aes())
    .collect();
    // Data for each counter that is tried, the right data first; of those that are alike for the right counter, one.
    let counters = others.counters();
    let own = |material: &Material, version: Option<CryptogramVersion>| {
        version.and_then(|v| material.elements(v).ok()).map_or_else(|| input.clone(), |e| data::join(&e))
    };
    let by_counter: Vec<Vec<(String, Vec<u8>)>> = counters
        .iter()
        .map(|atc| {
            let changed = material.with_counter(*atc);
            let mut all = vec![(String::new(), own(&changed, version))];
            all.extend(changed.others(version));
            all
        })
        .collect();
    let first = by_counter.first().map(Vec::as_slice).unwrap_or_default();
    let kept: Vec<usize> = (0..first.len())
        .filter(|at| {
            let (before, this) = first.split_at_checked(*at).unwrap_or((first, &[]));
            this.first().is_some_and(|(_, bytes)| !before.iter().any(|(_, other)| other == bytes))
        })
        .collect();
    let mut choices = others.choices();
    choices.push(Choice::new(paddings.iter().map(|(words, _)| (*words).to_owned())));
    choices.push(Choice::new(
        kept.iter().skip(1).filter_map(|at| first.get(*at)).map(|(words, _)| words.clone()),
    ));
    // Another version changes session key, padding and data at once: that is one mistake.
    let versions: Vec<CryptogramVersion> =
        CryptogramVersion::ALL.into_iter().filter(|v| version.is_some() && Some(*v) != version).collect();
    let all_versions =
        versions.iter().map(|v| format!("the cryptogram version is {}", card_key::version_words(*v)));
    choices.push(Choice::new(all_versions));
    let found = search(&choices, 3, None, |at| {
        let number = |choice: usize| at.get(readings::COUNT.saturating_add(choice)).copied().unwrap_or(0);
        let other = number(2).checked_sub(1).and_then(|n| versions.get(n)).copied();
        let reading = others.at(at, other.map(|v| Session::from(v.session())));
        let padding = other.map_or(padding, CryptogramVersion::padding);
        let padding = number(0).checked_sub(1).and_then(|n| paddings.get(n)).map_or(padding, |(_, p)| *p);
        let counter = at.get(readings::COUNTER).copied().unwrap_or(0);
        if let (Some(other), 0) = (other, number(1)) {
            let data = own(&material.with_counter(counters.get(counter).copied().flatten()), Some(other));
            return cryptogram_of(&reading, padding, &data) == Some(given);
        }
        let place = kept.get(number(1)).copied().unwrap_or(0);
        let data = by_counter.get(counter).and_then(|d| d.get(place));
        data.is_some_and(|(_, input)| cryptogram_of(&reading, padding, input) == Some(given))
    });
    if !found.mistakes.is_empty() {
        return found;
    }
    // No mistake of method: the data may be a little different.
    let counter = elements.iter().position(|e| e.name.starts_with("9F36 "));
    let cipher = right.session_key().and_then(|k| TdesKey::new(&k).ok()).filter(|_| !right.session.is_aes());
    let mac = |data: &[u8], atc: Option<[u8; 2]>| match (&cipher, atc) {
        // The session key stays: no need to derive it each time.
        (Some(key), None) => Some(cryptogram::application_cryptogram(key, padding, data)),
        _ => {
            let mut reading = right.duplicate();
            reading.with.atc = atc.or(reading.with.atc);
            cryptogram_of(&reading, padding, data)
        }
    };
    let mut near = near::search(elements, counter, given, &mac);
    near.tried = near.tried.saturating_add(found.tried);
    near
}
