//! Kinds of `oda_certs.json`, `capk.json`, `ipk_files.json`.

use serde_json::{Value, json};

use crate::bytes::{array_from_hex, from_hex, hex_upper};
use crate::card::{Expiry, Iin};
use crate::crypto::rsa::RsaPublic;
use crate::emv::{Afl, Aip, Record, SdaTagList, Sfi, StaticData};
use crate::issuer::ceremony::{CaResponse, ResponseLayout};
use crate::issuer::oda::{
    self, CaKeyIndex, CertificateSerial, CertifiedIccKey, CertifiedIssuerKey, Dac, IccCertificate,
    IccKeyKind, IssuerCertificate, IssuerKeyData, Rid, SignBlock, sdad,
};

use super::case::{Case, Computed, Outcome, Trouble};
use super::issuer::pan;

pub(super) fn run(kind: &str, case: &Case<'_>) -> Option<Outcome> {
    Some(match kind {
        "capk_checksum" => capk_checksum(case),
        "static_data" => static_data(case),
        "issuer_cert_recover" | "issuer_cert_reject" => issuer_cert_recover(case),
        "icc_cert_recover" => icc_cert_recover(case),
        "icc_cert_decrypt" => icc_cert_decrypt(case),
        "ssad_verify" => ssad(case, true),
        "ssad_decrypt" => ssad(case, false),
        "sdad_verify_dda" => sdad_verify(case, "ddol_data"),
        "sdad_verify_fdda" => sdad_verify(case, "terminal_data"),
        "sdad_verify_cda" => sdad_verify_cda(case),
        "issuer_cert_sign" => issuer_cert_sign(case),
        "icc_cert_sign" => icc_cert_sign(case),
        "ssad_sign" => ssad_sign(case),
        "pin_key_cert_sign" => pin_key_cert_sign(case),
        "oda_chain_edge_lengths" => chain(case),
        "ca_response_visa" => ca_response(case, ResponseLayout::Visa),
        "ca_response_mastercard" => ca_response(case, ResponseLayout::Mastercard),
        "ca_response_unionpay" => ca_response(case, ResponseLayout::UnionPay),
        _ => return None,
    })
}

fn key(case: &Case<'_>, modulus: &str, exponent: &str) -> Result<RsaPublic, Trouble> {
    Ok(RsaPublic::new(&case.hex(modulus)?, &case.hex(exponent)?)?)
}

/// An input that may be absent or empty.
fn hex_or_empty(case: &Case<'_>, name: &str) -> Result<Vec<u8>, Trouble> {
    if case.has(name) { case.hex(name) } else { Ok(Vec::new()) }
}

/// The raw private operation with the published private exponent, checked with the public one.
fn sign(
    block: &SignBlock,
    case: &Case<'_>,
    modulus: &str,
    exponent: &str,
    public: &RsaPublic,
) -> Result<Vec<u8>, Trouble> {
    let private = RsaPublic::new(&case.hex(modulus)?, &case.hex(exponent)?)?;
    let signature = private.apply(block.block())?;
    block.confirm(public, &signature)?;
    Ok(signature)
}

fn capk_checksum(case: &Case<'_>) -> Outcome {
    let (rid, index) = (Rid(case.array("rid")?), CaKeyIndex(case.array::<1>("index")?[0]));
    let (modulus, exponent) = (case.hex("modulus")?, case.hex("exponent")?);
    let computed = oda::checksum_of(rid, index, &modulus, &exponent);
    let stated = case.hex("checksum")?;
    let valid = crate::crypto::mac::equal(&computed, &stated);
    // The type accepts the key exactly when the checksum holds and EMV allows its form.
    let accepted = oda::CaPublicKey::with_checksum(rid, index, &modulus, &exponent, &stated).is_ok();
    let allowed = oda::check_public_key(&modulus, &exponent).is_ok();
    if accepted != (valid && allowed) {
        return Err(Trouble::Record("the key type and the checksum disagree".to_owned()));
    }
    Ok(Computed::new().bool("valid", valid).hex("computed", &computed))
}

/// Records by four hexadecimal digits: SFI, number.
fn static_data(case: &Case<'_>) -> Outcome {
    let wrong = || Trouble::Record("input records is not records by SFI and number".to_owned());
    let mut records = Vec::new();
    for (place, record) in case.value("records")?.as_object().ok_or_else(wrong)? {
        let [sfi, number] = array_from_hex(place).map_err(|_| wrong())?;
        let bytes = record.as_str().and_then(|r| from_hex(r).ok()).ok_or_else(wrong)?;
        records.push(Record::verbatim(Sfi::new(sfi)?, number, bytes)?);
    }
    let tag_list = hex_or_empty(case, "tag9F4A")?;
    let tag_list = SdaTagList::parse(Some(tag_list.as_slice()).filter(|t| !t.is_empty()))?;
    let (afl, aip) = (Afl::parse(&case.hex("afl")?)?, Aip::from_bytes(case.array("aip")?));
    let data = StaticData::build(&afl, &records, aip, tag_list)?;
    Ok(Computed::new().hex("static_data", data.as_bytes()))
}

fn issuer_certificate(case: &Case<'_>) -> Result<IssuerCertificate, Trouble> {
    Ok(IssuerCertificate {
        certificate: case.hex("tag90")?,
        remainder: hex_or_empty(case, "tag92")?,
        exponent: case.hex("tag9F32")?,
    })
}

fn issuer_cert_recover(case: &Case<'_>) -> Outcome {
    let found = issuer_certificate(case)?.verify_with(&key(case, "ca_modulus", "ca_exponent")?)?;
    // Whether the identifier begins the PAN is a check of the card, not of the certificate: one published mock card fails
    // it while its certificate is good.
    Ok(Computed::new()
        .hex("issuer_id", &found.identifier.to_field())
        .text("expiry_mmyy", found.expiry.mmyy())
        .hex("serial", &found.serial.0)
        .hex("modulus", found.key.modulus())
        .hex("hash", &found.hash)
        .hex("recovered", &found.recovered))
}

fn icc_certificate(case: &Case<'_>) -> Result<IccCertificate, Trouble> {
    Ok(IccCertificate {
        certificate: case.hex("tag9F46")?,
        remainder: hex_or_empty(case, "tag9F48")?,
        exponent: case.hex("tag9F47")?,
    })
}

fn icc_values(found: &CertifiedIccKey) -> Computed {
    Computed::new()
        .hex("pan", &found.pan_field)
        .text("expiry_mmyy", found.expiry.mmyy())
        .hex("serial", &found.serial.0)
        .hex("modulus", found.key.modulus())
        .hex("hash", &found.hash)
        .hex("recovered", &found.recovered)
}

fn icc_cert_recover(case: &Case<'_>) -> Outcome {
    let issuer = key(case, "issuer_modulus", "issuer_exponent")?;
    let statics = case.hex("static_data")?;
    let found = icc_certificate(case)?.verify(&issuer, IccKeyKind::Authentication, &statics)?;
    if !found.is_for(&pan(case)?) {
        return Err(Trouble::Record("the certificate is for another PAN".to_owned()));
    }
    Ok(icc_values(&found))
}

fn icc_cert_decrypt(case: &Case<'_>) -> Outcome {
    let issuer = key(case, "issuer_modulus", "issuer_exponent")?;
    Ok(icc_values(&icc_certificate(case)?.recover(&issuer)?))
}

fn ssad(case: &Case<'_>, with_hash: bool) -> Outcome {
    let issuer = key(case, "issuer_modulus", "issuer_exponent")?;
    let tag_93 = case.hex("tag93")?;
    let found = if with_hash {
        oda::verify_ssad(&issuer, &tag_93, &case.hex("static_data")?)?
    } else {
        oda::recover_ssad(&issuer, &tag_93)?
    };
    Ok(Computed::new().hex("dac", &found.dac.0).hex("hash", &found.hash).hex("recovered", &found.recovered))
}

fn sdad_values(found: &sdad::RecoveredSdad) -> Computed {
    Computed::new()
        .hex("icc_dynamic_data", &found.dynamic_data)
        .hex("hash", &found.hash)
        .hex("recovered", &found.recovered)
}

fn sdad_verify(case: &Case<'_>, terminal_data: &str) -> Outcome {
    let icc = key(case, "icc_modulus", "icc_exponent")?;
    let found = sdad::verify(&icc, &case.hex("sdad")?, &case.hex(terminal_data)?)?;
    sdad::dynamic_number(&found.dynamic_data)?;
    Ok(sdad_values(&found))
}

fn sdad_verify_cda(case: &Case<'_>) -> Outcome {
    let icc = key(case, "icc_modulus", "icc_exponent")?;
    let found = sdad::verify(&icc, &case.hex("sdad")?, &case.hex("un")?)?;
    let (pdol, cdol1) = (case.hex("pdol_values")?, case.hex("cdol1_values")?);
    let cdol2 = hex_or_empty(case, "cdol2_values")?;
    let hash = sdad::transaction_hash(&pdol, &cdol1, &cdol2, &case.hex("response_objects")?);
    sdad::CdaDynamicData::parse(&found.dynamic_data)?.check_transaction(&hash)?;
    Ok(sdad_values(&found))
}

fn iin(case: &Case<'_>) -> Result<Iin, Trouble> {
    Ok(Iin::from_field(case.array("issuer_id")?)?)
}

fn expiry(case: &Case<'_>) -> Result<Expiry, Trouble> {
    Ok(Expiry::from_mmyy_bcd(case.array("expiry_mmyy")?)?)
}

fn issuer_cert_sign(case: &Case<'_>) -> Outcome {
    let ca = key(case, "ca_modulus", "ca_public_exponent")?;
    let data = IssuerKeyData {
        identifier: iin(case)?,
        expiry: expiry(case)?,
        serial: CertificateSerial(case.array("serial")?),
        key: &key(case, "issuer_modulus", "issuer_exponent")?,
    };
    let block = oda::issuer_certificate_block(&ca, &data)?;
    let tag_90 = sign(&block, case, "ca_modulus", "ca_private_exponent", &ca)?;
    Ok(Computed::new()
        .hex("tag90", &tag_90)
        .hex("tag92", block.remainder())
        .hex("to_be_signed", block.block()))
}

fn icc_cert_sign(case: &Case<'_>) -> Outcome {
    let issuer = key(case, "issuer_modulus", "issuer_exponent")?;
    let icc = key(case, "icc_modulus", "icc_exponent")?;
    let serial = CertificateSerial(case.array("serial")?);
    let pan_field = case.array("pan_field")?;
    let statics = case.hex("static_data")?;
    let block = oda::key_certificate_block(&issuer, &pan_field, expiry(case)?, serial, &icc, &statics)?;
    let tag = sign(&block, case, "issuer_modulus", "issuer_private_exponent", &issuer)?;
    Ok(Computed::new()
        .hex("tag9F46", &tag)
        .hex("tag9F48", block.remainder())
        .hex("to_be_signed", block.block()))
}

/// The record gives the private exponent only; the block is what is published, so the exponent 3 of the check suffices.
fn ssad_sign(case: &Case<'_>) -> Outcome {
    let modulus = case.hex("issuer_modulus")?;
    let issuer = RsaPublic::new(&modulus, &[3])?;
    let block = oda::ssad_block(&issuer, Dac(case.array("dac")?), &case.hex("static_data")?)?;
    let tag_93 = sign(&block, case, "issuer_modulus", "issuer_private_exponent", &issuer)?;
    Ok(Computed::new().hex("tag93", &tag_93).hex("to_be_signed", block.block()))
}

fn icc_json(found: &CertifiedIccKey) -> Value {
    json!({
        "format": "04",
        "pan": hex_upper(&found.pan_field),
        "expiry_mmyy": found.expiry.mmyy(),
        "serial": found.serial.to_string(),
        "hash_alg": "01",
        "pk_alg": "01",
        "modulus_len": found.key.len(),
        "exponent_len": found.key.exponent().len(),
        "modulus": hex_upper(found.key.modulus()),
        "hash": hex_upper(&found.hash),
        "recovered": hex_upper(&found.recovered),
    })
}

fn ssad_json(found: &oda::RecoveredSsad) -> Value {
    json!({
        "format": "03",
        "hash_alg": "01",
        "dac": hex_upper(&found.dac.0),
        "hash": hex_upper(&found.hash),
        "recovered": hex_upper(&found.recovered),
    })
}

fn issuer_json(found: &CertifiedIssuerKey) -> Value {
    json!({
        "format": "02",
        "issuer_id": hex_upper(&found.identifier.to_field()),
        "expiry_mmyy": found.expiry.mmyy(),
        "serial": found.serial.to_string(),
        "hash_alg": "01",
        "pk_alg": "01",
        "modulus_len": found.key.len(),
        "exponent_len": found.key.exponent().len(),
        "modulus": hex_upper(found.key.modulus()),
        "hash": hex_upper(&found.hash),
        "recovered": hex_upper(&found.recovered),
    })
}

fn pin_key_cert_sign(case: &Case<'_>) -> Outcome {
    let issuer = key(case, "issuer_modulus", "issuer_exponent")?;
    let pin_key = key(case, "pin_modulus", "pin_exponent")?;
    let data = oda::IccKeyData {
        pan: &pan(case)?,
        expiry: expiry(case)?,
        serial: CertificateSerial(case.array("serial")?),
        key: &pin_key,
    };
    let block = oda::pin_certificate_block(&issuer, &data)?;
    let tag = sign(&block, case, "issuer_modulus", "issuer_private_exponent", &issuer)?;
    let cert = IccCertificate {
        certificate: tag,
        remainder: block.remainder().to_vec(),
        exponent: pin_key.exponent().to_vec(),
    };
    let found = cert.verify(&issuer, IccKeyKind::PinEncipherment, &[])?;
    Ok(Computed::new()
        .hex("tag9F2D", &cert.certificate)
        .hex("tag9F2F", &cert.remainder)
        .json("recovered", icc_json(&found)))
}

/// A whole chain from given private keys: issued here, then read back from the issued values alone.
fn chain(case: &Case<'_>) -> Outcome {
    let ca = key(case, "ca_modulus", "ca_exponent")?;
    let issuer = key(case, "issuer_modulus", "issuer_exponent")?;
    let icc = key(case, "icc_modulus", "icc_exponent")?;
    let (expiry, statics) = (expiry(case)?, case.hex("static_data")?);

    let data = IssuerKeyData {
        identifier: iin(case)?,
        expiry,
        serial: CertificateSerial(case.array("issuer_serial")?),
        key: &issuer,
    };
    let block = oda::issuer_certificate_block(&ca, &data)?;
    let issuer_cert = IssuerCertificate {
        certificate: sign(&block, case, "ca_modulus", "ca_private_exponent", &ca)?,
        remainder: block.remainder().to_vec(),
        exponent: issuer.exponent().to_vec(),
    };
    let issuer_found = issuer_cert.verify_with(&ca)?;

    let card = oda::IccKeyData {
        pan: &pan(case)?,
        expiry,
        serial: CertificateSerial(case.array("icc_serial")?),
        key: &icc,
    };
    let block = oda::icc_certificate_block(&issuer_found.key, &card, &statics)?;
    let icc_cert = IccCertificate {
        certificate: sign(&block, case, "issuer_modulus", "issuer_private_exponent", &issuer)?,
        remainder: block.remainder().to_vec(),
        exponent: icc.exponent().to_vec(),
    };
    let icc_found = icc_cert.verify(&issuer_found.key, IccKeyKind::Authentication, &statics)?;

    let block = oda::ssad_block(&issuer_found.key, Dac(case.array("dac")?), &statics)?;
    let tag_93 = sign(&block, case, "issuer_modulus", "issuer_private_exponent", &issuer)?;
    let ssad = oda::verify_ssad(&issuer_found.key, &tag_93, &statics)?;
    Ok(Computed::new()
        .hex("tag90", &issuer_cert.certificate)
        .hex("tag92", &issuer_cert.remainder)
        .hex("tag9F46", &icc_cert.certificate)
        .hex("tag9F48", &icc_cert.remainder)
        .hex("tag93", &tag_93)
        .json("issuer", issuer_json(&issuer_found))
        .json("icc", icc_json(&icc_found))
        .json("ssad", ssad_json(&ssad)))
}

/// The CA index of the record is that of the file; a test that the index matters is elsewhere.
fn ca_response(case: &Case<'_>, layout: ResponseLayout) -> Outcome {
    let file = case.hex("file")?;
    let (modulus, exponent) = (case.hex("ca_modulus")?, case.hex("ca_exponent")?);
    let index = case.expected_hex("ca_index").and_then(|i| i.first().copied()).unwrap_or_default();
    let rid = Rid(case.array("rid")?);
    let ca = oda::CaPublicKey::new(rid, CaKeyIndex(index), &modulus, &exponent)?;
    let found = CaResponse::read(layout, &file, &ca)?;
    let mut computed = Computed::new()
        .hex("issuer_id", &found.key.identifier.to_field())
        .hex("ca_index", &[found.ca_index.0])
        .hex("remainder", &found.certificate.remainder)
        .hex("exponent", &found.certificate.exponent)
        .hex("certificate", &found.certificate.certificate)
        .json("recovered", issuer_json(&found.key));
    if let Some(index) = found.issuer_key_index {
        computed = computed.hex("issuer_pk_index", &index);
    }
    if let (Some(service_id), Some(detached)) = (found.service_id, found.detached) {
        computed = computed
            .hex("header", file.get(..1).unwrap_or_default())
            .hex("service_id", &service_id)
            .hex("serial", &found.key.serial.0)
            .text("expiry_mmyy", found.key.expiry.mmyy())
            .hex("detached_signature", &detached.signature)
            .hex("detached_recovered", &detached.recovered)
            .hex("detached_hash", &detached.hash);
    }
    Ok(computed)
}
