//! Everything there is to say about a promise that was broken.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::path::Path;
use std::path::PathBuf;

use nakcast::sim::Options;
use nakcast::sim::Pcap;
use nakcast::sim::Record;
use nakcast::sim::Report;
use nakcast::sim::Violation;

use crate::simulate::Tell;
use crate::simulate::last::LastEvents;
use crate::simulate::trial::attempt;
use crate::simulate::trial::takes_two;
use crate::units;

/// A world in which a promise was broken.
pub(crate) struct Broken<'a> {
    pub(crate) options: &'a Options,
    pub(crate) violation: &'a Violation,
    /// The command that shows it again.
    pub(crate) reproduce: &'a str,
    pub(crate) tell: Tell,
}

impl Broken<'_> {
    /// Says what happened, how to see it again, in which world, and after what; runs it again to capture it.
    pub(crate) fn report(&self, pcap: Option<&Path>) {
        let (tell, options) = (self.tell, self.options);
        tell(format_args!("{}", self.line()));
        tell(format_args!("reproduce: {}", self.reproduce));
        tell(format_args!("options:\n{}", options.to_text().trim_end()));
        let path = pcap.map_or_else(|| self.file("pcap"), Path::to_owned);
        let mut capture = Capture::create(&path);
        let mut last = LastEvents::default();
        let again = attempt(options, &mut |record| {
            last.add(record);
            capture.record(record);
        });
        tell(format_args!("{}", last.marked(&self.violation.node)));
        if again.as_ref().err() != Some(self.violation) {
            tell(format_args!("run again, it is not the same: {}", self.other(again)));
        }
        tell(format_args!("capture: {}", capture.finish().0));
    }

    /// What came of another run, in words.
    fn other(&self, again: Result<Report, Violation>) -> String {
        match again {
            Ok(report) if takes_two(self.violation) => {
                format!("the trace has the hash {:#x}", report.trace_hash)
            }
            Ok(_) => "no promise was broken".to_owned(),
            Err(other) => other.to_string(),
        }
    }

    /// The one line that says it all.
    fn line(&self) -> String {
        let Violation { invariant, at, node, what } = self.violation;
        let (seed, seconds) = (self.options.seed, at.0 as f64 / 1e9);
        format!("SIM FAIL invariant={invariant} seed={seed:#x} t={seconds:.6}s node={node}: {what}")
    }

    /// A file in the current folder that belongs to this seed.
    pub(crate) fn file(&self, ending: &str) -> PathBuf {
        PathBuf::from(format!("nakcast-sim-{:#x}.{ending}", self.options.seed))
    }
}

/// Creates a file, and says whether there was one.
pub(crate) fn create(path: &Path) -> io::Result<(File, bool)> {
    match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((File::create(path)?, true)),
        created => Ok((created?, false)),
    }
}

/// What to say behind the name of a file that replaces another.
pub(crate) const fn replaced(is_replaced: bool) -> &'static str {
    if is_replaced { ", in place of the file that was there" } else { "" }
}

/// Runs a world in which all is well once more, to capture it. Says what came of it, and whether it was written.
pub(crate) fn capture(options: &Options, path: &Path) -> (String, bool) {
    let mut capture = Capture::create(path);
    match attempt(options, &mut |record| capture.record(record)) {
        Ok(_) => capture.finish(),
        Err(other) => (format!("run again, it is not the same: {other}"), false),
    }
}

/// A capture as far as it can be written.
struct Capture<'a> {
    path: &'a Path,
    is_replaced: bool,
    pcap: io::Result<Pcap<BufWriter<File>>>,
}

impl<'a> Capture<'a> {
    fn create(path: &'a Path) -> Self {
        let created = create(path);
        let is_replaced = created.as_ref().is_ok_and(|(_, is_replaced)| *is_replaced);
        Self { path, is_replaced, pcap: created.and_then(|(file, _)| Pcap::new(BufWriter::new(file))) }
    }

    fn record(&mut self, record: &Record<'_>) {
        if let Ok(pcap) = &mut self.pcap
            && let Err(error) = pcap.record(record)
        {
            self.pcap = Err(error);
        }
    }

    /// What came of it, in words, and whether it was written.
    fn finish(self) -> (String, bool) {
        let path = self.path.display();
        let written = self.pcap.and_then(|pcap| {
            let packets = pcap.packets();
            pcap.finish().map(|_| packets)
        });
        match written {
            Ok(packets) => {
                let packets = units::counted(packets, "datagram");
                (format!("{packets} in {path}{}", replaced(self.is_replaced)), true)
            }
            Err(error) => (format!("none: cannot write {path}: {error}"), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fmt;
    use std::fs;

    use nakcast::time::Time;

    use super::*;

    thread_local! {
        static TOLD: RefCell<String> = const { RefCell::new(String::new()) };
    }

    fn tell(line: fmt::Arguments<'_>) {
        TOLD.with_borrow_mut(|told| told.push_str(&format!("{line}\n")));
    }

    #[test]
    fn a_failure_says_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.pcap");
        let options = Options { seed: 0x9f, ..Options::default() };
        let violation = Violation {
            invariant: "S3",
            at: Time::from_micros(12_003_000),
            node: "sub0".to_owned(),
            what: "made up".to_owned(),
        };
        let broken = Broken { options: &options, violation: &violation, reproduce: "so", tell };
        broken.report(Some(&path));
        let length = fs::metadata(&path).unwrap().len();
        broken.report(Some(&path));
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        assert!(length > 24);
        let told = TOLD.take();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "SIM FAIL invariant=S3 seed=0x9f t=12.003000s node=sub0: made up");
        assert_eq!(lines[1..4], ["reproduce: so", "options:", "seed = 159"]);
        assert_eq!(lines.iter().filter(|line| line.starts_with("> ") || line.starts_with("  ")).count(), 400);
        assert!(told.contains("events, those of sub0 marked:\n"));
        assert!(told.contains("run again, it is not the same: no promise was broken\ncapture: "));
        let hash = Violation { invariant: "hash", ..violation.clone() };
        assert!(
            Broken { violation: &hash, ..broken }.other(attempt(&options, &mut |_| {})).contains("hash 0x")
        );
        let last = lines.iter().filter(|line| line.starts_with("capture: ")).collect::<Vec<_>>();
        assert!(
            last[0].ends_with("capture.pcap") && last[1].ends_with(", in place of the file that was there")
        );
    }

    #[test]
    fn a_capture_that_cannot_be_written_does_not_hide_the_failure() {
        let mut capture = Capture::create(Path::new("/no/such/folder/file"));
        attempt(&Options::default(), &mut |record| capture.record(record)).unwrap();
        let (told, is_written) = capture.finish();
        assert!(told.starts_with("none: cannot write /no/such/folder/file: ") && !is_written, "{told}");
    }
}
