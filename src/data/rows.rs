use crate::error::Result;
use crate::matrix::Matrix;

/// What a format reads rows with.
pub(super) trait Rows: Send {
    /// The next rows, `most` of them at most, of the columns that are read; none at the end.
    fn next(&mut self, most: usize) -> Result<Option<Matrix<f64>>>;
}

/// An opened file, before its rows are read.
pub(super) struct Opened {
    pub columns: Vec<String>,
    pub named: bool,
    /// How many rows the file says it has.
    pub promised: Option<usize>,
    pub rows: Box<dyn Rows>,
}
