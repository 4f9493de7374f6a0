use std::fmt;

macro_rules! check_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A check of one prepared card. The names are stable: reports and programs count by them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CheckName { $($(#[$doc])* $variant,)* }

        impl CheckName {
            /// Every check, in the order of a report.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

check_names! {
    /// The line is a prepared card: JSON, its members, hexadecimal in upper case.
    Form = "form",
    /// `maskedPan` shows the first six and last four digits of the card's PAN.
    MaskedPan = "masked-pan",
    /// The transport key's check value and algorithm are those of the key that is loaded.
    TransportKcv = "transport-kcv",
    /// DGI names, protection, and the inner form of each (EMV CPS, annex A).
    DgiGrammar = "dgi-grammar",
    /// Record DGIs: template 70, at most 254 bytes, BER-TLV (EMV 4.4 Book 3, 5.3).
    Records = "records",
    /// Application file locators: form, every record there, every record reached (Book 3, 10.2).
    Afl = "afl",
    /// Data that a terminal must find (Book 3, 7.2) and the form of single objects.
    MandatoryData = "mandatory-data",
    /// Data object lists: form, and mandatory members (Book 3, 5.4).
    Dol = "dol",
    /// The AIP's SDA, DDA, CDA and CVM bits against what is there (Book 3, C1).
    AipKeys = "aip-keys",
    /// SELECT responses: FCI template (Book 1, 11.3.4).
    Fci = "fci",
    /// PSE and PPSE name exactly the applications that are there (Book 1, 12.2; Book B).
    PpsePse = "ppse-pse",
    /// Issuer public key certificate (Book 2, 5.3 and 6.3).
    IssuerCertificate = "issuer-certificate",
    /// ICC public key certificate (Book 2, 6.4).
    IccCertificate = "icc-certificate",
    /// ICC PIN encipherment public key certificate (Book 2, 7.1).
    PinCertificate = "pin-certificate",
    /// Signed static application data (Book 2, 5.4).
    Ssad = "ssad",
    /// Static data to be authenticated: what the AFL signs (Book 2, 5.4; Book 3, 10.3).
    StaticData = "static-data",
    /// Private key parts under the transport key against the certified modulus.
    Crt = "crt",
    /// DGIs 9000 and 9001 against the keys of 8000 and 8001.
    Kcv = "kcv",
    /// The card's keys derived again from the issuer master keys (Book 2, A1.4).
    IccKeys = "icc-keys",
    /// DGIs 8010 and 9010: reference PIN block, PIN try counter and limit.
    ReferencePin = "reference-pin",
    /// The PIN of the mailer is the reference PIN.
    PinMailer = "pin-mailer",
    /// The PVV, derived again.
    Pvv = "pvv",
    /// CVM list against the reference PIN and the PIN encipherment key (Book 3, 10.5).
    CvmPin = "cvm-pin",
    /// Tracks of the stripe: characters, lengths, fields (ISO/IEC 7813).
    Tracks = "tracks",
    /// Stripe against chip: PAN, expiry, service code, name.
    StripeChip = "stripe-chip",
    /// Stripe against print: PAN, expiry, name.
    StripePrint = "stripe-print",
    /// Print against chip: PAN, expiry, name.
    PrintChip = "print-chip",
    /// Service code: digits of ISO/IEC 7813, 2 or 6 first when there is a chip, the same everywhere.
    ServiceCode = "service-code",
    /// Expiry dates: card, certificates, today.
    Expiry = "expiry",
    /// The stripe's CVV, derived again.
    Cvv = "cvv",
    /// The chip's CVV, derived again with service code 999.
    Icvv = "icvv",
    /// The printed CVV2, derived again with service code 000.
    Cvv2 = "cvv2",
    /// Personalization script against the DGIs.
    Script = "script",
    /// The issuer's return names this card: PSN, PVV, certificate serials.
    IssuerReturn = "issuer-return",
    /// Card, mailer and return are those of the order: the MAC of the record under the job's key.
    RecordMac = "record-mac",
    /// A transaction on the virtual card: SELECT, GPO, READ RECORD, dynamic signature, cryptogram.
    Transaction = "transaction",
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is right.
    Passed,
    /// Something is wrong; the text names the first thing, never a value of the card.
    Failed(&'static str),
    /// The card has nothing of the kind, or a key that the check needs is not given.
    NotApplicable,
}

/// Every check of one card with its outcome, in the order of [`CheckName::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardReport {
    /// The outcomes.
    pub checks: Vec<(CheckName, Outcome)>,
    /// Digests of the card's certified public keys: no two cards may share one.
    pub card_keys: Vec<u64>,
}

impl CardReport {
    /// Whether no check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed, with their reasons.
    pub fn failures(&self) -> impl Iterator<Item = (CheckName, &'static str)> + '_ {
        self.checks.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(reason) => Some((*name, *reason)),
            Outcome::Passed | Outcome::NotApplicable => None,
        })
    }

    /// The outcome of one check.
    #[must_use]
    pub fn outcome(&self, name: CheckName) -> Outcome {
        let found = self.checks.iter().find(|(n, _)| *n == name);
        found.map_or(Outcome::NotApplicable, |(_, outcome)| *outcome)
    }
}

/// Collects outcomes while a card is checked: the first failure of a check stays.
pub(super) struct Findings {
    outcomes: Vec<Outcome>,
    pub(super) card_keys: Vec<u64>,
}

impl Findings {
    pub(super) fn new() -> Self {
        Self { outcomes: vec![Outcome::NotApplicable; CheckName::ALL.len()], card_keys: Vec::new() }
    }

    fn slot(&mut self, name: CheckName) -> Option<&mut Outcome> {
        let at = CheckName::ALL.iter().position(|n| *n == name)?;
        self.outcomes.get_mut(at)
    }

    /// The check ran and found nothing wrong so far.
    pub(super) fn pass(&mut self, name: CheckName) {
        if let Some(slot @ Outcome::NotApplicable) = self.slot(name) {
            *slot = Outcome::Passed;
        }
    }

    pub(super) fn fail(&mut self, name: CheckName, reason: &'static str) {
        match self.slot(name) {
            Some(Outcome::Failed(_)) | None => {}
            Some(slot) => *slot = Outcome::Failed(reason),
        }
    }

    /// Passes or fails by a condition; says which.
    pub(super) fn require(&mut self, name: CheckName, good: bool, reason: &'static str) -> bool {
        if good {
            self.pass(name);
        } else {
            self.fail(name, reason);
        }
        good
    }

    /// Passes or fails by a result of a step whose error is the reason.
    pub(super) fn take<T>(&mut self, name: CheckName, result: Result<T, &'static str>) -> Option<T> {
        match result {
            Ok(value) => {
                self.pass(name);
                Some(value)
            }
            Err(reason) => {
                self.fail(name, reason);
                None
            }
        }
    }

    pub(super) fn report(self) -> CardReport {
        let checks = CheckName::ALL.iter().copied().zip(self.outcomes).collect();
        CardReport { checks, card_keys: self.card_keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_and_nothing_passes_after_it() {
        let mut f = Findings::new();
        f.pass(CheckName::Afl);
        f.fail(CheckName::Afl, "first");
        f.fail(CheckName::Afl, "second");
        f.pass(CheckName::Afl);
        let report = f.report();
        assert_eq!(report.outcome(CheckName::Afl), Outcome::Failed("first"));
        assert_eq!(report.outcome(CheckName::Pvv), Outcome::NotApplicable);
        assert_eq!(report.failures().count(), 1);
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = CheckName::ALL.iter().map(|n| n.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CheckName::ALL.len());
    }
}
