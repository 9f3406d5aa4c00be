//! Holds the shape of `src/`: imports point down, files stay short, `unsafe` lives in one module.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The top-level modules, lowest layer first. A file names its own layer and those before it, nothing above.
const LAYERS: &str = "offset planted time / wire / history / protocol / sim / io / \
    config discovery endpoint error event stats figures publisher subscriber / bin / lib main";
const COMMAND: usize = 7;
const LONGEST_FILE: usize = 400;

/// What no file says, and what to do instead.
const REFUSED: [(&str, &str); 3] = [
    ("::{", "several items in one `use`: write one item path per line"),
    ("#[path", "a file taken in by its path has no layer: declare it with `mod` where it lies"),
    ("include!(", "a file taken in by its path has no layer: declare it with `mod` where it lies"),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.split(" / ").position(|modules| modules.split(' ').any(|one| one == module))
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The line without its string literals and comment.
fn code_only(line: &str) -> String {
    let unquoted: String = line.replace("\\\"", "").replace("'\"'", "").split('"').step_by(2).collect();
    unquoted.split("//").take(1).collect()
}

/// What is wrong with the file at `path` (below `src/`), one `file:line: what to do` each.
fn check(path: &str, text: &str) -> Vec<String> {
    let module = words(path).next().unwrap_or_default();
    let Some(own) = layer(module) else {
        return vec![format!("src/{path}:1: give it a layer: name `{module}` in tests/layers.rs")];
    };
    let tests = text
        .find("\nmod tests {")
        .filter(|at| text[..*at].lines().rev().take(5).any(|l| l == "#[cfg(test)]"));
    let shipped = text[..tests.unwrap_or(text.len())].lines().count();
    // `super` said as often as the file lies deep is the crate, too.
    let supers = "super::".repeat(path.trim_end_matches("/mod.rs").split('/').count());
    let bound = own < COMMAND && !path.ends_with("/tests.rs");
    let mut wrong = Vec::new();
    for (line, number) in text.lines().map(code_only).zip(1..) {
        let mut fail = |what: &str| wrong.push(format!("src/{path}:{number}: {what}"));
        REFUSED.iter().filter(|(token, _)| line.contains(token)).for_each(|(_, what)| fail(what));
        if !matches!(path, "io/sys.rs" | "io/sys/wait.rs") && words(&line).any(|word| word == "unsafe") {
            fail("`unsafe` outside src/io/sys.rs: put a safe wrapper there and call it");
        }
        let names = line.replace(&supers, "crate::");
        for name in names.split("crate::").skip(1).filter_map(|rest| words(rest).next()) {
            if bound && number <= shipped && layer(name).is_none_or(|other| other > own) {
                fail(&format!("`crate::{name}` is not in layer {own} or below: name its module, or move it"));
            }
        }
    }
    if own != COMMAND && shipped > LONGEST_FILE {
        wrong.push(format!("src/{path}:{shipped}: over {LONGEST_FILE} lines: split it by what the parts do"));
    }
    wrong
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths =
        fs::read_dir(folder).expect("a folder below src/").map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_tree_keeps_its_shape() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in files(&src).iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let path = file.strip_prefix(&src).expect("below src/").to_string_lossy().replace('\\', "/");
        wrong.extend(check(&path, &fs::read_to_string(file).expect("a text file")));
    }
    assert!(wrong.is_empty(), "{} to mend:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn planted_faults_are_caught_and_nothing_else() {
    let code = "use crate::wire::A;\nuse super::super::io::B; // crate::io\nfn f() { crate::event::C; \"crate::io\" }\n";
    let tests = "\n#[cfg(test)]\nmod tests {\n    use crate::io::D;\n    use crate::wire::{E, F};\n}\n";
    let faults = check("protocol/gaps.rs", &format!("{code}{tests}"));
    let lines: Vec<_> = faults.iter().filter_map(|fault| fault.split(':').nth(1)).collect();
    assert_eq!(lines, ["2", "3", "8"], "{faults:?}");
    assert_eq!(check("novel.rs", "").len(), 1);
    assert_eq!(check("wire/mod.rs", &"\n".repeat(401)).len(), 1);
    assert_eq!(check("io/udp.rs", "unsafe { f() }").len(), 1);
    assert!(check("io/sys.rs", "unsafe { f(\"udp://\") }").is_empty());
    assert!(check("bin/nakcast/main.rs", "use crate::args::A;").is_empty());
    assert!(check("wire/tests.rs", "use crate::io::A;").is_empty());
}
