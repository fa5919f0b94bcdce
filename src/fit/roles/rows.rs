//! What the rows are that roles were chosen for: which are equal, which are held out, and what in them speaks against a density.

use std::borrow::Cow;

use crate::config::Config;
use crate::data::{
    Repeats, RowNumbers, RowSplit, Split, Table, effective_sample_size, row_hashes, selector, take,
};
use crate::error::{Error, Message, Remedy, Result, list, quote};
use crate::fit::quality::{QualityKind, QualityWarning, warnings_of_rows};
use crate::frequencies::Frequencies;
use crate::kinds::NumberColumn;
use crate::matrix::Matrix;
use crate::preprocessing::check_levels;

use super::{Roles, check_weights, in_order};

/// How many times as many rows must differ as real numbers do for these to count as rounded.
const ROUNDED: f64 = 1.2;

impl Roles<'_> {
    /// Whether all of the modelled columns hold numbers that are apart from one another: equal rows are no copies then.
    fn is_discrete(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.iter().all(NumberColumn::is_discrete)
    }

    /// What tells each row from others, where equal rows are to be taken for one: `repeats` has those that are equal.
    pub fn keys(&self, repeats: &Repeats) -> Vec<u64> {
        if !self.numbers.is_empty() {
            return self.keys_of(
                &self.rows,
                repeats.copies() > 0,
                RowNumbers::Listed(&self.numbers),
            );
        }
        // Of the rows that count, where others do not.
        let kept = self.kept();
        let mut keys: Vec<u64> = (0..self.rows.rows() as u64).collect();
        if !self.is_discrete() {
            for k in 0..repeats.rows() as u32 {
                let row = |k: u32| kept.as_ref().map_or(k, |kept| kept[k as usize]);
                keys[row(k) as usize] = row(repeats.first(k)).into();
            }
        }
        keys
    }

    /// The same of other rows of the table that these are a sample of: their numbers, or what is in them where rows may be copies.
    pub fn keys_of(
        &self,
        rows: &Matrix<f64>,
        has_copies: bool,
        numbers: RowNumbers<'_>,
    ) -> Vec<u64> {
        match has_copies {
            true => row_hashes(rows, None),
            false => (0..rows.rows()).map(|row| numbers.of(row)).collect(),
        }
    }

    /// The rows as flows are fitted to them: real numbers that become those of the table. Rows with the same key have the same ones.
    pub fn preimages<'r>(
        &self,
        rows: &'r Matrix<f64>,
        keys: &[u64],
        seed: u64,
    ) -> Cow<'r, Matrix<f64>> {
        if self.kinds.is_empty() {
            return Cow::Borrowed(rows);
        }
        Cow::Owned(Matrix::from_fn(rows.rows(), rows.columns(), |row, j| {
            let x = rows.get(row, j);
            let column = self.kinds.get(j);
            column.map_or(x, |it| it.random_preimage(x, seed, keys[row], j))
        }))
    }

    /// Rows of the table that the roles were chosen for, with all its columns, as a fit takes them, and their weights.
    ///
    /// # Errors
    /// As [`Roles::of`], for what is in the rows.
    pub fn take<'r>(
        &self,
        values: &'r Matrix<f64>,
        numbers: RowNumbers<'_>,
    ) -> Result<(Cow<'r, Matrix<f64>>, Vec<f64>)> {
        let rows = match self.taken.is_empty() {
            true => Cow::Borrowed(values),
            false => Cow::Owned(in_order(values, &self.taken)),
        };
        self.check_numbers(&rows, numbers)?;
        check_levels(&self.context, &rows, numbers, self.columns.len())?;
        let weights = match self.weighted_by {
            None => Vec::new(),
            Some((column, divisor)) => {
                let weights = values.column(column);
                check_weights(weights, numbers, format!("column {}", column + 1))?;
                weights.iter().map(|w| w / divisor).collect()
            }
        };
        Ok((rows, weights))
    }

    /// Whether rows have weights.
    pub fn has_weights(&self) -> bool {
        self.weighted_by.is_some()
    }

    /// Checks rows against the kinds of the columns.
    pub(super) fn check_numbers(&self, rows: &Matrix<f64>, numbers: RowNumbers<'_>) -> Result<()> {
        for (j, column) in self.kinds.iter().enumerate() {
            column
                .check(rows.column(j), numbers, &self.columns[j])
                .map_err(Error::Data)?;
        }
        Ok(())
    }

    /// The frequencies of the levels in some rows, where columns of categories are modelled.
    pub fn frequencies(&self, rows: &[u32], weights: &[f64]) -> Option<Frequencies> {
        let levels = self.context.iter().map(|column| column.levels.len());
        (self.categories > 0).then(|| {
            let all = self.rows.columns();
            let context = self.rows.select_columns(self.columns.len()..all);
            let rows = take(&context, rows);
            Frequencies::fit(&rows, levels.collect(), self.categories, weights)
        })
    }

    /// The rows that count, by their numbers.
    fn kept(&self) -> Option<Vec<u32>> {
        let weights = self.weights.iter().zip(0..);
        let kept: Vec<u32> = weights
            .filter(|(w, _)| **w > 0.0)
            .map(|(_, row)| row)
            .collect();
        (kept.len() < self.weights.len()).then_some(kept)
    }

    /// Which of the rows that count are equal.
    pub fn repeats(&self) -> Repeats {
        let rows = match self.kept() {
            None => Cow::Borrowed(&*self.rows),
            Some(kept) => Cow::Owned(take(&self.rows, &kept)),
        };
        if self.is_discrete() {
            return Repeats::none(rows.rows());
        }
        let repeats = Repeats::of(&rows);
        if self.categories > 0 || !self.kinds.is_empty() {
            let is_real = |j: &usize| self.kinds.get(*j).is_none_or(|it| !it.is_discrete());
            let real: Vec<usize> = (0..self.columns.len()).filter(is_real).collect();
            let of_real = Repeats::of(&in_order(&rows, &real));
            // Numbers that repeat without the rest of their rows are rounded, and equal rows no copies.
            if of_real.worth() < of_real.rows()
                && of_real.distinct() as f64 * ROUNDED < repeats.distinct() as f64
            {
                return Repeats::none(rows.rows());
            }
        }
        repeats
    }

    /// How many rows the table is worth; `repeats` has those of it that are equal.
    pub fn worth(&self, repeats: &Repeats) -> usize {
        if self.weights.is_empty() {
            return repeats.worth();
        }
        let counted = match self.numbers.is_empty() {
            true => repeats.rows(),
            false => self.rows.rows(),
        };
        let fraction = effective_sample_size(&self.weights) / counted as f64;
        (fraction * repeats.worth() as f64).round() as usize
    }

    /// Which rows are trained on and which are held out, by their indices; `repeats` and `keys` say which are equal.
    pub fn split(&self, repeats: &Repeats, keys: &[u64], config: &Config) -> Split {
        let (fraction, seed) = (config.held_out(), config.train.seed);
        if !self.numbers.is_empty() {
            let mut split = RowSplit::new(fraction, seed).split(keys);
            if !self.weights.is_empty() {
                let counts = |row: &u32| self.weights[*row as usize] > 0.0;
                split.training.retain(counts);
                split.held_out.retain(counts);
            }
            return split;
        }
        let mut split = Split::new(repeats, fraction, seed);
        if let Some(kept) = self.kept() {
            for row in split.training.iter_mut().chain(&mut split.held_out) {
                *row = kept[*row as usize];
            }
        }
        split
    }

    /// What the modelled columns hold that nothing has said, a sentence each.
    pub fn notes(&self) -> Vec<Message> {
        let of_numbers = self.proposed.iter().map(|&j| {
            let (name, kind) = (&self.columns[j], &self.kinds[j]);
            let other = format!("{}=real", selector(j, &self.columns));
            Message::new(format!("{} holds {}", quote(name), kind.all_of_them()))
                .remedy(Remedy::new("take them for any numbers", "column", other))
                .in_column(name)
        });
        let of_levels = self.context[..self.categories].iter().map(|column| {
            let text = format!(
                "{} holds {} categories, {}",
                quote(&column.name),
                column.levels.len(),
                list(&column.levels)
            );
            Message::new(text)
                .remedy(Remedy::new("take them as context", "given", &column.name))
                .in_column(&column.name)
        });
        let constant = self.constant.iter().map(|(name, number)| {
            let text = format!("{} is {number} in every row, and is left out", quote(name));
            Message::new(text).in_column(name)
        });
        constant.chain(of_numbers).chain(of_levels).collect()
    }

    /// The modelled columns of numbers of the rows that count, as a table: those of separate numbers, or the others.
    fn numbers(&self, is_discrete: bool) -> Table {
        let is_it = |j: &usize| {
            let kind = self.kinds.get(*j);
            kind.is_some_and(NumberColumn::is_discrete) == is_discrete
        };
        let columns: Vec<usize> = (0..self.columns.len()).filter(is_it).collect();
        let values = in_order(&self.rows, &columns);
        Table {
            levels: vec![Vec::new(); columns.len()],
            columns: columns.iter().map(|&j| self.columns[j].clone()).collect(),
            named: self.named,
            values: match self.kept() {
                None => values,
                Some(kept) => take(&values, &kept),
            },
            dropped: Default::default(),
            notes: Vec::new(),
        }
    }

    /// What in the columns speaks against fitting a density to them; `repeats` has the rows of the table that are equal.
    pub fn quality_warnings(&self, repeats: &Repeats) -> Vec<QualityWarning> {
        let numbers: Vec<u64> = match (self.kept(), &self.numbers[..]) {
            (_, []) => Vec::new(),
            (None, numbers) => numbers.to_vec(),
            (Some(kept), numbers) => kept.iter().map(|&row| numbers[row as usize]).collect(),
        };
        let numbers = RowNumbers::listed(&numbers);
        let real = self.numbers(false);
        let is_whole = self.context.is_empty() && self.weights.is_empty();
        let mut found = match is_whole || self.categories > 0 || !self.kinds.is_empty() {
            // Rows that differ in other columns are no copies.
            true => warnings_of_rows(&real, numbers, repeats),
            false => warnings_of_rows(&real, numbers, &Repeats::of(&real.values)),
        };
        let discrete = self.numbers(true);
        let none = Repeats::none(discrete.values.rows());
        let of_discrete = warnings_of_rows(&discrete, numbers, &none).into_iter();
        // They may repeat, and follow from one another.
        let counts =
            |it: &QualityWarning| matches!(it.kind, QualityKind::RowIndex | QualityKind::FarValue);
        found.extend(of_discrete.filter(counts));
        found
    }
}
