use emv_dataprep::bytes::{from_hex, hex_upper};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::mac::{Padding, cmac_aes, cmac_tdes, tdes_cbc_mac};
use emv_dataprep::crypto::tdes::TdesKey;
use emv_dataprep::keys::tr31::{self, Algorithm, Exportability, Header, Version};
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::Common;
use super::cvv::other_keys;
use super::search::{Choice, search};
use super::source::{KeyArgs, Origin};
use super::steps;
use crate::failure::Failure;

/// Key block of X9.143 (TR-31): its header explained, and opened under its protection key
#[derive(clap::Args)]
#[command(
    after_help = "Without a key the header is explained alone. The protected key is shown for a --test-key only, else \
its check value.\n\n\
Example: dataprep calc tr31 --test-key AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB \
A0088M3TC00E000062C2C14D8785A01A9E8283525CA96F490D0CC6346FC7C2AC1E6FF354468910379AA5BBA6"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    key: KeyArgs,
    /// The key block
    block: String,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("tr31");
    let block = args.block.trim();
    let (head, header) = header_of(block)?;
    explain_header(&mut answer, block, head, &header);
    if !args.key.is_given() {
        return Ok(answer);
    }
    let loaded = args.key.load(&args.common, &[])?;
    let kbpk = &loaded.key;
    let aes = header.version() == Version::D;
    answer.result("protection key KCV", steps::kcv(kbpk, !aes)?);
    let payload = block.get(head.len()..).unwrap_or_default();
    let payload =
        from_hex(payload).map_err(|_| Failure::refused("the protected data are not hexadecimal"))?;
    let at = payload.len().saturating_sub(header.version().mac_len());
    let (cipher, mac) = payload.split_at_checked(at).unwrap_or_default();
    let shown = if loaded.origin == Origin::CommandLine { Shown::Keys } else { Shown::CheckValues };
    let computed = open(&mut answer, shown, &header, head, kbpk, cipher, mac)?;
    answer.check(&hex_upper(mac), &hex_upper(&computed), || {
        let keys = if aes { Vec::new() } else { other_keys(kbpk) };
        let letters = ["E", "N", "S"];
        let letters: Vec<&str> = letters.into_iter().filter(|l| head.get(11..12) != Some(*l)).collect();
        let choices = [
            Choice::new(keys.iter().map(|(words, _)| format!("protection key: {words}"))),
            Choice::new(letters.iter().map(|l| format!("the exportability of the header was {l}"))),
        ];
        search(&choices, 2, None, |reading| {
            let number = |choice: usize| reading.get(choice).and_then(|n| n.checked_sub(1));
            let key = number(0).and_then(|n| keys.get(n)).map_or(kbpk, |(_, key)| key);
            let mut text = block.to_owned();
            if let Some(letter) = number(1).and_then(|n| letters.get(n)) {
                text.replace_range(11..12, letter);
            }
            tr31::unwrap(key, &text).is_ok()
        })
    });
    match tr31::unwrap(kbpk, block) {
        Ok((_, key)) if computed == mac => {
            answer.result("protected key", format!("{} bytes", key.len()));
            if loaded.origin == Origin::CommandLine {
                answer.result("key", hex_upper(key.expose()));
            }
            let known = matches!(header.algorithm(), Algorithm::TDEA | Algorithm::AES);
            if known && matches!(key.len(), 16 | 24 | 32) {
                answer.result("key KCV", steps::kcv(&key, header.algorithm() == Algorithm::TDEA)?);
            }
        }
        Err(e) if computed == mac => answer.fails(format!("the MAC is right, but the block is refused: {e}")),
        Ok(_) => return Err(Failure::refused("internal: the steps do not lead to the value")),
        Err(_) => answer.fails("another protection key made the block, or it was changed"),
    }
    Ok(answer)
}

/// The header's characters and what they say. No other length than its own parses.
fn header_of(block: &str) -> Result<(&str, Header), Failure> {
    let found = (16..=block.len())
        .filter_map(|len| block.get(..len))
        .find_map(|head| head.parse::<Header>().ok().map(|header| (head, header)));
    found.ok_or_else(|| {
        Failure::refused("this does not begin with a key block header of version A, B, C or D")
    })
}

fn explain_header(answer: &mut Answer, block: &str, head: &str, header: &Header) {
    let version = match header.version() {
        Version::A => "A: TDES, variant binding (deprecated)",
        Version::B => "B: TDES, derivation binding",
        Version::C => "C: TDES, variant binding",
        Version::D => "D: AES, derivation binding",
    };
    answer.result("version", version);
    let stated = head.get(1..5).unwrap_or_default();
    answer.result("length", format!("{stated} characters"));
    if stated.parse() != Ok(block.len()) {
        answer.fails(format!("the block has {} characters, not as many as its header says", block.len()));
    }
    answer.result("key usage", format!("{}: {}", header.usage(), usage(&header.usage().to_string())));
    let algorithm = match header.algorithm().letter() {
        b'A' => "AES",
        b'D' => "DES",
        b'E' => "elliptic curve",
        b'H' => "HMAC",
        b'R' => "RSA",
        b'S' => "DSA",
        b'T' => "TDES",
        _ => "not known here",
    };
    answer.result("algorithm", format!("{}: {algorithm}", header.algorithm()));
    let mode = match header.mode().letter() {
        b'B' => "encrypt and decrypt, wrap and unwrap",
        b'C' => "generate and verify",
        b'D' => "decrypt, unwrap only",
        b'E' => "encrypt, wrap only",
        b'G' => "generate only",
        b'N' => "no restriction",
        b'S' => "sign only",
        b'T' => "sign and decrypt",
        b'V' => "verify only",
        b'X' => "derive other keys",
        b'Y' => "make key variants",
        _ => "not known here",
    };
    answer.result("mode of use", format!("{}: {mode}", header.mode()));
    let number = header.key_version();
    let words = match number.as_str() {
        "00" => "no version",
        n if n.starts_with('c') || n.starts_with('C') => "a key component",
        _ => "version of the key",
    };
    answer.result("key version", format!("{number}: {words}"));
    let exportability = match header.exportability() {
        Exportability::Exportable => "E: exportable under a key block protection key",
        Exportability::Not => "N: not exportable",
        Exportability::Sensitive => "S: sensitive, exportable under any key",
    };
    answer.result("exportability", exportability);
    answer.result("optional blocks", header.optional_blocks().len().to_string());
    for (number, optional) in (1..).zip(header.optional_blocks()) {
        answer.result(
            format!("optional block {number}"),
            format!("{} {} ({})", optional.id(), optional.data(), optional_words(&optional.id())),
        );
    }
}

/// Key usages of X9.143, 7.3.1.
fn usage(code: &str) -> &'static str {
    match code {
        "B0" => "DUKPT base derivation key",
        "B1" => "DUKPT initial key",
        "B2" => "base key variant",
        "C0" => "card verification key",
        "D0" => "symmetric data encryption key",
        "D1" => "asymmetric data encryption key",
        "E0" => "issuer master key: application cryptograms",
        "E1" => "issuer master key: secure messaging, confidentiality",
        "E2" => "issuer master key: secure messaging, integrity",
        "E3" => "issuer master key: data authentication code",
        "E4" => "issuer master key: dynamic numbers",
        "E5" => "issuer master key: card personalization",
        "E6" => "issuer master key: other",
        "E7" => "EMV key, asymmetric",
        "I0" => "initialization vector",
        "K0" => "key encryption or wrapping",
        "K1" => "key block protection key",
        "K2" => "TR-34 asymmetric key",
        "K3" => "asymmetric key for key agreement",
        "M0" => "ISO 16609 MAC algorithm 1 (TDES)",
        "M1" => "ISO 9797-1 MAC algorithm 1",
        "M2" => "ISO 9797-1 MAC algorithm 2",
        "M3" => "ISO 9797-1 MAC algorithm 3",
        "M4" => "ISO 9797-1 MAC algorithm 4",
        "M5" => "ISO 9797-1:1999 MAC algorithm 5",
        "M6" => "ISO 9797-1:2011 MAC algorithm 5, CMAC",
        "M7" => "HMAC",
        "M8" => "ISO 9797-1:2011 MAC algorithm 6",
        "P0" => "PIN encryption key",
        "P1" => "PIN generation key",
        "S0" => "asymmetric key pair for digital signature",
        "S1" => "asymmetric key pair, CA key",
        "S2" => "asymmetric key pair, other",
        "V0" => "PIN verification key, other algorithm",
        "V1" => "PIN verification key, IBM 3624",
        "V2" => "PIN verification key, Visa PVV",
        "V3" => "PIN verification key, X9.132 algorithm 1",
        "V4" => "PIN verification key, X9.132 algorithm 2",
        "V5" => "PIN verification key, X9.132 algorithm 3",
        _ => "proprietary or not known here",
    }
}

/// Optional blocks of X9.143, 7.4.
fn optional_words(id: &str) -> &'static str {
    match id {
        "AL" => "asymmetric key life",
        "BI" => "base derivation key identifier",
        "CT" => "certificate",
        "DA" => "derivations allowed",
        "FL" => "flags",
        "HM" => "hash algorithm of an HMAC key",
        "IK" => "initial key identifier",
        "KC" => "check value of the key",
        "KP" => "check value of the protection key",
        "KS" => "key set identifier or initial key serial number",
        "KV" => "key block values",
        "LB" => "label",
        "PB" => "padding",
        "PK" => "protection key check value at export",
        "TC" => "time of creation",
        "TS" => "time stamp",
        "WP" => "wrapping pedigree",
        _ => "proprietary or not known here",
    }
}

/// Whether keys are shown, or their check values alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Keys,
    CheckValues,
}

/// Derivation, decipherment and MAC; gives the MAC as it should be.
fn open(
    answer: &mut Answer,
    shown: Shown,
    header: &Header,
    head: &str,
    kbpk: &Secret,
    cipher: &[u8],
    mac: &[u8],
) -> Result<Vec<u8>, Failure> {
    const CLAUSE: &str = "ANSI X9.143, 7.5 to 7.7";
    let version = header.version();
    let key_text = |key: &Secret| -> Result<String, Failure> {
        match shown {
            Shown::Keys => Ok(hex_upper(key.expose())),
            Shown::CheckValues => Ok(format!("(KCV {})", steps::kcv(key, version != Version::D)?)),
        }
    };
    let names = [("key block encryption key", b'E', 0), ("key block authentication key", b'M', 1)];
    let mut keys = Vec::new();
    for (name, letter, usage) in names {
        let (key, words) = if matches!(version, Version::A | Version::C) {
            let key = Secret::new(kbpk.expose().iter().map(|b| b ^ letter).collect());
            (key, format!("The {name}: each byte of the protection key exclusive-or {letter:02X}"))
        } else {
            (
                derived(kbpk, version, usage)?,
                format!("The {name}: CMAC of counter, usage {usage:04X}, 00, algorithm and length"),
            )
        };
        answer.step(
            Step::new(words, CLAUSE).with("protection key", key_text(kbpk)?).gives(name, key_text(&key)?),
        );
        keys.push(key);
    }
    let [kbek, kbak] = keys.as_slice() else { return Err(Failure::refused("internal: two keys")) };
    let mut plain = cipher.to_vec();
    let iv = match version {
        Version::A | Version::C => head.as_bytes().get(..8).unwrap_or_default().to_vec(),
        Version::B | Version::D => mac.to_vec(),
    };
    let wrong_iv = |_| Failure::refused("the key block is shorter than its MAC");
    if version == Version::D {
        AesKey::new(kbek)?.decrypt_cbc(iv.as_slice().try_into().map_err(wrong_iv)?, &mut plain)?;
    } else {
        TdesKey::new(kbek)?.decrypt_cbc(iv.as_slice().try_into().map_err(wrong_iv)?, &mut plain)?;
    }
    let plain = Secret::new(plain);
    let text = match shown {
        Shown::Keys => hex_upper(plain.expose()),
        Shown::CheckValues => "(not shown)".to_owned(),
    };
    answer.step(
        Step::new("Decipher the protected data, CBC: length in bits, key, random fill", CLAUSE)
            .with("IV", hex_upper(&iv))
            .with("protected data", hex_upper(cipher))
            .gives("key data", text.clone()),
    );
    let (what, covered, computed) = match version {
        Version::A | Version::C => {
            let all = [head.as_bytes(), cipher].concat();
            let mac = tdes_cbc_mac(&TdesKey::new(kbak)?, [0; 8], Padding::Zeros, &all);
            ("TDES CBC-MAC over header and protected data", hex_upper(cipher), mac.to_vec())
        }
        Version::B => {
            let mac = cmac_tdes(kbak, &[head.as_bytes(), plain.expose()])?;
            ("TDES CMAC over header and key data", text, mac.to_vec())
        }
        Version::D => {
            let mac = cmac_aes(kbak, &[head.as_bytes(), plain.expose()])?;
            ("AES CMAC over header and key data", text, mac.to_vec())
        }
    };
    let computed: Vec<u8> = computed.into_iter().take(version.mac_len()).collect();
    answer.step(
        Step::new(what, CLAUSE).with("header", head).with("data", covered).gives("MAC", hex_upper(&computed)),
    );
    Ok(computed)
}

/// A key of the derivation binding method.
fn derived(kbpk: &Secret, version: Version, usage: u8) -> Result<Secret, Failure> {
    let len = kbpk.len();
    let algorithm = match (version, len) {
        (Version::D, 16) => 2,
        (Version::D, 24) => 3,
        (Version::D, _) => 4,
        (_, 24) => 1,
        _ => 0,
    };
    let bits = u16::try_from(len.saturating_mul(8)).unwrap_or(0).to_be_bytes();
    let mut out = Vec::with_capacity(48);
    for counter in 1..=3_u8 {
        let message = [&[counter, 0, usage, 0, 0, algorithm], bits.as_slice()].concat();
        if version == Version::D {
            out.extend_from_slice(&cmac_aes(kbpk, &[&message])?);
        } else {
            out.extend_from_slice(&cmac_tdes(kbpk, &[&message])?);
        }
    }
    out.truncate(len);
    Ok(Secret::new(out))
}
