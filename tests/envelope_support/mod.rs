//! A demo issuer of the test's own, whose configuration may be changed; and orders as D1 seals them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test file uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use emv_dataprep::crypto::rng::{Purpose, Seed};
use emv_dataprep::keys::{PrivateJwk, PublicJwk, jwe};
use serde_json::{Map, Value, json};

use crate::cli_support::{NOW, SEED, dataprep, demo, expect, text};

/// A copy of the demo's issuer and secrets.
pub(crate) struct Own {
    folder: tempfile::TempDir,
}

impl Own {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["issuer", "secrets"] {
            copy(&demo().path(name), &folder.path().join(name));
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes `issuer.toml`.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let path = self.path("issuer/issuer.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }

    /// The issuer's files are signed from now on: the public key.
    pub(crate) fn sign(&self) -> String {
        let (secret, jwk) = (self.path("secrets/output.hex"), self.path("output.pub.jwk"));
        let mut keys = dataprep();
        keys.args(["keys", "output-signing", "--out"]).arg(&secret).arg("--public").arg(&jwk);
        let line = text(&expect(0, &mut keys));
        self.configure(
            "\n[secrets]\n",
            &format!("{line}\n[secrets]\noutput_signing_key = \"../secrets/output.hex\"\n"),
        );
        line.trim().trim_start_matches("output_signing_public_key = \"").trim_end_matches('"').to_owned()
    }

    pub(crate) fn prepare(&self, orders: &[Value], out: &str) -> Command {
        self.prepare_on(orders, out, NOW)
    }

    pub(crate) fn prepare_on(&self, orders: &[Value], out: &str, now: &str) -> Command {
        let path = self.path("orders.jsonl");
        std::fs::write(&path, orders.iter().map(|o| format!("{o}\n")).collect::<String>()).unwrap();
        let mut command = dataprep();
        command.arg("prepare").arg("--issuer").arg(self.path("issuer")).arg("--orders").arg(path);
        command.arg("--out").arg(self.path(out)).args(["--seed", SEED, "--now", now]);
        command
    }

    /// The key that D1 seals orders for.
    pub(crate) fn envelope(&self) -> PrivateJwk {
        PrivateJwk::from_json(&std::fs::read(self.path("secrets/envelope.jwk")).unwrap()).unwrap()
    }

    /// The lines of `status.jsonl`.
    pub(crate) fn statuses(&self, out: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(out).join("status.jsonl")).unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Orders of the demo in the wrapped form that bring their card data in clear.
pub(crate) fn clear_orders(count: usize) -> Vec<Value> {
    let all = std::fs::read_to_string(demo().path("orders.jsonl")).unwrap();
    let orders = all.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    orders.filter(|o| o["cardData"].is_object() && o["order"].is_object()).take(count).collect()
}

/// The same order with other words in the place of its card data.
pub(crate) fn with_envelope(order: &Value, encrypted: &str) -> Value {
    let mut order = order.clone();
    order.as_object_mut().unwrap().remove("cardData");
    order["order"]["encryptedData"] = json!(encrypted);
    order
}

/// A sealed text, as D1 makes it.
pub(crate) fn sealed(to: &PublicJwk, plaintext: &[u8], stream: &str) -> String {
    let mut rng = Seed::fixed([3; 32]).named_stream(stream.as_bytes(), Purpose::Envelope).rng();
    jwe::seal(to, &Map::new(), plaintext, &mut rng).unwrap()
}
