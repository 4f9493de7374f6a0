//! The session's way forward: which command is next.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::program::{Nature, Opening, Unit, What};
use super::state::Progress;
use super::{
    Claim, Failure, FailureReason, LogLine, Outstanding, Report, Session, SessionCommand, Step, Storing,
    store,
};
use crate::card::CardDate;
use crate::error::{Error, ErrorKind, Result as LibraryResult};
use crate::perso::apdu::CommandApdu;
use crate::perso::channel::{Channel, ChannelError, ChannelSettings};
use crate::perso::plan::{Cplc, StoreData};
use crate::perso::{DgiTag, Protection, dgi_length, encode_dgi};

impl Session {
    /// What the caller does next. Each step is handed out once; until its outcome is told the answer is [`Step::Waiting`].
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Step {
        if let Some(end) = &self.end {
            return end.clone();
        }
        if self.outstanding.is_some() {
            return match self.queued.take() {
                Some(apdu) => self.hand_out(apdu),
                None => Step::Waiting,
            };
        }
        match self.advance() {
            Ok(step) => step,
            Err(failure) => self.fail(failure),
        }
    }

    /// The claim is stored.
    pub fn claimed(&mut self) {
        if self.outstanding == Some(Outstanding::Claim) {
            self.outstanding = None;
            self.claimed = true;
            self.note("claim stored");
        } else {
            self.caller("a claim is confirmed that was not asked for");
        }
    }

    /// The card is reset.
    pub fn reset_done(&mut self) {
        if self.outstanding == Some(Outstanding::Reset) {
            self.outstanding = None;
            self.note(&self.op_name());
            self.op_done();
        } else {
            self.caller("a reset is told that was not asked for");
        }
    }

    pub(super) fn caller(&mut self, what: &'static str) {
        let failure = self.failure(FailureReason::Caller(what));
        let _ = self.fail(failure);
    }

    /// The unit that is worked on.
    pub(super) fn current(&self) -> Option<&Unit> {
        self.preamble.as_ref().or_else(|| self.units.get(self.unit))
    }

    pub(super) fn op_name(&self) -> String {
        self.current().and_then(|u| u.ops.get(self.op)).map(|op| op.name.clone()).unwrap_or_default()
    }

    pub(super) fn failure(&self, reason: FailureReason) -> Failure {
        let application = self.current().and_then(|u| u.application);
        let application =
            application.and_then(|i| self.input.data.applications.get(i)).map(|a| a.aid.clone());
        Failure { reason, step: self.step_name(), application, status: None }
    }

    /// Plan, card and station do not fit together.
    pub(super) fn misfit(&self, error: Error) -> Failure {
        self.failure(FailureReason::Configuration(Box::new(error)))
    }

    /// The operation, and of STORE DATA the groupings.
    pub(super) fn step_name(&self) -> String {
        let part = self.storing.as_ref().and_then(|s| s.parts.get(s.at)).map(store::Part::name);
        part.map_or_else(|| self.op_name(), |part| format!("{} {part}", self.op_name()))
    }

    pub(super) fn fail(&mut self, failure: Failure) -> Step {
        self.log.push(LogLine { step: failure.to_string(), status: None });
        let step = Step::Failed(failure);
        self.end = Some(step.clone());
        self.outstanding = None;
        self.queued = None;
        self.channel = None;
        self.storing = None;
        step
    }

    pub(super) fn note(&mut self, text: &str) {
        self.log.push(LogLine { step: text.to_owned(), status: None });
    }

    fn advance(&mut self) -> Result<Step, Failure> {
        loop {
            if self.preamble.is_none() && self.progress.get(self.unit) == Some(&Progress::Completed) {
                self.unit = self.unit.saturating_add(1);
                continue;
            }
            let Some(unit) = self.current() else { return Ok(self.finish()) };
            if self.op >= unit.ops.len() {
                self.leave_unit();
                continue;
            }
            if let Some(step) = self.start()? {
                return Ok(step);
            }
            self.op_done();
        }
    }

    fn finish(&mut self) -> Step {
        let report = Report { card_reference: self.input.data.card_reference.clone(), key_data: self.chip };
        self.note("personalized");
        let step = Step::Done(report);
        self.end = Some(step.clone());
        step
    }

    fn leave_unit(&mut self) {
        if self.preamble.take().is_none() {
            if let Some(progress) = self.progress.get_mut(self.unit) {
                *progress = Progress::Completed;
            }
            self.unit = self.unit.saturating_add(1);
        }
        self.op = 0;
        self.channel = None;
        self.opening = None;
        self.storing = None;
    }

    /// The operation is done: the next one, or where an earlier session had come to.
    pub(super) fn op_done(&mut self) {
        let approach = self.current().map_or(0, |u| u.approach);
        self.op = self.op.saturating_add(1);
        if self.preamble.is_some() {
            return;
        }
        if self.op == approach
            && let Some(begun) = self.begun.filter(|b| b.unit == self.unit)
        {
            self.op = self.op.max(begun.from);
        }
        let done = u16::try_from(self.op).unwrap_or(u16::MAX);
        if let Some(progress) = self.progress.get_mut(self.unit) {
            let (before, in_flight, last_block) = match *progress {
                Progress::Begun { done, in_flight, last_block } => (done, in_flight, last_block),
                _ => (0, false, false),
            };
            // On the way to where an earlier session was, what is known of that operation stays.
            let in_flight = in_flight && done <= before;
            *progress = Progress::Begun { done: done.max(before), in_flight, last_block };
        }
    }

    /// Notes in the state that a command goes out.
    pub(super) fn mark(&mut self, is_last_block: bool) {
        if self.preamble.is_some() {
            return;
        }
        if let Some(progress) = self.progress.get_mut(self.unit) {
            *progress = match *progress {
                Progress::Begun { done, in_flight, last_block } => Progress::Begun {
                    done,
                    in_flight: in_flight || usize::from(done) <= self.op,
                    last_block: last_block || is_last_block,
                },
                _ => Progress::Begun { done: 0, in_flight: true, last_block: is_last_block },
            };
        }
    }

    /// Begins or continues the operation; `None` when it is done.
    fn start(&mut self) -> Result<Option<Step>, Failure> {
        let Some(op) = self.current().and_then(|u| u.ops.get(self.op)) else { return Ok(None) };
        let in_clear =
            self.begun.is_some_and(|b| b.unit == self.unit && b.in_clear) && self.preamble.is_none();
        if self.is_doubtful()
            && let Some(apdu) = look(&op.what).map_err(|e| self.misfit(e))?
        {
            let wrapped = self.channel.is_some();
            let apdu = self.wrap(apdu)?;
            self.mark(false);
            return Ok(Some(self.send(apdu, Outstanding::Look { wrapped })));
        }
        match &op.what {
            What::Reset => {
                self.channel = None;
                self.mark(false);
                self.outstanding = Some(Outstanding::Reset);
                Ok(Some(Step::Reset))
            }
            What::Command(command) if in_clear && command.nature == Nature::ForPersonalization => Ok(None),
            What::Command(command) => {
                let (apdu, nature) = (command.apdu.clone(), command.nature);
                if nature == Nature::Select {
                    self.channel = None;
                }
                let wrapped = self.channel.is_some();
                let apdu = self.wrap(apdu)?;
                self.mark(false);
                Ok(Some(self.send(apdu, Outstanding::Command { wrapped })))
            }
            What::Open(_) if in_clear => Ok(None),
            What::Open(opening) => {
                let opening = opening.clone();
                self.open(&opening)
            }
            What::Store(step) => {
                let step = step.clone();
                self.store(&step)
            }
            What::Cplc(cplc) => {
                let apdu = self.cplc(*cplc).map_err(|e| self.misfit(e))?;
                let apdu = self.wrap(apdu)?;
                self.mark(false);
                Ok(Some(self.send(apdu, Outstanding::Written)))
            }
            What::PutKey { new_version, replaces } => {
                let (new_version, replaces) = (*new_version, *replaces);
                if let Some(claim) = self.claim() {
                    return Ok(Some(claim));
                }
                let data = match &self.channel {
                    Some(channel) => channel.put_key_data(new_version),
                    None => Err(ChannelError::Closed),
                };
                let data = data.map_err(|e| self.channel_failure(e))?;
                let apdu = CommandApdu::new([0x80, 0xD8, replaces, 0x81], data, Some(0));
                let apdu = apdu.map_err(|e| self.misfit(e))?;
                let apdu = self.wrap(apdu)?;
                self.mark(false);
                Ok(Some(self.send(apdu, Outstanding::Written)))
            }
        }
    }

    /// Whether the operation may have been done by a session that was torn.
    fn is_doubtful(&self) -> bool {
        let here = |b: &super::resume::Begun| b.doubtful && b.unit == self.unit && b.from == self.op;
        self.preamble.is_none() && self.begun.as_ref().is_some_and(here)
    }

    pub(super) fn channel_failure(&self, error: ChannelError) -> Failure {
        let status = match &error {
            ChannelError::Status(status) => Some(*status),
            _ => None,
        };
        let reason = match error {
            ChannelError::Keys(e) => FailureReason::Keys(Box::new(e)),
            e => FailureReason::Channel(Box::new(e)),
        };
        Failure { status, ..self.failure(reason) }
    }

    fn wrap(&mut self, apdu: CommandApdu) -> Result<CommandApdu, Failure> {
        match &mut self.channel {
            None => Ok(apdu),
            Some(channel) => {
                let wrapped = channel.wrap(&apdu);
                wrapped.map_err(|e| self.channel_failure(e))
            }
        }
    }

    pub(super) fn send(&mut self, apdu: CommandApdu, outstanding: Outstanding) -> Step {
        self.outstanding = Some(outstanding);
        self.retried = false;
        self.collected = Zeroizing::new(Vec::new());
        self.hand_out(apdu)
    }

    fn hand_out(&mut self, apdu: CommandApdu) -> Step {
        self.sent = Some(apdu.clone());
        let total = self.units.iter().map(|u| u.ops.len()).sum();
        let before: usize = self.units.iter().take(self.unit).map(|u| u.ops.len()).sum();
        let within = if self.preamble.is_some() { 0 } else { self.op };
        Step::Send(SessionCommand {
            apdu,
            name: self.step_name(),
            done: before.saturating_add(within),
            total,
        })
    }

    /// Thirty-two bytes that were not drawn before.
    fn draw(&mut self, what: &[u8]) -> [u8; 32] {
        self.drawn = self.drawn.saturating_add(1);
        self.input.random.keyed_digest(&[b"emv-dataprep/session/1", what, &self.drawn.to_be_bytes()])
    }

    fn open(&mut self, opening: &Opening) -> Result<Option<Step>, Failure> {
        if let Some(channel) = &mut self.channel {
            if opening.identify {
                self.channel = None;
                return Ok(None);
            }
            let apdu = channel.external_authenticate();
            let apdu = apdu.map_err(|e| self.channel_failure(e))?;
            self.mark(false);
            return Ok(Some(self.send(apdu, Outstanding::Authenticate)));
        }
        let settings = self.settings(opening);
        let settings = settings.map_err(|e| self.misfit(e))?;
        let random = self.draw(b"host-challenge");
        let challenge = random.get(..settings.protocol.challenge_len()).unwrap_or_default().to_vec();
        let apdu = Channel::initialize_update(&settings, &challenge);
        let apdu = apdu.map_err(|e| self.channel_failure(e))?;
        self.opening = Some((settings, challenge));
        self.mark(false);
        Ok(Some(self.send(apdu, Outstanding::Initialize)))
    }

    /// The channel as the plan has it, with the first protocol that is accepted; the chip's answer chooses among them.
    fn settings(&self, opening: &Opening) -> LibraryResult<ChannelSettings> {
        let plan = &self.input.plan;
        let channel =
            plan.channels.get(&opening.channel).ok_or(ErrorKind::Internal("a channel without a plan"))?;
        let sets = &self.input.station.key_sets;
        let keys = sets.get(&channel.key_set).ok_or(ErrorKind::Missing("the key set"))?;
        let protocol = channel.accept.first().ok_or(ErrorKind::Missing("a protocol"))?;
        let mut settings = ChannelSettings::new(*protocol, channel.level, *keys);
        settings.key_version = channel.key_version;
        settings.aid.clone_from(&opening.aid);
        settings.transport = Some(self.input.data.transport.clone());
        settings.new_keys = opening.new_keys.as_ref().and_then(|name| sets.get(name)).copied();
        Ok(settings)
    }

    /// Asks for the claim, unless it is stored.
    fn claim(&mut self) -> Option<Step> {
        let key_data = self.chip.filter(|_| !self.claimed)?;
        self.outstanding = Some(Outstanding::Claim);
        Some(Step::Claim(Claim {
            card_reference: self.input.data.card_reference.clone(),
            key_data,
            reassigned_from: self.reassigned_from,
        }))
    }

    fn store(&mut self, step: &StoreData) -> Result<Option<Step>, Failure> {
        let index = self.current().and_then(|u| u.application);
        let Some(channel) = &self.channel else { return Err(self.channel_failure(ChannelError::Closed)) };
        let (block, max) = (channel.protocol().block_len(), channel.max_plain_data());
        if self.storing.is_none() {
            let set = index.and_then(|i| self.input.data.applications.get(i)).map(|a| &a.dgis);
            let parts = match set {
                Some(set) => store::parts(step, set, Some(block), max),
                None => Err(ErrorKind::Internal("data without its application").into()),
            };
            let parts = parts.map_err(|e| self.misfit(e))?;
            if parts.iter().any(|p| p.secret)
                && let Some(claim) = self.claim()
            {
                return Ok(Some(claim));
            }
            let max = max.min(usize::from(step.max_data));
            let pieces = VecDeque::new();
            self.storing = Some(Storing { parts, at: 0, pieces, block: 0, max, step: step.clone() });
        }
        let Some(storing) = &self.storing else { return Ok(None) };
        if storing.pieces.is_empty() {
            if storing.at >= storing.parts.len() {
                self.storing = None;
                return Ok(None);
            }
            let (max, data) = (storing.max, self.part_data(index)?);
            let cut = store::cut(&data, max);
            let cut = cut.map_err(|e| self.misfit(e))?;
            if let Some(storing) = &mut self.storing {
                storing.pieces = cut;
            }
        }
        let Some(storing) = &mut self.storing else { return Ok(None) };
        let (Some(part), Some(piece)) = (storing.parts.get(storing.at), storing.pieces.pop_front()) else {
            return Err(self.misfit(ErrorKind::Internal("no piece of data").into()));
        };
        let end = storing.pieces.is_empty();
        let p1 = part.p1(&storing.step, end);
        let last = part.last && end;
        let p2 = u8::try_from(storing.block);
        storing.block = storing.block.saturating_add(1);
        let le = storing.step.le.then_some(0);
        let apdu = p2
            .map_err(|_| {
                Error::new(ErrorKind::Value("a personalization has at most 256 STORE DATA commands"))
            })
            .and_then(|p2| CommandApdu::new([0x80, 0xE2, p1, p2], piece.to_vec(), le));
        let apdu = apdu.map_err(|e| self.misfit(e))?;
        let apdu = self.wrap(apdu)?;
        self.mark(last);
        Ok(Some(self.send(apdu, Outstanding::Store)))
    }

    /// The groupings of the part that is next, secrets enciphered for the chip as a whole.
    fn part_data(&mut self, index: Option<usize>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut out = Zeroizing::new(Vec::new());
        let tags: Vec<DgiTag> = match &self.storing {
            Some(storing) => storing.parts.get(storing.at).map(|p| p.dgis.clone()).unwrap_or_default(),
            None => Vec::new(),
        };
        if tags.is_empty() {
            let end = encode_dgi(DgiTag::COMPLETION, &[]);
            out.extend(end.map_err(|e| self.misfit(e))?);
            return Ok(out);
        }
        for tag in tags {
            let random = self.draw(b"fill");
            let Some(fill) = random.first_chunk::<16>() else { continue };
            let dgi = index.and_then(|i| self.input.data.applications.get(i)).and_then(|a| a.dgis.get(tag));
            let (Some(dgi), Some(channel), Some(storing)) = (dgi, &self.channel, &self.storing) else {
                let e = Error::new(ErrorKind::Internal("a grouping that is not there"));
                return Err(self.misfit(e));
            };
            let value = match dgi.protection {
                Protection::None => Zeroizing::new(dgi.value.clone()),
                Protection::Transport => {
                    let block = channel.protocol().block_len();
                    let refill = store::refill(&storing.step, tag, *fill, block, dgi.value.len());
                    let value = channel.recipher(&dgi.value, &refill).map_err(|e| self.channel_failure(e))?;
                    if value == dgi.value {
                        let e = Error::new(ErrorKind::Crypto("a value was not enciphered anew"));
                        return Err(self.failure(FailureReason::Keys(Box::new(e))));
                    }
                    Zeroizing::new(value)
                }
            };
            let length = dgi_length(value.len()).map_err(|e| self.misfit(e))?;
            out.extend_from_slice(&tag.0.to_be_bytes());
            out.extend_from_slice(&length);
            out.extend_from_slice(&value);
        }
        Ok(out)
    }

    /// STORE DATA of a CPLC field: personalizer (2) ‖ date (2) ‖ equipment (4).
    fn cplc(&self, cplc: Cplc) -> LibraryResult<CommandApdu> {
        let station = &self.input.station;
        let value = [&station.personalizer[..], &cplc_date(self.input.today), &station.equipment].concat();
        CommandApdu::new([0x80, 0xE2, 0x80, 0x00], encode_dgi(cplc.dgi(), &value)?, Some(0))
    }
}

/// The command that shows whether a write-once operation was done: GET DATA of the CPLC; GET STATUS of the card or the
/// application, as SET STATUS names it (GPCS 11.4).
fn look(what: &What) -> LibraryResult<Option<CommandApdu>> {
    match what {
        What::Cplc(_) => CommandApdu::new([0x80, 0xCA, 0x9F, 0x7F], Vec::new(), Some(0)).map(Some),
        What::Command(command) if command.nature == Nature::SameState => {
            let [_, _, scope, _] = command.apdu.header();
            let aid = command.apdu.data();
            let len = u8::try_from(aid.len()).unwrap_or(u8::MAX);
            let data = [&[0x4F, len], aid].concat();
            CommandApdu::new([0x80, 0xF2, scope, 0x02], data, Some(0)).map(Some)
        }
        _ => Ok(None),
    }
}

/// YDDD in binary-coded decimal: last digit of the year, day of the year (GPCS H.6).
fn cplc_date(day: CardDate) -> [u8; 2] {
    let [y, d, e, f] = [
        u16::from(day.year() % 10),
        day.day_of_year() / 100,
        day.day_of_year() / 10 % 10,
        day.day_of_year() % 10,
    ]
    .map(|digit| u8::try_from(digit).unwrap_or(0));
    [(y << 4) | d, (e << 4) | f]
}
