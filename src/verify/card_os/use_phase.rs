//! A personalized application in use: SELECT, GET PROCESSING OPTIONS, READ RECORD, GET DATA, INTERNAL AUTHENTICATE and the
//! first GENERATE AC (EMV 4.4 Book 1, 11.3; Book 3, 6.5).

use super::applet::{Applet, AppletRules, AppletState, GPO, INTERNAL, proprietary};
use super::command::{Answer, Command, StatusWord, tlv as object};
use crate::crypto::hash::sha1;
use crate::secret::Secret;
use crate::verify::chip::{Kind, gpo_response};
use crate::verify::line::Interface;
use crate::verify::terminal::cryptogram;
use crate::verify::tlv;

/// What the terminal has done since SELECT.
#[derive(Default)]
pub(super) struct Transaction {
    /// AIP of the GPO response, once asked for.
    aip: Option<[u8; 2]>,
    /// The first application cryptogram is made.
    decided: bool,
}

/// Length of the data that a DOL asks for.
fn asked(list: &[u8]) -> Option<usize> {
    Some(tlv::dol(list)?.into_iter().map(|(_, len)| usize::from(len)).sum())
}

impl Applet {
    /// The SELECT response.
    pub(super) fn fci(&self, interface: Interface) -> Vec<u8> {
        let name = object(0x84, &self.aid);
        let personalized = self.state == AppletState::Personalized;
        let Some(fci) = self.select_response(interface).filter(|_| personalized) else {
            return object(0x6F, &[name, object(0xA5, &[])].concat());
        };
        if fci.first() == Some(&0x6F) { fci.to_vec() } else { object(0x6F, &[&name, fci].concat()) }
    }

    fn select_response(&self, interface: Interface) -> Option<&[u8]> {
        let contact = || self.get(0x9102);
        match interface {
            Interface::Contact => contact().or_else(|| self.get(0x9103)),
            Interface::Contactless => self.get(0x9103).or_else(contact),
        }
    }

    /// A data object of the internal lists, the GPO response or the records.
    fn data_object(&self, tag: u32) -> Option<&[u8]> {
        let lists = INTERNAL.iter().chain(&GPO).filter_map(|tag| self.get(*tag));
        let records = self.held.iter().filter(|(tag, _)| **tag < 0x1F00).map(|(_, v)| v.expose());
        lists.chain(records).find_map(|list| {
            let inner = tlv::only(list, 0x70).unwrap_or(list);
            tlv::objects(inner)?.into_iter().find(|o| o.tag == tag).map(|o| o.value)
        })
    }

    /// A command to a personalized application.
    pub(super) fn use_command(
        &mut self,
        command: &Command,
        interface: Interface,
        rules: &AppletRules,
    ) -> Answer {
        if self.state != AppletState::Personalized {
            return Err(match command.ins {
                0x88 | 0xA8 | 0xAE | 0xB2 | 0xCA => StatusWord::CONDITIONS,
                _ => StatusWord::NO_INSTRUCTION,
            });
        }
        match (command.cla, command.ins) {
            (0x00, 0xB2) => self.read_record(command),
            (0x80, 0xCA) => self.get_data(command),
            (_, _) if self.kind != Kind::Payment => Err(StatusWord::NO_INSTRUCTION),
            (0x80, 0xA8) => self.processing_options(command, interface, rules),
            (0x00, 0x88) => self.internal_authenticate(command),
            (0x80, 0xAE) => self.generate_ac(command, rules),
            (0x00 | 0x80, 0xB2 | 0xCA | 0xA8 | 0x88 | 0xAE) => Err(StatusWord::NO_CLASS),
            _ => Err(StatusWord::NO_INSTRUCTION),
        }
    }

    fn read_record(&self, command: &Command) -> Answer {
        if command.p2 & 7 != 4 || command.p1 == 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        let tag = u16::from_be_bytes([command.p2 >> 3, command.p1]);
        self.get(tag).map(<[u8]>::to_vec).ok_or(StatusWord::NO_RECORD)
    }

    fn get_data(&self, command: &Command) -> Answer {
        let tag = u32::from(command.p1_p2());
        let value = match tag {
            0x9F36 => self.atc.to_be_bytes().to_vec(),
            0x9F13 => self.data_object(tag).unwrap_or(&[0, 0]).to_vec(),
            0x9F17 => {
                self.get(0x9010).and_then(|v| v.first_chunk::<1>()).ok_or(StatusWord::NO_DATA)?.to_vec()
            }
            0x9F4F | 0x9F51..=0x9F59 | 0x9F5C | 0x9F68 | 0x9F72 | 0x9F73 | 0x9F75 | 0x9F77..=0x9F79 => {
                self.data_object(tag).ok_or(StatusWord::NO_DATA)?.to_vec()
            }
            _ => return Err(StatusWord::NO_DATA),
        };
        Ok(object(tag, &value))
    }

    fn processing_options(&mut self, command: &Command, interface: Interface, rules: &AppletRules) -> Answer {
        if command.p1_p2() != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        if self.transaction.aip.is_some() {
            return Err(StatusWord::CONDITIONS);
        }
        let pdol = self
            .select_response(interface)
            .and_then(|fci| tlv::objects(proprietary(fci)?)?.into_iter().find(|o| o.tag == 0x9F38))
            .map_or(Some(0), |o| asked(o.value));
        let data = tlv::only(&command.data, 0x83).ok_or(StatusWord::WRONG_DATA)?.to_vec();
        if pdol != Some(data.len()) {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let contactless = || GPO.iter().find(|tag| self.get(**tag).is_some());
        let tag = match interface {
            Interface::Contact => [0x9104].iter().find(|tag| self.get(**tag).is_some()).or_else(contactless),
            Interface::Contactless => contactless(),
        };
        let tag = *tag.ok_or(StatusWord::CONDITIONS)?;
        let value = self.get(tag).unwrap_or_default().to_vec();
        let (aip, afl, _) = gpo_response(tag, &value).ok_or(StatusWord::CONDITIONS)?;
        self.atc = self.atc.checked_add(1).ok_or(StatusWord::CONDITIONS)?;
        self.transaction.aip = Some(aip);
        let inner = tlv::only(&value, 0x77).unwrap_or(&value);
        let objects = tlv::objects(inner).unwrap_or_default();
        if tlv::only(&value, 0x80).is_some() || !objects.iter().any(|o| o.tag != 0x82 && o.tag != 0x94) {
            return Ok(object(0x80, &[&aip, afl].concat()));
        }
        // Everything in one answer (contactless): counter and cryptogram are the card's own.
        let mut out = Vec::new();
        for o in objects {
            let made = match o.tag {
                0x9F36 => self.atc.to_be_bytes().to_vec(),
                0x9F27 => vec![0x80],
                0x9F26 => self.application_cryptogram(&data, aip, rules)?.to_vec(),
                _ => o.value.to_vec(),
            };
            out.extend(object(o.tag, &made));
        }
        Ok(object(0x77, &out))
    }

    fn application_cryptogram(
        &self,
        data: &[u8],
        aip: [u8; 2],
        rules: &AppletRules,
    ) -> Result<[u8; 8], StatusWord> {
        let aes = rules.cipher.is_aes();
        let len = if rules.cipher == super::CardKeyCipher::Aes256 { 32 } else { 16 };
        let key = self.get(0x8000).and_then(|keys| keys.get(..len)).map(Secret::copy_of);
        let input = [data, &aip, &self.atc.to_be_bytes()].concat();
        key.and_then(|key| cryptogram(&key, aes, self.atc.to_be_bytes(), &input))
            .ok_or(StatusWord::CONDITIONS)
    }

    /// DDA: the signature over the terminal's data (Book 2, 6.5.2), as format 1.
    fn internal_authenticate(&self, command: &Command) -> Answer {
        let private = self.signature_key.as_ref().ok_or(StatusWord::CONDITIONS)?;
        if command.p1_p2() != 0 {
            return Err(StatusWord::WRONG_P1_P2);
        }
        if self.transaction.aip.is_none() {
            return Err(StatusWord::CONDITIONS);
        }
        let ddol = self.data_object(0x9F49).unwrap_or(&[0x9F, 0x37, 4]);
        if asked(ddol) != Some(command.data.len()) {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let len = private.modulus_len();
        let [high, low] = self.atc.to_be_bytes();
        // ICC dynamic number of eight bytes: here it counts with the ATC.
        let mut block = vec![0x6A, 5, 1, 9, 8, 0x1D, 0xE2, 0xA3, 0x54, 0xC5, 0x76, high, low];
        let end = len.checked_sub(21).filter(|end| *end >= block.len()).ok_or(StatusWord::CONDITIONS)?;
        block.resize(end, 0xBB);
        let hash = sha1(&[block.get(1..).unwrap_or_default(), &command.data]);
        block.extend(hash);
        block.push(0xBC);
        private.sign(&block, len).map(|sdad| object(0x80, &sdad)).ok_or(StatusWord::CONDITIONS)
    }

    /// The first GENERATE AC: an ARQC, or an AAC when the terminal asks for one; format 1.
    fn generate_ac(&mut self, command: &Command, rules: &AppletRules) -> Answer {
        let aip = self.transaction.aip.filter(|_| !self.transaction.decided).ok_or(StatusWord::CONDITIONS)?;
        let cid = match command.p1 {
            0x00 => 0x00,
            0x40 | 0x80 => 0x80,
            _ => return Err(StatusWord::WRONG_P1_P2),
        };
        let cdol = self.data_object(0x8C).ok_or(StatusWord::CONDITIONS)?;
        if asked(cdol) != Some(command.data.len()) {
            return Err(StatusWord::WRONG_LENGTH);
        }
        let ac = self.application_cryptogram(&command.data, aip, rules)?;
        self.transaction.decided = true;
        let iad = self.data_object(0x9F10).unwrap_or_default();
        Ok(object(0x80, &[&[cid][..], &self.atc.to_be_bytes(), &ac, iad].concat()))
    }
}
