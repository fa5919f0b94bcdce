//! Pictures from the command line.

use std::fs;
use std::process::Command;

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
    let all = ["corner", "density", "latent", "loss", "scores"];
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
    refused(
        folder,
        &format!("{plot} --scale 0"),
        2,
        &["from 0.25 to 10"],
    );
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

/// A page that shows a report in a window as narrow as a phone's, light or dark, and says what became of it.
const VIEWER: &str = r#"<!DOCTYPE html><meta charset="utf-8"><body><script>
const frame = document.createElement("iframe");
frame.style = "width: 390px; height: 800px";
frame.srcdoc = REPORT;
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  const area = (svg) => { const box = svg.getBoundingClientRect(); return box.width * box.height; };
  const color = (element, which) => frame.contentWindow.getComputedStyle(element)[which];
  const result = {
    title: page.title,
    beyond: root.scrollWidth - root.clientWidth,
    pictures: [...page.querySelectorAll("svg")].map(area),
    text: page.body.innerText.length,
    paper: color(page.body, "backgroundColor"),
    ink: color(page.querySelector("svg text"), "fill"),
    background: color(page.querySelector("svg > rect"), "fill"),
    errors: [...page.querySelectorAll("parsererror")].length,
  };
  document.title = "seen";
  document.body.textContent = JSON.stringify(result);
};
document.body.append(frame);
</script>"#;

/// What a browser makes of a report.
fn seen(folder: &std::path::Path, report: &str, dark: bool) -> serde_json::Value {
    // As a string of JavaScript that does not end the script that it stands in.
    let text = serde_json::to_string(report).unwrap().replace("</", "<\\/");
    fs::write(folder.join("viewer.html"), VIEWER.replace("REPORT", &text)).unwrap();
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let output = Command::new(&browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
        ])
        .args(["--virtual-time-budget=20000", "--timeout=60000"])
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("file://{}", folder.join("viewer.html").display()))
        .output()
        .unwrap_or_else(|error| panic!("{browser}: {error}; CHROMIUM names a Chromium"));
    let dom = String::from_utf8(output.stdout).unwrap();
    let body = dom
        .split_once("<body>")
        .unwrap_or_else(|| panic!("{dom}"))
        .1;
    let body = body.split_once("</body>").unwrap().0.trim();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:.300}"))
}

/// From 200 held-out rows on a report says whether a classifier tells them from the model's.
#[test]
fn a_report_has_a_two_sample_test_where_rows_suffice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(folder, "people.csv", 2000, |_, _| {});
    let train = "train people.csv --steps 80 --device cpu --seed 4 --report run.html";
    well(folder, train);
    let report = fs::read_to_string(folder.join("run.html")).unwrap();
    let (_, rest) = report.split_once("a classifier tells ").unwrap();
    let (_, percent) = rest.split_once("in ").unwrap();
    let percent: f64 = percent.split_once('%').unwrap().0.parse().unwrap();
    assert!((45.0..60.0).contains(&percent), "{percent}");
}

/// The report needs nothing but itself, says what it should, and a browser shows it whole on a phone, in the light and in the dark.
#[test]
fn a_report_stands_alone_and_opens_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let named = |row: usize, fields: &mut Vec<String>| {
        if row == 17 {
            fields[0] = "5.5".into();
        }
    };
    table(folder, "people.csv", 400, named);
    let text = fs::read_to_string(folder.join("people.csv")).unwrap();
    let text = text.replace("height", "<b>height</b>");
    fs::write(folder.join("people.csv"), text).unwrap();
    let train = "train people.csv --steps 80 --device cpu --seed 4 --report run.html --json";
    let summary = well(folder, train);
    let report = fs::read_to_string(folder.join("run.html")).unwrap();
    for outside in [
        "<script", "<link", "<img", "src=", "@import", "url(http", "href=", "<b>",
    ] {
        assert!(!report.contains(outside), "{outside}");
    }
    let summary: serde_json::Value = serde_json::from_slice(&summary.stdout).unwrap();
    let four = |value: &serde_json::Value| format!("{:.4}", value.as_f64().unwrap());
    for part in [
        four(&summary["validation_nll"]),
        four(&summary["baselines"]["gaussian"]),
        four(&summary["baselines"]["independent"]),
        "&lt;b&gt;height&lt;/b&gt;".into(),
        "over the 80 rows held out".into(),
        // The row that is far out is the lowest.
        "<tr><td class=\"number\">17</td>".into(),
        train.into(),
        "couplet score people.safetensors people.csv --summary".into(),
        "seed = 4".into(),
    ] {
        assert!(report.contains(&part), "no {part}");
    }
    assert!(!report.contains("two-sample"), "of 80 rows");
    for (dark, paper) in [(false, "rgb(255, 255, 255)"), (true, "rgb(22, 24, 28)")] {
        let seen = seen(folder, &report, dark);
        assert_eq!(seen["title"], "people.csv");
        assert_eq!(seen["beyond"], 0, "{seen}");
        let pictures = seen["pictures"].as_array().unwrap();
        assert_eq!(pictures.len(), 5, "{seen}");
        assert!(
            pictures.iter().all(|area| area.as_f64().unwrap() > 3e4),
            "{seen}"
        );
        assert!(seen["text"].as_u64().unwrap() > 1000, "{seen}");
        assert_eq!(seen["paper"], paper);
        assert_eq!(seen["background"], paper);
        assert_ne!(seen["ink"], paper);
    }

    let dry = couplet(folder, "train people.csv --device cpu --report people.csv");
    assert_eq!(dry.status.code(), Some(2), "{}", stderr(&dry));
    refused(
        folder,
        "train people.csv --device cpu --report no/where.html",
        1,
        &["no/where.html"],
    );
}
