use std::collections::HashMap;

use crate::matrix::Matrix;

/// The share of rows with one and the same number from which a column counts as nearly constant.
const SAME: f64 = 0.9;
/// As many different numbers at most make a column that is no continuous one.
const FEW: usize = 20;
/// Rows that are looked at for copies among the columns.
const LOOKED_AT: usize = 1000;

/// What in a table speaks against fitting a density to it, a sentence each: nearly constant columns, columns with few
/// different numbers, columns that are copies of others. A flow puts higher and higher density on such points, as
/// far as its bounds let it.
pub fn suspects(values: &Matrix<f64>, names: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let place = |j: usize| format!("column {} (\"{}\")", j + 1, names[j]);
    for j in 0..values.columns() {
        found.extend(suspect(values.column(j)).map(|why| format!("{} {why}", place(j))));
    }
    let sketches: Vec<Option<Vec<f64>>> = (0..values.columns())
        .map(|j| standardized(&values.column(j)[..values.rows().min(LOOKED_AT)]))
        .collect();
    for (j, sketch) in sketches.iter().enumerate() {
        let Some(sketch) = sketch else { continue };
        let copy = sketches[..j].iter().position(|other| {
            let Some(other) = other else { return false };
            let product: f64 = sketch.iter().zip(other).map(|(a, b)| a * b).sum();
            // A correlation that leaves less than 1e-5 of a deviation.
            1.0 - product.abs() < 1e-10
        });
        if let Some(i) = copy {
            found.push(format!(
                "{} is {} over again, up to scale and shift: the density has no width there; remove one",
                place(j),
                place(i)
            ));
        }
    }
    found
}

fn suspect(column: &[f64]) -> Option<String> {
    let rows = column.len();
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for x in column {
        // Both zeros are one number.
        let bits = if *x == 0.0 { 0 } else { x.to_bits() };
        *counts.entry(bits).or_default() += 1;
        // Enough to know that the column varies.
        if counts.len() > FEW && counts.len() * 2 > rows {
            break;
        }
    }
    let (&bits, &most) = counts.iter().max_by_key(|(_, count)| **count)?;
    if most == rows {
        // A constant column is refused, not suspected.
        return None;
    }
    if most as f64 >= SAME * rows as f64 && rows >= 10 {
        return Some(format!(
            "is nearly constant: {} in {most} of {rows} rows; a density cannot describe such a column well",
            f64::from_bits(bits)
        ));
    }
    let size = column.iter().fold(0.0f64, |a, x| a.max(x.abs()));
    let (low, high) = column.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| {
        (low.min(x), high.max(x))
    });
    if high - low < 1e-9 * size {
        return Some(format!(
            "is nearly constant: it varies by {:e} around {low}, in its last digits only",
            high - low
        ));
    }
    if counts.len() <= FEW && rows >= 10 * counts.len() {
        return Some(format!(
            "has only {} different numbers; a density describes numbers that vary continuously",
            counts.len()
        ));
    }
    None
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

    fn found(column: impl Fn(usize) -> f64) -> Vec<String> {
        let table = Matrix::from_fn(200, 2, |row, j| match j {
            0 => (row as f64 * 0.7).sin(),
            _ => column(row),
        });
        suspects(&table, &["a".into(), "b".into()])
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
            found(|row| f64::from(row == 3)),
        );
        one("last digits", found(|row| 1e6 + 1e-7 * (row as f64).cos()));
        one("only 4 different", found(|row| (row % 4) as f64));
        one(
            "over again",
            found(|row| 3.0 - 2.0 * (row as f64 * 0.7).sin()),
        );
        assert_eq!(found(|row| (row as f64).cos()), [""; 0]);
        // Whole numbers, but many of them.
        assert_eq!(found(|row| (row * row % 97) as f64), [""; 0]);
    }
}
