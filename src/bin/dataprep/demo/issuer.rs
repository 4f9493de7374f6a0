//! The files of the test issuer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::error::Result;
use emv_dataprep::keys::PrivateJwk;
use emv_dataprep::secret::Secret;

use super::keys::TestKeys;
use super::orders::Orders;
use super::scheme::SCHEMES;

/// Contents by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A test issuer as it will lie in its folder.
pub(crate) struct TestIssuer {
    /// The issuer directory; paths relative to it.
    pub(crate) files: Files,
    /// Secret files; names within the folder of secrets.
    pub(crate) secrets: Files,
    /// JSON Lines.
    pub(crate) orders: Vec<u8>,
}

impl std::fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestIssuer({} files)", self.files.len())
    }
}

/// Key id of D1's envelopes to the issuer.
const ENVELOPE: &str = "demo-envelope-1";

struct Destination {
    id: &'static str,
    channel: Option<&'static str>,
    more: &'static str,
}

const DESTINATIONS: [Destination; 7] = [
    Destination {
        id: "THALES",
        channel: Some("THALES"),
        more: "transport_key = { index = \"01\", mode = \"ECB\", kind = \"static\" }",
    },
    Destination {
        id: "PC1",
        channel: Some("CENTRAL"),
        more: "transport_key = { index = \"01\", mode = \"ECB\", kind = \"static\" }",
    },
    Destination {
        id: "PC2",
        channel: Some("CENTRAL"),
        more: "# a fresh key for every block, wrapped under transport key 02\ntransport_key = { index = \"02\", mode = \"CBC\", kind = \"per-block\", algorithm = \"AES-256\" }",
    },
    Destination {
        id: "KIOSK-PS-101",
        channel: Some("INSTANT"),
        more: "transport_key = { index = \"03\", mode = \"ECB\", kind = \"static\" }",
    },
    Destination {
        id: "BRANCH-7",
        channel: Some("INSTANT"),
        more: "transport_key = { index = \"03\", mode = \"ECB\", kind = \"static\" }",
    },
    Destination { id: "mailer", channel: None, more: "pin_key = \"01\"    # a mailer key" },
    Destination { id: "issuer", channel: None, more: "pin_key = \"01\"    # a pin key" },
];

const HEAD: &str = r#"# A test issuer: keys, certificates and orders are made up from a seed that everybody knows.
version = 1
issuer_id = "DEMOISSUER"
environment = "test"
default_central_destination = "PC1"
pin_mailer_destination = "mailer"
issuer_return_destination = "issuer"

[secrets]
key_block_protection_key = "../secrets/kbpk.hex"
oda_password = "../secrets/oda.pass"

[secrets.envelope]
"#;

const IDENTIFIERS: &str = r#"
[identifiers]
issuance = ["CREATION", "RENEWAL", "REPLACEMENT"]
priority = ["STANDARD", "EXPRESS"]
delivery = ["laposte-cip", "usps-imb", "dhl"]
packaging = ["standard-envelope", "gift-box"]
card_carrier = ["letter-a4", "multi-card-letter"]
inserts = ["terms-2026", "leaflet-app"]
countries = ["CH", "DE", "ES", "FR", "GB", "IT", "PT", "US"]
"#;

/// The shipped profiles, products, formats and script plans.
const SHIPPED: [(&str, &str); 11] = [
    ("profiles/visa-style-dual.toml", include_str!("../../../../profiles/visa-style-dual.toml")),
    ("profiles/mastercard-style-dual.toml", include_str!("../../../../profiles/mastercard-style-dual.toml")),
    ("profiles/ccd-generic.toml", include_str!("../../../../profiles/ccd-generic.toml")),
    ("profiles/online-only.toml", include_str!("../../../../profiles/online-only.toml")),
    ("products/classic.toml", include_str!("../../../../products/classic.toml")),
    ("products/standard.toml", include_str!("../../../../products/standard.toml")),
    ("products/ccd-debit.toml", include_str!("../../../../products/ccd-debit.toml")),
    ("products/online-basic.toml", include_str!("../../../../products/online-basic.toml")),
    ("formats/emboss-line.toml", include_str!("../../../../formats/emboss-line.toml")),
    ("scripts/generic-gp.toml", include_str!("../../../../scripts/generic-gp.toml")),
    ("scripts/pre-personalized.toml", include_str!("../../../../scripts/pre-personalized.toml")),
];

impl TestIssuer {
    /// Makes all of it from the seed, with so many orders. `progress` is told what is being made.
    pub(crate) fn make(seed: &Seed, orders: u64, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        progress("keys");
        let keys = TestKeys::make(seed)?;
        let mut secrets = Files::new();
        let mut files: Files =
            SHIPPED.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        secrets.insert("kbpk.hex".into(), keys.kbpk_text().into_bytes());
        files.insert("keys.toml".into(), keys.to_toml(seed)?.into_bytes());

        let password = seed.named_stream(b"oda password", Purpose::TestIssuer).rng().bytes::<32>();
        let password = hex::encode_upper(password);
        for scheme in &SCHEMES {
            progress("scheme authorities and issuer certificates");
            files.extend(scheme.make(seed, &Secret::copy_of(password.as_bytes()))?);
        }
        secrets.insert("oda.pass".into(), format!("{password}\n").into_bytes());

        let jwk = |name: &str| {
            let label = format!("jwk {name}");
            PrivateJwk::generate(&mut seed.named_stream(label.as_bytes(), Purpose::TestIssuer).rng())
        };
        let mut text = HEAD.to_owned();
        let _ = writeln!(text, "\"{ENVELOPE}\" = \"../secrets/envelope.jwk\"");
        let envelope = jwk("envelope").with_kid(ENVELOPE)?;
        secrets.insert("envelope.jwk".into(), line(&envelope.to_json()));
        for destination in &DESTINATIONS {
            let key = jwk(destination.id);
            let _ = write!(text, "\n[[destination]]\nid = \"{}\"\n", destination.id);
            if let Some(channel) = destination.channel {
                let _ = writeln!(text, "channel = \"{channel}\"");
            }
            let _ = writeln!(
                text,
                "{}\npublic_key = {}",
                destination.more,
                inline_table(&key.public().to_json())
            );
            secrets.insert(format!("{}.jwk", destination.id), line(&key.to_json()));
        }
        text.push_str(IDENTIFIERS);
        files.insert("issuer.toml".into(), text.into_bytes());

        progress("orders");
        let maker = Orders::new(seed, &keys, envelope.public());
        let mut lines = Vec::new();
        for position in 1..=orders {
            lines.extend(maker.order(position)?.to_string().into_bytes());
            lines.push(b'\n');
        }
        Ok(Self { files, secrets, orders: lines })
    }
}

fn line(text: &str) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}

/// A JSON object of texts as a TOML inline table.
fn inline_table(json: &str) -> String {
    let members: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
    let pairs: Vec<String> = members.iter().map(|(k, v)| format!("{k} = \"{v}\"")).collect();
    format!("{{ {} }}", pairs.join(", "))
}
