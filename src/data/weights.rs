//! Weights of rows. An empty list stands for rows that all count the same.

/// How many rows of equal weight tell as much: (sum w)^2 / sum w^2 (Kish 1965, "Survey sampling", section 11.7).
pub fn effective_sample_size(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    sum * sum / squares
}

/// The standard error of their mean, where they are a sample; those of weighted numbers are numbers times weights.
pub fn standard_error(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let mean = weighted_mean(numbers, &[]);
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / (count - 1.0).max(1.0) / count).sqrt()
}

/// The mean of numbers, a weight for each.
pub fn weighted_mean(numbers: &[f64], weights: &[f64]) -> f64 {
    if weights.is_empty() {
        return numbers.iter().sum::<f64>() / numbers.len() as f64;
    }
    let products = numbers.iter().zip(weights).map(|(x, w)| x * w);
    products.sum::<f64>() / weights.iter().sum::<f64>()
}

/// `count` rows, ascending, each as often as its weight says, to within one: systematic sampling (Madow 1949). Rows that count the
/// same are taken evenly from all of them, whose number `rows` is.
pub fn resample(rows: usize, weights: &[f64], count: usize) -> Vec<u32> {
    if weights.is_empty() {
        return (0..count).map(|k| (k * rows / count) as u32).collect();
    }
    let each = weights.iter().sum::<f64>() / count as f64;
    let (mut row, mut below) = (0, weights[0]);
    let at = |k: usize| (k as f64 + 0.5) * each;
    (0..count)
        .map(|k| {
            while below < at(k) && row + 1 < weights.len() {
                row += 1;
                below += weights[row];
            }
            row as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_equal_weight_are_worth_their_number() {
        assert_eq!(effective_sample_size(&[3.0; 8]), 8.0);
        assert_eq!(effective_sample_size(&[1.0, 0.0, 0.0]), 1.0);
        assert!((effective_sample_size(&[1.0, 2.0]) - 1.8).abs() < 1e-12);
    }

    #[test]
    fn rows_are_drawn_as_often_as_they_weigh() {
        let weights = [0.5, 2.0, 0.0, 1.5];
        let drawn = resample(4, &weights, 80);
        for (row, weight) in weights.iter().enumerate() {
            let count = drawn.iter().filter(|&&drawn| drawn == row as u32).count();
            assert!(
                (count as f64 - 20.0 * weight).abs() <= 1.0,
                "{row}: {count}"
            );
        }
        assert_eq!(resample(10, &[], 5), [0, 2, 4, 6, 8]);
        assert_eq!(weighted_mean(&[1.0, 4.0], &[2.0, 1.0]), 2.0);
        assert_eq!(weighted_mean(&[1.0, 4.0], &[]), 2.5);
    }
}
