use crate::error::Result;
use crate::matrix::Matrix;

/// What a format reads rows with.
pub(super) trait Rows: Send {
    /// The next rows, `most` of them at most, of the columns that are read; none at the end.
    fn next(&mut self, most: usize) -> Result<Option<Matrix<f64>>>;
}

/// How often more than once something is wrong in a column.
pub(super) fn and_more(count: usize) -> String {
    match count - 1 {
        0 => String::new(),
        more => format!(", and so in {more} more of its rows"),
    }
}

/// What is wrong with columns, a sentence each, as far as a message has room.
pub(super) fn told(mut sentences: Vec<String>) -> Vec<String> {
    const TOLD: usize = 8;
    let more = sentences.len().saturating_sub(TOLD);
    if more > 0 {
        sentences.truncate(TOLD);
        sentences.push(format!("and {more} more columns are like this"));
    }
    sentences
}

/// What to do about numbers that cannot be used.
pub(super) const WAY_OUT: &str =
    "fill in or remove such rows, or leave such columns out with --exclude";

/// An opened file, before its rows are read.
pub(super) struct Opened {
    pub columns: Vec<String>,
    pub named: bool,
    /// How many rows the file says it has.
    pub promised: Option<usize>,
    pub rows: Box<dyn Rows>,
}
