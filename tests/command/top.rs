//! `top` on a real terminal: what the screen says, and that the terminal is as before when it is gone.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use vt100::Parser;

use crate::process::Running;
use crate::uri;

const ROWS: u16 = 40;
const COLUMNS: u16 = 170;
/// Nothing takes nearly as long to appear.
const GIVE_UP: Duration = Duration::from_secs(25);

/// A shell's terminal, made by `script`, and its screen.
struct Terminal {
    child: Child,
    blocks: Receiver<Vec<u8>>,
    parser: Parser,
}

impl Terminal {
    /// A terminal on which `commands` run; `None` where there is no `script`.
    fn run(commands: &str) -> Option<Self> {
        let commands = format!("stty cols {COLUMNS} rows {ROWS}; {commands}");
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &commands, "/dev/null"]);
        command.env("TERM", "xterm-256color").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED: no `script` here (util-linux), so there is no terminal to look at");
                return None;
            }
            other => other.expect("script"),
        };
        let mut output = child.stdout.take().expect("stdout is piped");
        let (sender, blocks) = channel();
        thread::spawn(move || {
            let mut block = [0; 65_536];
            while let Ok(bytes @ 1..) = output.read(&mut block) {
                if sender.send(block[..bytes].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Self { child, blocks, parser: Parser::new(ROWS, COLUMNS, 0) })
    }

    fn lines(&self) -> Vec<String> {
        self.parser.screen().rows(0, COLUMNS).collect()
    }

    /// Waits until the screen is so; gives its lines.
    fn wait_for(&mut self, what: &str, is_it: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let lines = self.lines();
            if is_it(&lines) {
                return lines;
            }
            let block = self.blocks.recv_timeout(GIVE_UP);
            let block = block.unwrap_or_else(|_| panic!("{what} never came:\n{}", lines.join("\n")));
            self.parser.process(&block);
        }
    }

    fn press(&mut self, keys: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(keys).expect("the terminal is there");
        stdin.flush().expect("the terminal is there");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be over already.
        if self.child.kill().is_ok() {
            self.child.wait().expect("a child");
        }
    }
}

/// Whether there is a line with all of these.
fn has(lines: &[String], words: &[&str]) -> bool {
    lines.iter().any(|line| words.iter().all(|word| line.contains(word)))
}

fn subscriber(uri: &str) -> (Running, String) {
    let mut subscriber = Running::start(&["sub", uri, "-v"], None);
    let said = subscriber.wait_for_stderr("receiver=");
    (subscriber, said.split_whitespace().next().expect("a name").to_owned())
}

#[test]
fn a_stopped_subscriber_is_seen_and_the_terminal_is_given_back() {
    let uri = uri(38);
    let (group, stream) = uri.rsplit_once("&stream=").expect("a stream");
    let command = env!("CARGO_BIN_EXE_nakcast");
    // The stream is not named: it is found.
    let commands = format!("'{command}' top '{group}'; echo ended with $?; stty -a");
    let Some(mut terminal) = Terminal::run(&commands) else { return };
    let tcp = format!("tcp://127.0.0.1:0?stream={stream}");
    let mut publisher = Running::start(&["pub", &uri, &tcp, "--wait", "2", "--rate", "1000"], None);
    publisher.wait_for_stderr("listening at ");
    let (stopped, stopped_name) = subscriber(&uri);
    let (_well, well) = subscriber(&uri);
    let lines: String = (0..60_000).map(|number| format!("{number}\n")).collect();
    publisher.write(lines.as_bytes());

    terminal.wait_for("both subscribers", |lines| {
        has(lines, &[stream, &well, "live"]) && has(lines, &[stream, &stopped_name, "live"])
    });
    terminal.wait_for("a rate", |lines| has(lines, &[stream, "up", "kB", "█"]));
    stopped.stop();
    terminal.wait_for("the stopped one", |lines| {
        has(lines, &[&stopped_name, "stopped"])
            && has(lines, &[&well, "live"])
            && has(lines, &["receiver_silent", &stopped_name])
    });
    terminal.press(b"s");
    terminal.wait_for("another order", |lines| has(lines, &["sort by: loss (most first)"]));
    terminal.press(b"r");
    terminal.wait_for("the order reversed", |lines| has(lines, &["sort by: loss (least first)"]));
    assert!(terminal.parser.screen().alternate_screen());
    terminal.press(b"q");
    let lines = terminal.wait_for("the shell", |lines| has(lines, &[" echoke"]) || has(lines, &["echoctl"]));
    assert!(has(&lines, &["ended with 0"]), "{lines:?}");
    assert!(has(&lines, &["isig icanon"]) && has(&lines, &[" echo echoe"]), "{lines:?}");
    let screen = terminal.parser.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    Running::start(&["top", &uri(39)], None).end().assert(2, &["top needs a terminal", "nakcast stat"]);
}

/// SIGTERM is what a closing session sends: the terminal is given back all the same.
#[test]
fn a_signal_and_a_failure_give_the_terminal_back() {
    let command = env!("CARGO_BIN_EXE_nakcast");
    let top = format!("'{command}' top '{}'", uri(40));
    let commands = format!("timeout --foreground 2 {top}; stty -a");
    let Some(mut terminal) = Terminal::run(&commands) else { return };
    terminal.wait_for("the screen", |lines| has(lines, &["nakcast top"]));
    let lines = terminal.wait_for("the shell", |lines| has(lines, &["echoctl"]));
    assert!(has(&lines, &["isig icanon"]), "{lines:?}");
    assert!(!terminal.parser.screen().alternate_screen());

    let Some(mut terminal) =
        Terminal::run(&format!("'{command}' top udp://239.192.0.1:1?interface=none; stty -a"))
    else {
        return;
    };
    let lines = terminal.wait_for("the shell", |lines| has(lines, &["echoctl"]));
    assert!(has(&lines, &["isig icanon"]) && has(&lines, &["nakcast: "]), "{lines:?}");
}
