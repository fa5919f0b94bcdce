//! Takes the rows of a long table, of which a sample was prepared.

use std::sync::Arc;

use crate::data::{AllRows, RowNumbers, RowSplit, Split};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::train::Offsets;

use super::Prepared;
use super::prepared::scaled;
use super::roles::Roles;

impl Prepared {
    /// Takes all rows of a table in the place of its sample, of which the roles are and which this was prepared with. Each is held once, as
    /// the flow sees it.
    ///
    /// # Errors
    /// [`Error::Data`] names the first row that cannot be fitted, or says that there are too many.
    pub(super) fn take_all(&mut self, roles: &Roles<'_>, mut table: AllRows<'_, '_>) -> Result<()> {
        let total = table.rows;
        if u32::try_from(total).is_err() {
            return Err(Error::data(format!(
                "{total} rows are more than the {} that can be trained on",
                u32::MAX
            )));
        }
        self.is_sampled = true;
        let train = &self.config.train;
        let split = RowSplit::new(self.config.held_out(), train.seed);
        let (seed, width) = (train.seed, self.rows.columns());
        let names: Vec<String> = self.model.all_columns();
        let mut training = Taken::new(total as usize, width);
        let mut held_out = Taken::new(0, width);
        let mut log_bound = 0.0;
        while let Some((first, values)) = table.next() {
            let numbers = RowNumbers::From(first);
            let (rows, weights) = roles.take(&values, numbers)?;
            let keys = roles.keys_of(&rows, self.has_copies, numbers);
            let rows = roles.preimages(&rows, &keys, seed);
            let seen = self
                .model
                .preprocessing
                .training_rows(&rows, numbers, &names)?;
            let counts = |row: &usize| weights.get(*row).is_none_or(|weight| *weight > 0.0);
            let (held, trained): (Vec<usize>, Vec<usize>) = (0..seen.rows())
                .filter(counts)
                .partition(|&row| split.holds_out(keys[row]));
            training.push(&seen, &weights, &trained, first);
            held_out.push(&seen, &weights, &held, first);
            let of_rows = self.log_bound(&seen, false);
            let of_row = |row: &usize| of_rows[*row] * weights.get(*row).unwrap_or(&1.0);
            log_bound += trained.iter().map(of_row).sum::<f64>();
        }
        let (training, numbers, weights) = training.into_parts();
        let (held_out, held_numbers, held_weights) = held_out.into_parts();
        let total: f64 = match weights.is_empty() {
            true => training.rows() as f64,
            false => weights.iter().sum(),
        };
        let (weights, validation_weights) = scaled(&weights, held_weights);
        let held_out = held_out.map(f64::from);
        self.offsets = Offsets {
            all: -log_bound / total,
            validation: match held_out.rows() {
                0 => 0.0,
                _ => Offsets::of_held_out(&self.log_bound(&held_out, false), &validation_weights),
            },
        };
        self.rows = Arc::new(training);
        self.weights = Arc::new(weights);
        self.validation = (held_out.rows() > 0).then_some(held_out);
        self.validation_weights = validation_weights;
        self.split = Split {
            training: numbers,
            held_out: held_numbers,
        };
        Ok(())
    }
}

/// Rows that are added to, column by column.
struct Taken {
    values: Vec<f32>,
    /// Rows that there is room for.
    room: usize,
    columns: usize,
    numbers: Vec<u32>,
    weights: Vec<f64>,
}

impl Taken {
    fn new(room: usize, columns: usize) -> Self {
        Taken {
            // Untouched memory is not there yet.
            values: vec![0.0; room * columns],
            room,
            columns,
            numbers: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Some rows of a chunk whose first row has this number in the table, from 1 on.
    fn push(&mut self, seen: &Matrix<f32>, weights: &[f64], some: &[usize], first: u64) {
        let at = self.numbers.len();
        if at + some.len() > self.room {
            self.make_room(2 * (at + some.len()));
        }
        for j in 0..self.columns {
            let column = seen.column(j);
            let to = &mut self.values[j * self.room + at..][..some.len()];
            for (to, &row) in to.iter_mut().zip(some) {
                *to = column[row];
            }
        }
        self.numbers
            .extend(some.iter().map(|&row| (first - 1) as u32 + row as u32));
        self.weights
            .extend(some.iter().filter_map(|&row| weights.get(row)));
    }

    fn make_room(&mut self, room: usize) {
        let mut wider = Taken::new(room, self.columns);
        for j in 0..self.columns {
            let column = &self.values[j * self.room..][..self.numbers.len()];
            wider.values[j * room..][..column.len()].copy_from_slice(column);
        }
        (self.values, self.room) = (wider.values, room);
    }

    /// The rows, their numbers and their weights.
    fn into_parts(mut self) -> (Matrix<f32>, Vec<u32>, Vec<f64>) {
        let count = self.numbers.len();
        // In place: a second copy would be as large.
        for j in 1..self.columns {
            let from = j * self.room;
            self.values.copy_within(from..from + count, j * count);
        }
        self.values.truncate(self.columns * count);
        let rows = Matrix::from_values(count, self.columns, self.values);
        (rows, self.numbers, self.weights)
    }
}
