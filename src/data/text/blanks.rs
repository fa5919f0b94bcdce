use std::io::{self, Read};

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
    use super::*;

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
