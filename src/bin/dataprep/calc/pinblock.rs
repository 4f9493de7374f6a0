use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Pan, Pin};
use emv_dataprep::crypto::aes::{self, AesKey};
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::tdes::{TdesKey, xor};
use emv_dataprep::issuer::{PinBlockFormat, pin_block};
use emv_dataprep::keys::KeyUse;

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::search::{Choice, Found, search};
use super::source::{KeyArgs, Loaded, PinArgs};
use super::steps;
use crate::failure::Failure;

const CLAUSE: &str = "ISO 9564-1:2017, 9.3 and 9.4";

/// PIN blocks of ISO 9564-1, formats 0 to 4: built from a PIN, or read
#[derive(clap::Args)]
#[command(
    after_help = "With a PIN a block is built, with --block it is read. Without a key formats 0 to 3 stay in clear.\n\n\
Example: dataprep calc pinblock --format 0 --pan 5555555551234567 --test-pin 1234 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    pin: PinArgs,
    /// Format, 0 to 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=4))]
    format: u8,
    /// The PAN, for formats 0, 3 and 4
    #[arg(long)]
    pan: Option<String>,
    /// A block to read, enciphered if a key is given
    #[arg(long, value_name = "HEX", conflicts_with_all = ["pin_file", "pin_stdin", "test_pin"])]
    block: Option<String>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("pinblock");
    args.pin.check_beside(&args.key)?;
    let format = match args.format {
        0 => PinBlockFormat::Iso0,
        1 => PinBlockFormat::Iso1,
        2 => PinBlockFormat::Iso2,
        3 => PinBlockFormat::Iso3,
        _ => PinBlockFormat::Iso4,
    };
    let bound = matches!(format, PinBlockFormat::Iso0 | PinBlockFormat::Iso3 | PinBlockFormat::Iso4);
    let pan = match (&args.pan, bound) {
        (Some(text), _) => arguments::pan(text, &mut answer)?,
        (None, true) => return Err(Failure::usage("--pan is needed for formats 0, 3 and 4")),
        // Formats 1 and 2 do not look at it.
        (None, false) => Pan::without_check("000000000000")?,
    };
    let key = if args.key.is_given() {
        Some(args.key.load(&args.common, &[KeyUse::Pin, KeyUse::Mailer])?)
    } else {
        None
    };
    if args.pan.is_some() {
        answer.result("PAN", pan.masked());
    }
    if let Some(loaded) = &key {
        answer.result("key KCV", steps::kcv(&loaded.key, format != PinBlockFormat::Iso4)?);
    }
    answer.result("format", args.format.to_string());
    match (&args.block, args.pin.is_given()) {
        (Some(block), _) => {
            let block = arguments::hex("block", block)?;
            if let Some(loaded) = &key {
                loaded.may_show("a PIN")?;
            }
            read(&mut answer, format, &pan, key.as_ref(), &block)?;
        }
        (None, true) => {
            let pin = args.pin.load()?;
            build(&mut answer, format, &pan, key.as_ref(), &pin)?;
        }
        (None, false) => {
            return Err(Failure::usage("a PIN is needed to build a block, or --block to read one"));
        }
    }
    Ok(answer)
}

/// The PAN field of formats 0 and 3: a block of an empty PIN field would be the PAN field itself.
fn pan_field(pan: &Pan) -> Result<[u8; 8], Failure> {
    let text = pan.to_text();
    let end = text.len().saturating_sub(1);
    let kept = text.get(end.saturating_sub(12)..end).unwrap_or_default();
    arguments::array("pan", &format!("{kept:0>16}"))
}

fn build(
    answer: &mut Answer,
    format: PinBlockFormat,
    pan: &Pan,
    key: Option<&Loaded>,
    pin: &Pin,
) -> Result<(), Failure> {
    let mut random = Seed::from_os()?.named_stream(b"calc pinblock", Purpose::ReturnPinFill).rng();
    if format == PinBlockFormat::Iso4 {
        let loaded = key.ok_or_else(|| Failure::usage("format 4 needs a key: it is two AES operations"))?;
        let cipher = AesKey::new(&loaded.key)?;
        let field = pin_block::iso4_pin_field(pin, random.bytes::<8>());
        let pan_field = pin_block::iso4_pan_field(pan);
        answer.step(
            Step::new("PIN field: 4, length, PIN, A to half the block, eight random bytes", CLAUSE)
                .with("PIN", steps::text_of(pin.expose()))
                .gives("PIN field", hex_upper(field.as_slice())),
        );
        answer.step(
            Step::new("PAN field: digits above twelve, PAN, zeros", CLAUSE)
                .with("PAN", pan.to_text().as_str())
                .gives("PAN field", hex_upper(pan_field.as_slice())),
        );
        let once = cipher.encrypt_block(*field);
        answer.step(
            Step::new("Encipher the PIN field", CLAUSE)
                .with("key", hex_upper(loaded.key.expose()))
                .gives("A", hex_upper(&once)),
        );
        let input = aes::xor(once, *pan_field);
        answer.step(
            Step::new("Exclusive-or the PAN field and encipher again", CLAUSE)
                .with("exclusive-or", hex_upper(&input))
                .gives("block", hex_upper(&cipher.encrypt_block(input))),
        );
        let block = pin_block::iso4_encrypt(&cipher, &field, &pan_field);
        answer.ends_in(&hex_upper(&block))?;
        answer.result("PIN block", hex_upper(&block));
        return Ok(());
    }
    let clear = pin_block::clear_block(format, pin, pan, &mut random)?;
    let with_pan = matches!(format, PinBlockFormat::Iso0 | PinBlockFormat::Iso3);
    let field = if with_pan { xor(*clear, pan_field(pan)?) } else { *clear };
    let words = match format {
        PinBlockFormat::Iso0 => "PIN field: 0, length, PIN, F",
        PinBlockFormat::Iso1 => "PIN field: 1, length, PIN, random digits",
        PinBlockFormat::Iso2 => "PIN field: 2, length, PIN, F",
        _ => "PIN field: 3, length, PIN, random letters",
    };
    answer.step(
        Step::new(words, CLAUSE)
            .with("PIN", steps::text_of(pin.expose()))
            .gives("PIN field", hex_upper(&field)),
    );
    if with_pan {
        let pan_field = pan_field(pan)?;
        answer.step(
            Step::new("PAN field: 0000, the twelve rightmost PAN digits without the check digit", CLAUSE)
                .with("PAN", pan.to_text().as_str())
                .gives("PAN field", hex_upper(&pan_field)),
        );
        answer.step(
            Step::new("Exclusive-or of both fields", CLAUSE)
                .with("PIN field", hex_upper(&field))
                .with("PAN field", hex_upper(&pan_field))
                .gives("clear block", hex_upper(&xor(field, pan_field))),
        );
    }
    answer.ends_in(&hex_upper(clear.as_slice()))?;
    let block = match key {
        Some(loaded) => {
            let block = TdesKey::new(&loaded.key)?.encrypt_block(*clear);
            answer.step(
                Step::new("Encipher the clear block", CLAUSE)
                    .with("key", hex_upper(loaded.key.expose()))
                    .gives("PIN block", hex_upper(&block)),
            );
            answer.result("PIN block", hex_upper(&block));
            return Ok(());
        }
        None => hex_upper(clear.as_slice()),
    };
    answer.result("clear PIN block", block);
    Ok(())
}

fn read(
    answer: &mut Answer,
    format: PinBlockFormat,
    pan: &Pan,
    key: Option<&Loaded>,
    block: &[u8],
) -> Result<(), Failure> {
    if format == PinBlockFormat::Iso4 {
        let loaded = key.ok_or_else(|| Failure::usage("format 4 needs a key"))?;
        let block: [u8; 16] =
            block.try_into().map_err(|_| arguments::wrong("block", "16 bytes in hexadecimal"))?;
        let pan_field = pin_block::iso4_pan_field(pan);
        let field = pin_block::iso4_decrypt(&AesKey::new(&loaded.key)?, &block, &pan_field);
        answer.step(
            Step::new("Decipher, exclusive-or the PAN field, decipher again", CLAUSE)
                .with("block", hex_upper(&block))
                .with("PAN field", hex_upper(pan_field.as_slice()))
                .gives("PIN field", hex_upper(field.as_slice())),
        );
        return finish(answer, pin_block::read_iso4_pin_field(&field), no_pin);
    }
    let block: [u8; 8] = block.try_into().map_err(|_| arguments::wrong("block", "8 bytes in hexadecimal"))?;
    let clear = match key {
        Some(loaded) => {
            let clear = TdesKey::new(&loaded.key)?.decrypt_block(block);
            answer.step(
                Step::new("Decipher the block", CLAUSE)
                    .with("block", hex_upper(&block))
                    .gives("clear block", hex_upper(&clear)),
            );
            clear
        }
        None => block,
    };
    if matches!(format, PinBlockFormat::Iso0 | PinBlockFormat::Iso3) {
        let pan_field = pan_field(pan)?;
        answer.step(
            Step::new(
                "Exclusive-or the PAN field: 0000, the twelve rightmost PAN digits without the check digit",
                CLAUSE,
            )
            .with("clear block", hex_upper(&clear))
            .with("PAN field", hex_upper(&pan_field))
            .gives("PIN field", hex_upper(&xor(clear, pan_field))),
        );
    }
    finish(answer, pin_block::read_clear_block(format, &clear, pan), || other_formats(format, pan, &clear))
}

fn no_pin() -> Found {
    Found { mistakes: Vec::new(), tried: 0, chance: None }
}

/// A block that holds no PIN of its format is a mismatch: exit code 3, and the formats that it does hold a PIN of.
fn finish(
    answer: &mut Answer,
    pin: emv_dataprep::error::Result<Pin>,
    search: impl FnOnce() -> Found,
) -> Result<(), Failure> {
    match pin {
        Ok(pin) => {
            answer.step(
                Step::new("Control, length, digits and filler are right", CLAUSE)
                    .gives("PIN", steps::text_of(pin.expose())),
            );
            answer.result("PIN", steps::text_of(pin.expose()));
        }
        Err(_) => {
            answer.fails("the block holds no PIN of this format: another key, PAN or format");
            for set in search().mistakes {
                answer.note(format!("a PIN comes out if {}", set.join(", and ")));
            }
        }
    }
    Ok(())
}

const FORMATS: [(PinBlockFormat, &str); 4] = [
    (PinBlockFormat::Iso0, "it is read as format 0"),
    (PinBlockFormat::Iso1, "it is read as format 1"),
    (PinBlockFormat::Iso2, "it is read as format 2"),
    (PinBlockFormat::Iso3, "it is read as format 3"),
];

fn other_formats(format: PinBlockFormat, pan: &Pan, clear: &[u8; 8]) -> Found {
    let others: Vec<_> = FORMATS.iter().filter(|(f, _)| *f != format).collect();
    let choices = [Choice::new(others.iter().map(|(_, words)| (*words).to_owned()))];
    search(&choices, 1, None, |at| {
        let other = at.first().and_then(|n| others.get(n.checked_sub(1)?));
        other.is_some_and(|(format, _)| pin_block::read_clear_block(*format, clear, pan).is_ok())
    })
}
