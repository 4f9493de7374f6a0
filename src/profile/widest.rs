//! The widest card of a profile: values of full length, to lay everything out once when the profile is loaded.

use zeroize::Zeroizing;

use super::card_profile::Profile;
use super::oda_file::OdaKey;
use super::value::{CardSource, CardValues};
use crate::error::Result;

/// Values of the greatest lengths that a card of this profile can have with one issuer key.
pub(super) struct Widest {
    pub(super) ca_len: usize,
    pub(super) issuer_len: usize,
    pub(super) icc_len: usize,
    pub(super) icc_exponent: usize,
    pub(super) pin_len: usize,
    pub(super) pin_exponent: usize,
    pub(super) has_oda: bool,
    pub(super) has_dac: bool,
    pub(super) has_magstripe_mode: bool,
}

impl Widest {
    pub(super) fn of(profile: &Profile, key: Option<&OdaKey>) -> Self {
        let exponent = |e: u32| if e == 3 { 1 } else { 3 };
        let oda = profile.oda.clone().unwrap_or_default();
        Self {
            ca_len: key.map_or(0, OdaKey::ca_modulus_len),
            issuer_len: key.map_or(0, OdaKey::modulus_len),
            icc_len: oda.icc_key.map_or(0, |k| k.bits / 8),
            icc_exponent: oda.icc_key.map_or(0, |k| exponent(k.exponent)),
            pin_len: oda.pin_key.map_or(0, |k| k.bits / 8),
            pin_exponent: oda.pin_key.map_or(0, |k| exponent(k.exponent)),
            has_oda: profile.oda.is_some(),
            has_dac: oda.dac.is_some(),
            has_magstripe_mode: profile.payment().any(|(_, p)| p.magstripe_mode.is_some()),
        }
    }
}

impl CardValues for Widest {
    fn card_value(&self, source: CardSource) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let remainder = |len: usize, signer: usize, overhead: usize| {
            let left = len.saturating_sub(signer.saturating_sub(overhead));
            (left > 0).then_some(left)
        };
        // What the profile does not make, no card has.
        let made = match source {
            CardSource::CaKeyIndex | CardSource::IssuerCertificate | CardSource::IssuerExponent => {
                self.has_oda
            }
            CardSource::SignedStaticData => self.has_dac,
            CardSource::IccCertificate | CardSource::IccExponent => self.icc_len > 0,
            CardSource::PinCertificate | CardSource::PinExponent => self.pin_len > 0,
            CardSource::ContactlessTrack1
            | CardSource::ContactlessTrack2
            | CardSource::IvCvc3Track1
            | CardSource::IvCvc3Track2 => self.has_magstripe_mode,
            _ => true,
        };
        if !made {
            return Ok(None);
        }
        let len = match source {
            CardSource::Pan => Some(10),
            CardSource::ExpirationDate | CardSource::EffectiveDate => Some(3),
            CardSource::SequenceNumber | CardSource::CaKeyIndex => Some(1),
            CardSource::Name => Some(26),
            CardSource::ServiceCode | CardSource::IvCvc3Track1 | CardSource::IvCvc3Track2 => Some(2),
            CardSource::Track2Equivalent | CardSource::ContactlessTrack2 => Some(19),
            CardSource::Track1Discretionary => Some(24),
            CardSource::Track2Discretionary => Some(8),
            CardSource::PaymentAccountReference => Some(29),
            CardSource::IssuerCertificate => Some(self.ca_len),
            CardSource::IssuerRemainder => remainder(self.issuer_len, self.ca_len, 36),
            CardSource::IssuerExponent => Some(3),
            CardSource::SignedStaticData | CardSource::IccCertificate | CardSource::PinCertificate => {
                Some(self.issuer_len)
            }
            CardSource::IccExponent => Some(self.icc_exponent),
            CardSource::IccRemainder => remainder(self.icc_len, self.issuer_len, 42),
            CardSource::PinExponent => Some(self.pin_exponent),
            CardSource::PinRemainder => remainder(self.pin_len, self.issuer_len, 42),
            CardSource::ContactlessTrack1 => Some(76),
            CardSource::Aip | CardSource::Afl => None,
        };
        Ok(len.map(|n| Zeroizing::new(vec![0x30; n])))
    }

    fn dki(&self) -> u8 {
        0
    }
}
