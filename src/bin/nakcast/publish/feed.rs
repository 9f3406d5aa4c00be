//! Input, read by a thread of its own, so that waiting for it never keeps Ctrl-C or a subscriber's news waiting.

use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;

use crate::clock::TICK;
use crate::ending::Failure;

const BLOCK: usize = 64 << 10;
/// Blocks read ahead.
const AHEAD: usize = 16;

/// Blocks of standard input or of a file.
#[derive(Debug)]
pub(crate) struct Feed {
    name: String,
    typed: bool,
    length: Option<u64>,
    blocks: Receiver<io::Result<Vec<u8>>>,
}

/// What the input has.
#[derive(Debug)]
pub(crate) enum Turn {
    Block(Vec<u8>),
    /// Nothing came for a tick.
    Idle,
    End,
}

impl Feed {
    /// Starts reading; `-` is standard input, too.
    pub(crate) fn open(file: Option<PathBuf>) -> Result<Self, Failure> {
        match file.filter(|path| path.as_os_str() != "-") {
            None => Self::start("standard input".to_owned(), None, io::stdin()),
            Some(path) => {
                let file = File::open(&path).map_err(|error| Failure::Open { path: path.clone(), error })?;
                let facts = file.metadata().ok().filter(std::fs::Metadata::is_file);
                Self::start(path.display().to_string(), facts.map(|facts| facts.len()), file)
            }
        }
    }

    fn start(
        name: String,
        length: Option<u64>,
        input: impl Read + Send + IsTerminal + 'static,
    ) -> Result<Self, Failure> {
        let typed = input.is_terminal();
        let (sender, blocks) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new().name("nakcast-input".to_owned());
        thread.spawn(move || read(input, &sender)).map_err(Failure::Thread)?;
        Ok(Self { name, typed, length, blocks })
    }

    /// Whether somebody types it.
    pub(crate) const fn is_typed(&self) -> bool {
        self.typed
    }

    /// Its bytes, if that is known.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next block, waiting for it a tick at most.
    pub(crate) fn next(&mut self) -> Result<Turn, Failure> {
        match self.blocks.recv_timeout(TICK) {
            Ok(Ok(block)) => Ok(Turn::Block(block)),
            Ok(Err(error)) => Err(Failure::Read { name: self.name.clone(), error }),
            Err(RecvTimeoutError::Timeout) => Ok(Turn::Idle),
            Err(RecvTimeoutError::Disconnected) => Ok(Turn::End),
        }
    }
}

/// Reads to the end, or until nobody wants to have it.
fn read(mut input: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK];
        let result = match input.read(&mut block) {
            Ok(0) => return,
            Ok(bytes) => {
                block.truncate(bytes);
                Ok(block)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if blocks.send(result).is_err() || failed {
            return;
        }
    }
}
