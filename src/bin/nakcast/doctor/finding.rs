//! What a check has found.

use serde_json::Value;
use serde_json::json;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Fine,
    /// It cannot be told on this machine.
    Unchecked,
    Warning,
    Error,
}

impl Severity {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unchecked => "unchecked",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    /// What was found.
    pub(crate) what: String,
    /// What to do about it; empty when there is nothing to do.
    pub(crate) remedy: String,
    /// The same as commands, as far as commands can do it.
    pub(crate) commands: Vec<String>,
    /// More for programs.
    pub(crate) details: Option<Value>,
}

impl Finding {
    pub(crate) fn fine(name: &'static str, what: String) -> Self {
        Self::new(name, Severity::Fine, what, "")
    }

    /// Without what only another system, or another user, has.
    pub(crate) fn unchecked(name: &'static str, why: &str) -> Self {
        Self::new(name, Severity::Unchecked, format!("not checked here: {why}"), "")
    }

    pub(crate) fn warning(name: &'static str, what: String, remedy: &str) -> Self {
        Self::new(name, Severity::Warning, what, remedy)
    }

    pub(crate) fn error(name: &'static str, what: String, remedy: &str) -> Self {
        Self::new(name, Severity::Error, what, remedy)
    }

    fn new(name: &'static str, severity: Severity, what: String, remedy: &str) -> Self {
        Self { name, severity, what, remedy: remedy.to_owned(), commands: Vec::new(), details: None }
    }

    /// The same with a command that mends it.
    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// The same with more for programs.
    pub(crate) fn details(self, details: Value) -> Self {
        Self { details: Some(details), ..self }
    }

    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "name": self.name,
            "severity": self.severity.word(),
            "what": self.what,
            "remedy": self.remedy,
            "commands": self.commands,
        });
        if let (Some(object), Some(details)) = (value.as_object_mut(), &self.details) {
            object.insert("details".to_owned(), details.clone());
        }
        value
    }
}
