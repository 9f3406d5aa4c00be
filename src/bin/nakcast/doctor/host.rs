//! What the system tells of itself in files.

use std::fs;
use std::path::PathBuf;

use crate::doctor::parse;

/// Where those files are: below `/`, or a folder of samples.
#[derive(Debug)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    pub(crate) fn this() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// The text of a file; `None` where there is none, as on every system but Linux.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// The number that a file holds.
    pub(crate) fn number(&self, path: &str) -> Option<u64> {
        parse::number(&self.read(path)?)
    }

    /// A setting of IPv4 for an interface, or for `all`.
    pub(crate) fn ipv4(&self, interface: &str, setting: &str) -> Option<u64> {
        self.number(&format!("proc/sys/net/ipv4/conf/{interface}/{setting}"))
    }
}

/// A host of samples, gone when dropped.
#[cfg(test)]
pub(crate) struct Sample {
    folder: tempfile::TempDir,
    pub(crate) host: Host,
}

#[cfg(test)]
impl Sample {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sample = Self { host: Host { root: folder.path().to_owned() }, folder };
        for (path, text) in files {
            let path = sample.folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        sample
    }
}
