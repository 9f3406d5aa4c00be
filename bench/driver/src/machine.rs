//! Where and when a run took place.

use std::env;
use std::fs;
use std::process::Command;

/// Names and facts.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let cpuinfo = read("/proc/cpuinfo");
    let models = fields(&cpuinfo, "model name");
    let processor = format!("{} × {}", models.len(), models.first().copied().unwrap_or("unknown"));
    let memory =
        fields(&read("/proc/meminfo"), "MemTotal").first().map_or(String::new(), |kib| (*kib).to_owned());
    let command: Vec<String> = ["bench/run.sh".to_owned()].into_iter().chain(env::args().skip(1)).collect();
    vec![
        ("Processors", processor),
        ("Memory", memory),
        ("Kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease").trim())),
        ("Receive buffers", format!("rmem_max {}", read("/proc/sys/net/core/rmem_max").trim())),
        ("Date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("Revision", revision()),
        ("Command", format!("`{}`", command.join(" "))),
    ]
}

fn revision() -> String {
    let changes = if said("git", &["status", "--porcelain"]).is_empty() { "" } else { ", with changes" };
    format!("{}{changes}", said("git", &["rev-parse", "--short=12", "HEAD"]))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What stands behind every `name:`.
fn fields<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(field, _)| field.trim() == name).map(|(_, value)| value.trim()).collect()
}

/// What a command says; nothing if it is not here.
fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_their_name() {
        let text = "model name\t: EPYC: 2\nstepping: 1\nmodel name : EPYC\n";
        assert_eq!(fields(text, "model name"), ["EPYC: 2", "EPYC"]);
        assert!(fields(text, "name").is_empty());
    }
}
