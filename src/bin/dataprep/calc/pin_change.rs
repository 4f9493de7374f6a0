use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::Pin;
use emv_dataprep::crypto::mac::Padding;
use emv_dataprep::crypto::tdes::xor;
use emv_dataprep::issuer::script::{self, DataEncipherment};
use emv_dataprep::keys::KeyUse;
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::card_key::{self, CardKeyArgs, Diversifier, Session};
use super::cipher::Cipher;
use super::source::{CurrentPinArgs, PinArgs};
use super::steps;
use crate::failure::Failure;

const CLAUSE: &str = "Visa PIN CHANGE/UNBLOCK, PIN block";

/// PIN-change block, and command data of an issuer script enciphered
#[derive(clap::Args)]
#[command(
    after_help = "With a PIN the clear block is built; the key is that of application cryptograms. With --data the command data \
are enciphered; the key is that of secure messaging confidentiality (SMC). The MAC of the command: calc script-mac.\n\n\
Example: dataprep calc pin-change --test-key 0123456789ABCDEFFEDCBA9876543210 --key-is mk --test-pin 1234 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    card: CardKeyArgs,
    #[command(flatten)]
    pin: PinArgs,
    #[command(flatten)]
    current: CurrentPinArgs,
    /// Clear command data to encipher: a PIN-change block, or a block of format 2 (calc pinblock --format 2)
    #[arg(long, value_name = "HEX", conflicts_with_all = ["pin_file", "pin_stdin", "test_pin", "current_pin_file", "current_test_pin"])]
    data: Option<String>,
    /// How the data are padded and enciphered (AES has one way)
    #[arg(long, value_enum, requires = "data")]
    encipher: Option<Encipher>,
    /// Cryptogram version: says the session key of secure messaging
    #[arg(long, value_name = "BYTE", requires = "data")]
    cvn: Option<String>,
    /// Application transaction counter (9F36), for Visa's session key
    #[arg(long, value_name = "HEX", requires = "data")]
    atc: Option<String>,
    /// Application cryptogram (9F26), for the common session key
    #[arg(long, value_name = "HEX", requires = "data")]
    ac: Option<String>,
}

/// How command data are enciphered.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Encipher {
    /// Whole blocks as they are, ECB
    Plain,
    /// Length byte, padding method 2, ECB
    Visa,
    /// Padding method 2 only where blocks are not whole, CBC
    Mastercard,
    /// Padding method 2 always, CBC
    Ccd,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    match &args.data {
        Some(data) => encipher(args, data),
        None => block(args),
    }
}

fn block(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("pin-change");
    let session = args.card.session(Some(Session::Mk))?;
    if session != Session::Mk {
        return Err(Failure::usage("the block is made with the ICC master key: --session is for --data"));
    }
    args.pin.check_beside(args.card.key())?;
    if !args.pin.is_given() {
        return Err(Failure::usage("a PIN is needed to build the block, or --data to encipher one"));
    }
    // The block shows a PIN and a part of the card's key: keys of an issuer directory are not taken.
    let reading = args.card.load(&args.common, &[], session, Diversifier::default(), &mut answer)?;
    let (new, current) = (args.pin.load()?, args.current.load()?);
    let mk = reading.explain_master(&mut answer)?;
    let value = script::visa_pin_change_block(&mk, &new, current.as_ref())?;
    explain_block(&mut answer, &mk, &new, current.as_ref())?;
    answer.ends_in(&hex_upper(value.as_slice()))?;
    answer.result("clear PIN-change block", hex_upper(value.as_slice()));
    Ok(answer)
}

fn explain_block(answer: &mut Answer, mk: &Secret, new: &Pin, current: Option<&Pin>) -> Result<(), Failure> {
    let part = mk.expose().get(4..8).unwrap_or_default();
    let key_field: [u8; 8] = arguments::array("test-key", &format!("00000000{}", hex_upper(part)))?;
    let text = format!("0{:X}{}", new.len(), steps::text_of(new.expose()));
    let field: [u8; 8] = arguments::array("test-pin", &format!("{text:F<16}"))?;
    answer.step(
        Step::new("PIN field: 0, length, new PIN, F", CLAUSE)
            .with("new PIN", steps::text_of(new.expose()))
            .gives("PIN field", hex_upper(&field)),
    );
    answer.step(
        Step::new("Key field: four zero bytes, bytes 5 to 8 of the ICC master key", CLAUSE)
            .with("ICC master key", hex_upper(mk.expose()))
            .gives("key field", hex_upper(&key_field)),
    );
    let both = xor(field, key_field);
    answer.step(
        Step::new("Exclusive-or of both fields", CLAUSE)
            .with("PIN field", hex_upper(&field))
            .with("key field", hex_upper(&key_field))
            .gives("clear block", hex_upper(&both)),
    );
    if let Some(current) = current {
        let digits = steps::text_of(current.expose());
        let field: [u8; 8] = arguments::array("current-test-pin", &format!("{digits:0<16}"))?;
        answer.step(
            Step::new("Exclusive-or the current PIN, zeros after it", CLAUSE)
                .with("current PIN field", hex_upper(&field))
                .gives("clear block", hex_upper(&xor(both, field))),
        );
    }
    Ok(())
}

fn encipher(args: &Args, data: &str) -> Result<Answer, Failure> {
    let mut answer = Answer::new("pin-change");
    let data = arguments::hex("data", data)?;
    let version = args.cvn.as_deref().map(card_key::version).transpose()?;
    let session = args.card.session(version.map(Session::of_scripts))?;
    let with = Diversifier {
        atc: args.atc.as_deref().map(|t| arguments::array("atc", t)).transpose()?,
        cryptogram: args.ac.as_deref().map(|t| arguments::array("ac", t)).transpose()?,
        ..Diversifier::default()
    };
    let reading = args.card.load(&args.common, &[KeyUse::ImkSmc], session, with, &mut answer)?;
    let sk = reading.explain(&mut answer)?;
    let (padded, words, value) = match (Cipher::of(session, &sk)?, args.encipher) {
        (Cipher::Tdes(_), None) => {
            return Err(Failure::usage("--encipher says how: plain, visa, mastercard or ccd"));
        }
        (Cipher::Aes(_), Some(_)) => {
            return Err(Failure::usage("--encipher is for TDES: under AES there is one way"));
        }
        (Cipher::Aes(key), None) => {
            (Padding::Bit.pad(&data, 16), "AES, CBC with a zero IV", script::encipher_aes(&key, &data)?)
        }
        (Cipher::Tdes(key), Some(how)) => {
            let length = u8::try_from(data.len()).unwrap_or_default();
            let (how, padded, words) = match how {
                Encipher::Plain => (DataEncipherment::Plain, data.clone(), "TDES, ECB"),
                Encipher::Visa => {
                    let padded = Padding::Bit.pad(&[[length].as_slice(), &data].concat(), 8);
                    (DataEncipherment::Visa, padded, "TDES, ECB")
                }
                Encipher::Mastercard if data.len().is_multiple_of(8) => {
                    (DataEncipherment::Mastercard, data.clone(), "TDES, CBC with a zero IV")
                }
                Encipher::Mastercard => {
                    (DataEncipherment::Mastercard, Padding::Bit.pad(&data, 8), "TDES, CBC with a zero IV")
                }
                Encipher::Ccd => {
                    (DataEncipherment::Ccd, Padding::Bit.pad(&data, 8), "TDES, CBC with a zero IV")
                }
            };
            (padded, words, script::encipher(&key, how, &data)?)
        }
    };
    answer.step(
        Step::new("The data as they are padded", "EMV 4.4 Book 2, 9.3.1 and the scheme's script")
            .with("data", steps::in_blocks(&data))
            .gives("padded", steps::in_blocks(&padded)),
    );
    answer.step(
        Step::new(format!("Encipher: {words}"), "EMV 4.4 Book 2, 9.3.2, A1.1")
            .with("session key", hex_upper(sk.expose()))
            .with("padded", steps::in_blocks(&padded))
            .gives("command data", hex_upper(&value)),
    );
    answer.result("command data", hex_upper(&value));
    Ok(answer)
}
