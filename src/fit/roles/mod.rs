mod rows;

use std::borrow::Cow;
use std::path::Path;

use crate::config::DataOverrides;
use crate::data::{RowNumbers, Table, TableOptions};
use crate::error::{Error, Message, Remedy, Result, column_label};
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
    /// The numbers of the rows in the table, from 1 on, where they are a sample of it; none where they are all of it.
    numbers: Vec<u64>,
    /// Where each of their columns stands in the table; empty where that is their order.
    taken: Vec<usize>,
    /// Where the weights stand, and what they are divided by.
    weighted_by: Option<(usize, f64)>,
}

impl<'t> Roles<'t> {
    /// Of a table, or of the rows of these numbers in a table, where there are numbers.
    ///
    /// The column that `weights` selects has the weights of the rows, those that `given` selects are context, the others are
    /// modelled. A model that training starts from has chosen its own columns.
    ///
    /// # Errors
    /// [`Error::Spec`] where a setting selects what is not there, `given` everything, or other columns than the model was given;
    /// [`Error::Data`] where the model's columns are not there, for numbers that are none of their column's kind, and for weights that
    /// are negative or all zero.
    pub fn of(
        table: &'t Table,
        numbers: &[u64],
        settings: &DataOverrides,
        proposes: bool,
        start: Option<(&Path, &ModelFileKind)>,
    ) -> Result<Self> {
        let given = settings.given.as_deref().unwrap_or_default();
        let weights = match settings.weights.as_deref().unwrap_or_default() {
            "" => None,
            said => Some(TableOptions::weights(said, &table.columns)?),
        };
        let in_table = RowNumbers::listed(numbers);
        let (column, weighted_by) = match weights {
            None => (Vec::new(), None),
            Some(column) => {
                let weights = table.values.column(column);
                check_weights(weights, in_table, column_label(column, &table.columns))?;
                // Their sum must be a number.
                let largest = weights.iter().copied().fold(0.0, f64::max);
                if largest == 0.0 {
                    let label = column_label(column, &table.columns);
                    let text = format!("every weight is 0, in {label}: no row counts");
                    return Err(Error::Data(
                        Message::new(text).in_column(&table.columns[column]),
                    ));
                }
                let scaled = weights.iter().map(|w| w / largest).collect();
                (scaled, Some((column, largest)))
            }
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
            weighted_by,
            numbers: numbers.to_vec(),
            ..roles?
        };
        match start {
            Some((path, ModelFileKind::Model(model))) => {
                roles.kinds = model.preprocessing.kinds.clone();
                roles.check_kinds(table, said, path)?;
            }
            _ => roles.take_kinds(table, said, proposes)?,
        }
        check_levels(&roles.context, &roles.rows, in_table, roles.columns.len())?;
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
                numbers: Vec::new(),
                taken: Vec::new(),
                weighted_by: None,
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
            numbers: Vec::new(),
            taken: all,
            weighted_by: None,
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
            numbers: Vec::new(),
            taken: match is_in_order {
                true => Vec::new(),
                false => indices,
            },
            weighted_by: None,
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
                    kinds[j] = self.number_column(kind, j)?;
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
            kinds[j] = self.number_column(kind, j)?;
        }
        if kinds.iter().any(|it| it.kind != Kind::Real) {
            self.kinds = kinds;
        }
        Ok(())
    }

    /// Which rows of the table they are.
    pub fn in_table(&self) -> RowNumbers<'_> {
        RowNumbers::listed(&self.numbers)
    }

    fn number_column(&self, kind: Kind, column: usize) -> Result<NumberColumn> {
        let (numbers, name) = (self.rows.column(column), &self.columns[column]);
        NumberColumn::of(kind, numbers, self.in_table(), name).map_err(Error::Data)
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
        self.check_numbers(&self.rows, self.in_table())
    }
}

/// Refuses weights that are negative.
fn check_weights(weights: &[f64], rows: RowNumbers<'_>, label: String) -> Result<()> {
    let Some(index) = weights.iter().position(|w| *w < 0.0) else {
        return Ok(());
    };
    let text = format!(
        "row {}: the weight is {}, in {label}; weights must not be negative",
        rows.of(index),
        weights[index]
    );
    Err(Error::Data(Message::new(text).at_row(rows.of(index))))
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
