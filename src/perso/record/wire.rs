use std::fmt;

use super::RecordMac;
use super::framing::{put_ber, put1, put2, take_ber, take1, take2};
use super::mac::KEY_LEN;
use super::settings::{CplcUpdate, CpsSettings, ListFraming, MacSpan, SecurityLevel};
use crate::bytes::Cursor;
use crate::emv::Aid;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::perso::{DgiTag, encode_dgi, parse_dgis};

/// A CPS record, member by member. [`CpsRecord::encode`] and [`read_records`] are inverse to each other for the same
/// settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpsRecord {
    /// CRN; empty: absent.
    pub reference: Vec<u8>,
    /// Section 3, one for each application.
    pub applications: Vec<RecordApplication>,
}

/// Section 3: one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordApplication {
    /// The application to SELECT.
    pub aid: Aid,
    /// TKDATA: which DGIs are under which key.
    pub transport: Vec<TransportEntry>,
    /// IDOWNER.
    pub owner: Vec<u8>,
    /// Processing steps.
    pub steps: Vec<ProcessingStep>,
    /// LOGDATA.
    pub log_data: Vec<u8>,
    /// IC data, by the tag of its step.
    pub data: Vec<DataBlock>,
    /// 3d.
    pub mac: Option<RecordMac>,
}

/// One transport key and the DGIs under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportEntry {
    /// IDTK.
    pub key_id: Vec<u8>,
    /// CMODE.
    pub mode: u8,
    /// The DGIs.
    pub dgis: Vec<DgiTag>,
}

/// One processing step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessingStep {
    /// ACT.
    pub action: u8,
    /// REQ.
    pub requirement: u8,
    /// TAG of its data block.
    pub tag: u8,
    /// PDI.
    pub instructions: DeviceInstructions,
    /// POINTER.
    pub pointer: Vec<u8>,
}

/// Personalization device instructions (PDI).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInstructions {
    /// ORDER.
    pub order: Vec<Vec<DgiTag>>,
    /// VERCNTL.
    pub version_control: Vec<DgiTag>,
    /// ENC: DGI and encryption type.
    pub enciphered: Vec<(DgiTag, u8)>,
    /// RANDOM.
    pub random: Vec<DgiTag>,
    /// GROUP.
    pub groups: Vec<Vec<DgiTag>>,
    /// SECLEV.
    pub security_level: SecurityLevel,
    /// UPDATECPLC.
    pub update_cplc: CplcUpdate,
}

/// The DGIs of one processing step.
#[derive(Clone, PartialEq, Eq)]
pub struct DataBlock {
    /// TAG of the step.
    pub tag: u8,
    /// DGIs, in order: identifier and value.
    pub dgis: Vec<(DgiTag, Vec<u8>)>,
}

impl fmt::Debug for DataBlock {
    /// Identifiers and lengths; values may be card values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataBlock({:02X}", self.tag)?;
        for (tag, value) in &self.dgis {
            write!(f, ", {tag} {} bytes", value.len())?;
        }
        f.write_str(")")
    }
}

/// All records of a file, one after the other.
///
/// # Errors
/// [`ErrorKind::Truncated`], [`ErrorKind::Trailing`], [`ErrorKind::Format`] for framing that is broken,
/// [`ErrorKind::Value`] for a constant that differs from the settings. The place names record and member.
pub fn read_records(bytes: &[u8], settings: &CpsSettings) -> Result<Vec<CpsRecord>> {
    let mut cursor = Cursor::new(bytes);
    let mut out = Vec::new();
    while !cursor.is_empty() {
        let number = out.len().saturating_add(1);
        out.push(CpsRecord::read(&mut cursor, settings).at_with(|| format!("record {number}"))?);
    }
    Ok(out)
}

impl CpsRecord {
    /// The bytes of the record, MIC and LCCA included where the settings have them.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for a member that its length field cannot hold.
    pub fn encode(&self, settings: &CpsSettings) -> Result<Vec<u8>> {
        let mut header = Vec::new();
        put1(&mut header, &self.reference, "CRN")?;
        header.extend_from_slice(&settings.status);
        header.push(count(settings.products.len(), "NUMBERPID")?);
        for product in &settings.products {
            put1(&mut header, product, "PID")?;
        }
        header.push(count(self.applications.len(), "NUMBERAID")?);
        for application in &self.applications {
            put1(&mut header, application.aid.as_bytes(), "AID")?;
        }
        let mut body = Vec::new();
        put2(&mut body, &header, "section 2")?;
        for application in &self.applications {
            let place = || format!("application {}", application.aid);
            let section = application.encode(settings).at_with(place)?;
            put2(&mut body, &section, "section 3").at_with(place)?;
        }
        let mut data = settings.version.to_vec();
        put2(&mut data, &body, "record")?;
        let mut out = settings.module_identifier.clone().into_bytes();
        if settings.count_digits > 0 {
            let width = usize::from(settings.count_digits);
            let digits = format!("{:0width$}", data.len());
            if digits.len() > width {
                let (expected, found) = ("what LCCA can count", data.len());
                return Err(Error::new(ErrorKind::Length { expected, found, unit: "bytes" }).at("LCCA"));
            }
            out.extend_from_slice(digits.as_bytes());
        }
        out.extend_from_slice(&data);
        Ok(out)
    }

    /// Reads one record.
    fn read(cursor: &mut Cursor<'_>, settings: &CpsSettings) -> Result<Self> {
        constant(cursor, settings.module_identifier.as_bytes(), "MIC")?;
        let counted = match settings.count_digits {
            0 => None,
            digits => Some(decimal(cursor.take(usize::from(digits)).at("LCCA")?).at("LCCA")?),
        };
        let before = cursor.remaining();
        constant(cursor, &settings.version, "VNL")?;
        let mut body = take2(cursor, "record")?;
        let used = before.saturating_sub(cursor.remaining());
        if counted.is_some_and(|c| c != used) {
            return Err(Error::new(ErrorKind::Value("the count of bytes is wrong")).at("LCCA"));
        }
        let mut header = take2(&mut body, "section 2")?;
        let reference = take1(&mut header, "CRN")?.rest().to_vec();
        constant(&mut header, &settings.status, "STATUSCOLL")?;
        constant(&mut header, &[count(settings.products.len(), "NUMBERPID")?], "NUMBERPID")?;
        for product in &settings.products {
            constant(&mut take1(&mut header, "PID")?, product, "PID")?;
        }
        let number = header.u8().at("NUMBERAID")?;
        let mut aids = Vec::new();
        for _ in 0..number {
            aids.push(Aid::new(take1(&mut header, "AID")?.rest()).at("AID")?);
        }
        header.finish().at("section 2")?;
        let mut applications = Vec::new();
        for aid in aids {
            let place = || format!("application {aid}");
            let mut section = take2(&mut body, "section 3").at_with(place)?;
            let application = RecordApplication::read(&mut section, settings).at_with(place)?;
            section.finish().at("section 3").at_with(place)?;
            if application.aid != aid {
                let what = ErrorKind::Value("another AID than the header's");
                return Err(Error::new(what).at("3a.1").at(place()));
            }
            applications.push(application);
        }
        body.finish().at("record")?;
        Ok(Self { reference, applications })
    }
}

/// The sections of one application before they are put together.
struct Parts {
    aid_data: Vec<u8>,
    processing: Vec<u8>,
    ic_data: Vec<u8>,
}

impl RecordApplication {
    fn parts(&self, settings: &CpsSettings) -> Result<Parts> {
        let mut keys = Vec::new();
        if !self.transport.is_empty() {
            keys.push(settings.key_layout);
        }
        for entry in &self.transport {
            if entry.key_id.len() != settings.key_id.len() {
                let (expected, found) = ("the agreed length", entry.key_id.len());
                return Err(Error::new(ErrorKind::Length { expected, found, unit: "bytes" }).at("IDTK"));
            }
            keys.extend_from_slice(&entry.key_id);
            keys.extend_from_slice(&[settings.key_type, entry.mode, count(entry.dgis.len(), "TKDATA")?]);
            put_tags(&mut keys, &entry.dgis);
        }
        let mut aid_data = Vec::new();
        put1(&mut aid_data, self.aid.as_bytes(), "AID")?;
        put1(&mut aid_data, &keys, "TKDATA")?;
        let mut steps = Vec::new();
        for step in &self.steps {
            put1(&mut steps, &step.encode(settings)?, "processing step")?;
        }
        let mut processing = Vec::new();
        put1(&mut processing, &self.owner, "IDOWNER")?;
        put2(&mut processing, &steps, "3a.2")?;
        let mut ic_data = Vec::new();
        for block in &self.data {
            let mut dgis = Vec::new();
            for (tag, value) in &block.dgis {
                dgis.extend_from_slice(&encode_dgi(*tag, value)?);
            }
            ic_data.push(block.tag);
            put_ber(&mut ic_data, &dgis, "3c")?;
        }
        Ok(Parts { aid_data, processing, ic_data })
    }

    /// Section 3 without 3d.
    fn body(&self, parts: &Parts) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        put1(&mut out, &parts.aid_data, "3a.1")?;
        put2(&mut out, &parts.processing, "3a.2")?;
        put2(&mut out, &self.log_data, "LOGDATA")?;
        put2(&mut out, &parts.ic_data, "3c")?;
        Ok(out)
    }

    /// The bytes that the record MAC goes over.
    pub(super) fn mac_input(&self, span: MacSpan, settings: &CpsSettings) -> Result<Vec<u8>> {
        let parts = self.parts(settings)?;
        let mut body = self.body(&parts)?;
        Ok(match span {
            MacSpan::Section => body,
            MacSpan::AidData => body.split_off(1),
            MacSpan::IcData => parts.ic_data,
        })
    }

    fn encode(&self, settings: &CpsSettings) -> Result<Vec<u8>> {
        let mut out = self.body(&self.parts(settings)?)?;
        let mac = self.mac.as_ref().map(|m| [m.enciphered_key.as_slice(), &m.mac].concat());
        put1(&mut out, &mac.unwrap_or_default(), "3d")?;
        Ok(out)
    }

    fn read(cursor: &mut Cursor<'_>, settings: &CpsSettings) -> Result<Self> {
        let mut aid_data = take1(cursor, "3a.1")?;
        let aid = Aid::new(take1(&mut aid_data, "AID")?.rest()).at("AID")?;
        let transport = read_keys(&mut take1(&mut aid_data, "TKDATA")?, settings).at("TKDATA")?;
        aid_data.finish().at("3a.1")?;
        let mut processing = take2(cursor, "3a.2")?;
        let owner = take1(&mut processing, "IDOWNER")?.rest().to_vec();
        let mut list = take2(&mut processing, "3a.2")?;
        processing.finish().at("3a.2")?;
        let mut steps = Vec::new();
        while !list.is_empty() {
            steps.push(ProcessingStep::read(&mut take1(&mut list, "processing step")?, settings)?);
        }
        let log_data = take2(cursor, "LOGDATA")?.rest().to_vec();
        let mut ic_data = take2(cursor, "3c")?;
        let mut data = Vec::new();
        while !ic_data.is_empty() {
            let tag = ic_data.u8().at("3c")?;
            let dgis = parse_dgis(take_ber(&mut ic_data, "3c")?.rest()).at("3c")?;
            data.push(DataBlock { tag, dgis: dgis.iter().map(|d| (d.tag, d.value.to_vec())).collect() });
        }
        let mut mac = take1(cursor, "3d")?;
        let mac = if mac.is_empty() {
            None
        } else {
            let found =
                RecordMac { enciphered_key: mac.array::<KEY_LEN>().at("3d")?, mac: mac.array().at("3d")? };
            mac.finish().at("3d")?;
            Some(found)
        };
        Ok(Self { aid, transport, owner, steps, log_data, data, mac })
    }
}

fn read_keys(cursor: &mut Cursor<'_>, settings: &CpsSettings) -> Result<Vec<TransportEntry>> {
    let mut entries = Vec::new();
    if cursor.is_empty() {
        return Ok(entries);
    }
    constant(cursor, &[settings.key_layout], "layout")?;
    while entries.is_empty() || !cursor.is_empty() {
        let key_id = cursor.take(settings.key_id.len()).at("IDTK")?.to_vec();
        constant(cursor, &[settings.key_type], "key type")?;
        let mode = cursor.u8().at("CMODE")?;
        let number = cursor.u8()?;
        let mut dgis = Vec::new();
        for _ in 0..number {
            dgis.push(DgiTag(cursor.u16()?));
        }
        entries.push(TransportEntry { key_id, mode, dgis });
    }
    Ok(entries)
}

impl ProcessingStep {
    fn encode(&self, settings: &CpsSettings) -> Result<Vec<u8>> {
        let mut out = vec![self.action, self.requirement, self.tag];
        put2(&mut out, &self.instructions.encode(settings.list_framing)?, "PDI")?;
        put2(&mut out, &self.pointer, "POINTER")?;
        Ok(out)
    }

    fn read(cursor: &mut Cursor<'_>, settings: &CpsSettings) -> Result<Self> {
        let [action, requirement, tag] = cursor.array().at("processing step")?;
        let mut pdi = take2(cursor, "PDI")?;
        let instructions = DeviceInstructions::read(&mut pdi, settings.list_framing).at("PDI")?;
        pdi.finish().at("PDI")?;
        let pointer = take2(cursor, "POINTER")?.rest().to_vec();
        cursor.finish().at("processing step")?;
        Ok(Self { action, requirement, tag, instructions, pointer })
    }
}

impl DeviceInstructions {
    fn encode(&self, framing: ListFraming) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        put2(&mut out, &lists(&self.order, framing)?, "ORDER")?;
        let mut tags = Vec::new();
        put_tags(&mut tags, &self.version_control);
        put2(&mut out, &tags, "VERCNTL")?;
        let mut enciphered = Vec::new();
        for (tag, kind) in &self.enciphered {
            put_tags(&mut enciphered, &[*tag]);
            enciphered.push(*kind);
        }
        put2(&mut out, &enciphered, "ENC")?;
        tags.clear();
        put_tags(&mut tags, &self.random);
        put2(&mut out, &tags, "RANDOM")?;
        put2(&mut out, &lists(&self.groups, framing)?, "GROUP")?;
        out.extend_from_slice(&[self.security_level.code(), self.update_cplc.code()]);
        Ok(out)
    }

    fn read(cursor: &mut Cursor<'_>, framing: ListFraming) -> Result<Self> {
        let order = read_lists(&mut take2(cursor, "ORDER")?, framing).at("ORDER")?;
        let version_control = read_tags(&mut take2(cursor, "VERCNTL")?).at("VERCNTL")?;
        let mut list = take2(cursor, "ENC")?;
        let mut enciphered = Vec::new();
        while !list.is_empty() {
            enciphered.push((DgiTag(list.u16().at("ENC")?), list.u8().at("ENC")?));
        }
        let random = read_tags(&mut take2(cursor, "RANDOM")?).at("RANDOM")?;
        let groups = read_lists(&mut take2(cursor, "GROUP")?, framing).at("GROUP")?;
        let [level, cplc] = cursor.array()?;
        let unknown = |member: &'static str| Error::new(ErrorKind::Unknown("this value")).at(member);
        let level = SecurityLevel::ALL.iter().copied().find(|l| l.code() == level);
        let cplc = CplcUpdate::ALL.iter().copied().find(|u| u.code() == cplc);
        Ok(Self {
            order,
            version_control,
            enciphered,
            random,
            groups,
            security_level: level.ok_or_else(|| unknown("SECLEV"))?,
            update_cplc: cplc.ok_or_else(|| unknown("UPDATECPLC"))?,
        })
    }
}

fn put_tags(out: &mut Vec<u8>, tags: &[DgiTag]) {
    for tag in tags {
        out.extend_from_slice(&tag.0.to_be_bytes());
    }
}

fn read_tags(cursor: &mut Cursor<'_>) -> Result<Vec<DgiTag>> {
    let mut out = Vec::new();
    while !cursor.is_empty() {
        out.push(DgiTag(cursor.u16()?));
    }
    Ok(out)
}

fn lists(lists: &[Vec<DgiTag>], framing: ListFraming) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for list in lists {
        let mut tags = Vec::new();
        put_tags(&mut tags, list);
        match framing {
            ListFraming::Bytes => put1(&mut out, &tags, "list of DGIs")?,
            ListFraming::Count => {
                out.push(count(list.len(), "list of DGIs")?);
                out.extend_from_slice(&tags);
            }
        }
    }
    Ok(out)
}

fn read_lists(cursor: &mut Cursor<'_>, framing: ListFraming) -> Result<Vec<Vec<DgiTag>>> {
    let mut out = Vec::new();
    while !cursor.is_empty() {
        let number = usize::from(cursor.u8()?);
        let bytes = match framing {
            ListFraming::Bytes => number,
            ListFraming::Count => number.saturating_mul(2),
        };
        out.push(read_tags(&mut Cursor::new(cursor.take(bytes)?))?);
    }
    Ok(out)
}

fn count(found: usize, what: &'static str) -> Result<u8> {
    let limit = ErrorKind::Length { expected: "at most 255", found, unit: "entries" };
    u8::try_from(found).map_err(|_| limit).at(what)
}

/// Takes bytes that the settings fix.
fn constant(cursor: &mut Cursor<'_>, expected: &[u8], what: &'static str) -> Result<()> {
    if cursor.take(expected.len()).at(what)? == expected {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Value("another value than the settings say")).at(what))
}

fn decimal(digits: &[u8]) -> Result<usize> {
    digits.iter().try_fold(0_usize, |value, digit| match digit {
        b'0'..=b'9' => Ok(value.saturating_mul(10).saturating_add(usize::from(digit & 0x0F))),
        _ => Err(ErrorKind::Format("decimal digits").into()),
    })
}
