use crate::matrix::Matrix;

/// One row in so many is not of the bulk.
const FAR_OUT: usize = 200;

/// The rows that are not the farthest from 0, by their Euclidean distance, ascending. None where there are too few rows to leave
/// any out.
pub fn nearest(seen: &Matrix<f64>) -> Option<Vec<u32>> {
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
    rows.select_nth_unstable_by(kept, order);
    rows.truncate(kept);
    rows.sort_unstable();
    Some(rows)
}
