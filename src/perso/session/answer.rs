//! The session takes the card's answers.

use zeroize::Zeroizing;

use super::program::{self, Nature, What};
use super::state::Progress;
use super::{Failure, FailureReason, LogLine, Outstanding, Session};
use crate::perso::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::perso::channel::{Channel, ChannelError, ChannelProtocol, KeyData};

/// Most bytes that GET RESPONSE collects for one command.
const MOST_COLLECTED: usize = 16_384;
/// Conditions of use not satisfied: what a personalized application says to STORE DATA.
const CONDITIONS: StatusWord = StatusWord(0x6985);

impl Session {
    /// The card's answer to the command that was handed out: data, SW1, SW2.
    pub fn response(&mut self, bytes: &[u8]) {
        let awaited = self.outstanding.filter(|o| !matches!(o, Outstanding::Reset | Outstanding::Claim));
        let Some(outstanding) = awaited.filter(|_| self.queued.is_none()) else {
            self.caller("a response is told that was not asked for");
            return;
        };
        let Ok(response) = ResponseApdu::parse(bytes) else {
            let failure = self.failure(FailureReason::Answer);
            let _ = self.fail(failure);
            return;
        };
        if let Err(failure) = self.take(outstanding, &response) {
            let _ = self.fail(failure);
        }
    }

    /// No answer came: time ran out, or the card is gone. The session ends; [`Session::resume`] goes on.
    pub fn no_answer(&mut self) {
        if self.outstanding.is_none() {
            self.caller("a missing answer is told where none was asked for");
            return;
        }
        let failure = self.failure(FailureReason::NoAnswer);
        let _ = self.fail(failure);
    }

    fn take(&mut self, outstanding: Outstanding, response: &ResponseApdu) -> Result<(), Failure> {
        if let Some(le) = response.status().response_waits() {
            self.collected.extend_from_slice(response.data());
            if self.collected.len() > MOST_COLLECTED || (response.data().is_empty() && self.retried) {
                return Err(self.refused(response.status()));
            }
            self.retried = self.sent.as_ref().is_some_and(is_get_response);
            let apdu = CommandApdu::new([0x00, 0xC0, 0x00, 0x00], Vec::new(), Some(le));
            self.queued = Some(apdu.map_err(|e| self.misfit(e))?);
            return Ok(());
        }
        if let Some(le) = response.status().exact_le()
            && !self.retried
            && self.only_reads(outstanding)
        {
            self.retried = true;
            self.queued = self.sent.as_ref().map(|sent| sent.with_le(Some(le)));
            return Ok(());
        }
        let mut data = std::mem::replace(&mut self.collected, Zeroizing::new(Vec::new()));
        data.extend_from_slice(response.data());
        let whole = ResponseApdu::new(data.to_vec(), response.status());
        self.log.push(LogLine { step: self.step_name(), status: Some(whole.status()) });
        self.outstanding = None;
        match outstanding {
            Outstanding::Initialize => self.initialized(&whole),
            Outstanding::Authenticate => self.authenticated(&whole),
            Outstanding::Command { wrapped } => {
                let plain = if wrapped { self.unwrap(&whole)? } else { whole };
                self.command(&plain)
            }
            Outstanding::Written => {
                let plain = self.unwrap(&whole)?;
                if !plain.status().is_success() {
                    return Err(self.refused(plain.status()));
                }
                self.op_done();
                Ok(())
            }
            Outstanding::Store => self.stored(&whole),
            Outstanding::Probe => self.probed(&whole),
            Outstanding::Reset | Outstanding::Claim => Ok(()),
        }
    }

    /// Whether the command that was sent may be sent again with another Le.
    fn only_reads(&self, outstanding: Outstanding) -> bool {
        match outstanding {
            Outstanding::Initialize | Outstanding::Probe => true,
            Outstanding::Command { .. } => {
                matches!(self.nature(), Some(Nature::Select | Nature::Read))
                    || self.sent.as_ref().is_some_and(is_get_response)
            }
            _ => self.sent.as_ref().is_some_and(is_get_response),
        }
    }

    fn nature(&self) -> Option<Nature> {
        match self.current().and_then(|u| u.ops.get(self.op)).map(|op| &op.what) {
            Some(What::Command(command)) => Some(command.nature),
            _ => None,
        }
    }

    fn refused(&self, status: StatusWord) -> Failure {
        Failure { status: Some(status), ..self.failure(FailureReason::Refused) }
    }

    fn unwrap(&mut self, response: &ResponseApdu) -> Result<ResponseApdu, Failure> {
        let plain = match &mut self.channel {
            Some(channel) => channel.unwrap(response),
            None => Err(ChannelError::Closed),
        };
        plain.map_err(|e| Failure { status: Some(response.status()), ..self.channel_failure(e) })
    }

    fn command(&mut self, response: &ResponseApdu) -> Result<(), Failure> {
        let Some(What::Command(command)) = self.current().and_then(|u| u.ops.get(self.op)).map(|op| &op.what)
        else {
            return Err(self.failure(FailureReason::Caller("an answer to another command")));
        };
        if !command.good.contains(&response.status()) {
            if command.nature == Nature::ForPersonalization && self.may_be_complete(response.status()) {
                return self.probe();
            }
            return Err(self.refused(response.status()));
        }
        if !command.data.holds(response.data()) {
            return Err(Failure { status: Some(response.status()), ..self.failure(FailureReason::Check) });
        }
        self.op_done();
        Ok(())
    }

    /// INITIALIZE UPDATE: which chip it is comes first, whatever its keys are.
    fn initialized(&mut self, response: &ResponseApdu) -> Result<(), Failure> {
        if self.may_be_complete(response.status()) {
            return self.probe();
        }
        let Some((mut settings, challenge)) = self.opening.take() else {
            return Err(self.failure(FailureReason::Caller("an answer to another command")));
        };
        if let Some(key_data) = response.data().first_chunk::<10>().filter(|_| response.status().is_success())
        {
            self.same_chip(KeyData(*key_data))?;
        }
        if let Some(protocol) = self.chosen(response) {
            settings.protocol = protocol;
        }
        let channel = Channel::open(&settings, &*self.keys, &challenge, response);
        let channel = channel.map_err(|e| self.channel_failure(e))?;
        self.accept_chip(channel.key_data());
        self.channel = Some(channel);
        Ok(())
    }

    /// The protocol that the chip answers with, when the plan accepts it: byte 12 is the protocol; of SCP03 byte 13 is `i`.
    fn chosen(&self, response: &ResponseApdu) -> Option<ChannelProtocol> {
        let What::Open(opening) = &self.current()?.ops.get(self.op)?.what else { return None };
        let accept = &self.input.plan.channels.get(&opening.channel)?.accept;
        let (number, option) = (*response.data().get(11)?, *response.data().get(12)?);
        let fits = |p: &&ChannelProtocol| p.number() == number && (number == 0x02 || p.option() == option);
        accept.iter().find(fits).copied()
    }

    /// Refuses a chip that is not the session's, or that the card is not claimed for.
    fn same_chip(&self, key_data: KeyData) -> Result<(), Failure> {
        match (self.chip, self.input.earlier_claim) {
            (Some(chip), _) if chip != key_data => Err(self.failure(if self.claimed {
                FailureReason::ClaimedByAnotherChip
            } else {
                FailureReason::ChipChanged
            })),
            (None, Some(earlier)) if earlier != key_data && self.input.reassignment.is_none() => {
                Err(self.failure(FailureReason::ClaimedByAnotherChip))
            }
            _ => Ok(()),
        }
    }

    /// The chip has shown that it knows its keys.
    fn accept_chip(&mut self, key_data: KeyData) {
        if self.chip.is_some() {
            return;
        }
        self.chip = Some(key_data);
        match (self.input.earlier_claim, &self.input.reassignment) {
            (Some(earlier), Some(reassignment)) if earlier != key_data => {
                let text =
                    format!("reassigned from chip {earlier} to chip {key_data} by {}", reassignment.operator);
                self.reassigned_from = Some(earlier);
                self.note(&text);
            }
            _ => {}
        }
    }

    fn authenticated(&mut self, response: &ResponseApdu) -> Result<(), Failure> {
        let done = match &mut self.channel {
            Some(channel) => channel.authenticated(response),
            None => Err(ChannelError::Closed),
        };
        done.map_err(|e| self.channel_failure(e))?;
        self.op_done();
        Ok(())
    }

    fn stored(&mut self, response: &ResponseApdu) -> Result<(), Failure> {
        let status = self.unwrap(response)?.status();
        let first = self.storing.as_ref().is_some_and(|s| s.block == 1);
        if first && self.may_be_complete(status) {
            return self.probe();
        }
        let Some(storing) = &mut self.storing else {
            return Err(self.failure(FailureReason::Caller("an answer to another command")));
        };
        let part = storing.parts.get(storing.at);
        let tolerated = status == StatusWord::NOT_FOUND && part.is_some_and(|p| p.optional);
        if tolerated {
            storing.pieces.clear();
        } else if !status.is_success() {
            return Err(self.refused(status));
        }
        let finished = storing.pieces.is_empty() && part.is_some_and(|p| p.last);
        if storing.pieces.is_empty() {
            storing.at = storing.at.saturating_add(1);
        }
        if finished {
            self.storing = None;
            self.op_done();
            return Ok(());
        }
        if let Some(Progress::Begun { in_flight, last_block, .. }) = self.progress.get_mut(self.unit) {
            *in_flight = false;
            // The application takes data, so it was not complete.
            *last_block = false;
        }
        Ok(())
    }

    /// Whether an application that refuses to be personalized may have been completed by a session that was torn at its end.
    fn may_be_complete(&self, status: StatusWord) -> bool {
        let begun = self.begun.filter(|b| b.unit == self.unit && self.preamble.is_none());
        begun.is_some_and(|b| b.uncertain) && status == CONDITIONS
    }

    /// SELECT: a personalized application answers with what was prepared.
    fn probe(&mut self) -> Result<(), Failure> {
        self.channel = None;
        self.opening = None;
        self.storing = None;
        let application = self.current().and_then(|u| u.application);
        let Some(application) = application.and_then(|i| self.input.data.applications.get(i)) else {
            return Err(self.failure(FailureReason::Unknown));
        };
        let command = program::probe(&application.aid, &application.dgis);
        if !command.data.proves() {
            return Err(self.failure(FailureReason::Unknown));
        }
        self.retried = false;
        self.outstanding = Some(Outstanding::Probe);
        self.queued = Some(command.apdu);
        Ok(())
    }

    fn probed(&mut self, response: &ResponseApdu) -> Result<(), Failure> {
        let unit = self.current();
        let application = unit.and_then(|u| u.application).and_then(|i| self.input.data.applications.get(i));
        let complete = application.is_some_and(|a| {
            response.status().is_success() && program::probe(&a.aid, &a.dgis).data.holds(response.data())
        });
        let stored = unit.and_then(|u| u.ops.iter().position(|op| matches!(op.what, What::Store(_))));
        let (true, Some(stored)) = (complete, stored) else {
            return Err(Failure { status: Some(response.status()), ..self.failure(FailureReason::Unknown) });
        };
        self.note("an earlier session had completed the application");
        self.op = stored;
        self.op_done();
        if let Some(begun) = &mut self.begun {
            begun.in_clear = true;
        }
        Ok(())
    }
}

fn is_get_response(apdu: &CommandApdu) -> bool {
    apdu.ins() == 0xC0
}
