//! What the documents and the comments of the shaders say is there, and in words that the field uses.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<PathBuf> {
    let mut all = files("docs", "md");
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "python/README.md",
        "tests/README.md",
    ] {
        all.push(root().join(name));
    }
    all
}

/// The paths of this repository in a text: words that begin with the name of a folder, and links of Markdown.
fn paths(text: &str) -> Vec<String> {
    const FOLDERS: [&str; 9] = [
        "src/",
        "shaders/",
        "shared/",
        "tests/",
        "docs/",
        "benches/",
        "python/",
        "scripts/",
        "examples/",
    ];
    let is_part = |c: char| c.is_alphanumeric() || "_-./*".contains(c);
    let mut found: Vec<String> = text
        .split(|c| !is_part(c))
        .map(|word| word.trim_matches(['.', '/', '-']))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .map(String::from)
        .collect();
    let links = text.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
    found.extend(links.map(String::from));
    found
}

/// Whether a path is there, seen from a file: `*` stands for anything in the last part.
fn exists(path: &str, from: &Path) -> bool {
    let folders = [root(), from.parent().unwrap(), &root().join("shaders")];
    folders.iter().any(|folder| {
        let full = folder.join(path);
        let Some((before, after)) = full.to_str().unwrap().split_once('*') else {
            return full.exists();
        };
        let (folder, begin) = before.rsplit_once('/').unwrap();
        fs::read_dir(folder).is_ok_and(|entries| {
            entries.map(|it| it.unwrap().file_name()).any(|name| {
                let name = name.to_string_lossy();
                name.starts_with(begin) && name.ends_with(after)
            })
        })
    })
}

#[test]
fn every_path_in_documents_and_shaders_exists() {
    let mut seen = 0;
    for file in documents().into_iter().chain(files("shaders", "wgsl")) {
        let text = fs::read_to_string(&file).unwrap();
        for path in paths(&text) {
            assert!(
                exists(&path, &file),
                "{}: {path} is not there",
                file.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 150, "{seen} paths");
    let readme = root().join("README.md");
    assert!(!exists("src/no_such.rs", &readme) && !exists("shaders/no_such_*.wgsl", &readme));
}

/// The tests that the documents name are tests.
#[test]
fn every_test_in_documents_exists() {
    let sources = files("src", "rs").into_iter().chain(files("tests", "rs"));
    let code: String = sources
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let mut seen = 0;
    for name in [
        "docs/numerics.md",
        "docs/reliability.md",
        "docs/performance.md",
    ] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let is_test = |word: &&str| {
            word.matches('_').count() >= 2
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        for test in quoted.filter(is_test) {
            if root().join(format!("shaders/{test}.wgsl")).exists() {
                continue;
            }
            assert!(
                code.contains(&format!("fn {test}(")),
                "{name}: there is no test {test}"
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} tests");
}

/// Words that this project once invented, or used in a sense of its own.
#[test]
fn documents_and_comments_use_the_words_of_the_field() {
    const INVENTED: [&str; 17] = [
        "album",
        "by heart",
        "gatherer",
        "hangs together",
        "hostile",
        "ladder",
        "loudness",
        "mishap",
        "put aside",
        "rungs",
        "soak",
        "the rooms",
        "twin",
        "twins",
        "what is not lost",
        "yardstick",
        "draws in",
    ];
    let mut sources = documents();
    sources.extend(files("shaders", "wgsl"));
    sources.extend(files("src", "rs"));
    for file in sources {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for (number, line) in text.lines().enumerate() {
            let is_comment = file.extension().is_none_or(|it| it != "rs") || line.contains("//");
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric())
                .filter(|it| !it.is_empty())
                .collect();
            let line = format!(" {} ", words.join(" "));
            let word = INVENTED
                .iter()
                .find(|word| line.contains(&format!(" {word} ")));
            assert!(
                !is_comment || word.is_none(),
                "{}:{}: {word:?}",
                file.display(),
                number + 1
            );
        }
    }
}
