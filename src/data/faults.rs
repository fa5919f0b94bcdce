use std::fmt;

use crate::error::{Message, Remedy, quote};

use super::cell::Notation;
use super::text::number::has_decimal_comma;

/// The line of a text, if it is one, and the row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    pub line: Option<u64>,
    pub row: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} (row {})", self.row),
            None => write!(f, "row {}", self.row),
        }
    }
}

/// Cells that are alike in one way: how many, where the first is, and what it holds.
#[derive(Default)]
pub(super) struct Fault {
    count: usize,
    first: Option<(Location, String)>,
}

impl Fault {
    pub fn note(&mut self, location: Location, held: &str) {
        self.count += 1;
        self.first
            .get_or_insert_with(|| (location, held.chars().take(60).collect()));
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn first(&self) -> Option<(Location, &str)> {
        let first = self.first.as_ref();
        first.map(|(location, held)| (*location, held.as_str()))
    }

    /// What is wrong, if anything is: `what` says it of what is held.
    fn sentence(&self, column: &str, what: impl Fn(&str) -> String) -> Option<String> {
        let (location, held) = self.first()?;
        let more = match self.count - 1 {
            0 => String::new(),
            more => format!(", and so in {more} more of its rows"),
        };
        Some(format!("{location}, {column}: {}{more}", what(held)))
    }
}

/// What is wrong with a column's cells, and how its numbers are written.
#[derive(Default)]
pub(super) struct ColumnFaults {
    pub missing: Fault,
    pub infinite: Fault,
    pub text: Fault,
    notations: [Fault; 4],
}

impl ColumnFaults {
    pub fn note_notation(&mut self, notation: Notation, location: Location, field: &str) {
        self.notations[notation as usize].note(location, field);
    }

    pub fn notation(&self, notation: Notation) -> &Fault {
        &self.notations[notation as usize]
    }

    /// Whether there is text.
    pub fn has_text(&self) -> bool {
        self.text.count > 0
    }

    /// What is wrong, if anything is.
    pub fn sentence(&self, column: &str) -> Option<String> {
        let sentences = [
            self.text
                .sentence(column, |field| match has_decimal_comma(field) {
                    true => format!("{} has a decimal comma", quote(field)),
                    false => format!("{} is not a number", quote(field)),
                }),
            self.infinite
                .sentence(column, |number| format!("{number} is not a finite number")),
            self.missing.sentence(column, |field| match field {
                "" => "the field is empty".into(),
                field => format!("{} is no value", quote(field)),
            }),
        ];
        let sentences: Vec<String> = sentences.into_iter().flatten().collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    pub fn has_decimal_comma(&self) -> bool {
        let first = self.text.first();
        first.is_some_and(|(_, field)| has_decimal_comma(field))
    }

    pub fn has_text_in_first_row_alone(&self) -> bool {
        let first = self.text.first();
        self.text.count == 1 && first.is_some_and(|(location, _)| location.row == 1)
    }

    /// Whether a field cannot be used.
    pub fn has_any(&self) -> bool {
        [&self.text, &self.infinite, &self.missing]
            .iter()
            .any(|fault| fault.count > 0)
    }

    pub fn has_missing(&self) -> bool {
        self.missing.count > 0
    }

    /// That thousands are separated in this column, if they are.
    pub fn thousands_note(&self, column: &str, decimal_comma: bool) -> Option<Message> {
        let thousands = self.notation(Notation::Thousands);
        let (location, field) = thousands.first()?;
        let plain: String = field
            .chars()
            .filter(|c| c.is_ascii_digit() || "+-".contains(*c) || *c == decimal(decimal_comma))
            .collect();
        // Of a single comma the user may know better.
        let other = (!decimal_comma && has_decimal_comma(field)).then(|| {
            let action = format!("read it as {}", field.replace(',', "."));
            Remedy::new(action, "decimal_comma", true)
        });
        let more = match thousands.count - 1 {
            0 => String::new(),
            more => format!(", and so are {more} more of its fields"),
        };
        let text = format!(
            "{location}, {column}: {} is read as {plain}, a number with separated thousands{more}",
            quote(field)
        );
        Some(Message::new(text).remedies(other))
    }
}

fn decimal(decimal_comma: bool) -> char {
    if decimal_comma { ',' } else { '.' }
}
