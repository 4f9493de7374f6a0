//! DGIs as text, `DGIxxxx=HEX` a line, as card tools take them (`gp --store-dgi-file`). Comments begin with `#` or `//`;
//! what says which card and application it is begins with `#@`, so that a tool that knows DGIs alone reads the lines of
//! one application.
//!
//! ```text
//! #@ format emv-dataprep/dgi/1
//! #@ card
//! #@ reference c-1
//! #@ transport-key
//! #@ transport-key-index 01
//! #@ application A0000000031010
//! #@ secret 8010
//! DGI9010=0303
//! DGI8010=0123456789ABCDEF
//! #@ end
//! ```

use zeroize::Zeroizing;

use super::chip_text::{CardReader, Line, Page, at_line, lines, tag, unknown_line};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::output::reader::upper_hex;
use crate::perso::record::ChipCard;
use crate::perso::{DgiTag, Protection, names};

/// The name of the format, and the first line of a file after `#@ format `.
pub const DGI_FORMAT: &str = "emv-dataprep/dgi/1";
const DIRECTIVE: &str = "#@ ";

/// The lines of one card. A file begins with [`header`].
///
/// # Errors
/// [`ErrorKind::Format`] for a reference that is not one word; [`ErrorKind::Missing`] for an application without DGIs.
pub fn write(card: &ChipCard) -> Result<Zeroizing<String>> {
    let mut page = Page::new(DIRECTIVE, card);
    page.head(card)?;
    for application in &card.applications {
        page.directive("application", &application.aid.to_string());
        if application.dgis.dgis().is_empty() {
            return Err(
                Error::new(ErrorKind::Missing("a DGI")).at(format!("application {}", application.aid))
            );
        }
        let secret = application.dgis.dgis().iter().filter(|d| d.protection == Protection::Transport);
        let secret: Vec<String> = secret.map(|d| d.tag.to_string()).collect();
        if !secret.is_empty() {
            page.directive("secret", &secret.join(" "));
        }
        for dgi in application.dgis.dgis() {
            page.comment(names::describe(dgi.tag).0.as_ref());
            page.data(&format!("DGI{}=", dgi.tag), &dgi.value);
        }
    }
    page.directive("end", "");
    Ok(page.done())
}

/// The first line of a file.
#[must_use]
pub fn header() -> String {
    format!("{DIRECTIVE}format {DGI_FORMAT}\n")
}

/// The cards of a file.
///
/// # Errors
/// With the line as the place: [`ErrorKind::Unknown`] for another format or a line that is not known, [`ErrorKind::Missing`]
/// for what the file lacks (a file that ends early lacks `end`), and those of the values.
///
/// ```
/// use emv_dataprep::output::formats::dgi_lines;
/// let text = "#@ format emv-dataprep/dgi/1\n#@ card\n#@ application A0000000031010\nDGI9010=0303\n#@ end\n";
/// let cards = dgi_lines::read(text)?;
/// assert_eq!(cards[0].applications[0].dgis.dgis()[0].value, [3, 3]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn read(text: &str) -> Result<Vec<ChipCard>> {
    let mut cards = Vec::new();
    let mut open: Option<(CardReader, Vec<DgiTag>)> = None;
    let mut is_known = false;
    for (number, line) in lines(text, DIRECTIVE, &["#", "//"]) {
        at_line(read_line(&line, &mut is_known, &mut open, &mut cards), number)?;
    }
    if open.is_some() {
        return Err(ErrorKind::Missing("the end of the last card").into());
    }
    if !is_known {
        return Err(ErrorKind::Missing("the format").into());
    }
    Ok(cards)
}

type Open = Option<(CardReader, Vec<DgiTag>)>;

fn read_line(line: &Line<'_>, is_known: &mut bool, open: &mut Open, cards: &mut Vec<ChipCard>) -> Result<()> {
    if !*is_known {
        if !matches!(line, Line::Directive("format", DGI_FORMAT)) {
            return Err(ErrorKind::Unknown("this format").into());
        }
        *is_known = true;
        return Ok(());
    }
    let all_seen = |secret: &[DgiTag]| match secret {
        [] => Ok(()),
        _ => Err(Error::new(ErrorKind::Missing("a secret DGI that was announced"))),
    };
    match (line, open.as_mut()) {
        (Line::Directive("card", ""), None) => *open = Some(Default::default()),
        (Line::Directive("application", aid), Some((card, secret))) => {
            all_seen(secret)?;
            card.application(aid)?;
        }
        (Line::Directive("secret", tags), Some((card, secret))) => {
            card.aid()?;
            if !secret.is_empty() {
                return Err(ErrorKind::Duplicate("this line").into());
            }
            for text in tags.split(' ') {
                secret.push(tag(text)?);
            }
        }
        (Line::Directive("end", ""), Some((_, secret))) => {
            all_seen(secret)?;
            if let Some((card, _)) = open.take() {
                cards.push(card.finish()?);
            }
        }
        (Line::Directive(word, rest), Some((card, _))) => {
            if !card.head(word, rest)? {
                return Err(unknown_line());
            }
        }
        (Line::Data(data), Some((card, secret))) => {
            let (name, value) = data.split_once('=').ok_or_else(unknown_line)?;
            let tag = tag(name.strip_prefix("DGI").ok_or_else(unknown_line)?)?;
            let at = secret.iter().position(|s| *s == tag);
            let protection = if at.is_some() { Protection::Transport } else { Protection::None };
            card.dgi(tag, upper_hex(value).at_with(|| format!("DGI {tag}"))?, protection)?;
            if let Some(at) = at {
                secret.remove(at);
            }
        }
        _ => return Err(unknown_line()),
    }
    Ok(())
}
