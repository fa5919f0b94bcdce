use std::io;

use crate::data::source::Source;

use super::number::is_missing;
use super::separator::Separator;

/// How much of a file is looked at at once.
pub(super) const HEAD: usize = 1 << 16;

/// Lines in front of a table that are no part of it: comments, which begin with # or, there, with % or //, empty ones, and
/// `sep=;`, by which spreadsheets say what separates the fields.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Front {
    /// How many lines.
    pub lines: u64,
    /// How many of them are comments.
    pub comments: u64,
    /// The last comment, without what it begins with.
    pub last_comment: Option<String>,
    /// What a first line says that the separator is.
    pub separator: Option<Separator>,
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
        if self.lines == 0 {
            self.separator = said_separator(&line);
        }
        let is_separator = self.lines == 0 && self.separator.is_some();
        let line = line.trim();
        let marks = match line {
            _ if is_comment(line) => "#",
            _ if line.starts_with("//") => "/",
            // A name may begin with a percent sign.
            _ if line.starts_with('%') && !line[1..].starts_with(|c: char| c.is_alphanumeric()) => {
                "%"
            }
            _ if line.is_empty() || is_separator => "",
            _ => return false,
        };
        self.lines += 1;
        if !marks.is_empty() {
            self.comments += 1;
            self.last_comment = Some(line.trim_start_matches(marks).trim().into());
        }
        true
    }
}

/// The separator that a line such as `sep=;` says.
fn said_separator(line: &str) -> Option<Separator> {
    let line = line.trim_end_matches(['\r', '"']).trim_start_matches('"');
    let (key, said) = line.split_at_checked(4)?;
    let separator = said.parse().ok().filter(|_| said.len() == 1);
    separator.filter(|_| key.eq_ignore_ascii_case("sep="))
}

/// Whether a line is a comment; #N/A is a value that is missing, and #DIV/0! what a spreadsheet could not compute.
pub(super) fn is_comment(line: &str) -> bool {
    let first = line.split([',', ';', '\t', ' ', '|']).next();
    let first = first.unwrap_or_default();
    let is_error = first.ends_with(['!', '?']) && !first.contains(char::is_lowercase);
    line.starts_with('#') && !is_missing(first) && !is_error
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

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
        for value in ["#N/A,1\n", "#DIV/0!,1\n", "#NAME?,1\n"] {
            assert_eq!(front(value).1, value);
        }
        assert_eq!(front("# alone").1, "");
        for comment in ["% a tool\n%\n%% end\n", "// a tool\n"] {
            assert_eq!(front(&format!("{comment}a,b\n")).1, "a,b\n");
        }
        assert_eq!(front("%fat,weight\n").1, "%fat,weight\n");
        assert_eq!(front("a\n% b\n").1, "a\n% b\n");
        // A comment longer than what is looked at.
        let long = format!("#{}\na,b\n", "x".repeat(3 * HEAD));
        assert_eq!(front(&long).1, "a,b\n");
    }

    #[test]
    fn a_first_line_may_say_the_separator() {
        for (line, byte) in [("sep=;", b';'), ("\"SEP=|\"\r", b'|'), ("sep=\t", b'\t')] {
            let (skipped, left) = front(&format!("{line}\na;b\n"));
            assert_eq!(skipped.separator, Some(Separator::Byte(byte)), "{line}");
            assert_eq!((skipped.lines, left.as_str()), (1, "a;b\n"));
        }
        for line in ["sep=", "sep=ab", "sep=x", "step;", "# sep=;"] {
            assert_eq!(front(&format!("{line}\n")).0.separator, None, "{line}");
        }
    }
}
