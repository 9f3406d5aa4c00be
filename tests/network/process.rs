//! A process of a case: started on a host, fed, watched, stopped, and killed when its case is over.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::network::net::Host;
use crate::network::net::Net;

/// Nothing in these cases takes nearly as long.
const GIVE_UP: Duration = Duration::from_secs(90);

/// A process that is not over.
pub(crate) struct Process {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Captured,
    stderr: Captured,
}

/// One that is.
pub(crate) struct Ended {
    pub(crate) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// What a process has written so far, taken by a thread.
#[derive(Clone, Default)]
struct Captured(Arc<(Mutex<Written>, Condvar)>);

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Process {
    /// Starts the command on a host.
    pub(crate) fn start(net: &Net, host: Host, arguments: &[&str]) -> Self {
        Self::start_under(net, host, "", arguments)
    }

    /// Starts the command on a host by way of another, such as `strace`.
    pub(crate) fn start_under(net: &Net, host: Host, watcher: &str, arguments: &[&str]) -> Self {
        let binary = std::env::var("NAKCAST_BIN");
        let binary = binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_nakcast"));
        let mut words = watcher.split_whitespace().chain([binary]);
        let mut command = net.command(host, words.next().unwrap_or(binary));
        command.args(words).args(arguments);
        Self::spawn(command, format!("{host}: nakcast {}", arguments.join(" ")))
    }

    /// Starts `command`, whose name in messages is `line`.
    pub(crate) fn spawn(mut command: Command, line: String) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = Captured::read(child.stdout.take().unwrap());
        let stderr = Captured::read(child.stderr.take().unwrap());
        Self { line, child, stdin, stdout, stderr }
    }

    /// Gives it input, as fast as it takes it.
    pub(crate) fn write(&mut self, input: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(input).unwrap();
    }

    /// Gives it all of its input from a thread, while the case goes on.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        let (mut stdin, input) = (self.stdin.take().unwrap(), input.to_vec());
        // A process that ends early does not read its input.
        thread::spawn(move || stdin.write_all(&input).unwrap_or_default());
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has written `bytes` bytes to standard output.
    pub(crate) fn wait_for_bytes(&self, bytes: usize) {
        let came = self.stdout.wait(|written| written.len() >= bytes, GIVE_UP);
        assert!(came, "{}: wrote {} of {bytes} bytes\n{}", self.line, self.written(), self.told());
    }

    /// Waits until it has said `text` on standard error.
    pub(crate) fn wait_for_word(&self, text: &str) {
        let has = |written: &[u8]| String::from_utf8_lossy(written).contains(text);
        let came = self.stderr.wait(has, GIVE_UP);
        assert!(came, "{}: never said {text:?}, but\n{}", self.line, self.told());
    }

    /// Waits until its standard output has been quiet for `span`: it is held, or has nothing to do.
    pub(crate) fn wait_for_quiet(&self, span: Duration) {
        loop {
            let before = self.written();
            if !self.stdout.wait(|written| written.len() > before, span) {
                return;
            }
        }
    }

    /// Bytes written to standard output.
    pub(crate) fn written(&self) -> usize {
        self.stdout.0.0.lock().unwrap().bytes.len()
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&self.stderr.0.0.lock().unwrap().bytes).into_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// A line of `/proc/PID/status` in KiB, such as `VmHWM`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{} is over: {}", self.line, self.told()));
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.stdin = None;
        let done = self.stdout.wait_for_end() && self.stderr.wait_for_end();
        let stderr = self.told();
        assert!(done, "{} does not end; it has said:\n{stderr}", self.line);
        let code = self.child.wait().unwrap().code();
        let stdout = std::mem::take(&mut self.stdout.0.0.lock().unwrap().bytes);
        Ended { line: self.line.clone(), code, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be over already.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

impl Captured {
    fn read(mut input: impl Read + Send + 'static) -> Self {
        let captured = Self::default();
        let mine = captured.clone();
        thread::spawn(move || {
            let mut block = vec![0; 65_536];
            loop {
                let read = input.read(&mut block).unwrap_or_default();
                let mut written = mine.0.0.lock().unwrap();
                written.bytes.extend_from_slice(&block[..read]);
                written.ended = read == 0;
                mine.0.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        captured
    }

    /// Waits until what was written `has` what is wanted; false at its end or when `most` is over.
    fn wait(&self, has: impl Fn(&[u8]) -> bool, most: Duration) -> bool {
        let (written, changed) = &*self.0;
        let goes_on = |written: &mut Written| !written.ended && !has(&written.bytes);
        let (written, _) = changed.wait_timeout_while(written.lock().unwrap(), most, goes_on).unwrap();
        has(&written.bytes)
    }

    fn wait_for_end(&self) -> bool {
        let (written, changed) = &*self.0;
        let goes_on = |written: &mut Written| !written.ended;
        changed.wait_timeout_while(written.lock().unwrap(), GIVE_UP, goes_on).unwrap().0.ended
    }
}
