use crate::matrix::Matrix;

/// One row in so many is not of the bulk.
const FAR_OUT: usize = 200;

/// The rows that are not the farthest from 0, by their Euclidean distance, ascending. None where there are too few rows to leave
/// any out. Rows with weights that are left out have no more than their fraction of the weight.
pub fn nearest(seen: &Matrix<f64>, weights: &[f64]) -> Option<Vec<u32>> {
    let kept = seen.rows() - seen.rows() / FAR_OUT;
    if kept == seen.rows() {
        return None;
    }
    let mut distances = vec![0.0; seen.rows()];
    for j in 0..seen.columns() {
        for (distance, z) in distances.iter_mut().zip(seen.column(j)) {
            *distance += z * z;
        }
    }
    let mut rows: Vec<u32> = (0..seen.rows() as u32).collect();
    let order = |&a: &u32, &b: &u32| {
        let [x, y] = [a, b].map(|row| distances[row as usize]);
        x.total_cmp(&y).then(a.cmp(&b))
    };
    if weights.is_empty() {
        rows.select_nth_unstable_by(kept, order);
        rows.truncate(kept);
    } else {
        rows.sort_unstable_by(order);
        let mut spare = weights.iter().sum::<f64>() / FAR_OUT as f64;
        while let Some(&farthest) = rows.last() {
            spare -= weights[farthest as usize];
            if spare < 0.0 {
                break;
            }
            rows.pop();
        }
    }
    rows.sort_unstable();
    Some(rows)
}
