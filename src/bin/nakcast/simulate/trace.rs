//! Every event of a run.

use std::io;
use std::io::Write;
use std::panic;

use nakcast::sim::Options;

use crate::interrupt::Interrupt;
use crate::simulate::seeds::Outcome;
use crate::simulate::seeds::Sums;
use crate::simulate::trial::attempt;

/// Prints every event of a world to standard output, a line each, until it ends or is interrupted.
pub(crate) fn print(options: &Options, interrupt: &Interrupt) -> Outcome {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut written, mut is_stopped) = (Ok(()), false);
    let result = attempt(options, &mut |record| {
        if interrupt.is_asked() {
            is_stopped = true;
            // There is no other way out of a run, and this one prints nothing.
            panic::resume_unwind(Box::new(()));
        }
        if written.is_ok() {
            written = writeln!(out, "{record}");
        }
    });
    if let Err(error) = written.and_then(|()| out.flush()) {
        // Nobody reads stdout any more (`nakcast sim --seed 1 --trace | head`); the result is still told.
        tracing::debug!(%error, "cannot write to standard output");
    }
    match result {
        _ if is_stopped => Outcome::Interrupted(Sums::default()),
        Ok(report) => {
            let mut sums = Sums::default();
            sums.add(&report);
            Outcome::Clean(sums)
        }
        Err(violation) => Outcome::Broken(options.seed, violation),
    }
}
