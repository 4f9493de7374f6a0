//! What a production issuer refuses, as far as its configuration and an order's values say; the program adds what only
//! opened keys and signatures say. `docs/production.md` has the whole table.

use super::finding::{Finding, Level};
use super::issuer::{Environment, Issuer};
use super::{PinPolicy, Product};
use crate::card::Pan;
use crate::keys::{PublicJwk, is_known_test_jwk, is_known_test_rsa, is_known_test_signer};

/// Risks that `accept` names. A test issuer need not accept any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// DGI 8010 as one TDES block under a static transport key.
    StaticTransportOfPins,
    /// Keys work in the program's memory.
    SoftwareKeySource,
    /// Orders bring card data in clear.
    ClearCardData,
    /// PINs are generated, derived or translated outside of a payment HSM.
    PinsOutsideHsm,
    /// Components of keys are typed at this machine.
    ClearComponents,
}

impl Risk {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::StaticTransportOfPins,
        Self::SoftwareKeySource,
        Self::ClearCardData,
        Self::PinsOutsideHsm,
        Self::ClearComponents,
    ];

    /// The word in `accept`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StaticTransportOfPins => "static-transport-of-pins",
            Self::SoftwareKeySource => "software-key-source",
            Self::ClearCardData => "clear-card-data",
            Self::PinsOutsideHsm => "pins-outside-hsm",
            Self::ClearComponents => super::protection_file::CLEAR_COMPONENTS,
        }
    }
}

/// A rule that findings name.
struct Rule {
    code: &'static str,
}

const BIN: Rule = Rule { code: "test-bin" };
const KNOWN: Rule = Rule { code: "known-test-key" };
const PINS: Rule = Rule { code: "pins-outside-hsm" };

/// Something of an order that the issuer's environment may forbid.
#[derive(Clone, Copy, Debug)]
pub enum Guarded<'a> {
    /// The member `cardData`.
    ClearCardData,
    /// The member `cardData.pinBlock`: it would be translated.
    PinBlock,
    /// A PAN: of a test range under live keys, or the other way round.
    Pan(&'a Pan),
}

impl Issuer {
    /// Why an order may not bring this, if it may not.
    #[must_use]
    pub fn forbids(&self, what: Guarded<'_>) -> Option<&'static str> {
        match (self.environment, what) {
            (Environment::Production, Guarded::ClearCardData)
                if !self.accepts(Risk::ClearCardData.name()) =>
            {
                Some("card data in clear are refused in production")
            }
            (Environment::Production, Guarded::PinBlock) if !self.accepts(Risk::PinsOutsideHsm.name()) => {
                Some("a PIN is not translated outside of a payment HSM in production")
            }
            (Environment::Production, Guarded::Pan(pan)) if self.bins.is_test(pan) => {
                Some("a test PAN, and the keys are live")
            }
            (Environment::Test, Guarded::Pan(pan)) if self.bins.is_live(pan) => {
                Some("a live PAN, and the keys are test ones")
            }
            _ => None,
        }
    }

    /// The risks that `issuer.toml` accepts, in the order of their names.
    pub fn accepted(&self) -> impl Iterator<Item = &str> {
        self.accepted.iter().map(String::as_str)
    }

    /// The number that grows with every signed state of the directory; 0 when `issuer.toml` has none.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Judges a whole configuration.
pub(super) fn check(issuer: &Issuer, findings: &mut Vec<Finding>) {
    let mut find = |level, rule: &Rule, file: &str, message: String| {
        findings.push(Finding { level, code: rule.code, file: file.to_owned(), line: 0, message });
    };
    for oda in issuer.oda.values() {
        let file = format!("oda/{}/oda.toml", oda.index);
        for certificate in &oda.certificates {
            let identifier: String = certificate.identifier.digits().iter().map(u8::to_string).collect();
            let of_test = issuer.bins.is_test_identifier(&certificate.identifier);
            let of_live = issuer.bins.is_live_identifier(&certificate.identifier);
            if issuer.environment == Environment::Production && of_test {
                let message =
                    format!("issuer identifier {identifier} is of a test range, and the keys are live");
                find(Level::Error, &BIN, &file, message);
            }
            if issuer.environment == Environment::Test && of_live {
                let message =
                    format!("issuer identifier {identifier} is a live one, and the keys are test ones");
                find(Level::Error, &BIN, &file, message);
            }
        }
    }
    if issuer.environment == Environment::Test {
        return;
    }
    for d in issuer.destinations.values() {
        let key = d.public_key.as_ref().and_then(|text| PublicJwk::from_json(text.as_bytes()).ok());
        if key.is_some_and(|key| is_known_test_jwk(&key)) {
            let message = format!("destination {}: public_key is a published test key", d.id);
            find(Level::Error, &KNOWN, "issuer.toml", message);
        }
    }
    if issuer.signing_public_key.as_ref().is_some_and(is_known_test_signer) {
        find(Level::Error, &KNOWN, "issuer.toml", "signing_public_key is a published test key".to_owned());
    }
    for oda in issuer.oda.values() {
        let file = format!("oda/{}/oda.toml", oda.index);
        if oda.certificates.iter().any(|c| is_known_test_rsa(&c.key)) {
            find(Level::Error, &KNOWN, &file, "the issuer key is a published test key".to_owned());
        }
        if oda.certificates.iter().any(|c| is_known_test_rsa(c.ca.key())) {
            find(Level::Error, &KNOWN, &file, "the CA key is a published test key".to_owned());
        }
    }
    if !issuer.accepts(Risk::PinsOutsideHsm.name()) {
        for product in issuer.products.values() {
            pins(product, &mut find);
        }
    }
}

fn pins(product: &Product, find: &mut impl FnMut(Level, &Rule, &str, String)) {
    let file = format!("products/{}.toml", product.id);
    let why =
        "outside of a payment HSM; accept pins-outside-hsm in issuer.toml or take the PIN out of the product";
    match product.pin {
        PinPolicy::None => {}
        PinPolicy::Random { .. } => {
            find(Level::Error, &PINS, &file, format!("the product's PINs would be generated {why}"));
        }
        PinPolicy::Natural { .. } => {
            find(Level::Error, &PINS, &file, format!("the product's PINs would be derived {why}"));
        }
        PinPolicy::FromOrder => {
            find(
                Level::Warning,
                &PINS,
                &file,
                format!("an order's PIN block is refused: it would be translated {why}"),
            );
        }
    }
}
