//! A small card that speaks SCP02 and checks no MAC, so that every command can be read.
#![allow(clippy::arithmetic_side_effects)] // a counter of a test

use std::collections::BTreeMap;

use crate::crypto::tdes::TdesKey;
use crate::keys::Scp02Key;
use crate::perso::parse_dgis;
use crate::secret::Secret;

pub(super) const STATIC: [u8; 16] =
    [0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F];

#[derive(Default)]
pub(super) struct Instance {
    pub(super) p2: u8,
    pub(super) data: Vec<u8>,
    /// Groupings as the card deciphered them.
    pub(super) stored: BTreeMap<u16, Vec<u8>>,
    pub(super) secret: Vec<(u16, bool)>,
    pub(super) complete: bool,
}

/// Where the line breaks: the command is lost, or its answer.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Torn {
    Command(usize),
    Answer(usize),
    Never,
}

pub(super) struct Card {
    pub(super) chip: [u8; 10],
    pub(super) key: [u8; 16],
    pub(super) sequence: u16,
    pub(super) instances: BTreeMap<Vec<u8>, Instance>,
    pub(super) selected: Vec<u8>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) unknown: Vec<u16>,
    pub(super) seen: Vec<Vec<u8>>,
    pub(super) torn: Torn,
    pub(super) waiting: Vec<u8>,
    /// Answers that stand in for the card's own, by the beginning of the command.
    pub(super) answers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Card {
    pub(super) fn new(serial: u8) -> Self {
        Self {
            chip: [0x47, 0x61, 0x73, 0xFF, 0xFF, 0xFF, 0, 0, 0, serial],
            key: STATIC,
            sequence: 0,
            instances: BTreeMap::new(),
            selected: Vec::new(),
            target: None,
            unknown: Vec::new(),
            seen: Vec::new(),
            torn: Torn::Never,
            waiting: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(super) fn transmit(&mut self, apdu: &[u8]) -> Option<Vec<u8>> {
        let count = self.seen.len();
        self.seen.push(apdu.to_vec());
        if self.torn == Torn::Command(count) {
            return None;
        }
        let made = self.answers.iter().position(|(start, _)| apdu.starts_with(start));
        let answer = match made {
            Some(at) => self.answers.remove(at).1,
            None => self.answer(apdu),
        };
        (self.torn != Torn::Answer(count)).then_some(answer)
    }

    fn sw(&self, sw: u16) -> Vec<u8> {
        sw.to_be_bytes().to_vec()
    }

    fn answer(&mut self, apdu: &[u8]) -> Vec<u8> {
        let data = match apdu.get(4) {
            Some(lc) if apdu.len() > 5 => apdu[5..5 + usize::from(*lc)].to_vec(),
            _ => Vec::new(),
        };
        match (apdu[0], apdu[1]) {
            (0x00, 0xA4) => {
                self.target = None;
                if data.is_empty() {
                    self.selected = data;
                    return self.sw(0x9000);
                }
                let Some(instance) = self.instances.get_mut(&data) else { return self.sw(0x6A82) };
                (instance.p2, instance.data) = (0, Vec::new());
                let fci =
                    instance.stored.get(&0x9102).filter(|_| instance.complete).cloned().unwrap_or_default();
                self.selected = data;
                [fci, vec![0x90, 0x00]].concat()
            }
            (0x00, 0xC0) => [std::mem::take(&mut self.waiting), vec![0x90, 0x00]].concat(),
            (0x80, 0x50) => {
                let challenge = [7; 6];
                let sequence = self.sequence.to_be_bytes();
                let enc = Scp02Key::Enc.derive(&Secret::copy_of(&self.key), sequence).unwrap();
                let mut text = [&data[..], &sequence, &challenge, &[0x80, 0, 0, 0, 0, 0, 0, 0]].concat();
                TdesKey::new(&enc).unwrap().encrypt_cbc([0; 8], &mut text).unwrap();
                [&self.chip[..], &[0x01, 0x02], &sequence, &challenge, &text[16..], &[0x90, 0x00]].concat()
            }
            (0x84, 0x82) => {
                self.sequence += 1;
                self.sw(0x9000)
            }
            (0x80, 0xE4) => {
                let found = self.instances.remove(&data[2..]).is_some();
                self.sw(if found { 0x9000 } else { 0x6A88 })
            }
            (0x80, 0xE6) if apdu[2] == 0x0C => {
                let module = usize::from(data[0]) + 1;
                let instance = module + usize::from(data[module]) + 1;
                let aid = data[instance + 1..][..usize::from(data[instance])].to_vec();
                if self.instances.contains_key(&aid) {
                    return self.sw(0x6985);
                }
                self.instances.insert(aid, Instance::default());
                vec![0x00, 0x90, 0x00]
            }
            (0x80, 0xE6) => {
                let aid = data[3..][..usize::from(data[2])].to_vec();
                let Some(instance) = self.instances.get_mut(&aid) else { return self.sw(0x6A88) };
                if instance.complete {
                    return self.sw(0x6985);
                }
                (instance.p2, instance.data) = (0, Vec::new());
                self.target = Some(aid);
                vec![0x00, 0x90, 0x00]
            }
            (0x80, 0xE2) => self.store(apdu[2], apdu[3], &data),
            (0x80, 0xD8) => [&data[..1], &[0x90, 0x00]].concat(),
            (0x80, 0xF0) => self.sw(0x9000),
            _ => self.sw(0x6D00),
        }
    }

    fn store(&mut self, p1: u8, p2: u8, data: &[u8]) -> Vec<u8> {
        let aid = self.target.clone().unwrap_or_else(|| self.selected.clone());
        if aid.is_empty() {
            return self.sw(if data.len() == 11 { 0x9000 } else { 0x6A80 });
        }
        let dek = Scp02Key::Dek.derive(&Secret::copy_of(&STATIC), (self.sequence - 1).to_be_bytes()).unwrap();
        let Some(instance) = self.instances.get_mut(&aid) else { return self.sw(0x6A88) };
        if instance.complete {
            return self.sw(0x6985);
        }
        if instance.p2 != p2 {
            return self.sw(0x6A86);
        }
        instance.p2 += 1;
        if instance.data.is_empty() && self.unknown.contains(&u16::from_be_bytes([data[0], data[1]])) {
            return self.sw(0x6A88);
        }
        instance.data.extend_from_slice(data);
        if let Ok(dgis) = parse_dgis(&instance.data) {
            for dgi in dgis {
                let mut value = dgi.value.to_vec();
                if p1 & 0x60 == 0x60 {
                    TdesKey::new(&dek).unwrap().decrypt_ecb(&mut value).unwrap();
                }
                instance.secret.push((dgi.tag.0, p1 & 0x60 == 0x60));
                instance.stored.insert(dgi.tag.0, value);
            }
            instance.data.clear();
        }
        if p1 & 0x80 != 0 {
            assert!(instance.data.is_empty(), "the last block came early");
            instance.complete = true;
        }
        self.sw(0x9000)
    }
}
