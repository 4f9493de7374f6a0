//! A card on its way through the phases, and how a phase collects jobs and scatters results.

use super::plan::Plan;
use super::prepared::RsaKeyCounts;
use super::rejection::Rejection;
use super::request::SensitiveText;
use crate::card::CardDate;
use crate::crypto::rsa::RsaPrivate;
use crate::error::{Error, Result};
use crate::issuer::oda::CertificateSerial;
use crate::issuer::{CardKeys, DigitValue, HeldPin};

/// What is known of a card so far.
pub(super) struct Card<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) pin: Option<HeldPin>,
    pub(super) pvv: Option<DigitValue>,
    pub(super) offset: Option<DigitValue>,
    pub(super) cvv1: Option<DigitValue>,
    pub(super) icvv: Option<DigitValue>,
    pub(super) cvv2: Option<DigitValue>,
    pub(super) encoded_name: Option<SensitiveText>,
    pub(super) icc_key: Option<RsaPrivate>,
    pub(super) pin_key: Option<RsaPrivate>,
    /// Where its RSA keys come from.
    pub(super) rsa_keys: RsaKeyCounts,
    /// Tag 9F2D.
    pub(super) pin_certificate: Option<Certified>,
    /// For each face of the plan, in its order.
    pub(super) faces: Vec<FaceData>,
    /// For each payment application and DGI that holds card keys, in the profile's order.
    pub(super) card_keys: Vec<CardKeys>,
    /// IVCVC3 of tracks 1 and 2.
    pub(super) ivcvc3: Option<([u8; 2], [u8; 2])>,
    /// The reference PIN under the transport key.
    pub(super) reference_pin: Option<Vec<u8>>,
    /// The mailer's PIN block under the mailer key.
    pub(super) mailer_block: Option<Vec<u8>>,
    /// The PIN block of the issuer return.
    pub(super) return_block: Option<Vec<u8>>,
    pub(super) serials: Vec<CertificateSerial>,
    /// The day on which the batch started.
    pub(super) today: CardDate,
}

/// Certificates of one application on one interface.
#[derive(Default)]
pub(super) struct FaceData {
    pub(super) icc: Option<Certified>,
    pub(super) ssad: Option<Vec<u8>>,
}

/// A certificate and the remainder of the key it certifies.
pub(super) struct Certified {
    pub(super) certificate: Vec<u8>,
    pub(super) remainder: Vec<u8>,
}

impl<'a> Card<'a> {
    pub(super) const fn new(plan: Plan<'a>, today: CardDate) -> Self {
        Self {
            plan,
            pin: None,
            pvv: None,
            offset: None,
            cvv1: None,
            icvv: None,
            cvv2: None,
            encoded_name: None,
            icc_key: None,
            pin_key: None,
            rsa_keys: RsaKeyCounts { ready: 0, fresh: 0 },
            pin_certificate: None,
            faces: Vec::new(),
            card_keys: Vec::new(),
            ivcvc3: None,
            reference_pin: None,
            mailer_block: None,
            return_block: None,
            serials: Vec::new(),
            today,
        }
    }
}

/// Every card of a slice: still good, or rejected.
pub(super) type Cards<'a> = Vec<std::result::Result<Card<'a>, Rejection>>;

/// The answers of a phase: for each card that asked, by its place, the values or why it is rejected.
pub(super) type Answers<T> = Vec<(usize, std::result::Result<Vec<T>, Rejection>)>;

/// Stops the batch or turns an error into a rejection that names the step.
pub(super) fn settle(step: &'static str, error: Error) -> Result<Rejection> {
    if error.stops_batch() {
        Err(error.at(step))
    } else {
        Ok(Rejection::internal(format!("{step}: {error}")))
    }
}

/// One phase: `jobs` picks what each good card asks for, `run` answers all of it at once, `put` takes each answer.
///
/// A card whose answer is an error is rejected; the others go on.
pub(super) fn phase<'c, 'a: 'c, J, T>(
    step: &'static str,
    cards: &'c Cards<'a>,
    jobs: impl Fn(&'c Card<'a>) -> Result<Vec<J>>,
    run: impl FnOnce(&[J]) -> Result<Vec<Result<T>>>,
) -> Result<Answers<T>> {
    let mut all = Vec::new();
    let mut counts = Vec::new();
    for (at, card) in cards.iter().enumerate() {
        let Ok(card) = card else { continue };
        match jobs(card) {
            Ok(more) if more.is_empty() => {}
            Ok(more) => {
                counts.push((at, Ok(more.len())));
                all.extend(more);
            }
            Err(e) => counts.push((at, Err(settle(step, e)?))),
        }
    }
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers =
        if all.is_empty() { Vec::new() } else { run(&all).map_err(|e| e.at(step))? }.into_iter();
    let mut out = Vec::with_capacity(counts.len());
    for (at, count) in counts {
        let answer = match count {
            Err(rejection) => Err(rejection),
            Ok(count) => {
                // Every answer is taken, so that the next card's stand at the front.
                let mine: Vec<Result<T>> = answers.by_ref().take(count).collect();
                if mine.len() == count {
                    match mine.into_iter().collect::<Result<Vec<T>>>() {
                        Ok(values) => Ok(values),
                        Err(e) => Err(settle(step, e)?),
                    }
                } else {
                    Err(Rejection::internal(format!("{step}: an answer is missing")))
                }
            }
        };
        out.push((at, answer));
    }
    Ok(out)
}

/// Puts the answers of a phase into their cards.
pub(super) fn scatter<T>(
    cards: &mut Cards<'_>,
    answers: Answers<T>,
    mut put: impl FnMut(&mut Card<'_>, Vec<T>),
) {
    for (at, answer) in answers {
        let Some(slot) = cards.get_mut(at) else { continue };
        match (slot.as_mut(), answer) {
            (Ok(card), Ok(values)) => put(card, values),
            (Ok(_), Err(rejection)) => *slot = Err(rejection),
            (Err(_), _) => {}
        }
    }
}
