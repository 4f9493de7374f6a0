use std::fmt;

use zeroize::Zeroizing;

use crate::card::{Pan, Pin, Psn, ServiceCode};
use crate::crypto::rng::{CardStream, StreamRng};
use crate::error::Result;
use crate::keys::{KeyAlgorithm, KeyIndex, KeyInfo, KeyRef, OdaKeyInfo};
use crate::secret::Secret;

/// How an ICC master key comes from an issuer master key (EMV 4.4 Book 2, A1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DerivationOption {
    /// TDES, rightmost 16 digits of PAN ‖ PSN (A1.4.1).
    A,
    /// TDES, SHA-1 decimalised for PANs of more than 16 digits, else as A (A1.4.2).
    B,
    /// AES (A1.4.3).
    C,
}

/// How a secret DGI value is enciphered under the transport key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtectMode {
    /// Each block on its own (TDES: CPS CMODE 11).
    Ecb,
    /// CBC, all-zero IV (TDES: CPS CMODE 10).
    Cbc,
}

/// ISO 9564-1 PIN block formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinBlockFormat {
    /// Format 0: bound to the PAN, TDES.
    Iso0,
    /// Format 1: random fill, TDES.
    Iso1,
    /// Format 2: on the card (reference PIN, VERIFY).
    Iso2,
    /// Format 3: bound to the PAN, random fill A to F, TDES.
    Iso3,
    /// Format 4: bound to the PAN, AES.
    Iso4,
}

/// A short decimal result (CVV, PVV, offset): digits 0 to 9. Redacted, compared in constant time, wiped when dropped.
#[derive(Clone)]
pub struct DigitValue(Zeroizing<Vec<u8>>);

impl PartialEq for DigitValue {
    /// Constant time in the digits; their number is not secret.
    fn eq(&self, other: &Self) -> bool {
        crate::crypto::mac::equal(&self.0, &other.0)
    }
}

impl Eq for DigitValue {}

impl DigitValue {
    /// From values 0 to 9.
    #[must_use]
    pub fn new(digits: Vec<u8>) -> Self {
        Self(Zeroizing::new(digits))
    }

    /// The digits, values 0 to 9. Every call is a place to review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The digits as ASCII text, wiped when dropped.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len()));
        for d in self.0.iter() {
            text.push(char::from(b'0'.wrapping_add(*d)));
        }
        text
    }
}

impl fmt::Debug for DigitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigitValue(***)")
    }
}

/// A PIN in the keeping of a security module. `prepare` hands it around without being able to read it.
#[derive(Debug)]
pub struct HeldPin(pub(super) Pin);

impl HeldPin {
    /// How many digits the PIN has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A transport key: one that is loaded, or one made for this block.
#[derive(Debug)]
pub struct TransportKey {
    pub(super) key: TransportKeyKind,
    info: TransportKeyInfo,
}

#[derive(Debug)]
pub(super) enum TransportKeyKind {
    Static(KeyRef),
    PerBlock(Secret),
}

/// What a prepared card says of its transport key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportKeyInfo {
    /// Index of the static key, or of the key that wraps the per-block key.
    pub index: KeyIndex,
    /// Algorithm and length.
    pub algorithm: KeyAlgorithm,
    /// Key check value, upper-case hexadecimal.
    pub kcv: String,
    /// A per-block key's X9.143 block under the destination's key.
    pub wrapped: Option<String>,
}

impl TransportKey {
    pub(super) const fn new(key: TransportKeyKind, info: TransportKeyInfo) -> Self {
        Self { key, info }
    }

    /// What the prepared card says of it.
    #[must_use]
    pub const fn info(&self) -> &TransportKeyInfo {
        &self.info
    }
}

/// One CVV, iCVV or CVV2.
#[derive(Clone, Copy, Debug)]
pub struct CvvJob<'a> {
    /// A `cvk` key.
    pub key: KeyRef,
    /// The card.
    pub pan: &'a Pan,
    /// Four expiry digits in the order that enters the calculation.
    pub expiry: [u8; 4],
    /// Track's own, 999 (iCVV) or 000 (CVV2).
    pub service_code: ServiceCode,
}

/// One Visa PVV.
#[derive(Clone, Copy, Debug)]
pub struct PvvJob<'a> {
    /// A `pvk` key.
    pub key: KeyRef,
    /// PIN verification key index, one digit.
    pub pvki: u8,
    /// The card.
    pub pan: &'a Pan,
    /// The PIN.
    pub pin: &'a HeldPin,
}

/// IBM 3624: natural PIN or offset.
#[derive(Clone, Copy)]
pub struct NaturalPinJob<'a> {
    /// A `pvk` key.
    pub key: KeyRef,
    /// 8 bytes of validation data, made from the PAN as the product says.
    pub validation_data: [u8; 8],
    /// Sixteen decimal digits, one for each hexadecimal digit.
    pub decimalization: &'a [u8; 16],
    /// Digits of the PIN (4 to 12).
    pub pin_len: usize,
}

impl fmt::Debug for NaturalPinJob<'_> {
    /// Without the validation data, which are digits of the PAN.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NaturalPinJob({})", self.key)
    }
}

/// A PIN block under a key that is loaded, or under a transport key.
#[derive(Clone, Copy, Debug)]
pub struct PinBlockJob<'a> {
    /// Format; [`PinBlockFormat::Iso4`] takes an AES key, the others TDES.
    pub format: PinBlockFormat,
    /// The card; formats 1 and 2 ignore it.
    pub pan: &'a Pan,
    /// The PIN.
    pub pin: &'a HeldPin,
}

/// A PIN block that comes in.
#[derive(Clone, Copy, Debug)]
pub struct ImportPinJob<'a> {
    /// Its format.
    pub format: PinBlockFormat,
    /// The `pin` key that it is under.
    pub key: KeyRef,
    /// The enciphered block.
    pub block: &'a [u8],
    /// The card.
    pub pan: &'a Pan,
}

/// A PIN block that goes out under a loaded key.
#[derive(Debug)]
pub struct ExportPinJob<'a> {
    /// A `pin` or `mailer` key.
    pub key: KeyRef,
    /// What goes into the block.
    pub block: PinBlockJob<'a>,
    /// Where random fill comes from.
    pub fill: CardStream,
}

/// The reference PIN of one card under its transport key.
#[derive(Debug)]
pub struct ReferencePinJob<'a> {
    /// Under which key it leaves.
    pub transport: &'a TransportKey,
    /// How it is enciphered.
    pub mode: ProtectMode,
    /// What goes into the block.
    pub block: PinBlockJob<'a>,
    /// Where random fill comes from.
    pub fill: CardStream,
}

/// The ICC master keys of one DGI, derived and enciphered one after the other.
#[derive(Clone, Copy, Debug)]
pub struct CardKeysJob<'a> {
    /// Issuer master keys, in the order in which the DGI carries the card's keys.
    pub masters: &'a [KeyRef],
    /// How they are derived.
    pub option: DerivationOption,
    /// The card.
    pub pan: &'a Pan,
    /// Its sequence number.
    pub psn: Psn,
    /// Under which key the result leaves.
    pub transport: &'a TransportKey,
    /// How it is enciphered.
    pub mode: ProtectMode,
}

/// Result of a [`CardKeysJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardKeys {
    /// All keys of the job under the transport key.
    pub cryptogram: Vec<u8>,
    /// Three bytes for each key: TDES of zeros; AES keys: AES of sixteen bytes 01 (CPS 2.0).
    pub kcvs: Vec<[u8; 3]>,
}

/// IVCVC3 of one track (Mastercard contactless magnetic-stripe mode).
#[derive(Clone, Copy, Debug)]
pub struct IvCvc3Job<'a> {
    /// The `imk-cvc3` key.
    pub master: KeyRef,
    /// How the card's key is derived.
    pub option: DerivationOption,
    /// The card.
    pub pan: &'a Pan,
    /// Its sequence number.
    pub psn: Psn,
    /// The static track data that is authenticated.
    pub track: &'a [u8],
}

/// What a payment HSM offers: card cryptography on keys named by use and index, nothing secret in clear.
///
/// Slices are worked on as one batch; results stand in the order of the jobs, and one bad job fails alone. Every
/// method's outer error is a failure of the whole call (a lost token).
pub trait SecurityModule: Send + Sync {
    /// Which key source works below: for the manifest.
    fn source_name(&self) -> &'static str;

    /// What is known of a key.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::KeyUnknown`] if it is not loaded.
    fn key_info(&self, key: KeyRef) -> Result<KeyInfo>;

    /// CVV, iCVV, CVV2: three digits each.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn cvv(&self, jobs: &[CvvJob<'_>]) -> Result<Vec<Result<DigitValue>>>;

    /// Visa PVV: four digits each.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn pvv(&self, jobs: &[PvvJob<'_>]) -> Result<Vec<Result<DigitValue>>>;

    /// A random PIN of `len` digits, without bias.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Length`] for a length outside 4 to 12.
    fn generate_pin(&self, len: usize, rng: &mut StreamRng) -> Result<HeldPin>;

    /// IBM 3624 natural PINs.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn natural_pin(&self, jobs: &[NaturalPinJob<'_>]) -> Result<Vec<Result<HeldPin>>>;

    /// IBM 3624 offsets of the PINs given.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn pin_offset(&self, jobs: &[(NaturalPinJob<'_>, &HeldPin)]) -> Result<Vec<Result<DigitValue>>>;

    /// PINs out of blocks under `pin` keys. The refusal is the same whatever is wrong with a block:
    /// [`crate::error::ErrorKind::Crypto`].
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn import_pins(&self, jobs: &[ImportPinJob<'_>]) -> Result<Vec<Result<HeldPin>>>;

    /// PIN blocks under loaded keys (`pin`, `mailer`), random fill from the stream of each. One fails if its key is not
    /// there or does not fit the format.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn export_pins(&self, jobs: &[ExportPinJob<'_>]) -> Result<Vec<Result<Vec<u8>>>>;

    /// Reference PINs for DGI 8010 under transport keys: an 8-byte block (TDES), or 16 bytes with 8 random ones (AES),
    /// before enciphering. Format 4 is refused: it is enciphered twice, with the PAN between.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn reference_pins(&self, jobs: &[ReferencePinJob<'_>]) -> Result<Vec<Result<Vec<u8>>>>;

    /// ICC master keys, derived and enciphered under the transport key, with their check values.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn card_keys(&self, jobs: &[CardKeysJob<'_>]) -> Result<Vec<Result<CardKeys>>>;

    /// IVCVC3: two bytes each.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn ivcvc3(&self, jobs: &[IvCvc3Job<'_>]) -> Result<Vec<Result<[u8; 2]>>>;

    /// The transport key that is loaded under this name.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::KeyUnknown`] if it is not loaded.
    fn static_transport_key(&self, key: KeyRef) -> Result<TransportKey>;

    /// A fresh transport key for one block, wrapped under the destination's key (X9.143).
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::KeyUnknown`] if the wrapping key is not loaded.
    fn fresh_transport_key(
        &self,
        wrapping: KeyRef,
        algorithm: KeyAlgorithm,
        rng: &mut StreamRng,
    ) -> Result<TransportKey>;

    /// Secrets of the data preparation (RSA private key parts), padded already, under the transport key.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Length`] for a value that is not whole blocks.
    fn protect(
        &self,
        transport: &TransportKey,
        mode: ProtectMode,
        values: &[&Secret],
    ) -> Result<Vec<Vec<u8>>>;

    /// An issuer RSA key that is loaded.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::KeyUnknown`] if it is not.
    fn oda_info(&self, index: KeyIndex) -> Result<OdaKeyInfo>;

    /// Raw issuer signatures over blocks of `NI` bytes, checked with the public exponent before they are returned.
    ///
    /// # Errors
    /// Only if the whole call fails.
    fn sign_certificates(&self, index: KeyIndex, blocks: &[Vec<u8>]) -> Result<Vec<Vec<u8>>>;
}
