// A small test issuer for the examples in the documentation: the shipped online-only profile, published test keys.
use emv_dataprep::keys::{KeyAlgorithm, KeyAttributes, KeyIndex, KeyRef, KeyUse, SoftwareRing};
use emv_dataprep::secret::Secret;

/// The configuration files. In production they come from the issuer directory, key blocks included.
fn files() -> emv_dataprep::profile::Files {
    let issuer = r#"
        version = 1
        issuer_id = "DOCSISSUER"
        environment = "test"
        issuer_return_destination = "issuer"
        [secrets]
        key_block_protection_key = "kbpk.hex"
        [[destination]]
        id = "KIOSK-1"
        channel = "INSTANT"
        transport_key = { index = "01", mode = "ECB", kind = "static" }
        [[destination]]
        id = "issuer"
        pin_key = "01"
        [identifiers]
        issuance = ["CREATION"]
    "#;
    let mut keys = "version = 1\n".to_owned();
    for key in key_names() {
        keys += &format!(
            "[[key]]\nuse = \"{}\"\nindex = \"{}\"\nblock = \"-\"\nkcv = \"08D7B4\"\nkcv_method = \"tdes\"\n",
            key.usage, key.index
        );
    }
    [
        ("issuer.toml", issuer.to_owned()),
        ("keys.toml", keys),
        ("profiles/online-only.toml", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/online-only.toml")).to_owned()),
        ("products/online-basic.toml", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/products/online-basic.toml")).to_owned()),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.into_bytes()))
    .collect()
}

fn key_names() -> Vec<KeyRef> {
    [KeyUse::ImkAc, KeyUse::ImkSmi, KeyUse::ImkSmc, KeyUse::Cvk, KeyUse::Pin, KeyUse::Transport]
        .map(|usage| KeyRef::new(usage, KeyIndex(1)))
        .to_vec()
}

/// Test keys. In production `SoftwareRing::load` opens key blocks, or a hardware token takes the ring's place.
fn ring() -> SoftwareRing {
    let mut ring = SoftwareRing::new(emv_dataprep::crypto::backend::Backend::detect());
    for (n, key) in key_names().into_iter().enumerate() {
        let mut value = emv_dataprep::bytes::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        value[0] = value[0].wrapping_add(2 * n as u8); // one key, one use
        emv_dataprep::crypto::tdes::adjust_parity(&mut value);
        ring.add_clear(key, KeyAlgorithm::Tdes2, Secret::new(value), KeyAttributes::default()).unwrap();
    }
    ring
}
