//! Selects the columns of a table: those the user chose, or those that match a model.

use std::ops::RangeInclusive;

use crate::error::{Error, Message, Remedy, Result, column_label, list, quote, truncate_escaped};

use super::{TableOptions, default_names};

/// The columns that a table is expected to have: those that a model was trained on, or those of another file of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedColumns {
    names: Vec<String>,
    named: bool,
    /// The levels of each column of categories; empty for others.
    levels: Vec<Vec<String>>,
    /// For messages: what is said before the names.
    owner: &'static str,
}

impl ExpectedColumns {
    /// Those of a model, in its order. `named` says whether the names come from the table that it was trained on; else they
    /// are x0, x1, ...
    pub fn of_model(names: &[String], named: bool) -> Self {
        ExpectedColumns {
            names: names.to_vec(),
            named,
            levels: Vec::new(),
            owner: "the model was trained on",
        }
    }

    /// The same, with these levels, a list a column, empty for those that have none.
    pub fn with_levels(self, levels: Vec<Vec<String>>) -> Self {
        ExpectedColumns { levels, ..self }
    }

    pub(super) fn all_levels(&self) -> Vec<Vec<String>> {
        self.levels.clone()
    }

    /// The levels of a column, if it has any.
    pub(super) fn levels(&self, column: usize) -> Option<&[String]> {
        let levels = self.levels.get(column)?;
        (!levels.is_empty()).then_some(levels)
    }

    /// Those of the first of several files.
    pub(super) fn of_first_file(names: &[String], named: bool) -> Self {
        ExpectedColumns {
            owner: "the first of the files has",
            ..Self::of_model(names, named)
        }
    }

    /// The index of each of these columns among a table's, where all are found by name: as it stands, or else without
    /// the blanks around it.
    fn by_name(&self, columns: &[String]) -> Option<Vec<usize>> {
        let find = |name: &String| {
            let exact = columns.iter().position(|column| column == name);
            exact.or_else(|| {
                columns
                    .iter()
                    .position(|column| column.trim() == name.trim())
            })
        };
        let indices: Vec<usize> = self.names.iter().map(find).collect::<Option<_>>()?;
        let is_repeated = |j: usize| indices[..j].contains(&indices[j]);
        (!(0..indices.len()).any(is_repeated)).then_some(indices)
    }

    /// Whether all of these names are among others.
    pub(super) fn are_among(&self, columns: &[String]) -> bool {
        self.by_name(columns).is_some()
    }

    /// The index of each of these columns among a table's: by name where both sides have names, else by position. Default names
    /// (x0, x1, ...) are positions.
    ///
    /// # Errors
    /// Says which column is missing and what is like it, or that the numbers of columns differ.
    pub fn find_in(&self, columns: &[String], named: bool) -> Result<Vec<usize>, String> {
        if named {
            if let Some(indices) = self.by_name(columns) {
                return Ok(indices);
            }
            if self.named {
                return Err(self.missing_from(columns));
            }
        } else if columns.len() == self.names.len()
            && let Some(indices) = self.by_name(columns)
        {
            return Ok(indices);
        }
        match columns.len() == self.names.len() {
            true => Ok((0..columns.len()).collect()),
            false => Err(format!(
                "the table has {} columns; {} {}: {}",
                columns.len(),
                self.owner,
                self.names.len(),
                list(&self.names)
            )),
        }
    }

    fn missing_from(&self, columns: &[String]) -> String {
        let mut names = self.names.iter();
        let missing = names.find(|name| !columns.contains(name));
        let missing = missing.unwrap_or(&self.names[0]);
        format!(
            "the table has no column {}{}; it has {}, and {} {}; rename the table's columns",
            quote(missing),
            nearest(missing, columns),
            list(columns),
            self.owner,
            list(&self.names)
        )
    }
}

/// Whether a column may have text, whose values are categories then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Categories {
    Never,
    /// If all in it is text.
    OfTextAlone,
    /// If there is text in it.
    OfText,
    /// Whatever is in it.
    Always,
}

/// The columns of a file that are read.
#[derive(Debug, PartialEq)]
pub(super) struct Selection {
    /// Their indices, in the order in which they are read.
    pub columns: Vec<usize>,
    /// Which of them may have text.
    pub categories: Vec<Categories>,
    /// Columns of row labels, which are left out unless they are asked for.
    pub row_labels: Vec<usize>,
}

impl TableOptions {
    /// The indices of the columns that [`TableOptions::columns`] and [`TableOptions::exclude`] choose among these.
    ///
    /// # Errors
    /// [`Error::Spec`] names what is not there, and what is like it.
    pub fn selected(&self, columns: &[String]) -> Result<Vec<usize>> {
        let mut selected = Vec::new();
        for said in &self.columns {
            for index in said_columns("columns", said, columns)? {
                if selected.contains(&index) {
                    return Err(Error::Spec(Message::about(
                        "columns",
                        truncate_escaped(said),
                        format!("{} is there already", column_label(index, columns)),
                    )));
                }
                selected.push(index);
            }
        }
        if self.columns.is_empty() {
            selected.extend(0..columns.len());
        }
        for said in &self.exclude {
            let out = said_columns("exclude", said, columns)?;
            selected.retain(|index| !out.contains(index));
        }
        Ok(selected)
    }

    /// The indices of the columns of context that `given` selects among these, in its order.
    ///
    /// # Errors
    /// As [`TableOptions::selected`].
    pub(crate) fn given(given: &[String], columns: &[String]) -> Result<Vec<usize>> {
        select_columns("given", given, columns)
    }

    /// The index of the column of weights.
    ///
    /// # Errors
    /// As [`TableOptions::selected`]; [`Error::Spec`] for several columns.
    pub(crate) fn weights(said: &str, columns: &[String]) -> Result<usize> {
        Self::column("weights", said, columns)
    }

    /// The index of the one column that a setting selects.
    ///
    /// # Errors
    /// As [`TableOptions::weights`].
    pub(crate) fn column(key: &'static str, said: &str, columns: &[String]) -> Result<usize> {
        let indices = said_columns(key, said, columns)?;
        match indices.start() == indices.end() {
            true => Ok(*indices.start()),
            false => Err(Error::Spec(Message::about(
                key,
                truncate_escaped(said),
                "several columns, where one column is meant: a row has one weight, and a column one kind",
            ))),
        }
    }

    /// The columns to read of a file: those of the model, if there is one, or those that were chosen. `is_row_label`
    /// says of a column by its index whether the format knows that it labels the rows.
    ///
    /// # Errors
    /// As [`TableOptions::selected`]; [`Error::Data`] where a model's columns are not there.
    pub(super) fn select(
        &self,
        file: &str,
        all: &[String],
        named: bool,
        is_row_label: impl Fn(usize) -> bool,
    ) -> Result<Selection> {
        let weights = match &self.weights {
            None => None,
            Some(said) => Some(Self::weights(said, all)?),
        };
        let mut selected = self.selected(all)?;
        for index in Self::given(&self.given, all)? {
            if !selected.contains(&index) {
                selected.push(index);
            }
        }
        selected.retain(|index| Some(*index) != weights);
        let names = |selected: &[usize]| -> Vec<String> {
            selected.iter().map(|&j| all[j].clone()).collect()
        };
        let by_name = match &self.expected {
            Some(expected) if named => expected.by_name(&names(&selected)),
            _ => None,
        };
        let mut row_labels = Vec::new();
        if by_name.is_none() && named && self.columns.is_empty() {
            let is_label = |j: &usize| is_row_label(*j) || is_label_of_pandas(*j, &all[*j]);
            row_labels = selected.iter().copied().filter(is_label).collect();
            selected.retain(|j| !row_labels.contains(j));
        }
        let bad = |message: Message| {
            Error::Data(
                message
                    .prefixed(format_args!("{file}: "))
                    .in_file(file.as_ref()),
            )
        };
        let mut chosen = match &self.expected {
            None => selected.clone(),
            Some(expected) => {
                let found = match by_name {
                    Some(found) => found,
                    None => expected
                        .find_in(&names(&selected), named)
                        .map_err(|it| bad(it.into()))?,
                };
                found.into_iter().map(|offset| selected[offset]).collect()
            }
        };
        for &i in &chosen {
            // Either of the two could be meant.
            if let Some(&j) = selected.iter().find(|&&j| j != i && all[j] == all[i]) {
                let (first, second) = (i.min(j) + 1, i.max(j) + 1);
                let text = format!(
                    "columns {first} and {second} are both named {}",
                    quote(&all[i])
                );
                return Err(bad(Message::new(text)
                    .remedy(Remedy::by_hand("rename one"))
                    .remedy(Remedy::new("leave one out", "exclude", second))));
            }
        }
        if let Some(index) = weights {
            if chosen.contains(&index) {
                let label = column_label(index, all);
                return Err(bad(Message::new(format!(
                    "{label} cannot be both the weight and a column of the model"
                ))));
            }
            chosen.push(index);
        }
        let given = Self::given(&self.given, all)?;
        let said = select_columns("column", &self.categories, all)?;
        let categories = chosen.iter().enumerate().map(|(k, j)| {
            let expected = self.expected.as_ref();
            match expected.and_then(|expected| expected.levels(k)) {
                Some(_) => Categories::Always,
                None if said.contains(j) => Categories::Always,
                None if given.contains(j) => Categories::OfText,
                None if self.takes_text && expected.is_none() && Some(*j) != weights => {
                    Categories::OfTextAlone
                }
                None => Categories::Never,
            }
        });
        Ok(Selection {
            categories: categories.collect(),
            columns: chosen,
            row_labels,
        })
    }
}

/// Whether pandas, or R, named a column so that holds the labels of the rows.
fn is_label_of_pandas(index: usize, name: &str) -> bool {
    let is_numbered = |prefix: &str, suffix: &str| {
        let number = name.strip_prefix(prefix);
        let number = number.and_then(|rest| rest.strip_suffix(suffix));
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    (index == 0 && name.trim().is_empty())
        || is_numbered("Unnamed: ", "")
        || is_numbered("__index_level_", "__")
}

/// The indices of the columns that names, numbers and ranges select, each once; `key` is the setting that does.
pub(super) fn select_columns(
    key: &'static str,
    all_said: &[String],
    columns: &[String],
) -> Result<Vec<usize>> {
    let mut selected = Vec::new();
    for said in all_said {
        for index in said_columns(key, said, columns)? {
            if !selected.contains(&index) {
                selected.push(index);
            }
        }
    }
    Ok(selected)
}

/// The columns that a name, a number or a range says.
fn said_columns(
    key: &'static str,
    said: &str,
    columns: &[String],
) -> Result<RangeInclusive<usize>> {
    let find = |name: &str| find_column(name, columns);
    if let Some(index) = find(said) {
        return Ok(index..=index);
    }
    let range = said
        .split_once("..")
        .and_then(|(first, last)| find(first.trim()).zip(find(last.trim())));
    let text = match range {
        Some((first, last)) if first <= last => return Ok(first..=last),
        Some(_) => "the first column of the range comes after the last".into(),
        None => format!(
            "the table has no such column{}; it has {}",
            nearest(said, columns),
            list(columns)
        ),
    };
    let said = truncate_escaped(said);
    Err(Error::Spec(Message::about(key, said, text)))
}

/// The index of the column of this name, or else of this number, from 1 on.
fn find_column(said: &str, columns: &[String]) -> Option<usize> {
    let index = columns.iter().position(|column| column == said);
    let number = said.parse().ok();
    let number = number.filter(|number| (1..=columns.len()).contains(number));
    index.or(number.map(|number| number - 1))
}

/// What `exclude` or `columns` takes to mean one column, as a shell takes it: its name, or its number where the
/// name has a comma in it or is empty.
pub(crate) fn selector(index: usize, columns: &[String]) -> String {
    let name = &columns[index];
    let can_be_said = !name.is_empty()
        && !name.contains(',')
        && !name.starts_with('-')
        && !name.contains(char::is_control)
        && find_column(name, columns) == Some(index);
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+".contains(c);
    match can_be_said {
        true if name.chars().all(is_plain) => name.clone(),
        true => format!("'{}'", name.replace('\'', "'\\''")),
        false => (index + 1).to_string(),
    }
}

/// The name that is most like `said`, if one is much like it, as the end of a sentence.
pub(crate) fn nearest(said: &str, names: &[String]) -> String {
    let like = |name: &&String| strsim::jaro_winkler(&said.to_lowercase(), &name.to_lowercase());
    let best = names
        .iter()
        .max_by(|a, b| like(a).total_cmp(&like(b)))
        .filter(|name| like(name) > 0.8);
    best.map_or_else(String::new, |name| {
        format!(" (did you mean {}?)", quote(name))
    })
}

/// Whether columns of these names are named as columns without names are.
pub(crate) fn are_default_names(names: &[String]) -> bool {
    names == default_names(names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split('|').map(String::from).collect()
    }

    fn model(text: &str, named: bool) -> ExpectedColumns {
        ExpectedColumns::of_model(&names(text), named)
    }

    #[test]
    fn columns_with_names_on_both_sides_never_match_by_position() {
        for all in ["x0|x1", "a|b", "0|1", "2019|2020"] {
            let model = model(all, true);
            let (first, second) = all.split_once('|').unwrap();
            let find = |text: &str| model.find_in(&names(text), true);
            assert_eq!(find(all), Ok(vec![0, 1]));
            assert_eq!(find(&format!("{second}|{first}")), Ok(vec![1, 0]));
            assert_eq!(find(&format!("id|{second}|{first}")), Ok(vec![2, 1]));
            let message = find("height|weight").unwrap_err();
            assert!(message.contains(&format!("\"{first}\"")), "{message}");
            assert!(find(&format!("{first}|weight")).is_err());
        }
    }

    #[test]
    fn a_side_without_names_matches_by_position() {
        for (table, named) in [("x0|x1", false), ("height|weight", true)] {
            let found = model("x0|x1", false).find_in(&names(table), named);
            assert_eq!(found, Ok(vec![0, 1]), "{table}");
        }
        assert_eq!(
            model("a|b", true).find_in(&names("x0|x1"), false),
            Ok(vec![0, 1])
        );
        // Those of a model that was given its columns in another order.
        let found = model("x2|x0|x1", false).find_in(&names("x0|x1|x2"), false);
        assert_eq!(found, Ok(vec![2, 0, 1]));
        // By name wherever it can be: what couplet wrote has the names that it gave.
        let found = model("x0|x1", false).find_in(&names("n|x1|x0"), true);
        assert_eq!(found, Ok(vec![2, 1]));
        let message = model("a|b", true).find_in(&names("x0|x1|x2"), false);
        assert!(message.unwrap_err().contains("3 columns"));
    }

    #[test]
    fn blanks_around_a_name_do_not_count_where_nothing_else_matches() {
        let find = |text: &str| model(" a|b", true).find_in(&names(text), true);
        assert_eq!(find("b|a"), Ok(vec![1, 0]));
        assert_eq!(find("a| a|b"), Ok(vec![1, 2]));
        // Two of the model's columns are not one of the table's.
        assert!(model("a| a", true).find_in(&names("a|b"), true).is_err());
    }

    #[test]
    fn row_labels_are_left_out_unless_they_are_asked_for() {
        let select = |text: &str, options: TableOptions| {
            let selection = options.select("t", &names(text), true, |j| j == 3);
            let selection = selection.unwrap();
            (selection.columns, selection.row_labels)
        };
        let all = TableOptions::default;
        assert_eq!(select("|a|b", all()), (vec![1, 2], vec![0]));
        assert_eq!(select("a||b", all()), (vec![0, 1, 2], Vec::new()));
        assert_eq!(select("Unnamed: 0|a|b", all()), (vec![1, 2], vec![0]));
        assert_eq!(select("a|b|__index_level_0__", all()).1, [2]);
        assert_eq!(select("a|b|c|time", all()).1, [3]);
        assert_eq!(select("Unnamed: x|a|b", all()).1, [0; 0]);
        let asked = TableOptions {
            columns: names("Unnamed: 0|a"),
            ..all()
        };
        assert_eq!(select("Unnamed: 0|a|b", asked), (vec![0, 1], Vec::new()));
        let twice = TableOptions {
            expected: Some(model("a|b", true)),
            ..all()
        };
        let error = twice.select("t", &names("b|a|id|a"), true, |_| false);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("columns 2 and 4") && error.contains("exclude = 4"),
            "{error}"
        );
        let once = TableOptions {
            exclude: names("4"),
            expected: Some(model("a|b", true)),
            ..all()
        };
        assert_eq!(select("b|a|id|a", once).0, [1, 0]);
        let known = TableOptions {
            expected: Some(model("a|", true)),
            ..all()
        };
        assert_eq!(select("|a|b", known), (vec![1, 0], Vec::new()));
    }

    /// What a message tells the user to say means the column that it speaks of.
    #[test]
    fn a_selector_means_its_column() {
        let columns = names("a|b,c||x y|1|-d");
        for index in 0..columns.len() {
            let said = selector(index, &columns);
            let said = said.trim_matches('\'');
            let found = said_columns("--exclude", said, &columns);
            assert_eq!(found.unwrap(), index..=index, "{said}");
        }
    }
}
