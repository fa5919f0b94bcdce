use crate::data::cell::{Cell, Notation};

/// Fields that say that there is no value, as programs and people write them.
const NO_VALUE: [&str; 8] = ["na", "n/a", "#n/a", "nan", "-nan", "null", "none", "<na>"];

/// Separators of groups of three digits, beside the comma or the point: apostrophes, and blanks that do not break
/// a line.
const GROUP_SEPARATORS: [char; 6] = ['\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}', '\u{2009}'];

/// What a field holds; `decimal_comma` says that its decimal sign is the comma.
#[inline]
pub(in crate::data) fn cell(field: &str, decimal_comma: bool) -> Cell<'_> {
    let field = field.trim();
    if decimal_comma {
        if let Some(cell) = with_decimal_comma(field) {
            return cell;
        }
    } else {
        match field.parse::<f64>() {
            Ok(value) if !value.is_nan() => return Cell::Number(value),
            _ => {}
        }
        if let Some(value) = in_groups(field, '.') {
            return Cell::Ambiguous(value, Notation::Thousands, field);
        }
    }
    match is_missing(field) {
        true => Cell::Missing(field),
        false => Cell::Text(field),
    }
}

/// Whether a field says that there is no value.
pub(in crate::data) fn is_missing(field: &str) -> bool {
    let field = field.trim();
    field.is_empty() || NO_VALUE.iter().any(|it| field.eq_ignore_ascii_case(it))
}

fn with_decimal_comma(field: &str) -> Option<Cell<'_>> {
    let (value, notation) = if field.contains(',') {
        let value = match has_decimal_comma(field) {
            true => field.replace(',', ".").parse().ok(),
            false => in_groups(field, ','),
        };
        let notation = match in_groups(field, '.') {
            Some(_) => Notation::CommaBeforeThree,
            None => Notation::Comma,
        };
        (value?, notation)
    } else if let Some(value) = in_groups(field, ',') {
        (value, Notation::Thousands)
    } else {
        let value = field.parse().ok().filter(|value: &f64| !value.is_nan())?;
        if !field.contains('.') {
            return Some(Cell::Number(value));
        }
        (value, Notation::Point)
    };
    Some(Cell::Ambiguous(value, notation, field))
}

/// Whether a field is a number with one comma for a decimal point.
pub(in crate::data) fn has_decimal_comma(field: &str) -> bool {
    field.matches(',').count() == 1 && field.replace(',', ".").parse::<f64>().is_ok()
}

/// Whether a field is no number, however numbers are written: a name, if it is not empty.
pub(in crate::data) fn is_no_number(field: &str) -> bool {
    let is_number = field.parse::<f64>().is_ok() || has_decimal_comma(field);
    !is_number && in_groups(field, '.').is_none() && in_groups(field, ',').is_none()
}

/// A number whose digits before the decimal sign stand in groups of three, such as 1,718 or -12.345.678,9.
fn in_groups(field: &str, decimal: char) -> Option<f64> {
    let digits = field.strip_prefix(['-', '+']).unwrap_or(field);
    let (whole, fraction) = digits.split_once(decimal).unwrap_or((digits, ""));
    let separator = whole.chars().find(|c| !c.is_ascii_digit())?;
    let thousands = if decimal == '.' { ',' } else { '.' };
    if separator != thousands && !GROUP_SEPARATORS.contains(&separator) {
        return None;
    }
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.split(separator);
    let first = groups.next()?;
    let begins = (1..=3).contains(&first.len()) && are_digits(first) && !first.starts_with('0');
    let goes_on = groups.all(|group| group.len() == 3 && are_digits(group));
    if !begins || !goes_on || !are_digits(fraction) {
        return None;
    }
    let sign = if field.starts_with('-') { "-" } else { "" };
    let whole = whole.replace(separator, "");
    format!("{sign}{whole}.{fraction}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Notation::{Comma, CommaBeforeThree, Point, Thousands};

    #[test]
    fn numbers_in_groups_of_three_are_read_as_such() {
        for (field, value) in [
            ("1,718", 1718.0),
            ("-12,345,678.25", -12_345_678.25),
            ("+1'000", 1000.0),
            ("1 234 567", 1_234_567.0),
            ("1\u{202f}234.5", 1234.5),
        ] {
            let expected = Cell::Ambiguous(value, Thousands, field);
            assert_eq!(cell(field, false), expected);
        }
        for field in [
            "0,718", "1,71", "1234,567", "1,234,56", ",123", "1,234,", "1,2x4",
        ] {
            assert_eq!(cell(field, false), Cell::Text(field));
        }
        assert_eq!(cell(" 1.718 ", false), Cell::Number(1.718));
    }

    #[test]
    fn decimal_commas_are_told_from_thousands() {
        for (field, value, notation) in [
            ("0,43", 0.43, Comma),
            ("1.718,5", 1718.5, Comma),
            ("1,5e3", 1500.0, Comma),
            ("1,718", 1.718, CommaBeforeThree),
            ("1.718", 1718.0, Thousands),
            ("1.234.567", 1_234_567.0, Thousands),
            ("0.43", 0.43, Point),
            ("12.5", 12.5, Point),
        ] {
            assert_eq!(cell(field, true), Cell::Ambiguous(value, notation, field));
        }
        assert_eq!(cell("12", true), Cell::Number(12.0));
        assert_eq!(cell("1,234,567", true), Cell::Text("1,234,567"));
        assert_eq!(cell("NA", true), Cell::Missing("NA"));
        assert_eq!(cell("inf", true), Cell::Number(f64::INFINITY));
    }
}
