//! Lines to stderr and stdout. Unlike `eprintln!` and `println!`, they do not panic when nobody reads there.

use std::fmt;
use std::io;
use std::io::Write;

/// Says one line, or several, on stderr.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    if writeln!(io::stderr(), "{line}").is_err() {
        // Nobody reads stderr any more, so there is nowhere to say so; stdout and the exit code still tell.
    }
}

/// Prints one line, or several, on stdout.
pub(crate) fn print(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        // Nobody reads stdout any more (`nakcast demo | head -1`); the exit code still tells.
        tracing::debug!(%error, "cannot write to standard output");
    }
}
