//! Which line of a text table names its columns.

use crate::data::{ExpectedColumns, TableOptions};

use super::front::Front;
use super::number::{is_missing, is_no_number};
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
}
