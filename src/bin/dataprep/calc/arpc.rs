use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::tdes::xor;
use emv_dataprep::error::Result as LibraryResult;
use emv_dataprep::issuer::cryptogram::{self, ArpcKey, ArpcMethod};
use emv_dataprep::keys::KeyUse;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::card_key::{self, CardKeyArgs, Diversifier, Reading, Session};
use super::cipher::Cipher;
use super::readings::{self, Others};
use super::search::{Choice, Found, search};
use super::steps;
use crate::failure::Failure;

/// Authorisation response cryptogram, methods 1 and 2
#[derive(clap::Args)]
#[command(
    after_help = "--arc makes method 1, --csu method 2; with --cvn the version says which one and which key.\n\n\
Example: dataprep calc arpc --test-key 12345678123456781234567812345678 --cvn 0A --pan 1234567890123456 \
--arqc 26C8A1042D1CAF3E --arc 3030 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    card: CardKeyArgs,
    /// Cryptogram version: says method and key
    #[arg(long, value_name = "BYTE")]
    cvn: Option<String>,
    /// The application cryptogram of the request (9F26)
    #[arg(long, value_name = "HEX")]
    arqc: String,
    /// Method 1: authorisation response code, two bytes (8A; 00 is 3030)
    #[arg(long, value_name = "HEX", conflicts_with = "csu")]
    arc: Option<String>,
    /// Method 2: card status update, four bytes
    #[arg(long, value_name = "HEX")]
    csu: Option<String>,
    /// Method 2: proprietary authentication data, up to eight bytes
    #[arg(long, value_name = "HEX", requires = "csu")]
    proprietary: Option<String>,
    /// Application transaction counter (9F36), for session keys
    #[arg(long, value_name = "HEX")]
    atc: Option<String>,
    /// Unpredictable number (9F37), for Mastercard's session key
    #[arg(long, value_name = "HEX")]
    un: Option<String>,
    /// An ARPC to compare with: four or eight bytes
    #[arg(long, value_name = "HEX")]
    check: Option<String>,
}

/// What the issuer answers with.
#[derive(Clone)]
enum Response {
    Code([u8; 2]),
    Status { csu: [u8; 4], proprietary: Vec<u8> },
}

impl Response {
    const fn method(&self) -> ArpcMethod {
        match self {
            Self::Code(_) => ArpcMethod::One,
            Self::Status { .. } => ArpcMethod::Two,
        }
    }
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("arpc");
    let version = args.cvn.as_deref().map(card_key::version).transpose()?;
    let response = match (&args.arc, &args.csu) {
        (Some(arc), _) => Response::Code(arguments::array("arc", arc)?),
        (None, Some(csu)) => {
            let proprietary =
                args.proprietary.as_deref().map(|p| arguments::hex("proprietary", p)).transpose()?;
            Response::Status {
                csu: arguments::array("csu", csu)?,
                proprietary: proprietary.unwrap_or_default(),
            }
        }
        (None, None) => return Err(Failure::usage("--arc (method 1) or --csu (method 2) is needed")),
    };
    if version.is_some_and(|v| v.arpc_method() != response.method()) {
        answer.note("the cryptogram version takes the other ARPC method: --arc is method 1, --csu method 2");
    }
    let arqc: [u8; 8] = arguments::array("arqc", &args.arqc)?;
    let check = args.check.as_deref().map(|c| arguments::hex("check", c)).transpose()?;
    let with = Diversifier {
        atc: args.atc.as_deref().map(|t| arguments::array("atc", t)).transpose()?,
        un: args.un.as_deref().map(|t| arguments::array("un", t)).transpose()?,
        ..Diversifier::default()
    };
    let of_version = version.map(|v| match v.arpc_key() {
        ArpcKey::MasterKey => Session::Mk,
        ArpcKey::SessionKey => Session::from(v.session()),
    });
    let session = args.card.session(of_version)?;
    let reading = args.card.load(&args.common, &[KeyUse::ImkAc], session, with, &mut answer)?;
    let sk = reading.explain(&mut answer)?;
    let key = Cipher::of(session, &sk)?;
    let arpc = match (&response, &key) {
        (Response::Code(arc), Cipher::Tdes(tdes)) => {
            one(&mut answer, &key, arqc, *arc)?;
            cryptogram::arpc_method_1(tdes, arqc, *arc).to_vec()
        }
        (Response::Code(arc), Cipher::Aes(aes)) => {
            one(&mut answer, &key, arqc, *arc)?;
            cryptogram::arpc_method_1_aes(aes, arqc, *arc)?.to_vec()
        }
        (Response::Status { csu, proprietary }, Cipher::Tdes(tdes)) => {
            two(&mut answer, &key, arqc, *csu, proprietary)?;
            cryptogram::arpc_method_2(tdes, arqc, *csu, proprietary)?.to_vec()
        }
        (Response::Status { csu, proprietary }, Cipher::Aes(aes)) => {
            two(&mut answer, &key, arqc, *csu, proprietary)?;
            cryptogram::arpc_method_2_aes(aes, arqc, *csu, proprietary)?.to_vec()
        }
    };
    answer.ends_in(&hex_upper(&arpc))?;
    answer.result("ARPC", hex_upper(&arpc));
    if let Some(given) = check {
        if !matches!(given.len(), 4 | 8) {
            return Err(arguments::wrong("check", "four or eight bytes in hexadecimal"));
        }
        answer.check(&hex_upper(&given), &hex_upper(&arpc), || mistakes(&reading, &response, arqc, &given));
    }
    Ok(answer)
}

const ONE: &str = "EMV 4.4 Book 2, 8.2.1 (method 1)";
const TWO: &str = "EMV 4.4 Book 2, 8.2.2 (method 2)";

fn one(answer: &mut Answer, key: &Cipher, arqc: [u8; 8], arc: [u8; 2]) -> LibraryResult<()> {
    let [a, b] = arc;
    let block = xor(arqc, [a, b, 0, 0, 0, 0, 0, 0]);
    answer.step(
        Step::new("The ARQC exclusive-or the response code and six zero bytes", ONE)
            .with("ARQC", hex_upper(&arqc))
            .with("ARC", hex_upper(&arc))
            .gives("D", hex_upper(&block)),
    );
    match key {
        Cipher::Tdes(_) => answer.step(
            Step::new("Encipher with the key", ONE)
                .with("D", hex_upper(&block))
                .gives("ARPC", hex_upper(&key.encipher_eight(block)?)),
        ),
        Cipher::Aes(aes) => {
            let out = key.encipher_eight(block)?;
            answer.step(
                Step::new("D and eight zero bytes, enciphered with the key (AES)", ONE)
                    .with("key", hex_upper(aes.expose()))
                    .with("block", format!("{}0000000000000000", hex_upper(&block)))
                    .gives("E", hex_upper(&out)),
            );
            answer.step(
                Step::new("The leftmost eight bytes", ONE)
                    .with("E", hex_upper(&out))
                    .gives("ARPC", out.first_chunk::<8>().map(|m| hex_upper(m)).unwrap_or_default()),
            );
        }
    }
    Ok(())
}

fn two(
    answer: &mut Answer,
    key: &Cipher,
    arqc: [u8; 8],
    csu: [u8; 4],
    proprietary: &[u8],
) -> Result<(), Failure> {
    let data = [arqc.as_slice(), &csu, proprietary].concat();
    answer.step(
        Step::new("ARQC, card status update, proprietary authentication data", TWO)
            .with("ARQC", hex_upper(&arqc))
            .with("CSU", hex_upper(&csu))
            .with("proprietary data", steps::in_blocks(proprietary))
            .gives("data", steps::in_blocks(&data)),
    );
    let mac = key.explain_mac(answer, &data, "MAC")?;
    answer.step(
        Step::new("The leftmost four bytes", TWO)
            .with("MAC", hex_upper(&mac))
            .gives("ARPC", mac.first_chunk::<4>().map(|m| hex_upper(m)).unwrap_or_default()),
    );
    Ok(())
}

/// How the last step is made.
#[derive(Clone)]
enum Last {
    One { block: [u8; 8] },
    Two { padding: Padding, data: Vec<u8> },
}

impl Last {
    /// The bytes from the left; CMAC has a padding of its own.
    fn value(&self, key: &Cipher) -> LibraryResult<Vec<u8>> {
        match self {
            Self::One { block } => key.encipher_eight(*block),
            Self::Two { padding, data } => key.mac(*padding, data),
        }
    }
}

const SESSIONS: [Session; 6] =
    [Session::Mk, Session::Csk, Session::CskAes, Session::Skd, Session::Tree8, Session::Tree16];

fn mistakes(right: &Reading, response: &Response, arqc: [u8; 8], given: &[u8]) -> Found {
    let others = Others::new(right, &SESSIONS);
    let last = other_last_steps(response, arqc);
    let mut choices = others.choices();
    choices.push(Choice::new(last.iter().skip(1).map(|(words, _)| words.clone())));
    search(&choices, 3, None, |at| {
        let number = at.get(readings::COUNT).copied().unwrap_or(0);
        let reading = others.at(at, None);
        let key = Cipher::of_reading(&reading);
        let (Some(key), Some((_, last))) = (key, last.get(number)) else { return false };
        last.value(&key).is_ok_and(|value| value.starts_with(given))
    })
}

/// The right last step, then what people make instead.
fn other_last_steps(response: &Response, arqc: [u8; 8]) -> Vec<(String, Last)> {
    let one = |mask: [u8; 8]| Last::One { block: xor(arqc, mask) };
    let with_code = |[a, b]: [u8; 2]| one([a, b, 0, 0, 0, 0, 0, 0]);
    let two = |padding, parts: &[&[u8]]| Last::Two { padding, data: parts.concat() };
    match response {
        Response::Code([a, b]) => {
            let mut all = vec![(String::new(), with_code([*a, *b]))];
            for (code, words) in [
                (*b"00", "3030 (00)"),
                (*b"05", "3035 (05)"),
                (*b"08", "3038 (08)"),
                (*b"10", "3130 (10)"),
                (*b"51", "3531 (51)"),
                (*b"Y1", "5931 (Y1)"),
                (*b"Y3", "5933 (Y3)"),
                (*b"Z3", "5A33 (Z3)"),
                ([0, 0], "0000, binary"),
            ] {
                if code != [*a, *b] {
                    all.push((format!("the response code is {words}"), with_code(code)));
                }
            }
            let right = "the response code stands at the right of the eight bytes".to_owned();
            all.push((right, one([0, 0, 0, 0, 0, 0, *a, *b])));
            for csu in [[0; 4], [0, 0x82, 0, 0], [0, 0x12, 0, 0]] {
                let words = format!("it is method 2 with card status update {}", hex_upper(&csu));
                all.push((words, two(Padding::Bit, &[&arqc, &csu])));
            }
            all
        }
        Response::Status { csu, proprietary } => {
            let mut reversed = *csu;
            reversed.reverse();
            let mut all = vec![
                (String::new(), two(Padding::Bit, &[&arqc, csu, proprietary])),
                (
                    "the padding is method 1 (zeros)".to_owned(),
                    two(Padding::Zeros, &[&arqc, csu, proprietary]),
                ),
                (
                    "the card status update is zeros".to_owned(),
                    two(Padding::Bit, &[&arqc, &[0; 4], proprietary]),
                ),
                (
                    "the card status update is reversed".to_owned(),
                    two(Padding::Bit, &[&arqc, &reversed, proprietary]),
                ),
                ("it is method 1 with response code 3030 (00)".to_owned(), with_code(*b"00")),
            ];
            if !proprietary.is_empty() {
                all.push(("the proprietary data are left out".to_owned(), two(Padding::Bit, &[&arqc, csu])));
                let fill = vec![0; 8_usize.saturating_sub(proprietary.len())];
                let words = "the proprietary data are filled with zeros to eight bytes".to_owned();
                all.push((words, two(Padding::Bit, &[&arqc, csu, proprietary, &fill])));
            } else {
                let words = "eight zero bytes of proprietary data enter".to_owned();
                all.push((words, two(Padding::Bit, &[&arqc, csu, &[0; 8]])));
            }
            all
        }
    }
}
