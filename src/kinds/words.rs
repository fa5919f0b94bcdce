//! What a column's numbers are, in words, and what is wrong with others.

use crate::error::{Message, Remedy, Result, quote};

use crate::data::RowNumbers;

use super::{Kind, NumberColumn};

impl NumberColumn {
    /// Whether all of these numbers are the column's.
    ///
    /// # Errors
    /// Names the first row whose number is not.
    pub(crate) fn check(
        &self,
        numbers: &[f64],
        rows: RowNumbers<'_>,
        name: &str,
    ) -> Result<(), Message> {
        match numbers.iter().position(|x| !self.contains(*x)) {
            None => Ok(()),
            Some(row) => Err(self.refuses(numbers, row, rows, name)),
        }
    }

    /// What is wrong with a row's number.
    fn refuses(&self, numbers: &[f64], row: usize, rows: RowNumbers<'_>, name: &str) -> Message {
        let count = numbers.iter().filter(|x| !self.contains(**x)).count();
        let more = match count {
            // Of other rows it is not known.
            _ if !matches!(rows, RowNumbers::All) => String::new(),
            1 => String::new(),
            2 => ", and 1 more row is like this".into(),
            count => format!(", and {} more rows are like this", count - 1),
        };
        let number = rows.of(row);
        let text = format!(
            "row {number}, {}: {} is not {}{more}",
            quote(name),
            numbers[row],
            self.words()
        );
        let message = Message::new(text).in_column(name).at_row(number);
        let has_zeros = self.kind == Kind::Positive
            && numbers.iter().all(|x| *x >= 0.0)
            && count < numbers.len();
        match has_zeros {
            true => message.remedy(Remedy::new(
                "take zeros as the least of its numbers",
                "column",
                format!("{name}=bounded(0,)"),
            )),
            false => message,
        }
        .remedy(Remedy::new(
            "say that it may have any number",
            "column",
            format!("{name}=real"),
        ))
    }

    /// What its numbers are, in words.
    pub fn words(&self) -> String {
        match self.kind {
            Kind::Real => "a number".into(),
            Kind::Positive => "a positive number".into(),
            Kind::Bounded { low, high } => format!("a number{}", between(low, high)),
            Kind::Integer { low, high } => {
                format!("a whole number{}{}", self.steps(), between(low, high))
            }
            Kind::Circular { period } => format!("a number of period {period}"),
            Kind::Categorical => "a level".into(),
        }
    }

    /// All of its numbers, in words.
    pub fn all_of_them(&self) -> String {
        match self.kind {
            Kind::Integer { low, high } => {
                format!("whole numbers{}{}", self.steps(), between(low, high))
            }
            _ => format!("{} in each row", self.words()),
        }
    }

    /// The grid of whole numbers, in words.
    fn steps(&self) -> String {
        match (self.step > 1.0, self.origin) {
            (false, _) => String::new(),
            (true, 0.0) => format!(", multiples of {},", self.step),
            (true, origin) => format!(", {origin} and others in steps of {},", self.step),
        }
    }
}

/// Bounds in words.
fn between(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" from {low} on"),
        (None, Some(high)) => format!(" up to {high}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_with_its_row() {
        for (kind, numbers, parts) in [
            ("positive", [1.0, 0.0, 2.0], ["row 2", "bounded(0,)"]),
            ("positive", [1.0, -1.0, -2.0], ["1 more row", "x=real"]),
            ("bounded(0,1)", [0.5, 0.1, 1.5], ["row 3", "from 0 to 1"]),
            ("integer", [1.0, 2.5, 3.0], ["2.5", "a whole number"]),
            ("integer(0,)", [1.0, -1.0, 3.0], ["-1", "from 0 on"]),
        ] {
            let kind: Kind = kind.parse().unwrap();
            let message = NumberColumn::of(kind, &numbers, RowNumbers::All, "x").unwrap_err();
            let all = format!("{message:?}");
            assert!(parts.iter().all(|part| all.contains(part)), "{kind}: {all}");
        }
    }
}
