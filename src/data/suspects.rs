use crate::error::column_place;

use super::Table;

/// The share of rows with one and the same number from which a column counts as nearly constant.
const SAME: f64 = 0.9;
/// The share of rows with one and the same number from which a column counts as a mixture of that number and others.
const OFTEN: f64 = 0.2;
/// As many different numbers at most make a column that is no continuous one.
const FEW: usize = 20;
/// Rows that are looked at for what takes sorting, and for relations between columns: from all over the table.
const LOOKED_AT: usize = 100_000;
const LOOKED_AT_FOR_RELATIONS: usize = 2000;
/// How many deviations from the mean of the others are too far for one value.
const FAR: f64 = 30.0;
/// What of its deviation the columns before it must leave of a column. Numbers of 32 bits, or of six printed digits, leave
/// this much of a sum; the copy of a column leaves nothing.
const LEAST_REST: f64 = 2e-5;
/// Sentences of one kind; more columns than that say nothing new.
const TOLD: usize = 8;

/// What in a table speaks against fitting a density to it, a sentence each: a header that may have been taken for a row,
/// columns that count the rows, are nearly constant, repeat one number, have few different numbers or one far from all
/// others. Columns that follow from others are found by [`relations`]. A flow puts higher and higher density on such points, as far as its
/// bounds let it.
pub fn suspects(table: &Table) -> Vec<String> {
    let (values, names) = (&table.values, &table.columns);
    let mut found = Vec::new();
    found.extend(first_row(table));
    let mut columns = Vec::new();
    for j in 0..values.columns() {
        let column = values.column(j);
        let what = counts_rows(column, &names[j]).or_else(|| suspect(column));
        columns.extend(what.map(|why| format!("{} {why}", column_place(j, names))));
        columns.extend(far_value(column).map(|why| format!("{} {why}", column_place(j, names))));
    }
    let more = columns.len().saturating_sub(TOLD);
    found.extend(columns.into_iter().take(TOLD));
    if more > 0 {
        found.push(format!("and {more} more such things about columns"));
    }
    found
}

/// A table without names whose first row looks like a header of numbers: years, or the numbers of columns.
fn first_row(table: &Table) -> Option<String> {
    let values = &table.values;
    if table.named || values.rows() < 3 || values.columns() < 2 {
        return None;
    }
    let first: Vec<f64> = values.row(0).collect();
    let whole = first.iter().all(|x| x.fract() == 0.0 && x.abs() < 1e6);
    let rising = first.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    let fractions_below =
        (0..values.columns()).all(|j| values.column(j)[1..].iter().any(|x| x.fract() != 0.0));
    (whole && (rising || fractions_below)).then(|| {
        let shown: Vec<String> = first.iter().take(TOLD).map(f64::to_string).collect();
        format!(
            "the first line ({}) is taken for a row of numbers; if it names the columns, say --header yes (else --header no)",
            shown.join(", ")
        )
    })
}

/// A running number, as tools write it before the columns of a table.
fn counts_rows(column: &[f64], name: &str) -> Option<String> {
    let counts = column.len() >= 10 && column.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    counts.then(|| {
        let unnamed = if name.is_empty() { " and has no name" } else { "" };
        format!("counts the rows{unnamed}: it looks like an index, not a measurement; leave it out with --exclude")
    })
}

fn suspect(column: &[f64]) -> Option<String> {
    let rows = column.len();
    let step = rows.div_ceil(LOOKED_AT);
    // Both zeros are one number.
    let mut sorted: Vec<f64> = column.iter().step_by(step).map(|x| x + 0.0).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let runs = || sorted.chunk_by(|a, b| a == b);
    let different = runs().count();
    let longest = runs().max_by_key(|run| run.len())?;
    let (most, value) = (longest.len(), longest[0]);
    let looked = sorted.len();
    if different == 1 {
        // A constant column is refused, not suspected.
        return None;
    }
    if most as f64 >= SAME * looked as f64 && looked >= 10 {
        let most = (most * step).min(rows - 1);
        return Some(format!(
            "is nearly constant: {value} in {most} of {rows} rows; a density cannot describe such a column well"
        ));
    }
    let (low, high) = (sorted[0], sorted[looked - 1]);
    if high - low < 1e-9 * low.abs().max(high.abs()) {
        return Some(format!(
            "is nearly constant: it varies by {:e} around {low}, in its last digits only",
            high - low
        ));
    }
    if different <= FEW && looked >= 10 * different {
        return Some(format!(
            "has only {different} different numbers; a density describes numbers that vary continuously"
        ));
    }
    if most as f64 >= OFTEN * looked as f64 && looked >= 50 {
        return Some(format!(
            "is {value} in {:.0}% of the rows: no density describes one number that often; model those rows apart, or leave \
             the column out with --exclude",
            100.0 * most as f64 / looked as f64
        ));
    }
    None
}

/// A value further from all others than any density that fits them would put it.
fn far_value(column: &[f64]) -> Option<String> {
    let rows = column.len();
    let n = rows as f64;
    let mean = column.iter().map(|x| x / n).sum::<f64>();
    let (row, value) = column
        .iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| (*a - mean).abs().total_cmp(&(*b - mean).abs()))?;
    if rows < 10 {
        return None;
    }
    // Of the others: the far one would widen the measure that it is measured by.
    let others = || column.iter().enumerate().filter(|(other, _)| *other != row);
    let mean = others().map(|(_, x)| x / (n - 1.0)).sum::<f64>();
    let square = others()
        .map(|(_, x)| (x - mean) * (x - mean) / (n - 1.0))
        .sum::<f64>();
    let far = (value - mean).abs() / square.sqrt();
    (far > FAR && far.is_finite()).then(|| {
        let far = match far < 1e6 {
            true => format!("{far:.0}"),
            false => format!("{far:.0e}"),
        };
        format!(
            "has {value:?} in row {}, {far} deviations from the mean of the others; if it is an error, remove the row, and \
             if such numbers belong there, take the column's logarithm",
            row + 1
        )
    })
}

/// Columns that are linear combinations of others, up to rounding: a Cholesky factorisation of the correlations, column by
/// column, leaves nothing of them.
pub fn relations(table: &Table) -> Vec<String> {
    let (values, names) = (&table.values, &table.columns);
    let rows = values.rows();
    let step = rows.div_ceil(LOOKED_AT_FOR_RELATIONS);
    // Constant columns are refused elsewhere.
    let columns: Vec<(usize, Vec<f64>)> = (0..values.columns())
        .filter_map(|j| {
            let column: Vec<f64> = values.column(j).iter().step_by(step).copied().collect();
            standardized(&column).map(|column| (j, column))
        })
        .collect();
    let mut found = Vec::new();
    // Orthonormal directions of the columns so far, each with its shares of those columns.
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for (place, (j, column)) in columns.iter().enumerate() {
        // As many directions as rows fit anything.
        if 2 * (basis.len() + 1) > column.len() {
            break;
        }
        let mut rest = column.clone();
        let mut shares = vec![0.0; columns.len()];
        shares[place] = 1.0;
        // Twice: once leaves the rounding of what is taken away.
        for _ in 0..2 {
            for (direction, of_columns) in &basis {
                let product: f64 = rest.iter().zip(direction).map(|(a, b)| a * b).sum();
                for (rest, direction) in rest.iter_mut().zip(direction) {
                    *rest -= product * direction;
                }
                for (share, of_column) in shares.iter_mut().zip(of_columns) {
                    *share -= product * of_column;
                }
            }
        }
        let left = rest.iter().map(|x| x * x).sum::<f64>().sqrt();
        if left < LEAST_REST {
            let parts: Vec<String> = columns
                .iter()
                .zip(&shares)
                .filter(|((other, _), share)| other != j && share.abs() > 1e-3)
                .map(|((other, _), _)| column_place(*other, names))
                .collect();
            let what = match &parts[..] {
                [] => continue,
                [one] => format!("is {one} over again, up to scale and shift"),
                parts if parts.len() <= TOLD => {
                    format!("is a linear combination of {}", parts.join(", "))
                }
                parts => format!("is a linear combination of {} other columns", parts.len()),
            };
            found.push(format!(
                "{} {what}: the density has no width there, and 32-bit numbers cannot follow it; leave one of them out \
                 with --exclude",
                column_place(*j, names)
            ));
            continue;
        }
        for x in &mut rest {
            *x /= left;
        }
        for share in &mut shares {
            *share /= left;
        }
        basis.push((rest, shares));
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
    use super::*;
    use crate::matrix::Matrix;

    fn table(columns: usize, number: impl FnMut(usize, usize) -> f64) -> Table {
        Table {
            columns: ["a", "b", "c", "d"][..columns]
                .iter()
                .map(|name| name.to_string())
                .collect(),
            named: true,
            dropped: crate::data::Dropped::default(),
            values: Matrix::from_fn(200, columns, number),
        }
    }

    fn found(column: impl Fn(usize) -> f64) -> Vec<String> {
        let table = table(2, |row, j| match j {
            0 => (row as f64 * 0.7).sin(),
            _ => column(row),
        });
        [suspects(&table), relations(&table)].concat()
    }

    #[test]
    fn columns_without_a_density_are_named() {
        let one = |what: &str, found: Vec<String>| {
            assert!(
                found.len() == 1 && found[0].contains(what),
                "{what}: {found:?}"
            );
            assert!(found[0].starts_with("column 2 (\"b\")"), "{found:?}");
        };
        one(
            "nearly constant: 0 in 199",
            found(|row| f64::from(row == 3) * 0.1)
                .into_iter()
                .take(1)
                .collect(),
        );
        one("last digits", found(|row| 1e6 + 1e-7 * (row as f64).cos()));
        one("only 4 different", found(|row| (row % 4) as f64));
        one(
            "over again",
            found(|row| 3.0 - 2.0 * (row as f64 * 0.7).sin()),
        );
        one(
            "is 0 in 60% of the rows",
            found(|row| if row % 5 < 3 { 0.0 } else { (row as f64).cos() }),
        );
        one("counts the rows", found(|row| row as f64 + 1.0));
        one(
            "has 31.0 in row 8, 44 deviations",
            found(|row| if row == 7 { 31.0 } else { (row as f64).cos() }),
        );
        assert_eq!(found(|row| (row as f64).cos()), [""; 0]);
        // Whole numbers, but many of them.
        assert_eq!(found(|row| (row * row % 97) as f64), [""; 0]);
    }

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
        assert!(sum.len() == 1 && sum[0].starts_with(expected), "{sum:?}");
        assert!(sum[0].contains("--exclude"));
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
        assert_eq!(hundred(1e-3), [""; 0]);
    }

    #[test]
    fn a_header_of_numbers_is_asked_about() {
        let mut years = table(2, |row, j| match row {
            0 => 2019.0 + j as f64,
            _ => ((row + j) as f64).sin(),
        });
        years.named = false;
        let found = suspects(&years);
        assert!(
            found[0].contains("(2019, 2020)") && found[0].contains("--header yes"),
            "{found:?}"
        );
        let mut none = table(2, |row, j| ((row + 3 * j) as f64).sin());
        none.named = false;
        assert_eq!(suspects(&none), [""; 0]);
    }
}
