//! Test schemes: a certification authority each, the issuer's key and its certificates.

use std::fmt::Write as _;

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::Expiry;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::rsa::{Exponent, KeySpec, generate};
use emv_dataprep::error::Result;
use emv_dataprep::issuer::oda::{CertificateSerial, IssuerKeyData, issuer_certificate_block};
use emv_dataprep::secret::Secret;

/// A scheme of the demo.
pub(super) struct Scheme {
    /// `odaKeyIndex`.
    pub(super) index: &'static str,
    rid: &'static str,
    note: &'static str,
    exponent: Exponent,
    /// Issuer identifiers, one certificate each.
    identifiers: &'static [&'static str],
}

/// The three schemes; their RIDs are those of the shipped profiles, their CA keys are made here and known to nobody.
pub(super) const SCHEMES: [Scheme; 3] = [
    Scheme {
        index: "01",
        rid: "A000000003",
        note: "visa-style-dual",
        exponent: Exponent::F4,
        identifiers: &["476173", "47617390"],
    },
    Scheme {
        index: "02",
        rid: "A000000004",
        note: "mastercard-style-dual",
        exponent: Exponent::THREE,
        identifiers: &["541333"],
    },
    Scheme {
        index: "03",
        rid: "F000000001",
        note: "ccd-generic",
        exponent: Exponent::THREE,
        identifiers: &["991234"],
    },
];

/// Bits of the CA keys: the longest modulus with which tag 90 still fits a record.
const CA_BITS: usize = 1984;
/// Bits of the issuer keys.
const ISSUER_BITS: usize = 1408;
/// Certificates and CA keys end after every card of the demo.
const CERTIFICATE_END: &str = "3512";
const CA_END: &str = "3612";
/// No CA key of a real scheme has this index.
const CA_INDEX: &str = "F1";

/// File name of the issuer's private key.
const PRIVATE_KEY: &str = "issuer-key.der";

impl Scheme {
    /// The files of its folder: name and contents.
    pub(super) fn make(&self, seed: &Seed, password: &Secret) -> Result<Vec<(String, Vec<u8>)>> {
        let stream = |what: &str| {
            seed.named_stream(format!("oda {} {what}", self.index).as_bytes(), Purpose::TestIssuer)
        };
        let ca = generate(KeySpec::new(CA_BITS, self.exponent)?, &stream("ca"))?;
        let issuer = generate(KeySpec::new(ISSUER_BITS, self.exponent)?, &stream("issuer"))?;
        let sealed = issuer.to_pkcs8_encrypted(password, &mut stream("private key file").rng())?;
        let public = ca.public();
        let mut text = format!(
            "# Test scheme for {}: a CA key that nobody else has.\nversion = 1\nrid = \"{}\"\nca_modulus = \"{}\"\nca_exponent = \"{}\"\nca_expiry = \"{CA_END}\"\nprivate_key = \"{PRIVATE_KEY}\"\n",
            self.note,
            self.rid,
            hex_upper(public.modulus()),
            hex_upper(public.exponent()),
        );
        for (serial, identifier) in (1u8..).zip(self.identifiers) {
            let data = IssuerKeyData {
                identifier: identifier.parse()?,
                expiry: Expiry::from_yymm(CERTIFICATE_END)?,
                serial: CertificateSerial([0, 0, serial]),
                key: issuer.public(),
            };
            let block = issuer_certificate_block(public, &data)?;
            let certificate = ca.apply(block.block())?;
            let remainder = if block.remainder().is_empty() {
                String::new()
            } else {
                format!("remainder = \"{}\"\n", hex_upper(block.remainder()))
            };
            let _ = write!(
                text,
                "\n[[certificate]]\nissuer_identifier = \"{identifier}\"\nca_index = \"{CA_INDEX}\"\ncertificate = \"{}\"\n{remainder}exponent = \"{}\"\n",
                hex_upper(&certificate),
                hex_upper(issuer.public().exponent()),
            );
        }
        Ok(vec![
            (format!("oda/{}/oda.toml", self.index), text.into_bytes()),
            (format!("oda/{}/{PRIVATE_KEY}", self.index), sealed),
        ])
    }
}
