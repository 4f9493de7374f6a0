//! Keys of each card: ICC master keys under the transport key, IVCVC3, RSA keys.

use zeroize::Zeroizing;

use super::context::Context;
use super::rejection::Rejection;
use super::track;
use super::work::{Card, Cards, scatter, settle};
use crate::crypto::rng::{CardStream, Purpose};
use crate::crypto::rsa::{self, KeySpec, RsaPrivate};
use crate::error::{ErrorKind, Result};
use crate::issuer::{CardKeysJob, IvCvc3Job};
use crate::keys::{KeyRef, KeyUse};
use crate::profile::DgiContent;

/// ICC master keys of every DGI that holds some, derived and enciphered in one call for the slice.
pub(super) fn master_keys(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    // The names of the master keys live as long as the jobs that point at them.
    let names: Vec<Vec<Vec<KeyRef>>> =
        cards.iter().map(|c| c.as_ref().map_or_else(|_| Vec::new(), key_names)).collect();
    let mut jobs = Vec::new();
    let mut counts = Vec::new();
    for (at, (card, names)) in cards.iter().zip(&names).enumerate() {
        let Ok(card) = card else { continue };
        for masters in names {
            jobs.push(CardKeysJob {
                masters,
                option: card.plan.profile.derivation,
                pan: &card.plan.request.data.pan,
                psn: card.plan.request.data.psn.unwrap_or_default(),
                transport: card.plan.transport,
                mode: card.plan.mode,
            });
        }
        counts.push((at, names.len()));
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let mut answers = context.module.card_keys(&jobs).map_err(|e| e.at("ICC master keys"))?.into_iter();
    let mut results = Vec::with_capacity(counts.len());
    for (at, count) in counts {
        let mine: Vec<_> = answers.by_ref().take(count).collect();
        let result = match mine.into_iter().collect::<Result<Vec<_>>>() {
            Ok(keys) if keys.len() == count => Ok(keys),
            Ok(_) => Err(Rejection::internal("ICC master keys: an answer is missing")),
            Err(e) => Err(settle("ICC master keys", e)?),
        };
        results.push((at, result));
    }
    scatter(cards, results, |card, keys| card.card_keys = keys);
    Ok(())
}

fn key_names(card: &Card<'_>) -> Vec<Vec<KeyRef>> {
    let Some(index) = card.plan.derivation else { return Vec::new() };
    card.plan
        .profile
        .payment()
        .flat_map(|(_, p)| &p.dgis)
        .filter_map(|d| match &d.content {
            DgiContent::CardKeys(uses) => Some(uses.iter().map(|u| KeyRef::new(*u, index)).collect()),
            _ => None,
        })
        .collect()
}

/// IVCVC3 of both tracks, for profiles with contactless magnetic-stripe mode.
pub(super) fn ivcvc3(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    let tracks: Vec<Option<ContactlessTracks>> =
        cards.iter().map(|c| c.as_ref().ok().and_then(contactless_tracks)).collect();
    let mut jobs = Vec::new();
    let mut whose = Vec::new();
    for (at, (card, tracks)) in cards.iter().zip(&tracks).enumerate() {
        let (Ok(card), Some((track1, track2))) = (card, tracks) else { continue };
        let Some(index) = card.plan.derivation else { continue };
        if !card.plan.profile.master_keys().contains(&KeyUse::ImkCvc3) {
            continue;
        }
        for track in [track1, track2] {
            jobs.push(IvCvc3Job {
                master: KeyRef::new(KeyUse::ImkCvc3, index),
                option: card.plan.profile.derivation,
                pan: &card.plan.request.data.pan,
                psn: card.plan.request.data.psn.unwrap_or_default(),
                track,
            });
        }
        whose.push(at);
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let mut answers = context.module.ivcvc3(&jobs).map_err(|e| e.at("IVCVC3"))?.into_iter();
    let mut results = Vec::with_capacity(whose.len());
    for at in whose {
        let result = match (answers.next(), answers.next()) {
            (Some(Ok(one)), Some(Ok(two))) => Ok(vec![one, two]),
            (Some(Err(e)), _) | (_, Some(Err(e))) => Err(settle("IVCVC3", e)?),
            _ => Err(Rejection::internal("IVCVC3: an answer is missing")),
        };
        results.push((at, result));
    }
    scatter(cards, results, |card, values| {
        if let [one, two] = values.as_slice() {
            card.ivcvc3 = Some((*one, *two));
        }
    });
    Ok(())
}

/// Track 1 data and track 2 data.
type ContactlessTracks = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Track 1 data (tag 56) and track 2 data (tag 9F6B) of contactless magnetic-stripe mode, dynamic positions at zero.
pub(super) fn contactless_tracks(card: &Card<'_>) -> Option<ContactlessTracks> {
    let data = &card.plan.request.data;
    let mode = card.plan.profile.payment().find_map(|(_, p)| p.magstripe_mode.as_ref());
    let (track1, track2) = mode?;
    // No name on the contactless interface: a surname's separator alone stands for "not supplied".
    let track1 = track::track1(data, card.plan.product, " /", track1);
    let track2 = track::track2_equivalent(data, card.plan.product, track2);
    Some((Zeroizing::new(track1.expose().as_bytes().to_vec()), Zeroizing::new(track2)))
}

/// A fresh RSA key for each card that needs one, or a ready one from the supply.
pub(super) fn rsa_keys(context: &Context<'_>, cards: &mut Cards<'_>) -> Result<()> {
    for purpose in [Purpose::IccKey, Purpose::PinEncipherKey] {
        let mut streams: Vec<(usize, KeySpec, CardStream)> = Vec::new();
        for (at, card) in cards.iter_mut().enumerate() {
            let Ok(card) = card else { continue };
            let spec = match purpose {
                Purpose::IccKey => card.plan.icc_key(),
                _ => card.plan.pin_key(),
            };
            let Some(spec) = spec else { continue };
            let request = card.plan.request;
            match context.supply.and_then(|s| s.take(request.position, purpose, spec)) {
                Some(key) => {
                    card.rsa_keys.ready = card.rsa_keys.ready.saturating_add(1);
                    put(card, purpose, key);
                }
                None => {
                    streams.push((
                        at,
                        spec,
                        context.seed.card_stream(request.position, &request.card_id, purpose),
                    ));
                }
            }
        }
        let jobs: Vec<(KeySpec, &CardStream)> =
            streams.iter().map(|(_, spec, stream)| (*spec, stream)).collect();
        let made = if jobs.is_empty() { Vec::new() } else { rsa::generate_batch(context.backend, &jobs) };
        if made.len() != streams.len() {
            return Err(ErrorKind::Internal("key generation lost a key").into());
        }
        for ((at, ..), key) in streams.into_iter().zip(made) {
            let Some(slot) = cards.get_mut(at) else { continue };
            match (slot.as_mut(), key) {
                (Ok(card), Ok(key)) => {
                    card.rsa_keys.fresh = card.rsa_keys.fresh.saturating_add(1);
                    put(card, purpose, key);
                }
                (Ok(_), Err(e)) => *slot = Err(settle("RSA key", e)?),
                (Err(_), _) => {}
            }
        }
    }
    Ok(())
}

fn put(card: &mut Card<'_>, purpose: Purpose, key: RsaPrivate) {
    match purpose {
        Purpose::IccKey => card.icc_key = Some(key),
        _ => card.pin_key = Some(key),
    }
}
