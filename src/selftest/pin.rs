//! Kinds of `pin.json`.

use crate::card::Pin;
use crate::crypto::aes::AesKey;
use crate::crypto::tdes::TdesKey;
use crate::issuer::decimal::{DecimalizationTable, nibbles};
use crate::issuer::{DigitValue, PinBlockFormat, ibm3624, pin_block};
use crate::secret::Secret;

use super::case::{Case, Computed, Outcome, Trouble};
use super::issuer::{digits, hex_digits, tdes};

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "ibm3624" => ibm_3624(case),
        "decimalization_table" => decimalization_table(case),
        "pin_block_iso0" => block(case, PinBlockFormat::Iso0, Fill::F),
        "pin_block_iso1" => block(case, PinBlockFormat::Iso1, Fill::Input("transaction_field")),
        "pin_block_iso2" => block(case, PinBlockFormat::Iso2, Fill::F),
        "pin_block_iso3" => block(case, PinBlockFormat::Iso3, Fill::Input("fill")),
        "pin_block_iso3_decode" => read(case, PinBlockFormat::Iso3),
        "pin_block_iso0_reject" => read(case, PinBlockFormat::Iso0),
        "pin_block_iso2_reject" => read(case, PinBlockFormat::Iso2),
        "pin_block_iso0_encrypted" => iso0_encrypted(case),
        "pin_block_iso4" => iso4(case),
        "pin_block_iso4_pan_field" => digits(case, "pan").map(|pan| {
            Computed::new().hex("pan_field", pin_block::iso4_pan_field_of_digits(&pan).as_slice())
        }),
        "reference_pin_8010" => reference_pin(case),
        _ => return None,
    })
}

fn text(digits: &[u8]) -> String {
    DigitValue::new(digits.to_vec()).to_text().as_str().to_owned()
}

fn ibm_3624(case: &Case<'_>) -> Outcome {
    let key = case.secret("pvk")?;
    // Old samples use a single DES key: it is the double-length key of two equal halves.
    let key = if key.len() == 8 { Secret::concat(&[key.expose(), key.expose()]) } else { key };
    let key = TdesKey::new(&key)?;
    let table: DecimalizationTable = case.text("decimalization_table")?.parse()?;
    let data = case.array("validation_data")?;
    let pin = Pin::from_digits(&digits(case, "pin")?)?;
    let natural = ibm3624::natural_pin(&key, data, &table, pin.len())?;
    let offset = ibm3624::offset(&natural, &pin)?;
    let from_offset = ibm3624::pin_from_offset(&natural, &DigitValue::new(digits(case, "offset")?))?;
    Ok(Computed::new()
        .text("natural_pin", text(natural.expose()))
        .text("offset", text(offset.expose()))
        .text("pin", text(from_offset.expose()))
        .hex("encrypted", &key.encrypt_block(data)))
}

fn decimalization_table(case: &Case<'_>) -> Outcome {
    let table: DecimalizationTable = case.text("decimalization_table")?.parse()?;
    let decimal = table.apply(&hex_digits(case)?);
    let block: [u8; 8] = case.array("hex")?;
    let pin = ibm3624::natural_from_block(&block, &table, 6)?;
    debug_assert_eq!(nibbles(&block).len(), decimal.len());
    Ok(Computed::new().text("decimal", text(&decimal)).text("assigned_pin_6", text(pin.expose())))
}

enum Fill {
    F,
    Input(&'static str),
}

/// The block in clear; it must read back to the same PIN.
fn block(case: &Case<'_>, format: PinBlockFormat, fill: Fill) -> Outcome {
    let pin = digits(case, "pin")?;
    let pan = if case.has("pan") { digits(case, "pan")? } else { Vec::new() };
    let mut nibbles = [0xF; 14];
    if let Fill::Input(name) = fill {
        let wrong = || Trouble::Record(format!("input {name} is not hexadecimal"));
        for (slot, c) in nibbles.iter_mut().skip(pin.len()).zip(case.text(name)?.chars()) {
            *slot = c.to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(wrong)?;
        }
    }
    let block = pin_block::clear_block_with_fill(format, &pin, &pan, &nibbles)?;
    let back = pin_block::read_clear_block_of_digits(format, &block, &pan)?;
    if back.expose() != pin {
        return Err(Trouble::Record("the block does not read back".to_owned()));
    }
    Ok(Computed::new().hex("block", block.as_slice()))
}

fn read(case: &Case<'_>, format: PinBlockFormat) -> Outcome {
    let pan = if case.has("pan") { digits(case, "pan")? } else { Vec::new() };
    let pin = pin_block::read_clear_block_of_digits(format, &case.array("block")?, &pan)?;
    Ok(Computed::new().text("pin", text(pin.expose())))
}

/// `pan12` is the twelve digits before the check digit; any digit can stand in its place.
fn iso0_encrypted(case: &Case<'_>) -> Outcome {
    let mut pan = digits(case, "pan12")?;
    pan.push(0);
    let pin = digits(case, "pin")?;
    let block = pin_block::clear_block_with_fill(PinBlockFormat::Iso0, &pin, &pan, &[0xF; 14])?;
    Ok(Computed::new().hex("ciphertext", &tdes(case, "key")?.encrypt_block(*block)))
}

fn iso4(case: &Case<'_>) -> Outcome {
    let key = AesKey::new(&case.secret("key")?)?;
    let pin = digits(case, "pin")?;
    let pin_field = pin_block::iso4_pin_field_of_digits(&pin, case.array("random")?)?;
    let pan_field = pin_block::iso4_pan_field_of_digits(&digits(case, "pan")?);
    let block = pin_block::iso4_encrypt(&key, &pin_field, &pan_field);
    let back = pin_block::iso4_decrypt(&key, &block, &pan_field);
    if back != pin_field {
        return Err(Trouble::Record("the block does not read back".to_owned()));
    }
    Ok(Computed::new()
        .hex("block", &block)
        .hex("pin_field", pin_field.as_slice())
        .hex("pan_field", pan_field.as_slice()))
}

fn reference_pin(case: &Case<'_>) -> Outcome {
    let pin = digits(case, "pin")?;
    let block = pin_block::clear_block_with_fill(PinBlockFormat::Iso2, &pin, &[], &[0xF; 14])?;
    let enciphered = tdes(case, "dek")?.encrypt_block(*block);
    Ok(Computed::new().hex("block", block.as_slice()).hex("enciphered", &enciphered))
}
