//! The key of a card: from an issuer master key, an ICC master key or a session key, by the method of a cryptogram
//! version.

use emv_dataprep::bytes::hex_upper;
use emv_dataprep::card::{Pan, Psn};
use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::tdes::{TdesKey, xor};
use emv_dataprep::error::Result as LibraryResult;
use emv_dataprep::issuer::cryptogram::{AcSession, CryptogramVersion, ScriptSession};
use emv_dataprep::issuer::session_key::{self, Tree};
use emv_dataprep::issuer::{DerivationOption, icc_key};
use emv_dataprep::keys::KeyUse;
use emv_dataprep::secret::Secret;

use super::answer::{Answer, Step};
use super::arguments::{self, Common, Derivation, KeyIs};
use super::source::KeyArgs;
use super::{steps, tree};
use crate::failure::Failure;

/// The key and what leads from it to the session key.
#[derive(clap::Args)]
pub struct CardKeyArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// What the key is
    #[arg(long, value_enum, default_value = "imk")]
    key_is: KeyIs,
    /// Derivation option of the ICC master key: a and b for TDES, c for AES (default a; c for AES versions)
    #[arg(long, value_enum, ignore_case = true)]
    derivation: Option<Derivation>,
    /// The PAN, for an issuer master key
    #[arg(long)]
    pan: Option<String>,
    /// PAN sequence number; absent is 00
    #[arg(long, value_name = "NN")]
    psn: Option<String>,
    /// Session key method, where it is not that of the cryptogram version
    #[arg(long, value_enum)]
    session: Option<Session>,
}

/// How a session key comes from an ICC master key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Session {
    /// The ICC master key itself
    Mk,
    /// EMV common session key, TDES, from the ATC
    Csk,
    /// EMV common session key, AES, from the ATC
    CskAes,
    /// Mastercard SKD: from ATC and unpredictable number
    Skd,
    /// Secure messaging: EMV common session key, TDES, from the application cryptogram
    CskSm,
    /// Secure messaging: EMV common session key, AES, from the application cryptogram
    CskSmAes,
    /// Secure messaging: Visa versions 0A and 12, from the ATC
    VisaSm,
    /// EMV2000 tree of height 8, branch factor 4
    Tree8,
    /// EMV2000 tree of height 16, branch factor 2
    Tree16,
}

impl Session {
    /// Words of a mistake.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Mk => "the ICC master key itself",
            Self::Csk => "the EMV common session key (TDES)",
            Self::CskAes => "the EMV common session key (AES)",
            Self::Skd => "Mastercard's session key (SKD)",
            Self::CskSm => "the common session key of secure messaging",
            Self::CskSmAes => "the common session key of secure messaging (AES)",
            Self::VisaSm => "Visa's secure messaging key",
            Self::Tree8 => "the EMV2000 tree of height 8",
            Self::Tree16 => "the EMV2000 tree of height 16",
        }
    }

    pub const fn is_aes(self) -> bool {
        matches!(self, Self::CskAes | Self::CskSmAes)
    }

    /// The method of secure messaging of a version.
    pub fn of_scripts(version: CryptogramVersion) -> Self {
        match (version.script_session(), version.session()) {
            (ScriptSession::Visa, _) => Self::VisaSm,
            (ScriptSession::Common, AcSession::CommonAes) => Self::CskSmAes,
            (ScriptSession::Common, _) => Self::CskSm,
        }
    }
}

impl From<AcSession> for Session {
    fn from(session: AcSession) -> Self {
        match session {
            AcSession::MasterKey => Self::Mk,
            AcSession::CommonTdes => Self::Csk,
            AcSession::CommonAes => Self::CskAes,
            AcSession::Mastercard => Self::Skd,
        }
    }
}

/// What a session key depends on beside the master key.
#[derive(Clone, Copy, Default)]
pub struct Diversifier {
    pub atc: Option<[u8; 2]>,
    pub un: Option<[u8; 4]>,
    pub cryptogram: Option<[u8; 8]>,
    pub iv: [u8; 16],
}

/// One way to read the key that is given.
pub struct Reading {
    pub key: Secret,
    pub is: KeyIs,
    pub option: DerivationOption,
    pub pan: Option<Pan>,
    pub psn: Psn,
    pub session: Session,
    pub with: Diversifier,
}

impl CardKeyArgs {
    /// Where the key comes from.
    pub const fn key(&self) -> &KeyArgs {
        &self.key
    }

    /// The method: said, or that of the version.
    pub fn session(&self, default: Option<Session>) -> Result<Session, Failure> {
        self.session
            .or(default)
            .ok_or_else(|| Failure::usage("--session is needed where no cryptogram version says it (--cvn)"))
    }

    /// The key as the arguments read it.
    pub fn load(
        &self,
        common: &Common,
        uses: &[KeyUse],
        session: Session,
        with: Diversifier,
        answer: &mut Answer,
    ) -> Result<Reading, Failure> {
        let pan = self.pan.as_deref().map(|p| arguments::pan(p, answer)).transpose()?;
        let psn = arguments::psn(self.psn.as_deref())?;
        if self.key_is == KeyIs::Imk && pan.is_none() {
            return Err(Failure::usage("--pan is needed for an issuer master key (else --key-is mk or sk)"));
        }
        let loaded = self.key.load(common, uses)?;
        if self.key.names_issuer() && self.key_is != KeyIs::Imk {
            return Err(Failure::usage(
                "the keys of an issuer directory are issuer master keys (--key-is imk)",
            ));
        }
        let usual = if session.is_aes() { DerivationOption::C } else { DerivationOption::A };
        let option = self.derivation.map_or(usual, Into::into);
        if (option == DerivationOption::C) != session.is_aes() {
            return Err(Failure::usage(
                "--derivation c goes with a method of AES (csk-aes, csk-sm-aes, --cvn A6), a and b with the others",
            ));
        }
        if let Some(pan) = &pan {
            answer.result("PAN", pan.masked());
        }
        let algorithm = steps::imk_algorithm(option, loaded.key.len())?;
        loaded.describe(algorithm, answer)?;
        Ok(Reading { key: loaded.key, is: self.key_is, option, pan, psn, session, with })
    }
}

impl Reading {
    /// The ICC master key, if the reading has one.
    pub fn master(&self) -> Option<Secret> {
        match (self.is, &self.pan) {
            (KeyIs::Imk, Some(pan)) => icc_key::derive(self.option, &self.key, pan, self.psn).ok(),
            (KeyIs::Imk, None) | (KeyIs::Sk, _) => None,
            (KeyIs::Mk, _) => Some(self.key.duplicate()),
        }
    }

    /// The session key.
    pub fn session_key(&self) -> Option<Secret> {
        if self.is == KeyIs::Sk {
            return Some(self.key.duplicate());
        }
        session_key(self.session, &self.master()?, &self.with)?.ok()
    }

    /// The ICC master key, its steps shown.
    pub fn explain_master(&self, answer: &mut Answer) -> Result<Secret, Failure> {
        match (self.is, &self.pan) {
            (KeyIs::Imk, Some(pan)) => steps::icc_master_key(answer, self.option, &self.key, pan, self.psn),
            (KeyIs::Imk, None) => Err(Failure::usage("--pan is needed for an issuer master key")),
            (KeyIs::Mk, _) => Ok(self.key.duplicate()),
            (KeyIs::Sk, _) => Err(Failure::usage("the ICC master key is needed, a session key is given")),
        }
    }

    /// The session key, its steps shown.
    pub fn explain(&self, answer: &mut Answer) -> Result<Secret, Failure> {
        if self.is == KeyIs::Sk {
            return Ok(self.key.duplicate());
        }
        let mk = self.explain_master(answer)?;
        explain_session(answer, self.session, &mk, &self.with)
    }

    /// A second copy, to be changed.
    pub fn duplicate(&self) -> Self {
        Self {
            key: self.key.duplicate(),
            is: self.is,
            option: self.option,
            pan: self.pan.as_ref().and_then(|p| Pan::without_check(&p.to_text()).ok()),
            psn: self.psn,
            session: self.session,
            with: self.with,
        }
    }
}

/// `R` of secure messaging under AES: the application cryptogram and eight zero bytes (EMV 4.4 Book 2, A1.3.1).
const fn of_cryptogram_aes(cryptogram: [u8; 8]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = cryptogram;
    [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// A session key by the library; nothing if the method needs what is not there.
pub fn session_key(session: Session, mk: &Secret, with: &Diversifier) -> Option<LibraryResult<Secret>> {
    Some(match session {
        Session::Mk => Ok(mk.duplicate()),
        Session::Csk => session_key::common_tdes(mk, session_key::diversifier_tdes(with.atc?)),
        Session::CskAes => session_key::common_aes(mk, session_key::diversifier_aes(with.atc?)),
        Session::Skd => session_key::mastercard(mk, with.atc?, with.un?),
        Session::CskSm => session_key::common_tdes(mk, with.cryptogram?),
        Session::CskSmAes => session_key::common_aes(mk, of_cryptogram_aes(with.cryptogram?)),
        Session::VisaSm => session_key::visa_secure_messaging(mk, with.atc?),
        Session::Tree8 => session_key::emv2000(mk, with.atc?, Tree::Height8, with.iv),
        Session::Tree16 => session_key::emv2000(mk, with.atc?, Tree::Height16, with.iv),
    })
}

/// A session key, step by step.
pub fn explain_session(
    answer: &mut Answer,
    session: Session,
    mk: &Secret,
    with: &Diversifier,
) -> Result<Secret, Failure> {
    let sk = session_key(session, mk, with).ok_or_else(|| {
        Failure::usage(match session {
            Session::Skd => "--atc and --un are needed for Mastercard's session key",
            Session::CskSm | Session::CskSmAes => {
                "the application cryptogram is needed for this session key (--ac)"
            }
            _ => "--atc is needed for this session key",
        })
    })??;
    let value = hex_upper(sk.expose());
    let atc = with.atc.unwrap_or_default();
    match session {
        Session::Mk => {
            let step = Step::new(
                "No session key: the ICC master key works itself",
                "cryptogram versions 0A and 11 of Visa",
            );
            answer.step(step.gives("key", value.clone()));
        }
        Session::Csk => {
            common(answer, mk, "ATC, six zero bytes", session_key::diversifier_tdes(atc), &value)?
        }
        Session::Skd => {
            let r = session_key::diversifier_mastercard(atc, with.un.unwrap_or_default());
            common(answer, mk, "ATC, two zero bytes, unpredictable number", r, &value)?;
        }
        Session::CskSm => {
            common(answer, mk, "the application cryptogram", with.cryptogram.unwrap_or_default(), &value)?
        }
        Session::CskAes => {
            common_aes(answer, mk, "ATC, fourteen zero bytes", session_key::diversifier_aes(atc), &value)?
        }
        Session::CskSmAes => {
            let r = of_cryptogram_aes(with.cryptogram.unwrap_or_default());
            common_aes(answer, mk, "the application cryptogram, eight zero bytes", r, &value)?;
        }
        Session::VisaSm => visa(answer, mk, atc, &value),
        Session::Tree8 | Session::Tree16 => tree::explain(answer, mk, atc, session, with.iv)?,
    }
    answer.ends_in(&value)?;
    Ok(sk)
}

/// The common session key under TDES for a diversifier.
fn common(answer: &mut Answer, mk: &Secret, what: &str, r: [u8; 8], value: &str) -> Result<(), Failure> {
    const CLAUSE: &str = "EMV 4.4 Book 2, A1.3.1";
    answer.step(Step::new(format!("R = {what}"), CLAUSE).gives("R", hex_upper(&r)));
    let key = TdesKey::new(mk)?;
    let mut both = Vec::new();
    for (name, third) in [("F1", 0xF0), ("F2", 0x0F)] {
        let [a, b, _, d, e, f, g, h] = r;
        let block = [a, b, third, d, e, f, g, h];
        let half = key.encrypt_block(block);
        both.extend_from_slice(&half);
        answer.step(
            Step::new(
                format!("{name} = R, its third byte {third:02X}, enciphered under the ICC master key"),
                CLAUSE,
            )
            .with("ICC master key", hex_upper(mk.expose()))
            .with(name, hex_upper(&block))
            .gives(format!("E({name})"), hex_upper(&half)),
        );
    }
    answer.step(
        Step::new("Both halves, odd parity", CLAUSE)
            .with("E(F1) E(F2)", steps::in_blocks(&both))
            .gives("session key", value),
    );
    Ok(())
}

fn common_aes(answer: &mut Answer, mk: &Secret, what: &str, r: [u8; 16], value: &str) -> Result<(), Failure> {
    const CLAUSE: &str = "EMV 4.4 Book 2, A1.3.1 (AES)";
    let key = AesKey::new(mk)?;
    answer.step(Step::new(format!("R = {what}"), CLAUSE).gives("R", hex_upper(&r)));
    if mk.len() == 16 {
        answer.step(
            Step::new("R enciphered under the ICC master key; no F0 and 0F for 128 bits", CLAUSE)
                .with("ICC master key", hex_upper(mk.expose()))
                .with("R", hex_upper(&r))
                .gives("session key", hex_upper(&key.encrypt_block(r))),
        );
        return Ok(());
    }
    let mut both = Vec::new();
    for (name, third) in [("F1", 0xF0), ("F2", 0x0F)] {
        let mut block = r;
        let [_, _, byte, ..] = &mut block;
        *byte = third;
        let part = key.encrypt_block(block);
        both.extend_from_slice(&part);
        answer.step(
            Step::new(
                format!("{name} = R, its third byte {third:02X}, enciphered under the ICC master key"),
                CLAUSE,
            )
            .with(name, hex_upper(&block))
            .gives(format!("E({name})"), hex_upper(&part)),
        );
    }
    answer.step(
        Step::new("The leftmost bits, as many as the master key has", CLAUSE)
            .with("E(F1) E(F2)", steps::in_blocks(&both))
            .gives("session key", value),
    );
    Ok(())
}

fn visa(answer: &mut Answer, mk: &Secret, atc: [u8; 2], value: &str) {
    const CLAUSE: &str = "Visa secure messaging, cryptogram versions 0A and 12";
    let [a, b] = atc;
    for (name, part, mask) in [
        ("left half", mk.expose().first_chunk::<8>(), [0, 0, 0, 0, 0, 0, a, b]),
        ("right half", mk.expose().last_chunk::<8>(), [0, 0, 0, 0, 0, 0, !a, !b]),
    ] {
        let part = part.copied().unwrap_or_default();
        let words = if name == "left half" { "the ATC" } else { "the ATC with all bits inverted" };
        answer.step(
            Step::new(format!("The {name} of the ICC master key exclusive-or {words} at its end"), CLAUSE)
                .with(name, hex_upper(&part))
                .with("mask", hex_upper(&mask))
                .gives(name, hex_upper(&xor(part, mask))),
        );
    }
    answer.step(Step::new("Both halves, odd parity", CLAUSE).gives("session key", value));
}

/// A cryptogram version by its byte; 11 is Visa's and Mastercard's, so it needs the scheme before it.
pub fn version(text: &str) -> Result<CryptogramVersion, Failure> {
    use CryptogramVersion as V;
    let upper = text.to_ascii_uppercase();
    Ok(match upper.as_str() {
        "0A" | "VISA:0A" => V::Visa0A,
        "VISA:11" => V::Visa11,
        "12" | "VISA:12" => V::Visa12,
        "22" | "VISA:22" => V::Visa22,
        "10" | "MCHIP:10" => V::MChip10,
        "MCHIP:11" => V::MChip11,
        "14" | "MCHIP:14" => V::MChip14,
        "15" | "MCHIP:15" => V::MChip15,
        "A5" | "CCD:A5" => V::CcdA5,
        "A6" | "CCD:A6" => V::CcdA6,
        _ => {
            return Err(Failure::usage(
                "--cvn is the byte of the issuer application data: 0A, visa:11, 12, 22 (Visa), 10, mchip:11, 14, 15 (M/Chip), A5, A6 (CCD)",
            ));
        }
    })
}

/// A version in words.
pub const fn version_words(version: CryptogramVersion) -> &'static str {
    use CryptogramVersion as V;
    match version {
        V::Visa0A => "Visa 0A (CVN 10)",
        V::Visa11 => "Visa 11 (CVN 17)",
        V::Visa12 => "Visa 12 (CVN 18)",
        V::Visa22 => "Visa 22",
        V::MChip10 => "M/Chip 10 (CVN 16)",
        V::MChip11 => "M/Chip 11 (CVN 17)",
        V::MChip14 => "M/Chip 14 (CVN 20)",
        V::MChip15 => "M/Chip 15 (CVN 21)",
        V::CcdA5 => "CCD A5",
        V::CcdA6 => "CCD A6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_name_with_its_byte() {
        for v in CryptogramVersion::ALL {
            let words = version_words(v);
            let byte = format!("{:02X}", v.byte());
            assert!(words.contains(&byte), "{words}");
            let scheme = words.split([' ', '/']).next().unwrap().to_lowercase();
            let scheme = if scheme == "m" { "mchip" } else { &scheme };
            assert_eq!(version(&format!("{scheme}:{byte}")).ok(), Some(v));
        }
        assert!(version("11").is_err());
    }
}
