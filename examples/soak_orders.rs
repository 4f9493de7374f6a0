//! Writes an endless kind of order file to standard output: `soak_orders COUNT [PROFILE [FIRST]]`, for the demo issuer.
//! PANs are of the demo's test ranges, each once; the same arguments give the same bytes. `scripts/long/soak` uses it.
#![allow(missing_docs, reason = "an example")]

use std::io::{BufWriter, Write};

/// A kind of order: profile, product, members of `paymentApplication`, the digits that its PANs begin with.
type Kind = (&'static str, &'static str, &'static str, &'static str);

const KINDS: [Kind; 3] = [
    ("online-only", "online-basic", r#""derivationKeyIndex":"04","cvKeyIndex":"01""#, "677179"),
    (
        "visa-style-dual",
        "classic",
        r#""odaKeyIndex":"01","derivationKeyIndex":"01","pvKeyIndex":"01","cvKeyIndex":"01""#,
        "476173",
    ),
    (
        "ccd-generic",
        "ccd-debit",
        r#""odaKeyIndex":"03","derivationKeyIndex":"03","pvKeyIndex":"02","cvKeyIndex":"01""#,
        "991234",
    ),
];

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let usage =
        || std::io::Error::other("soak_orders COUNT [online-only|visa-style-dual|ccd-generic [FIRST]]");
    let count: u64 = args.next().and_then(|a| a.parse().ok()).ok_or_else(usage)?;
    let profile = args.next().unwrap_or_else(|| "online-only".to_owned());
    let first: u64 = args.next().map_or(Some(1), |a| a.parse().ok()).ok_or_else(usage)?;
    let kind = KINDS.iter().find(|k| k.0 == profile).ok_or_else(usage)?;
    let (config, product, keys, prefix) = kind;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for n in first..first.saturating_add(count) {
        let number = format!("{prefix}{n:09}");
        let pan = format!("{number}{}", check_digit(&number));
        let written = writeln!(
            out,
            r#"{{"cardId":"s-{n}","issuerRequestId":"r-{n}","order":{{"distributionChannel":"CENTRAL","cardProductId":"{product}","services":{{"issuance":"CREATION","delivery":"laposte-cip"}},"paymentApplication":{{"config":"{config}",{keys}}},"shipment":{{"type":"INDIVIDUAL","deliveryAddress":{{"lastName":"TEST","line1":"1 RUE X","city":"PARIS","zipCode":"75001","countryCode":"FR"}}}}}},"cardData":{{"pan":"{pan}","exp":"3112","name":"SOAK TEST {}"}}}}"#,
            n % 1000
        );
        match written {
            // Who reads has been killed: the next run gets the orders once more.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    match out.flush() {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// ISO/IEC 7812-1, annex B: the Luhn digit.
fn check_digit(number: &str) -> u32 {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0');
            if i % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    (10 - sum % 10) % 10
}
