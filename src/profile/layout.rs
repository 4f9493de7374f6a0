//! From a profile and a card's values to the bytes on the card: TLVs, records, SELECT and GPO responses.

use zeroize::Zeroizing;

use super::card_profile::{
    Application, ApplicationKind, Interface, InterfaceProfile, PaymentApplication, Profile, Values,
};
use super::value::{CardSource, CardValues, Piece, ValueSpec};
use crate::emv::{Afl, Record, Sfi, Tag, tlv};
use crate::error::{ErrorKind, Place, Result};

/// A payment application on one interface, with what its values need.
#[derive(Clone, Copy)]
pub struct Face<'a> {
    /// Cryptogram version number of the profile.
    pub cryptogram_version: u8,
    /// The application.
    pub application: &'a PaymentApplication,
    /// The interface.
    pub interface: &'a InterfaceProfile,
}

impl<'a> Face<'a> {
    /// How the value of a tag is made: the interface's, else the application's, else the tag's own source.
    #[must_use]
    pub fn spec(&self, tag: Tag) -> Option<ValueSpec> {
        let by_profile = self.interface.values.get(&tag).or_else(|| self.application.values.get(&tag));
        by_profile.cloned().or_else(|| CardSource::of_tag(tag).map(ValueSpec::Card))
    }

    /// The value of a tag; `None` when this card is without it.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the profile gives no value, or the card has none where it must.
    pub fn value(&self, tag: Tag, card: &dyn CardValues) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let spec = self.spec(tag).ok_or(ErrorKind::Missing("a value")).at_with(|| format!("tag {tag}"))?;
        self.spec_value(&spec, card).at_with(|| format!("tag {tag}"))
    }

    /// The value that a specification gives.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the card has none where it must.
    pub fn spec_value(&self, spec: &ValueSpec, card: &dyn CardValues) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let wiped = |bytes: Vec<u8>| Some(Zeroizing::new(bytes));
        Ok(match spec {
            ValueSpec::Literal(bytes) => wiped(bytes.clone()),
            ValueSpec::Card(CardSource::Aip) => wiped(self.interface.aip.to_bytes().to_vec()),
            ValueSpec::Card(CardSource::Afl) => wiped(self.interface.afl.encode()),
            ValueSpec::Card(source) => match card.card_value(*source)? {
                None if source.may_be_absent() => None,
                None => return Err(ErrorKind::Missing("the card's value").into()),
                found => found,
            },
            ValueSpec::Template(pieces) => wiped(
                pieces
                    .iter()
                    .flat_map(|p| match p {
                        Piece::Bytes(b) => b.clone(),
                        Piece::Dki => vec![card.dki()],
                        Piece::Cvn => vec![self.cryptogram_version],
                    })
                    .collect(),
            ),
            ValueSpec::Tags(tags) => Some(self.tlvs(tags, card)?),
        })
    }

    /// These tags as TLVs one after the other; those that this card is without are left out.
    ///
    /// # Errors
    /// When a value is missing.
    pub fn tlvs(&self, tags: &[Tag], card: &dyn CardValues) -> Result<Zeroizing<Vec<u8>>> {
        let values: Vec<_> = tags.iter().map(|tag| self.value(*tag, card)).collect::<Result<_>>()?;
        // Room for all of it: a vector that grows leaves card values behind.
        let room = values.iter().flatten().map(|value| value.len().saturating_add(8)).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        for (tag, value) in tags.iter().zip(&values) {
            if let Some(value) = value {
                tlv::push(&mut out, *tag, value);
            }
        }
        Ok(out)
    }

    /// The records that this interface defines, in order.
    ///
    /// # Errors
    /// When a value is missing or a record is over 254 bytes.
    pub fn records(&self, card: &dyn CardValues) -> Result<Vec<Record>> {
        self.records_where(card, |_, _| true)
    }

    /// The records that `wanted` picks by file and number.
    ///
    /// # Errors
    /// When a value is missing or a record is over 254 bytes.
    pub fn records_where(
        &self,
        card: &dyn CardValues,
        wanted: impl Fn(Sfi, u8) -> bool,
    ) -> Result<Vec<Record>> {
        let picked = self.interface.records.iter().filter(|r| wanted(r.sfi, r.number));
        picked
            .map(|r| {
                let place = || format!("record {} of SFI {}", r.number, r.sfi);
                let body = self.tlvs(&r.tags, card).at_with(place)?;
                record(r.sfi, r.number, &body).at_with(place)
            })
            .collect()
    }

    /// The SELECT response inside the FCI template: `A5 …`, or the whole template `6F …`.
    ///
    /// # Errors
    /// When a value is missing.
    pub fn fci(&self, aid: &[u8], form: FciForm, card: &dyn CardValues) -> Result<Vec<u8>> {
        Ok(fci(aid, form, &self.tlvs(&self.interface.fci.1, card)?))
    }

    /// The GET PROCESSING OPTIONS data.
    ///
    /// # Errors
    /// When a value is missing.
    pub fn gpo(&self, card: &dyn CardValues) -> Result<Zeroizing<Vec<u8>>> {
        self.tlvs(&self.interface.gpo.1, card)
    }

    /// Whether a record of this application that the interface reads holds tag 9F4A: the AIP is signed then.
    #[must_use]
    pub fn signs_aip(&self) -> bool {
        let read = |sfi: Sfi, number: u8| reads(&self.interface.afl, sfi, number);
        let list = Tag::SDA_TAG_LIST;
        self.application
            .interfaces
            .iter()
            .any(|i| i.records.iter().any(|r| read(r.sfi, r.number) && r.tags.contains(&list)))
    }
}

/// How DGI 9102 or 9103 holds the SELECT response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FciForm {
    /// `A5 …`: the card adds `6F` and `84` (CPS).
    #[default]
    Proprietary,
    /// `6F { 84 AID, A5 … }`.
    Whole,
}

fn fci(aid: &[u8], form: FciForm, body: &[u8]) -> Vec<u8> {
    let proprietary = tlv::encode(Tag::FCI_PROPRIETARY, body);
    match form {
        FciForm::Proprietary => proprietary,
        FciForm::Whole => {
            let mut inner = tlv::encode(Tag::DF_NAME, aid);
            inner.extend(proprietary);
            tlv::encode(Tag::FCI_TEMPLATE, &inner)
        }
    }
}

/// The directory of the contact interface: SELECT response and record 1 (EMV 4.4 Book 1, section 12.2).
///
/// # Errors
/// When a value is missing or the record is over 254 bytes.
pub fn pse(
    profile: &Profile,
    pse: &Application,
    sfi: Sfi,
    values: &Values,
    card: &dyn CardValues,
) -> Result<(Vec<u8>, Record)> {
    let mut entries = Vec::new();
    for (application, face) in faces(profile, Interface::Contact) {
        let mut entry = tlv::encode(Tag::AID, application.aid.as_bytes());
        entry.extend_from_slice(&optional(
            &face,
            &[Tag::APPLICATION_LABEL, Tag::APPLICATION_PREFERRED_NAME, Tag::APPLICATION_PRIORITY_INDICATOR],
            card,
        )?);
        entries.extend(tlv::encode(Tag::APPLICATION_TEMPLATE, &entry));
    }
    let mut body = tlv::encode(Tag::SFI, &[sfi.get()]);
    for (tag, spec) in values {
        if let ValueSpec::Literal(bytes) = spec {
            body.extend(tlv::encode(*tag, bytes));
        }
    }
    Ok((fci(pse.aid.as_bytes(), pse.fci_form, &body), record(sfi, 1, &entries).at("PSE directory")?))
}

/// The directory of the contactless interface: its SELECT response (EMV Contactless Book B, section 3.3.1).
///
/// # Errors
/// When a value is missing.
pub fn ppse(profile: &Profile, ppse: &Application, card: &dyn CardValues) -> Result<Vec<u8>> {
    let mut entries = Vec::new();
    for (application, face) in faces(profile, Interface::Contactless) {
        let mut entry = tlv::encode(Tag::AID, application.aid.as_bytes());
        entry.extend_from_slice(&optional(
            &face,
            &[Tag::APPLICATION_LABEL, Tag::APPLICATION_PRIORITY_INDICATOR, Tag::KERNEL_IDENTIFIER],
            card,
        )?);
        entries.extend(tlv::encode(Tag::APPLICATION_TEMPLATE, &entry));
    }
    let discretionary = tlv::encode(Tag::FCI_ISSUER_DISCRETIONARY, &entries);
    Ok(fci(ppse.aid.as_bytes(), ppse.fci_form, &discretionary))
}

/// The payment applications of one interface.
pub fn faces(profile: &Profile, interface: Interface) -> impl Iterator<Item = (&Application, Face<'_>)> {
    profile.applications.iter().filter_map(move |a| match &a.kind {
        ApplicationKind::Payment(p) => p.interfaces.iter().find(|i| i.interface == interface).map(|i| {
            (
                a,
                Face {
                    cryptogram_version: profile.cryptogram_version,
                    application: p.as_ref(),
                    interface: i,
                },
            )
        }),
        _ => None,
    })
}

fn optional(face: &Face<'_>, tags: &[Tag], card: &dyn CardValues) -> Result<Zeroizing<Vec<u8>>> {
    let there: Vec<Tag> = tags.iter().copied().filter(|t| face.spec(*t).is_some()).collect();
    face.tlvs(&there, card)
}

/// Whether the file locator reads this record.
#[must_use]
pub fn reads(afl: &Afl, sfi: Sfi, number: u8) -> bool {
    afl.records().any(|r| r.sfi == sfi && r.number == number)
}

fn record(sfi: Sfi, number: u8, body: &[u8]) -> Result<Record> {
    if body.is_empty() {
        return Err(ErrorKind::Missing("every value of the record").into());
    }
    Record::verbatim(sfi, number, tlv::encode(Tag::RECORD_TEMPLATE, body))
}
