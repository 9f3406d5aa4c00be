//! Events as bytes on standard output.

use std::io;
use std::io::BufWriter;
use std::io::Write;

use nakcast::Event;
use nakcast::Message;

use crate::ending::Failure;

const BUFFER: usize = 256 << 10;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Payload and newline.
    Lines,
    /// Payload.
    Raw,
    /// Length, two bytes big-endian, and payload.
    Prefixed,
    /// Every event as an object.
    Json,
}

/// Where events go.
#[derive(Debug)]
pub(crate) struct Output<W: Write> {
    format: Format,
    writer: BufWriter<W>,
    bytes: u64,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(format: Format, writer: W) -> Self {
        Self { format, writer: BufWriter::with_capacity(BUFFER, writer), bytes: 0 }
    }

    /// Bytes of payload so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    pub(crate) fn write(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        let Event::Message(message) = event else {
            return if self.format == Format::Json { self.write_news(event) } else { Ok(()) };
        };
        self.bytes += message.payload.len() as u64;
        let prefix = u16::try_from(message.payload.len());
        let written = match (self.format, prefix) {
            (Format::Lines, _) => self.write_parts(&[message.payload, b"\n"]),
            (Format::Raw, _) => self.write_parts(&[message.payload]),
            (Format::Prefixed, Ok(prefix)) => self.write_parts(&[&prefix.to_be_bytes(), message.payload]),
            (Format::Prefixed, Err(_)) => {
                let (offset, bytes) = (message.offset.0, message.payload.len());
                return Err(Failure::TooLongForPrefix { offset, bytes });
            }
            (Format::Json, _) => self.write_message(message),
        };
        written.map_err(Failure::Write)
    }

    fn write_parts(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        parts.iter().try_for_each(|part| self.writer.write_all(part))
    }

    fn write_message(&mut self, message: &Message<'_>) -> io::Result<()> {
        let Message { session, offset, .. } = message;
        write!(self.writer, r#"{{"event":"message","session":"{session}","offset":{offset}"#)?;
        self.write_text("topic", message.topic)?;
        self.write_text("payload", message.payload)?;
        if let Some(timestamp) = message.timestamp {
            write!(self.writer, r#","timestamp":{timestamp}"#)?;
        }
        self.writer.write_all(b"}\n")
    }

    /// `,"NAME":"…"`, or `,"NAME_base16":"…"` for what is not UTF-8.
    fn write_text(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if let Ok(text) = str::from_utf8(bytes) {
            write!(self.writer, r#","{name}":"#)?;
            return serde_json::to_writer(&mut self.writer, text).map_err(io::Error::from);
        }
        write!(self.writer, r#","{name}_base16":""#)?;
        for byte in bytes {
            write!(self.writer, "{byte:02x}")?;
        }
        self.writer.write_all(b"\"")
    }

    fn write_news(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        let out = &mut self.writer;
        let written = match event {
            Event::Lost { session, range, reason } => writeln!(
                out,
                r#"{{"event":"lost","session":"{session}","from":{},"to":{},"reason":"{reason}"}}"#,
                range.from, range.to
            ),
            Event::SourceUp { session, address, from, replaces } => {
                let replaces = replaces.map_or("null".to_owned(), |session| format!("\"{session}\""));
                writeln!(
                    out,
                    r#"{{"event":"up","session":"{session}","address":"{address}","from":{from},"replaces":{replaces}}}"#
                )
            }
            Event::SourceDown { session, reason, heard } => writeln!(
                out,
                r#"{{"event":"down","session":"{session}","reason":"{reason}","heard":{heard}}}"#
            ),
            _ => Ok(()),
        };
        written.map_err(Failure::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nakcast::LostReason;
    use nakcast::Offset;
    use nakcast::OffsetRange;
    use nakcast::SessionId;

    fn message(payload: &[u8]) -> Event<'_> {
        let (session, offset) = (SessionId(10), Offset(3));
        Event::Message(Message { session, offset, offsets: 1, topic: b"t", payload, timestamp: None })
    }

    fn written(format: Format, events: &[Event<'_>]) -> String {
        let mut output = Output::new(format, Vec::new());
        events.iter().for_each(|event| output.write(event).unwrap());
        output.flush().unwrap();
        String::from_utf8(output.writer.into_inner().unwrap()).unwrap()
    }

    #[test]
    fn each_format_has_its_own_way() {
        let events = [message(b"ab"), message(b""), message(b"c")];
        assert_eq!(written(Format::Lines, &events), "ab\n\nc\n");
        assert_eq!(written(Format::Raw, &events), "abc");
        assert_eq!(written(Format::Prefixed, &events), "\0\x02ab\0\0\0\x01c");
    }

    #[test]
    fn json_is_json_whatever_the_payload() {
        let range = OffsetRange::new(Offset(4), Offset(6));
        let lost = Event::Lost { session: SessionId(10), range, reason: LostReason::Timeout };
        let text = written(Format::Json, &[message(b"a\"\n"), message(&[0xff, 0]), lost]);
        let objects: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&objects[0]["payload"], &objects[0]["offset"]), (&"a\"\n".into(), &3.into()));
        assert_eq!((&objects[1]["payload_base16"], &objects[1]["topic"]), (&"ff00".into(), &"t".into()));
        assert_eq!((&objects[2]["to"], &objects[2]["reason"]), (&6.into(), &"timeout".into()));
    }

    #[test]
    fn a_prefix_that_cannot_say_the_length_is_refused() {
        let long = vec![0; 65_536];
        let error = Output::new(Format::Prefixed, Vec::new()).write(&message(&long)).unwrap_err();
        assert!(error.to_string().contains("offset 3 has 65536 bytes"), "{error}");
    }
}
