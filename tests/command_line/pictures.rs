//! Pictures from the command line.

use std::fs;

use crate::command::{couplet, refused, stderr, table, well};

/// A model of 300 rows of height and weight.
fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    table(folder.path(), "people.csv", 300, |_, _| {});
    let train =
        "train people.csv --steps 60 --device cpu --log log.jsonl --log-every 10 --plot seen";
    well(folder.path(), train);
    folder
}

#[test]
fn a_run_and_a_model_are_drawn() {
    let folder = model();
    let folder = folder.path();
    let all = ["corner", "course", "density", "latent", "scores"];
    let made = |sub: &str| {
        let files = fs::read_dir(folder.join(sub)).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(made("seen"), all.map(|name| format!("{name}.svg")));

    // The same again, from the files.
    let plot = "plot people.safetensors --device cpu";
    let full = format!("{plot} --data people.csv --log log.jsonl --format png");
    well(folder, &full);
    assert_eq!(made("people-plots"), all.map(|name| format!("{name}.png")));
    let png = fs::read(folder.join("people-plots/corner.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));

    // Of a model alone: what it says itself.
    let output = well(folder, &format!("{plot} --out alone"));
    assert_eq!(made("alone"), ["corner.svg", "density.svg"]);
    let said = stderr(&output);
    assert!(
        said.contains("with --data") && said.contains("with --log"),
        "{said}"
    );

    // What is drawn twice is the same.
    let first = fs::read(folder.join("alone/corner.svg")).unwrap();
    well(folder, &format!("{plot} --out alone"));
    assert_eq!(first, fs::read(folder.join("alone/corner.svg")).unwrap());
}

#[test]
fn columns_are_chosen_and_what_is_not_there_is_named() {
    let folder = model();
    let folder = folder.path();
    let plot = "plot people.safetensors --device cpu --out p";
    well(folder, &format!("{plot} --columns weight"));
    let svg = fs::read_to_string(folder.join("p/corner.svg")).unwrap();
    assert!(svg.contains("weight") && !svg.contains("height<"));
    refused(
        folder,
        &format!("{plot} --columns wieght"),
        2,
        &["(did you mean \"weight\"?)"],
    );
    refused(
        folder,
        &format!("{plot} --exclude 1..2"),
        2,
        &["no column is left"],
    );
    refused(folder, &format!("{plot} --data none.csv"), 3, &["none.csv"]);
    fs::write(folder.join("other.csv"), "height,size\n1,2\n").unwrap();
    refused(
        folder,
        &format!("{plot} --data other.csv"),
        3,
        &["no column \"weight\""],
    );
    refused(
        folder,
        &format!("{plot} --log people.csv"),
        3,
        &["people.csv: line 1"],
    );
    fs::write(folder.join("short.jsonl"), "{\"event\":\"done\"}\n").unwrap();
    refused(
        folder,
        &format!("{plot} --log short.jsonl"),
        3,
        &["no steps"],
    );
    refused(folder, "plot people.csv", 3, &["people.csv"]);
}

/// A folder that cannot be is said before any step is taken, and no file of the user's is lost to a picture.
#[test]
fn pictures_take_nobodys_place() {
    let folder = model();
    let folder = folder.path();
    let train = "train people.csv --steps 5 --device cpu --out m.safetensors";
    refused(
        folder,
        &format!("{train} --plot people.csv"),
        1,
        &["people.csv"],
    );
    assert!(!folder.join("m.safetensors").exists());
    fs::create_dir(folder.join("full")).unwrap();
    fs::copy(
        folder.join("people.safetensors"),
        folder.join("full/corner.svg"),
    )
    .unwrap();
    for command in [
        format!("{train} --plot full"),
        "plot people.safetensors --device cpu --out full".into(),
    ] {
        refused(folder, &command, 2, &["corner.svg", "this is a model"]);
    }
    fs::copy(folder.join("people.csv"), folder.join("full/scores.svg")).unwrap();
    let reads = "plot people.safetensors --data full/scores.svg --device cpu --out full --force";
    refused(folder, reads, 2, &["this is --data"]);
    let dry = couplet(folder, &format!("{train} --plot nowhere --dry-run"));
    assert!(dry.status.success() && !folder.join("nowhere").exists());
}
