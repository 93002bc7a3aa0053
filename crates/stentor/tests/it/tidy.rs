//! What a compiler cannot keep: the borders between crates and modules, and the documents.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust source of the workspace, by its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, found);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    assert!(found.len() > 30, "only {} sources found: is the walk broken?", found.len());
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn verbs() -> Vec<String> {
    let help = crate::program::run(&["--help"], b"").out();
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs: Vec<String> = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect();
    assert!(verbs.len() >= 4, "{verbs:?}");
    verbs
}

#[test]
fn every_file_says_what_it_is_for() {
    for (name, text) in sources() {
        assert!(
            text.starts_with("//! ") || text.starts_with("// "),
            "{name} does not open with //!"
        );
        assert!(text.starts_with("//! ") || name.contains("fuzz_targets"), "{name}: // for //!");
    }
}

#[test]
fn no_file_is_too_long_to_hold_in_the_head() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        let generated = text.contains("@generated");
        assert!(lines <= 700 || generated, "{name} has {lines} lines");
    }
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 200, "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    for (name, _) in sources() {
        for part in name.trim_end_matches(".rs").split('/') {
            let drawer = ["util", "utils", "common", "helpers", "misc", "types"].contains(&part);
            assert!(!drawer, "{name}: a thing without a name has not found its place");
        }
    }
}

#[test]
fn unsafe_lives_in_os_and_one_file_of_casing() {
    let mut outside = Vec::new();
    for (name, text) in sources() {
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        let unsafes = code.filter(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
        if unsafes.count() > 0
            && !name.starts_with("crates/stentor-os/")
            && !name.ends_with("tidy.rs")
        {
            outside.push(name);
        }
    }
    let casing = |name: &String| name.starts_with("crates/stentor-core/src/casing/");
    assert!(outside.len() <= 1 && outside.iter().all(casing), "{outside:?}");
}

#[test]
fn printing_is_left_to_the_console() {
    for (name, text) in sources() {
        if name.starts_with("crates/stentor/src/") && !name.ends_with("report/console.rs") {
            assert!(!text.contains("io::stdout().lock()"), "{name} prints by itself");
            assert!(!text.contains("println!("), "{name} prints by itself");
        }
    }
}

/// What each part of core may use of core.
const CORE_MAY_USE: &[(&str, &[&str])] = &[
    ("casing", &["seed"]),
    ("connect", &["moment", "seed"]),
    ("endpoint", &[]),
    ("exchange", &["casing", "moment", "seed"]),
    ("link", &["moment", "seed", "units"]),
    ("load", &["casing", "measure", "moment", "seed", "units"]),
    ("measure", &["moment", "units"]),
    // The film that is drawn there is what the reader of segments is tested with.
    ("manifest", &["seed", "units", "video"]),
    ("moment", &[]),
    ("peer", &["moment", "seed"]),
    // The link is the path of its tests.
    ("qualify", &["link", "measure", "moment", "seed", "units"]),
    ("seed", &[]),
    ("service", &["casing", "moment", "seed", "units"]),
    ("timeline", &["moment"]),
    ("units", &[]),
    ("video", &["link", "measure", "moment", "seed", "units"]),
];

#[test]
fn machines_of_core_import_only_what_they_are_built_of() {
    for (name, text) in sources() {
        let Some(inner) = name.strip_prefix("crates/stentor-core/src/") else { continue };
        let module = inner.split(['/', '.']).next().unwrap();
        if module == "lib" {
            continue;
        }
        let allowed = CORE_MAY_USE.iter().find(|(known, _)| *known == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name}: not in the table"));
        let code: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with("//")).collect();
        for import in code.join("\n").split("crate::").skip(1) {
            let used = import.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(
                used == module || allowed.contains(&used),
                "{name} uses {used}, and {module} may use only {allowed:?}"
            );
        }
    }
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = read(manifest);
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap();
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap().to_owned();
    section.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(name).collect()
}

#[test]
fn the_crates_keep_their_borders() {
    let core = dependencies("crates/stentor-core/Cargo.toml");
    assert_eq!(
        core,
        [
            "etherparse",
            "hdrhistogram",
            "memchr",
            "rand_xoshiro",
            "regex",
            "regex-syntax",
            "roxmltree",
            "thiserror"
        ],
        "core's dependencies are an allow-list"
    );
    let os = dependencies("crates/stentor-os/Cargo.toml");
    assert!(!os.contains(&"stentor-core".to_owned()), "os never imports core");
    for absent in ["tokio", "clap", "serde"] {
        assert!(!core.contains(&absent.to_owned()) && !os.contains(&absent.to_owned()));
    }
    assert_eq!(dependencies("lecture/Cargo.toml"), Vec::<String>::new());
    for (name, text) in sources() {
        if name.starts_with("crates/stentor-core/") {
            assert!(!text.contains("Serialize"), "{name}: JSON is a mirror type in the roof");
        }
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = read("Cargo.toml");
    let section = manifest.split("[workspace.dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[workspace.lints").next().unwrap();
    let mut explained = true;
    for line in section.lines() {
        match line {
            "" => explained = false,
            line if line.starts_with('#') => explained = true,
            line if line.starts_with("stentor-") || line.starts_with([' ', ']']) => {}
            line => assert!(explained, "no reason stands above {line}"),
        }
    }
}

#[test]
fn every_verb_has_its_page_and_its_tests() {
    for verb in verbs() {
        let page = read(format!("docs/{verb}.md"));
        assert!(page.starts_with(&format!("# stentor {verb}\n")), "docs/{verb}.md: its title");
        let tests = root().join("crates/stentor/tests/it");
        let module = tests.join(format!("{verb}.rs")).exists() || tests.join(&verb).is_dir();
        assert!(module, "no test module for {verb}");
    }
}

#[test]
fn every_flag_is_on_its_page() {
    // The parts of a verb that have arguments of their own.
    let parts = ["video serve", "video play", "video check"].map(str::to_owned);
    for verb in verbs().into_iter().chain(parts) {
        let words: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
        let page = read(format!("docs/{}.md", words[0]));
        let help = crate::program::run(&words, b"").out();
        for word in help.split_whitespace() {
            let flag = word.trim_end_matches(['.', ',', ')', ';', ':']);
            let is_flag = flag.strip_prefix("--").is_some_and(|name| {
                name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains(['=', '/'])
            });
            if is_flag && flag != "--help" {
                assert!(page.contains(flag), "the page of {verb} does not mention {flag}");
            }
        }
    }
}

#[test]
fn the_readme_names_the_two_commands_first() {
    let readme = read("README.md");
    let run = readme.find("cargo run --release").unwrap();
    let test = readme.find("cargo test --workspace").unwrap();
    assert!(run < test, "the main job comes before the tests");
    let first_screen: usize = readme[..test].lines().count();
    assert!(first_screen <= 40, "cargo test stands on line {first_screen} of README.md");
    let ci = read(".ci/run");
    assert!(ci.contains("\ncargo test --workspace\n"), "CI runs README's test command");
}

/// The commands of a document: lines that begin with `$ `, and indented ones that begin with the
/// program's name; two spaces end a command, a remark follows.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        let indented = line.strip_prefix("    ").filter(|rest| rest.starts_with("stentor "));
        line.trim_start().strip_prefix("$ ").or(indented).and_then(|line| line.split("  ").next())
    });
    lines.filter(|line| !line.contains('[')).map(str::to_owned).collect()
}

#[test]
fn the_documents_commands_are_understood() {
    let mut seen = 0;
    let mut documents = vec!["README.md".to_owned()];
    documents.extend(verbs().iter().map(|verb| format!("docs/{verb}.md")));
    for document in documents {
        for command in commands(&read(&document)) {
            let Some(at) = command.find("stentor ") else { continue };
            let words = command[at..].split(['|', '<', '>', '&', ';']).next().unwrap();
            // Words in quotes hold spaces; what they hold does not matter to the parser.
            let words = words.replace(['\'', '"'], "");
            let words: Vec<&str> = words.split_whitespace().collect();
            let verb = words.get(1).copied().unwrap_or_default();
            if !verbs().iter().any(|known| known == verb) {
                continue;
            }
            // --help after the words: parsed like them, and nothing is run.
            let mut arguments = words[1..].to_vec();
            // A verb of several parts has its flags behind the part.
            arguments.insert(if verb == "video" { 2.min(words.len() - 1) } else { 1 }, "--help");
            let said = crate::program::run(&arguments, b"");
            assert_eq!(said.code, Some(0), "{document}: $ {command}\n{}", said.err);
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap();
                assert!(said.out().contains(flag), "{document}: $ {command}: no {flag}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} commands in the documents");
}
