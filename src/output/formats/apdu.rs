//! APDU scripts as text: one command a line in hexadecimal, comments begin with `#`, everything else with `.`.
//!
//! The commands are those before secure messaging: whoever holds the channel adds it. A secret DGI is no command, since it
//! is under the transport key: `.recipher P1 P2` begins a STORE DATA whose DGIs, the lines `.secret` after it, first go
//! to the session's key, as [`crate::perso::script`] says.
//!
//! ```text
//! .format emv-dataprep/apdu/1
//! .card
//! .reference c-1
//! .application A0000000031010
//! # SELECT
//! 00A4040007A000000003101000
//! # STORE DATA: 9010
//! 80E200000590100203 03
//! .recipher E0 01
//! .secret 8010 0123456789ABCDEF
//! .end
//! ```

use zeroize::Zeroizing;

use super::chip_text::{CardReader, Line, Page, at_line, lines, tag, unknown_line};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::output::CardLine;
use crate::output::reader::upper_hex;
use crate::perso::record::{ChipApplication, ChipCard};
use crate::perso::script::select;
use crate::perso::{DgiTag, Protection, Script, ScriptPlan, ScriptStep, parse_dgis};

/// The name of the format, and the first line of a file after `.format `.
pub const APDU_FORMAT: &str = "emv-dataprep/apdu/1";
const DIRECTIVE: &str = ".";

/// A card with the script of each application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedCard {
    /// The card.
    pub card: ChipCard,
    /// One script for each application, in their order.
    pub scripts: Vec<Script>,
}

impl ScriptedCard {
    /// The card of a line with the scripts that stand there; an application without one gets that of the default plan.
    ///
    /// # Errors
    /// Those of [`Script::build`].
    pub fn of_line(line: &CardLine) -> Result<Self> {
        let card = line.chip();
        let scripts = line.applications.iter().zip(&card.applications).map(|(a, chip)| match &a.script {
            Some(script) => Ok(script.clone()),
            None => built(chip),
        });
        Ok(Self { scripts: scripts.collect::<Result<_>>()?, card })
    }

    /// A card with the scripts of the default plan.
    ///
    /// # Errors
    /// Those of [`Script::build`].
    pub fn of_chip(card: ChipCard) -> Result<Self> {
        let scripts = card.applications.iter().map(built).collect::<Result<_>>()?;
        Ok(Self { card, scripts })
    }
}

fn built(application: &ChipApplication) -> Result<Script> {
    let script = Script::build(&application.aid, &application.dgis, &ScriptPlan::default());
    script.at_with(|| format!("application {}", application.aid))
}

/// The first line of a file.
#[must_use]
pub fn header() -> String {
    format!("{DIRECTIVE}format {APDU_FORMAT}\n")
}

/// The lines of one card. A file begins with [`header`].
///
/// # Errors
/// [`ErrorKind::Value`] for a script that is not the one of its application: another SELECT, other DGIs or another order.
pub fn write(scripted: &ScriptedCard) -> Result<Zeroizing<String>> {
    let card = &scripted.card;
    if scripted.scripts.len() != card.applications.len() {
        return Err(ErrorKind::Missing("the script of an application").into());
    }
    let mut page = Page::new(DIRECTIVE, card);
    page.head(card)?;
    for (application, script) in card.applications.iter().zip(&scripted.scripts) {
        let place = || format!("application {}", application.aid);
        let found = dgis_of(script, application.aid.as_bytes(), |tag| {
            application.dgis.get(tag).map(|d| d.value.clone())
        });
        let own = application.dgis.dgis().iter().map(|d| (d.tag, d.value.as_slice(), d.protection));
        let found = found.at_with(place)?;
        if !found.iter().map(|(t, v, p)| (*t, v.as_slice(), *p)).eq(own) {
            let what = ErrorKind::Value("the script stores other DGIs than the application has");
            return Err(Error::new(what).at(place()));
        }
        page.directive("application", &application.aid.to_string());
        for step in &script.0 {
            match step {
                ScriptStep::Apdu(apdu) => {
                    page.comment(comment(apdu));
                    page.data("", apdu);
                }
                ScriptStep::StoreData { p1, p2, dgis } => {
                    page.comment("STORE DATA, to be reciphered");
                    page.directive("recipher", &format!("{p1:02X} {p2:02X}"));
                    for tag in dgis {
                        let value = application.dgis.get(*tag).map(|d| d.value.as_slice());
                        page.data(&format!("{DIRECTIVE}secret {tag} "), value.unwrap_or_default());
                    }
                }
            }
        }
    }
    page.directive("end", "");
    Ok(page.done())
}

fn comment(apdu: &[u8]) -> &'static str {
    match apdu {
        [0x00, 0xA4, ..] => "SELECT",
        [0x80, 0xE2, p1, ..] if p1 & crate::perso::script::P1_LAST != 0 => "STORE DATA, last",
        [0x80, 0xE2, ..] => "STORE DATA",
        _ => "command",
    }
}

type Stored = (DgiTag, Vec<u8>, Protection);

/// The DGIs that a script stores, in order: clear ones out of its commands, secret ones by `secret`. The completion
/// (7FFF) is none of them.
fn dgis_of(script: &Script, aid: &[u8], secret: impl Fn(DgiTag) -> Option<Vec<u8>>) -> Result<Vec<Stored>> {
    let mut steps = script.0.iter();
    let first = crate::emv::Aid::new(aid).map(|aid| select(&aid))?;
    if !matches!(steps.next(), Some(ScriptStep::Apdu(apdu)) if *apdu == first) {
        return Err(ErrorKind::Value("a script begins with SELECT of its application").into());
    }
    let mut out: Vec<Stored> = Vec::new();
    let mut run = Zeroizing::new(Vec::new());
    let close = |run: &mut Zeroizing<Vec<u8>>, out: &mut Vec<Stored>| -> Result<()> {
        out.extend(parse_dgis(run)?.iter().map(|d| (d.tag, d.value.to_vec(), Protection::None)));
        run.clear();
        Ok(())
    };
    for step in steps {
        match step {
            ScriptStep::Apdu(apdu) => match apdu.split_at_checked(5) {
                Some(([0x80, 0xE2, _, _, lc], data)) if data.len() == usize::from(*lc) => {
                    run.extend_from_slice(data);
                }
                _ => return Err(ErrorKind::Value("a command of a script is STORE DATA").into()),
            },
            ScriptStep::StoreData { dgis, .. } => {
                close(&mut run, &mut out)?;
                for tag in dgis {
                    let value = secret(*tag).ok_or(ErrorKind::Missing("a secret DGI"))?;
                    out.push((*tag, value, Protection::Transport));
                }
            }
        }
    }
    close(&mut run, &mut out)?;
    if matches!(out.last(), Some((DgiTag::COMPLETION, value, _)) if value.is_empty()) {
        out.pop();
    }
    Ok(out)
}

/// The cards of a file with their scripts.
///
/// # Errors
/// With the line as the place: [`ErrorKind::Unknown`] for another format or a line that is not known, [`ErrorKind::Missing`]
/// for what the file lacks, [`ErrorKind::Value`] for a command that has no place in a script.
///
/// ```
/// use emv_dataprep::output::formats::apdu;
/// let text = ".format emv-dataprep/apdu/1\n.card\n.application A0000000031010\n00A4040007A000000003101000\n\
///             80E280000590100203 03\n.end\n";
/// let card = apdu::read(&text.replace(" 03", "03"))?.remove(0);
/// assert_eq!(card.card.applications[0].dgis.dgis()[0].value, [3, 3]);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
pub fn read(text: &str) -> Result<Vec<ScriptedCard>> {
    let mut reader = Reader::default();
    for (number, line) in lines(text, DIRECTIVE, &["#"]) {
        at_line(reader.line(&line), number)?;
    }
    if reader.open.is_some() {
        return Err(ErrorKind::Missing("the end of the last card").into());
    }
    if !reader.is_known {
        return Err(ErrorKind::Missing("the format").into());
    }
    Ok(reader.cards)
}

#[derive(Default)]
struct Reader {
    is_known: bool,
    open: Option<OpenCard>,
    cards: Vec<ScriptedCard>,
}

#[derive(Default)]
struct OpenCard {
    card: CardReader,
    scripts: Vec<Script>,
    steps: Option<Steps>,
}

/// The script of the application that is open, and its secret DGIs.
#[derive(Default)]
struct Steps {
    script: Vec<ScriptStep>,
    secret: Vec<(DgiTag, Vec<u8>)>,
}

impl Reader {
    fn line(&mut self, line: &Line<'_>) -> Result<()> {
        if !self.is_known {
            if !matches!(line, Line::Directive("format", APDU_FORMAT)) {
                return Err(ErrorKind::Unknown("this format").into());
            }
            self.is_known = true;
            return Ok(());
        }
        match (line, self.open.as_mut()) {
            (Line::Directive("card", ""), None) => self.open = Some(OpenCard::default()),
            (Line::Directive("application", aid), Some(open)) => {
                open.close()?;
                open.card.application(aid)?;
                open.steps = Some(Steps::default());
            }
            (Line::Directive("end", ""), Some(open)) => {
                open.close()?;
                if let Some(open) = self.open.take() {
                    self.cards.push(ScriptedCard { card: open.card.finish()?, scripts: open.scripts });
                }
            }
            (Line::Directive("recipher", rest), Some(open)) => {
                let (p1, p2) = rest.split_once(' ').ok_or_else(unknown_line)?;
                let step = ScriptStep::StoreData { p1: byte(p1)?, p2: byte(p2)?, dgis: Vec::new() };
                open.steps()?.script.push(step);
            }
            (Line::Directive("secret", rest), Some(open)) => {
                let (name, value) = rest.split_once(' ').ok_or_else(unknown_line)?;
                let tag = tag(name)?;
                let value = upper_hex(value).at_with(|| format!("DGI {tag}"))?;
                let steps = open.steps()?;
                let Some(ScriptStep::StoreData { dgis, .. }) = steps.script.last_mut() else {
                    return Err(ErrorKind::Missing("the line recipher").into());
                };
                dgis.push(tag);
                if steps.secret.iter().any(|(t, _)| *t == tag) {
                    return Err(ErrorKind::Duplicate("a DGI").into());
                }
                steps.secret.push((tag, value));
            }
            (Line::Directive(word, rest), Some(open)) => {
                if !open.card.head(word, rest)? {
                    return Err(unknown_line());
                }
            }
            (Line::Data(data), Some(open)) => {
                let apdu = upper_hex(data)?;
                open.steps()?.script.push(ScriptStep::Apdu(apdu));
            }
            _ => return Err(unknown_line()),
        }
        Ok(())
    }
}

impl OpenCard {
    fn steps(&mut self) -> Result<&mut Steps> {
        Ok(self.steps.as_mut().ok_or(ErrorKind::Missing("the application"))?)
    }

    fn close(&mut self) -> Result<()> {
        let Some(steps) = self.steps.take() else { return Ok(()) };
        let script = Script(steps.script);
        if script.0.iter().any(|s| matches!(s, ScriptStep::StoreData { dgis, .. } if dgis.is_empty())) {
            return Err(ErrorKind::Missing("the secret DGI of a step").into());
        }
        let aid = self.card.aid()?.as_bytes().to_vec();
        let value = |tag| steps.secret.iter().find(|(t, _)| *t == tag).map(|(_, v)| v.clone());
        for (tag, value, protection) in dgis_of(&script, &aid, value)? {
            self.card.dgi(tag, value, protection)?;
        }
        self.scripts.push(script);
        Ok(())
    }
}

fn byte(text: &str) -> Result<u8> {
    match upper_hex(text)?.as_slice() {
        [byte] => Ok(*byte),
        _ => Err(ErrorKind::Format("two hexadecimal digits").into()),
    }
}
