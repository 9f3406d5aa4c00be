//! A process of the command: started, fed, watched, and killed when its test is over.

use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// No process of these tests takes nearly as long.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(25);

/// A process that is not over.
pub(crate) struct Running {
    line: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
}

/// One that is.
pub(crate) struct Ended {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// What a thread reads from the process.
#[derive(Default)]
struct Output {
    blocks: Option<Receiver<Vec<u8>>>,
    bytes: Vec<u8>,
}

impl Running {
    /// Starts `nakcast` with `arguments`; with `input` that is all of its standard input, without it stays open.
    pub(crate) fn start(arguments: &[&str], input: Option<&[u8]>) -> Self {
        let mut running = Self::launch(arguments);
        running.stdout = running.child.stdout.take().map_or_else(Output::default, Output::read);
        if let Some(input) = input {
            let (input, mut stdin) = (input.to_vec(), running.stdin.take().expect("stdin is piped"));
            // A process that refuses its command line does not read its input.
            thread::spawn(move || stdin.write_all(&input).unwrap_or_default());
        }
        running
    }

    /// Starts `nakcast` with a standard output that nobody reads any more.
    pub(crate) fn start_unheard(arguments: &[&str]) -> Self {
        let mut running = Self::launch(arguments);
        drop(running.child.stdout.take());
        running
    }

    fn launch(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nakcast"));
        let piped =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the command was built");
        let (stdin, stderr) =
            (child.stdin.take(), Output::read(child.stderr.take().expect("stderr is piped")));
        Self { line: arguments.join(" "), child, stdin, stdout: Output::default(), stderr }
    }

    /// More input.
    pub(crate) fn write(&mut self, input: &[u8]) {
        let stdin = self.stdin.as_mut().expect("started without input");
        stdin.write_all(input).expect("it reads its input");
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until its output begins with `text`, or, for an empty one, until there is any.
    pub(crate) fn wait_for_stdout(&mut self, text: &str) {
        while self.stdout.bytes.is_empty() || !self.stdout.bytes.starts_with(text.as_bytes()) {
            if !self.stdout.take() {
                panic!("{}: {text:?} never came, but {:?}", self.line, self.stdout.bytes);
            }
        }
    }

    /// Waits until it has said a whole line with `words` on stderr; gives the rest of that line.
    pub(crate) fn wait_for_stderr(&mut self, words: &str) -> String {
        loop {
            let said = String::from_utf8_lossy(&self.stderr.bytes).into_owned();
            let whole = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some((_, rest)) = whole.lines().find_map(|line| line.split_once(words)) {
                return rest.to_owned();
            }
            assert!(self.stderr.take(), "{}: {words:?} was never said, but:\n{said}", self.line);
        }
    }

    /// Waits until there is more of its output.
    pub(crate) fn wait_for_more(&mut self) {
        assert!(self.stdout.take(), "{}: nothing more ever came", self.line);
    }

    /// Waits for the next line of its output, and takes it.
    pub(crate) fn take_line(&mut self) -> String {
        loop {
            if let Some(end) = self.stdout.bytes.iter().position(|byte| *byte == b'\n') {
                let rest = self.stdout.bytes.split_off(end + 1);
                let line = std::mem::replace(&mut self.stdout.bytes, rest);
                return String::from_utf8(line).expect("text on stdout");
            }
            let said = String::from_utf8_lossy(&self.stderr.bytes);
            assert!(self.stdout.take(), "{}: no further line came; it has said:\n{said}", self.line);
        }
    }

    /// Lets a moment pass, unless it is over.
    pub(crate) fn wait_a_little(&mut self) {
        assert!(self.child.try_wait().expect("a child").is_none(), "{} is over", self.line);
        thread::park_timeout(Duration::from_millis(50));
    }

    /// As a crash does, or a cut of power; gives what it had written.
    pub(crate) fn kill(mut self) -> Vec<u8> {
        self.signal("KILL");
        self.child.wait().expect("a child");
        assert!(self.stdout.take_all(), "{}: its output does not end", self.line);
        std::mem::take(&mut self.stdout.bytes)
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// As if its machine had been put to sleep.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.stdin = None;
        let done = self.stdout.take_all() && self.stderr.take_all();
        let stderr = String::from_utf8_lossy(&self.stderr.bytes).into_owned();
        assert!(done, "{} does not end; it has said:\n{stderr}", self.line);
        let code = self.child.wait().expect("a child").code();
        Ended { line: self.line.clone(), code, stdout: std::mem::take(&mut self.stdout.bytes), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be over already.
        if self.child.kill().is_ok() {
            self.child.wait().expect("a child");
        }
    }
}

impl Ended {
    /// Whether it ended with `code` and said each of `parts` on stderr.
    pub(crate) fn assert(&self, code: i32, parts: &[&str]) {
        self.assert_in(code, parts, &self.stderr);
    }

    /// Whether it ended with `code` and wrote each of `parts` to stdout.
    pub(crate) fn assert_stdout(&self, code: i32, parts: &[&str]) {
        self.assert_in(code, parts, &self.text());
    }

    fn assert_in(&self, code: i32, parts: &[&str], text: &str) {
        let Self { line, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "nakcast {line}\n{stderr}");
        for part in parts {
            assert!(text.contains(part), "nakcast {line}\nno {part:?} in:\n{text}");
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("text on stdout")
    }

    /// The number that follows `words` on stderr.
    pub(crate) fn number_after(&self, words: &str) -> u64 {
        let rest =
            self.stderr.split(words).nth(1).unwrap_or_else(|| panic!("no {words:?} in:\n{}", self.stderr));
        let digits =
            rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(char::is_ascii_digit);
        digits.collect::<String>().parse().expect("a number")
    }
}

impl Output {
    fn read(mut input: impl Read + Send + 'static) -> Self {
        let (sender, blocks) = channel();
        thread::spawn(move || {
            let mut block = vec![0; 65_536];
            while let Ok(bytes @ 1..) = input.read(&mut block) {
                if sender.send(block[..bytes].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { blocks: Some(blocks), bytes: Vec::new() }
    }

    /// Takes the next block; false at the end, or when none comes.
    fn take(&mut self) -> bool {
        let block = self.blocks.as_ref().and_then(|blocks| blocks.recv_timeout(GIVE_UP).ok());
        block.is_some_and(|block| {
            self.bytes.extend(block);
            true
        })
    }

    /// Takes everything; false when it does not end.
    fn take_all(&mut self) -> bool {
        let Some(blocks) = self.blocks.take() else { return true };
        loop {
            match blocks.recv_timeout(GIVE_UP) {
                Ok(block) => self.bytes.extend(block),
                Err(error) => return error == std::sync::mpsc::RecvTimeoutError::Disconnected,
            }
        }
    }
}
