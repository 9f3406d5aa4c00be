//! What came over a connection, cut into messages.
//!
//! ```text
//!          taken            whole            begun          room
//! [ ................... | message | message | mess ............................. ]
//!                       start                      end
//! ```
//!
//! A message is lent from where it was read to. Before the next read, what is begun moves to the front: less than one message,
//! so some tens of KiB at most for a quarter of a MiB read.

use std::io;
use std::io::Read;
use std::ops::Range;

use crate::wire::DecodeError;
use crate::wire::datagram_len;

/// Bytes of the buffer: four of the longest messages, and about what one read of a fast connection brings.
const BYTES: usize = 256 << 10;

/// The receive buffer of a connection.
#[derive(Debug)]
pub(super) struct Inflow {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Inflow {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BYTES].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Forgets everything; spans handed out before name other bytes then.
    pub(super) const fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// The next message, if the whole of it is here.
    ///
    /// # Errors
    ///
    /// When what comes next is no message of ours: nothing behind it can be found either.
    pub(super) fn next_message(&mut self) -> Result<Option<Range<usize>>, DecodeError> {
        let here = self.bytes.get(self.start..self.end).unwrap_or_default();
        let length = match datagram_len(here) {
            Ok(length) => length,
            Err(DecodeError::Short { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if length > here.len() {
            return Ok(None);
        }
        let message = self.start..self.start + length;
        self.start = message.end;
        Ok(Some(message))
    }

    pub(super) fn bytes(&self, message: Range<usize>) -> &[u8] {
        self.bytes.get(message).unwrap_or_default()
    }

    /// Reads once, as much as there is room for; gives how many bytes came. Only when every whole message was taken, so that
    /// there is room.
    ///
    /// # Errors
    ///
    /// As the source's; `UnexpectedEof` at its end.
    pub(super) fn read(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            return Ok(0);
        }
        match source.read(room)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            taken => {
                self.end += taken;
                Ok(taken)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::Offset;
    use crate::wire::CloseReason;
    use crate::wire::Head;
    use crate::wire::encode_close;

    /// Gives `step` bytes a read, then its end.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let taken = self.0.len().min(self.1).min(room.len());
            let (now, later) = self.0.split_at(taken);
            room[..taken].copy_from_slice(now);
            self.0 = later;
            Ok(taken)
        }
    }

    fn message(base: u64) -> Vec<u8> {
        let mut message = Vec::new();
        let head = Head { base: Offset(base), ..Head::default() };
        encode_close(&mut message, &head, CloseReason::Full);
        message
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let messages: Vec<_> = (0..40).map(message).collect();
        let bytes = messages.concat();
        for step in 1..150 {
            let (mut inflow, mut source, mut found) = (Inflow::new(), Slowly(&bytes, step), Vec::new());
            let end = loop {
                match inflow.read(&mut source) {
                    Ok(taken) => assert!(taken <= step),
                    Err(error) => break error.kind(),
                }
                while let Some(message) = inflow.next_message().unwrap() {
                    found.push(inflow.bytes(message).to_vec());
                }
            };
            assert_eq!((end, &found), (io::ErrorKind::UnexpectedEof, &messages), "{step} bytes a read");
        }
    }

    #[test]
    fn more_than_the_buffer_holds_comes_in_turns_and_in_order() {
        let one = message(7);
        let bytes = one.repeat(2 * BYTES / one.len());
        let (mut inflow, mut source, mut found) = (Inflow::new(), Slowly(&bytes, usize::MAX), 0);
        while inflow.read(&mut source).is_ok() {
            while let Some(message) = inflow.next_message().unwrap() {
                assert_eq!(inflow.bytes(message), one);
                found += 1;
            }
        }
        assert_eq!(found, bytes.len() / one.len());
    }

    #[test]
    fn what_is_not_ours_is_told_and_a_clear_forgets_it() {
        let mut inflow = Inflow::new();
        inflow.read(&mut Slowly(&[b'x'; 40], 40)).unwrap();
        assert!(inflow.next_message().is_err());
        inflow.clear();
        assert_eq!(inflow.next_message().unwrap(), None);
    }
}
