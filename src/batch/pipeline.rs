use std::fmt;

use zeroize::Zeroizing;

use crate::card::{CardId, IssuerRequestId};
use crate::crypto::rng::Seed;
use crate::error::Result;
use crate::order::RawOrder;
use crate::output::{PoolCounts, Verification};
use crate::prepare::{Rejection, RsaTrace};
use crate::profile::{Channel, DestinationId};
use crate::store::ledger::Claim;

/// Number of a block of positions: 0 for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(pub u64);

impl fmt::Display for BlockNumber {
    /// Six digits or more, as in file names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Who an order is for, as far as it could be read.
#[derive(Clone, Debug)]
pub struct Head {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// `cardId`, if there is a good one.
    pub card_id: Option<CardId>,
    /// `issuerRequestId`, if there is a good one.
    pub issuer_request_id: Option<IssuerRequestId>,
    /// The channel, if it is known.
    pub channel: Option<Channel>,
    /// The destination, if it is known.
    pub destination: Option<DestinationId>,
}

/// The lines of one prepared card, without line ends. Wiped when they go.
pub struct Made {
    /// Its channel.
    pub channel: Channel,
    /// Where the card goes.
    pub destination: DestinationId,
    /// Id of its profile.
    pub profile: String,
    /// The card.
    pub card: Zeroizing<Vec<u8>>,
    /// Its PIN mailer and where that goes.
    pub mailer: Option<(DestinationId, Zeroizing<Vec<u8>>)>,
    /// What the issuer's host gets.
    pub issuer_return: Zeroizing<Vec<u8>>,
    /// Where the card's RSA keys come from.
    pub pool: PoolCounts,
    /// What is kept of its RSA keys to find shared primes.
    pub rsa: Vec<RsaTrace>,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Made({}, {} bytes)", self.destination, self.card.len())
    }
}

/// What a batch asks of the library: pure steps, called from many threads.
pub trait Pipeline: Sync {
    /// An order that was read and is right.
    type Request: Send + Sync;
    /// What is made once for a block: its transport keys.
    type Block: Send + Sync;

    /// Reads one order.
    fn parse(&self, order: &RawOrder) -> (Head, Result<Self::Request, Rejection>);

    /// The place on a shared card carrier that an order takes (`multiCardId` and `multiCardOrder`), in the form of an id.
    fn carrier_place(&self, request: &Self::Request) -> Option<CardId> {
        let _ = request;
        None
    }

    /// What the ledger is asked about an order.
    ///
    /// # Errors
    /// Whatever stops the batch.
    fn claim(&self, request: &Self::Request) -> Result<Option<Claim>> {
        let _ = request;
        Ok(None)
    }

    /// Makes what a block needs once.
    ///
    /// # Errors
    /// Whatever stops the batch.
    fn begin(&self, seed: &Seed, block: BlockNumber) -> Result<Self::Block>;

    /// Prepares a chunk of one block: one result for each request, in order.
    ///
    /// # Errors
    /// Whatever stops the batch (a lost token); what is wrong with one card stands in its own result.
    fn prepare(
        &self,
        seed: &Seed,
        block: &Self::Block,
        requests: &[Self::Request],
    ) -> Result<Vec<Result<Made, Rejection>>>;

    /// What a second witness found on the cards that were prepared for this block; none when nobody looks.
    fn verification(&self, block: &Self::Block) -> Option<Verification> {
        let _ = block;
        None
    }

    /// Where the issuer return goes.
    fn issuer_return(&self) -> &DestinationId;
}
