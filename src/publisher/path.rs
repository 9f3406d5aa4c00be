//! The publish path, from a message to the socket.

use core::time::Duration;

use crate::config::Wait as Waiting;
use crate::error::PublishError;
use crate::history::Open;
use crate::history::Writer;
use crate::offset::Offset;
use crate::protocol::Leave;
use crate::protocol::Linger;
use crate::protocol::Look;
use crate::publisher::attention::Attention;
use crate::publisher::background::Driven;
use crate::publisher::core::Core;
use crate::publisher::core::Sending;
use crate::publisher::streams::By;
use crate::time::Time;
use crate::wire::FRAME_BYTES;
use crate::wire::FrameFlags;
use crate::wire::TOPIC_BYTES;

/// How long a held publisher serves its own socket before it sleeps: a STATUS is usually that close, with few
/// subscribers. Where it was not the last time, it sleeps at once.
const SPIN: Duration = Duration::from_micros(200);
/// How long subscribers have to confirm what was only sent when the time was up.
const CONFIRM: Duration = Duration::from_millis(100);
/// How long the last messages may take to leave once nothing but the socket holds them back.
const GRACE: Duration = Duration::from_millis(500);
/// The longest sleep of a held publisher between two looks.
const DOZE: Duration = Duration::from_millis(10);

/// Whether to wait for the subscribers' window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Never,
    Forever,
    Until(Time),
}

/// When what is in the open batch leaves.
#[derive(Debug)]
pub(super) struct Departure {
    linger: Linger,
    /// Sealed batches wait for the window.
    blocked: bool,
    /// The offset at which a hold looks at the time again.
    look_at: Offset,
    attention: Attention,
}

impl Departure {
    /// Seals what is open and hands everything to the socket that the window admits.
    fn send(&mut self, core: &Core, open: &mut Open<'_>, full: bool) {
        open.seal(core.stamp(), full);
        self.blocked = core.send_unsent(open) != Sending::Done;
        // The next message is the first again: it goes the slow way, where it is decided how it leaves.
        open.set_limit(0);
        self.on_sent(core.clock.now());
    }

    const fn on_sent(&mut self, now: Time) {
        self.linger.on_sent(now);
        self.attention.on_sent(now);
    }

    /// Connections were written to, until now: the time that took says nothing about how soon messages come, and is
    /// no part of a hold, which has often begun before it.
    fn on_written(&mut self, now: Time) {
        self.linger.on_written(now);
        self.attention.on_sent(now);
    }

    /// Lets the message that was just placed go, alone or with those that follow.
    pub(super) fn leave(&mut self, core: &Core, open: &mut Open<'_>, leave: Leave) {
        if leave == Leave::Alone {
            self.send(core, open, false);
            // What the window or the socket held back has nobody else to look after it.
            if self.attention.is_active() && !self.blocked {
                return;
            }
        }
        core.raise_alert();
    }
}

/// The appending side of a publisher.
#[derive(Debug)]
pub(super) struct Path {
    writer: Writer,
    departure: Departure,
    /// Payload and topic that fit one datagram.
    room: usize,
    longest: usize,
    /// The single-threaded form's own turns.
    pub(super) driven: Option<Driven>,
    /// Whether to sleep while there is nothing to do but wait.
    pub(super) waiting: Waiting,
    /// The window opened soon enough, the last time that it was closed, for it to be worth looking again and again.
    opens_soon: bool,
    pub(super) finished: bool,
}

impl Path {
    pub(super) fn new(
        writer: Writer,
        (linger, waiting): (Duration, Waiting),
        longest: usize,
        driven: Option<Driven>,
    ) -> Self {
        let room = writer.ring().batch_room() - FRAME_BYTES;
        let departure = Departure {
            linger: Linger::new(linger),
            blocked: false,
            look_at: Offset::ZERO,
            attention: Attention::new(),
        };
        let opens_soon = true;
        let mut path =
            Self { writer, departure, room, longest, driven, waiting, opens_soon, finished: false };
        path.writer.open().set_limit(0);
        path
    }

    /// In the middle of a burst a message costs a lock, a compare and a copy; `None` sends it the slow way.
    #[inline]
    pub(super) fn append(&mut self, topic: &[u8], payload: &[u8]) -> Option<Offset> {
        if topic.len() > TOPIC_BYTES || topic.len() + payload.len() > self.room {
            return None;
        }
        self.writer.open().append(FrameFlags::WHOLE, topic, payload)
    }

    /// Publishes a message that did not go the fast way: the first after a send, one that fills a datagram, one
    /// that is too long for any, or one that has to wait.
    pub(super) fn publish(
        &mut self,
        core: &Core,
        (topic, payload): (&[u8], &[u8]),
        wait: Wait,
    ) -> Result<Offset, PublishError> {
        self.check(topic, payload.len())?;
        let (offset, leave) = if topic.len() + payload.len() > self.room {
            self.place_fragments(core, (topic, payload), wait)?
        } else {
            self.place(core, (FrameFlags::WHOLE, topic, payload), wait)?
        };
        self.leave(core, leave);
        self.attend(core);
        core.carry(By::Publisher);
        Ok(offset)
    }

    /// Answers subscribers, if it is time.
    pub(super) fn attend(&mut self, core: &Core) {
        self.departure.attention.attend(core);
    }

    pub(super) fn check(&self, topic: &[u8], payload: usize) -> Result<(), PublishError> {
        if self.finished {
            return Err(PublishError::Finished);
        }
        if topic.len() > TOPIC_BYTES {
            return Err(PublishError::TopicTooLong { bytes: topic.len() });
        }
        if payload > self.longest {
            return Err(PublishError::TooLong { bytes: payload, most: self.longest });
        }
        Ok(())
    }

    /// The most payload a claimed message has with this topic.
    pub(super) const fn room_beside(&self, topic: &[u8]) -> usize {
        self.room.saturating_sub(topic.len())
    }

    /// A message of several fragments: each takes an offset and, but for the last, fills a datagram.
    fn place_fragments(
        &mut self,
        core: &Core,
        (topic, payload): (&[u8], &[u8]),
        wait: Wait,
    ) -> Result<(Offset, Leave), PublishError> {
        if wait == Wait::Never && !self.has_window_for(core, payload.len()) {
            return Err(PublishError::WouldBlock);
        }
        let (head, mut rest) = payload.split_at(self.room - topic.len());
        let (first, mut leave) = self.place(core, (FrameFlags::FIRST, topic, head), wait)?;
        // Once a part is published the others follow, whatever the wait: half a message is no use to anybody.
        while !rest.is_empty() {
            let (part, after) = rest.split_at(self.room.min(rest.len()));
            let flags = if after.is_empty() { FrameFlags::LAST } else { FrameFlags::default() };
            let (_, next) = self.place(core, (flags, &[], part), Wait::Forever)?;
            leave = if next == Leave::Alone { next } else { leave };
            rest = after;
        }
        Ok((first, leave))
    }

    fn has_window_for(&self, core: &Core, payload: usize) -> bool {
        let datagrams = payload.div_ceil(self.room);
        !self.departure.blocked && core.is_open_for_all(datagrams, self.room)
    }

    /// Puts one frame into the open batch, once there is room; gives its offset, and how it is to leave.
    fn place(
        &mut self,
        core: &Core,
        (flags, topic, payload): (FrameFlags, &[u8], &[u8]),
        wait: Wait,
    ) -> Result<(Offset, Leave), PublishError> {
        let need = FRAME_BYTES + topic.len() + payload.len();
        loop {
            let leave = self.make_room(core, need, wait)?;
            // The background thread may have sent the tail in between; then the room is made again.
            if let Some(offset) = self.writer.open().append(flags, topic, payload) {
                return Ok((offset, leave));
            }
        }
    }

    /// Sees to it that the open batch takes `need` bytes, sending what is in the way; decides how the next message
    /// leaves.
    pub(super) fn make_room(&mut self, core: &Core, need: usize, wait: Wait) -> Result<Leave, PublishError> {
        loop {
            if self.departure.blocked {
                self.wait_for_window(core, wait)?;
            }
            let mut open = self.writer.open();
            let held = open.held();
            let is_full = held.messages > 0 && open.is_full_for(need);
            if is_full {
                open.seal(core.stamp(), true);
                let messages = self.departure.look_at.since(held.end);
                if messages > 0 && open.has_room() {
                    open.set_limit(soft_limit(open.open_bytes(), need, messages));
                    return Ok(Leave::Hold { messages });
                }
            }
            let now = core.clock.now();
            if let Some(at) = core.take_written() {
                self.departure.on_written(at);
            }
            if held.messages == 0 {
                if !open.has_room() {
                    open.next_train();
                }
                let leave = self.departure.linger.on_first(now);
                self.departure.attention.on_first(now);
                let held_on = matches!(leave, Leave::Hold { .. });
                let messages = if held_on { self.departure.linger.stride() } else { u64::MAX };
                self.departure.look_at = held.end.plus(messages);
                open.set_limit(soft_limit(open.open_bytes(), need, messages));
                return Ok(leave);
            }
            // The last batch of a train is filled, too: what is left of its room would travel alone.
            let is_last = is_full && !open.has_room();
            let look = if is_last { Look::Flush } else { self.departure.linger.look(now, held.messages) };
            if let Look::HoldOn { messages } = look {
                self.departure.look_at = held.end.plus(messages);
                open.set_limit(soft_limit(open.open_bytes(), need, messages));
                return Ok(Leave::Hold { messages });
            }
            self.departure.send(core, &mut open, is_full);
        }
    }

    fn leave(&mut self, core: &Core, leave: Leave) {
        match leave {
            Leave::Alone => self.departure.leave(core, &mut self.writer.open(), leave),
            Leave::Hold { .. } => core.raise_alert(),
        }
    }

    /// Sends everything that waits, once the window admits it.
    pub(super) fn flush(&mut self, core: &Core, wait: Wait) -> Result<(), PublishError> {
        self.departure.send(core, &mut self.writer.open(), false);
        if self.departure.blocked { self.wait_for_window(core, wait) } else { Ok(()) }
    }

    /// Sends everything that waits, for the last time: in order until `deadline`, then whether or not the window admits
    /// it. In the ring and announced it can be repaired or named as lost; unsent it would be lost in silence.
    /// Gives until when subscribers may confirm.
    pub(super) fn flush_at_last(&mut self, core: &Core, deadline: Time) -> Time {
        if self.flush(core, Wait::Until(deadline)).is_ok() {
            return deadline;
        }
        core.lift_limit();
        let grace = core.clock.now() + GRACE;
        if self.flush(core, Wait::Until(grace)).is_err() {
            tracing::error!("the socket takes no datagram any more: the last messages are not sent");
        }
        deadline.max(core.clock.now() + CONFIRM)
    }

    /// Waits until what is sealed has left.
    fn wait_for_window(&mut self, core: &Core, wait: Wait) -> Result<(), PublishError> {
        let started = core.clock.now();
        let mut has_served = false;
        loop {
            let mut open = self.writer.open();
            let sending = core.send_unsent(&mut open);
            let now = core.clock.now();
            if sending == Sending::Done {
                open.set_limit(0);
                drop(open);
                self.departure.blocked = false;
                core.engine().sender.set_held(now, false);
                self.departure.on_sent(now);
                self.opens_soon = now.since(started) < SPIN;
                return Ok(());
            }
            drop(open);
            let is_over = match wait {
                Wait::Never => has_served,
                Wait::Forever => false,
                Wait::Until(deadline) => now >= deadline,
            };
            if is_over {
                return Err(PublishError::WouldBlock);
            }
            let waited = now.since(started);
            let by_itself = if self.opens_soon { SPIN } else { Duration::ZERO };
            let spins = wait == Wait::Never || waited < self.waiting.spin(by_itself);
            match sending {
                Sending::SocketFull if wait == Wait::Never => return Err(PublishError::WouldBlock),
                Sending::SocketFull if waited < self.waiting.spin(Duration::ZERO) => core::hint::spin_loop(),
                Sending::SocketFull => core.wait_for_socket(),
                _ => self.serve_held(core, now, spins),
            }
            has_served = true;
        }
    }

    /// One turn of waiting: the publisher serves its own socket, so that no thread has to be woken for a STATUS.
    fn serve_held(&mut self, core: &Core, now: Time, spin: bool) {
        let mut engine = core.engine();
        engine.sender.set_held(now, true);
        let limit = core.limit();
        let (engine, next) = core.serve(engine, now);
        let deadline = next.unwrap_or(now + DOZE).min(now + DOZE);
        if core.limit() > limit {
            return;
        }
        if spin {
            drop(engine);
            core.stay_attended(now);
            core::hint::spin_loop();
        } else if let Some(driven) = &mut self.driven {
            drop(engine);
            driven.wait(deadline, core);
        } else {
            core.rest(engine, deadline, now);
        }
    }

    /// The open batch, which [`Path::make_room`] has prepared, and the rule by which it leaves.
    pub(super) fn split(&mut self) -> (Open<'_>, &mut Departure) {
        (self.writer.open(), &mut self.departure)
    }
}

/// Where the publisher looks at the time again: after `messages` more of the size of this one.
fn soft_limit(open_bytes: usize, need: usize, messages: u64) -> usize {
    open_bytes.saturating_add(need.saturating_mul(usize::try_from(messages).unwrap_or(usize::MAX)))
}
