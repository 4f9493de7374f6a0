//! What the tests of `dataprep keys` share: an issuer of their own, whose keys they know.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::keys::tr31::{self, Header};
use emv_dataprep::keys::{KcvMethod, KeyAlgorithm};
use emv_dataprep::secret::Secret;

use crate::cli_support::{all_files, dataprep, demo, expect, ran};

/// A card verification key that nobody published, and its check value.
pub(crate) const CVK: &str = "4C37C8319D76ADAB58D9431543C2165B";
pub(crate) const CVK_KCV: &str = "B9BC93";

pub(crate) struct Bank {
    folder: tempfile::TempDir,
    pub(crate) issuer: PathBuf,
}

pub(crate) fn secret(hex: &str) -> Secret {
    Secret::new(hex::decode(hex).unwrap())
}

pub(crate) fn aes_kcv(key: &Secret) -> String {
    let algorithm = if key.len() == 16 { KeyAlgorithm::Aes128 } else { KeyAlgorithm::Aes256 };
    KcvMethod::AesCmac.compute(key, algorithm).unwrap().to_string()
}

pub(crate) fn wrapped(kek: &Secret, header: &Header, key: &Secret) -> String {
    let mut rng = Seed::fixed([0x2B; 32]).named_stream(b"keys", Purpose::TestIssuer).rng();
    tr31::wrap(kek, header, key, &mut rng).unwrap()
}

pub(crate) fn unwrapped(kek: &Secret, block: &str) -> (Header, Secret) {
    tr31::unwrap(kek, block).unwrap()
}

impl Bank {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        expect(0, dataprep().arg("demo").arg(folder.path().join("bank")).arg("--empty"));
        let issuer = folder.path().join("bank/issuer");
        Self { folder, issuer }
    }

    /// With the first ten orders of the demo.
    pub(crate) fn with_orders() -> Self {
        let bank = Self::new();
        let orders = demo().orders(10, bank.folder.path());
        fs::rename(orders, bank.path("orders.jsonl")).unwrap();
        bank
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("bank").join(name)
    }

    /// `dataprep keys` with these words on this issuer.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = dataprep();
        command.arg("keys").args(words).arg("--issuer").arg(&self.issuer);
        command
    }

    pub(crate) fn json_of(&self, words: &[&str]) -> (i32, serde_json::Value) {
        let (code, stdout, stderr) = ran(self.command(words).arg("--json"));
        (code, serde_json::from_slice(&stdout).unwrap_or_else(|_| panic!("{stderr}")))
    }

    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let (code, value) = self.json_of(words);
        assert_eq!(code, 0, "{value}");
        value
    }

    pub(crate) fn block_file(&self, block: &str) -> PathBuf {
        let path = self.folder.path().join("block.txt");
        fs::write(&path, format!("{block}\n")).unwrap();
        path
    }

    /// `keys import` of a block under transport key 02.
    pub(crate) fn import(&self, block: &str, name: &[&str], more: &[&str]) -> (i32, Vec<u8>, String) {
        let mut command = self.command(&["import", "--under", "02"]);
        ran(command.args(name).args(more).arg(self.block_file(block)))
    }

    /// A file that only its owner may read.
    pub(crate) fn secret_file(&self, name: &str, key: &Secret) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("secrets").join(name);
        fs::write(&path, format!("{}\n", hex::encode_upper(key.expose()))).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn kbpk(&self) -> Secret {
        let text = fs::read_to_string(self.issuer.join("issuer.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let path = table["secrets"]["key_block_protection_key"].as_str().unwrap();
        secret(fs::read_to_string(self.issuer.join(path)).unwrap().trim())
    }

    fn entries(&self) -> Vec<toml::Table> {
        let text = fs::read_to_string(self.issuer.join("keys.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        table["key"].as_array().unwrap().iter().map(|k| k.as_table().unwrap().clone()).collect()
    }

    fn entry(&self, usage: &str, index: &str) -> toml::Table {
        let of_name = |k: &toml::Table| {
            k["use"].as_str() == Some(usage) && k["index"].as_str() == Some(index) && !k.contains_key("for")
        };
        self.entries().into_iter().find(of_name).unwrap()
    }

    /// A key in clear, of the file as it is now.
    pub(crate) fn key(&self, usage: &str, index: &str) -> Secret {
        unwrapped(&self.kbpk(), self.entry(usage, index)["block"].as_str().unwrap()).1
    }

    pub(crate) fn kcv(&self, usage: &str, index: &str) -> String {
        self.entry(usage, index)["kcv"].as_str().unwrap().to_owned()
    }

    /// Every key in clear by use, index and `for`.
    pub(crate) fn all_keys(&self) -> BTreeMap<(String, String, Option<String>), Secret> {
        let kbpk = self.kbpk();
        let text = |k: &toml::Table, name: &str| k.get(name).and_then(|v| v.as_str()).map(ToOwned::to_owned);
        let one = |k: toml::Table| {
            let name = (text(&k, "use").unwrap(), text(&k, "index").unwrap(), text(&k, "for"));
            (name, unwrapped(&kbpk, k["block"].as_str().unwrap()).1)
        };
        self.entries().into_iter().map(one).collect()
    }

    /// Every file of the issuer directory.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        all_files(Path::new(&self.issuer))
    }
}
