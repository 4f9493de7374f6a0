//! A card to its record, and back.

use super::settings::{CardReference, CpsSettings, EncipheredList, OwnerId};
use super::{
    ChipApplication, ChipCard, CpsRecord, DataBlock, DeviceInstructions, ProcessingStep, RecordApplication,
    RecordMacKey, TransportEntry, TransportReference,
};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::issuer::ProtectMode;
use crate::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection};

impl CpsRecord {
    /// The record of a card. `mac_key` is needed where the settings have a record MAC.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] for what the settings want and the card does not have (reference, PAN, index of the transport
    /// key, MAC key); [`ErrorKind::Unsupported`] for a per-block transport key, which the record cannot carry, and for
    /// an AES key without a CMODE; [`ErrorKind::Value`] for a group of clear and secret DGIs.
    ///
    /// ```
    /// use emv_dataprep::perso::record::{ChipApplication, ChipCard, CpsRecord, CpsSettings, read_records};
    /// use emv_dataprep::perso::{DgiTag, ProtectedDgi, ProtectedDgiSet, Protection};
    /// let dgi = ProtectedDgi { tag: DgiTag(0x9010), value: vec![3, 3], protection: Protection::None };
    /// let dgis = ProtectedDgiSet::from_prepared(vec![dgi])?;
    /// let card = ChipCard {
    ///     reference: Some("c-1".to_owned()),
    ///     masked_pan: Some("476173******0010".to_owned()),
    ///     applications: vec![ChipApplication { aid: "A0000000031010".parse()?, dgis }],
    ///     ..ChipCard::default()
    /// };
    /// let settings = CpsSettings::default();
    /// let bytes = CpsRecord::build(&card, &settings, None)?.encode(&settings)?;
    /// assert!(bytes.starts_with(b"02.1"));
    /// let read = read_records(&bytes, &settings)?.remove(0).to_card(&settings)?;
    /// assert_eq!(read.applications, card.applications);
    /// # Ok::<(), emv_dataprep::error::Error>(())
    /// ```
    pub fn build(card: &ChipCard, settings: &CpsSettings, mac_key: Option<&RecordMacKey>) -> Result<Self> {
        let reference = match settings.reference {
            CardReference::None => Vec::new(),
            CardReference::CardId => {
                let id = card.reference.clone().filter(|r| !r.is_empty());
                id.ok_or(ErrorKind::Missing("the card id"))?.into_bytes()
            }
            CardReference::Position => {
                card.position.ok_or(ErrorKind::Missing("the position"))?.to_string().into_bytes()
            }
        };
        let applications = card
            .applications
            .iter()
            .map(|a| application(card, a, settings, mac_key).at_with(|| format!("application {}", a.aid)));
        Ok(Self { reference, applications: applications.collect::<Result<_>>()? })
    }

    /// The card that the record carries.
    ///
    /// # Errors
    /// [`ErrorKind::Value`] for steps and data that do not match, for a DGI under a key that is not there, and for
    /// several transport keys; [`ErrorKind::Unknown`] for a CMODE that the settings do not have; those of
    /// [`ProtectedDgiSet::from_prepared`].
    pub fn to_card(&self, settings: &CpsSettings) -> Result<ChipCard> {
        let mut card = ChipCard::default();
        match settings.reference {
            CardReference::None if self.reference.is_empty() => {}
            CardReference::None => {
                let what = ErrorKind::Value("a card reference where the settings have none");
                return Err(Error::new(what).at("CRN"));
            }
            kind => {
                let text =
                    std::str::from_utf8(&self.reference).ok().filter(|t| !t.is_empty() && t.is_ascii());
                let text = text.ok_or(ErrorKind::Format("ASCII text")).at("CRN")?;
                if kind == CardReference::Position {
                    let position: u64 = text.parse().map_err(|_| ErrorKind::Format("a number")).at("CRN")?;
                    if position.to_string() != text {
                        return Err(Error::new(ErrorKind::Format("a number without more zeros")).at("CRN"));
                    }
                    card.position = Some(position);
                } else {
                    card.reference = Some(text.to_owned());
                }
            }
        }
        for application in &self.applications {
            let place = || format!("application {}", application.aid);
            let (dgis, transport) = application.dgis(settings).at_with(place)?;
            if let Some(found) = transport {
                if card.transport.as_ref().is_some_and(|known| *known != found) {
                    return Err(ErrorKind::Value("a card has one transport key").into());
                }
                card.transport = Some(found);
            }
            card.applications.push(ChipApplication { aid: application.aid.clone(), dgis });
        }
        Ok(card)
    }
}

fn application(
    card: &ChipCard,
    from: &ChipApplication,
    settings: &CpsSettings,
    mac_key: Option<&RecordMacKey>,
) -> Result<RecordApplication> {
    let secret: Vec<DgiTag> = tags_with(&from.dgis, Protection::Transport);
    let transport = if secret.is_empty() {
        Vec::new()
    } else {
        vec![transport_entry(card.transport.as_ref(), secret.clone(), settings).at("TKDATA")?]
    };
    let owner = match &settings.owner {
        OwnerId::Fixed(bytes) => bytes.clone(),
        OwnerId::Rid => from.aid.rid().to_vec(),
        OwnerId::Iin => {
            let iin = card.masked_pan.as_deref().and_then(|pan| pan.get(..6));
            let iin = iin.ok_or(ErrorKind::Missing("the first digits of the PAN")).at("IDOWNER")?;
            crate::bytes::from_hex(iin).at("IDOWNER")?
        }
    };
    let enciphered = match settings.enciphered {
        EncipheredList::Empty => Vec::new(),
        EncipheredList::Secret => secret.iter().map(|tag| (*tag, settings.enciphered_type)).collect(),
    };
    let groups = present_lists(&settings.groups, &from.dgis);
    for group in &groups {
        let classes = group.iter().filter_map(|tag| from.dgis.get(*tag)).map(|d| d.protection);
        if classes.clone().any(|c| Some(c) != classes.clone().next()) {
            return Err(
                Error::new(ErrorKind::Value("the DGIs of a group are all clear or all secret")).at("GROUP")
            );
        }
    }
    let step = ProcessingStep {
        action: settings.action,
        requirement: settings.requirement,
        tag: settings.tag,
        instructions: DeviceInstructions {
            order: present_lists(&settings.order, &from.dgis),
            version_control: present(&settings.version_control, &from.dgis),
            enciphered,
            random: present(&settings.random, &from.dgis),
            groups,
            security_level: settings.security_level,
            update_cplc: settings.update_cplc,
        },
        pointer: settings.pointer.clone(),
    };
    let dgis = from.dgis.dgis().iter().map(|d| (d.tag, d.value.clone())).collect();
    let mut out = RecordApplication {
        aid: from.aid.clone(),
        transport,
        owner,
        steps: vec![step],
        log_data: settings.log_data.clone(),
        data: vec![DataBlock { tag: settings.tag, dgis }],
        mac: None,
    };
    if let Some(span) = settings.mac {
        let key = mac_key.ok_or(ErrorKind::Missing("the record MAC key")).at("3d")?;
        out.mac = Some(key.mac(&out.mac_input(span, settings)?)?);
    }
    Ok(out)
}

fn transport_entry(
    key: Option<&TransportReference>,
    dgis: Vec<DgiTag>,
    settings: &CpsSettings,
) -> Result<TransportEntry> {
    let key = key.ok_or(ErrorKind::Missing("the transport key"))?;
    if key.wrapped.is_some() {
        return Err(
            ErrorKind::Unsupported("a transport key made for one block: the record cannot carry it").into()
        );
    }
    let is_tdes = key.algorithm.is_none_or(|a| a.is_tdes());
    let mode = settings.mode_codes.code(is_tdes, key.mode.unwrap_or(settings.mode));
    Ok(TransportEntry {
        key_id: settings.key_id.of(key.index)?,
        mode: mode.ok_or(ErrorKind::Unsupported("an AES transport key without a CMODE in the settings"))?,
        dgis,
    })
}

fn tags_with(set: &ProtectedDgiSet, protection: Protection) -> Vec<DgiTag> {
    set.dgis().iter().filter(|d| d.protection == protection).map(|d| d.tag).collect()
}

fn present(tags: &[DgiTag], set: &ProtectedDgiSet) -> Vec<DgiTag> {
    tags.iter().copied().filter(|tag| set.get(*tag).is_some()).collect()
}

/// Lists of DGIs that an application has; what is left of one DGI says nothing.
fn present_lists(lists: &[Vec<DgiTag>], set: &ProtectedDgiSet) -> Vec<Vec<DgiTag>> {
    lists.iter().map(|list| present(list, set)).filter(|list| list.len() > 1).collect()
}

impl RecordApplication {
    /// The DGIs in the order of the steps, and the key of the secret ones.
    fn dgis(&self, settings: &CpsSettings) -> Result<(ProtectedDgiSet, Option<TransportReference>)> {
        let mut transport: Option<TransportReference> = None;
        for entry in &self.transport {
            let mode: Option<ProtectMode> = settings.mode_codes.mode(entry.mode);
            let mode = mode.ok_or(ErrorKind::Unknown("this cipher mode")).at("CMODE")?;
            let index = settings.key_id.read(&entry.key_id).at("IDTK")?;
            let found = TransportReference { index, mode: Some(mode), ..TransportReference::default() };
            if transport.as_ref().is_some_and(|known| *known != found) {
                return Err(ErrorKind::Value("a card has one transport key").into());
            }
            transport = Some(found);
        }
        let mut blocks: Vec<&DataBlock> = self.data.iter().collect();
        let mut dgis = Vec::new();
        for step in &self.steps {
            let at = blocks.iter().position(|b| b.tag == step.tag);
            let at = at.ok_or(ErrorKind::Value("a step without its data")).at("3c")?;
            for (tag, value) in &blocks.remove(at).dgis {
                let is_secret = self.transport.iter().any(|e| e.dgis.contains(tag));
                let protection = if is_secret { Protection::Transport } else { Protection::None };
                dgis.push(ProtectedDgi { tag: *tag, value: value.clone(), protection });
            }
        }
        if !blocks.is_empty() {
            return Err(ErrorKind::Value("data without its step")).at("3c");
        }
        let set = ProtectedDgiSet::from_prepared(dgis)?;
        if self.transport.iter().flat_map(|e| &e.dgis).any(|tag| set.get(*tag).is_none()) {
            return Err(ErrorKind::Value("a DGI that is not in the data")).at("TKDATA");
        }
        Ok((set, transport))
    }
}
