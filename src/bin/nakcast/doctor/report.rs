//! Findings for people, for programs, and as commands.

use serde_json::json;

use crate::doctor::finding::Finding;
use crate::doctor::finding::Severity;
use crate::say::print;
use crate::units;

pub(crate) fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Fine)
}

/// A line for each finding, its remedy below it, and the sum.
pub(crate) fn text(findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    for Finding { name, severity, what, remedy, commands, .. } in findings {
        print(format_args!("{:<9}  {name:<width$}  {what}", severity.word()));
        if !remedy.is_empty() {
            print(format_args!("{:<9}  {:<width$}  -> {remedy}", "", ""));
        }
        for command in commands {
            print(format_args!("{:<9}  {:<width$}     {command}", "", ""));
        }
    }
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let checks = units::counted(findings.len() as u64, "check");
    print(format_args!(
        "{checks}: {}, {}",
        units::counted(errors, "error"),
        units::counted(warnings, "warning")
    ));
}

pub(crate) fn json(findings: &[Finding]) {
    let rows: Vec<_> = findings.iter().map(Finding::json).collect();
    print(format_args!("{}", json!({ "severity": worst(findings).word(), "findings": rows })));
}

/// A script to be read before it is run.
pub(crate) fn fix(findings: &[Finding]) {
    let to_mend = findings.iter().filter(|finding| finding.severity >= Severity::Warning);
    for Finding { name, what, remedy, commands, .. } in to_mend {
        print(format_args!("# {name}: {what}"));
        if commands.is_empty() {
            print(format_args!("#   no command does it: {remedy}"));
        }
        for command in commands {
            print(format_args!("{command}"));
        }
    }
}
