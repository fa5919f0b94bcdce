use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Message, Remedy, Result, truncate_escaped};

use super::TableOptions;
use super::open::open_file;
use super::rows::{Dropped, Opened, Part, Rows};

/// The ends of the names of tables, less those of what packs them, a line a kind.
const ENDS: [&[&str]; 6] = [
    &["csv", "tsv", "tab", "txt", "dat"],
    &["jsonl", "ndjson"],
    &["npy"],
    &["npz"],
    &["parquet", "pq"],
    &["arrow", "arrows", "feather", "ipc"],
];

const JSON_LINES: usize = 1;

/// Folders in folders, and files in all of them.
const DEEPEST: usize = 32;
const MOST_FILES: usize = 1_000_000;

/// The files of a table: those that are named, and instead of a folder all tables in it and in its folders, in the order
/// of their names. What begins with a dot or an underscore is left out, as Spark and Arrow do.
///
/// # Errors
/// [`Error::Data`] where a folder has no table, or tables of two kinds; [`Error::Io`].
pub fn table_files(paths: &[impl AsRef<Path>]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        // What is not there is named by who opens it; standard input has no path.
        match path != Path::new("-") && fs::metadata(path).is_ok_and(|it| it.is_dir()) {
            true => files.extend(tables_in(path)?),
            false => files.push(path.to_owned()),
        }
    }
    Ok(files)
}

fn tables_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let bad = |message: String| Err(Error::data(format!("{}: {message}", folder.display())));
    let mut files = Vec::new();
    gather(folder, 0, &mut files)?;
    // A kind, and the first file of it.
    let mut kinds: BTreeMap<usize, PathBuf> = BTreeMap::new();
    let mut tables = Vec::new();
    files.sort();
    // Logs of runs are JSON Lines, too, and lie beside tables.
    let is_other = |file: &PathBuf| kind(file).is_some_and(|kind| kind != JSON_LINES);
    let has_others = files.iter().any(is_other);
    for file in files {
        if let Some(kind) = kind(&file).filter(|kind| !has_others || *kind != JSON_LINES) {
            kinds.entry(kind).or_insert_with(|| file.clone());
            tables.push(file);
        }
    }
    let shown = |path: &PathBuf| {
        truncate_escaped(&path.strip_prefix(folder).unwrap_or(path).to_string_lossy())
    };
    match kinds.values().collect::<Vec<_>>()[..] {
        [] => bad(format!(
            "the folder has no table; files that end in {} are read",
            ENDS.concat().join(", ")
        )),
        [one, other, ..] => bad(format!(
            "the folder has tables of more than one kind ({} and {}); name those that are one table",
            shown(one),
            shown(other)
        )),
        _ => Ok(tables),
    }
}

fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let too_much = |what: &str| {
        let message = format!("{what}; name the files that are the table");
        Error::io(folder)(io::Error::other(message))
    };
    if depth > DEEPEST {
        return Err(too_much(
            "folders lie too deep in folders, or a link leads back",
        ));
    }
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        let path = entry.path();
        let metadata = fs::metadata(&path).map_err(Error::io(&path))?;
        if metadata.is_dir() {
            gather(&path, depth + 1, files)?;
        } else if metadata.is_file() {
            if files.len() == MOST_FILES {
                return Err(too_much("the folder has more than a million files"));
            }
            files.push(path);
        }
    }
    Ok(())
}

/// Which kind of table a file's name says it is, if it says one.
fn kind(file: &Path) -> Option<usize> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let packed = [".gz", ".zst", ".zstd"];
    let name = packed
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(&name);
    let (_, end) = name.rsplit_once('.')?;
    ENDS.iter().position(|ends| ends.contains(&end))
}

/// Several files that are read as one, one after the other.
struct SeveralRows {
    /// Those that are still to be opened.
    files: std::vec::IntoIter<PathBuf>,
    options: TableOptions,
    current: Box<dyn Rows>,
    /// Rows of the files before the current one.
    before: u64,
    /// Rows of the current one so far.
    of_current: u64,
    /// What the files before the current one left out, and the current one.
    dropped_before: Dropped,
    dropped: Dropped,
    /// What was said of files before the current one, and of how many of them.
    notes: BTreeMap<Message, usize>,
}

/// Opens several files with the same columns as one table. `first` is the first of them, opened; `options` are those of the
/// others.
///
/// # Errors
/// Those of opening a file; [`Error::Data`] where its columns are not those of the first.
pub(super) fn open(first: Opened, others: Vec<PathBuf>, options: TableOptions) -> Result<Opened> {
    let mut row_count = first.row_count_hint;
    // All are looked at before anything is done with the first; a pipe gives what it has once.
    for file in others.iter().filter(|file| file.is_file()) {
        let other = open_file(file, &options)?;
        row_count = row_count.zip(other.row_count_hint).map(|(a, b)| a + b);
        if options.keeps_table
            && (other.all_columns != first.all_columns || other.types != first.types)
        {
            let text = format!(
                "{}: its columns are of other types, or in another order, than those of the first file, and cannot be kept \
                 with them",
                file.display()
            );
            return Err(Error::Data(
                Message::new(text)
                    .in_file(file)
                    .remedy(Remedy::by_hand("write the files alike"))
                    .remedy(Remedy::new("write the scores alone", "append", false)),
            ));
        }
    }
    let are_files = others.iter().all(|file| file.is_file());
    Ok(Opened {
        row_count_hint: row_count.filter(|_| are_files),
        rows: Box::new(SeveralRows {
            dropped: first.rows.dropped().clone(),
            dropped_before: first.rows.dropped().clone(),
            current: first.rows,
            options,
            before: 0,
            of_current: 0,
            notes: partition_note(&others)
                .map(|note| (note.into(), 1))
                .into_iter()
                .collect(),
            files: others.into_iter(),
        }),
        ..first
    })
}

/// What to say of files whose folders are named after a value that their rows have, as `year=2020`.
fn partition_note(files: &[PathBuf]) -> Option<String> {
    let folder = |file: &PathBuf| Some(file.parent()?.file_name()?.to_str()?.to_owned());
    let folders = files.iter().filter_map(folder);
    let key = folders
        .filter_map(|name| Some(name.split_once('=')?.0.to_owned()))
        .next()?;
    Some(format!(
        "folders are named after a value ({}=...), which is not read as a column",
        truncate_escaped(&key)
    ))
}

impl SeveralRows {
    /// The notes so far, those of the current file among them.
    fn notes_so_far(&self) -> BTreeMap<Message, usize> {
        let mut notes = self.notes.clone();
        for note in self.current.notes() {
            *notes.entry(note).or_default() += 1;
        }
        notes
    }

    fn update_dropped(&mut self) {
        let current = self.current.dropped();
        self.dropped.rows = self.dropped_before.rows + current.rows;
        let columns = self.dropped.columns.iter_mut();
        let before = self.dropped_before.columns.iter();
        for ((column, before), current) in columns.zip(before).zip(&current.columns) {
            column.1 = before.1 + current.1;
        }
    }
}

impl Rows for SeveralRows {
    fn next(&mut self, most: usize) -> Result<Option<Part>> {
        loop {
            let part = self.current.next(most)?;
            self.update_dropped();
            if let Some(mut part) = part {
                self.of_current = part.rows.end - 1;
                for number in &mut part.numbers {
                    *number += self.before;
                }
                part.rows = part.rows.start + self.before..part.rows.end + self.before;
                return Ok(Some(part));
            }
            let Some(file) = self.files.next() else {
                return Ok(None);
            };
            self.notes = self.notes_so_far();
            self.dropped_before = self.dropped.clone();
            self.before += self.of_current;
            self.of_current = 0;
            self.current = open_file(&file, &self.options)?.rows;
        }
    }

    fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    fn notes(&self) -> Vec<Message> {
        let in_files = |(note, files): (Message, usize)| match files {
            1 => note,
            files => note.followed_by(format_args!(" (so in {files} files)")),
        };
        self.notes_so_far().into_iter().map(in_files).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_tables_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let make = |name: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "a,b\n1,2\n").unwrap();
        };
        for name in [
            "year=2021/b.csv.gz",
            "year=2020/z.csv",
            "a.tsv",
            "_SUCCESS",
            ".c.csv",
            "m.safetensors",
            "_old/d.csv",
            "run.jsonl",
        ] {
            make(name);
        }
        let expected = ["a.tsv", "year=2020/z.csv", "year=2021/b.csv.gz"].map(at);
        assert_eq!(table_files(&[folder.path()]).unwrap(), expected);
        // Files that are named stay where they are named.
        let named = [at("year=2020"), at("a.tsv")];
        let expected = [at("year=2020/z.csv"), at("a.tsv")];
        assert_eq!(table_files(&named).unwrap(), expected);
        make("deeper/p.parquet");
        let error = table_files(&[folder.path()]).unwrap_err().to_string();
        assert!(error.contains("a.tsv and deeper/p.parquet"), "{error}");
        fs::create_dir(at("empty")).unwrap();
        let error = table_files(&[at("empty")]).unwrap_err().to_string();
        assert!(error.contains("no table"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_ends_with_a_message() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        let error = table_files(&[folder.path()]).unwrap_err().to_string();
        assert!(
            error.contains("leads back") || error.contains("link"),
            "{error}"
        );
    }
}
