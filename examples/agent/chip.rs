//! The chip that stands in for a real one: the virtual card of `verify`, with the test keys that everybody knows.

use emv_dataprep::bytes::from_hex;
use emv_dataprep::error::Result;
use emv_dataprep::secret::Secret;
use emv_dataprep::verify::card_os::{
    CardConfig, CounterRule, Diversification, Protocol, StaticKeys, VirtualCard,
};

/// KMC of the test chip: GlobalPlatform's published default key. A real station loads its KMC as a key block.
pub(crate) const TEST_KMC: &str = "404142434445464748494A4B4C4D4E4F";

/// Which secure channel the test chip speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ChipKind {
    /// SCP02, i = 15; TDES keys by the diversification of EMV CPS
    Scp02,
    /// SCP03, i = 70; AES-128 keys by KDF3
    Scp03,
}

/// A chip as its maker delivers it; with these instances already there.
pub(crate) fn test_chip(kind: ChipKind, instances: Vec<Vec<u8>>) -> Result<VirtualCard> {
    let master = Secret::new(from_hex(TEST_KMC)?);
    let (protocol, method) = match kind {
        ChipKind::Scp02 => (Protocol::Scp02 { i: 0x15 }, Diversification::Emv),
        ChipKind::Scp03 => {
            (Protocol::Scp03 { i: 0x70, counter: CounterRule::EveryCommand }, Diversification::Kdf3)
        }
    };
    let mut config = CardConfig::new(protocol, StaticKeys::same(&master));
    config.keys = StaticKeys::derive(&master, method, &config.keydata)?;
    config.instances = instances;
    VirtualCard::new(config)
}
