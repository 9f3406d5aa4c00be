//! The Wireshark dissector: captures made here, read by `tshark`, and compared with what this library decodes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "dissector/capture.rs"]
mod capture;
#[path = "dissector/script.rs"]
mod script;
#[path = "dissector/tshark.rs"]
mod tshark;
#[path = "dissector/twin.rs"]
mod twin;

#[cfg(feature = "cli")]
use std::io::Write;
#[cfg(feature = "cli")]
use std::process::Command;
#[cfg(feature = "cli")]
use std::process::Stdio;

use nakcast::sim::Node;
use nakcast::sim::Options;
use nakcast::sim::What;
use nakcast::sim::run_watched;
use nakcast::wire::Datagram;
use nakcast::wire::DecodeError;
use nakcast::wire::Header;

use capture::Capture;
use tshark::Tshark;

/// What must not be there in any capture of sound datagrams.
const WRONG: &str = "_ws.malformed || nakcast.broken || nakcast.checksum.bad || _ws.lua.error || nakcast.skipped || nakcast.trailing";

/// A world that loses, duplicates and reorders, with messages of several fragments, as one receiver hears it and as
/// everybody sends.
fn world(options: &Options, what: What, node: Option<Node>) -> (Capture, Vec<Vec<u8>>) {
    let (mut capture, mut datagrams) = (Capture::new(), Vec::new());
    let report = run_watched(options, &mut |record| {
        let is_wanted = record.what == what && node.is_none_or(|node| record.node == node);
        if let Some(packet) = record.packet.filter(|_| is_wanted) {
            capture.datagram(record.at, packet.from, packet.to, packet.bytes);
            datagrams.push(packet.bytes.to_vec());
        }
    });
    assert!(report.violation.is_none(), "{:?}", report.violation);
    (capture, datagrams)
}

fn lossy() -> Options {
    Options {
        seed: 7,
        receivers: 3,
        messages: 600,
        large_share: 0.1,
        burst: 5,
        batch: 4,
        loss: 0.05,
        duplicate: 0.02,
        jitter: 0.02,
        timestamps: true,
        ..Options::default()
    }
}

#[test]
fn every_datagram_of_a_world_is_read_as_this_library_reads_it() {
    let Some(tshark) = Tshark::find() else { return };
    let (capture, datagrams) = world(&lossy(), What::Sends, None);
    let file = capture.write();
    assert_eq!(tshark.count(&file, WRONG), 0);
    let rows = tshark.fields(&file, "", twin::FIELDS);
    assert_eq!(rows.len(), datagrams.len());
    for (row, bytes) in rows.iter().zip(&datagrams) {
        assert_eq!(row, &twin::row(&Datagram::decode(bytes).unwrap()));
    }
    for kind in ["DATA", "HEARTBEAT", "END", "NAK", "STATUS", "WELCOME"] {
        let wanted = datagrams.iter().filter(|bytes| twin::kind(bytes) == kind).count();
        assert!(wanted > 0, "no {kind} in this world");
        assert_eq!(tshark.count(&file, &format!("nakcast.kind == {kind}")), wanted, "{kind}");
    }
}

#[test]
fn gaps_and_repairs_are_those_that_a_receiver_met() {
    let Some(tshark) = Tshark::find() else { return };
    let (capture, datagrams) = world(&lossy(), What::Receives, Some(Node::Receiver(0)));
    let file = capture.write();
    let rows = tshark.fields(&file, "", twin::ANALYSIS);
    let mut twin = twin::Seen::default();
    let wanted: Vec<_> = datagrams.iter().map(|bytes| twin.look(bytes)).collect();
    assert_eq!(rows, wanted);
    assert!(twin.gaps > 20 && twin.gaps == twin.mended, "{} gaps, {} mended", twin.gaps, twin.mended);
    assert!(tshark.count(&file, "nakcast.analysis.duplicate") > 0);
    // Both as the packets' own fields and as expert information.
    let gaps = tshark.count(&file, "nakcast.analysis.gap");
    assert_eq!((gaps, gaps), (tshark.count(&file, "nakcast.gap"), twin.gap_datagrams));
}

/// The same bytes are refused by both, whatever is wrong with them.
#[test]
fn damaged_and_forged_datagrams_are_told_apart() {
    let Some(tshark) = Tshark::find() else { return };
    let mut options = Options { corrupt: 0.2, forged: 0.5, publisher_restarts: 1, ..lossy() };
    options.messages = 300;
    let (capture, datagrams) = world(&options, What::Receives, None);
    let file = capture.write();
    let rows = tshark.fields(&file, "", "frame.number,nakcast.checksum.bad,nakcast.broken,nakcast.analysis");
    assert_eq!(rows.len(), datagrams.len());
    let mut damaged = 0;
    for (row, bytes) in rows.iter().zip(&datagrams) {
        // An empty cell says that the field is not there; a datagram whose first bytes are damaged is no longer ours.
        let (is_bad, is_broken) = (!row[1].is_empty(), !row[2].is_empty());
        match Datagram::decode(bytes) {
            Ok(_) => assert!(!is_bad && !is_broken, "{row:?}"),
            // Of a kind that does not exist, it is not taken for ours.
            Err(_) if Header::peek(bytes).is_none() => {}
            Err(DecodeError::Checksum { .. }) => assert!(is_bad && row[3].is_empty(), "{row:?}"),
            Err(DecodeError::Magic(_) | DecodeError::Version(_)) => {}
            Err(error) => assert!(is_broken, "{error} {row:?}"),
        }
        damaged += usize::from(is_bad || is_broken);
    }
    assert!(damaged > 20, "{damaged} of {}", rows.len());
    assert_eq!(tshark.count(&file, "_ws.malformed && !nakcast.broken || _ws.lua.error"), 0);
}

#[test]
fn a_written_session_reads_like_its_script() {
    let Some(tshark) = Tshark::find() else { return };
    let file = script::session().write();
    assert_eq!(tshark.count(&file, WRONG), 0);
    assert_eq!(tshark.summaries(&file), script::SUMMARIES);
    let repair = "nakcast.analysis.repair.nak,nakcast.analysis.repair.time,nakcast.analysis.repair.mended";
    assert_eq!(tshark.fields(&file, "nakcast.analysis.repair", repair), [["6", "0.0002", "2"]]);
    assert_eq!(tshark.fields(&file, "nakcast.kind == NAK", "nakcast.analysis.nak.asked"), [["2"]]);
    assert_eq!(tshark.count(&file, "nakcast.topic == \"trades.AAPL\" && nakcast.message.offset == 1"), 1);
    assert_eq!(
        tshark.fields(&file, "nakcast.message.fragment", "nakcast.message.first,nakcast.message.last"),
        [["1,0", "0,1"]]
    );
    assert_eq!(tshark.count(&file, "nakcast.gone.reason == OVERRUN && nakcast.lost"), 1);
    assert_eq!(tshark.fields(&file, "nakcast.dropped", "nakcast.analysis.kernel_drops"), [["3"]]);
}

#[test]
fn datagrams_that_the_kernel_joined_are_taken_apart() {
    let Some(tshark) = Tshark::find() else { return };
    let file = script::joined().write();
    assert_eq!(tshark.count(&file, WRONG), 0);
    let rows = tshark.fields(&file, "", "nakcast.base,nakcast.count,nakcast.padding");
    assert_eq!(rows, [["0,1,2", "1,1,1", "0000000000000000,00000000000000"]]);
}

/// Cuts of any size; the datagrams come out the same.
#[test]
fn a_connection_is_put_together_however_it_was_cut() {
    // A segment of one byte does not tell whose connection it is; the port does.
    let Some(tshark) = Tshark::find().map(|tshark| tshark.with("nakcast.tcp_ports:4000")) else { return };
    for cut in [1, 31, 33, 1_400] {
        let file = script::connection(cut).write();
        assert_eq!(tshark.count(&file, WRONG), 0, "cut at {cut}");
        let rows = tshark.fields(&file, "nakcast.kind", "nakcast.kind,nakcast.base,nakcast.count");
        let cells = |column: usize| {
            rows.iter().flat_map(move |row| row[column].split(',').map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(cells(0), ["9", "2", "1", "1", "7", "1", "5", "3", "10"], "cut at {cut}");
        assert_eq!(cells(1), ["0", "10", "10", "12", "0", "16", "17", "17", "0"]);
        assert_eq!(cells(2), ["1", "0", "2", "1", "1", "1", "0", "0", "0"]);
        assert_eq!(tshark.count(&file, "nakcast.gap || nakcast.duplicate"), 0, "cut at {cut}");
        assert_eq!(tshark.count(&file, "nakcast.hello.start == AT && nakcast.hello.topic == \"trades.\""), 0);
        assert_eq!(
            tshark.count(&file, "nakcast.hello.start == LIVE && nakcast.hello.topic == \"trades.\""),
            1
        );
        assert_eq!(tshark.count(&file, "nakcast.close.reason == SLOW"), 1);
        assert_eq!(tshark.count(&file, "nakcast.message.filtered == 1 && nakcast.message.offsets == 1"), 1);
    }
}

#[test]
fn rows_of_receivers_are_read() {
    let Some(tshark) = Tshark::find() else { return };
    let file = script::rows_connection().write();
    assert_eq!(tshark.count(&file, WRONG), 0);
    assert_eq!(tshark.count(&file, "nakcast.hello.rows == 1 && nakcast.hello.observer == 1"), 1);
    let fields = "nakcast.kind,nakcast.row.next,nakcast.status.kernel_drops,nakcast.row.flags";
    assert_eq!(tshark.fields(&file, "nakcast.row", fields), [["11", "18", "3", "0x0001"]]);
}

#[test]
fn a_capture_that_begins_inside_a_datagram_finds_the_next() {
    let Some(tshark) = Tshark::find() else { return };
    let file = script::torn_connection().write();
    assert_eq!(tshark.count(&file, "nakcast.skipped"), 1);
    let rows = tshark.fields(&file, "nakcast.kind", "nakcast.kind,nakcast.base");
    assert_eq!(rows, [["1", "19"], ["1", "20"]]);
}

#[test]
fn every_filter_of_the_manual_is_one() {
    let Some(tshark) = Tshark::find() else { return };
    let file = script::session().write();
    let manual = include_str!("../tools/wireshark/README.md");
    let filters: Vec<_> = manual.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    assert!(filters.len() > 8);
    for filter in filters.iter().filter_map(|line| line.split_once("` |")) {
        assert!(tshark.count(&file, filter.0) > 0, "{} finds nothing", filter.0);
    }
}

/// Real processes, real fragments and topics, and the file that `record` wrote of them.
#[test]
#[cfg(feature = "cli")]
fn a_recording_is_read_without_a_malformed_packet() {
    let Some(tshark) = Tshark::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.pcap");
    let uri = format!("udp://239.192.42.1:42001?interface=lo&stream={}", std::process::id());
    let command = || Command::new(env!("CARGO_BIN_EXE_nakcast"));
    let mut recorder = command().args(["record", &uri]).arg(&file).stderr(Stdio::null()).spawn().unwrap();
    let mut publisher = command();
    publisher.args(["pub", &uri, "--chunk", "3000", "--topic", "t", "--wait", "1", "--timestamps"]);
    publisher.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut publisher = publisher.spawn().unwrap();
    publisher.stdin.take().unwrap().write_all(&[7; 30_000]).unwrap();
    assert!(publisher.wait().unwrap().success() && recorder.wait().unwrap().success());
    assert_eq!(tshark.count(&file, WRONG), 0);
    let offsets = tshark.fields(&file, "nakcast.kind == DATA", "nakcast.message.offset");
    assert!(offsets.concat().into_iter().eq((0..30).map(|offset| offset.to_string())));
    assert_eq!(
        tshark.count(&file, "nakcast.message.first == 1 && nakcast.topic == \"t\" && nakcast.sent"),
        10
    );
    assert_eq!(tshark.count(&file, "nakcast.kind == END && nakcast.base == 30"), 1);
    assert_eq!(tshark.count(&file, "nakcast.gap || nakcast.duplicate"), 0);
}
