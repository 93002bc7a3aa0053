//! The help of every verb, as golden text: whoever changes it sees it change.

use crate::program::run;

#[test]
fn help_is_as_recorded() {
    for verb in [
        "",
        "serve",
        "send",
        "fetch",
        "trace",
        "load",
        "impair",
        "qualify",
        "peer",
        "learn",
        "video",
        "video serve",
        "video play",
        "video check",
    ] {
        let arguments: Vec<&str> = verb.split_whitespace().chain(["--help"]).collect();
        let said = run(&arguments, b"");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{verb}");
        let name = if verb.is_empty() {
            "help".to_owned()
        } else {
            format!("help-{}", verb.replace(' ', "-"))
        };
        insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, said.out());
        });
    }
}

#[test]
fn completions_and_man_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["generate", "completions", shell], b"");
        assert_eq!(script.code, Some(0));
        assert!(script.out().contains("learn"), "{shell}");
    }
    let folder = std::env::temp_dir().join(format!("stentor-man-{}", std::process::id()));
    let said = run(&["generate", "man", folder.to_str().unwrap()], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    for page in ["stentor.1", "stentor-serve.1", "stentor-send.1", "stentor-fetch.1"] {
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_published_schemas_are_current() {
    let folder = std::env::temp_dir().join(format!("stentor-schemas-{}", std::process::id()));
    let said = run(&["generate", "schemas", folder.to_str().unwrap()], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let published = format!("{}/../../docs/schemas", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name();
        let ours = std::fs::read_to_string(folder.join(&name)).unwrap();
        let theirs = std::fs::read_to_string(format!("{published}/{}", name.display())).unwrap();
        // Line by line, so that a failure shows the key and not two whole files.
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs, "{name:?}: stentor generate schemas docs/schemas");
        }
        assert_eq!(ours.len(), theirs.len());
        seen += 1;
    }
    assert_eq!(seen, std::fs::read_dir(published).unwrap().count());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_unknown_verb_names_the_nearest() {
    let said = run(&["serv"], b"");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("a similar subcommand exists: 'serve'"), "{}", said.err);
}
