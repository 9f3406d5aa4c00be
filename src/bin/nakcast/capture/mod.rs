//! Capture files: datagrams with their times, as tcpdump and Wireshark write and read them.

mod packet;
mod reader;
mod writer;

pub(crate) use packet::Udp;
pub(crate) use packet::udp;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;
