//! Datagrams in words.

use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Flags;
use crate::wire::Heartbeat;
use crate::wire::RangeEntry;
use crate::wire::Status;

/// What a datagram says, in a few words: `data 3..5`, `nak 7..8 11..12`, `heartbeat 12 poll`.
#[must_use]
pub fn words(bytes: &[u8]) -> String {
    let datagram = match Datagram::decode(bytes) {
        Ok(datagram) => datagram,
        Err(error) => return format!("damaged: {error}"),
    };
    let header = datagram.header;
    let base = header.base();
    match datagram.body {
        Body::Data(_) if header.flags().has(Flags::REPAIR) => format!("repair {}", header.range()),
        Body::Data(_) => format!("data {}", header.range()),
        Body::Heartbeat(heartbeat) => format!("heartbeat {base}{}", flags(heartbeat)),
        Body::End(heartbeat) => format!("end {base}{}", flags(heartbeat)),
        Body::Nak(_, entries) => format!("nak {}", ranges(entries)),
        Body::Status(status) => {
            format!("status {base}{}", if status.has(Status::LEAVING) { " leaving" } else { "" })
        }
        Body::Welcome(_) => "welcome".to_owned(),
        Body::Gone(entries) => {
            let entries =
                entries.iter().filter_map(|one| Some(format!("{} {:?}", one.range(), one.reason()?)));
            format!("gone {}", entries.collect::<Vec<_>>().join(" "))
        }
        Body::Shed(_, entries) => format!("shed {}", ranges(entries)),
        Body::Hello(..) => "hello".to_owned(),
        Body::Close(_) => "close".to_owned(),
        Body::Rows(..) => "rows".to_owned(),
    }
}

fn ranges(entries: &[RangeEntry]) -> String {
    entries.iter().map(|one| one.range().to_string()).collect::<Vec<_>>().join(" ")
}

const fn flags(heartbeat: &Heartbeat) -> &'static str {
    match heartbeat.flags.get() {
        0 => "",
        Heartbeat::POLL => " poll",
        Heartbeat::BLOCK => " block",
        _ => " poll block",
    }
}
