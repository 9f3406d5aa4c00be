//! Which world belongs to a seed.

use std::path::Path;
use std::path::PathBuf;

use nakcast::sim::Options;
use nakcast::sim::Violation;

use crate::ending::Failure;
use crate::simulate::trial::takes_two;

/// Worlds, one for each seed: drawn, or all the same but for the seed.
#[derive(Debug)]
pub(crate) struct Worlds {
    first: u64,
    written: Option<Written>,
}

#[derive(Debug)]
struct Written {
    path: PathBuf,
    options: Options,
}

impl Worlds {
    /// From seed `first` on; by default from that of the options at `path`, or from 0.
    pub(crate) fn new(first: Option<u64>, path: Option<&Path>) -> Result<Self, Failure> {
        let written = path.map(read).transpose()?;
        let seed = written.as_ref().map_or(0, |written| written.options.seed);
        Ok(Self { first: first.unwrap_or(seed), written })
    }

    /// The seed of number `index`, from 0.
    pub(crate) const fn seed(&self, index: u64) -> u64 {
        self.first.wrapping_add(index)
    }

    /// The options of the first world.
    pub(crate) fn first(&self) -> Options {
        self.options(self.first)
    }

    /// The world of `seed`.
    pub(crate) fn options(&self, seed: u64) -> Options {
        match &self.written {
            Some(written) => Options { seed, ..written.options.clone() },
            None => Options::draw(seed),
        }
    }

    /// The command that shows again what was broken in this world.
    pub(crate) fn command(&self, seed: u64, violation: &Violation) -> String {
        match &self.written {
            Some(Written { path, options }) if options.seed == seed => command_for(path, violation),
            Some(Written { path, .. }) => format!("{} --seed {seed:#x}", command_for(path, violation)),
            None => format!("nakcast sim --seed {seed:#x} {}", way(violation)),
        }
    }
}

/// The command that shows what was broken in the world whose options are written down at `path`.
pub(crate) fn command_for(path: &Path, violation: &Violation) -> String {
    format!("nakcast sim --options '{}' {}", path.display(), way(violation))
}

/// The option that shows it: a trace is one run.
fn way(violation: &Violation) -> &'static str {
    if takes_two(violation) { "--twice 100" } else { "--trace" }
}

fn read(path: &Path) -> Result<Written, Failure> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(Failure::Open { path, error }),
    };
    match Options::parse(&text) {
        Ok(options) => Ok(Written { path, options }),
        Err(error) => Err(Failure::Options { path, error }),
    }
}

#[cfg(test)]
mod tests {
    use nakcast::time::Time;

    use super::*;

    #[test]
    fn a_trace_shows_what_one_run_can_show() {
        let worlds = Worlds::new(None, None).unwrap();
        let broken =
            |invariant| Violation { invariant, at: Time::ZERO, node: String::new(), what: String::new() };
        assert_eq!(worlds.command(159, &broken("S3")), "nakcast sim --seed 0x9f --trace");
        assert_eq!(worlds.command(159, &broken("hash")), "nakcast sim --seed 0x9f --twice 100");
        assert_eq!(command_for(Path::new("o"), &broken("hash")), "nakcast sim --options 'o' --twice 100");
    }
}
