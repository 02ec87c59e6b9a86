//! How the repository looks: sizes, names, links and the top level.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A file past this length, its unit tests not counted, is split or listed with a reason.
const LONGEST: usize = 600;

/// Files that are longer on purpose: path and why.
const LONGER_FOR_A_REASON: &[(&str, &str)] = &[];

/// Most lines of the file that routes every event of the switch.
const LONGEST_SWITCH: usize = 400;

const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "README.md",
    "clippy.toml",
    "config",
    "crates",
    "deny.toml",
    "docs",
    "rustfmt.toml",
    "systemd",
    "tests",
];

/// Made by building and by the demo, never committed.
const MADE: &[&str] = &["target", "demo-data"];

/// Of the top level, what may still be absent.
const OPTIONAL: &[&str] = &["config", "systemd"];

const BANNED_STEMS: &[&str] = &[
    "manager", "managers", "helper", "helpers", "util", "utils", "common", "misc",
];

fn root() -> PathBuf {
    tests::package().join("..").canonicalize().unwrap()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // A folder, or in a second checkout of the same clone a file.
        if name == ".git" {
            continue;
        }
        if path.is_dir() {
            if !MADE.contains(&name.as_str()) {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Every text file of the repository: path from the top, and text.
fn texts(extension: Option<&str>) -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter(|path| {
            extension.is_none_or(|wanted| path.extension().is_some_and(|is| is == wanted))
        })
        .filter_map(|path| {
            let text = String::from_utf8(fs::read(&path).unwrap()).ok()?;
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            Some((name, text))
        })
        .collect()
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Lines of a source before the unit tests at its foot.
fn length(source: &str) -> usize {
    source
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

#[test]
fn no_source_is_too_long() {
    let mut found = Vec::new();
    for (name, text) in texts(Some("rs")) {
        let lines = length(&text);
        let excused = LONGER_FOR_A_REASON
            .iter()
            .any(|(file, why)| *file == name && !why.is_empty());
        if lines > LONGEST && !excused {
            found.push(format!("{name}: {lines} lines"));
        }
        if name == "crates/switch/src/switch.rs" && lines >= LONGEST_SWITCH {
            found.push(format!(
                "{name}: {lines} lines, {LONGEST_SWITCH} is too many for the switch-board"
            ));
        }
    }
    none(&found);
}

#[test]
fn the_list_of_longer_files_is_not_stale() {
    for (file, _) in LONGER_FOR_A_REASON {
        let lines = fs::read_to_string(root().join(file))
            .unwrap()
            .lines()
            .count();
        assert!(
            lines > LONGEST,
            "{file} has {lines} lines: take it off the list"
        );
    }
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    // Put together here, so that this file does not find itself.
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO:"),
        concat!("XX", "X:"),
        concat!("(being", " written)"),
    ];
    let mut found = Vec::new();
    for (name, text) in texts(None) {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none(&found);
}

#[test]
fn files_and_types_are_nouns_of_the_field() {
    let mut found = Vec::new();
    for (name, text) in texts(Some("rs")) {
        let path = Path::new(&name);
        for part in path.with_extension("").iter() {
            if BANNED_STEMS.contains(&part.to_string_lossy().as_ref()) {
                found.push(format!("{name}: says nothing about what is inside"));
            }
        }
        for (number, line) in text.lines().enumerate() {
            let line = line
                .trim_start()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            let declares = ["struct ", "enum ", "trait ", "type "]
                .iter()
                .find_map(|word| line.strip_prefix(word));
            let vague = declares.is_some_and(|rest| {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                ["Helper", "Util", "Utils", "Misc"]
                    .iter()
                    .any(|end| name.ends_with(end))
                    || (name.ends_with("Manager") && name != "Manager")
            });
            if vague || line.starts_with("fn get_") {
                found.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    none(&found);
}

#[test]
fn no_path_of_a_machine_stands_in_the_repository() {
    let places = [
        concat!("/wo", "rk/main"),
        concat!("/wo", "rk/scratch"),
        concat!("/wo", "rk/shared"),
        concat!("/wo", "rk/t/"),
        concat!("/ro", "ot/"),
        concat!("/Use", "rs/"),
    ];
    let mut found = Vec::new();
    for (name, text) in texts(None) {
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none(&found);
}

#[test]
fn the_top_level_holds_exactly_what_it_should() {
    let present: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !MADE.contains(&name.as_str()))
        .collect();
    let allowed: BTreeSet<String> = TOP_LEVEL.iter().map(|&name| name.to_owned()).collect();
    let extra: Vec<String> = present.difference(&allowed).cloned().collect();
    let absent: Vec<String> = allowed
        .difference(&present)
        .filter(|name| !OPTIONAL.contains(&name.as_str()))
        .cloned()
        .collect();
    assert_eq!(
        (extra, absent),
        (Vec::new(), Vec::new()),
        "(too many, missing)"
    );
}

#[test]
fn every_crate_opens_with_what_it_is_for() {
    let mut found = Vec::new();
    for (name, text) in texts(Some("rs")) {
        let opens_a_crate = name.ends_with("src/lib.rs")
            || name.ends_with("src/main.rs")
            || (name.starts_with("tests/tests/") && name.matches('/').count() == 2);
        if opens_a_crate && !text.starts_with("//!") {
            found.push(format!("{name}: does not open with //!"));
        }
    }
    none(&found);
}

/// The anchor that a Markdown heading gets.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn broken_links(name: &str, text: &str) -> Vec<String> {
    let folder = root().join(name).parent().unwrap().to_path_buf();
    let mut found = Vec::new();
    for (start, _) in text.match_indices("](") {
        let target: String = text[start + 2..]
            .chars()
            .take_while(|c| *c != ')' && *c != '\n')
            .collect();
        let (file, fragment) = target.split_once('#').unwrap_or((&target, ""));
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let path = if file.is_empty() {
            root().join(name)
        } else {
            folder.join(file)
        };
        let resolves = path.exists()
            && (fragment.is_empty()
                || fs::read_to_string(&path)
                    .unwrap_or_default()
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == fragment));
        if !resolves {
            found.push(format!("{name}: {target}"));
        }
    }
    found
}

#[test]
fn links_between_documents_resolve() {
    let mut found = Vec::new();
    for (name, text) in texts(Some("md")) {
        found.extend(broken_links(&name, &text));
    }
    none(&found);
    assert_eq!(
        broken_links(
            "README.md",
            "[a](no/such/file.md) [b](https://example.org) [c](#nowhere)"
        )
        .len(),
        2
    );
}
