use std::borrow::Cow;
use std::path::Path;

use crate::config::{Config, DataOverrides};
use crate::data::{Repeats, Split, Table, TableOptions, effective_sample_size, selector, take};
use crate::error::{Error, Message, Remedy, Result, column_label, list, quote};
use crate::fit::quality::{QualityKind, QualityWarning, quality_warnings};
use crate::frequencies::Frequencies;
use crate::kinds::{ColumnKind, Kind, NumberColumn, is_one_whole_number};
use crate::matrix::Matrix;
use crate::model::{Model, ModelFileKind};
use crate::preprocessing::{ContextColumn, check_levels};

/// A table's rows as a fit takes them: the modelled columns, then the context.
#[derive(Clone, Debug)]
pub(super) struct Roles<'t> {
    pub rows: Cow<'t, Matrix<f64>>,
    /// The names of the modelled columns.
    pub columns: Vec<String>,
    /// Whether they come from the table.
    pub named: bool,
    /// What the modelled columns hold; none where all are real.
    pub kinds: Vec<NumberColumn>,
    /// The columns whose kind nothing said but their numbers.
    pub proposed: Vec<usize>,
    /// Columns that are left out, since all rows have the same whole number: their names and these numbers.
    pub constant: Vec<(String, f64)>,
    pub context: Vec<ContextColumn>,
    /// How many columns of the context are modelled ones of categories: its first.
    pub categories: usize,
    /// Where each modelled column stands among those of the table, the columns of numbers first; empty where that is their order.
    pub order: Vec<usize>,
    /// The weight of each row; none where all count the same. A row of weight 0 is neither trained on nor held out.
    pub weights: Vec<f64>,
}

impl<'t> Roles<'t> {
    /// The column that `weights` selects has the weights of the rows, those that `given` selects are context, the others are
    /// modelled. A model that training starts from has chosen its own columns.
    ///
    /// # Errors
    /// [`Error::Spec`] where a setting selects what is not there, `given` everything, or other columns than the model was given;
    /// [`Error::Data`] where the model's columns are not there, for numbers that are none of their column's kind, and for weights that
    /// are negative or all zero.
    pub fn of(
        table: &'t Table,
        settings: &DataOverrides,
        proposes: bool,
        start: Option<(&Path, &ModelFileKind)>,
    ) -> Result<Self> {
        let given = settings.given.as_deref().unwrap_or_default();
        let weights = match settings.weights.as_deref().unwrap_or_default() {
            "" => None,
            said => Some(TableOptions::weights(said, &table.columns)?),
        };
        let column = match weights {
            None => Vec::new(),
            Some(column) => checked_weights(table, column)?,
        };
        let said = settings.columns.as_deref().unwrap_or_default();
        let roles = match start {
            Some((path, ModelFileKind::Model(model))) => {
                Self::of_model(table, given, weights, model, path)
            }
            _ => {
                let constant = match proposes && table.named {
                    true => constant(table, &Self::said_kinds(table, said)?),
                    false => Vec::new(),
                };
                Self::chosen(table, given, weights, &constant)
            }
        };
        let mut roles = Roles {
            weights: column,
            ..roles?
        };
        match start {
            Some((path, ModelFileKind::Model(model))) => {
                roles.kinds = model.preprocessing.kinds.clone();
                roles.check_kinds(table, said, path)?;
            }
            _ => roles.take_kinds(table, said, proposes)?,
        }
        check_levels(&roles.context, &roles.rows, roles.columns.len())?;
        Ok(roles)
    }

    /// Those that the settings choose. Of these columns that are `constant` none is modelled, where there are others.
    fn chosen(
        table: &'t Table,
        given: &[String],
        weights: Option<usize>,
        constant: &[usize],
    ) -> Result<Self> {
        let context = TableOptions::given(given, &table.columns)?;
        if let Some(column) = weights
            && context.contains(&column)
        {
            let text = format!(
                "{} cannot be both the weight and context",
                column_label(column, &table.columns)
            );
            return Err(Error::Spec(Message::about("given", given.join(","), text)));
        }
        if context.is_empty()
            && weights.is_none()
            && constant.is_empty()
            && (0..table.columns.len()).all(|j| table.levels_of(j).is_empty())
        {
            return Ok(Roles {
                rows: Cow::Borrowed(&table.values),
                columns: table.columns.clone(),
                named: table.named,
                kinds: Vec::new(),
                proposed: Vec::new(),
                constant: Vec::new(),
                context: Vec::new(),
                categories: 0,
                order: Vec::new(),
                weights: Vec::new(),
            });
        }
        let mut modelled: Vec<usize> = (0..table.columns.len())
            .filter(|j| !context.contains(j) && Some(*j) != weights)
            .collect();
        if modelled.is_empty() {
            if context.is_empty() {
                let text =
                    "the only column of the table has the weights, and none is left to model";
                return Err(Error::data(text));
            }
            let text = "every column of the table is given, and none is left to model";
            return Err(Error::Spec(Message::about("given", given.join(","), text)));
        }
        let name = |&j: &usize| table.columns[j].clone();
        let has_levels = |j: &usize| !table.levels_of(*j).is_empty();
        let varies = |j: &usize| !constant.contains(j);
        let mut left_out = Vec::new();
        if modelled.iter().any(|j| !has_levels(j) && varies(j)) {
            let constant = modelled.iter().filter(|j| !varies(j));
            left_out = constant
                .map(|j| (name(j), table.values.get(0, *j)))
                .collect();
            modelled.retain(varies);
        }
        let (categories, numbers): (Vec<usize>, Vec<usize>) =
            modelled.iter().partition(|j| has_levels(j));
        if numbers.is_empty() {
            let text =
                "every column that is modelled holds categories, and a density is one of numbers";
            let names: Vec<String> = categories.iter().map(name).collect();
            let message = Message::new(text).in_column(&names[0]);
            return Err(Error::Data(
                message.remedy(Remedy::by_hand("take a column of numbers in")),
            ));
        }
        if let (Some(&j), Some(&given)) =
            (categories.first(), context.iter().find(|j| !has_levels(j)))
        {
            let text = format!(
                "{} holds categories, whose frequencies cannot be given numbers, as {} are",
                column_label(j, &table.columns),
                column_label(given, &table.columns)
            );
            let all: Vec<String> = context.iter().chain(&categories).map(name).collect();
            let message = Message::new(text).in_column(&table.columns[j]);
            return Err(Error::Data(
                message
                    .remedy(Remedy::new("take it as context", "given", all.join(",")))
                    .remedy(Remedy::new("leave it out", "exclude", name(&j))),
            ));
        }
        let in_flow = [&numbers[..], &categories].concat();
        let order: Vec<usize> = in_flow
            .iter()
            .filter_map(|j| modelled.iter().position(|other| other == j))
            .collect();
        let count = categories.len();
        let context = [categories, context].concat();
        let all = [&numbers[..], &context].concat();
        let context = context.iter().map(|j| ContextColumn {
            name: name(j),
            levels: table.levels_of(*j).to_vec(),
            period: None,
        });
        Ok(Roles {
            rows: Cow::Owned(in_order(&table.values, &all)),
            columns: numbers.iter().map(name).collect(),
            named: table.named,
            kinds: Vec::new(),
            proposed: Vec::new(),
            constant: left_out,
            context: context.collect(),
            categories: count,
            order: match order.is_sorted() {
                true => Vec::new(),
                false => order,
            },
            weights: Vec::new(),
        })
    }

    fn of_model(
        table: &'t Table,
        given: &[String],
        weights: Option<usize>,
        model: &Model,
        path: &Path,
    ) -> Result<Self> {
        let context = model.preprocessing.context_columns();
        let names: Vec<&String> = model.given().iter().map(|column| &column.name).collect();
        if !given.is_empty() {
            let chosen = TableOptions::given(given, &table.columns)?;
            let chosen: Vec<&String> = chosen.iter().map(|&j| &table.columns[j]).collect();
            if chosen != names {
                let names: Vec<String> = names.into_iter().cloned().collect();
                let text = format!(
                    "{} was trained given other columns: {}",
                    path.display(),
                    match names.is_empty() {
                        true => "none".into(),
                        false => names.join(", "),
                    }
                );
                return Err(Error::Spec(
                    Message::about("given", given.join(","), text)
                        .remedy(Remedy::by_hand("leave the setting out")),
                ));
            }
        }
        let others: Vec<usize> = (0..table.columns.len())
            .filter(|j| Some(*j) != weights)
            .collect();
        let columns: Vec<String> = others.iter().map(|&j| table.columns[j].clone()).collect();
        let found = model.expected_columns().find_in(&columns, table.named);
        let found = found.map(|found| -> Vec<usize> { found.iter().map(|&k| others[k]).collect() });
        let indices = found.map_err(|message| {
            let path = path.display();
            Error::data(format!("training cannot start from {path}: {message}"))
        })?;
        let all = model.row_levels();
        for (k, &j) in indices.iter().enumerate() {
            if table.levels_of(j) != all[k] {
                let text = format!(
                    "training cannot start from {}: {} has other levels there",
                    path.display(),
                    column_label(j, &table.columns)
                );
                return Err(Error::data(text));
            }
        }
        let is_in_order = indices.iter().copied().eq(0..table.values.columns());
        Ok(Roles {
            rows: match is_in_order {
                true => Cow::Borrowed(&table.values),
                false => Cow::Owned(in_order(&table.values, &indices)),
            },
            columns: model.columns.clone(),
            named: model.named,
            kinds: Vec::new(),
            proposed: Vec::new(),
            constant: Vec::new(),
            context: context.to_vec(),
            categories: model.categories().len(),
            order: model.order.clone(),
            weights: Vec::new(),
        })
    }

    /// The kinds of columns that are said, by the columns' indices in the table.
    pub fn said_kinds(table: &Table, said: &[ColumnKind]) -> Result<Vec<(usize, Kind)>> {
        let mut kinds: Vec<(usize, Kind)> = Vec::new();
        for it in said {
            let index = TableOptions::column("column", &it.column, &table.columns)?;
            if kinds.iter().any(|(other, _)| *other == index) {
                let text = format!(
                    "the kind of {} is said twice",
                    column_label(index, &table.columns)
                );
                return Err(Error::Spec(Message::about("column", it, text)));
            }
            kinds.push((index, it.kind));
        }
        Ok(kinds)
    }

    /// Has the modelled columns be of the kinds that are said, and others perhaps of the kind that their numbers are.
    fn take_kinds(&mut self, table: &Table, said: &[ColumnKind], proposes: bool) -> Result<()> {
        let said = Self::said_kinds(table, said)?;
        let mut kinds = vec![NumberColumn::default(); self.columns.len()];
        if proposes {
            let is_said = |name: &String| {
                let mut said = said.iter();
                said.any(|(index, _)| table.columns[*index] == *name)
            };
            for (j, name) in self.columns.iter().enumerate() {
                let kind = match is_said(name) {
                    true => Kind::Real,
                    false => Kind::proposed(self.rows.column(j)),
                };
                if kind != Kind::Real {
                    let numbers = self.rows.column(j);
                    kinds[j] = NumberColumn::of(kind, numbers, name).map_err(Error::Data)?;
                    self.proposed.push(j);
                }
            }
        }
        for (index, kind) in said {
            let name = &table.columns[index];
            let has_levels = !table.levels_of(index).is_empty();
            if has_levels != (kind == Kind::Categorical) {
                let text = "it holds text, whose levels are categories";
                let said = format!("{name}={kind}");
                return Err(Error::Spec(Message::about("column", said, text)));
            }
            if has_levels {
                continue;
            }
            if let Some(given) = self.context.iter_mut().find(|it| it.name == *name) {
                match kind {
                    Kind::Real => {}
                    Kind::Circular { period } => given.period = Some(period),
                    _ => {
                        let text = "what is given is categorical, circular or taken as it is";
                        let said = format!("{name}={kind}");
                        return Err(Error::Spec(Message::about("column", said, text)));
                    }
                }
                continue;
            }
            let Some(j) = self.columns.iter().position(|column| column == name) else {
                let text = "a column of weights is of no kind";
                let said = format!("{name}={kind}");
                return Err(Error::Spec(Message::about("column", said, text)));
            };
            let numbers = self.rows.column(j);
            kinds[j] = NumberColumn::of(kind, numbers, name).map_err(Error::Data)?;
        }
        if kinds.iter().any(|it| it.kind != Kind::Real) {
            self.kinds = kinds;
        }
        Ok(())
    }

    /// Checks rows against the kinds that a model's columns have, and what is said against those.
    fn check_kinds(&self, table: &Table, said: &[ColumnKind], path: &Path) -> Result<()> {
        for (index, kind) in Self::said_kinds(table, said)? {
            let j = self
                .columns
                .iter()
                .position(|it| *it == table.columns[index]);
            let of_number = |j: usize| self.kinds.get(j).map_or(Kind::Real, |it| it.kind);
            let name = &table.columns[index];
            let of_context = self.context.iter().find(|it| it.name == *name);
            let has = match (j, of_context) {
                (Some(j), _) => of_number(j),
                (None, Some(it)) if !it.levels.is_empty() => Kind::Categorical,
                (None, Some(it)) => it
                    .period
                    .map_or(Kind::Real, |period| Kind::Circular { period }),
                (None, None) => Kind::Real,
            };
            if has != kind {
                let text = format!("it is {has} in {}", path.display());
                let said = format!("{}={kind}", table.columns[index]);
                return Err(Error::Spec(
                    Message::about("column", said, text)
                        .remedy(Remedy::by_hand("leave the setting out")),
                ));
            }
        }
        for (j, column) in self.kinds.iter().enumerate() {
            let numbers = self.rows.column(j);
            column
                .check(numbers, &self.columns[j])
                .map_err(Error::Data)?;
        }
        Ok(())
    }

    /// Whether all of the modelled columns hold numbers that are apart from one another: equal rows are no copies then.
    fn is_discrete(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.iter().all(NumberColumn::is_discrete)
    }

    /// The rows as flows are fitted to them: real numbers that become those of the table. Equal rows have the same ones, unless they
    /// may be equal without being copies.
    pub fn preimages(&self, repeats: &Repeats, seed: u64) -> Cow<'_, Matrix<f64>> {
        if self.kinds.is_empty() {
            return Cow::Borrowed(&self.rows);
        }
        // Of the rows that count, where others do not.
        let kept = self.kept();
        let mut of_copy: Vec<u64> = (0..self.rows.rows() as u64).collect();
        if !self.is_discrete() {
            for k in 0..repeats.rows() as u32 {
                let row = |k: u32| kept.as_ref().map_or(k, |kept| kept[k as usize]);
                of_copy[row(k) as usize] = row(repeats.first(k)).into();
            }
        }
        Cow::Owned(Matrix::from_fn(
            self.rows.rows(),
            self.rows.columns(),
            |row, j| {
                let x = self.rows.get(row, j);
                let column = self.kinds.get(j);
                column.map_or(x, |it| it.random_preimage(x, seed, of_copy[row], j))
            },
        ))
    }

    /// The frequencies of the levels in some rows, where columns of categories are modelled.
    pub fn frequencies(&self, rows: &[u32], weights: &[f64]) -> Option<Frequencies> {
        let levels = self.context.iter().map(|column| column.levels.len());
        (self.categories > 0).then(|| {
            let all = self.rows.columns();
            let context = self.rows.select_columns(self.columns.len()..all);
            let rows = take(&context, rows);
            Frequencies::fit(&rows, levels.collect(), self.categories, weights)
        })
    }

    /// The rows that count, by their numbers.
    fn kept(&self) -> Option<Vec<u32>> {
        let weights = self.weights.iter().zip(0..);
        let kept: Vec<u32> = weights
            .filter(|(w, _)| **w > 0.0)
            .map(|(_, row)| row)
            .collect();
        (kept.len() < self.weights.len()).then_some(kept)
    }

    /// Which of the rows that count are equal.
    pub fn repeats(&self) -> Repeats {
        let rows = match self.kept() {
            None => Cow::Borrowed(&*self.rows),
            Some(kept) => Cow::Owned(take(&self.rows, &kept)),
        };
        if self.is_discrete() {
            return Repeats::none(rows.rows());
        }
        let repeats = Repeats::of(&rows);
        if self.categories > 0 || !self.kinds.is_empty() {
            let is_real = |j: &usize| self.kinds.get(*j).is_none_or(|it| !it.is_discrete());
            let real: Vec<usize> = (0..self.columns.len()).filter(is_real).collect();
            let of_real = Repeats::of(&in_order(&rows, &real));
            // Numbers that repeat without the rest of their rows are rounded, and equal rows no copies.
            if of_real.worth() < of_real.rows()
                && of_real.distinct() as f64 * ROUNDED < repeats.distinct() as f64
            {
                return Repeats::none(rows.rows());
            }
        }
        repeats
    }

    /// How many rows they are worth; `repeats` has those that are equal.
    pub fn worth(&self, repeats: &Repeats) -> usize {
        if self.weights.is_empty() {
            return repeats.worth();
        }
        let fraction = effective_sample_size(&self.weights) / repeats.rows() as f64;
        (fraction * repeats.worth() as f64).round() as usize
    }

    /// Which rows are trained on and which are held out, by their numbers in the table; `repeats` has those that are equal.
    pub fn split(&self, repeats: &Repeats, config: &Config) -> Split {
        let mut split = Split::new(repeats, config.held_out(), config.train.seed);
        if let Some(kept) = self.kept() {
            for row in split.training.iter_mut().chain(&mut split.held_out) {
                *row = kept[*row as usize];
            }
        }
        split
    }

    /// What the modelled columns hold that nothing has said, a sentence each.
    pub fn notes(&self) -> Vec<Message> {
        let of_numbers = self.proposed.iter().map(|&j| {
            let (name, kind) = (&self.columns[j], &self.kinds[j]);
            let other = format!("{}=real", selector(j, &self.columns));
            Message::new(format!("{} holds {}", quote(name), kind.all_of_them()))
                .remedy(Remedy::new("take them for any numbers", "column", other))
                .in_column(name)
        });
        let of_levels = self.context[..self.categories].iter().map(|column| {
            let text = format!(
                "{} holds {} categories, {}",
                quote(&column.name),
                column.levels.len(),
                list(&column.levels)
            );
            Message::new(text)
                .remedy(Remedy::new("take them as context", "given", &column.name))
                .in_column(&column.name)
        });
        let constant = self.constant.iter().map(|(name, number)| {
            let text = format!("{} is {number} in every row, and is left out", quote(name));
            Message::new(text).in_column(name)
        });
        constant.chain(of_numbers).chain(of_levels).collect()
    }

    /// The modelled columns of numbers of the rows that count, as a table: those of separate numbers, or the others.
    fn numbers(&self, is_discrete: bool) -> Table {
        let is_it = |j: &usize| {
            let kind = self.kinds.get(*j);
            kind.is_some_and(NumberColumn::is_discrete) == is_discrete
        };
        let columns: Vec<usize> = (0..self.columns.len()).filter(is_it).collect();
        let values = in_order(&self.rows, &columns);
        Table {
            levels: vec![Vec::new(); columns.len()],
            columns: columns.iter().map(|&j| self.columns[j].clone()).collect(),
            named: self.named,
            values: match self.kept() {
                None => values,
                Some(kept) => take(&values, &kept),
            },
            dropped: Default::default(),
            notes: Vec::new(),
        }
    }

    /// What in the columns speaks against fitting a density to them.
    pub fn quality_warnings(&self, repeats: &Repeats) -> Vec<QualityWarning> {
        let real = self.numbers(false);
        let is_whole = self.context.is_empty() && self.weights.is_empty();
        let mut found = match is_whole || self.categories > 0 || !self.kinds.is_empty() {
            // Rows that differ in other columns are no copies.
            true => quality_warnings(&real, repeats),
            false => quality_warnings(&real, &Repeats::of(&real.values)),
        };
        let discrete = self.numbers(true);
        let none = Repeats::none(discrete.values.rows());
        let of_discrete = quality_warnings(&discrete, &none).into_iter();
        // They may repeat, and follow from one another.
        let counts =
            |it: &QualityWarning| matches!(it.kind, QualityKind::RowIndex | QualityKind::FarValue);
        found.extend(of_discrete.filter(counts));
        found
    }
}

/// How many times as many rows must differ as real numbers do for these to count as rounded.
const ROUNDED: f64 = 1.2;

/// The weights in a column.
fn checked_weights(table: &Table, column: usize) -> Result<Vec<f64>> {
    let weights = table.values.column(column);
    let label = column_label(column, &table.columns);
    let bad = |text: String| Error::Data(Message::new(text).in_column(&table.columns[column]));
    if let Some(row) = weights.iter().position(|w| *w < 0.0) {
        let text = format!(
            "row {}: the weight is {}, in {label}; weights must not be negative",
            row + 1,
            weights[row]
        );
        return Err(bad(text));
    }
    if weights.iter().all(|w| *w == 0.0) {
        return Err(bad(format!("every weight is 0, in {label}: no row counts")));
    }
    // Their sum must be a number.
    let largest = weights.iter().copied().fold(0.0, f64::max);
    Ok(weights.iter().map(|w| w / largest).collect())
}

/// The columns of numbers with the same whole number in all rows, but for those whose kind is said.
fn constant(table: &Table, said: &[(usize, Kind)]) -> Vec<usize> {
    let columns = 0..table.columns.len();
    let is_constant = |j: &usize| {
        table.levels_of(*j).is_empty()
            && said.iter().all(|(other, _)| other != j)
            && is_one_whole_number(table.values.column(*j))
    };
    columns.filter(is_constant).collect()
}

fn in_order(values: &Matrix<f64>, columns: &[usize]) -> Matrix<f64> {
    let numbers = columns.iter().flat_map(|&j| values.column(j)).copied();
    Matrix::from_values(values.rows(), columns.len(), numbers.collect())
}
