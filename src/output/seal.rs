use crate::crypto::rng::Seed;
use crate::error::Result;
use crate::profile::DestinationId;

/// How the lines of a file are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One envelope around all lines.
    Whole,
    /// One envelope a line: an agent takes one card at a time.
    EachLine,
}

/// A file that is about to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// Batch id.
    pub batch: &'a str,
    /// Path in the output folder.
    pub file: &'a str,
    /// How its lines are sealed.
    pub form: Form,
}

/// What the protected header of an envelope says of its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Batch id.
    pub batch: String,
    /// Path in the output folder.
    pub file: String,
    /// 1-based line in the file; `None` for an envelope around all lines.
    pub line: Option<u64>,
    /// How many cards (mailers, returns) the file holds.
    pub cards: u64,
}

/// Seals bytes for a destination.
pub trait Sealer: Sync {
    /// One envelope. Its ephemeral key and IV come from the seed, bound to label and plaintext, so that no key and IV
    /// ever meet two plaintexts.
    ///
    /// # Errors
    /// If the destination has no key.
    fn seal(&self, to: &DestinationId, label: &Label, plaintext: &[u8], seed: &Seed) -> Result<String>;
}

/// Seals the lines of a file: its text.
///
/// # Errors
/// Those of the sealer.
pub fn seal(
    sealer: &dyn Sealer,
    to: &DestinationId,
    sheet: &Sheet<'_>,
    lines: &[&[u8]],
    seed: &Seed,
) -> Result<String> {
    let cards = lines.len() as u64;
    let label = |line| Label { batch: sheet.batch.to_owned(), file: sheet.file.to_owned(), line, cards };
    match sheet.form {
        Form::Whole => {
            let len = lines.iter().map(|l| l.len().saturating_add(1)).sum();
            let mut text = zeroize::Zeroizing::new(Vec::with_capacity(len));
            for line in lines {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            sealer.seal(to, &label(None), &text, seed)
        }
        Form::EachLine => {
            let mut out = String::new();
            for (line, number) in lines.iter().zip(1_u64..) {
                out.push_str(&sealer.seal(to, &label(Some(number)), line, seed)?);
                out.push('\n');
            }
            Ok(out)
        }
    }
}
