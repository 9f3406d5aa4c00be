//! What waits to be written to a connection.

use std::io;
use std::io::ErrorKind;
use std::io::Write;

/// A report that finds more than this waiting is left out: a later one says more.
const MOST_WAITING: usize = 4_096;

/// A bounded queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    bytes: Vec<u8>,
    written: usize,
}

impl Outflow {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Whether a message finds room, however long it is.
    pub(super) const fn has_room(&self) -> bool {
        self.bytes.len() - self.written <= MOST_WAITING
    }

    /// Queues a whole message; whether there was room.
    pub(super) fn push(&mut self, message: &[u8]) -> bool {
        if self.is_empty() {
            self.clear();
        }
        let fits = self.has_room();
        if fits {
            self.bytes.extend_from_slice(message);
        }
        fits
    }

    /// Writes as much as `sink` takes now.
    ///
    /// # Errors
    ///
    /// As the sink's, but not that it is full.
    pub(super) fn flush(&mut self, sink: &mut impl Write) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match sink.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then nothing.
    struct Sink(Vec<u8>, usize);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.1);
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.1 -= taken;
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_found_no_room_goes_out_later_and_whole() {
        let (mut outflow, mut sink) = (Outflow::default(), Sink(Vec::new(), 5));
        assert!(outflow.push(&[1; 4]) && outflow.push(&[2; 4]));
        outflow.flush(&mut sink).unwrap();
        assert!(!outflow.is_empty());
        sink.1 = 100;
        assert!(outflow.push(&[3; 4]));
        outflow.flush(&mut sink).unwrap();
        assert!(outflow.is_empty());
        assert_eq!(sink.0, [[1; 4], [2; 4], [3; 4]].concat());
    }

    #[test]
    fn the_queue_is_bounded_and_takes_one_long_message() {
        let mut outflow = Outflow::default();
        assert!(outflow.push(&[0; 65_567]));
        assert!(!outflow.push(&[0; 1]));
        outflow.flush(&mut Sink(Vec::new(), usize::MAX)).unwrap();
        assert!(outflow.push(&[0; 1]));
    }
}
