//! Runs the programs of the harness in pairs, rounds interleaved, and tells what came of it as Markdown and as a chart.

mod bars;
mod clock;
mod figures;
mod idle;
mod machine;
mod markdown;
mod number;
mod options;
mod outcome;
mod plan;
mod program;
mod run;
mod session;
mod space;
mod svg;

use std::fs;
use std::process::ExitCode;

use clap::Parser;

use crate::figures::Rounds;
use crate::options::Options;
use crate::session::Ended;
use crate::space::Spaces;

fn main() -> ExitCode {
    let options = Options::parse();
    match bench(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<ExitCode, String> {
    clock::obey_signals()?;
    let spaces = match Spaces::new() {
        Err(error) if options.quick => {
            eprintln!("!!!! NOTHING WAS RUN: no network namespaces here (it takes root): {error}");
            return Ok(ExitCode::SUCCESS);
        }
        spaces => spaces?,
    };
    let ended = session::run(&spaces, options)?;
    drop(spaces);
    tell(&ended, options)?;
    Ok(verdict(&ended, options))
}

/// Writes the files, or the Markdown where no folder is given, or files of a whole run must not be overwritten by a part.
fn tell(ended: &Ended, options: &Options) -> Result<(), String> {
    let (mut facts, all) = (machine::facts(), &ended.all);
    facts.push(("Runs", runs(all, options)));
    let Some(folder) = options.out.as_ref().filter(|_| !ended.is_early) else {
        println!("{}", markdown::document(&facts, all, None));
        return Ok(());
    };
    let chart = svg::chart(&session::panels(all));
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    write("results.svg", chart)?;
    write("RESULTS.md", markdown::document(&facts, all, Some("results.svg")))?;
    println!("{}", markdown::bars_table(all));
    Ok(())
}

fn runs(all: &[Rounds], options: &Options) -> String {
    let runs = || all.iter().flat_map(|rounds| &rounds.runs);
    let count = runs().count();
    let quick = if options.quick { ", so short that the figures mean nothing" } else { "" };
    if options.patience().is_zero() {
        return format!("{count}{quick}; whether the machine was busy was not looked at");
    }
    let busy = runs().filter(|run| run.busy).count();
    format!("{count}{quick}, of which {busy} began on a busy machine")
}

/// A missed bar is a failure only where it is asked for; trouble in a quick run, and being interrupted, always is.
fn verdict(ended: &Ended, options: &Options) -> ExitCode {
    let troubles: Vec<String> = ended.all.iter().flat_map(Rounds::troubles).collect();
    troubles.iter().for_each(|trouble| eprintln!("!!!! {trouble}"));
    let missed = || {
        let missed =
            |bar: &bars::Bar| bar.measure(&ended.all).is_some_and(|figure| !bar.wanted.holds(figure));
        bars::all().iter().any(missed)
    };
    if ended.is_early || (options.quick && !troubles.is_empty()) || (options.enforce && missed()) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
