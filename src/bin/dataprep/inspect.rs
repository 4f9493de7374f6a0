//! `dataprep inspect`: one prepared card, DGIs or data objects as a readable tree.

use std::io;
use std::path::PathBuf;

use emv_dataprep::bytes::from_hex;
use emv_dataprep::emv;
use emv_dataprep::emv::describe::Masking;
use emv_dataprep::error::{Error, ErrorKind, Place, Result};
use emv_dataprep::perso;

/// Show a prepared card, DGIs or data objects as a readable tree. Card values are masked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: dataprep inspect cards-000000.jsonl --line 1\n         \
                        dataprep inspect --tlv 70065F2403301231")]
pub(crate) struct Args {
    /// File of prepared cards in clear (JSON Lines, as `open` and `--plain` give it); - reads standard input
    #[arg(required_unless_present_any = ["tlv", "dgi"])]
    file: Option<PathBuf>,
    /// The line to show, from 1 (default 1)
    #[arg(long, value_name = "N", conflicts_with = "card", requires = "file")]
    line: Option<usize>,
    /// The card to show, by its cardId
    #[arg(long, value_name = "ID", requires = "file")]
    card: Option<String>,
    /// Data objects (BER-TLV) in hexadecimal; - reads standard input
    #[arg(long, value_name = "HEX", conflicts_with_all = ["file", "dgi"])]
    tlv: Option<String>,
    /// Data groupings in hexadecimal; - reads standard input
    #[arg(long, value_name = "HEX", conflicts_with = "file")]
    dgi: Option<String>,
    /// Show card values that stand in clear in the input
    #[arg(long)]
    unmask: bool,
}

/// Where the text to show comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// Standard input.
    Stdin,
    /// A file.
    File(&'a std::path::Path),
}

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input cannot be read.
    Io(io::Error),
    /// The input is not what it should be.
    Data(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Data(error)
    }
}

/// Renders what `args` name; `read` gives the text of a source.
pub(crate) fn run(
    args: &Args,
    read: impl FnOnce(Source<'_>) -> io::Result<String>,
) -> std::result::Result<String, Failure> {
    let masking = if args.unmask { Masking::Unmasked } else { Masking::Masked };
    if let Some(text) = &args.tlv {
        let bytes = hex_input(text, read)?;
        return Ok(emv::tree::render(&bytes, masking, 0)?);
    }
    if let Some(text) = &args.dgi {
        let bytes = hex_input(text, read)?;
        return Ok(perso::tree::render_dgis(&bytes, masking)?);
    }
    let path = args.file.as_deref().ok_or(Error::new(ErrorKind::Missing("a file")))?;
    let source = if path.as_os_str() == "-" { Source::Stdin } else { Source::File(path) };
    let text = read(source).map_err(Failure::Io)?;
    let (number, line) = chosen(&text, args)?;
    Ok(perso::tree::render_card_line(line, masking).at_with(|| format!("line {number}"))?)
}

fn hex_input(
    text: &str,
    read: impl FnOnce(Source<'_>) -> io::Result<String>,
) -> std::result::Result<Vec<u8>, Failure> {
    let text = if text == "-" { read(Source::Stdin).map_err(Failure::Io)? } else { text.to_owned() };
    let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    Ok(from_hex(&packed)?)
}

/// The line that the arguments name, with its number from 1.
fn chosen<'t>(text: &'t str, args: &Args) -> Result<(usize, &'t str)> {
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let found = match &args.card {
        Some(id) => lines.find(|(_, line)| card_id(line).as_deref() == Some(id)),
        None => lines.find(|(number, _)| *number == args.line.unwrap_or(1)),
    };
    let missing = if args.card.is_some() { "a line with this cardId" } else { "this line" };
    found.ok_or_else(|| ErrorKind::Missing(missing).into())
}

fn card_id(line: &str) -> Option<String> {
    let card: serde_json::Value = serde_json::from_str(line).ok()?;
    card.get("cardId")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn try_args(words: &[&str]) -> std::result::Result<Args, clap::Error> {
        Program::try_parse_from(["inspect"].iter().chain(words)).map(|p| p.args)
    }

    fn shown(words: &[&str], input: &str) -> std::result::Result<String, String> {
        run(&try_args(words).unwrap(), |_| Ok(input.to_owned())).map_err(|e| format!("{e:?}"))
    }

    const CARDS: &str = "{\"format\":\"emv-dataprep/card/1\",\"position\":1,\"cardId\":\"a\"}\n\
                         {\"format\":\"emv-dataprep/card/1\",\"position\":2,\"cardId\":\"b\"}\n";

    #[test]
    fn lines_and_cards_are_found() {
        assert_eq!(shown(&["x"], CARDS).unwrap(), "Card a, position 1\n");
        assert_eq!(shown(&["x", "--line", "2"], CARDS).unwrap(), "Card b, position 2\n");
        assert_eq!(shown(&["-", "--card", "b"], CARDS).unwrap(), "Card b, position 2\n");
        assert!(shown(&["x", "--line", "3"], CARDS).unwrap_err().contains("this line is missing"));
        assert!(shown(&["x", "--card", "c"], CARDS).unwrap_err().contains("cardId is missing"));
        assert!(shown(&["x"], "not JSON").unwrap_err().contains("line 1: "));
    }

    #[test]
    fn hexadecimal_from_the_command_line_and_standard_input() {
        let want = "5F34 Application Primary Account Number (PAN) Sequence Number: 01\n";
        assert_eq!(shown(&["--tlv", "5f340101"], "").unwrap(), want);
        assert_eq!(shown(&["--tlv", "-"], "5F34 01\n01\n").unwrap(), want);
        assert!(
            shown(&["--dgi", "9010020303"], "").unwrap().starts_with("DGI 9010 PIN try counter and limit")
        );
        assert!(shown(&["--tlv", "5F3"], "").is_err());
        let pan = ["--tlv", "5A084761739001010010"];
        assert!(!shown(&pan, "").unwrap().contains("4761739001010010"));
        assert!(shown(&[pan[0], pan[1], "--unmask"], "").unwrap().contains("4761739001010010"));
    }

    #[test]
    fn usage() {
        assert!(try_args(&[]).is_err());
        assert!(try_args(&["x", "--tlv", "00"]).is_err());
        assert!(try_args(&["x", "--line", "1", "--card", "a"]).is_err());
        assert!(try_args(&["--tlv", "00", "--dgi", "00"]).is_err());
    }
}
