//! Generates docs/settings.md from the settings.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::{
    ConditionerName, Config, DataOverrides, ModelOverrides, Overrides, Preset, TableSize,
    TrainOverrides,
};

const HEAD: &str = "# Settings

Every key of a configuration file and, with dashes for underscores, every flag of `couplet train` that changes one (`learning_rate`,
`--learning-rate`). Kinds of columns are a table of the file, `[data.columns]` with `speed = \"positive\"`, and a flag each, `--column
speed=positive`. A flag wins over the file. Keys that neither sets come from a preset: `safe`, the default preset, for data and targets, and
`published`, the reference preset, for the reference experiment, which uses no safeguard. `preset = \"...\"` at the top of the file, or
`--preset`, selects the other one.

The default preset depends on the size of the table. Its column has the values for 50,000 rows of 4 columns, and those for other tables. Keys of a conditioner or transform that is not chosen do nothing.

How a density is fitted follows from how many different rows there are:
- Fewer than 500: Gaussian mixtures in place of a flow (`mixture`, and no `steps`); given other columns, flows and mixtures, as below.
- Up to 20,000: the average of five flows, each with another fifth of the rows held out (`ensemble`), with Gaussian mixtures beside them. Of two
  columns, from 2,000 rows on, one flow and mixtures. Of one column one flow; given others three and mixtures up to 5,000 rows.
- More: one flow, trained for 4,000 steps, and up to 16,000 where that pays (`extension`).

A setting that only a flow has (but `seed`, `validation`, `ensemble` and `effort`) or `mixture = false` asks for one flow. `effort = 4` allows four times
the flows, or the steps of a flow; on fewer than 500 rows it has flows beside the mixtures.
";

/// Tables that the safe preset treats differently: rows, modelled columns, columns of context.
const TABLES: [(&str, Option<ConditionerName>, [usize; 3]); 10] = [
    ("50,000 rows", None, [50_000, 4, 0]),
    ("300 rows", None, [300, 4, 0]),
    ("1,000 rows", None, [1_000, 4, 0]),
    ("10,000 rows", None, [10_000, 4, 0]),
    ("1 column", None, [50_000, 1, 0]),
    ("12 columns", None, [50_000, 12, 0]),
    ("40 columns", None, [50_000, 40, 0]),
    ("given others", None, [50_000, 4, 3]),
    ("1 given others", None, [50_000, 1, 3]),
    (
        "polynomials",
        Some(ConditionerName::Hermite),
        [50_000, 4, 0],
    ),
];

/// The keys of a section, with a configuration's values.
type Values = fn(&Config) -> Vec<(&'static str, String)>;

#[test]
fn the_page_of_settings_says_what_they_are() {
    let mut page = HEAD.to_string();
    let sections: [(&str, clap::Command, Values); 3] = [
        ("model", flags::<ModelOverrides>(), |config| {
            values(ModelOverrides::entries(&config.model))
        }),
        ("train", flags::<TrainOverrides>(), |config| {
            values(TrainOverrides::entries(&config.train))
        }),
        ("data", flags::<DataOverrides>(), |config| {
            values(DataOverrides::entries(&config.data))
        }),
    ];
    for (name, flags, values) in sections {
        write_section(&mut page, name, &flags, values);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    if std::env::var_os("COUPLET_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/settings.md is not what the settings say; write it with COUPLET_WRITE_DOCS=1 cargo test --lib settings_page"
    );
}

/// The keys, and their values as a file has them.
fn values(entries: Vec<(&'static str, serde_json::Value)>) -> Vec<(&'static str, String)> {
    let value = |value| toml::Value::try_from(value).unwrap().to_string();
    let entries = entries.into_iter();
    entries.map(|(key, it)| (key, value(it))).collect()
}

fn flags<A: Args>() -> clap::Command {
    A::augment_args(clap::Command::new("train"))
}

fn write_section(page: &mut String, name: &str, flags: &clap::Command, values: Values) {
    writeln!(page, "\n## `[{name}]`\n").unwrap();
    writeln!(page, "| key | takes | what it is | published | safe |").unwrap();
    writeln!(page, "|---|---|---|---|---|").unwrap();
    let of_tables = TABLES.map(|(table, conditioner, size)| {
        let [rows, columns, context] = size;
        let size = TableSize {
            rows,
            columns,
            context,
        };
        let mut settings = Overrides::default();
        settings.model.conditioner = conditioner;
        let config = settings.config(Preset::Safe, None, Some(size)).unwrap();
        (table, values(&config))
    });
    for (index, (key, published)) in values(&Config::default()).into_iter().enumerate() {
        // A flag that is given once for each column has no plural.
        let is_of = |id: &str| id == key || format!("{id}s") == key;
        let mut all = flags.get_arguments();
        let flag = all.find(|flag| is_of(flag.get_id().as_str()));
        let flag = flag.unwrap_or_else(|| panic!("{key} has no flag"));
        let takes = &flag.get_value_names().unwrap()[0];
        let takes = takes.replace('|', ", ");
        let what = flag.get_help().unwrap();
        let usual = &of_tables[0].1[index].1;
        let others = of_tables[1..]
            .iter()
            .map(|(table, values)| (table, &values[index].1))
            .filter(|(_, value)| *value != usual)
            .map(|(table, value)| format!("; {table}: {value}"));
        let safe = usual.clone() + &others.collect::<String>();
        writeln!(
            page,
            "| `{key}` | {takes} | {what} | {published} | {safe} |"
        )
        .unwrap();
    }
}
