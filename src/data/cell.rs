/// The content of a cell of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Number(f64),
    /// A number that could be read in another way, too, and the field that holds it.
    Ambiguous(f64, Notation, &'a str),
    /// No value, in these words.
    Missing(&'a str),
    Text(&'a str),
}

/// How a number is written that could be read in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    /// Its digits stand in groups of three: 1,718 is 1718; where commas are decimal, so is 1.718.
    Thousands,
    /// Where commas are decimal: a comma before the last three digits, as 1,718.
    CommaBeforeThree,
    /// Where commas are decimal: a comma that separates no thousands, as 0,43.
    Comma,
    /// Where commas are decimal: a point that separates no thousands, as 0.43.
    Point,
}

impl Cell<'_> {
    /// The number, or NaN where there is none.
    pub fn number(self) -> f64 {
        match self {
            Cell::Number(value) | Cell::Ambiguous(value, ..) => value,
            Cell::Missing(_) | Cell::Text(_) => f64::NAN,
        }
    }

    /// A number, which is none where it is NaN.
    #[inline]
    pub fn of_number(value: f64) -> Self {
        match value.is_nan() {
            true => Cell::Missing("NaN"),
            false => Cell::Number(value),
        }
    }
}
