//! What the text formats of chip data share: directives, and the lines that say which card it is.

use zeroize::Zeroizing;

use crate::bytes::hex_upper;
use crate::emv::Aid;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::ProtectMode;
use crate::output::reader::{check_blocks, check_kcv, is_masked, transport_algorithm, upper_hex};
use crate::perso::record::{ChipApplication, ChipCard, TransportReference};
use crate::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection};

/// One line that says something.
pub(super) enum Line<'t> {
    /// A directive: a word and what follows it.
    Directive(&'t str, &'t str),
    /// Data.
    Data(&'t str),
}

/// The lines of `text` with their numbers from 1; comments and empty lines are left out.
pub(super) fn lines<'t>(
    text: &'t str,
    directive: &'static str,
    comments: &'static [&'static str],
) -> impl Iterator<Item = (usize, Line<'t>)> {
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let line = line.trim();
        if let Some(words) = line.strip_prefix(directive) {
            let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
            return Some((number, Line::Directive(word, rest.trim())));
        }
        let is_comment = line.is_empty() || comments.iter().any(|c| line.starts_with(c));
        (!is_comment).then_some((number, Line::Data(line)))
    })
}

/// A text that grows, with room taken first so that no copies stay behind.
pub(super) struct Page {
    text: Zeroizing<String>,
    directive: &'static str,
}

impl Page {
    pub(super) fn new(directive: &'static str, card: &ChipCard) -> Self {
        let values = card.applications.iter().flat_map(|a| a.dgis.dgis());
        let room: usize = values.map(|d| d.value.len().saturating_mul(3).saturating_add(160)).sum();
        Self { text: Zeroizing::new(String::with_capacity(room.saturating_add(4096))), directive }
    }

    pub(super) fn directive(&mut self, word: &str, rest: &str) {
        self.text.push_str(self.directive);
        self.text.push_str(word);
        if !rest.is_empty() {
            self.text.push(' ');
            self.text.push_str(rest);
        }
        self.text.push('\n');
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.text.push_str("# ");
        self.text.push_str(text);
        self.text.push('\n');
    }

    pub(super) fn data(&mut self, before: &str, bytes: &[u8]) {
        self.text.push_str(before);
        self.text.push_str(&Zeroizing::new(hex_upper(bytes)));
        self.text.push('\n');
    }

    pub(super) fn done(self) -> Zeroizing<String> {
        self.text
    }

    /// The lines before the first application.
    pub(super) fn head(&mut self, card: &ChipCard) -> Result<()> {
        self.directive("card", "");
        if let Some(reference) = &card.reference {
            self.directive("reference", word(reference).at("reference")?);
        }
        if let Some(position) = card.position {
            self.directive("position", &position.to_string());
        }
        if let Some(pan) = &card.masked_pan {
            self.directive("pan", masked(pan)?);
        }
        if let Some(key) = &card.transport {
            self.directive("transport-key", "");
            if let Some(index) = key.index {
                self.directive("transport-key-index", &index.to_string());
            }
            if let Some(algorithm) = key.algorithm {
                self.directive("transport-key-algorithm", algorithm.name());
            }
            if let Some(kcv) = &key.kcv {
                self.directive("transport-key-kcv", word(kcv).at("transport key")?);
            }
            if let Some(wrapped) = &key.wrapped {
                self.directive("transport-key-wrapped", word(wrapped).at("transport key")?);
            }
            if let Some(mode) = key.mode {
                self.directive("transport-key-mode", mode_name(mode));
            }
        }
        Ok(())
    }
}

pub(in crate::output) const fn mode_name(mode: ProtectMode) -> &'static str {
    match mode {
        ProtectMode::Ecb => "ECB",
        ProtectMode::Cbc => "CBC",
    }
}

pub(in crate::output) fn mode(name: &str) -> Result<ProtectMode> {
    let found = [ProtectMode::Ecb, ProtectMode::Cbc].into_iter().find(|m| mode_name(*m) == name);
    found.ok_or_else(|| ErrorKind::Unknown("this cipher mode").into())
}

/// Text that a directive can carry: one word, no control characters.
fn word(text: &str) -> Result<&str> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(ErrorKind::Format("one word").into());
    }
    Ok(text)
}

fn masked(pan: &str) -> Result<&str> {
    if is_masked(pan) { Ok(pan) } else { Err(ErrorKind::Format("a masked PAN")).at("pan") }
}

/// A card while its lines are read.
#[derive(Default)]
pub(super) struct CardReader {
    card: ChipCard,
    open: Option<(Aid, Vec<ProtectedDgi>)>,
}

impl CardReader {
    /// Takes a directive of the head. `false`: it is none of them.
    pub(super) fn head(&mut self, word_of: &str, rest: &str) -> Result<bool> {
        let key = self.card.transport.as_mut();
        let key = || key.ok_or(ErrorKind::Value("the line transport-key stands first"));
        match word_of {
            "reference" => once(&mut self.card.reference, word(rest)?.to_owned())?,
            "position" => {
                let position: u64 = rest.parse().map_err(|_| ErrorKind::Format("a number"))?;
                if position.to_string() != rest {
                    return Err(ErrorKind::Format("a number without more zeros").into());
                }
                once(&mut self.card.position, position)?;
            }
            "pan" => once(&mut self.card.masked_pan, masked(rest)?.to_owned())?,
            "transport-key" => once(&mut self.card.transport, TransportReference::default())?,
            "transport-key-index" => once(&mut key()?.index, rest.parse()?)?,
            "transport-key-algorithm" => once(&mut key()?.algorithm, transport_algorithm(rest)?)?,
            "transport-key-kcv" => {
                check_kcv(rest)?;
                once(&mut key()?.kcv, rest.to_owned())?;
            }
            "transport-key-wrapped" => once(&mut key()?.wrapped, word(rest)?.to_owned())?,
            "transport-key-mode" => once(&mut key()?.mode, mode(rest)?)?,
            _ => return Ok(false),
        }
        if self.open.is_some() || !self.card.applications.is_empty() {
            return Err(ErrorKind::Value("this line stands before the applications").into());
        }
        Ok(true)
    }

    /// Begins an application.
    pub(super) fn application(&mut self, aid: &str) -> Result<()> {
        self.close()?;
        upper_hex(aid)?;
        self.open = Some((aid.parse()?, Vec::new()));
        Ok(())
    }

    /// The AID of the application that is open.
    pub(super) fn aid(&self) -> Result<&Aid> {
        Ok(&self.open.as_ref().ok_or(ErrorKind::Missing("the application"))?.0)
    }

    /// Adds a DGI to the application that is open.
    pub(super) fn dgi(&mut self, tag: DgiTag, value: Vec<u8>, protection: Protection) -> Result<()> {
        let algorithm = self.card.transport.as_ref().and_then(|t| t.algorithm);
        if protection == Protection::Transport
            && let Some(algorithm) = algorithm
        {
            check_blocks(value.len(), algorithm).at_with(|| format!("DGI {tag}"))?;
        }
        let open = self.open.as_mut().ok_or(ErrorKind::Missing("the application"))?;
        open.1.push(ProtectedDgi { tag, value, protection });
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        if let Some((aid, dgis)) = self.open.take() {
            if dgis.is_empty() {
                return Err(ErrorKind::Missing("a DGI of the application").into());
            }
            let dgis = ProtectedDgiSet::from_prepared(dgis)?;
            self.card.applications.push(ChipApplication { aid, dgis });
        }
        Ok(())
    }

    /// The card, at its end.
    pub(super) fn finish(mut self) -> Result<ChipCard> {
        self.close()?;
        Ok(self.card)
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    if slot.replace(value).is_some() {
        return Err(ErrorKind::Duplicate("this line").into());
    }
    Ok(())
}

/// A DGI number in upper case.
pub(super) fn tag(text: &str) -> Result<DgiTag> {
    upper_hex(text)?;
    text.parse()
}

/// The error of a line.
pub(super) fn at_line<T>(result: Result<T>, number: usize) -> Result<T> {
    result.at_with(|| format!("line {number}"))
}

pub(super) fn unknown_line() -> Error {
    ErrorKind::Unknown("this line").into()
}
