//! The crate graph is the architecture: an edge, an import or a clock that the table does not allow fails here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes, commands and time go in, bytes and events come out.
    Pure,
    /// May use sockets, files, clocks, threads and tokio.
    Io,
    /// Wires everything.
    Binary,
}

struct Row {
    name: &'static str,
    kind: Kind,
    may_name: &'static [&'static str],
}

const ALL: &[&str] = &[
    "model", "sip", "media", "call", "routing", "dialer", "switch", "crm", "store", "net",
    "archive", "work", "cti", "api", "desktop",
];

/// The table. Rows of crates that do not exist yet are allowed to stand here.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { name: "model", kind: Kind::Pure, may_name: &[] },
    Row { name: "sip", kind: Kind::Pure, may_name: &[] },
    Row { name: "media", kind: Kind::Pure, may_name: &[] },
    Row { name: "call", kind: Kind::Pure, may_name: &["model"] },
    Row { name: "routing", kind: Kind::Pure, may_name: &["model"] },
    Row { name: "dialer", kind: Kind::Pure, may_name: &["model"] },
    Row { name: "switch", kind: Kind::Pure, may_name: &["sip", "media", "call", "routing", "model"] },
    Row { name: "crm", kind: Kind::Pure, may_name: &["model"] },
    Row { name: "store", kind: Kind::Io, may_name: &["crm", "call", "model"] },
    Row { name: "net", kind: Kind::Io, may_name: &["switch", "sip", "media", "call", "routing", "model"] },
    Row { name: "archive", kind: Kind::Io, may_name: &["crm", "model"] },
    Row { name: "work", kind: Kind::Io, may_name: &["crm", "model"] },
    Row { name: "cti", kind: Kind::Io, may_name: &["call", "routing", "dialer", "crm", "model"] },
    Row { name: "api", kind: Kind::Io, may_name: &["cti", "crm", "call", "routing", "dialer", "model"] },
    Row { name: "desktop", kind: Kind::Io, may_name: &[] },
    Row { name: "ringbook", kind: Kind::Binary, may_name: ALL },
];

/// What a crate's own tests may name besides: real parts instead of imitations.
const MAY_TEST_WITH: &[(&str, &str)] = &[("api", "store"), ("cti", "store")];

/// Third-party crates that would bring a runtime, a socket, a clock or chance into a pure crate.
const IMPURE_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "crossbeam-channel",
    "futures-executor",
    "hickory-resolver",
    "hyper",
    "mio",
    "nix",
    "polling",
    "quinn",
    "rand",
    "reqwest",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "sqlx-core",
    "sqlx-postgres",
    "sqlx-sqlite",
    "thread-priority",
    "time",
    "tokio",
    "tokio-tungstenite",
    "tungstenite",
];

/// What no line of a pure crate outside its unit tests may contain, and why.
const IMPURE_TEXT: &[(&str, &str)] = &[
    ("Instant::now", "a clock"),
    ("SystemTime", "a clock"),
    ("Timestamp::now", "a clock"),
    ("Zoned::now", "a clock"),
    ("TimeZone::system", "a setting that was not handed in"),
    ("UdpSocket", "a socket"),
    ("TcpStream", "a socket"),
    ("TcpListener", "a socket"),
    ("UnixStream", "a socket"),
    ("std::thread", "a thread"),
    ("thread::spawn", "a thread"),
    ("thread::sleep", "a fixed wait"),
    ("std::fs", "a file"),
    ("std::env", "a setting that was not handed in"),
    ("std::process::", "a process"),
    ("tokio::", "a runtime"),
    ("rand::", "chance that is not the seed's"),
    ("RandomState", "chance that is not the seed's"),
];

fn root() -> PathBuf {
    tests::package().join("..").canonicalize().unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Name of every crate below `crates/` with the crates of ours that it names; of its dev-dependencies those that its
/// tests may name besides are left out.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: serde_json::Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["name"] != "tests")
        .map(|package| {
            let named = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["path"].is_string())
                .filter(|dependency| {
                    let edge = (package["name"].as_str(), dependency["name"].as_str());
                    let besides = |(a, b): &(&str, &str)| edge == (Some(a), Some(b));
                    dependency["kind"] != "dev" || !MAY_TEST_WITH.iter().any(besides)
                })
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), named)
        })
        .collect()
}

fn row(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

fn violations(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, named) in edges {
        let Some(row) = row(name) else {
            found.push(format!("crate `{name}` is not in the table"));
            continue;
        };
        for other in named {
            if !row.may_name.contains(&other.as_str()) {
                found.push(format!("`{name}` may not name `{other}`"));
            }
        }
    }
    found
}

fn pure_crates() -> Vec<(&'static str, PathBuf)> {
    TABLE
        .iter()
        .filter(|row| row.kind == Kind::Pure)
        .map(|row| (row.name, root().join("crates").join(row.name)))
        .filter(|(_, folder)| folder.exists())
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lines of the product's part of a source: without comments and without the unit tests at its foot.
fn product_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("")))
}

fn impurities(source: &str) -> Vec<(usize, &'static str)> {
    product_lines(source)
        .flat_map(|(number, line)| {
            IMPURE_TEXT
                .iter()
                .filter(move |(text, _)| line.contains(text))
                .map(move |&(_, why)| (number, why))
        })
        .collect()
}

#[test]
fn every_edge_between_our_crates_stands_in_the_table() {
    let edges = edges();
    assert!(
        edges.len() >= 12,
        "cargo metadata shows the workspace: {edges:?}"
    );
    assert_eq!(violations(&edges), Vec::<String>::new());
}

#[test]
fn an_edge_outside_the_table_would_be_found() {
    let mut edges = edges();
    edges.get_mut("api").unwrap().insert("net".to_owned());
    edges.insert("glue".to_owned(), BTreeSet::new());
    assert_eq!(
        violations(&edges),
        [
            "`api` may not name `net`",
            "crate `glue` is not in the table"
        ]
    );
}

#[test]
fn the_table_itself_is_a_downward_graph() {
    for row in TABLE {
        let mut reached: Vec<&str> = row.may_name.to_vec();
        let mut next = 0;
        while next < reached.len() {
            let through = reached[next];
            assert_ne!(through, row.name, "a circle through {}", row.name);
            for other in self::row(through).unwrap().may_name {
                if !reached.contains(other) {
                    reached.push(other);
                }
            }
            next += 1;
        }
        if row.kind == Kind::Pure {
            assert!(
                row.may_name
                    .iter()
                    .all(|other| self::row(other).unwrap().kind == Kind::Pure),
                "pure `{}` names an IO crate",
                row.name
            );
        }
    }
}

#[test]
fn no_runtime_socket_or_clock_is_linked_into_a_pure_crate() {
    let mut found = Vec::new();
    for (name, _) in pure_crates() {
        let tree = cargo(&[
            "tree", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}",
        ]);
        for line in tree.lines() {
            let linked = line.split(' ').next().unwrap_or("");
            if IMPURE_CRATES.contains(&linked) {
                found.push(format!("`{name}` links `{linked}`"));
            }
            if let Some(ours) = row(linked) {
                let allowed = ours.name == name || row(name).unwrap().may_name.contains(&ours.name);
                if !allowed {
                    found.push(format!("`{name}` reaches `{linked}`"));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn no_line_of_a_pure_crate_opens_a_socket_reads_a_clock_or_starts_a_thread() {
    let mut found = Vec::new();
    for (name, folder) in pure_crates() {
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        assert!(!files.is_empty(), "{name} has sources");
        for file in files {
            for (number, why) in impurities(&fs::read_to_string(&file).unwrap()) {
                found.push(format!("{}:{number}: {why}", file.display()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_clock_in_a_pure_crate_would_be_found_but_not_in_a_comment_or_a_unit_test() {
    let source =
        "let a = Instant::now();\n// Instant::now\n#[cfg(test)]\nmod tests { use std::fs; }\n";
    assert_eq!(impurities(source), [(1, "a clock")]);
}

#[test]
fn the_law_of_the_pure_crates_is_the_same_in_each() {
    let mut laws: Vec<(String, &str)> = pure_crates()
        .into_iter()
        .map(|(name, folder)| {
            let law = fs::read_to_string(folder.join("clippy.toml"));
            (
                law.unwrap_or_else(|_| panic!("crates/{name}/clippy.toml is missing")),
                name,
            )
        })
        .collect();
    let (first, _) = laws.remove(0);
    for (law, name) in laws {
        assert_eq!(law, first, "crates/{name}/clippy.toml differs");
    }
    for banned in [
        "Instant::now",
        "SystemTime::now",
        "UdpSocket",
        "thread::spawn",
        "HashMap::iter",
    ] {
        assert!(first.contains(banned), "clippy.toml bans {banned}");
    }
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows: BTreeMap<&str, Vec<&str>> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line
                .trim()
                .trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            match cells[..] {
                [name, "pure" | "IO" | "binary", _, may_name] => Some((
                    name.trim_matches('`'),
                    may_name
                        .split([' ', ',', '`'])
                        .filter(|word| !word.is_empty() && *word != "–")
                        .collect(),
                )),
                _ => None,
            }
        })
        .collect();
    for row in TABLE {
        let shown = rows
            .get(row.name)
            .unwrap_or_else(|| panic!("docs/architecture.md lacks `{}`", row.name));
        if row.kind == Kind::Binary {
            assert_eq!(shown[..], ["all"]);
            continue;
        }
        let shown: BTreeSet<&str> = shown.iter().copied().collect();
        let allowed: BTreeSet<&str> = row.may_name.iter().copied().collect();
        assert_eq!(shown, allowed, "row `{}` of docs/architecture.md", row.name);
    }
    assert_eq!(
        rows.len(),
        TABLE.len(),
        "docs/architecture.md has other rows"
    );
}
