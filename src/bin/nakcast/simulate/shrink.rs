//! The simplest world that fails in the same way.

use std::io;
use std::io::Write;
use std::path::Path;

use nakcast::sim::Options;

use crate::interrupt::Interrupt;
use crate::simulate::failure::Broken;
use crate::simulate::failure::create;
use crate::simulate::failure::replaced;
use crate::simulate::trial::judge;
use crate::simulate::trial::takes_two;
use crate::simulate::worlds::command_for;
use crate::units;

/// Runs at most.
const TRIES: u64 = 1_000;

/// Looks for a simpler world that breaks the same promise, prints it and writes it down.
pub(crate) fn shrink(broken: &Broken<'_>, interrupt: &Interrupt) {
    let (mut tries, twice) = (0, takes_two(broken.violation));
    let simplest = simplest(broken.options, &mut |simpler| {
        tries += 1;
        let may_go_on = tries <= TRIES && !interrupt.is_asked();
        may_go_on
            .then(|| judge(simpler, twice).is_err_and(|other| other.invariant == broken.violation.invariant))
    });
    let (tell, runs) = (broken.tell, units::counted(tries.min(TRIES), "run"));
    let Some(simplest) = simplest else {
        return tell(format_args!("shrunk: nothing simpler fails, as {runs} showed"));
    };
    tell(format_args!("shrunk, by {runs}:\n{}", simplest.to_text().trim_end()));
    let path = broken.file("options");
    match save(&path, &simplest) {
        Ok(is_replaced) => {
            tell(format_args!("saved: {}{}", path.display(), replaced(is_replaced)));
            tell(format_args!("reproduce: {}", command_for(&path, broken.violation)));
        }
        Err(error) => tell(format_args!("not saved: cannot write {}: {error}", path.display())),
    }
}

/// Goes to the first simpler world that still fails, over and over. `fails` says `None` when it is enough.
fn simplest(options: &Options, fails: &mut dyn FnMut(&Options) -> Option<bool>) -> Option<Options> {
    let mut found = None::<Options>;
    'simpler: loop {
        for simpler in found.as_ref().unwrap_or(options).simpler() {
            match fails(&simpler) {
                Some(true) => {
                    found = Some(simpler);
                    continue 'simpler;
                }
                Some(false) => {}
                None => return found,
            }
        }
        return found;
    }
}

fn save(path: &Path, options: &Options) -> io::Result<bool> {
    let (mut file, is_replaced) = create(path)?;
    file.write_all(options.to_text().as_bytes())?;
    Ok(is_replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_left() {
        let options = Options { loss: 0.1, duplicate: 0.2, receivers: 7, ..Options::default() };
        let found = simplest(&options, &mut |simpler| Some(simpler.loss > 0.0)).unwrap();
        assert!(found.loss > 0.0);
        assert_eq!((found.duplicate, found.receivers), (0.0, 1));
        assert_eq!(simplest(&options, &mut |_| Some(false)), None);
        assert_eq!(simplest(&options, &mut |_| None), None);
    }
}
