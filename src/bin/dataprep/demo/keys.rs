//! The symmetric keys of the test issuer, and `keys.toml`.

use std::fmt::Write as _;

use emv_dataprep::crypto::aes::AesKey;
use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::crypto::tdes::{TdesKey, adjust_parity, has_weak_part};
use emv_dataprep::error::{ErrorKind, Result};
use emv_dataprep::keys::tr31::{Header, Usage, Version};
use emv_dataprep::keys::{
    CvvKind, KcvMethod, KeyAlgorithm, KeyIndex, KeyRef, KeyUse, is_standard_test_key, tr31,
};
use emv_dataprep::secret::Secret;

/// One key in clear.
struct TestKey {
    name: KeyRef,
    algorithm: KeyAlgorithm,
    key: Secret,
    /// A further line of its entry.
    attribute: Option<String>,
    note: &'static str,
}

/// All keys of the test issuer.
pub(super) struct TestKeys {
    kbpk: Secret,
    keys: Vec<TestKey>,
}

/// Index of the CVK that serves the CVV2 alone stands beside the one for all.
const CVK: KeyIndex = KeyIndex(1);

impl TestKeys {
    /// Every key drawn from its own stream of the seed.
    pub(super) fn make(seed: &Seed) -> Result<Self> {
        let kbpk = seed.named_stream(b"kbpk", Purpose::TestIssuer).rng().bytes::<32>();
        let mut made = Self { kbpk: Secret::copy_of(&kbpk), keys: Vec::new() };
        let application = [KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc];
        let more = [KeyUse::ImkDac, KeyUse::ImkIdn, KeyUse::ImkCvc3];
        for (index, note, uses) in [
            (1, "visa-style-dual", &application[..]),
            (2, "mastercard-style-dual", &[&application[..], &more[..]].concat()),
            (3, "ccd-generic", &[&application[..], &more[..2]].concat()),
            (4, "online-only", &application[..]),
        ] {
            for usage in uses {
                made.add(seed, KeyRef::new(*usage, KeyIndex(index)), KeyAlgorithm::Tdes2, None, note)?;
            }
        }
        let tdes = KeyAlgorithm::Tdes2;
        made.add(seed, KeyRef::new(KeyUse::Cvk, CVK), tdes, None, "CVV and iCVV")?;
        made.add(seed, KeyRef::cvk(CVK, CvvKind::Cvv2), tdes, None, "CVV2 only")?;
        let pvki = |n: u8| Some(format!("pvki = {n}"));
        made.add(seed, KeyRef::new(KeyUse::Pvk, KeyIndex(1)), tdes, pvki(1), "PVV")?;
        made.add(seed, KeyRef::new(KeyUse::Pvk, KeyIndex(2)), tdes, pvki(2), "IBM 3624")?;
        made.add(
            seed,
            KeyRef::new(KeyUse::Pin, KeyIndex(1)),
            tdes,
            None,
            "PIN blocks 0, 1 and 3; issuer return",
        )?;
        made.add(seed, KeyRef::new(KeyUse::Pin, KeyIndex(2)), KeyAlgorithm::Aes128, None, "PIN blocks 4")?;
        let transport = |n| KeyRef::new(KeyUse::Transport, KeyIndex(n));
        made.add(seed, transport(1), tdes, None, "THALES and PC1")?;
        made.add(
            seed,
            transport(2),
            KeyAlgorithm::Aes256,
            None,
            "PC2: wraps the transport key of each block",
        )?;
        made.add(seed, transport(3), tdes, None, "stations")?;
        made.add(seed, KeyRef::new(KeyUse::Mailer, KeyIndex(1)), tdes, None, "PIN-mailer printer")?;
        let pool = KeyRef::new(KeyUse::Pool, KeyIndex(1));
        made.add(seed, pool, KeyAlgorithm::Aes256, None, "pool of ready RSA keys")?;
        let job = KeyRef::new(KeyUse::Job, KeyIndex(1));
        made.add(seed, job, KeyAlgorithm::Aes256, None, "data keys of jobs")?;
        made.add(
            seed,
            KeyRef::new(KeyUse::Ledger, KeyIndex(1)),
            KeyAlgorithm::Hmac,
            None,
            "tags of the ledger",
        )?;
        Ok(made)
    }

    fn add(
        &mut self,
        seed: &Seed,
        name: KeyRef,
        algorithm: KeyAlgorithm,
        attribute: Option<String>,
        note: &'static str,
    ) -> Result<()> {
        let label = format!("key {name} {:?}", name.only);
        let mut rng = seed.named_stream(label.as_bytes(), Purpose::TestIssuer).rng();
        loop {
            let mut bytes = vec![0; algorithm.key_len()];
            rng.fill(&mut bytes);
            if algorithm.is_tdes() {
                adjust_parity(&mut bytes);
            }
            let weak = algorithm.is_tdes() && has_weak_part(&bytes);
            let key = Secret::new(bytes);
            if !weak && !is_standard_test_key(&key) {
                self.keys.push(TestKey { name, algorithm, key, attribute, note });
                return Ok(());
            }
        }
    }

    /// The key-block protection key, for its secret file.
    pub(super) fn kbpk_text(&self) -> String {
        format!("{}\n", hex::encode_upper(self.kbpk.expose()))
    }

    /// The contents of `keys.toml`.
    pub(super) fn to_toml(&self, seed: &Seed) -> Result<String> {
        let mut rng = seed.named_stream(b"key blocks", Purpose::TestIssuer).rng();
        let mut text =
            "# Test keys. Each is an X9.143 key block under the key-block protection key.\nversion = 1\n"
                .to_owned();
        for k in &self.keys {
            let mut header = Header::for_use(k.name.usage, k.algorithm, Version::D);
            if k.name.usage == KeyUse::Pvk && k.attribute.as_deref() == Some("pvki = 2") {
                header = header.with_usage(Usage::V1);
            }
            if k.name.usage == KeyUse::Transport && !k.algorithm.is_tdes() {
                header = header.with_usage(Usage::K1);
            }
            let block = tr31::wrap(&self.kbpk, &header, &k.key, &mut rng)?;
            let method = KcvMethod::usual(k.algorithm);
            let kcv = method.compute(&k.key, k.algorithm)?;
            let only = match k.name.only {
                None => "",
                Some(CvvKind::Cvv1) => "for = \"cvv1\"\n",
                Some(CvvKind::Icvv) => "for = \"icvv\"\n",
                Some(CvvKind::Cvv2) => "for = \"cvv2\"\n",
            };
            let attribute = k.attribute.as_ref().map(|a| format!("{a}\n")).unwrap_or_default();
            let _ = write!(
                text,
                "\n[[key]]\nuse = \"{}\"\nindex = \"{}\"\n{only}{attribute}block = \"{block}\"\nkcv = \"{kcv}\"\nkcv_method = \"{}\"\nnote = \"{}\"\n",
                k.name.usage,
                k.name.index,
                method.name(),
                k.note,
            );
        }
        Ok(text)
    }

    fn find(&self, name: KeyRef) -> Result<&Secret> {
        let found = self.keys.iter().find(|k| k.name == name).map(|k| &k.key);
        found.ok_or_else(|| ErrorKind::KeyUnknown.into())
    }

    /// A TDES key in hand: the issuer makes PIN blocks and card verification values of its own.
    pub(super) fn tdes(&self, name: KeyRef) -> Result<TdesKey> {
        TdesKey::new(self.find(name)?)
    }

    /// An AES key in hand.
    pub(super) fn aes(&self, name: KeyRef) -> Result<AesKey> {
        AesKey::new(self.find(name)?)
    }
}
