//! How a text table is written: what separates its fields, which lines in front are comments, which line has the names.

use std::io::{self, Read};
use std::str::FromStr;

use crate::data::source::Source;
use crate::data::{ExpectedColumns, TableOptions};

use super::number::{has_decimal_comma, is_missing, is_no_number};

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

/// How much of a file is looked at, and how many of its records.
const HEAD: usize = 1 << 16;
const RECORDS: usize = 100;

/// The share of the records that must have as many fields as the first under a separator that is taken.
const CONSISTENT: f64 = 0.8;

/// Lines in front of a table that are no part of it: comments, which begin with #, and empty ones.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Front {
    /// How many lines.
    pub lines: u64,
    /// How many of them are comments.
    pub comments: u64,
    /// The last comment, without its #.
    pub last_comment: Option<String>,
}

impl Front {
    /// Takes the lines in front of a table off its source.
    pub fn skip(source: &mut Source) -> io::Result<Self> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let mut front = Front::default();
        source.look(HEAD, |_| false)?;
        if source.head.starts_with(BOM) {
            source.head.drain(..BOM.len());
        }
        loop {
            let mut begin = 0;
            let head = &source.head;
            while let Some(end) = head[begin..].iter().position(|byte| *byte == b'\n') {
                if !front.takes(&head[begin..begin + end]) {
                    source.head.drain(..begin);
                    return Ok(front);
                }
                begin += end + 1;
            }
            // What is left has no end: there is more of it, or it is the last line, or a long one.
            if begin > 0 {
                source.head.drain(..begin);
            } else if source.head.is_empty() || !front.takes(&source.head) {
                return Ok(front);
            } else {
                source.skip_line()?;
            }
            source.look(HEAD, |_| false)?;
        }
    }

    /// Whether a line stands in front of the table; it is counted then.
    fn takes(&mut self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if !line.is_empty() && !is_comment(line) {
            return false;
        }
        self.lines += 1;
        if !line.is_empty() {
            self.comments += 1;
            self.last_comment = Some(line.trim_start_matches('#').trim().into());
        }
        true
    }

    /// The names in the last comment, as `# a,b`, if it has one for each column.
    fn names(&self, separator: Separator, width: usize) -> Option<Vec<String>> {
        let fields = fields(self.last_comment.as_deref()?, separator);
        let names: Vec<String> = fields.into_iter().map(unquoted).collect();
        let is_name = |name: &String| is_no_number(name) && !is_missing(name);
        let is_new = |j: usize| !names[..j].contains(&names[j]);
        let are_names = names.iter().all(is_name) && (0..names.len()).all(is_new);
        (names.len() == width && are_names).then_some(names)
    }
}

/// Whether a line is a comment; #N/A is a value that is missing, and #DIV/0! what a spreadsheet could not compute.
pub(super) fn is_comment(line: &str) -> bool {
    let first = line.split([',', ';', '\t', ' ', '|']).next();
    let first = first.unwrap_or_default();
    let is_error = first.ends_with(['!', '?']) && !first.contains(char::is_lowercase);
    line.starts_with('#') && !is_missing(first) && !is_error
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

    /// Whether something holds of the first record and the one after it, if there is one.
    pub fn has_in_all(&self, has: impl Fn(&String) -> bool) -> bool {
        !self.records.is_empty() && self.records.iter().take(2).all(has)
    }

    /// How many fields the first record has under a separator, if most of the others have as many.
    fn width(&self, separator: Separator, share: f64) -> Option<usize> {
        let widths = self.records.iter().filter(|record| {
            let record = record.trim();
            !record.is_empty() && !is_comment(record)
        });
        let widths: Vec<usize> = widths
            .map(|record| fields(record, separator).len())
            .collect();
        let first = *widths.first()?;
        let same = widths.iter().filter(|width| **width == first).count();
        (same as f64 >= share * widths.len() as f64).then_some(first)
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
    fn quotes_its_first(&self, separator: Separator) -> bool {
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
        let in_comment = || match front.names(separator, first.len()) {
            Some(names)
                if !first
                    .iter()
                    .any(|field| is_no_number(field) && !is_missing(field)) =>
            {
                Some(Header::Comment(names))
            }
            _ => None,
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

/// Cuts text into records: at the ends of lines that are not in quotes. The last is left out where it may go on.
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
fn fields(record: &str, separator: Separator) -> Vec<&str> {
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

/// A field without the quotes and the blanks around it.
fn unquoted(field: &str) -> String {
    let field = field.trim();
    let inner = field.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.map_or_else(|| field.into(), |inner| inner.replace("\"\"", "\""))
}

/// Passes text on with one blank for each run of blanks and tabs, and none at either end of a line.
pub(super) struct SingleBlanks<R> {
    inner: R,
    raw: Vec<u8>,
    passed: Vec<u8>,
    next: usize,
    at_begin: bool,
    after_blank: bool,
    in_quotes: bool,
}

impl<R: Read> SingleBlanks<R> {
    pub fn new(inner: R) -> Self {
        SingleBlanks {
            inner,
            raw: vec![0; 1 << 16],
            passed: Vec::new(),
            next: 0,
            at_begin: true,
            after_blank: false,
            in_quotes: false,
        }
    }

    fn pass(&mut self, byte: u8) {
        match byte {
            _ if self.in_quotes => {
                self.in_quotes = byte != b'"';
                self.passed.push(byte);
            }
            b' ' | b'\t' => self.after_blank = true,
            b'\n' | b'\r' => {
                self.passed.push(byte);
                (self.at_begin, self.after_blank) = (true, false);
            }
            _ => {
                let begins = self.at_begin || self.after_blank;
                if self.after_blank && !self.at_begin {
                    self.passed.push(b' ');
                }
                self.in_quotes = begins && byte == b'"';
                self.passed.push(byte);
                (self.at_begin, self.after_blank) = (false, false);
            }
        }
    }
}

impl<R: Read> Read for SingleBlanks<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.next == self.passed.len() {
            let mut raw = std::mem::take(&mut self.raw);
            let count = self.inner.read(&mut raw);
            self.passed.clear();
            self.next = 0;
            if let Ok(count) = count {
                raw[..count].iter().for_each(|&byte| self.pass(byte));
            }
            self.raw = raw;
            if count? == 0 {
                return Ok(0);
            }
        }
        let count = out.len().min(self.passed.len() - self.next);
        out[..count].copy_from_slice(&self.passed[self.next..][..count]);
        self.next += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

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

    fn front(text: &str) -> (Front, String) {
        let rest = Cursor::new(text.as_bytes().to_vec());
        let mut source = Source::new("t".into(), Box::new(rest)).unwrap();
        let front = Front::skip(&mut source).unwrap();
        let mut left = String::new();
        source.into_reader().read_to_string(&mut left).unwrap();
        (front, left)
    }

    #[test]
    fn comments_in_front_are_taken_off() {
        let (skipped, left) = front("\u{feff}# made by a tool\r\n\n  \n## a,b\n1,2\n# end\n");
        assert_eq!((skipped.lines, skipped.comments), (4, 2));
        assert_eq!(left, "1,2\n# end\n");
        let names = |separator, width| skipped.names(separator, width);
        let comma = Separator::Byte(b',');
        assert_eq!(names(comma, 2), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(comma, 3), None);
        for value in ["#N/A,1\n", "#DIV/0!,1\n", "#NAME?,1\n"] {
            assert_eq!(front(value).1, value);
        }
        assert_eq!(front("# alone").1, "");
        // A comment longer than what is looked at.
        let long = format!("#{}\na,b\n", "x".repeat(3 * HEAD));
        assert_eq!(front(&long).1, "a,b\n");
        for comment in ["# made 2024", "# a,a", "# 1,2", "# a,"] {
            let (front, _) = front(&format!("{comment}\n1,2\n"));
            assert_eq!(front.names(comma, 2), None, "{comment}");
        }
    }

    #[test]
    fn runs_of_blanks_become_one() {
        let text = "  1.5 \t 2 \r\n\"a  b\"   3\n\n 4\t5";
        // A few bytes at a time, as a pipe may hand them out.
        for few in [1, 2, 1000] {
            let mut reader = SingleBlanks::new(text.as_bytes());
            let mut out: Vec<u8> = Vec::new();
            let mut buffer = vec![0; few];
            loop {
                match reader.read(&mut buffer).unwrap() {
                    0 => break,
                    count => out.extend(&buffer[..count]),
                }
            }
            assert_eq!(out, b"1.5 2\r\n\"a  b\" 3\n\n4 5");
        }
    }
}
