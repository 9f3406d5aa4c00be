//! Who is heard on an endpoint of datagrams, by one who only listens.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use nakcast::SessionId;
use nakcast::StreamId;
use nakcast::UdpEndpoint;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use serde_json::Value;
use serde_json::json;

use crate::clock::Clock;
use crate::doctor::finding::Finding;
use crate::doctor::host::Host;
use crate::doctor::parse;
use crate::doctor::place::Place;
use crate::doctor::sockets;
use crate::units;

const HEARD: &str = "heard";
const DROPS: &str = "kernel drops";
/// The most sources that are told apart; more are only counted.
const SOURCES: usize = 64;

/// Listens for so long; whether the kernel is a member of the group meanwhile, who was heard, and whether the kernel of this
/// machine dropped anything.
pub(crate) fn who(host: &Host, endpoint: &UdpEndpoint, place: &Place, time: Duration) -> Vec<Finding> {
    if endpoint.join {
        let why =
            "a publisher sends there only to those who ask for a copy: `nakcast sub` with this URI does";
        return vec![Finding::unchecked(HEARD, why)];
    }
    let socket = match open(endpoint, place) {
        Ok(socket) => socket,
        Err(error) => return vec![unopened(endpoint, place, &error)],
    };
    let mut findings = Vec::new();
    if endpoint.is_multicast() {
        findings.push(member(host, endpoint, place));
    }
    let drops = || host.read("proc/net/snmp").and_then(|text| parse::buffer_drops(&text));
    let before = drops();
    findings.push(match listen(&socket, time) {
        Ok(ear) => ear.finding(endpoint, time),
        Err(error) => {
            Finding::error(HEARD, format!("listening failed: {error}"), "see that the interface stays up")
        }
    });
    findings.push(match before.zip(drops()) {
        Some((before, after)) => dropped(before, after),
        None => Finding::unchecked(DROPS, "this system does not tell of them in /proc/net/snmp"),
    });
    findings
}

fn open(endpoint: &UdpEndpoint, place: &Place) -> io::Result<UdpSocket> {
    if endpoint.is_multicast() {
        return sockets::listening(endpoint.address, endpoint.source, place);
    }
    sockets::waiting(endpoint.address)
}

fn unopened(endpoint: &UdpEndpoint, place: &Place, error: &io::Error) -> Finding {
    let address = endpoint.address;
    match error.kind() {
        io::ErrorKind::AddrNotAvailable if !endpoint.is_multicast() => Finding::unchecked(
            HEARD,
            &format!("{} is another machine's address: ask the doctor there", address.ip()),
        ),
        io::ErrorKind::AddrInUse if !endpoint.is_multicast() => Finding::unchecked(
            HEARD,
            &format!("another process holds {address}: its subscriber, most likely"),
        ),
        io::ErrorKind::AddrInUse => {
            let what = format!("another process holds port {} without sharing it", address.port());
            let finding = Finding::error(HEARD, what, "stop it, or choose another port");
            finding.command(format!("ss -lunp sport = :{}", address.port()))
        }
        _ => {
            let what = format!("{} cannot be joined on {}: {error}", address.ip(), place.name);
            Finding::error(
                HEARD,
                what,
                "see that the interface is up, and raise net.ipv4.igmp_max_memberships",
            )
            .command("sysctl net.ipv4.igmp_max_memberships")
        }
    }
}

/// Whether the kernel lists the membership that was just asked for, and by which version it reports it.
fn member(host: &Host, endpoint: &UdpEndpoint, place: &Place) -> Finding {
    const NAME: &str = "membership";
    let IpAddr::V4(group) = endpoint.address.ip() else {
        return Finding::unchecked(NAME, "only memberships of IPv4 are read");
    };
    let Some(text) = host.read("proc/net/igmp") else {
        return Finding::unchecked(NAME, "this system does not tell of memberships in /proc/net/igmp");
    };
    let links = parse::igmp(&text);
    let link = links.iter().find(|link| link.interface == place.name && link.groups.contains(&group));
    let Some(link) = link else {
        let what = format!("the kernel does not list {group} on {}, though it was joined", place.name);
        return Finding::error(NAME, what, "see that the interface stays up");
    };
    let (name, version) = (&place.name, link.version);
    if version < 3 && endpoint.source.is_some() {
        let what = format!("the querier on {name} speaks version {version}, which cannot say source=");
        return Finding::error(NAME, what, "have the switch or router query with IGMP version 3");
    }
    Finding::fine(NAME, format!("{group} is joined on {name}, and reported with IGMP version {version}"))
}

fn dropped(before: u64, after: u64) -> Finding {
    let now = after.saturating_sub(before);
    if now == 0 {
        return Finding::fine(
            DROPS,
            format!("none meanwhile; {} since this machine came up", units::count(after)),
        );
    }
    let what = format!(
        "{} meanwhile, of all sockets of this machine, for want of buffer",
        units::counted(now, "datagram")
    );
    let remedy = "subscribers too slow, or too small a buffer: see the receive buffer above, and `nakcast sub`'s account";
    Finding::warning(DROPS, what, remedy)
}

/// What came from one address for one session.
#[derive(Debug)]
struct Voice {
    address: SocketAddr,
    stream: StreamId,
    session: SessionId,
    datagrams: u64,
    repairs: u64,
    /// Offsets of what was not sent again.
    messages: u64,
    bytes: u64,
    /// As its last heartbeat said.
    receivers: Option<u32>,
    tcp_port: u16,
    is_ended: bool,
}

#[derive(Debug, Default)]
struct Ear {
    voices: Vec<Voice>,
    /// Datagrams that are not ours, or damaged.
    strange: u64,
    /// Datagrams of sources beyond the table.
    uncounted: u64,
}

fn listen(socket: &UdpSocket, time: Duration) -> io::Result<Ear> {
    let (clock, mut ear, mut bytes) = (Clock::start(), Ear::default(), vec![0; 65_536]);
    while clock.now() < time {
        match socket.recv_from(&mut bytes) {
            Ok((length, from)) => ear.hear(from, bytes.get(..length).unwrap_or_default()),
            Err(error) if sockets::is_quiet(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ear)
}

impl Ear {
    fn hear(&mut self, from: SocketAddr, bytes: &[u8]) {
        let Ok(datagram) = Datagram::decode(bytes) else {
            self.strange += 1;
            return;
        };
        let header = datagram.header;
        let Some(voice) = self.voice(from, header.stream(), header.session()) else {
            self.uncounted += 1;
            return;
        };
        voice.datagrams += 1;
        match datagram.body {
            Body::Data(_) if header.flags().has(Flags::REPAIR) => voice.repairs += 1,
            Body::Data(_) => {
                voice.messages += u64::from(header.count());
                voice.bytes += bytes.len() as u64;
            }
            Body::Heartbeat(heartbeat) | Body::End(heartbeat) => {
                (voice.receivers, voice.tcp_port) =
                    (Some(heartbeat.receivers.get()), heartbeat.tcp_port.get());
                voice.is_ended = matches!(datagram.body, Body::End(_));
            }
            _ => {}
        }
    }

    fn voice(&mut self, address: SocketAddr, stream: StreamId, session: SessionId) -> Option<&mut Voice> {
        let known =
            |voice: &Voice| (voice.address, voice.stream, voice.session) == (address, stream, session);
        let at = self.voices.iter().position(known).or_else(|| {
            (self.voices.len() < SOURCES).then(|| {
                let quiet = Voice {
                    address,
                    stream,
                    session,
                    datagrams: 0,
                    repairs: 0,
                    messages: 0,
                    bytes: 0,
                    receivers: None,
                    tcp_port: 0,
                    is_ended: false,
                };
                self.voices.push(quiet);
                self.voices.len() - 1
            })
        })?;
        self.voices.get_mut(at)
    }

    fn finding(&self, endpoint: &UdpEndpoint, time: Duration) -> Finding {
        let stream = endpoint.stream;
        let (ours, others): (Vec<_>, Vec<_>) = self.voices.iter().partition(|voice| voice.stream == stream);
        let rows: Vec<_> = self.voices.iter().map(|voice| voice.json(time)).collect();
        let details = json!({ "sources": rows, "not_ours": self.strange, "uncounted": self.uncounted });
        let strange = match self.strange {
            0 => String::new(),
            count => format!("; {} that are not ours or damaged", units::counted(count, "datagram")),
        };
        let finding = if !ours.is_empty() {
            let words: Vec<_> = ours.iter().map(|voice| voice.words(time)).collect();
            Finding::fine(HEARD, format!("{}{strange}", words.join("; ")))
        } else if !others.is_empty() {
            let streams: Vec<_> = others.iter().map(|voice| voice.stream.to_string()).collect();
            let what = format!("nothing of stream {stream}, but of {} there{strange}", streams.join(", "));
            Finding::warning(HEARD, what, "write stream=N for one of these into the URI")
        } else {
            let what = format!("nobody in {}{strange}", units::time(time));
            let remedy = "start a publisher; if one runs: see that it names the same group, port and network, that its \
                ttl= reaches here, that firewalls pass UDP, and that the switch has an IGMP querier";
            Finding::warning(HEARD, what, remedy)
        };
        finding.details(details)
    }
}

impl Voice {
    fn rate(&self, count: u64, time: Duration) -> u64 {
        (count as f64 / time.as_secs_f64().max(1e-3)) as u64
    }

    fn words(&self, time: Duration) -> String {
        let receivers = self.receivers.map_or_else(String::new, |receivers| {
            format!(", {}", units::counted(u64::from(receivers), "live receiver"))
        });
        let repairs = if self.repairs > 0 {
            format!(", {}", units::counted(self.repairs, "repair"))
        } else {
            String::new()
        };
        let tcp = if self.tcp_port > 0 {
            format!(", history at TCP port {}", self.tcp_port)
        } else {
            String::new()
        };
        let ended = if self.is_ended { ", which has ended" } else { "" };
        format!(
            "{} with session {}, {} messages/s, {}/s{repairs}{receivers}{tcp}{ended}",
            self.address,
            self.session,
            units::count(self.rate(self.messages, time)),
            units::size(self.rate(self.bytes, time)),
        )
    }

    fn json(&self, time: Duration) -> Value {
        json!({
            "address": self.address.to_string(),
            "stream": self.stream.0,
            "session": self.session.to_string(),
            "datagrams": self.datagrams,
            "messages": self.messages,
            "messages_per_second": self.rate(self.messages, time),
            "bytes_per_second": self.rate(self.bytes, time),
            "repairs": self.repairs,
            "live_receivers": self.receivers,
            "tcp_port": self.tcp_port,
            "ended": self.is_ended,
        })
    }
}
