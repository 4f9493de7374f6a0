//! A module names only lower rows, and modules to its left in its own row (ARCHITECTURE.md).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rows, lowest first; inside a row from left to right.
const ROWS: &[&[&str]] = &[
    &["error", "bytes", "secret"],
    &["card", "crypto"],
    &["emv", "keys"],
    &["issuer"],
    &["perso"],
    &["profile"],
    &["prepare"],
    &["order", "output"],
    &["store", "hsm", "batch"],
];

/// Modules beside the rows, with all that each may name.
const BESIDE: &[(&str, &[&str])] = &[
    ("verify", &["error", "bytes", "secret", "card", "crypto"]),
    ("selftest", &["error", "bytes", "secret", "card", "crypto", "emv", "keys", "issuer", "perso", "verify"]),
];

/// Modules that may name files, clocks, threads and the environment.
const WITH_IO: &[&str] = &["store", "hsm", "batch"];

fn allowed(module: &str) -> Option<Vec<&'static str>> {
    if let Some((_, names)) = BESIDE.iter().find(|(m, _)| *m == module) {
        return Some(names.to_vec());
    }
    let mut below = Vec::new();
    for row in ROWS {
        if let Some(at) = row.iter().position(|m| *m == module) {
            below.extend_from_slice(&row[..at]);
            return Some(below);
        }
        below.extend_from_slice(row);
    }
    None
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Source without comments and without what stands behind `#[cfg(test)]` at the end of a file.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    text.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "tests" || s.to_str().unwrap().ends_with("_tests"))
}

/// Every module of the crate that a text names through `crate::` or `emv_dataprep::`.
fn named(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for prefix in ["crate::", "emv_dataprep::"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            if let Some(list) = rest.strip_prefix('{') {
                // `use crate::{a::…, b}`: the first word of every part at depth one.
                let mut depth = 0;
                let mut word = String::new();
                let mut at_start = true;
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            out.push(std::mem::take(&mut word));
                            at_start = true;
                        }
                        c if depth == 0 && at_start && (c.is_alphanumeric() || c == '_') => word.push(c),
                        ':' => at_start = false,
                        _ => {}
                    }
                }
                out.push(word);
            } else {
                out.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
        }
    }
    out.retain(|w| !w.is_empty());
    out
}

#[test]
fn a_module_names_only_what_stands_below_it() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for path in files.iter().filter(|p| !p.starts_with("src/bin") && !is_test_file(p)) {
        let relative = path.strip_prefix("src").unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        if module == "lib" {
            continue;
        }
        *seen.entry(module.to_owned()).or_default() += 1;
        let Some(below) = allowed(module) else {
            wrong.push(format!("{}: module {module} stands in no row", path.display()));
            continue;
        };
        for name in named(&code(path)) {
            if name != module && !below.contains(&name.as_str()) {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert!(seen.len() >= 10, "{seen:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_rows_below_the_batch_do_no_io() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files.iter().filter(|p| !p.starts_with("src/bin") && !is_test_file(p)) {
        let module = path.components().nth(1).unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        if WITH_IO.contains(&module) {
            continue;
        }
        let text = code(path);
        let words =
            ["std::fs", "std::net", "std::env", "std::thread", "std::process", "SystemTime", "Instant::now"];
        for word in
            words.into_iter().chain(["rayon", "Timestamp::now", "Zoned::now", "static mut", "println!"])
        {
            if text.contains(word) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
        // The operating system's random numbers come in through one door.
        if text.contains("getrandom") && !path.ends_with("crypto/rng.rs") {
            wrong.push(format!("{}: getrandom", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn cipher_crates_stay_in_the_crypto_layer() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    let crates = ["aes::", "des::", "cmac::", "hmac::", "sha1::", "sha2::", "rsa::", "chacha20::"];
    let mut wrong = Vec::new();
    for path in files.iter().filter(|p| !p.starts_with("src/crypto") && !is_test_file(p)) {
        for line in code(path).lines() {
            let line = line.trim_start().trim_start_matches("pub ");
            if let Some(rest) = line.strip_prefix("use ")
                && crates.iter().any(|c| rest.starts_with(c))
            {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_names_finds_them() {
    let text = "use crate::{a::{B, C}, d, e::f};\nuse crate::g::H;\ncrate::i::j();";
    let mut found = named(text);
    found.sort();
    assert_eq!(found, ["a", "d", "e", "g", "i"]);
    assert!(!allowed("verify").unwrap().contains(&"issuer"));
    assert!(!allowed("emv").unwrap().contains(&"keys"));
    assert!(allowed("keys").unwrap().contains(&"emv"));
}
