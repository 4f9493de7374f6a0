use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::bytes::hex_upper;
use crate::card::{CardDate, CardId};
use crate::crypto::backend::Backend;
use crate::crypto::hash::sha256;
use crate::crypto::rng::Seed;
use crate::crypto::rsa::PrimeTagKey;
use crate::error::{Error, ErrorKind, Result};
use crate::issuer::SecurityModule;
use crate::keys::{KeyRef, KeySource};
use crate::order::{EnvelopeOpener, RawOrder, parse_order};
use crate::output::{PoolCounts, RecordMacKey, card_line_with, mailer_line_with, return_line_with};
use crate::prepare::{
    CardRequest, CarriedNames, Context, FirstSerial, PreparedCard, Rejection, RsaKeySupply, Scripts,
    TransportKeys, prepare_batch,
};
use crate::profile::{DestinationId, Issuer};
use crate::store::ledger::{Again, Claim, Tag};

use super::pipeline::{BlockNumber, Head, Made, Pipeline};

/// The pipeline of a batch: orders read by [`crate::order`], prepared by [`crate::prepare`], written by
/// [`crate::output`].
#[derive(Clone, Copy)]
pub struct Cards<'a> {
    /// The issuer's configuration.
    pub issuer: &'a Issuer,
    /// Asked to work with keys.
    pub module: &'a dyn SecurityModule,
    /// Opens `encryptedData`.
    pub opener: &'a (dyn EnvelopeOpener + Sync),
    /// The day on which the batch started.
    pub today: CardDate,
    /// Which kernels work.
    pub backend: Backend,
    /// Whether personalization scripts are built.
    pub scripts: Scripts,
    /// Ready RSA keys.
    pub supply: Option<&'a dyn RsaKeySupply>,
    /// Where the issuer return goes.
    pub home: &'a DestinationId,
    /// Where the serial numbers of certificates begin.
    pub first_serial: FirstSerial,
    /// Makes the tags by which shared primes are found.
    pub prime_tags: Option<&'a PrimeTagKey>,
    /// Who makes the ledger's tags.
    pub tags: Option<LedgerTags<'a>>,
    /// Makes the MACs of the records, when the job has a data key.
    pub macs: Option<&'a RecordMacKey>,
}

/// Makes the keyed tags of the ledger.
#[derive(Clone, Copy)]
pub struct LedgerTags<'a> {
    /// Works with the key.
    pub source: &'a (dyn KeySource + Sync),
    /// The key, of use `ledger`.
    pub key: KeyRef,
    /// Ids of `services.issuance` that make a card again.
    pub reissue: &'a BTreeSet<String>,
}

impl LedgerTags<'_> {
    fn claim(&self, request: &CardRequest) -> Result<Claim> {
        let data = &request.data;
        let (pan, expiry) = (data.pan.to_text(), Zeroizing::new(data.expiry.yymm()));
        let psn = [data.psn.unwrap_or_default().bcd()];
        // Put together at once: a vector that grows leaves bytes behind.
        let parts = [b"emv-dataprep/ledger/card/1\0", pan.as_bytes(), b"/", expiry.as_bytes(), &psn];
        let card = Zeroizing::new(parts.concat());
        let said = request.said();
        let content = Zeroizing::new([b"emv-dataprep/ledger/content/1\0", said.as_slice()].concat());
        let id = request.issuer_request_id.as_ref();
        let id = id.map(|id| [b"emv-dataprep/ledger/request/1\0", id.as_str().as_bytes()].concat());
        let mut messages: Vec<&[u8]> = vec![&card, &content];
        messages.extend(id.as_deref());
        let tags = self.source.hmac_sha256(self.key, &messages)?;
        let tag = |at: usize| -> Option<Tag> { tags.get(at)?.first_chunk().copied() };
        let missing = || Error::new(ErrorKind::Internal("a tag of the ledger is missing"));
        let again = self.reissue.contains(&request.services.issuance);
        Ok(Claim {
            position: request.position,
            request: tag(2),
            content: tag(1).ok_or_else(missing)?,
            card: tag(0).ok_or_else(missing)?,
            again: if again { Again::Allowed } else { Again::Refused },
        })
    }
}

impl std::fmt::Debug for Cards<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cards").field("issuer", &self.issuer.id()).finish_non_exhaustive()
    }
}

impl Pipeline for Cards<'_> {
    type Request = CardRequest;
    type Block = TransportKeys;

    fn parse(&self, order: &RawOrder) -> (Head, Result<CardRequest, Rejection>) {
        match parse_order(self.issuer, self.opener, order, self.today) {
            Ok(request) => {
                let head = Head {
                    position: request.position,
                    card_id: Some(request.card_id.clone()),
                    issuer_request_id: request.issuer_request_id.clone(),
                    channel: Some(request.channel),
                    destination: Some(request.destination.clone()),
                };
                (head, Ok(request))
            }
            Err(refused) => {
                let head = Head {
                    position: refused.position,
                    card_id: refused.card_id,
                    issuer_request_id: refused.issuer_request_id,
                    channel: refused.channel,
                    destination: refused.destination,
                };
                (head, Err(refused.rejection))
            }
        }
    }

    fn carrier_place(&self, request: &CardRequest) -> Option<CardId> {
        let carrier = request.carrier.as_ref()?;
        let (id, place) = (carrier.multi_card_id.as_ref()?, carrier.multi_card_order?);
        let digest = sha256(&[b"carrier place", &[place], id.as_bytes()]);
        hex_upper(digest.get(..24)?).parse().ok()
    }

    fn claim(&self, request: &CardRequest) -> Result<Option<Claim>> {
        self.tags.map(|tags| tags.claim(request)).transpose()
    }

    fn begin(&self, seed: &Seed, block: BlockNumber) -> Result<TransportKeys> {
        TransportKeys::for_block(self.issuer, self.module, seed, block.0)
    }

    fn prepare(
        &self,
        seed: &Seed,
        block: &TransportKeys,
        requests: &[CardRequest],
    ) -> Result<Vec<Result<Made, Rejection>>> {
        let context = Context {
            issuer: self.issuer,
            module: self.module,
            seed,
            today: self.today,
            backend: self.backend,
            transport_keys: block,
            scripts: self.scripts,
            supply: self.supply,
            first_serial: self.first_serial,
            prime_tags: self.prime_tags,
        };
        let cards = prepare_batch(&context, requests)?;
        let lines = |(card, request): (Result<PreparedCard, Rejection>, &CardRequest)| match card {
            Ok(card) => self.lines(card, request).map(Ok),
            Err(rejection) => Ok(Err(rejection)),
        };
        cards.into_iter().zip(requests).map(lines).collect()
    }

    fn issuer_return(&self) -> &DestinationId {
        self.home
    }
}

impl Cards<'_> {
    fn lines(&self, card: PreparedCard, request: &CardRequest) -> Result<Made> {
        // From the order, never from what was prepared: this is what shows that the card is the order's.
        let names = || {
            CarriedNames::of(self.issuer, request)
                .ok_or_else(|| Error::new(ErrorKind::Internal("a card of no product")))
        };
        let macs = match self.macs {
            None => None,
            Some(key) => Some(key.macs(request, &names()?)),
        };
        let mailer = match &card.mailer {
            None => None,
            Some(mailer) => {
                let to = self.issuer.pin_mailer();
                let to =
                    to.ok_or_else(|| Error::new(ErrorKind::Internal("a PIN mailer without a destination")))?;
                Some((to.id.clone(), mailer_line_with(mailer, macs.map(|m| m.mailer))))
            }
        };
        Ok(Made {
            channel: card.channel,
            destination: card.destination.clone(),
            profile: card.profile.clone(),
            card: card_line_with(&card, macs.map(|m| m.card)),
            mailer,
            issuer_return: return_line_with(
                &card.issuer_return,
                &request.data,
                macs.map(|m| m.issuer_return),
            ),
            pool: PoolCounts { used: card.rsa_keys.ready, fresh: card.rsa_keys.fresh },
            rsa: card.rsa_traces,
        })
    }
}
