/// A number rounded to so many decimals, negative for tens, and to nothing where that is finer than f64 is.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    // Powers of ten up to here, and whole numbers up to here, are exact: the quotient is the nearest number to the decimal
    // one, which is printed in no more digits.
    const LARGEST_POWER: i32 = 22;
    const LARGEST_WHOLE: f64 = 9.0e15;
    if decimals.abs() > LARGEST_POWER {
        return value;
    }
    let power = 10f64.powi(decimals.abs());
    let whole = match decimals >= 0 {
        true => (value * power).round(),
        false => (value / power).round(),
    };
    if whole.abs() > LARGEST_WHOLE {
        return value;
    }
    // No minus sign before a zero.
    0.0 + match decimals >= 0 {
        true => whole / power,
        false => whole * power,
    }
}

/// The decimals of a number that is known to within `resolution`, and one more.
pub fn decimals(resolution: f64) -> i32 {
    1 - resolution.log10().floor() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_no_more_than_they_know() {
        let decimals = decimals(1e-7);
        assert_eq!(rounded(0.123_456_789_123, decimals), 0.123_456_79);
        assert_eq!(rounded(123_456.789_123, decimals), 123_456.789_123);
        assert_eq!(rounded(-1e-9, decimals).to_string(), "0");
        assert_eq!(rounded(1e300, decimals), 1e300);
        assert_eq!(rounded(123_456_789.0, super::decimals(3e4)), 123_457_000.0);
        assert_eq!(rounded(1.5, super::decimals(1e-300)), 1.5);
    }
}
