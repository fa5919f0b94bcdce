use super::Kind;

/// Fewer rows do not tell that a column has whole numbers alone.
const ROWS: usize = 30;

/// Whole numbers have both bounds where they are at most so many, and each has at least this part of the rows: then hardly another one
/// was missed.
const MOST_LEVELS: usize = 20;
const LEAST_PART: f64 = 0.02;

/// Beyond it not every whole number has a 64-bit one.
const LARGEST: f64 = 9e15;

impl Kind {
    /// What a column of numbers holds, as far as they say it for sure: whole numbers, from 0 or 1 on where none is less.
    pub(crate) fn proposed(numbers: &[f64]) -> Kind {
        let is_whole = |x: &f64| x.fract() == 0.0 && x.abs() < LARGEST;
        if numbers.len() < ROWS || !numbers.iter().all(is_whole) {
            return Kind::Real;
        }
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let levels: Vec<(f64, usize)> = sorted
            .chunk_by(|a, b| a == b)
            .map(|level| (level[0], level.len()))
            .collect();
        let [(least, of_least), .., (greatest, _)] = levels[..] else {
            return Kind::Real;
        };
        let is_frequent = |count: usize| count as f64 >= LEAST_PART * numbers.len() as f64;
        if levels.len() <= MOST_LEVELS && levels.iter().all(|(_, count)| is_frequent(*count)) {
            return Kind::Integer {
                low: Some(least),
                high: Some(greatest),
            };
        }
        let low = match least {
            1.0 if is_frequent(of_least) => Some(1.0),
            least if least >= 0.0 => Some(0.0),
            _ => None,
        };
        Kind::Integer { low, high: None }
    }
}

/// Whether all rows have the same whole number: its probability is 1, and it tells nothing.
pub(crate) fn is_one_whole_number(numbers: &[f64]) -> bool {
    let is_it = |x: &f64| *x == numbers[0] && x.fract() == 0.0;
    numbers.len() >= ROWS && numbers.iter().all(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_found_with_their_bounds() {
        let kind = |of: &dyn Fn(usize) -> f64| {
            let numbers: Vec<f64> = (0..600).map(of).collect();
            Kind::proposed(&numbers).to_string()
        };
        let skewed = |row: usize| (600.0 / (row as f64 + 1.0)).floor();
        assert_eq!(kind(&|row| row as f64 * 0.5), "real");
        assert_eq!(kind(&|_| 3.0), "real");
        assert!(is_one_whole_number(&[3.0; 30]) && !is_one_whole_number(&[3.5; 30]));
        assert!(!is_one_whole_number(&[3.0; 4]) && !is_one_whole_number(&[]));
        assert_eq!(kind(&skewed), "integer(1,)");
        assert_eq!(kind(&|row| skewed(row) - 1.0), "integer(0,)");
        assert_eq!(kind(&|row| skewed(row) + 40.0), "integer(0,)");
        assert_eq!(kind(&|row| skewed(row) - 10.0), "integer");
        assert_eq!(kind(&|row| (row % 5) as f64 + 1.0), "integer(1,5)");
        assert_eq!(kind(&|row| (row % 2) as f64), "integer(0,1)");
        assert_eq!(kind(&|row| row as f64 * 1e15), "real");
        assert_eq!(Kind::proposed(&[1.0, 2.0, 3.0]), Kind::Real);
    }
}
