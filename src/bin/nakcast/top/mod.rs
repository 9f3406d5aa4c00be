//! `nakcast top`: all streams and receivers of a group, on a terminal.

mod draw;
mod model;
mod scout;

use std::io;
use std::io::IsTerminal;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nakcast::Endpoint;
use nakcast::StreamId;
use nakcast::UdpEndpoint;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use ratatui::crossterm::event::KeyCode;
use ratatui::crossterm::event::KeyEvent;
use ratatui::crossterm::event::KeyEventKind;
use ratatui::crossterm::event::KeyModifiers;

use crate::clock::Clock;
use crate::clock::TICK;
use crate::ending::Ending;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::stat::view::View;
use crate::stat::watch::Watch;
use crate::top::model::Model;

const EXAMPLES: &str = "\
All streams of a group are shown, whatever the URI's stream=; over tcp:// only that one. As `nakcast stat`, it
only looks on, and receivers are known where their publisher has a TCP port.

Sparklines: a publisher's rate; a receiver's lag; and its loss: NAKs and lost messages since the look before.
Keys: q ends, s sorts by something else, r reverses, the arrows scroll.

Example:
  nakcast top 'udp://239.192.0.1:4000?interface=eth0'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to look at, such as 'udp://239.192.0.1:4000?interface=eth0' or tcp://127.0.0.1:7001.
    uri: Endpoint,
    /// How often to look.
    #[arg(long, value_name = "SECONDS", value_parser = crate::units::seconds, default_value = "0.5")]
    every: Duration,
}

type Look = (StreamId, Result<View, Failure>);

/// Shows everything until it is told to end.
pub(crate) fn run(args: &Args) -> Result<Ending, Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "top needs a terminal: use `nakcast stat --every 1` for a pipe or a file",
        ));
    }
    let interrupt = Interrupt::install()?;
    let mut screen = Screen::new(args, &interrupt)?;
    let mut terminal = ratatui::try_init().map_err(Failure::Write)?;
    let shown = screen.show(&mut terminal);
    // Also after an error, and before it is told; a panic does the same.
    ratatui::try_restore().map_err(Failure::Write)?;
    shown
}

/// Starts to look at a stream, on a thread of its own.
fn watch(
    endpoint: Endpoint,
    every: Duration,
    (looks, interrupt): (Sender<Look>, Interrupt),
) -> Result<(), Failure> {
    let stream = endpoint.stream();
    let work = move || {
        let looking = || -> Result<(), Failure> {
            let mut watch = Watch::open(&endpoint)?;
            while !interrupt.is_asked() {
                watch.listen(every, &interrupt)?;
                let view = watch.look(&interrupt)?;
                if looks.send((stream, Ok(view))).is_err() {
                    break;
                }
            }
            Ok(())
        };
        if let Err(failure) = looking() {
            // Nobody waits for it when the screen is gone.
            looks.send((stream, Err(failure))).unwrap_or_default();
        }
    };
    thread::Builder::new().name("watch".to_owned()).spawn(work).map_err(Failure::Thread)?;
    Ok(())
}

struct Screen<'a> {
    args: &'a Args,
    interrupt: Interrupt,
    clock: Clock,
    model: Model,
    looks: (Sender<Look>, Receiver<Look>),
    found: Receiver<StreamId>,
}

impl<'a> Screen<'a> {
    fn new(args: &'a Args, interrupt: &Interrupt) -> Result<Self, Failure> {
        let (looks, (find, found)) = (channel(), channel());
        watch(args.uri.clone(), args.every, (looks.0.clone(), interrupt.clone()))?;
        if let Endpoint::Udp(endpoint) = &args.uri
            && endpoint.is_multicast()
        {
            scout::start(endpoint.clone(), find)?;
        }
        let (interrupt, clock, model) = (interrupt.clone(), Clock::start(), Model::new());
        Ok(Self { args, interrupt, clock, model, looks, found })
    }

    fn show(&mut self, terminal: &mut DefaultTerminal) -> Result<Ending, Failure> {
        let uri = self.args.uri.to_string();
        while !self.interrupt.is_asked() {
            self.take()?;
            terminal.draw(|frame| draw::draw(frame, &uri, &self.model)).map_err(Failure::Write)?;
            if event::poll(TICK).map_err(Failure::Write)?
                && let Some(ending) = self.on_event(&event::read().map_err(Failure::Write)?)
            {
                return Ok(ending);
            }
        }
        Ok(Ending::Interrupted)
    }

    /// Takes in what was seen meanwhile.
    fn take(&mut self) -> Result<(), Failure> {
        if let (Ok(stream), Endpoint::Udp(endpoint)) = (self.found.try_recv(), &self.args.uri) {
            let endpoint = UdpEndpoint { stream, ..endpoint.clone() };
            watch(endpoint.into(), self.args.every, (self.looks.0.clone(), self.interrupt.clone()))?;
        }
        while let Ok((stream, view)) = self.looks.1.try_recv() {
            self.model.take(self.clock.now(), stream, view?);
        }
        Ok(())
    }

    fn on_event(&mut self, event: &event::Event) -> Option<Ending> {
        match event {
            event::Event::Key(key) if key.kind != KeyEventKind::Release => self.on_key(*key),
            _ => None,
        }
    }

    fn on_key(&mut self, key: KeyEvent) -> Option<Ending> {
        let model = &mut self.model;
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Some(Ending::Well),
            // The terminal makes no signal of it now.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Some(Ending::Interrupted);
            }
            KeyCode::Char('s') => model.key = model.key.next(),
            KeyCode::Char('r') => model.is_reversed = !model.is_reversed,
            KeyCode::Down => model.scroll = (model.scroll + 1).min(model.lines().len().saturating_sub(1)),
            KeyCode::Up => model.scroll = model.scroll.saturating_sub(1),
            _ => {}
        }
        None
    }
}
