use serde::{Deserialize, Serialize};

use crate::card::{CardId, IssuerRequestId};
use crate::error::{ErrorKind, Result};
use crate::prepare::Rejection;
use crate::profile::{Channel, DestinationId};

/// D1's status of an order that is rejected.
pub const DATA_EXCEPTION: &str = "DATA_EXCEPTION";

/// What became of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderOutcome {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// `cardId`, when it could be read.
    pub card_id: Option<CardId>,
    /// `issuerRequestId`, when there is one.
    pub issuer_request_id: Option<IssuerRequestId>,
    /// The channel, when it is known.
    pub channel: Option<Channel>,
    /// The destination, when it is known.
    pub destination: Option<DestinationId>,
    /// Why it is rejected; `None` for a card that is prepared.
    pub rejection: Option<Rejection>,
    /// Whether the same order was prepared before, by an earlier batch: then nothing is made.
    pub earlier: bool,
}

/// One line of `status.jsonl`: exactly one for each order.
///
/// ```
/// use emv_dataprep::output::StatusLine;
/// let text = r#"{"position":1,"cardId":"c-1","issuerRequestId":null,"channel":"THALES","destination":"T","status":"DATA_PREPARED"}"#;
/// let line = StatusLine::read(text)?;
/// assert!(line.is_prepared());
/// assert_eq!(line.to_json(), text);
/// # Ok::<(), emv_dataprep::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusLine {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// `cardId`, or null.
    pub card_id: Option<String>,
    /// `issuerRequestId`, or null.
    pub issuer_request_id: Option<String>,
    /// Channel, or null.
    pub channel: Option<String>,
    /// Destination, or null.
    pub destination: Option<String>,
    /// `DATA_PREPARED`, `CARD_PROD_READY` or `DATA_EXCEPTION`.
    pub status: String,
    /// D1's errorCode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The first field in error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// True when an earlier batch prepared this very order: no card of this batch belongs to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

/// One line of `rejected.jsonl`: no card data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RejectedLine {
    /// 1-based count of the order in its input.
    pub position: u64,
    /// `cardId`, or null.
    pub card_id: Option<String>,
    /// `issuerRequestId`, or null.
    pub issuer_request_id: Option<String>,
    /// D1's errorCode.
    pub error_code: String,
    /// The first field in error; empty when no field is.
    pub field: String,
    /// What is wrong, in words.
    pub reason: String,
}

impl OrderOutcome {
    /// The line of `status.jsonl`.
    #[must_use]
    pub fn status(&self) -> StatusLine {
        let status = match (&self.rejection, self.channel) {
            (None, Some(channel)) => channel.prepared_status(),
            _ => DATA_EXCEPTION,
        };
        StatusLine {
            position: self.position,
            card_id: self.card_id.as_ref().map(ToString::to_string),
            issuer_request_id: self.issuer_request_id.as_ref().map(ToString::to_string),
            channel: self.channel.map(|c| c.name().to_owned()),
            destination: self.destination.as_ref().map(ToString::to_string),
            status: status.to_owned(),
            error_code: self.rejection.as_ref().map(|r| r.code.name().to_owned()),
            field: self.rejection.as_ref().map(|r| r.field.to_string()),
            reason: self.rejection.as_ref().map(|r| r.reason.to_string()),
            earlier: self.earlier,
        }
    }

    /// The line of `rejected.jsonl`, if the order is rejected.
    #[must_use]
    pub fn rejected(&self) -> Option<RejectedLine> {
        let rejection = self.rejection.as_ref()?;
        Some(RejectedLine {
            position: self.position,
            card_id: self.card_id.as_ref().map(ToString::to_string),
            issuer_request_id: self.issuer_request_id.as_ref().map(ToString::to_string),
            error_code: rejection.code.name().to_owned(),
            field: rejection.field.to_string(),
            reason: rejection.reason.to_string(),
        })
    }
}

impl StatusLine {
    /// Reads one line back.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything that this module does not write.
    pub fn read(line: &str) -> Result<Self> {
        let status: Self =
            serde_json::from_str(line).map_err(|_| ErrorKind::Format("a line of status.jsonl"))?;
        let known = Channel::ALL.iter().any(|c| c.prepared_status() == status.status);
        if !known && status.status != DATA_EXCEPTION
            || status.error_code.is_some() != (status.status == DATA_EXCEPTION)
            || status.earlier && !known
        {
            return Err(ErrorKind::Value("the status does not fit the line").into());
        }
        Ok(status)
    }

    /// Whether the card is prepared, now or by an earlier batch.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.status != DATA_EXCEPTION
    }

    /// The line, without its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(self)
    }
}

impl RejectedLine {
    /// Reads one line back.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for anything that this module does not write.
    pub fn read(line: &str) -> Result<Self> {
        serde_json::from_str(line).map_err(|_| ErrorKind::Format("a line of rejected.jsonl").into())
    }

    /// The line, without its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        json(self)
    }
}

/// These shapes have text keys and no numbers that JSON cannot hold, so that writing them cannot fail.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rejection: Option<Rejection>) -> OrderOutcome {
        OrderOutcome {
            position: 7,
            card_id: Some("c-7".parse().unwrap()),
            issuer_request_id: None,
            channel: Some(Channel::Instant),
            destination: Some("S1".parse().unwrap()),
            rejection,
            earlier: false,
        }
    }

    #[test]
    fn both_lines_are_read_back() {
        let good = outcome(None).status();
        assert_eq!(
            good.to_json(),
            r#"{"position":7,"cardId":"c-7","issuerRequestId":null,"channel":"INSTANT","destination":"S1","status":"CARD_PROD_READY"}"#
        );
        assert_eq!(StatusLine::read(&good.to_json()).unwrap(), good);
        assert!(outcome(None).rejected().is_none());

        let bad = outcome(Some(Rejection::value("cardData.pan", "the check digit is wrong")));
        let line = bad.rejected().unwrap();
        assert_eq!(
            line.to_json(),
            r#"{"position":7,"cardId":"c-7","issuerRequestId":null,"errorCode":"FIELD_INVALID_VALUE","field":"cardData.pan","reason":"the check digit is wrong"}"#
        );
        assert_eq!(RejectedLine::read(&line.to_json()).unwrap(), line);
        let status = StatusLine::read(&bad.status().to_json()).unwrap();
        assert!(!status.is_prepared());
        assert_eq!(status.error_code.as_deref(), Some("FIELD_INVALID_VALUE"));
    }

    #[test]
    fn lines_that_contradict_themselves_are_refused() {
        let good = outcome(None).status().to_json();
        for (from, to) in [
            ("CARD_PROD_READY", "DONE"),
            ("CARD_PROD_READY", "DATA_EXCEPTION"),
            ("\"position\":7", "\"position\":7,\"more\":1"),
            ("\"position\":7", "\"position\":-7"),
        ] {
            assert!(StatusLine::read(&good.replace(from, to)).is_err(), "{to}");
        }
    }
}
