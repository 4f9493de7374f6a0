//! Whether a JSON value that spans lines has ended.

/// How far a value has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More lines must come.
    Open,
    /// The brackets are closed.
    Whole,
    /// No further line can make it a value.
    Broken,
}

/// Follows strings and brackets line by line. It is no parser: it only finds the end of a value, and sees at once when
/// a line is not the continuation of those before it (a JSON Lines file whose first line is cut short).
#[derive(Default)]
pub(super) struct Document {
    open: Vec<u8>,
    /// The last byte outside strings that is not white space; `"` for a string.
    before: Option<u8>,
}

/// Deepest nesting that the parser takes.
const MAX_DEPTH: usize = 127;

impl Document {
    pub(super) fn line(&mut self, line: &[u8]) -> Progress {
        let mut bytes = line.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b' ' | b'\t' | b'\r' => continue,
                b'"' => {
                    let ended = end_of_string(&mut bytes);
                    if !ended {
                        return Progress::Broken;
                    }
                }
                b'{' | b'[' => {
                    let fits = match (self.open.last(), self.before) {
                        (None, before) => before.is_none(),
                        (Some(b'{'), before) => before == Some(b':'),
                        (Some(_), before) => matches!(before, Some(b'[' | b',')),
                    };
                    if !fits || self.open.len() >= MAX_DEPTH {
                        return Progress::Broken;
                    }
                    self.open.push(byte);
                }
                b'}' | b']' => {
                    let opened = self.open.pop();
                    if opened != Some(if byte == b'}' { b'{' } else { b'[' }) {
                        return Progress::Broken;
                    }
                }
                _ if self.open.is_empty() => return Progress::Broken,
                _ => {}
            }
            self.before = Some(byte);
        }
        if self.open.is_empty() { Progress::Whole } else { Progress::Open }
    }
}

/// Runs to the end of a string; strings do not span lines.
fn end_of_string(bytes: &mut impl Iterator<Item = u8>) -> bool {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}
