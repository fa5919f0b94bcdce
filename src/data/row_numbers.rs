/// Which rows of a table the rows of a matrix are, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowNumbers<'a> {
    /// All of them.
    All,
    /// Those from this number on, counted from 1.
    From(u64),
    /// Those with these numbers, counted from 1.
    Listed(&'a [u64]),
}

impl RowNumbers<'_> {
    /// The number in the table, counted from 1, of the row of this index.
    pub fn of(self, index: usize) -> u64 {
        match self {
            RowNumbers::All => index as u64 + 1,
            RowNumbers::From(first) => first + index as u64,
            RowNumbers::Listed(numbers) => numbers[index],
        }
    }

    /// Those of a sample, or all where nothing is listed.
    pub fn listed(numbers: &[u64]) -> RowNumbers<'_> {
        match numbers.is_empty() {
            true => RowNumbers::All,
            false => RowNumbers::Listed(numbers),
        }
    }
}
