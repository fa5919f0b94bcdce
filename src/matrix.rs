use std::ops::Range;

/// A table of numbers, column after column (feature-major): `values[column * rows + row]`. The executors keep their
/// activations the same way, so that neighboring rows are neighboring lanes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix<T> {
    rows: usize,
    columns: usize,
    values: Vec<T>,
}

impl<T: Copy + Default> Matrix<T> {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self::from_values(rows, columns, vec![T::default(); rows * columns])
    }

    /// From values that lie column after column.
    ///
    /// # Panics
    /// If there are not `rows * columns` values.
    pub fn from_values(rows: usize, columns: usize, values: Vec<T>) -> Self {
        assert_eq!(values.len(), rows * columns, "values of a matrix");
        Matrix {
            rows,
            columns,
            values,
        }
    }

    /// Each number as a function of (row, column).
    pub fn from_fn(rows: usize, columns: usize, mut number: impl FnMut(usize, usize) -> T) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for column in 0..columns {
            values.extend((0..rows).map(|row| number(row, column)));
        }
        Matrix {
            rows,
            columns,
            values,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, column after column.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// As [`Matrix::values`], to keep.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }

    /// All numbers of a column, from the first row on.
    pub fn column(&self, column: usize) -> &[T] {
        &self.values[column * self.rows..][..self.rows]
    }

    /// The same, to be changed.
    pub fn column_mut(&mut self, column: usize) -> &mut [T] {
        &mut self.values[column * self.rows..][..self.rows]
    }

    /// One number.
    pub fn get(&self, row: usize, column: usize) -> T {
        self.column(column)[row]
    }

    /// The numbers of one row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = T> + '_ {
        (0..self.columns).map(move |column| self.get(row, column))
    }

    /// The rows of this table, then those of another with as many columns.
    ///
    /// # Panics
    /// If it has other than as many columns.
    #[must_use]
    pub fn followed_by(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.columns, "columns of two tables");
        Self::from_fn(
            self.rows + other.rows,
            self.columns,
            |row, column| match row.checked_sub(self.rows) {
                None => self.get(row, column),
                Some(row) => other.get(row, column),
            },
        )
    }

    /// The columns of this table, then those of another with as many rows.
    ///
    /// # Panics
    /// If it has other than as many rows.
    #[must_use]
    pub fn concat_columns(&self, other: &Self) -> Self {
        assert_eq!(self.rows, other.rows, "rows of two tables");
        let values = [&self.values[..], &other.values[..]].concat();
        Self::from_values(self.rows, self.columns + other.columns, values)
    }

    /// Some neighboring columns.
    ///
    /// # Panics
    /// If the table does not have them.
    #[must_use]
    pub fn select_columns(&self, columns: Range<usize>) -> Self {
        let values = &self.values[columns.start * self.rows..columns.end * self.rows];
        Self::from_values(self.rows, columns.len(), values.to_vec())
    }

    /// The same table of another type of number.
    pub fn map<U: Copy + Default>(&self, number: impl FnMut(T) -> U) -> Matrix<U> {
        Matrix {
            rows: self.rows,
            columns: self.columns,
            values: self.values.iter().copied().map(number).collect(),
        }
    }
}
