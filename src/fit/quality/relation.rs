use crate::data::{Table, selector};
use crate::error::{Message, Remedy, column_label};

/// Rows that are looked at, from all over the table.
const ROWS: usize = 2000;
/// What of its deviation the columns before it must leave of a column. Numbers of 32 bits, or of six printed digits, leave
/// this much of a sum; the copy of a column leaves nothing.
const MIN_REST: f64 = 2e-5;
/// Columns that a sentence names.
const MAX_NAMED: usize = 8;

/// Columns that are linear combinations of others, up to rounding: a Cholesky factorisation of the correlations, column by
/// column, leaves nothing of them.
pub(super) fn relations(table: &Table) -> Vec<Message> {
    let (values, names) = (&table.values, &table.columns);
    let rows = values.rows();
    let step = rows.div_ceil(ROWS);
    // Constant columns are refused elsewhere.
    let columns: Vec<(usize, Vec<f64>)> = (0..values.columns())
        .filter_map(|j| {
            let column: Vec<f64> = values.column(j).iter().step_by(step).copied().collect();
            standardized(&column).map(|column| (j, column))
        })
        .collect();
    let mut found = Vec::new();
    // Orthonormal directions of the columns so far, each with its weights in those columns.
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for (index, (j, column)) in columns.iter().enumerate() {
        // As many directions as rows fit anything.
        if 2 * (basis.len() + 1) > column.len() {
            break;
        }
        let mut rest = column.clone();
        let mut weights = vec![0.0; columns.len()];
        weights[index] = 1.0;
        // Twice: once leaves the rounding of what is taken away.
        for _ in 0..2 {
            for (direction, of_columns) in &basis {
                let product: f64 = rest.iter().zip(direction).map(|(a, b)| a * b).sum();
                for (rest, direction) in rest.iter_mut().zip(direction) {
                    *rest -= product * direction;
                }
                for (weight, of_column) in weights.iter_mut().zip(of_columns) {
                    *weight -= product * of_column;
                }
            }
        }
        let left = rest.iter().map(|x| x * x).sum::<f64>().sqrt();
        if left < MIN_REST {
            let parts: Vec<String> = columns
                .iter()
                .zip(&weights)
                .filter(|((other, _), weight)| other != j && weight.abs() > 1e-3)
                .map(|((other, _), _)| column_label(*other, names))
                .collect();
            let what = match &parts[..] {
                [] => continue,
                [one] => format!("is {one} over again, up to scale and shift"),
                parts if parts.len() <= MAX_NAMED => {
                    format!("is a linear combination of {}", parts.join(", "))
                }
                parts => format!("is a linear combination of {} other columns", parts.len()),
            };
            let text = format!(
                "{} {what}: the density has no width there, and 32-bit numbers cannot follow it",
                column_label(*j, names)
            );
            let remedy = Remedy::new("leave one of them out", "exclude", selector(*j, names));
            found.push(Message::new(text).remedy(remedy));
            continue;
        }
        for x in &mut rest {
            *x /= left;
        }
        for weight in &mut weights {
            *weight /= left;
        }
        basis.push((rest, weights));
    }
    found
}

/// Mean 0 and length 1, or none for a constant column.
fn standardized(column: &[f64]) -> Option<Vec<f64>> {
    let mean = column.iter().sum::<f64>() / column.len() as f64;
    let length = column
        .iter()
        .map(|x| (x - mean).powi(2))
        .sum::<f64>()
        .sqrt();
    (length.is_normal() && column.len() > 2)
        .then(|| column.iter().map(|x| (x - mean) / length).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;

    /// A sum, and percentages to 100; each named by what it follows from, and by nothing else.
    #[test]
    fn linear_combinations_are_named() {
        let noise = |row: usize, j: usize| (row as f64 * (0.7 + j as f64 * 0.31)).sin();
        let sum = relations(&table(4, |row, j| match j {
            3 => noise(row, 0) + 10.0 * noise(row, 1) - 7.0,
            _ => noise(row, j),
        }));
        let expected =
            "column 4 (\"d\") is a linear combination of column 1 (\"a\"), column 2 (\"b\"): ";
        assert!(
            sum.len() == 1 && sum[0].to_string().starts_with(expected),
            "{sum:?}"
        );
        assert!(sum[0].to_string().contains("exclude = "));
        // In 32-bit numbers, which leave rounding; and one combination of three, not exact.
        let percent = |row: usize, j: usize| 33.0 + noise(row, j) as f32 as f64;
        let hundred = |off: f64| {
            relations(&table(3, |row, j| match j {
                2 => {
                    (100.0 - percent(row, 0) - percent(row, 1)) as f32 as f64 + off * noise(row, 3)
                }
                _ => percent(row, j),
            }))
        };
        assert_eq!(hundred(0.0).len(), 1);
        assert_eq!(hundred(1e-3), []);
    }

    #[test]
    fn a_copy_is_named() {
        let number = |row: usize, j: usize| match j {
            0 => (row as f64 * 0.7).sin(),
            _ => 3.0 - 2.0 * (row as f64 * 0.7).sin(),
        };
        let found = relations(&table(2, number));
        assert!(
            found[0].to_string().contains("over again")
                && found[0].to_string().contains("exclude = b"),
            "{found:?}"
        );
    }
}
