//! The orders: all channels, all products, and every member of the schema now and then.

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Expiry, Pan, Pin, ServiceCode};
use emv_dataprep::crypto::rng::{Purpose, Seed, StreamRng};
use emv_dataprep::error::{ErrorKind, Result};
use emv_dataprep::issuer::{PinBlockFormat, cvv, pin_block, pvv};
use emv_dataprep::keys::{CvvKind, KeyIndex, KeyRef, KeyUse, PublicJwk, jwe};
use serde_json::{Map, Value, json};

use super::keys::TestKeys;
use super::people::{Person, branch, set};

/// A product of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Classic,
    Standard,
    CcdDebit,
    OnlineBasic,
}

impl Kind {
    const fn product(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Standard => "standard",
            Self::CcdDebit => "ccd-debit",
            Self::OnlineBasic => "online-basic",
        }
    }

    /// `paymentApplication`.
    fn application(self) -> Value {
        match self {
            Self::Classic => {
                json!({ "config": "visa-style-dual", "odaKeyIndex": "01", "derivationKeyIndex": "01",
                                     "pvKeyIndex": "01", "cvKeyIndex": "01" })
            }
            Self::Standard => {
                json!({ "config": "mastercard-style-dual", "odaKeyIndex": "02", "derivationKeyIndex": "02",
                                      "pvKeyIndex": "01", "cvKeyIndex": "01" })
            }
            Self::CcdDebit => {
                json!({ "config": "ccd-generic", "odaKeyIndex": "03", "derivationKeyIndex": "03",
                                      "pvKeyIndex": "02", "cvKeyIndex": "01" })
            }
            Self::OnlineBasic => {
                json!({ "config": "online-only", "derivationKeyIndex": "04", "cvKeyIndex": "01" })
            }
        }
    }

    /// The digits that its PANs begin with, and how many they have.
    const fn pan_range(self, n: u64) -> (&'static str, usize) {
        match self {
            Self::Classic if n.is_multiple_of(2) => ("47617390", 16),
            Self::Classic => ("4761731", 16),
            Self::Standard => ("541333", 16),
            Self::CcdDebit if n.is_multiple_of(3) => ("991234", 19),
            Self::CcdDebit => ("991234", 16),
            Self::OnlineBasic if n.is_multiple_of(7) => ("677179", 19),
            Self::OnlineBasic => ("677179", 16),
        }
    }
}

/// Cards that share one carrier: family of this number, place in it, channel.
fn family(n: u64) -> Option<(u64, u64, &'static str)> {
    let (hundred, place) = (n / 100, n % 100);
    match place {
        41..=46 => Some((hundred * 2, place - 40, "THALES")),
        61..=63 => Some((hundred * 2 + 1, place - 60, "CENTRAL")),
        _ => None,
    }
}

/// Makes the orders, each from its own stream of the seed.
pub(super) struct Orders<'a> {
    seed: &'a Seed,
    keys: &'a TestKeys,
    envelope: &'a PublicJwk,
}

impl<'a> Orders<'a> {
    pub(super) const fn new(seed: &'a Seed, keys: &'a TestKeys, envelope: &'a PublicJwk) -> Self {
        Self { seed, keys, envelope }
    }

    /// The order at this position. Every tenth is D1's own body with `cardId` beside it and carries `encryptedData` only.
    pub(super) fn order(&self, n: u64) -> Result<Value> {
        let mut rng = self.seed.named_stream(format!("order {n}").as_bytes(), Purpose::TestIssuer).rng();
        let family = family(n);
        let channel = match (family, rng.below(10)?) {
            (Some((_, _, channel)), _) => channel,
            (None, 0..=4) => "THALES",
            (None, 5..=7) => "CENTRAL",
            (None, _) => "INSTANT",
        };
        let kind = match rng.below(4)? {
            0 => Kind::Classic,
            1 => Kind::Standard,
            2 if channel != "INSTANT" => Kind::CcdDebit,
            2 => Kind::Classic,
            _ => Kind::OnlineBasic,
        };
        let household = family.map_or(n, |(f, _, _)| 10_000 + f);
        let person = Person::new(n, household).ok_or(ErrorKind::Internal("a demo without people"))?;
        let data = self.card_data(n, kind, &person, &mut rng)?;
        let mut order = json!({
            "distributionChannel": channel,
            "services": services(n, kind, channel, family.is_some()),
            "paymentApplication": kind.application(),
        });
        // The profiles' default products: every sixth order names none.
        if !n.is_multiple_of(6) {
            set(&mut order, "cardProductId", kind.product().into());
        }
        if n.is_multiple_of(2) {
            set(&mut order, "consumerId", format!("consumer-{household}").into());
        }
        fulfilment(n, kind, channel, family, &person, &mut order);
        let mut top = json!({ "cardId": format!("card-{n:06}") });
        if !n.is_multiple_of(9) {
            set(&mut top, "issuerRequestId", format!("request-{n:06}").into());
        }
        if n.is_multiple_of(10) {
            let sealed = jwe::seal(self.envelope, &Map::new(), data.to_string().as_bytes(), &mut rng)?;
            set(&mut order, "encryptedData", sealed.into());
            for (name, value) in order.as_object().into_iter().flatten() {
                set(&mut top, name, value.clone());
            }
        } else {
            set(&mut top, "order", order);
            set(&mut top, "cardData", data);
        }
        Ok(top)
    }

    fn card_data(&self, n: u64, kind: Kind, person: &Person, rng: &mut StreamRng) -> Result<Value> {
        let pan = pan(n, kind)?;
        let expiry = Expiry::from_yymm(&format!("{:02}{:02}", 28 + rng.below(4)?, 1 + rng.below(12)?))?;
        let mut data =
            json!({ "pan": pan.to_text().as_str(), "exp": expiry.yymm(), "name": person.printed() });
        let mut give = |name: &str, value: Value| set(&mut data, name, value);
        let prints_second_name = matches!(kind, Kind::Classic | Kind::Standard);
        if prints_second_name && n.is_multiple_of(7) {
            give("secondName", "DEMO BANK & CO".into());
        }
        if n.is_multiple_of(19) {
            give("encodedName", person.encoded().into());
        }
        if n.is_multiple_of(11) {
            give("panSequenceNumber", "01".into());
        }
        if n.is_multiple_of(13) {
            give("effectiveDate", "260115".into());
        }
        if n.is_multiple_of(17) {
            give("paymentAccountReference", format!("V001{n:025}").into());
        }
        if n.is_multiple_of(23) {
            let digits = if kind == Kind::Classic { expiry.mmyy_digits() } else { expiry.yymm_digits() };
            let key = KeyRef::cvk(KeyIndex(1), CvvKind::Cvv2);
            give("cvv2", self.cvv(key, &pan, digits, ServiceCode::CVV2)?.into());
        }
        let service_code: ServiceCode = match kind {
            Kind::Classic | Kind::Standard => "201",
            Kind::CcdDebit | Kind::OnlineBasic => "221",
        }
        .parse()?;
        let cvk = KeyRef::new(KeyUse::Cvk, KeyIndex(1));
        let cvv1 = self.cvv(cvk, &pan, expiry.yymm_digits(), service_code)?;
        if n.is_multiple_of(29) {
            give("cvv1", cvv1.clone().into());
        }
        if kind == Kind::OnlineBasic && n.is_multiple_of(5) {
            let track2 = format!("{}={}{service_code}00000{cvv1}", pan.to_text().as_str(), expiry.yymm());
            give("trackData", json!({ "track2": track2 }));
        }
        if kind == Kind::Standard {
            let mut digits = [0; 4];
            for digit in &mut digits {
                *digit = u8::try_from(rng.below(10)?).unwrap_or(0);
            }
            let pin = Pin::from_digits(&digits)?;
            give("pinBlock", self.pin_block(n, &pin, &pan, rng)?);
            if n.is_multiple_of(37) {
                let pvk = self.keys.tdes(KeyRef::new(KeyUse::Pvk, KeyIndex(1)))?;
                give("pvv", pvv::compute(&pvk, &pan, 1, &pin)?.to_text().as_str().into());
            }
        }
        Ok(data)
    }

    fn cvv(&self, key: KeyRef, pan: &Pan, expiry: [u8; 4], service_code: ServiceCode) -> Result<String> {
        let value = cvv::compute(&self.keys.tdes(key)?, pan, expiry, service_code, 3)?;
        Ok(value.to_text().as_str().to_owned())
    }

    /// Formats 0, 1 and 3 under `pin` key 01, format 4 under `pin` key 02.
    fn pin_block(&self, n: u64, pin: &Pin, pan: &Pan, rng: &mut StreamRng) -> Result<Value> {
        let tdes = |format, rng: &mut StreamRng| -> Result<String> {
            let clear = pin_block::clear_block(format, pin, pan, rng)?;
            let key = self.keys.tdes(KeyRef::new(KeyUse::Pin, KeyIndex(1)))?;
            Ok(hex_upper(&key.encrypt_block(*clear)))
        };
        let (format, index, value) = match n % 4 {
            0 => ("iso-0", "01", tdes(PinBlockFormat::Iso0, rng)?),
            1 => ("iso-1", "01", tdes(PinBlockFormat::Iso1, rng)?),
            2 => ("iso-3", "01", tdes(PinBlockFormat::Iso3, rng)?),
            _ => {
                let key = self.keys.aes(KeyRef::new(KeyUse::Pin, KeyIndex(2)))?;
                let field = pin_block::iso4_pin_field(pin, rng.bytes());
                let block = pin_block::iso4_encrypt(&key, &field, &pin_block::iso4_pan_field(pan));
                ("iso-4", "02", hex_upper(&block))
            }
        };
        Ok(json!({ "format": format, "keyIndex": index, "value": value }))
    }
}

/// A PAN of the product's range, other for every position, with its check digit.
fn pan(n: u64, kind: Kind) -> Result<Pan> {
    let (prefix, len) = kind.pan_range(n);
    let width = len - prefix.len() - 1;
    // 7919 is prime and no factor of a power of ten: different positions give different accounts.
    let account =
        n.wrapping_mul(7919).wrapping_add(1_234_567) % 10_u64.pow(u32::try_from(width).unwrap_or(1));
    let tried = (0..10).find_map(|check| format!("{prefix}{account:0width$}{check}").parse().ok());
    tried.ok_or_else(|| ErrorKind::Internal("a PAN without a check digit").into())
}

fn services(n: u64, kind: Kind, channel: &str, family: bool) -> Value {
    let issuance = match n % 8 {
        0 => "RENEWAL",
        5 => "REPLACEMENT",
        _ => "CREATION",
    };
    let mut services = json!({ "issuance": issuance });
    if n.is_multiple_of(3) {
        set(&mut services, "priority", if n.is_multiple_of(2) { "EXPRESS" } else { "STANDARD" }.into());
    }
    if channel != "INSTANT" {
        let delivery = match n % 3 {
            0 => "laposte-cip",
            1 => "usps-imb",
            _ => "dhl",
        };
        set(&mut services, "delivery", delivery.into());
        if n.is_multiple_of(4) {
            set(
                &mut services,
                "packaging",
                if n.is_multiple_of(8) { "gift-box" } else { "standard-envelope" }.into(),
            );
        }
    }
    if family {
        set(&mut services, "cardCarrier", "multi-card-letter".into());
    } else if !n.is_multiple_of(3) {
        set(&mut services, "cardCarrier", "letter-a4".into());
    }
    let mailer = match kind {
        Kind::Classic => !n.is_multiple_of(8),
        Kind::CcdDebit => n.is_multiple_of(2),
        Kind::Standard | Kind::OnlineBasic => false,
    };
    if mailer {
        set(&mut services, "pinMailer", true.into());
    }
    if kind == Kind::CcdDebit && n.is_multiple_of(15) {
        set(&mut services, "alphaCard", true.into());
    }
    services
}

/// cardDesign, cardCarrierConfig, packagingConfig, shipment, and the name of the center or station.
fn fulfilment(
    n: u64,
    kind: Kind,
    channel: &str,
    family: Option<(u64, u64, &'static str)>,
    person: &Person,
    order: &mut Value,
) {
    if matches!(kind, Kind::Classic | Kind::Standard) && n.is_multiple_of(3) {
        let design = json!({
            "images": ["background_sea.png"],
            "customLines": [format!("Member since {}", 2000 + n % 26)],
            "artworkId": "art-2026",
            "memberId": format!("M-{n:06}"),
        });
        set(order, "cardDesign", design);
    }
    if let Some((number, place, _)) = family {
        let carrier = json!({ "language": "FR", "customLines": ["Welcome to your family"],
                              "multiCardId": format!("family-{number}"), "multiCardOrder": place.to_string() });
        set(order, "cardCarrierConfig", carrier);
    } else if n % 3 == 1 {
        let carrier = json!({ "language": "EN", "images": ["welcome.png"], "customLines": ["Welcome"] });
        set(order, "cardCarrierConfig", carrier);
    }
    match channel {
        "THALES" => {
            if n.is_multiple_of(4) {
                set(order, "packagingConfig", json!({ "inserts": ["terms-2026", "leaflet-app"] }));
            }
            set(order, "shipment", json!({ "type": "INDIVIDUAL", "deliveryAddress": person.address(n) }));
        }
        "CENTRAL" => {
            // A third goes to the default center without naming it.
            match n % 3 {
                0 => {}
                1 => set(order, "persoCenter", "PC1".into()),
                _ => set(order, "persoCenter", "PC2".into()),
            }
            let shipment = if n.is_multiple_of(2) || family.is_some() {
                let number = n / 50;
                json!({ "type": "BULK", "deliveryAddress": branch(number), "individualAddress": person.address(n),
                        "groupId": format!("box-{number}"), "orderId": format!("tray-{}", n / 10) })
            } else {
                json!({ "type": "INDIVIDUAL", "deliveryAddress": person.address(n) })
            };
            set(order, "shipment", shipment);
        }
        _ => {
            let station = if n.is_multiple_of(2) { "KIOSK-PS-101" } else { "BRANCH-7" };
            set(order, "persoStation", station.into());
        }
    }
}
