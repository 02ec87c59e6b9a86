//! The demo plays to its end, leaves what it promises, and says so when something did not happen.

use std::{
    path::Path,
    process::{Command, Output},
};

use tests::{audio::speech_file, daemon::program};

fn demo(folder: &Path, speech: &Path) -> Output {
    Command::new(program())
        .args(["demo", "--language", "en", "--folder"])
        .arg(folder)
        .arg("--speech")
        .arg(speech)
        .output()
        .expect("the program starts")
}

fn recordings(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |path: &Path| match path.is_dir() {
        true => recordings(path),
        false => usize::from(path.extension().is_some_and(|it| it == "wav")),
    };
    entries.map(|entry| count(&entry.path())).sum()
}

#[test]
fn the_demo_plays_to_its_end_and_leaves_a_recording_of_each_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let words = speech_file("caller-ru");
    let played = demo(folder.path(), words.parent().unwrap());
    let text = String::from_utf8_lossy(&played.stdout).into_owned();
    let trouble = String::from_utf8_lossy(&played.stderr).into_owned();
    assert!(played.status.success(), "{text}{trouble}");
    // The three that are told, the one that keeps a manager busy, the one who waited, the one who was handed over, the one
    // on the mobile, and the call back to the one who gave up.
    assert_eq!(recordings(&folder.path().join("recordings")), 8, "{text}");
    let told = [
        "hears the place in the queue and music",
        "in the queue from",
        "in place 1 and talked",
        "hands a client to",
        "One conversation and one recording",
        "pressed 1 on the mobile",
        "is owed a call back by",
        "calls back at a click",
        "The manager's telephone first",
        "is owed nothing any more",
    ];
    for told in told {
        assert!(text.contains(told), "no \"{told}\" in\n{text}");
    }
    // Of the five that are told, each by its path and in the explanation of its call.
    assert_eq!(text.matches("\n  Recording: ").count(), 5, "{text}");
}

#[test]
fn a_demo_that_cannot_be_played_ends_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, "not a folder").unwrap();
    let played = demo(&folder.path().join("demo"), &no_folder);
    assert!(!played.status.success());
    assert!(!played.stderr.is_empty(), "the reason is told");
}
