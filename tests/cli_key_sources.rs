//! Where a key-block protection key comes from: a file, a file descriptor, the environment, components that are typed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod cli_support;
mod keys_support;

use std::fs;
use std::path::Path;
use std::process::Command;

use cli_support::{dataprep, expect, ran, text};
use emv_dataprep::keys::tr31::{Exportability, Header, Version};
use emv_dataprep::keys::{KeyAlgorithm, KeyUse};
use emv_dataprep::secret::Secret;
use keys_support::{Bank, CVK, CVK_KCV, aes_kcv, secret, wrapped};

const FILE: &str = "key_block_protection_key = \"../secrets/kbpk.hex\"\n";

/// Writes other lines for the protection key.
fn configure(bank: &Bank, lines: &str) {
    let path = bank.issuer.join("issuer.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(FILE));
    fs::write(&path, text.replace(FILE, lines)).unwrap();
}

fn check(bank: &Bank) -> Command {
    bank.command(&["check"])
}

#[test]
fn a_file_must_be_its_owners_alone_and_have_the_stated_check_value() {
    use std::os::unix::fs::PermissionsExt;
    let bank = Bank::new();
    let kbpk = bank.kbpk();
    let path = bank.path("secrets/kbpk.hex");
    for (mode, code) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        expect(code, &mut check(&bank));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    configure(&bank, &format!("{FILE}key_block_protection_kcv = \"{}\"\n", aes_kcv(&kbpk)));
    expect(0, &mut check(&bank));
    expect(0, dataprep().args(["check", "--issuer"]).arg(&bank.issuer));
    let other = Secret::new((1..33).collect());
    bank.secret_file("kbpk.hex", &other);
    let (code, _, stderr) = ran(&mut check(&bank));
    assert!(code == 1 && stderr.contains("check value"), "{stderr}");
    assert!(!stderr.contains(&hex::encode_upper(other.expose())), "{stderr}");
}

#[test]
fn a_file_descriptor_and_the_environment_hold_it() {
    let bank = Bank::new();
    let file = bank.path("secrets/kbpk.hex");
    configure(&bank, "key_block_protection_key = \"fd:3\"\n");
    let with = |redirect: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("\"$0\" keys check --issuer \"$1\" {redirect}"));
        command.arg(env!("CARGO_BIN_EXE_dataprep")).arg(&bank.issuer);
        ran(&mut command)
    };
    assert_eq!(with(&format!("3< {}", file.display())).0, 0);
    assert_eq!(with("3< /dev/null").0, 1);
    assert_eq!(with("3<&-").0, 1);

    let bank = Bank::new();
    let hex = hex::encode_upper(bank.kbpk().expose());
    configure(&bank, "key_block_protection_key = \"env:TEST_KBPK\"\n");
    expect(1, check(&bank).env_remove("TEST_KBPK"));
    expect(1, check(&bank).env("TEST_KBPK", "no key"));
    expect(0, check(&bank).env("TEST_KBPK", &hex));
    // Not for a production issuer.
    let path = bank.issuer.join("issuer.toml");
    let text = fs::read_to_string(&path).unwrap().replace("\"test\"", "\"production\"");
    fs::write(&path, text).unwrap();
    let (code, _, stderr) = ran(check(&bank).env("TEST_KBPK", &hex));
    assert!(code == 1 && stderr.contains("protection-key"), "{stderr}");
}

#[test]
fn a_tdes_protection_key_makes_blocks_of_version_b() {
    let bank = Bank::new();
    fs::write(bank.issuer.join("keys.toml"), "version = 1\n").unwrap();
    bank.secret_file("kbpk.hex", &secret("89E8BCF7931544F3B5BD7547FC3F380C1C2C3C4C5C6C7C8D"));
    configure(&bank, &format!("{FILE}key_block_protection_algorithm = \"TDES-3KEY\"\n"));
    let kek = secret("7C3A1E5D9B20486FA1C3E5072946B8D0");
    let header =
        Header::for_use(KeyUse::Cvk, KeyAlgorithm::Tdes2, Version::D).exportable(Exportability::Exportable);
    let block = bank.block_file(&wrapped(&kek, &header, &secret(CVK)));
    let mut import = bank.command(&["import", "--use", "cvk", "--index", "01", "--kcv", CVK_KCV]);
    expect(0, import.arg("--kek").arg(bank.secret_file("kek.hex", &kek)).arg(&block));
    let keys = fs::read_to_string(bank.issuer.join("keys.toml")).unwrap();
    assert!(keys.contains("block = \"B0"), "{keys}");
    assert_eq!(bank.key("cvk", "01"), secret(CVK));
    expect(0, &mut check(&bank));
}

/// Plays a person at a terminal: waits for each prompt, types the answer. What the terminal showed, and the exit code.
const PERSON: &str = r#"
import json, os, pty, sys, time, select
steps, command = json.loads(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown, end = b"", time.time() + 120
def read():
    global shown
    if not select.select([fd], [], [], 1)[0]:
        return time.time() < end
    try:
        some = os.read(fd, 4096)
    except OSError:
        return False
    shown += some
    return bool(some)
seen = 0
for prompt, answer in steps:
    while prompt.encode() not in shown[seen:]:
        if not read():
            sys.exit("no " + prompt + " in " + repr(shown))
    seen = shown.index(prompt.encode(), seen) + len(prompt)
    time.sleep(0.05)
    os.write(fd, answer.encode())
while read():
    pass
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

fn person(steps: &[(&str, String)], command: &str, issuer: &Path) -> (i32, String) {
    let steps = serde_json::to_string(steps).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", PERSON, &steps, "sh", "-c", command, env!("CARGO_BIN_EXE_dataprep")]).arg(issuer);
    let (code, stdout, stderr) = ran(&mut python);
    let shown = text(&stdout);
    assert!(!stderr.contains("no "), "{stderr}");
    (code, shown)
}

/// A bank whose protection key is typed, and the components, in the way people write them.
fn typed(count: usize) -> (Bank, Vec<String>) {
    let bank = Bank::new();
    let kbpk = bank.kbpk();
    let lines = format!(
        "key_block_protection_key = \"components:{count}\"\nkey_block_protection_kcv = \"{}\"\n",
        aes_kcv(&kbpk)
    );
    configure(&bank, &lines);
    let mut last = kbpk.expose().to_vec();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for n in 1..count {
        let part: Vec<u8> = (0..32).map(|i| (i * 31 + n * 17 + 5) as u8).collect();
        last.iter_mut().zip(&part).for_each(|(l, p)| *l ^= p);
        parts.push(part);
    }
    parts.push(last);
    (bank, parts.iter().map(hex::encode_upper).collect())
}

fn in_fours(part: &str) -> String {
    part.as_bytes().chunks(4).map(text).collect::<Vec<_>>().join(" ")
}

const CHECK: &str = "\"$0\" keys check --issuer \"$1\"; code=$?; stty -a; exit $code";

#[test]
fn officers_type_components_that_nobody_sees() {
    for count in [2, 3] {
        let (bank, parts) = typed(count);
        let mut steps = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            steps.push(("Officer: ", format!("Officer {n}\r")));
            steps.push(("not shown: ", format!("{}\r", in_fours(part))));
            steps.push(("Right? (yes/no) ", "yes\r".to_owned()));
        }
        let (code, shown) = person(&steps, CHECK, &bank.issuer);
        assert_eq!(code, 0, "{shown}");
        for part in &parts {
            assert!(!shown.contains(part.as_str()) && !shown.contains(&in_fours(part)), "{shown}");
            assert!(shown.contains(&aes_kcv(&secret(part))), "{shown}");
        }
        assert!(shown.contains("Officer 1") && shown.contains(&aes_kcv(&bank_key(&parts))), "{shown}");
        // The terminal is as it was.
        assert!(
            shown.contains(" echo ") && shown.contains(" icanon") && !shown.contains("-icanon"),
            "{shown}"
        );
    }
}

fn bank_key(parts: &[String]) -> Secret {
    let mut key = vec![0; 32];
    for part in parts {
        key.iter_mut().zip(hex::decode(part).unwrap()).for_each(|(k, p)| *k ^= p);
    }
    Secret::new(key)
}

#[test]
fn wrong_components_same_officers_and_interrupts_end_it() {
    let (bank, parts) = typed(2);
    let [first, second] = [0, 1].map(|n| format!("{}\r", parts[n]));
    let yes = || ("Right? (yes/no) ", "yes\r".to_owned());
    let officer = |name: &str| ("Officer: ", format!("{name}\r"));
    let part = |text: &str| ("not shown: ", text.to_owned());
    // A slip is seen by its check value and typed again; so is what is no key; a backspace works.
    let no = ("Right? (yes/no) ", "no\r".to_owned());
    let slip = format!("{}\r", parts[1].replace('A', "B"));
    let corrected = format!("{}X\x7F\r", parts[0]);
    let steps = [
        officer("Ann"),
        part("nonsense\r"),
        part(&corrected),
        yes(),
        officer("ann"),
        officer("Bob"),
        part(&slip),
        no,
        part(&second),
        yes(),
    ];
    let (code, shown) = person(&steps, CHECK, &bank.issuer);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Another officer"), "{shown}");
    // The slip confirmed: the key's check value tells.
    let steps = [officer("Ann"), part(&first), yes(), officer("Bob"), part(&slip), yes()];
    let (code, shown) = person(&steps, CHECK, &bank.issuer);
    assert!(code == 1 && shown.contains("check value"), "{shown}");
    // An interrupt in the middle.
    let (code, shown) = person(&[officer("Ann"), part("0123\x03")], CHECK, &bank.issuer);
    assert!(code == 4 && shown.contains(" echo ") && !shown.contains("0123"), "{code} {shown}");
    // No terminal.
    let mut command = Command::new("setsid");
    command.arg(env!("CARGO_BIN_EXE_dataprep")).args(["keys", "check", "--issuer"]).arg(&bank.issuer);
    let (code, _, stderr) = ran(command.stdin(std::process::Stdio::null()));
    assert!(code == 1 && stderr.contains("terminal"), "{stderr}");
    // Components without a check value are refused in the configuration.
    let path = bank.issuer.join("issuer.toml");
    let text = fs::read_to_string(&path).unwrap();
    let without: String = text
        .lines()
        .filter(|l| !l.starts_with("key_block_protection_kcv"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(&path, without).unwrap();
    let (code, _, stderr) = ran(&mut check(&bank));
    assert!(code == 1 && stderr.contains("protection-key"), "{stderr}");
}
