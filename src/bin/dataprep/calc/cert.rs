use emv_dataprep::bytes::hex_upper;
use emv_dataprep::crypto::hash::sha1;
use emv_dataprep::crypto::rsa::RsaPublic;
use emv_dataprep::issuer::oda::{
    self, CaKeyIndex, CaPublicKey, IccCertificate, IccKeyKind, IssuerCertificate, Rid, sdad,
};

use super::answer::{Answer, Step};
use super::arguments::{self, Common};
use super::search::{Choice, Found, search};
use crate::failure::Failure;

/// Certificates and signatures of RSA offline data authentication: recovered fields and hash
#[derive(clap::Args)]
#[command(
    after_help = "Hexadecimal values can be @FILE. The exit code is 3 when the certificate is not good.\n\n\
Example: dataprep calc cert issuer --modulus @ca.hex --exponent 03 --certificate @90.hex --remainder @92.hex \
--key-exponent 03 --explain"
)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    /// What is read
    #[arg(value_enum)]
    kind: Kind,
    /// Modulus of the key that signed: of the CA for issuer, of the card for sdad, else of the issuer
    #[arg(long, value_name = "HEX")]
    modulus: String,
    /// Public exponent of the key that signed: 03 or 010001
    #[arg(long, value_name = "HEX")]
    exponent: String,
    /// The certificate or signature: 90, 9F46, 9F2D, 93 or 9F4B
    #[arg(long, value_name = "HEX")]
    certificate: String,
    /// Public key remainder: 92, 9F48 or 9F2F
    #[arg(long, value_name = "HEX", default_value = "")]
    remainder: String,
    /// Public key exponent beside the certificate: 9F32, 9F47 or 9F2E
    #[arg(long, value_name = "HEX")]
    key_exponent: Option<String>,
    /// What else the hash covers: static data to be authenticated (icc, ssad), terminal data (sdad)
    #[arg(long, value_name = "HEX", default_value = "")]
    data: String,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Issuer public key certificate (90)
    Issuer,
    /// ICC public key certificate (9F46)
    Icc,
    /// ICC PIN-encipherment public key certificate (9F2D)
    Pin,
    /// Signed static application data (93)
    Ssad,
    /// Signed dynamic application data (9F4B)
    Sdad,
}

impl Kind {
    const fn clause(self) -> &'static str {
        match self {
            Self::Issuer => "EMV 4.4 Book 2, 5.3 and table 2",
            Self::Icc => "EMV 4.4 Book 2, 6.4 and table 13",
            Self::Pin => "EMV 4.4 Book 2, 7.1 and table 23",
            Self::Ssad => "EMV 4.4 Book 2, 5.4 and table 3",
            Self::Sdad => "EMV 4.4 Book 2, 6.5 and 6.6",
        }
    }

    const fn format(self) -> u8 {
        match self {
            Self::Issuer => 2,
            Self::Icc | Self::Pin => 4,
            Self::Ssad => 3,
            Self::Sdad => 5,
        }
    }

    const fn has_key(self) -> bool {
        matches!(self, Self::Issuer | Self::Icc | Self::Pin)
    }
}

/// What stands beside the signature.
struct Beside {
    remainder: Vec<u8>,
    exponent: Vec<u8>,
    data: Vec<u8>,
}

pub fn answer(args: &Args) -> Result<Answer, Failure> {
    let mut answer = Answer::new("cert");
    let signer = RsaPublic::new(
        &arguments::hex("modulus", &args.modulus)?,
        &arguments::hex("exponent", &args.exponent)?,
    )?;
    let certificate = arguments::hex("certificate", &args.certificate)?;
    let exponent = match (&args.key_exponent, args.kind.has_key()) {
        (Some(text), true) => arguments::hex("key-exponent", text)?,
        (None, true) => {
            return Err(Failure::usage("--key-exponent is needed: it stands beside the certificate"));
        }
        (Some(_), false) => return Err(Failure::usage("--key-exponent is for certificates")),
        (None, false) => Vec::new(),
    };
    let beside = Beside {
        remainder: arguments::hex("remainder", &args.remainder)?,
        exponent,
        data: arguments::hex("data", &args.data)?,
    };
    if args.kind == Kind::Pin && !beside.data.is_empty() {
        answer.note("the hash of a PIN-encipherment certificate covers no static data: --data is left aside");
    }
    let clause = args.kind.clause();
    let block = signer.apply(&certificate)?;
    let explain_pan = args.common.explain;
    answer.step(
        Step::new(
            "Recover: the certificate to the power of the exponent, modulo the modulus",
            "EMV 4.4 Book 2, B2.1",
        )
        .with("modulus", hex_upper(signer.modulus()))
        .with("exponent", hex_upper(signer.exponent()))
        .with("certificate", hex_upper(&certificate))
        .gives("recovered", hex_upper(&block)),
    );
    let n = block.len();
    let good_frame = block.first() == Some(&0x6A) && block.last() == Some(&0xBC) && n > 42;
    if !good_frame {
        answer.fails("the recovered data do not begin with 6A and end with BC: another key signed them, or a byte was changed");
        return Ok(answer);
    }
    if block.get(1) != Some(&args.kind.format()) {
        answer.fails(format!(
            "the recovered format is {:02X}, not {:02X}: it is another kind of certificate",
            block.get(1).copied().unwrap_or(0),
            args.kind.format()
        ));
        return Ok(answer);
    }
    fields(&mut answer, args.kind, &block, explain_pan, &beside);
    let body = block.get(1..n.saturating_sub(21)).unwrap_or_default();
    let inside = block.get(n.saturating_sub(21)..n.saturating_sub(1)).unwrap_or_default();
    let hash = hash_of(args.kind, body, &beside);
    let mut step =
        Step::new("SHA-1 over the format to the byte before the hash, then what stands beside", clause)
            .with("recovered part", hex_upper(body));
    if args.kind.has_key() {
        step = step.with("remainder", shown(&beside.remainder)).with("exponent", hex_upper(&beside.exponent));
    }
    if !matches!(args.kind, Kind::Issuer | Kind::Pin) {
        step = step.with("data", shown(&beside.data));
    }
    answer.step(step.gives("hash", hex_upper(&hash)));
    answer.check(&hex_upper(inside), &hex_upper(&hash), || mistakes(args.kind, body, inside, &beside));
    let verified = verify(args.kind, &signer, &certificate, &beside);
    match (verified, inside == hash) {
        (Ok(()), true) => answer.result("verified", "yes"),
        (Ok(()), false) => return Err(Failure::refused("internal: the steps do not lead to the value")),
        (Err(e), _) => {
            answer.result("verified", "no");
            answer.fails(e.to_string());
        }
    }
    Ok(answer)
}

fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() { "(none)".to_owned() } else { hex_upper(bytes) }
}

/// The library's own answer.
fn verify(
    kind: Kind,
    signer: &RsaPublic,
    certificate: &[u8],
    beside: &Beside,
) -> emv_dataprep::error::Result<()> {
    let (certificate, remainder, exponent) =
        (certificate.to_vec(), beside.remainder.clone(), beside.exponent.clone());
    match kind {
        Kind::Issuer => {
            let ca = CaPublicKey::new(Rid([0; 5]), CaKeyIndex(0), signer.modulus(), signer.exponent())?;
            IssuerCertificate { certificate, remainder, exponent }.verify(&ca).map(drop)
        }
        Kind::Icc => IccCertificate { certificate, remainder, exponent }
            .verify(signer, IccKeyKind::Authentication, &beside.data)
            .map(drop),
        Kind::Pin => IccCertificate { certificate, remainder, exponent }
            .verify(signer, IccKeyKind::PinEncipherment, &[])
            .map(drop),
        Kind::Ssad => oda::verify_ssad(signer, &certificate, &beside.data).map(drop),
        Kind::Sdad => sdad::verify(signer, &certificate, &beside.data).map(drop),
    }
}

fn hash_of(kind: Kind, body: &[u8], beside: &Beside) -> [u8; 20] {
    match kind {
        Kind::Issuer | Kind::Pin => sha1(&[body, &beside.remainder, &beside.exponent]),
        Kind::Icc => sha1(&[body, &beside.remainder, &beside.exponent, &beside.data]),
        Kind::Ssad | Kind::Sdad => sha1(&[body, &beside.data]),
    }
}

/// The fields of the recovered data, as results and as a step.
fn fields(answer: &mut Answer, kind: Kind, block: &[u8], explain: bool, beside: &Beside) {
    let n = block.len();
    let one = |at: usize| usize::from(block.get(at).copied().unwrap_or(0));
    let layout: Vec<(&'static str, usize)> = match kind {
        Kind::Issuer => vec![
            ("header", 1),
            ("certificate format", 1),
            ("issuer identifier", 4),
            ("expiry (MMYY)", 2),
            ("serial number", 3),
            ("hash algorithm", 1),
            ("key algorithm", 1),
            ("length of the key", 1),
            ("length of the exponent", 1),
            ("modulus or its left part", n.saturating_sub(36)),
            ("hash", 20),
            ("trailer", 1),
        ],
        Kind::Icc | Kind::Pin => vec![
            ("header", 1),
            ("certificate format", 1),
            ("PAN", 10),
            ("expiry (MMYY)", 2),
            ("serial number", 3),
            ("hash algorithm", 1),
            ("key algorithm", 1),
            ("length of the key", 1),
            ("length of the exponent", 1),
            ("modulus or its left part", n.saturating_sub(42)),
            ("hash", 20),
            ("trailer", 1),
        ],
        Kind::Ssad => vec![
            ("header", 1),
            ("format", 1),
            ("hash algorithm", 1),
            ("data authentication code", 2),
            ("fill", n.saturating_sub(26)),
            ("hash", 20),
            ("trailer", 1),
        ],
        Kind::Sdad => {
            let len = one(3).min(n.saturating_sub(25));
            vec![
                ("header", 1),
                ("format", 1),
                ("hash algorithm", 1),
                ("length of dynamic data", 1),
                ("ICC dynamic data", len),
                ("fill", n.saturating_sub(25).saturating_sub(len)),
                ("hash", 20),
                ("trailer", 1),
            ]
        }
    };
    let mut step = Step::new("The fields of the recovered data", kind.clause());
    let mut rest = block;
    for (name, len) in layout {
        let (field, tail) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        rest = tail;
        let text = hex_upper(field);
        step = step.with(name, text.clone());
        let text = if name == "PAN" && !explain { masked(&text) } else { text };
        if !matches!(name, "header" | "trailer" | "fill") {
            answer.result(name, text);
        }
    }
    answer.step(step.gives("fields", format!("{n} bytes")));
    if kind.has_key() {
        let (head, at) = if kind == Kind::Issuer { (36, 13) } else { (42, 19) };
        let missing = one(at).saturating_sub(n.saturating_sub(head));
        if beside.remainder.len() != missing {
            answer.note(format!(
                "a key of {} bytes in a certificate of {n} needs a remainder of {missing} bytes, {} are given",
                one(at),
                beside.remainder.len()
            ));
        }
        if beside.exponent.len() != one(at.saturating_add(1)) {
            answer.note(format!(
                "the certificate says an exponent of {} bytes, {} are given",
                one(at.saturating_add(1)),
                beside.exponent.len()
            ));
        }
    }
}

/// The PAN field as people may read it.
fn masked(field: &str) -> String {
    let digits = field.trim_end_matches('F').len();
    let hidden = 6..digits.saturating_sub(4);
    field.chars().enumerate().map(|(at, c)| if hidden.contains(&at) { '*' } else { c }).collect()
}

/// Which mistake in what stands beside gives the hash inside.
fn mistakes(kind: Kind, body: &[u8], inside: &[u8], beside: &Beside) -> Found {
    let exponents: Vec<&[u8]> =
        [[0x03].as_slice(), &[0x01, 0x00, 0x01]].into_iter().filter(|e| *e != beside.exponent).collect();
    let mut datas = vec![("no data enter", Vec::new())];
    if let Some((data, aip)) = beside.data.split_last_chunk::<2>() {
        datas.push(("the last two bytes (AIP) are left out", data.to_vec()));
        datas.push(("the AIP enters as a data object (82 02 …)", [data, &[0x82, 0x02], aip].concat()));
    }
    if let [0x70, 0x81, _, rest @ ..] | [0x70, _, rest @ ..] = beside.data.as_slice() {
        datas.push(("the template 70 of the first record is left out", rest.to_vec()));
    }
    let choices = [
        Choice::new(
            exponents
                .iter()
                .filter(|_| kind.has_key())
                .map(|e| format!("the exponent of the key is {}", hex_upper(e))),
        ),
        Choice::new((!beside.remainder.is_empty()).then(|| "the remainder is left out".to_owned())),
        Choice::new(datas.iter().map(|(words, _)| (*words).to_owned())),
    ];
    search(&choices, 3, None, |at| {
        let number = |choice: usize| at.get(choice).and_then(|n| n.checked_sub(1));
        let other = Beside {
            exponent: number(0)
                .and_then(|n| exponents.get(n))
                .map_or(beside.exponent.clone(), |e| e.to_vec()),
            remainder: if number(1).is_some() { Vec::new() } else { beside.remainder.clone() },
            data: number(2).and_then(|n| datas.get(n)).map_or(beside.data.clone(), |(_, d)| d.clone()),
        };
        hash_of(kind, body, &other) == inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pan_field_is_masked() {
        assert_eq!(masked("4761739001010010FFFF"), "476173******0010FFFF");
        assert_eq!(masked("123456789012FFFFFFFF"), "123456**9012FFFFFFFF");
    }
}
