//! Finds the line of a text table that names its columns.

use crate::data::cell::Cell;
use crate::data::{ExpectedColumns, TableOptions};

use super::front::Front;
use super::number::{cell, is_missing, is_no_number};
use super::separator::{Sample, Separator, fields};

/// Where the names of the columns stand.
#[derive(Debug, PartialEq)]
pub(super) enum Header {
    Nowhere,
    /// In the first record.
    First,
    /// In the comment before it.
    Comment(Vec<String>),
}

impl Header {
    /// Where the options say, or the first records: `first` is the first, its fields trimmed.
    pub fn find(
        first: &[&str],
        sample: &Sample,
        front: &Front,
        separator: Separator,
        options: &TableOptions,
    ) -> Self {
        let has_numbers = !first
            .iter()
            .any(|field| is_no_number(field) && !is_missing(field));
        let in_comment = || {
            let comment = front.last_comment.as_deref().filter(|_| has_numbers)?;
            names_in(comment, separator, first.len()).map(Header::Comment)
        };
        match options.header {
            Some(true) => in_comment().unwrap_or(Header::First),
            Some(false) => Header::Nowhere,
            None if is_header(first, sample, separator, options.expected.as_ref()) => Header::First,
            None => in_comment().unwrap_or(Header::Nowhere),
        }
    }
}

fn is_header(
    first: &[&str],
    sample: &Sample,
    separator: Separator,
    expected: Option<&ExpectedColumns>,
) -> bool {
    let names: Vec<String> = first.iter().map(|field| field.to_string()).collect();
    let has_expected = expected.is_some_and(|expected| expected.are_among(&names));
    has_expected
        || sample.quotes_its_first(separator)
        || (first.iter().all(|field| is_no_number(field))
            && !first.iter().all(|field| is_missing(field)))
}

/// Whether a first record that is taken for a row may name the columns all the same: whole numbers that count up, as years
/// do, or above numbers with fractions.
pub(super) fn may_be_names(
    first: &[&str],
    sample: &Sample,
    separator: Separator,
    decimal_comma: bool,
) -> bool {
    let number = |field: &str| match cell(field, decimal_comma) {
        Cell::Number(x) => Some(x),
        _ => None,
    };
    let numbers: Option<Vec<f64>> = first.iter().map(|field| number(field)).collect();
    let Some(numbers) = numbers.filter(|numbers| numbers.len() > 1) else {
        return false;
    };
    let has_fraction = |j: usize| {
        sample.rows().skip(1).any(|row| {
            let x = fields(row, separator)
                .get(j)
                .and_then(|field| number(field.trim()));
            x.is_some_and(|x| x.fract() != 0.0)
        })
    };
    let is_whole = numbers.iter().all(|x| x.fract() == 0.0 && x.abs() < 1e6);
    let counts_up = || numbers.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
    is_whole
        && sample.rows().nth(2).is_some()
        && (counts_up() || (0..numbers.len()).all(has_fraction))
}

/// The names in a comment, as `# a,b`, if it has one for each column.
fn names_in(comment: &str, separator: Separator, width: usize) -> Option<Vec<String>> {
    let names: Vec<String> = fields(comment, separator)
        .into_iter()
        .map(unquoted)
        .collect();
    let is_name = |name: &String| is_no_number(name) && !is_missing(name);
    let is_new = |j: usize| !names[..j].contains(&names[j]);
    let are_names = names.iter().all(is_name) && (0..names.len()).all(is_new);
    (names.len() == width && are_names).then_some(names)
}

/// A field without the quotes and the blanks around it.
fn unquoted(field: &str) -> String {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.map_or_else(|| field.into(), |inner| inner.replace("\"\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::Source;

    #[test]
    fn a_comment_names_the_columns_where_it_has_a_name_for_each() {
        let comma = Separator::Byte(b',');
        let expected = vec!["a".to_string(), "b".into()];
        assert_eq!(names_in("a, \"b\"", comma, 2), Some(expected.clone()));
        assert_eq!(names_in("a  b", Separator::Blanks, 2), Some(expected));
        assert_eq!(names_in("a,b", comma, 3), None);
        for comment in ["made 2024", "a,a", "1,2", "a,"] {
            assert_eq!(names_in(comment, comma, 2), None, "{comment}");
        }
    }

    #[test]
    fn whole_numbers_above_others_may_be_names() {
        for (text, expected) in [
            ("2000,2005\n0.5,1.5\n1,2\n", true),
            ("0,1\n5,7\n8,2\n", true),
            ("2000,2005\n0.5,1\n1.5,2\n", false),
            ("2000.5,2005\n0.5,1.5\n1,2\n", false),
            ("2000,2005\n0.5,1.5\n", false),
            ("2000\n0.5\n1.5\n", false),
            ("2000,x\n0.5,1.5\n1,2\n", false),
        ] {
            let mut source = Source::new("t".into(), Box::new(text.as_bytes())).unwrap();
            let sample = Sample::of(&mut source, 100).unwrap();
            let comma = Separator::Byte(b',');
            let first = fields(text.lines().next().unwrap(), comma);
            assert_eq!(
                may_be_names(&first, &sample, comma, false),
                expected,
                "{text}"
            );
        }
    }
}
