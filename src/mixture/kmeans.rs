//! Where EM starts: k-means from centers that lie far apart (Arthur and Vassilvitskii 2007).

use crate::matrix::Matrix;
use crate::random::{Purpose, uniform, words};

/// Rounds of k-means, at most: EM refines what they find.
const ROUNDS: usize = 20;

/// The cluster of each row, of `count` clusters; rows without weight have one, too. `weights` are none where all count the same.
pub(super) fn clusters(
    rows: &Matrix<f64>,
    weights: &[f64],
    count: usize,
    seed: u64,
    stream: u64,
) -> Vec<usize> {
    let mut centers = far_apart(rows, weights, count, seed, stream);
    let mut nearest = vec![0; rows.rows()];
    for _ in 0..ROUNDS {
        let before = nearest.clone();
        let distances: Vec<Vec<f64>> = centers.iter().map(|it| squared(rows, it)).collect();
        for (row, nearest) in nearest.iter_mut().enumerate() {
            *nearest = 0;
            for k in 1..count {
                if distances[k][row] < distances[*nearest][row] {
                    *nearest = k;
                }
            }
        }
        if nearest == before {
            break;
        }
        for (k, center) in centers.iter_mut().enumerate() {
            let of_cluster = |row: usize| match nearest[row] == k {
                true => weights.get(row).copied().unwrap_or(1.0),
                false => 0.0,
            };
            let mass: f64 = (0..rows.rows()).map(of_cluster).sum();
            // An empty cluster stays where it is.
            if mass > 0.0 {
                for (j, center) in center.iter_mut().enumerate() {
                    let column = rows.column(j).iter().enumerate();
                    *center = column.map(|(row, x)| of_cluster(row) * x).sum::<f64>() / mass;
                }
            }
        }
    }
    nearest
}

/// Rows drawn one after the other, each with a probability that grows with the square of its distance from those before.
fn far_apart(
    rows: &Matrix<f64>,
    weights: &[f64],
    count: usize,
    seed: u64,
    stream: u64,
) -> Vec<Vec<f64>> {
    let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
    let mut chances: Vec<f64> = (0..rows.rows()).map(weight).collect();
    let mut nearest = vec![f64::INFINITY; rows.rows()];
    let mut centers = Vec::with_capacity(count);
    for k in 0..count {
        let [word, ..] = words(seed, Purpose::Clusters, stream, k as u32);
        let chosen = drawn(&chances, uniform(word));
        let center: Vec<f64> = rows.row(chosen).collect();
        for (row, distance) in squared(rows, &center).into_iter().enumerate() {
            nearest[row] = distance.min(nearest[row]);
            chances[row] = weight(row) * nearest[row];
        }
        centers.push(center);
    }
    centers
}

/// The index that a number from 0 to 1 falls to.
fn drawn(chances: &[f64], uniform: f64) -> usize {
    let mut left = uniform * chances.iter().sum::<f64>();
    for (index, chance) in chances.iter().enumerate() {
        left -= chance;
        if left < 0.0 {
            return index;
        }
    }
    // Rounding, or all rows are centers.
    chances
        .iter()
        .rposition(|chance| *chance > 0.0)
        .unwrap_or(0)
}

/// The squared distance of each row from a point.
fn squared(rows: &Matrix<f64>, point: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.rows()];
    for (j, center) in point.iter().enumerate() {
        for (sum, x) in sums.iter_mut().zip(rows.column(j)) {
            *sum += (x - center) * (x - center);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_that_lie_apart_are_found() {
        let rows = Matrix::from_fn(90, 2, |row, j| {
            let [center, offset] = [
                [0.0, 5.0, 9.0][row % 3],
                (row as f64 * 0.7 + j as f64).sin(),
            ];
            if j == 0 {
                center + 0.3 * offset
            } else {
                offset
            }
        });
        let found = clusters(&rows, &[], 3, 1, 0);
        for row in 3..90 {
            assert_eq!(found[row], found[row % 3]);
        }
        assert!(found[0] != found[1] && found[1] != found[2] && found[0] != found[2]);
        // Rows without weight draw no center.
        let weights: Vec<f64> = (0..90)
            .map(|row| f64::from(u8::from(row % 3 == 0)))
            .collect();
        let found = clusters(&rows, &weights, 2, 1, 0);
        assert!(found.contains(&1));
    }

    #[test]
    fn more_clusters_than_rows_that_differ_do_no_harm() {
        let rows = Matrix::from_fn(10, 1, |row, _| (row % 2) as f64);
        assert_eq!(clusters(&rows, &[], 4, 1, 0).len(), 10);
    }
}
