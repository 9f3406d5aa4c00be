//! A subscriber that is moved step by step, and what it has told.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use nakcast::ConnectionStats;
use nakcast::Error;
use nakcast::Event;
use nakcast::Subscriber;
use nakcast::SubscriberBuilder;

use super::publisher::Heard;
use super::publisher::Peer;
use super::publisher::payload;
use super::publisher::topic;

/// A wait that nothing but the clock ends, and how many of them a test has patience for.
const NAP: Duration = Duration::from_millis(2);
const NAPS: usize = 10_000;

pub(crate) struct Rig {
    pub(crate) subscriber: Subscriber,
    /// Runs of messages as `3..7`, everything else in words.
    pub(crate) told: Vec<String>,
    run: Option<(u64, u64)>,
}

impl Rig {
    pub(crate) fn open(builder: SubscriberBuilder) -> Self {
        Self { subscriber: builder.open().unwrap(), told: Vec::new(), run: None }
    }

    pub(crate) fn connection(&self) -> ConnectionStats {
        self.subscriber.stats().connection
    }

    /// Goes on for a moment.
    pub(crate) fn turn(&mut self) -> Result<(), Error> {
        let (told, run) = (&mut self.told, &mut self.run);
        let count = self.subscriber.poll_timeout(NAP, |event| tell(told, run, &event))?;
        assert!(count == 0 || !self.told.is_empty() || self.run.is_some());
        Ok(())
    }

    /// Goes on until `done`.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..NAPS {
            if done(self) {
                return;
            }
            self.turn().unwrap();
        }
        panic!("it does not come about; told so far: {:?}, {:?}", self.log(), self.subscriber.stats());
    }

    /// Goes on until it gives an error.
    pub(crate) fn error(&mut self) -> Error {
        (0..NAPS).find_map(|_| self.turn().err()).expect("an error")
    }

    /// Everything told, and forgets it.
    pub(crate) fn log(&mut self) -> Vec<String> {
        end_run(&mut self.told, &mut self.run);
        std::mem::take(&mut self.told)
    }

    /// Goes on until what was told, from now on, is this.
    pub(crate) fn expect(&mut self, wanted: &[&str]) {
        let mut so_far = Vec::new();
        for _ in 0..NAPS {
            self.turn().unwrap();
            so_far = self.told.clone();
            let mut run = self.run;
            end_run(&mut so_far, &mut run);
            if so_far.len() > wanted.len() || so_far == wanted {
                break;
            }
        }
        assert_eq!(so_far, wanted);
        self.log();
    }

    /// The next connection that comes to `listener`, and the HELLO on it.
    pub(crate) fn meet(&mut self, listener: &TcpListener) -> (Peer, Heard) {
        let mut peer = self.accept(listener);
        let mut heard = None;
        self.until(|_| {
            heard = heard.take().or_else(|| peer.hello());
            heard.is_some()
        });
        (peer, heard.unwrap())
    }

    pub(crate) fn accept(&mut self, listener: &TcpListener) -> Peer {
        listener.set_nonblocking(true).unwrap();
        let mut peer = None;
        self.until(|_| match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true).unwrap();
                peer = Some(Peer::new(socket));
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        });
        peer.unwrap()
    }
}

pub(crate) fn tell(told: &mut Vec<String>, run: &mut Option<(u64, u64)>, event: &Event<'_>) {
    let words = match *event {
        Event::Message(message) => {
            let offset = message.offset.0;
            assert_eq!((message.topic, message.payload), (topic(offset), &payload(offset)[..]));
            match run {
                Some((_, end)) if *end == offset => *end += 1,
                _ => {
                    end_run(told, run);
                    *run = Some((offset, offset + 1));
                }
            }
            return;
        }
        Event::Lost { session, range, reason } => {
            format!("{} lost {}..{} {reason}", session.0, range.from.0, range.to.0)
        }
        Event::SourceUp { session, from, replaces, .. } => match replaces {
            Some(old) => format!("{} up from {} replaces {}", session.0, from.0, old.0),
            None => format!("{} up from {}", session.0, from.0),
        },
        Event::SourceDown { session, reason, heard } => {
            format!("{} down {reason} at {}", session.0, heard.0)
        }
        _ => "something else".to_owned(),
    };
    end_run(told, run);
    told.push(words);
}

fn end_run(told: &mut Vec<String>, run: &mut Option<(u64, u64)>) {
    told.extend(run.take().map(|(from, to)| format!("{from}..{to}")));
}
