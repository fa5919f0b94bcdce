//! Takes the rows of a long table, of which a sample was prepared.

use std::sync::Arc;

use crate::collective::Collective;
use crate::data::{AllRows, RowNumbers, RowSplit};
use crate::error::{Error, Message, Remedy, Result};
use crate::executor::Share;
use crate::matrix::Matrix;
use crate::train::Offsets;

use super::Prepared;
use super::prepared::{Apart, loss_weight, scaled};
use super::roles::Roles;
use super::scratch::ScratchWriter;

impl Prepared {
    /// Takes all rows of a table in the place of its sample, of which the roles are and which this was prepared with. Each is held once, as
    /// the flow sees it, in memory or in a scratch file.
    ///
    /// # Errors
    /// [`Error::Data`] names the first row that cannot be fitted, or says that there are too many; [`Error::Spec`] for several flows over rows that are
    /// streamed; [`Error::Io`] where there can be no scratch file.
    pub(super) fn take_all(
        &mut self,
        roles: &Roles<'_>,
        mut table: AllRows<'_, '_>,
        ranks: &Arc<dyn Collective>,
    ) -> Result<()> {
        if u32::try_from(table.rows).is_err() {
            return Err(Error::data(format!(
                "{} rows are more than the {} that can be trained on",
                table.rows,
                u32::MAX
            )));
        }
        self.is_sampled = true;
        let train = &self.config.train;
        let split = RowSplit::new(self.config.held_out(), train.seed);
        let (seed, width) = (train.seed, self.rows.columns());
        let names: Vec<String> = self.model.all_columns();
        let mut held_out = Held::new(0, width);
        let (rank, size) = (ranks.rank(), ranks.size());
        if size > 1 || table.streaming.is_some() {
            self.check_apart()?;
        }
        let mut training = match table.streaming {
            _ if size > 1 => Training::Share(Held::new(table.rows as usize / size + 1, width)),
            None => Training::Memory(Held::new(table.rows as usize, width)),
            Some(streaming) => {
                let weighted = roles.has_weights();
                let writer = ScratchWriter::new(streaming, table.rows, width, weighted, seed)?;
                Training::Scratch(Box::new(writer))
            }
        };
        let (mut log_bound, mut mass, mut count) = (0.0, 0.0, 0);
        while let Some((first, values)) = table.next()? {
            let numbers = RowNumbers::From(first);
            let (rows, weights) = roles.take(&values, numbers)?;
            let keys = roles.keys_of(&rows, self.has_copies, numbers);
            let rows = roles.preimages(&rows, &keys, seed);
            let preprocessing = &self.model.preprocessing;
            let seen = preprocessing.training_rows(&rows, numbers, &names)?;
            let weight = |row: &usize| weights.get(*row).copied().unwrap_or(1.0);
            let (held, trained): (Vec<usize>, Vec<usize>) = (0..seen.rows())
                .filter(|row| weight(row) > 0.0)
                .partition(|&row| split.holds_out(keys[row]));
            match &mut training {
                Training::Memory(rows) => rows.push(&seen, &weights, &trained, first),
                Training::Share(rows) => {
                    let numbered = trained.iter().enumerate();
                    let mine = numbered.filter(|(index, _)| (count + index) % size == rank);
                    let mine: Vec<usize> = mine.map(|(_, row)| *row).collect();
                    rows.push(&seen, &weights, &mine, first);
                }
                Training::Scratch(writer) => writer.push(&seen, &weights, &trained, first)?,
            }
            held_out.push(&seen, &weights, &held, first);
            count += trained.len();
            mass += trained.iter().map(weight).sum::<f64>();
            let of_rows = self.log_bound(&seen, false);
            let bounds = trained.iter().map(|row| of_rows[*row] * weight(row));
            log_bound += bounds.sum::<f64>();
        }
        let (held_out, held_numbers, held_weights) = held_out.into_parts();
        let scale = count as f64 / mass;
        let validation_weights = match training {
            Training::Memory(rows) => {
                let (rows, numbers, weights) = rows.into_parts();
                let (weights, validation_weights) = scaled(&weights, held_weights);
                self.rows = Arc::new(rows);
                self.weights = Arc::new(weights);
                self.split.training = numbers;
                validation_weights
            }
            Training::Share(rows) => {
                let (rows, _, weights) = rows.into_parts();
                let scaled = weights.iter().map(|w| loss_weight(*w, scale));
                self.split.training = in_table(roles, &self.split.training);
                self.apart = Some(Apart::Share(Share {
                    rows: (Arc::new(rows), Arc::new(scaled.collect())),
                    count,
                    has_all: false,
                }));
                held_weights.iter().map(|weight| weight * scale).collect()
            }
            Training::Scratch(writer) => {
                self.split.training = in_table(roles, &self.split.training);
                let scratch = Arc::new(writer.finish(scale)?);
                self.apart = Some(Apart::Scratch(scratch, count));
                held_weights.iter().map(|weight| weight * scale).collect()
            }
        };
        let held_out = held_out.map(f64::from);
        self.offsets = Offsets {
            all: -log_bound / mass,
            validation: match held_out.rows() {
                0 => 0.0,
                _ => Offsets::of_held_out(&self.log_bound(&held_out, false), &validation_weights),
            },
        };
        self.validation = (held_out.rows() > 0).then_some(held_out);
        self.validation_weights = validation_weights;
        self.split.held_out = held_numbers;
        Ok(())
    }

    /// Refuses what takes all rows at once.
    fn check_apart(&self) -> Result<()> {
        let train = &self.config.train;
        let (key, value, text, other) = match (train.ensemble, train.batch_size) {
            (1, 1..) => return Ok(()),
            (1, _) => (
                "batch_size",
                0,
                "rows that are streamed, or shared between processes, are taken in batches",
                ("take some of them in each step", 512),
            ),
            (count, _) => (
                "ensemble",
                count,
                "of rows that are streamed, or shared between processes, no flow holds out others than the next",
                ("train one flow", 1),
            ),
        };
        let message = Message::about(key, value, text);
        Err(Error::Spec(
            message.remedy(Remedy::new(other.0, key, other.1)),
        ))
    }
}

/// The numbers in the table, from 0 on, of rows of its sample.
fn in_table(roles: &Roles<'_>, rows: &[u32]) -> Vec<u32> {
    let number = |row: &u32| roles.in_table().of(*row as usize) as u32 - 1;
    rows.iter().map(number).collect()
}

/// Where the rows trained on go.
enum Training {
    Memory(Held),
    /// Those of this process alone.
    Share(Held),
    Scratch(Box<ScratchWriter>),
}

/// Rows in memory that are added to.
struct Held {
    /// Column by column, each with room for as many rows.
    values: Vec<f32>,
    room: usize,
    columns: usize,
    numbers: Vec<u32>,
    weights: Vec<f64>,
}

impl Held {
    fn new(room: usize, columns: usize) -> Self {
        Held {
            // Memory that was not written to is not taken yet.
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
        let before = first - 1;
        self.numbers
            .extend(some.iter().map(|&row| (before + row as u64) as u32));
        self.weights
            .extend(some.iter().filter_map(|&row| weights.get(row)));
    }

    fn make_room(&mut self, room: usize) {
        let mut values = vec![0.0; room * self.columns];
        for j in 0..self.columns {
            let column = &self.values[j * self.room..][..self.numbers.len()];
            values[j * room..][..column.len()].copy_from_slice(column);
        }
        (self.values, self.room) = (values, room);
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
