//! Three deliberate bugs are compiled in, one after the other, in a target folder of their own: the simulator must
//! find each of them within its usual seeds, and the program that is shipped must contain none.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What every mutant leaves in the binary.
const MARKER: &[u8] = b"ringbook-mutant:";

fn root() -> PathBuf {
    tests::package().join("..").canonicalize().unwrap()
}

/// The folder with the programs that were built together with this test.
fn release() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_path_buf()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of the mutants, as they stand in the sources.
fn mutants() -> BTreeSet<String> {
    let mut files = Vec::new();
    for name in ["call", "switch"] {
        rust_files(&root().join("crates").join(name).join("src"), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        for part in fs::read_to_string(file)
            .unwrap()
            .split("mutant!(\"")
            .skip(1)
        {
            names.extend(part.split('"').next().map(str::to_owned));
        }
    }
    names
}

/// Third-party crates are the same with and without a mutant: linked over, they need not be compiled once more.
fn adopt_what_is_compiled(folder: &Path) {
    let own = folder.join("release");
    if own.exists() {
        return;
    }
    fs::create_dir_all(&own).unwrap();
    let parts = ["deps", "build", ".fingerprint"].map(|part| release().join(part));
    let copied = Command::new("cp").arg("-al").args(parts).arg(&own).status();
    assert!(
        copied.unwrap().success(),
        "hard links within the target folder"
    );
}

/// Runs cargo so that our crates, and only ours, are compiled with the mutant.
fn cargo(mutant: &str, folder: &Path, arguments: &[&str]) -> Output {
    let wrapper = folder.join(format!("{mutant}.sh"));
    fs::create_dir_all(folder).unwrap();
    let script = format!("#!/bin/sh\nexec \"$@\" --cfg 'ringbook_mutant=\"{mutant}\"'\n");
    if fs::read_to_string(&wrapper).ok().as_ref() != Some(&script) {
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", folder)
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap()
}

fn contains_marker(file: &Path) -> bool {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    bytes.windows(MARKER.len()).any(|window| window == MARKER)
}

/// The simulator that cargo says it has built.
fn executable(output: &Output) -> PathBuf {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let built = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "simulator")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    built.unwrap_or_else(|| {
        panic!(
            "nothing was built: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

#[test]
fn the_simulator_finds_each_of_the_three_mutants() {
    let mutants = mutants();
    assert_eq!(mutants.len(), 3, "{mutants:?}");
    for mutant in &mutants {
        let folder = release().parent().unwrap().join("mutants").join(mutant);
        adopt_what_is_compiled(&folder);
        let build = [
            "test",
            "--release",
            "--locked",
            "-p",
            "tests",
            "--test",
            "simulator",
            "--no-run",
        ];
        let built = cargo(
            mutant,
            &folder,
            &[&build[..], &["--message-format=json"]].concat(),
        );
        let program = executable(&built);
        assert!(contains_marker(&program), "{mutant} leaves no mark");
        let run = Command::new(program)
            .env_remove("RINGBOOK_SEED")
            .env_remove("RINGBOOK_SEEDS")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(!run.status.success(), "the simulator does not see {mutant}");
        let seeds = told.lines().find(|line| line.contains("seeds failed"));
        println!(
            "{mutant}: {}",
            seeds.unwrap_or_else(|| panic!("{mutant} fails for another reason: {told}"))
        );
    }
}

#[test]
fn the_shipped_program_contains_no_mutant() {
    let program = release().join("ringbook");
    assert!(
        !contains_marker(&program),
        "{} contains a mutant",
        program.display()
    );
}
