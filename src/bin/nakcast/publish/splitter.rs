//! Blocks of input in, messages out.

use std::io::BufRead;

use nakcast::LONGEST_MESSAGE;

use crate::ending::Failure;

const PREFIX: usize = 2;

/// Where one message ends and the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// At a newline, which belongs to neither.
    Lines,
    /// After so many bytes.
    Chunks(usize),
    /// After as many bytes as the two before it say, big-endian.
    Prefixed,
}

/// Cuts input into messages.
#[derive(Debug)]
pub(crate) struct Splitter {
    framing: Framing,
    held: Vec<u8>,
    /// What of `held` was handed out.
    at: usize,
    /// What of `held` is known to have no newline.
    searched: usize,
    ended: bool,
    messages: u64,
}

/// A message in `held`, and where the next one may begin.
struct Cut {
    from: usize,
    to: usize,
    next: usize,
}

impl Splitter {
    pub(crate) const fn new(framing: Framing) -> Self {
        Self { framing, held: Vec::new(), at: 0, searched: 0, ended: false, messages: 0 }
    }

    /// More input.
    pub(crate) fn push(&mut self, block: Vec<u8>) {
        if self.at == self.held.len() {
            self.held = block;
        } else {
            self.held.drain(..self.at);
            self.held.extend_from_slice(&block);
        }
        self.searched -= self.at.min(self.searched);
        self.at = 0;
    }

    /// There is no more input.
    pub(crate) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether everything was handed out.
    pub(crate) const fn is_done(&self) -> bool {
        self.ended && self.at >= self.held.len()
    }

    /// The next message, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        let Some(cut) = self.cut()? else { return Ok(None) };
        (self.at, self.searched) = (cut.next, cut.next);
        self.messages += 1;
        Ok(self.held.get(cut.from..cut.to))
    }

    fn cut(&mut self) -> Result<Option<Cut>, Failure> {
        match self.framing {
            Framing::Lines => self.cut_line(),
            Framing::Chunks(bytes) => Ok(self.cut_chunk(bytes)),
            Framing::Prefixed => self.cut_record(),
        }
    }

    fn cut_line(&mut self) -> Result<Option<Cut>, Failure> {
        let mut rest = self.held.get(self.searched..).unwrap_or_default();
        // Reading from memory cannot fail; `skip_until` is there for its fast search.
        let skipped = rest.skip_until(b'\n').unwrap_or_default();
        let end = self.searched + skipped;
        if skipped > 0 && self.held.get(end - 1) == Some(&b'\n') {
            return Ok(Some(Cut { from: self.at, to: end - 1, next: end }));
        }
        self.searched = end;
        if end - self.at > LONGEST_MESSAGE {
            return Err(Failure::LineTooLong { number: self.messages + 1, most: LONGEST_MESSAGE });
        }
        let is_last = self.ended && end > self.at;
        Ok(is_last.then_some(Cut { from: self.at, to: end, next: end }))
    }

    fn cut_chunk(&self, bytes: usize) -> Option<Cut> {
        let left = self.held.len() - self.at;
        let take = if left >= bytes || self.ended { left.min(bytes) } else { 0 };
        let to = self.at + take;
        (take > 0).then_some(Cut { from: self.at, to, next: to })
    }

    fn cut_record(&self) -> Result<Option<Cut>, Failure> {
        let rest = self.held.get(self.at..).unwrap_or_default();
        let prefix = rest.first_chunk::<PREFIX>().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
        let need = PREFIX + prefix.unwrap_or_default();
        if prefix.is_some() && rest.len() >= need {
            let next = self.at + need;
            return Ok(Some(Cut { from: self.at + PREFIX, to: next, next }));
        }
        if self.ended && !rest.is_empty() {
            return Err(Failure::CutOff { number: self.messages + 1, have: rest.len(), need });
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of `input`, handed in `step` bytes at a time.
    fn split(framing: Framing, input: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Failure> {
        let (mut splitter, mut messages) = (Splitter::new(framing), Vec::new());
        for block in input.chunks(step) {
            splitter.push(block.to_vec());
            while let Some(message) = splitter.next()? {
                messages.push(message.to_vec());
            }
        }
        splitter.end();
        while let Some(message) = splitter.next()? {
            messages.push(message.to_vec());
        }
        assert!(splitter.is_done());
        Ok(messages)
    }

    #[test]
    fn however_it_comes_the_messages_are_the_same() {
        for step in 1..12 {
            let lines = split(Framing::Lines, b"one\n\ntwo\nthree", step).unwrap();
            assert_eq!(lines, [&b"one"[..], b"", b"two", b"three"]);
            let chunks = split(Framing::Chunks(4), b"abcdefghij", step).unwrap();
            assert_eq!(chunks, [&b"abcd"[..], b"efgh", b"ij"]);
            let records = split(Framing::Prefixed, b"\0\x03abc\0\0\0\x01z", step).unwrap();
            assert_eq!(records, [&b"abc"[..], b"", b"z"]);
        }
    }

    #[test]
    fn nothing_gives_nothing_and_a_newline_an_empty_message() {
        for framing in [Framing::Lines, Framing::Chunks(4), Framing::Prefixed] {
            assert!(split(framing, b"", 1).unwrap().is_empty());
        }
        assert_eq!(split(Framing::Lines, b"\n", 1).unwrap(), [b""]);
    }

    #[test]
    fn a_tape_that_is_cut_off_says_where() {
        let error = |input| split(Framing::Prefixed, input, 3).unwrap_err().to_string();
        assert!(error(b"\0\x01a\0\x05abc").contains("record 2, with 5 of its 7 bytes"));
        assert!(error(b"\0").contains("record 1, with 1 of its 2 bytes"));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = vec![b'x'; LONGEST_MESSAGE + 2];
        let error = split(Framing::Lines, &endless, 1 << 20).unwrap_err().to_string();
        assert!(error.starts_with("line 1 is longer than"), "{error}");
    }
}
