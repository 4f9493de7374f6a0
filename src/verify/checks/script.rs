//! The personalization script of an application against its DGIs (CPS, STORE DATA; GlobalPlatform 11.11).

use std::collections::BTreeSet;

use super::super::chip::Chip;
use super::super::line::{Protection, ScriptStep};
use super::super::report::{CheckName, Findings};

/// A command of ISO/IEC 7816-4, taken apart.
struct Command<'a> {
    cla: u8,
    ins: u8,
    p1: u8,
    p2: u8,
    data: &'a [u8],
}

fn command(apdu: &[u8]) -> Option<Command<'_>> {
    let ([cla, ins, p1, p2], body) = apdu.split_first_chunk::<4>()?;
    let data = match body {
        [] | [_] => &[],
        [0, high, low, rest @ ..] if rest.len() > 1 => {
            let len = usize::from(*high) << 8 | usize::from(*low);
            let (data, le) = rest.split_at_checked(len)?;
            matches!(le, [] | [0, 0]).then_some(data)?
        }
        [len, rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(*len))?;
            matches!(le, [] | [0]).then_some(data)?
        }
    };
    Some(Command { cla: *cla, ins: *ins, p1: *p1, p2: *p2, data })
}

/// DGIs one after the other: two bytes of name, length of one byte or FF and two, value.
fn split_dgi(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let ([high, low], rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match rest {
        [0xFF, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        [len, rest @ ..] => (usize::from(*len), rest),
        [] => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((u16::from_be_bytes([*high, *low]), value, rest))
}

/// Bytes that a DGI takes in STORE DATA.
fn encoded_len(value: &[u8]) -> usize {
    value.len().saturating_add(if value.len() > 254 { 5 } else { 3 })
}

/// How many commands the coming STORE DATA may have moved P2.
#[derive(Clone, Copy)]
enum Next {
    Exactly(u8),
    /// After secret DGIs of this many bytes, whose commands the device makes.
    After {
        first: u8,
        bytes: usize,
    },
}

impl Next {
    fn allows(self, p2: u8) -> bool {
        match self {
            Self::Exactly(n) => p2 == n,
            Self::After { first, bytes } => {
                let blocks = usize::from(p2.wrapping_sub(first));
                // A command carries at most 255 bytes of data, and hardly less than 64 under a secure channel.
                (bytes.div_ceil(255)..=bytes.div_ceil(64)).contains(&blocks)
            }
        }
    }
}

/// Checks the script, if there is one.
pub(in super::super) fn script(chip: &Chip<'_>, found: &mut Findings) {
    let Some(steps) = &chip.app.script else { return };
    match run(chip, steps) {
        Ok(()) => found.pass(CheckName::Script),
        Err(reason) => found.fail(CheckName::Script, reason),
    }
}

fn run(chip: &Chip<'_>, steps: &[ScriptStep]) -> Result<(), &'static str> {
    let mut seen: BTreeSet<u16> = BTreeSet::new();
    let mut open: Vec<u8> = Vec::new();
    let mut next = Next::Exactly(0);
    let mut selected = false;
    let mut ended = false;
    for step in steps {
        if ended {
            return Err("a step follows the last STORE DATA");
        }
        match step {
            ScriptStep::Apdu(bytes) => {
                let apdu = command(bytes).ok_or("a command is not one of ISO/IEC 7816-4")?;
                match (apdu.cla, apdu.ins) {
                    (0x00, 0xA4) => {
                        let first = !std::mem::replace(&mut selected, true);
                        if !first || (apdu.p1, apdu.p2) != (4, 0) || apdu.data != chip.app.aid {
                            return Err("SELECT is not the first command, or names another AID");
                        }
                    }
                    (0x80, 0xE2) => {
                        if apdu.p1 & 0x7F != 0 {
                            return Err("P1 of a clear STORE DATA is not 00 or 80");
                        }
                        if !selected || !next.allows(apdu.p2) {
                            return Err("P2 of STORE DATA does not count");
                        }
                        next = Next::Exactly(apdu.p2.wrapping_add(1));
                        ended = apdu.p1 & 0x80 != 0;
                        open.extend_from_slice(apdu.data);
                        let left = take_clear(chip, &open, &mut seen)?;
                        open = left;
                    }
                    _ => return Err("a command is neither SELECT nor STORE DATA"),
                }
            }
            ScriptStep::StoreData { p1, p2, dgis } => {
                if !open.is_empty() {
                    return Err("a clear DGI is cut by a secret one");
                }
                if p1 & 0x7F != 0x60 {
                    return Err("P1 of a secret STORE DATA is not 60 or E0");
                }
                if !selected || !next.allows(*p2) {
                    return Err("P2 of STORE DATA does not count");
                }
                ended = p1 & 0x80 != 0;
                let mut bytes = 0_usize;
                for tag in dgis {
                    let dgi = chip.app.dgi(*tag).filter(|d| d.protection == Protection::Transport);
                    let dgi = dgi.ok_or("the script sends a secret DGI that is not there")?;
                    if !seen.insert(*tag) {
                        return Err("the script sends a DGI twice");
                    }
                    bytes = bytes.saturating_add(encoded_len(&dgi.value));
                }
                if dgis.is_empty() {
                    return Err("a STORE DATA sends nothing");
                }
                next = Next::After { first: *p2, bytes };
            }
        }
    }
    if !ended {
        return Err("no STORE DATA is marked as the last");
    }
    if !open.is_empty() {
        return Err("the last DGI is cut short");
    }
    if chip.app.dgis.iter().any(|d| !seen.contains(&d.tag)) {
        return Err("the script leaves out a DGI");
    }
    Ok(())
}

/// Takes whole DGIs off the front; gives what is left of one that is cut.
fn take_clear(chip: &Chip<'_>, bytes: &[u8], seen: &mut BTreeSet<u16>) -> Result<Vec<u8>, &'static str> {
    let mut left = bytes;
    while let Some((tag, value, rest)) = split_dgi(left) {
        let completion = tag == 0x7FFF && chip.app.dgi(tag).is_none();
        let same = chip.clear(tag) == Some(value) || completion && value.is_empty();
        if !same {
            return Err("the script sends a DGI with another value");
        }
        if !seen.insert(tag) {
            return Err("the script sends a DGI twice");
        }
        left = rest;
    }
    Ok(left.to_vec())
}
