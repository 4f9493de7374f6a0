use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The configuration is refused.
    Error,
    /// It works, but somebody should look.
    Warning,
}

/// Something that is wrong or doubtful in the issuer directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// A stable word for programs.
    pub code: &'static str,
    /// File, relative to the issuer directory.
    pub file: String,
    /// 1-based line, 0 when the whole file is meant.
    pub line: usize,
    /// Words for people. No key material.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{}:{}: {level}: {} [{}]", self.file, self.line, self.message, self.code)
    }
}

/// One configuration file while it is read: its findings know their line.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Source<'a> {
    /// The text of `bytes`, or a finding.
    pub(super) fn new(file: &'a str, bytes: &'a [u8], findings: &'a mut Vec<Finding>) -> Option<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(Self { file, text, findings }),
            Err(_) => {
                findings.push(Finding {
                    level: Level::Error,
                    code: "not-utf8",
                    file: file.to_owned(),
                    line: 0,
                    message: "the file is not UTF-8 text".to_owned(),
                });
                None
            }
        }
    }

    /// The file's contents as `T`, or a finding with the line. Unknown members are errors.
    pub(super) fn parse<T: for<'de> Deserialize<'de>>(&mut self) -> Option<T> {
        match toml::from_str(self.text) {
            Ok(value) => Some(value),
            Err(e) => {
                let offset = e.span().map_or(0, |s| s.start);
                self.error(offset, "syntax", e.message().to_owned());
                None
            }
        }
    }

    /// Adds an error at a byte offset.
    pub(super) fn error(&mut self, offset: usize, code: &'static str, message: impl Into<String>) {
        self.push(Level::Error, offset, code, message.into());
    }

    /// Adds a warning at a byte offset.
    pub(super) fn warning(&mut self, offset: usize, code: &'static str, message: impl Into<String>) {
        self.push(Level::Warning, offset, code, message.into());
    }

    /// The value parsed from a spanned text, or an error that names `what`.
    pub(super) fn value<T: std::str::FromStr>(&mut self, what: &str, text: &Spanned<String>) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.get_ref().parse() {
            Ok(value) => Some(value),
            Err(e) => {
                self.error(text.span().start, "value", format!("{what}: {e}"));
                None
            }
        }
    }

    /// Bytes of spanned upper- or lower-case hexadecimal, or an error that names `what`.
    pub(super) fn hex(&mut self, what: &str, text: &Spanned<String>) -> Option<Vec<u8>> {
        match crate::bytes::from_hex(text.get_ref()) {
            Ok(bytes) => Some(bytes),
            Err(e) => {
                self.error(text.span().start, "value", format!("{what} {e}"));
                None
            }
        }
    }

    /// Says that the version is not one this program reads.
    pub(super) fn check_version(&mut self, version: &Spanned<u32>) {
        if *version.get_ref() != 1 {
            self.error(version.span().start, "version", "version 1 is expected");
        }
    }

    /// The 1-based line of a byte offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.bytes().filter(|b| *b == b'\n').count().saturating_add(1)
    }

    fn push(&mut self, level: Level, offset: usize, code: &'static str, message: String) {
        let line = self.line_of(offset);
        self.findings.push(Finding { level, code, file: self.file.to_owned(), line, message });
    }
}
