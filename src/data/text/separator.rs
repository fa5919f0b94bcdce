use std::io;
use std::str::FromStr;

use crate::data::source::Source;

use super::front::{HEAD, is_comment};
use super::number::has_decimal_comma;

/// How many records are looked at.
const RECORDS: usize = 100;

/// The fraction of the records that must have as many fields as the first under a separator that is taken.
const CONSISTENT: f64 = 0.8;

/// What separates the fields of a text table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// One byte: a comma, a semicolon, a tab, or whatever else the table was written with.
    Byte(u8),
    /// One or more blanks or tabs; those at either end of a line separate nothing.
    Blanks,
}

impl FromStr for Separator {
    type Err = &'static str;

    /// A name, or the character itself.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "comma" => Ok(Separator::Byte(b',')),
            "semicolon" => Ok(Separator::Byte(b';')),
            "tab" | "\\t" => Ok(Separator::Byte(b'\t')),
            "blanks" | " " => Ok(Separator::Blanks),
            _ => match text.as_bytes() {
                [byte]
                    if byte.is_ascii()
                        && !byte.is_ascii_alphanumeric()
                        && !b"\"\r\n.+-#".contains(byte) =>
                {
                    Ok(Separator::Byte(*byte))
                }
                _ => Err("comma, semicolon, tab, blanks, or one character such as '|'"),
            },
        }
    }
}

/// The first records of a table, as they stand there.
pub(super) struct Sample {
    records: Vec<String>,
}

impl Sample {
    /// Looks at the first records of a source, at one at least if it is no longer than `longest`.
    pub fn of(source: &mut Source, longest: usize) -> io::Result<Self> {
        let mut length = HEAD;
        loop {
            source.look(length, |_| false)?;
            let is_all = source.head.len() < length;
            let records = records(&source.head, is_all);
            if !records.is_empty() || is_all || length >= longest {
                return Ok(Sample { records });
            }
            length *= 2;
        }
    }

    /// The first record.
    fn first(&self) -> &str {
        self.records.first().map_or("", String::as_str)
    }

    /// The records that are neither comments nor blank.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        let records = self.records.iter().map(String::as_str);
        records.filter(|record| !record.trim().is_empty() && !is_comment(record.trim()))
    }

    /// Whether something holds of the first record and the one after it, if there is one.
    pub fn has_in_all(&self, has: impl Fn(&String) -> bool) -> bool {
        !self.records.is_empty() && self.records.iter().take(2).all(has)
    }

    /// How many fields the first record has under a separator, if most of the others have as many.
    fn width(&self, separator: Separator, fraction: f64) -> Option<usize> {
        let widths = self.rows().map(|row| fields(row, separator).len());
        let widths: Vec<usize> = widths.collect();
        let first = *widths.first()?;
        let same = widths.iter().filter(|width| **width == first).count();
        (same as f64 >= fraction * widths.len() as f64).then_some(first)
    }

    /// What separates the fields: of comma, semicolon and tab that by which the records have the same number of fields,
    /// and the most of them; else bars or blanks, if every record has the same number of fields by them. A comma between
    /// digits may be a decimal one, where another separator leaves numbers.
    pub fn separator(&self) -> Separator {
        const USUAL: [Separator; 3] = [
            Separator::Byte(b'\t'),
            Separator::Byte(b';'),
            Separator::Byte(b','),
        ];
        const BAR: Separator = Separator::Byte(b'|');
        for other in [USUAL[0], USUAL[1], Separator::Blanks] {
            let fields = fields(self.first(), other);
            let is_number = |field: &&str| {
                let field = field.trim();
                field.parse::<f64>().is_ok() || has_decimal_comma(field)
            };
            if fields.len() > 1
                && fields.iter().all(is_number)
                && (other != Separator::Blanks || fields.iter().any(|field| field.contains(',')))
            {
                return other;
            }
        }
        // The last of equals wins: the comma.
        let consistent = |&it: &Separator| self.width(it, CONSISTENT).unwrap_or(0);
        let first = |&it: &Separator| fields(self.first(), it).len();
        let widest = |width: &dyn Fn(&Separator) -> usize| {
            let best = USUAL.iter().max_by_key(|it| width(it));
            best.copied().filter(|best| width(best) > 1)
        };
        let others = || {
            let mut others = [BAR, Separator::Blanks].into_iter();
            others.find(|it| self.width(*it, 1.0).is_some_and(|width| width > 1))
        };
        // A name may have a comma in it where no number has one.
        let rows = self.records.iter().skip(1);
        let is_bare = |row: &String| USUAL.iter().all(|it| fields(row, *it).len() == 1);
        let bare = rows.clone().next().is_some() && rows.clone().all(is_bare);
        widest(&consistent)
            .or_else(|| others().filter(|_| bare))
            .or_else(|| widest(&first))
            .or_else(others)
            .unwrap_or(Separator::Byte(b','))
    }

    /// Whether every field of the first record is in quotes, and one of the second is not: so some programs, and this one
    /// for names that are numbers, write names beside numbers.
    pub fn quotes_its_first(&self, separator: Separator) -> bool {
        let are_quoted = |record: &String| {
            let fields = fields(record, separator);
            fields.iter().all(|field| field.trim().starts_with('"'))
        };
        match &self.records[..] {
            [first, second, ..] => are_quoted(first) && !are_quoted(second),
            _ => false,
        }
    }
}

/// Cuts text into records: at the ends of lines that are not in quotes. The last is left out where it may continue.
fn records(head: &[u8], is_all: bool) -> Vec<String> {
    let mut records = Vec::new();
    let (mut begin, mut in_quotes, mut at_field) = (0, false, true);
    for (index, &byte) in head.iter().enumerate() {
        match byte {
            b'"' if in_quotes => in_quotes = false,
            b'"' if at_field => in_quotes = true,
            b'\n' if !in_quotes => {
                records.push(&head[begin..index]);
                begin = index + 1;
                if records.len() == RECORDS {
                    break;
                }
            }
            _ => {}
        }
        at_field = match byte {
            b',' | b';' | b'\t' | b'|' | b'\n' => true,
            b' ' => at_field,
            _ => false,
        };
    }
    if is_all && records.len() < RECORDS && begin < head.len() {
        records.push(&head[begin..]);
    }
    let text = |record: &&[u8]| {
        String::from_utf8_lossy(record)
            .trim_end_matches('\r')
            .into()
    };
    records.iter().map(text).collect()
}

/// The fields of a record, as they stand there.
pub(super) fn fields(record: &str, separator: Separator) -> Vec<&str> {
    let (mut fields, mut begin, mut in_quotes) = (Vec::new(), 0, false);
    let record = match separator {
        Separator::Blanks => record.trim(),
        Separator::Byte(_) => record,
    };
    // Whether nothing but blanks of the field has come yet.
    let mut at_field = true;
    for (index, byte) in record.bytes().enumerate() {
        let is_separator = match separator {
            Separator::Byte(separator) => byte == separator,
            Separator::Blanks => matches!(byte, b' ' | b'\t') && !at_field,
        };
        match byte {
            b'"' if in_quotes => in_quotes = false,
            b'"' if at_field => (in_quotes, at_field) = (true, false),
            _ if is_separator && !in_quotes => {
                fields.push(&record[begin..index]);
                (begin, at_field) = (index + 1, true);
            }
            b' ' | b'\t' => {}
            _ => at_field = false,
        }
    }
    fields.push(&record[begin..]);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn separator(text: &str) -> Separator {
        let records = records(text.as_bytes(), true);
        Sample { records }.separator()
    }

    #[test]
    fn separators_are_told_from_decimal_commas() {
        for (text, expected) in [
            ("a,b,c\n", b','),
            ("a;b;c\r\n", b';'),
            ("a\tb\n", b'\t'),
            ("1,5;2,5\n", b';'),
            ("1,5\t2,5\n", b'\t'),
            ("\"a;b;c\",d\n", b','),
            ("1,2\n", b','),
            ("alone", b','),
            ("a|b\n1|2\n", b'|'),
            // A comma in names that are not quoted does not count where the rows have none.
            ("x, m;y, m;z\n1;2;3\n4;5;6\n", b';'),
            ("\"Speed\n(km/h)\";\"Height\n(m)\";Mass\n1;2;3\n", b';'),
            ("\"Speed\n(km/h)\"\t\"Height, (m)\"\tMass\n1\t2\t3\n", b'\t'),
            ("\"a;b\n;c;d\",e\n1,2\n", b','),
        ] {
            assert_eq!(separator(text), Separator::Byte(expected), "{text}");
        }
        for text in [
            "1 2\n3 4\n",
            " 1.5  2\n 3  4 \n",
            "a b\n1,5 2,5\n",
            "1,5  2,5\n",
        ] {
            assert_eq!(separator(text), Separator::Blanks, "{text}");
        }
        // Words in a name of a single column are no columns.
        assert_eq!(separator("wind speed\n1\n2\n"), Separator::Byte(b','));
    }

    #[test]
    fn a_separator_is_named_or_is_the_character() {
        for (text, expected) in [
            ("comma", Separator::Byte(b',')),
            (";", Separator::Byte(b';')),
            ("tab", Separator::Byte(b'\t')),
            ("\t", Separator::Byte(b'\t')),
            ("|", Separator::Byte(b'|')),
            ("blanks", Separator::Blanks),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "ab", "a", "1", "\"", "\n", "é", "."] {
            assert!(text.parse::<Separator>().is_err(), "{text}");
        }
    }
}
