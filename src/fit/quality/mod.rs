//! Data-quality warnings: properties of a table for which a density is not a good model.

mod column;
mod relation;
mod surface;

use crate::data::{Repeats, RowNumbers, Table};
use crate::error::{Message, Remedy, column_label};
use crate::matrix::Matrix;

/// Something in a table that speaks against fitting a density to it. A flow puts higher and higher density on such points, as
/// far as its bounds let it.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityWarning {
    /// What it is.
    pub kind: QualityKind,
    /// What is wrong, where, and what to do.
    pub message: Message,
}

/// Kinds of [`QualityWarning`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QualityKind {
    /// A column counts the rows.
    RowIndex,
    /// A column is nearly constant.
    NearlyConstant,
    /// A column has one number more often than a density would.
    RepeatedNumber,
    /// A column takes levels: whole numbers, hours, classes.
    Discrete,
    /// A column has a value far from all others.
    FarValue,
    /// A column is a linear combination of others.
    Relation,
    /// The rows lie on a curve or a surface.
    Surface,
    /// Rows are equal to others.
    RepeatedRows,
}

impl QualityKind {
    /// Whether there is no density where it is so, and the NLL of a fit may be as low as one likes. A surface may have a
    /// width that its rows are too few to show.
    pub fn has_no_density(self) -> bool {
        use QualityKind::*;
        match self {
            NearlyConstant | RepeatedNumber | Discrete | Relation => true,
            RowIndex | FarValue | RepeatedRows | Surface => false,
        }
    }
}

impl QualityWarning {
    fn new(kind: QualityKind, message: impl Into<Message>) -> Self {
        QualityWarning {
            kind,
            message: message.into(),
        }
    }
}

/// Warnings of one kind; more columns than that say nothing new.
const MAX_COLUMNS: usize = 8;

/// What in a table speaks against fitting a density to it: columns that count the rows, are nearly constant, repeat one number, take levels, or have one value far from all others; rows that repeat;
/// columns that follow from others, and rows on a surface. `repeats` says which rows are equal.
pub fn quality_warnings(table: &Table, repeats: &Repeats) -> Vec<QualityWarning> {
    warnings_of_rows(table, RowNumbers::All, repeats)
}

/// The same of some rows of a table.
pub(crate) fn warnings_of_rows(
    table: &Table,
    numbers: RowNumbers<'_>,
    repeats: &Repeats,
) -> Vec<QualityWarning> {
    let (values, names) = (&table.values, &table.columns);
    let mut found = Vec::new();
    if names.is_empty() {
        return found;
    }
    let mut columns = Vec::new();
    // Columns that vary continuously, and do not number the rows: a series of numbers is a curve over those.
    let mut continuous = Vec::new();
    // Copies of whole rows make levels of numbers that vary; of a single column they are those numbers.
    let is_copied = values.columns() > 1 && repeats.worth() < repeats.rows();
    let firsts: Vec<u32> = (0..values.rows() as u32)
        .filter(|&row| repeats.is_first(row))
        .collect();
    for j in 0..values.columns() {
        let column = values.column(j);
        let warnings = match is_copied {
            false => column::warnings(column, numbers, column, j, names),
            true => {
                let distinct = firsts.iter().map(|&row| column[row as usize]);
                column::warnings(column, numbers, &distinct.collect::<Vec<f64>>(), j, names)
            }
        };
        let is_apart = |kind: QualityKind| kind.has_no_density() || kind == QualityKind::RowIndex;
        if !warnings.iter().any(|warning| is_apart(warning.kind)) {
            continuous.push(j);
        }
        columns.extend(warnings.into_iter().map(|warning| {
            QualityWarning {
                message: warning
                    .message
                    .prefixed(format_args!("{} ", column_label(j, names)))
                    .in_column(&names[j]),
                ..warning
            }
        }));
    }
    let more = columns.split_off(columns.len().min(MAX_COLUMNS));
    found.extend(columns);
    let mut kinds: Vec<QualityKind> = more.iter().map(|warning| warning.kind).collect();
    kinds.sort_by_key(|kind| !kind.has_no_density());
    if let Some(&worst) = kinds.first() {
        let message = format!("and {} more such things about columns", more.len());
        found.push(QualityWarning::new(worst, message));
    }
    found.extend(repeated_rows(repeats));
    let relations = relation::relations(table).into_iter();
    let relations = relations.map(|message| QualityWarning::new(QualityKind::Relation, message));
    let mut relations: Vec<QualityWarning> = relations.collect();
    if relations.is_empty() && surface::is_on_surface(&columns_of(values, &continuous)) {
        relations.push(QualityWarning::new(
            QualityKind::Surface,
            Message::new(
                "the rows seem to lie on a curve or a surface, as where a column is computed from others: the density has no \
                 width there, and the NLL may fall without end",
            )
            .remedy(Remedy::with("leave out the columns that follow from others", "exclude")),
        ));
    }
    found.extend(relations);
    found
}

fn columns_of(values: &Matrix<f64>, columns: &[usize]) -> Matrix<f64> {
    Matrix::from_fn(values.rows(), columns.len(), |row, j| {
        values.get(row, columns[j])
    })
}

/// Rows that equal others, where there are more of them than chance makes of rounded numbers.
fn repeated_rows(repeats: &Repeats) -> Option<QualityWarning> {
    let (rows, copies) = (repeats.rows(), repeats.copies());
    (copies > 0).then(|| {
        let message = format!(
            "{copies} of {rows} rows {} an earlier row in every column ({} rows differ): equal rows are kept on one side \
             of the validation split, and settings go by the rows that differ where a tenth or more do not; if they are \
             copies, remove them",
            if copies == 1 { "equals" } else { "equal" },
            repeats.distinct()
        );
        QualityWarning::new(QualityKind::RepeatedRows, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dropped;
    use crate::random::{Purpose, normal_at};

    pub(super) fn table(columns: usize, number: impl FnMut(usize, usize) -> f64) -> Table {
        Table {
            columns: ["a", "b", "c", "d"][..columns]
                .iter()
                .map(|name| name.to_string())
                .collect(),
            named: true,
            levels: vec![Vec::new(); columns],
            dropped: Dropped::default(),
            notes: Vec::new(),
            values: Matrix::from_fn(200, columns, number),
        }
    }

    fn z(row: usize, j: usize) -> f64 {
        f64::from(normal_at(8, Purpose::TargetRows, row as u64, j))
    }

    fn found(table: &Table) -> Vec<QualityWarning> {
        quality_warnings(table, &Repeats::of(&table.values))
    }

    #[test]
    fn rows_that_repeat_are_counted() {
        let repeated = table(2, |row, j| {
            ((row % 50) as f64 * 0.7 + j as f64).sin().powi(3)
        });
        let found = found(&repeated);
        let rows: Vec<_> = found
            .iter()
            .filter(|warning| warning.kind == QualityKind::RepeatedRows)
            .collect();
        assert_eq!(rows.len(), 1, "{found:?}");
        let message = rows[0].message.to_string();
        assert!(
            message.contains("150 of 200") && message.contains("50 rows differ"),
            "{message}"
        );
    }

    /// A surface among columns that are warned of for themselves is that of the others.
    #[test]
    fn columns_with_warnings_of_their_own_make_no_surface() {
        let number = |row: usize, j: usize| match j {
            0 => (row % 12) as f64,
            _ => z(row, j),
        };
        let found = found(&table(3, number));
        let kinds: Vec<QualityKind> = found.iter().map(|warning| warning.kind).collect();
        assert_eq!(kinds, [QualityKind::Discrete], "{found:?}");
    }
}
