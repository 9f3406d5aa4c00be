//! `tshark` with the dissector, on files only.

use std::io::Write;
use std::path::Path;
use std::process::Command;

const DISSECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/wireshark/nakcast.lua");

pub(crate) struct Tshark {
    /// A home without anybody's own settings.
    home: tempfile::TempDir,
    preference: Option<&'static str>,
}

impl Tshark {
    /// `tshark`, or `None` and loud words when there is none.
    pub(crate) fn find() -> Option<Self> {
        let version = Command::new("tshark").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        // Built without it, it says `without Lua`.
        if version.is_ok_and(|text| text.contains("with Lua")) {
            return Some(Self { home: tempfile::tempdir().unwrap(), preference: None });
        }
        // Past the capturing of the test's output.
        let skipped =
            "SKIPPED: no tshark with Lua here, so the dissector was not tested (apt-get install tshark)";
        writeln!(std::io::stderr(), "{skipped}").unwrap_or_default();
        None
    }

    /// The same with a preference of the dissector.
    pub(crate) fn with(self, preference: &'static str) -> Self {
        Self { preference: Some(preference), ..self }
    }

    fn read(&self, file: &Path, arguments: &[&str]) -> Vec<String> {
        let script = format!("lua_script:{DISSECTOR}");
        let output = Command::new("tshark")
            .env("HOME", self.home.path())
            .env_remove("XDG_CONFIG_HOME")
            .args(["-n", "-X", &script, "-r"])
            .arg(file)
            .args(self.preference.iter().flat_map(|preference| ["-o", *preference]))
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("Lua"), "tshark {arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// How many packets `filter` finds.
    pub(crate) fn count(&self, file: impl AsRef<Path>, filter: &str) -> usize {
        self.read(file.as_ref(), &["-Y", filter, "-T", "fields", "-e", "frame.number"]).len()
    }

    /// The fields of each packet that `filter` finds; several values of one are joined by commas.
    pub(crate) fn fields(&self, file: impl AsRef<Path>, filter: &str, fields: &str) -> Vec<Vec<String>> {
        let mut arguments = vec!["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"];
        arguments.extend(fields.split(',').flat_map(|field| ["-e", field]));
        if !filter.is_empty() {
            arguments.extend(["-Y", filter]);
        }
        let rows = self.read(file.as_ref(), &arguments);
        rows.iter().map(|row| row.split('\t').map(str::to_owned).collect()).collect()
    }

    /// What the list of packets says of each.
    pub(crate) fn summaries(&self, file: impl AsRef<Path>) -> Vec<String> {
        let columns = "gui.column.format:\"Info\",\"%i\"";
        self.read(file.as_ref(), &["-o", columns]).iter().map(|line| line.trim().to_owned()).collect()
    }
}
