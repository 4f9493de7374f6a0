//! What the issuer directory tells the witness: keys, and facts of products and profiles.

use std::collections::BTreeMap;

use emv_dataprep::batch::{JobKey, Layout};
use emv_dataprep::card::CardDate;
use emv_dataprep::crypto::backend::Backend;
use emv_dataprep::issuer::DerivationOption;
use emv_dataprep::keys::{CvvKind, KeyUse, SoftwareRing, tr31};
use emv_dataprep::profile::{DgiContent, Discretionary, ExpiryOrder, Part};
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::{self, CaPublicKey, CardContext, CardLine, Derivation, Keys, Outcome};

use crate::failure::Failure;
use crate::issuer_dir::IssuerDir;
use crate::prepare::Start;
use crate::terminal;

pub struct Facts<'a> {
    dir: &'a IssuerDir,
    today: CardDate,
    /// Transport keys by index: they wrap the keys of single blocks.
    wrapping: BTreeMap<u8, Secret>,
    pub keys: Keys,
    /// Whether the data key of the job opened.
    pub job: Outcome,
}

/// The data key of a job, for the check of its records: none when the job has none, or when this issuer's protection
/// key is not at hand.
///
/// Of the issuer's keys the one of use `job` is opened that `job.key` names, and no other: also in production, where
/// verification has no other secret key.
fn job_key(dir: &IssuerDir, layout: &Layout) -> Result<(Option<JobKey>, Outcome), Failure> {
    let closed = || (None, Outcome::NotApplicable);
    let Ok(text) = std::fs::read(layout.file(Layout::KEY)) else { return Ok(closed()) };
    // A file that was changed is a finding, as with every other file.
    let damaged = || (None, Outcome::Failed("the key of the job does not open"));
    let Ok(name) = JobKey::wrapped_under(&text) else { return Ok(damaged()) };
    let Some(entry) = dir.issuer.key_entries().iter().find(|e| e.key == name) else {
        terminal::say(&format!("keys.toml has no key {name}: {} stays closed, no record-mac", Layout::KEY));
        return Ok(closed());
    };
    let kbpk = match dir.kbpk() {
        Ok(kbpk) => kbpk,
        Err(failure) if dir.is_test() => return Err(failure),
        Err(_) => {
            let file = Layout::KEY;
            terminal::say(&format!("the protection key is not at hand: {file} stays closed, no record-mac"));
            return Ok(closed());
        }
    };
    let mut ring = SoftwareRing::new(Backend::Portable);
    ring.load(&kbpk, entry).map_err(|e| Failure::refused(format!("keys.toml: {e}")))?;
    Ok(match JobKey::open(&ring, &text) {
        Ok(key) => (Some(key), Outcome::Passed),
        Err(_) => damaged(),
    })
}

impl<'a> Facts<'a> {
    /// For a batch that was started at this time. Keys of a test issuer are unwrapped; of any other only the public ones
    /// are used, and the key of the job.
    pub fn new(dir: &'a IssuerDir, started: &str, layout: &Layout) -> Result<Self, Failure> {
        let mut keys = Keys::default();
        let mut wrapping = BTreeMap::new();
        if dir.is_test() {
            let kbpk = dir.kbpk()?;
            for entry in dir.issuer.key_entries() {
                let (_, key) = tr31::unwrap(&kbpk, &entry.block)
                    .map_err(|e| Failure::refused(format!("keys.toml: {}: {e}", entry.key)))?;
                let only = match entry.key.only {
                    None => "",
                    Some(CvvKind::Cvv1) => ":cvv1",
                    Some(CvvKind::Icvv) => ":icvv",
                    Some(CvvKind::Cvv2) => ":cvv2",
                };
                if entry.key.usage == KeyUse::Transport {
                    wrapping.insert(entry.key.index.0, key.duplicate());
                }
                keys.add(&format!("{}{only}", entry.key.usage), entry.key.index.0, key);
                if let Some(pvki) = entry.attributes.pvki {
                    keys.set_pvki(entry.key.index.0, pvki);
                }
            }
        }
        for certificate in dir.issuer.oda_keys().flat_map(|oda| &oda.certificates) {
            let ca = &certificate.ca;
            keys.add_ca(CaPublicKey {
                rid: ca.rid().0,
                index: ca.index().0,
                modulus: ca.key().modulus().to_vec(),
                exponent: ca.key().exponent().to_vec(),
                checksum: Some(ca.checksum()),
                expires: None,
            });
        }
        let (key, job) = job_key(dir, layout)?;
        if let Some(key) = key {
            keys.set_job(key.secret().duplicate());
        }
        Ok(Self { job, dir, today: Start::read(started)?.today, wrapping, keys })
    }

    /// What the card's product and profile say.
    pub fn context(&self, card: &CardLine) -> CardContext {
        let mut context = CardContext { today: Some(self.today), ..CardContext::default() };
        context.transport_key = card.transport_key.as_ref().and_then(|name| {
            let (_, key) = tr31::unwrap(self.wrapping.get(&name.index)?, name.wrapped.as_deref()?).ok()?;
            Some(key)
        });
        if let Some(profile) = self.dir.issuer.profile(&card.profile) {
            context.derivation = Some(match profile.derivation {
                DerivationOption::A => Derivation::OptionA,
                DerivationOption::B => Derivation::OptionB,
                DerivationOption::C => Derivation::OptionC,
            });
            for dgi in profile.payment().flat_map(|(_, payment)| &payment.dgis) {
                if let DgiContent::CardKeys(uses) = &dgi.content {
                    let uses = uses.iter().map(ToString::to_string).collect();
                    context.card_keys.insert(dgi.dgi.0, uses);
                }
            }
        }
        if let Some(product) = self.dir.issuer.product(&card.product) {
            context.cvv2_order = product.cvv2.map(|order| match order {
                ExpiryOrder::Yymm => verify::ExpiryOrder::Yymm,
                ExpiryOrder::Mmyy => verify::ExpiryOrder::Mmyy,
            });
            context.service_code = Some(product.service_code.to_string());
            context.track1_pattern = product.track1.as_ref().map(pattern);
            context.track2_pattern = product.track2.as_ref().map(pattern);
            context.chip_track2_pattern = product.track2.as_ref().map(pattern);
        }
        context
    }
}

/// The pattern as `products/*.toml` writes it.
fn pattern(discretionary: &Discretionary) -> String {
    let parts = discretionary.parts().iter().map(|part| match part {
        Part::Digits(digits) => digits.as_str(),
        Part::Cvv => "cvv",
        Part::Pvv => "pvv",
        Part::Pvki => "pvki",
    });
    parts.collect::<Vec<_>>().join("|")
}
