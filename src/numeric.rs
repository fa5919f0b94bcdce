//! Small functions of numbers that several modules share.

/// The index of the weight that a number from 0 to 1 falls to, of weights that add up to 1; the last, where rounding leaves it none.
pub(crate) fn index_at(weights: impl ExactSizeIterator<Item = f64>, uniform: f64) -> usize {
    let (mut sum, last) = (0.0, weights.len() - 1);
    let mut weights = weights;
    let found = weights.position(|weight| {
        sum += weight;
        uniform < sum
    });
    found.unwrap_or(last)
}

/// log(sum of exp); minus infinity where no term is larger.
pub(crate) fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + terms.map(|term| (term - largest).exp()).sum::<f64>().ln()
}
