//! Key components, typed at the terminal by different officers.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use emv_dataprep::keys::tr31::{BlockCipher, ProtectionKey};
use emv_dataprep::keys::{Parity, combine_components};
use emv_dataprep::profile::Protection;
use emv_dataprep::secret::Secret;
use emv_dataprep::store::audit::Text;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::issuer_dir::secret_from_hex;

/// How often somebody may try again.
const TRIES: usize = 3;
/// Characters of a line.
const LONGEST: usize = 200;

/// A key from components: each officer gives a name and a component, sees its check value and confirms it.
pub fn typed(count: u8, protection: &Protection) -> Result<Secret, Failure> {
    let cipher = protection.cipher();
    let mut terminal = Terminal::open()?;
    terminal.say(&format!(
        "Key from {count} components. Each is entered by another officer, unseen by the others."
    ));
    let mut officers = BTreeSet::new();
    let mut parts = Vec::new();
    for number in 1..=count {
        officers.insert(terminal.officer(number, count, &officers)?);
        parts.push(terminal.component(number, cipher)?);
    }
    let parity = match cipher {
        BlockCipher::Tdes => Parity::Adjust,
        BlockCipher::Aes => Parity::Keep,
    };
    let key = combine_components(&parts, parity)?;
    terminal.say(&format!("Check value of the key: {}", key.kcv(cipher)?));
    Ok(key)
}

/// The terminal of this process, whatever its standard streams are.
struct Terminal {
    device: File,
}

impl Terminal {
    fn open() -> Result<Self, Failure> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let device =
            device.map_err(|_| Failure::refused("components are typed at a terminal: there is none"))?;
        Ok(Self { device })
    }

    fn say(&mut self, line: &str) {
        let _ = writeln!(self.device, "{line}");
    }

    /// A name that none of the others has.
    fn officer(&mut self, number: u8, count: u8, others: &BTreeSet<String>) -> Result<String, Failure> {
        for _ in 0..TRIES {
            let line = self.line(&format!("Component {number} of {count}. Officer: "), Echo::Line)?;
            let name = std::str::from_utf8(line.expose()).ok().and_then(|t| t.trim().parse::<Text>().ok());
            let Some(name) = name else {
                self.say("A name of 1 to 200 characters is expected.");
                continue;
            };
            let folded = name.as_str().to_lowercase();
            if !others.contains(&folded) {
                return Ok(folded);
            }
            self.say("Another officer enters this component.");
        }
        Err(Failure::refused("no second officer"))
    }

    /// A component whose check value the officer confirms.
    fn component(&mut self, number: u8, cipher: BlockCipher) -> Result<Secret, Failure> {
        for _ in 0..TRIES {
            let line = self.line(&format!("Component {number}, hexadecimal, not shown: "), Echo::Nothing)?;
            let bare = without_spaces(&line);
            let part = secret_from_hex(bare.expose()).and_then(|part| Some((part.kcv(cipher).ok()?, part)));
            let Some((kcv, part)) = part else {
                self.say("That is no component of a key.");
                continue;
            };
            let answer = self
                .line(&format!("Check value of component {number}: {kcv}. Right? (yes/no) "), Echo::Line)?;
            if answer.expose().trim_ascii().eq_ignore_ascii_case(b"yes") {
                return Ok(part);
            }
        }
        Err(Failure::refused("no component of a key was entered"))
    }

    /// A line, typed key by key, so that an interrupt leaves the terminal as it was.
    fn line(&mut self, prompt: &str, echo: Echo) -> Result<Secret, Failure> {
        let mut raw = Raw::begin(&self.device)?;
        let failed = |e: std::io::Error| Failure::stopped(format!("terminal: {e}"));
        raw.show(prompt.as_bytes());
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        loop {
            let mut byte = Zeroizing::new([0_u8; 1]);
            if raw.device.read(byte.as_mut_slice()).map_err(failed)? == 0 {
                return Err(Failure::stopped("the terminal was closed"));
            }
            let [key] = *byte;
            match key {
                b'\r' | b'\n' => break,
                0x03 | 0x04 => {
                    raw.show(b"\r\n");
                    return Err(Failure::stopped("interrupted"));
                }
                0x08 | 0x7F => {
                    let gone = line.pop().is_some();
                    raw.show(if gone && echo == Echo::Line { b"\x08 \x08" } else { b"" });
                }
                other if line.len() < LONGEST => {
                    line.push(other);
                    if echo == Echo::Line {
                        raw.show(byte.as_slice());
                    }
                }
                _ => {}
            }
        }
        raw.show(b"\r\n");
        Ok(Secret::copy_of(&line))
    }
}

fn without_spaces(line: &Secret) -> Secret {
    let mut bare = Zeroizing::new(Vec::with_capacity(line.len()));
    bare.extend(line.expose().iter().filter(|b| !b.is_ascii_whitespace()));
    Secret::copy_of(&bare)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Line,
    Nothing,
}

/// A terminal without echo and signals, put back when this is dropped.
struct Raw<'a> {
    device: &'a File,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn begin(device: &'a File) -> Result<Self, Failure> {
        let failed = |e: rustix::io::Errno| Failure::refused(format!("terminal: {e}"));
        let before = tcgetattr(device).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // What was typed ahead was shown: it is thrown away.
        tcsetattr(device, OptionalActions::Flush, &silent).map_err(failed)?;
        Ok(Self { device, before })
    }

    fn show(&mut self, bytes: &[u8]) {
        let _ = self.device.write_all(bytes).and_then(|()| self.device.flush());
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.device, OptionalActions::Drain, &self.before);
    }
}
