//! The four roles.

mod echo;
mod ping;
mod publish;
mod subscribe;
mod watch;

use std::io;
use std::io::Write;
use std::process;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::Options;
use crate::Publish;
use crate::Report;
use crate::Result;
use crate::Role;
use crate::System;
use crate::message::END;
use crate::message::Message;
use crate::system;
use crate::system::ProcessorTime;

/// How long a side waits for the other to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the end is told by a system that may lose it.
const ENDS: u32 = 20;

/// Plays the role of the options, and prints the report.
pub(crate) fn play<S: System>(options: &Options) -> Result<()> {
    options.check(S::NAMES)?;
    if let Some(core) = options.core {
        system::pin(core).map_err(|error| format!("--core {core}: {error}"))?;
    }
    if let Some(seconds) = options.sample_rss {
        sample_memory(Duration::try_from_secs_f64(seconds)?)?;
    }
    let report = match options.role {
        Role::Pub => publish::play::<S>(options),
        Role::Sub => subscribe::play::<S>(options),
        Role::Ping => ping::play::<S>(options),
        Role::Echo => echo::play::<S>(options),
    }?;
    say(&report.line())
}

/// Prints a line at once.
fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Prints the memory of this process before anything is opened, and then now and then, on a thread that sleeps
/// meanwhile.
fn sample_memory(every: Duration) -> Result<()> {
    let start = system::now();
    sample(start)?;
    thread::spawn(move || {
        loop {
            thread::sleep(every);
            if sample(start).is_err() {
                process::exit(1);
            }
        }
    });
    Ok(())
}

fn sample(start: u64) -> Result<()> {
    let (rss_bytes, anonymous_bytes) = (system::resident_bytes(), system::anonymous_bytes());
    let at_seconds = seconds_since(start);
    let line =
        json!({ "rss_bytes": rss_bytes, "anonymous_bytes": anonymous_bytes, "at_seconds": at_seconds });
    say(&line.to_string())
}

/// Waits for the subscribers; `meanwhile` is called again and again.
fn connect(
    publisher: &mut impl Publish,
    subscribers: usize,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<()> {
    let deadline = system::now() + PATIENCE.as_nanos() as u64;
    while !publisher.is_connected(subscribers)? {
        meanwhile()?;
        if system::now() > deadline {
            return Err(format!("{subscribers} subscribers did not come within {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// Says `ready`, and waits for `go`; `meanwhile` is called again and again.
fn await_go(mut meanwhile: impl FnMut() -> Result<()>) -> Result<()> {
    say("ready")?;
    let input = io::stdin();
    while !system::is_readable(&input, Duration::from_millis(1))? {
        meanwhile()?;
    }
    let mut line = String::new();
    input.read_line(&mut line)?;
    if line.trim() == "go" { Ok(()) } else { Err(format!("expected the line go, not {line:?}").into()) }
}

/// Tells the end again and again, where a system may lose it.
fn repeat_end<S: System>(publisher: &mut S::Publisher, message: &mut Message, count: u64) -> Result<()> {
    if S::RELIABLE {
        return Ok(());
    }
    for _ in 0..ENDS {
        publisher.publish(message.write(END, count))?;
        publisher.finish()?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn seconds_since(start: u64) -> f64 {
    (system::now() - start) as f64 / 1e9
}

/// A report with what is the same in every role.
fn report(options: &Options, cpu: ProcessorTime) -> Report {
    Report {
        role: options.role.to_string(),
        system: options.system.clone(),
        messages: 0,
        seconds: 0.0,
        cpu_user: cpu.user,
        cpu_system: cpu.system,
        rss_bytes: system::resident_bytes(),
        lost: 0,
        duplicates: 0,
        disordered: 0,
        repaired: 0,
        naks: 0,
        latency_us: None,
        notes: crate::Notes::new(),
    }
}
