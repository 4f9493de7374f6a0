//! A profile that cannot work is refused when it is loaded: everything is laid out once with values of full length.

use std::collections::BTreeSet;

use super::card_profile::{
    Application, ApplicationKind, DgiContent, Interface, PaymentApplication, Profile, RsaPart,
};
use super::destination::TransportKeyConfig;
use super::finding::Source;
use super::issuer::{Environment, Issuer};
use super::layout::{self, Face};
use super::oda_file::OdaKey;
use super::product::{PinPolicy, PinVerification};
use super::profile_file::{ApplicationPlaces, Places};
use super::value::{CardSource, CardValues, ValueSpec};
use super::widest::Widest;
use crate::emv::{AipFlag, CvmList, Dol, OdaUse, Tag};
use crate::keys::{KeyRef, KeyUse};
use crate::perso::DgiTag;

/// Checks one profile against itself, the products and the issuer's keys.
pub(super) fn profile(source: &mut Source<'_>, issuer: &Issuer, profile: &Profile, places: &Places) {
    if let Some(id) = &profile.default_product {
        match issuer.product(id) {
            None => source.error(0, "product", format!("default_product {id}: there is no such product")),
            Some(p) if !p.profiles.contains(&profile.id) => {
                source.error(0, "product", format!("default_product {id} does not list this profile"));
            }
            Some(_) => {}
        }
    }
    if profile.payment().next().is_none() {
        source.error(0, "application", "no payment application");
    }
    let mut aids = BTreeSet::new();
    for (application, place) in profile.applications.iter().zip(&places.applications) {
        if !aids.insert(&application.aid) {
            source.error(place.at, "aid", "this AID stands twice");
        }
        if let ApplicationKind::Payment(payment) = &application.kind {
            dgis(source, profile, payment, place);
            for (i, _) in payment.interfaces.iter().enumerate() {
                interface(source, profile, payment, i, place);
            }
        }
    }
    directories(source, profile, places);
    let mut keys: Vec<Option<&OdaKey>> = match &profile.oda {
        None => vec![None],
        Some(_) => issuer
            .oda_keys()
            .filter(|k| profile.payment().all(|(a, _)| a.aid.as_bytes().starts_with(&k.rid.0)))
            .map(Some)
            .collect(),
    };
    if keys.is_empty() {
        source.warning(places.oda, "oda", "the profile needs an issuer RSA key of its scheme (the first five bytes of the AID), and oda/ has none");
        keys.push(None);
    }
    for key in keys {
        fit(source, profile, places, key);
    }
    static_codebook(source, issuer, profile, places);
}

/// Everything fits with one issuer RSA key.
fn fit(source: &mut Source<'_>, profile: &Profile, places: &Places, key: Option<&OdaKey>) {
    let with = key.map_or(String::new(), |k| format!(" with the issuer key of oda/{}", k.index));
    let widest = Widest::of(profile, key);
    if let Some(key) = key {
        for (what, len) in [("ICC key", widest.icc_len), ("PIN-encipherment key", widest.pin_len)] {
            if len > key.modulus_len() {
                source.error(
                    places.oda,
                    "icc-key",
                    format!("the {what} is longer than the issuer key{with}"),
                );
            }
        }
    }
    for (application, place) in profile.applications.iter().zip(&places.applications) {
        match &application.kind {
            ApplicationKind::Payment(payment) => {
                payment_fits(source, profile, application, payment, place, &widest, &with);
            }
            ApplicationKind::Pse { sfi, values } => {
                if let Err(e) = layout::pse(profile, application, *sfi, values, &widest) {
                    source.error(place.at, "pse", format!("{e}{with}"));
                }
            }
            ApplicationKind::Ppse => {
                if let Err(e) = layout::ppse(profile, application, &widest) {
                    source.error(place.at, "ppse", format!("{e}{with}"));
                }
            }
        }
    }
}

fn payment_fits(
    source: &mut Source<'_>,
    profile: &Profile,
    application: &Application,
    payment: &PaymentApplication,
    place: &ApplicationPlaces,
    widest: &Widest,
    with: &str,
) {
    for (interface, at) in payment.interfaces.iter().zip(&place.interfaces) {
        let face = Face { cryptogram_version: profile.cryptogram_version, application: payment, interface };
        for (spec, at) in interface.records.iter().zip(&at.records) {
            if let Err(e) = face.records_where(widest, |s, n| s == spec.sfi && n == spec.number) {
                source.error(*at, "record", format!("{e}{with}"));
            }
        }
        match face.fci(application.aid.as_bytes(), application.fci_form, widest) {
            Err(e) => source.error(at.fci, "fci", format!("SELECT response: {e}{with}")),
            Ok(fci) if fci.len() > 253 => {
                source.error(at.fci, "fci", "the SELECT response is over 253 bytes")
            }
            Ok(_) => {}
        }
        match face.gpo(widest) {
            Err(e) => source.error(at.gpo, "gpo", format!("GPO response: {e}{with}")),
            Ok(gpo) if gpo.len() > 250 => source.error(at.gpo, "gpo", "the GPO response is over 250 bytes"),
            Ok(_) => {}
        }
        cda_response(source, &face, widest, at.aip);
        remainders(source, &face, widest, at.afl, with);
    }
    for (spec, at) in payment.dgis.iter().zip(&place.dgis) {
        let Some(interface) = payment.interfaces.iter().find(|i| i.interface == spec.interface) else {
            source.error(*at, "dgi", "this interface is not described");
            continue;
        };
        let face = Face { cryptogram_version: profile.cryptogram_version, application: payment, interface };
        let made = match &spec.content {
            DgiContent::Tags(tags) => face.tlvs(tags, widest).map(|_| ()),
            DgiContent::Fields(fields) => {
                fields.iter().try_for_each(|f| face.spec_value(f, widest).map(|_| ()))
            }
            _ => Ok(()),
        };
        if let Err(e) = made {
            source.error(*at, "dgi", format!("DGI {}: {e}", spec.dgi));
        }
    }
}

/// A key that does not fit into its certificate has its remainder in a record that is read.
fn remainders(source: &mut Source<'_>, face: &Face<'_>, widest: &Widest, at: usize, with: &str) {
    let read: BTreeSet<Tag> = face
        .application
        .interfaces
        .iter()
        .flat_map(|i| &i.records)
        .filter(|r| layout::reads(&face.interface.afl, r.sfi, r.number))
        .flat_map(|r| r.tags.iter().copied())
        .collect();
    for (certificate, remainder, value) in [
        (Tag::ISSUER_CERTIFICATE, Tag::ISSUER_KEY_REMAINDER, CardSource::IssuerRemainder),
        (Tag::ICC_CERTIFICATE, Tag::ICC_KEY_REMAINDER, CardSource::IccRemainder),
        (Tag::ICC_PIN_CERTIFICATE, Tag::ICC_PIN_KEY_REMAINDER, CardSource::PinRemainder),
    ] {
        let needed = matches!(widest.card_value(value), Ok(Some(_)));
        if needed && widest.issuer_len > 0 && read.contains(&certificate) && !read.contains(&remainder) {
            let message = format!(
                "the key of {certificate} leaves a remainder, but no record read holds {remainder}{with}"
            );
            source.error(at, "afl", message);
        }
    }
}

/// With CDA the response to GENERATE AC holds the signature: template, CID, ATC, IAD and SDAD in 256 bytes.
fn cda_response(source: &mut Source<'_>, face: &Face<'_>, widest: &Widest, at: usize) {
    if !face.interface.aip.has(AipFlag::Cda) {
        return;
    }
    let iad =
        face.spec(Tag::IAD).and_then(|s| face.spec_value(&s, widest).ok().flatten()).map_or(32, |v| v.len());
    let response = 3 + 4 + 5 + 3 + iad + 4 + widest.icc_len;
    if response > 256 {
        source.error(at, "cda", format!("the response to GENERATE AC is {response} bytes with CDA; 256 fit"));
    }
}

/// What an interface says of itself agrees with its records.
fn interface(
    source: &mut Source<'_>,
    profile: &Profile,
    payment: &PaymentApplication,
    which: usize,
    place: &ApplicationPlaces,
) {
    let (Some(interface), Some(at)) = (payment.interfaces.get(which), place.interfaces.get(which)) else {
        return;
    };
    let face = Face { cryptogram_version: profile.cryptogram_version, application: payment, interface };
    let all: Vec<_> = payment.interfaces.iter().flat_map(|i| &i.records).collect();
    let mut read = BTreeSet::new();
    for entry in interface.afl.records() {
        let number = entry.number;
        let Some(record) = all.iter().find(|r| r.sfi == entry.sfi && r.number == number) else {
            let message =
                format!("the AFL reads record {number} of SFI {}, which no interface defines", entry.sfi);
            source.error(at.afl, "afl", message);
            continue;
        };
        for tag in &record.tags {
            // EMV 4.4 Book 3, 10.2: a data object met twice while records are read ends the transaction.
            if !read.insert(*tag) {
                source.error(at.afl, "afl", format!("the AFL reads tag {tag} twice"));
            }
        }
        let own = interface.records.iter().any(|r| r.sfi == entry.sfi && r.number == number);
        let signature = |t: &&Tag| {
            matches!(
                face.spec(**t),
                Some(ValueSpec::Card(CardSource::IccCertificate | CardSource::SignedStaticData))
            )
        };
        if !own && let Some(tag) = record.tags.iter().find(signature) {
            let message = format!("the AFL reads {tag} of the other interface: it signs other static data");
            source.error(at.afl, "afl", message);
        }
        let is_signature = |t: &&Tag| matches!(face.spec(**t), Some(ValueSpec::Card(s)) if s.is_signature());
        if entry.oda == OdaUse::Signed
            && let Some(tag) = record.tags.iter().find(is_signature)
        {
            let message =
                format!("record {number} of SFI {} is signed and holds the signature {tag}", entry.sfi);
            source.error(at.afl, "afl", message);
        }
    }
    for (record, at) in interface.records.iter().zip(&at.records) {
        let reached = payment.interfaces.iter().any(|i| layout::reads(&i.afl, record.sfi, record.number));
        if !reached {
            let message = format!("no AFL reads record {} of SFI {}", record.number, record.sfi);
            source.error(*at, "record", message);
        }
        if all.iter().filter(|r| r.sfi == record.sfi && r.number == record.number).count() > 1 {
            source.error(
                *at,
                "record",
                format!("record {} of SFI {} stands twice", record.number, record.sfi),
            );
        }
        let mut seen = BTreeSet::new();
        if let Some(tag) = record.tags.iter().find(|t| !seen.insert(**t)) {
            source.error(*at, "record", format!("tag {tag} stands twice"));
        }
    }
    if interface.interface == Interface::Contact {
        for tag in [Tag::PAN, Tag::EXPIRATION_DATE, Tag::CDOL1, Tag::CDOL2] {
            if !read.contains(&tag) {
                source.error(at.afl, "afl", format!("no record holds tag {tag}, which every card needs"));
            }
        }
    }
    for tag in [Tag::CDOL1, Tag::CDOL2, Tag::PDOL, Tag::DDOL, Tag::TDOL] {
        if let Some(ValueSpec::Literal(bytes)) = face.spec(tag)
            && let Err(e) = Dol::parse(&bytes)
        {
            source.error(at.aip, "value", format!("tag {tag}: {e}"));
        }
    }
    authentication(source, profile, payment, &face, &read, at.aip);
    if read.contains(&Tag::SDA_TAG_LIST)
        && !matches!(face.spec(Tag::SDA_TAG_LIST), Some(ValueSpec::Literal(v)) if v == [0x82])
    {
        source.error(at.aip, "oda", "tag 9F4A may name tag 82 only");
    }
    cardholder_verification(source, profile, payment, &face, &read, at.aip);
}

/// The AIP promises what records and DGIs hold.
fn authentication(
    source: &mut Source<'_>,
    profile: &Profile,
    payment: &PaymentApplication,
    face: &Face<'_>,
    read: &BTreeSet<Tag>,
    at: usize,
) {
    let aip = face.interface.aip;
    let oda = profile.oda.clone().unwrap_or_default();
    let mut need = |tags: &[Tag], what: &str| {
        for tag in tags.iter().filter(|t| !read.contains(t)) {
            source.error(
                at,
                "aip",
                format!("the AIP says {what}, but no record that the AFL reads holds tag {tag}"),
            );
        }
    };
    if aip.has(AipFlag::Sda) || aip.has(AipFlag::Dda) || aip.has(AipFlag::Cda) {
        need(
            &[Tag::CA_PUBLIC_KEY_INDEX, Tag::ISSUER_CERTIFICATE, Tag::ISSUER_KEY_EXPONENT],
            "offline data authentication",
        );
    }
    if aip.has(AipFlag::Sda) {
        need(&[Tag::SSAD], "SDA");
    }
    if aip.has(AipFlag::Dda) || aip.has(AipFlag::Cda) {
        need(&[Tag::ICC_CERTIFICATE, Tag::ICC_KEY_EXPONENT], "DDA or CDA");
    }
    if aip.has(AipFlag::Sda) && oda.dac.is_none() {
        source.error(at, "aip", "the AIP says SDA, but oda.dac is not given");
    }
    if (aip.has(AipFlag::Dda) || aip.has(AipFlag::Cda)) && oda.icc_key.is_none() {
        source.error(at, "aip", "the AIP says DDA or CDA, but the profile has no ICC key (oda.icc_key)");
    }
    if (aip.has(AipFlag::Dda) || aip.has(AipFlag::Cda)) && !has_private_key(payment, false) {
        source.error(at, "aip", "the AIP says DDA or CDA, but no DGIs hold the ICC private key");
    }
}

/// All five CRT parts, or exponent and modulus.
fn has_private_key(payment: &PaymentApplication, of_pin_key: bool) -> bool {
    let parts: Vec<RsaPart> = payment
        .dgis
        .iter()
        .filter_map(|d| match &d.content {
            DgiContent::IccKey(part, _) if !of_pin_key => Some(*part),
            DgiContent::PinKey(part, _) if of_pin_key => Some(*part),
            _ => None,
        })
        .collect();
    let has = |wanted: &[RsaPart]| wanted.iter().all(|w| parts.contains(w));
    has(&[RsaPart::QInv, RsaPart::Dq, RsaPart::Dp, RsaPart::Q, RsaPart::P])
        || has(&[RsaPart::Exponent, RsaPart::Modulus])
}

/// A CVM list that asks for an offline PIN has one, and a key for an enciphered one.
fn cardholder_verification(
    source: &mut Source<'_>,
    profile: &Profile,
    payment: &PaymentApplication,
    face: &Face<'_>,
    read: &BTreeSet<Tag>,
    at: usize,
) {
    let Some(ValueSpec::Literal(bytes)) = face.spec(Tag::CVM_LIST) else { return };
    let list = match CvmList::parse(&bytes) {
        Ok(list) => list,
        Err(e) => return source.error(at, "cvm", format!("CVM list {e}")),
    };
    let has_pin = payment.dgis.iter().any(|d| matches!(d.content, DgiContent::ReferencePin(_)));
    if list.has_offline_pin() && !has_pin {
        source.error(
            at,
            "cvm",
            "the CVM list asks for an offline PIN, but no DGI holds the reference PIN (8010)",
        );
    }
    let oda = profile.oda.clone().unwrap_or_default();
    if list.has_enciphered_pin() && oda.icc_key.is_none() && oda.pin_key.is_none() {
        source.error(
            at,
            "cvm",
            "the CVM list asks for an enciphered PIN, but the card has no RSA key for it",
        );
    }
    if list.has_enciphered_pin() {
        let (tags, of_pin_key) = if oda.pin_key.is_some() {
            ([Tag::ICC_PIN_CERTIFICATE, Tag::ICC_PIN_KEY_EXPONENT], true)
        } else {
            ([Tag::ICC_CERTIFICATE, Tag::ICC_KEY_EXPONENT], false)
        };
        for tag in tags.iter().filter(|t| !read.contains(t)) {
            source.error(
                at,
                "cvm",
                format!("the CVM list asks for an enciphered PIN, but no record read holds {tag}"),
            );
        }
        if oda.pin_key.is_none() && !has_private_key(payment, of_pin_key) {
            source.error(
                at,
                "cvm",
                "the CVM list asks for an enciphered PIN, but no DGIs hold the private key",
            );
        }
    }
    let has_counter = payment.dgis.iter().any(|d| d.dgi == DgiTag::PIN_TRY_COUNTER);
    if has_pin && !has_counter {
        source.error(
            at,
            "cvm",
            "the card has a reference PIN (8010), but no PIN try counter and limit (9010)",
        );
    }
    if oda.pin_key.is_some() && !has_private_key(payment, true) {
        source.error(at, "cvm", "oda.pin_key is given, but no DGIs hold the private key (8301 to 8305)");
    }
}

/// DGIs stand once, are free for applications, and check values have their keys.
fn dgis(source: &mut Source<'_>, profile: &Profile, payment: &PaymentApplication, place: &ApplicationPlaces) {
    let mut seen: BTreeSet<DgiTag> = BTreeSet::new();
    for (interface, at) in payment.interfaces.iter().zip(&place.interfaces) {
        for (dgi, at) in [(interface.fci.0, at.fci), (interface.gpo.0, at.gpo)] {
            if !seen.insert(dgi) {
                source.error(at, "dgi", format!("DGI {dgi} stands twice"));
            }
        }
    }
    for (spec, at) in payment.dgis.iter().zip(&place.dgis) {
        if !seen.insert(spec.dgi) {
            source.error(*at, "dgi", format!("DGI {} stands twice", spec.dgi));
        }
        if spec.dgi.emv_record().is_some() {
            source.error(*at, "dgi", format!("DGI {} is a record: describe it as one", spec.dgi));
        }
        if spec.dgi.is_reserved() {
            source.error(*at, "dgi", format!("DGI {} is reserved", spec.dgi));
        }
        match &spec.content {
            DgiContent::Kcvs(of) => {
                let there =
                    payment.dgis.iter().any(|d| d.dgi == *of && matches!(d.content, DgiContent::CardKeys(_)));
                if !there {
                    source.error(*at, "dgi", format!("kcvs_of: DGI {of} holds no keys"));
                }
            }
            DgiContent::CardKeys(uses) if uses.is_empty() => source.error(*at, "dgi", "keys: none"),
            DgiContent::IccKey(..) if profile.oda.as_ref().is_none_or(|o| o.icc_key.is_none()) => {
                source.error(*at, "dgi", "the profile has no ICC key (oda.icc_key)");
            }
            DgiContent::PinKey(..) if profile.oda.as_ref().is_none_or(|o| o.pin_key.is_none()) => {
                source.error(*at, "dgi", "the profile has no PIN-encipherment key (oda.pin_key)");
            }
            _ => {}
        }
    }
}

/// PSE and PPSE have something to list; a contactless application has a PPSE.
fn directories(source: &mut Source<'_>, profile: &Profile, places: &Places) {
    let has = |interface| layout::faces(profile, interface).next().is_some();
    let mut ppse = false;
    for (application, place) in profile.applications.iter().zip(&places.applications) {
        match application.kind {
            ApplicationKind::Pse { .. } if !has(Interface::Contact) => {
                source.error(place.at, "pse", "a PSE without a contact application");
            }
            ApplicationKind::Ppse => {
                ppse = true;
                if !has(Interface::Contactless) {
                    source.error(place.at, "ppse", "a PPSE without a contactless application");
                }
            }
            _ => {}
        }
    }
    if has(Interface::Contactless) && !ppse {
        source.error(0, "ppse", "a contactless application, but no PPSE: a terminal would not find it");
    }
}

/// DGI 8010 as one TDES block under a static key: equal PINs give equal cryptograms, whatever the mode, since the IV is
/// zero. Under AES eight random bytes follow the PIN block.
fn static_codebook(source: &mut Source<'_>, issuer: &Issuer, profile: &Profile, places: &Places) {
    let is_tdes = |index| {
        let key = KeyRef::new(KeyUse::Transport, index);
        // The algorithm byte of an X9.143 header.
        issuer.key_entries().iter().any(|k| k.key == key && k.block.as_bytes().get(7) != Some(&b'A'))
    };
    let codebook = issuer
        .destinations()
        .filter(|d| matches!(d.transport, Some(TransportKeyConfig::Static { index, .. }) if is_tdes(index)));
    let names: Vec<&str> = codebook.map(|d| d.id.as_str()).collect();
    if !profile.needs_reference_pin() || names.is_empty() {
        return;
    }
    let at = places.applications.first().map_or(0, |p| p.at);
    let message = format!(
        "DGI 8010 is one block under a static transport key for {}: equal PINs look equal there",
        names.join(", ")
    );
    match issuer.environment() {
        Environment::Production if !issuer.accepts("static-transport-of-pins") => {
            source.error(
                at,
                "static-transport-of-pins",
                message + "; accept it by name in issuer.toml or use per-block",
            );
        }
        _ => source.warning(at, "static-transport-of-pins", message),
    }
}

/// Checks one product against the profiles and keys.
pub(super) fn product(source: &mut Source<'_>, issuer: &Issuer, id: &str) {
    let Some(product) = issuer.product(id) else { return };
    for name in &product.profiles {
        let Some(profile) = issuer.profile(name) else {
            source.error(
                0,
                "profile",
                format!("profile {name}: there is no such profile, or it was refused"),
            );
            continue;
        };
        if profile.needs_reference_pin() && product.pin == PinPolicy::None {
            source.error(0, "pin", format!("profile {name} loads a reference PIN, and the product has none"));
        }
    }
    if product.profiles.is_empty() {
        source.error(0, "profile", "profiles: none");
    }
    if !matches!(product.service_code.digits().first(), Some(2 | 6)) {
        // ISO/IEC 7813: 2 and 6 tell a terminal to use the chip.
        source.warning(
            0,
            "service-code",
            "the service code does not say that the card has a chip (2xx or 6xx)",
        );
    }
    if product.channels.is_empty() {
        source.error(0, "channel", "channels: none");
    }
    for channel in &product.channels {
        if !issuer.destinations().any(|d| d.channel == Some(*channel)) {
            source.warning(0, "channel", format!("no destination of channel {channel}"));
        }
    }
    if product.pin_mailer && issuer.pin_mailer().is_none() {
        source.error(0, "pin", "PIN mailers, but issuer.toml names no pin_mailer_destination");
    }
    if product.pin_return.is_some() && issuer.issuer_return().is_none_or(|d| d.pin_key.is_none()) {
        source.error(0, "pin", "the return carries PIN blocks, but its destination has no pin_key");
    }
    let makes_pin = matches!(product.pin, PinPolicy::Random { .. } | PinPolicy::Natural { .. });
    let by_host = product.pin_return.is_some() || product.pin_verification != PinVerification::None;
    let on_card = product.profiles.iter().filter_map(|p| issuer.profile(p)).any(Profile::needs_reference_pin);
    if makes_pin && !by_host && !on_card {
        source.error(0, "pin", "the product makes a PIN that neither the card nor the host would know");
    }
    let wanted = [
        (product.pin_verification != PinVerification::None, KeyUse::Pvk),
        (product.cvv2.is_some() || product.track1.is_some() || product.track2.is_some(), KeyUse::Cvk),
        (product.pin == PinPolicy::FromOrder, KeyUse::Pin),
    ];
    for (wanted, usage) in wanted {
        if wanted && !issuer.key_entries().iter().any(|k| k.key.usage == usage) {
            source.warning(0, "key", format!("the product needs a {usage} key, and keys.toml has none"));
        }
    }
}
