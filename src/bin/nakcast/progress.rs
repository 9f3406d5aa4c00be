//! A bar on a terminal, and nothing at all elsewhere.

use std::fmt;
use std::io::IsTerminal;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::say::say;

/// Perhaps a bar on stderr.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar if `wanted` and stderr is a terminal; `length` is the whole, in bytes, when it is known.
    pub(crate) fn new(wanted: bool, length: Option<u64>) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (bar, template) = match length {
            Some(length) => {
                (ProgressBar::new(length), "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}")
            }
            None => (ProgressBar::no_length(), "{spinner} {elapsed} {bytes} {bytes_per_sec} {msg}"),
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => Self(Some(bar.with_style(style))),
            Err(_) => Self(None),
        }
    }

    pub(crate) fn show(&self, bytes: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
            bar.set_message(message());
        }
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        match &self.0 {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
