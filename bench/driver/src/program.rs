//! Programs that run beside each other, and what each has said.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;

use harness::Report;

use crate::clock::Deadline;
use crate::outcome::Line;
use crate::outcome::Memory;

/// Programs by their numbers, in the order in which they were started; those that still run are killed when dropped.
#[derive(Debug)]
pub(crate) struct Programs {
    programs: Vec<Program>,
    /// Kept, so that the other end never hangs up.
    teller: Sender<Told>,
    told: Receiver<Told>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    complaint: String,
    pub(crate) is_ready: bool,
    pub(crate) memory: Vec<Memory>,
    pub(crate) report: Option<Report>,
}

/// Who has said what.
#[derive(Debug)]
struct Told {
    who: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Line(String),
    Complaint(String),
    Ended,
}

impl Programs {
    pub(crate) fn new() -> Self {
        let (teller, told) = mpsc::channel();
        Self { programs: Vec::new(), teller, told }
    }

    /// Starts one more and gives its number.
    pub(crate) fn start(&mut self, command: &mut Command) -> Result<usize, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let who = self.programs.len();
        if let Some(stderr) = child.stderr.take() {
            self.listen(who, stderr, What::Complaint, None);
        }
        if let Some(stdout) = child.stdout.take() {
            self.listen(who, stdout, What::Line, Some(What::Ended));
        }
        let stdin = child.stdin.take();
        let program = Program {
            child,
            stdin,
            complaint: String::new(),
            is_ready: false,
            memory: Vec::new(),
            report: None,
        };
        self.programs.push(program);
        Ok(who)
    }

    fn listen(
        &self,
        who: usize,
        from: impl Read + Send + 'static,
        kind: fn(String) -> What,
        last: Option<What>,
    ) {
        let teller = self.teller.clone();
        thread::spawn(move || {
            let lines = BufReader::new(from).lines().map_while(Result::ok).map(kind);
            // Nobody listens any more once the run is over.
            lines.chain(last).try_for_each(|what| teller.send(Told { who, what })).unwrap_or_default();
        });
    }

    /// Says a line to one of them; whoever has ended does not hear it, which is found when it is asked for.
    pub(crate) fn say(&mut self, who: usize, line: &str) {
        if let Some(stdin) = &mut self.programs[who].stdin {
            writeln!(stdin, "{line}").unwrap_or_default();
        }
    }

    /// Listens until all of `who` are as `wanted`.
    ///
    /// # Errors
    /// When one ends without a report, says something that it should not, or `deadline` is over.
    pub(crate) fn wait_for(
        &mut self,
        who: &[usize],
        wanted: fn(&Program) -> bool,
        deadline: Deadline,
    ) -> Result<(), String> {
        while !who.iter().all(|number| wanted(&self.programs[*number])) {
            let Some(left) = deadline.left()? else {
                return Err(format!("not done in time{}", self.complaints()));
            };
            if let Ok(told) = self.told.recv_timeout(left) {
                self.on_told(told)?;
            }
        }
        Ok(())
    }

    fn on_told(&mut self, told: Told) -> Result<(), String> {
        let program = &mut self.programs[told.who];
        match told.what {
            What::Complaint(complaint) => program.complaint = complaint,
            What::Line(line) => program.on_line(&line)?,
            What::Ended => {
                let status = program.child.wait().map_err(|error| error.to_string())?;
                if !status.success() || program.report.is_none() {
                    return Err(format!("ended without a result ({status}){}", self.complaints()));
                }
            }
        }
        Ok(())
    }

    /// The last words of each on its standard error.
    fn complaints(&mut self) -> String {
        // The words of a program that has just ended may still be on their way.
        let soon = std::time::Duration::from_millis(50);
        while let Ok(told) = self.told.recv_timeout(soon) {
            if let What::Complaint(complaint) = told.what {
                self.programs[told.who].complaint = complaint;
            }
        }
        let complaints = self.programs.iter().map(|program| program.complaint.as_str());
        complaints
            .filter(|complaint| !complaint.is_empty())
            .map(|complaint| format!(": {complaint}"))
            .collect()
    }

    /// What has been said so far.
    pub(crate) fn get(&self, who: usize) -> &Program {
        &self.programs[who]
    }
}

impl Program {
    fn on_line(&mut self, line: &str) -> Result<(), String> {
        match Line::parse(line)? {
            Line::Ready => self.is_ready = true,
            Line::Memory(memory) => self.memory.push(memory),
            Line::Report(report) => self.report = Some(*report),
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended is none to kill.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RESULT: &str = r#"{"role":"pub","system":"nakcast","messages":5,"seconds":1,"cpu_user":0,"cpu_system":0,
        "rss_bytes":1,"lost":0,"duplicates":0,"disordered":0,"repaired":0,"naks":0,"latency_us":null,"notes":{}}"#;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn ready(program: &Program) -> bool {
        program.is_ready
    }

    fn done(program: &Program) -> bool {
        program.report.is_some()
    }

    #[test]
    fn a_program_that_does_as_it_should() {
        let mut programs = Programs::new();
        let result = RESULT.replace("\n", "");
        let script = format!(
            r#"echo ready; read word; echo '{{"rss_bytes":1,"anonymous_bytes":1,"at_seconds":2}}'; echo '{result}'"#
        );
        let who = programs.start(&mut shell(&script)).unwrap();
        let deadline = Deadline::after(Duration::from_secs(30));
        programs.wait_for(&[who], ready, deadline).unwrap();
        assert!(!done(programs.get(who)));
        programs.say(who, "go");
        programs.wait_for(&[who], done, deadline).unwrap();
        assert_eq!(programs.get(who).memory.len(), 1);
        assert_eq!(programs.get(who).report.as_ref().unwrap().messages, 5);
    }

    #[test]
    fn one_that_fails_is_told_with_its_last_words() {
        let mut programs = Programs::new();
        let who = programs.start(&mut shell("echo ready; echo no interface >&2; exit 1")).unwrap();
        let error = programs.wait_for(&[who], done, Deadline::after(Duration::from_secs(30)));
        let error = error.unwrap_err();
        assert!(error.starts_with("ended without a result") && error.ends_with(": no interface"), "{error}");
    }

    #[test]
    fn one_that_says_something_else() {
        let mut programs = Programs::new();
        let who = programs.start(&mut shell("echo hello; sleep 60")).unwrap();
        let error = programs.wait_for(&[who], ready, Deadline::after(Duration::from_secs(30)));
        assert!(error.unwrap_err().contains("hello"));
    }

    #[test]
    fn time_is_up() {
        let mut programs = Programs::new();
        let who = programs.start(&mut shell("sleep 60")).unwrap();
        let error = programs.wait_for(&[who], ready, Deadline::after(Duration::ZERO));
        assert!(error.unwrap_err().starts_with("not done in time"));
    }
}
