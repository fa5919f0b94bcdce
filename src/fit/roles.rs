use std::borrow::Cow;
use std::path::Path;

use crate::data::{Table, TableOptions};
use crate::error::{Error, Message, Remedy, Result};
use crate::matrix::Matrix;
use crate::model::{Model, ModelFileKind};
use crate::preprocessing::ContextColumn;

/// A table's rows as a fit takes them: the modelled columns, then the context.
#[derive(Clone, Debug)]
pub(super) struct Roles<'t> {
    pub rows: Cow<'t, Matrix<f64>>,
    /// The names of the modelled columns.
    pub columns: Vec<String>,
    /// Whether they come from the table.
    pub named: bool,
    pub context: Vec<ContextColumn>,
}

impl<'t> Roles<'t> {
    /// The columns that `given` selects are context, the others are modelled. A model that training starts from has chosen its own.
    ///
    /// # Errors
    /// [`Error::Spec`] where `given` selects what is not there, everything, or other columns than the model was given;
    /// [`Error::Data`] where the model's columns are not there.
    pub fn of(
        table: &'t Table,
        given: &[String],
        start: Option<(&Path, &ModelFileKind)>,
    ) -> Result<Self> {
        if let Some((path, ModelFileKind::Model(model))) = start {
            return Self::of_model(table, given, model, path);
        }
        let context = TableOptions::given(given, &table.columns)?;
        if context.is_empty() {
            return Ok(Roles {
                rows: Cow::Borrowed(&table.values),
                columns: table.columns.clone(),
                named: table.named,
                context: Vec::new(),
            });
        }
        let modelled: Vec<usize> = (0..table.columns.len())
            .filter(|j| !context.contains(j))
            .collect();
        if modelled.is_empty() {
            let text = "every column of the table is given, and none is left to model";
            return Err(Error::Spec(Message::about("given", given.join(","), text)));
        }
        let name = |&j: &usize| table.columns[j].clone();
        let all: Vec<usize> = modelled.iter().chain(&context).copied().collect();
        let context = context.iter().map(|j| ContextColumn { name: name(j) });
        Ok(Roles {
            rows: Cow::Owned(in_order(&table.values, &all)),
            columns: modelled.iter().map(name).collect(),
            named: table.named,
            context: context.collect(),
        })
    }

    fn of_model(table: &'t Table, given: &[String], model: &Model, path: &Path) -> Result<Self> {
        let context = model.preprocessing.context_columns();
        let names: Vec<&String> = context.iter().map(|column| &column.name).collect();
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
        let found = model
            .expected_columns()
            .find_in(&table.columns, table.named);
        let indices = found.map_err(|message| {
            let path = path.display();
            Error::data(format!("training cannot start from {path}: {message}"))
        })?;
        let is_in_order = indices.iter().copied().eq(0..table.values.columns());
        Ok(Roles {
            rows: match is_in_order {
                true => Cow::Borrowed(&table.values),
                false => Cow::Owned(in_order(&table.values, &indices)),
            },
            columns: model.columns.clone(),
            named: model.named,
            context: context.to_vec(),
        })
    }

    /// The modelled columns alone, as a table.
    pub fn modelled(&self) -> Table {
        Table {
            columns: self.columns.clone(),
            named: self.named,
            values: self.rows.select_columns(0..self.columns.len()),
            dropped: Default::default(),
            notes: Vec::new(),
        }
    }
}

fn in_order(values: &Matrix<f64>, columns: &[usize]) -> Matrix<f64> {
    let numbers = columns.iter().flat_map(|&j| values.column(j)).copied();
    Matrix::from_values(values.rows(), columns.len(), numbers.collect())
}
