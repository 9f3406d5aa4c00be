//! Bytes on the wire: version 1 of the format, as typed views. No state, no clock, and no input that panics.
//!
//! This page is the normative layout. All numbers are little-endian.
//!
//! # Every datagram: a header of 32 bytes
//!
//! | at | field | type | meaning |
//! | --- | --- | --- | --- |
//! | 0 | magic | u16 | `0x4B4E`, "NK" |
//! | 2 | version, kind | u8 | high nibble the version, 1; low nibble the [`Kind`] |
//! | 3 | flags | u8 | REPAIR 1, OPENING 2, TIMESTAMP 4, KEYED 128 (reserved); any other, and KEYED, is refused |
//! | 4 | checksum | u32 | CRC-32 (IEEE) of the first `32 + length` bytes, with this field and the REPAIR bit taken as 0 |
//! | 8 | stream | u32 | the stream on this endpoint |
//! | 12 | count | u16 | DATA: offsets covered, at least 1; NAK, GONE, SHED, ROWS: entries; HELLO: topics; otherwise 0 |
//! | 14 | length | u16 | bytes after the header that mean something |
//! | 16 | session | u64 | one life of the stream's numbering |
//! | 24 | base | u64 | see below |
//!
//! Bytes beyond `32 + length` are padding: zero when sent, never parsed, and only ever sent over UDP. With TIMESTAMP,
//! the first 8 bytes after the header are the time of sending in nanoseconds since the Unix epoch; they count in
//! `length`. REPAIR marks bytes sent again: it lies outside the checksum, so a repair is the first sending, one bit
//! apart. OPENING is set on all that is sent in the first second of a session, at most until 1,000 batches: whoever
//! first hears a session with this bit starts at offset 0.
//!
//! # Kinds
//!
//! | kind | base | body |
//! | --- | --- | --- |
//! | 1 DATA | offset of the first message | frames |
//! | 2 HEARTBEAT | end of the last batch handed to the socket | `oldest u64, receivers u32, grtt_us u32, status_ms u16, tcp_port u16, flags u16, 0 u16` |
//! | 3 END | as HEARTBEAT, and nothing follows it | as HEARTBEAT |
//! | 4 NAK | 0 | `receiver u64, token u64`, then `count` × `(from u64, n u32)`, ascending, disjoint, at most 100 |
//! | 5 STATUS | the next offset wanted | `receiver u64, token u64, time u64, window u32, rtt_us u32, delivered u64, lost u64, naks u64, kernel_drops u64, lag_us u32, flags u16, 0 u16` |
//! | 6 WELCOME | 0 | `receiver u64, token u64, echo u64` |
//! | 7 GONE | 0 | `count` × `(from u64, to u64, reason u8, 0 × 7)`, at most 50 |
//! | 8 SHED | 0 | `receiver u64, retry_after_us u32, 0 u32`, then `count` ranges as in NAK |
//! | 9 HELLO | the next offset wanted, if it begins AT one; with ROWS the least receiver wanted; else 0 | `receiver u64, to u64, start u8, flags u8, credentials u16, 0 u32`, then `count` × `(len u8, len bytes)`, at most 1,024 |
//! | 10 CLOSE | 0 | `reason u16, 0 × 6` |
//! | 11 ROWS | the end of the last batch sent | `left u32, 0 u32`, then `count` × a row of 88 bytes, ascending by receiver, at most 15 |
//!
//! A row: `receiver u64, next u64, delivered u64, lost u64, naks u64, kernel_drops u64, lag_us u32, rtt_us u32, heard_ms u32,
//! window u32, address [u8; 16], port u16, flags u16, 0 u32`; IPv4 addresses are mapped into IPv6, `heard_ms` is how long ago
//! it was heard. Flags of a row: LIVE 1, EVICTED 2, SLOW 4, STREAM 8 (over a connection).
//!
//! Heartbeat flags: POLL 1 (answer with a STATUS), BLOCK 2 (the publisher waits for its slowest receiver). Status
//! flags: LEAVING 1, OBSERVER 2, FETCHING 4. Reasons of a GONE:
//! OVERRUN 1, EXPIRED 2, NOT_DURABLE 3, DAMAGED 4, EVICTED 5. Reserved zeros must be zero.
//!
//! # Joining
//!
//! Where a publisher has no group and does not know its receivers, they say STATUS to its own address first. They do not
//! know the session: a STATUS of session 0 stands for any, and its base for no position. It is answered with a WELCOME,
//! whose header names the session; the same again with the token of that WELCOME takes its address in, and is answered
//! with a HEARTBEAT (or END) to that address, too. From then on everything that is sent is sent to that address, until its
//! receiver leaves, or has said no STATUS of the session for a while. NAKs without a token are not answered there.
//!
//! # A connection
//!
//! Over TCP the same datagrams stand back to back, without padding: each ends `32 + length` bytes after its start. HELLO,
//! CLOSE and ROWS are sent over connections only; a datagram of these kinds is counted and ignored.
//!
//! The subscriber says HELLO first, and again to change its topics. Its session is the one that it wants to go on with,
//! 0 for any; `to` the first offset it does not want, 2⁶⁴ − 1 for no end. Starts: LIVE 0, EARLIEST 1, AT 2. Flags:
//! OBSERVER 1, ROWS 2. `credentials` are the bytes of credentials that follow: none yet, so 0, and anything else is refused.
//! The entries are topic prefixes; none of them stands for every topic. Messages of other topics are left out, each with all
//! its fragments, and FILTERED frames stand in their place: no offset goes unsaid, in silence no later than with the next
//! HEARTBEAT. A later HELLO counts for messages of which the publisher has neither written nor left out the first
//! fragment; it answers with a HEARTBEAT whose base is the end of what it has. Whoever begins in the middle of a message
//! is sent the rest of it, since its topic is not known; a subscriber for whom the fragment before was left out counts
//! that rest as left out, too.
//!
//! A HELLO with the flag ROWS, before any other, begins nothing: the publisher answers it with one ROWS of the receivers it
//! knows, from the id that is the base on, and waits for the next HELLO as before the first. `left` is how many more there
//! are. Who asks so takes no subscriber's place; an answer goes unsaid while more than 16 KiB of others wait to be read.
//!
//! The publisher answers any other with a HEARTBEAT without OPENING, whose base is where the subscriber's messages begin; then
//! batches in order, from the one that holds that offset on. On a connection the base of HEARTBEAT and END is the end of
//! the last batch written to it, and a GONE comes in its place in the order of offsets, unasked. STATUS goes back over
//! the same connection, which is proof enough of its address; nobody sends a NAK. CLOSE is the last thing a publisher
//! says. Its reasons: STREAM 1 (not published here), FULL 2 (no room for another subscriber), BROKEN 3 (no HELLO that
//! can be served), SLOW 4 (too slow, and cut off for it), EVICTED 5 (the publisher's patience is used up).
//!
//! # Frames
//!
//! The frames of a batch end exactly at `length`, and their offsets add up to exactly `count`:
//!
//! ```text
//! len u16 | flags u8 | topic_len u8 | topic (topic_len bytes) | payload (len bytes)
//! ```
//!
//! Flags: FIRST 1 and LAST 2 fragment (a message in one piece has both; a topic stands only in the first); FILTERED 4
//! (alone: `len` holds how many offsets, at least 1, were left out for this subscriber, and nothing follows).

mod batch;
mod control;
mod encode;
mod header;
mod id;
mod rows;
mod session;

#[cfg(test)]
mod tests;

pub use batch::FRAME_BYTES;
pub use batch::Frame;
pub use batch::FrameFlags;
pub use batch::Frames;
pub use batch::TOPIC_BYTES;
pub use batch::put_filtered;
pub use batch::put_frame;
pub use batch::seal_batch;
pub use control::Body;
pub use control::Datagram;
pub use control::GONE_ENTRIES;
pub use control::GoneEntry;
pub use control::GoneReason;
pub use control::Heartbeat;
pub use control::Nak;
pub use control::RANGES;
pub use control::RangeEntry;
pub use control::Shed;
pub use control::Status;
pub use control::Welcome;
pub use encode::encode_close;
pub use encode::encode_end;
pub use encode::encode_gone;
pub use encode::encode_heartbeat;
pub use encode::encode_hello;
pub use encode::encode_nak;
pub use encode::encode_rows;
pub use encode::encode_shed;
pub use encode::encode_status;
pub use encode::encode_welcome;
pub use header::DecodeError;
pub use header::Flags;
pub use header::HEADER_BYTES;
pub use header::Head;
pub use header::Header;
pub use header::Kind;
pub use header::TIMESTAMP_BYTES;
pub use header::datagram_len;
pub use header::mark_repair;
pub use id::ReceiverId;
pub use id::SessionId;
pub use id::StreamId;
pub use id::Token;
pub use rows::ROWS_ENTRIES;
pub use rows::RowEntry;
pub use rows::Rows;
pub use session::Close;
pub use session::CloseReason;
pub use session::HELLO_TOPICS;
pub use session::Hello;
pub use session::HelloStart;
pub use session::Topics;
