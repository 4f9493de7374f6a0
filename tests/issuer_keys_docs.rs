//! The commands of `docs/issuer-keys.md` run, one after the other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;

use cli_support::{dataprep, ran};

#[test]
fn the_ceremony_of_the_document() {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/issuer-keys.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = ran(dataprep().args(["demo", "--empty", "demo"]).current_dir(folder.path()));
    assert_eq!(code, 0, "{stderr}");
    let mut commands = 0;
    for line in document.lines().filter_map(|l| l.strip_prefix("$ dataprep ")) {
        let (code, _, stderr) = ran(dataprep().args(line.split_whitespace()).current_dir(folder.path()));
        assert_eq!(code, 0, "{line}\n{stderr}");
        commands += 1;
    }
    assert_eq!(commands, 6);
    // The template of the page is one.
    let template =
        document.split("```text title=template.toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.path().join("template.toml"), template).unwrap();
    let more = "issuer-key request --issuer demo/issuer --index 0A --identifier 99123456 --expiry 3512 --template template.toml --out second.req";
    let (code, _, stderr) = ran(dataprep().args(more.split_whitespace()).current_dir(folder.path()));
    assert_eq!(code, 0, "{stderr}");
    assert!(folder.path().join("second.req.hash").exists());
}
