//! Flows that are trained one after the other, each with other rows held out.

use std::borrow::Cow;
use std::sync::Arc;

use crate::data::{Split, take, take_weights};
use crate::mixture::Folds;
use crate::train::Offsets;

use super::Prepared;
use super::prepared::{copies_among, scaled};
use super::stacking::FOLDS;

impl Prepared {
    /// The rows in folds, each of which is judged by what was fitted to the others: what the flows of an ensemble hold out, or the folds
    /// of a mixture alone. None where every row was held out from the whole model, or none from any part of it.
    pub(super) fn folds(&self) -> Option<Arc<Folds>> {
        match self.is_mixture_alone() || self.model.flows.is_empty() {
            true => Some(Arc::new(self.mixture_folds())),
            false => self.flow_folds.clone(),
        }
    }

    /// The folds that mixtures are weighed by.
    pub(super) fn mixture_folds(&self) -> Folds {
        let copies = copies_among(&self.rows, self.has_copies);
        Folds::new(&copies, FOLDS, self.config.train.seed)
    }

    /// What one flow of an ensemble is trained with: its own seed, and its own rows held out. Of a single flow, all there is.
    pub fn of_flow(&self, index: usize) -> Cow<'_, Prepared> {
        if self.config.train.ensemble == 1 {
            return Cow::Borrowed(self);
        }
        let config = self.config.of_flow(index);
        let (training, held_out) = match &self.flow_folds {
            Some(folds) => folds.split(index % folds.count()),
            None => ((0..self.rows.rows() as u32).collect(), Vec::new()),
        };
        let rows = take(&self.rows, &training);
        let validation = (!held_out.is_empty()).then(|| take(&self.rows, &held_out).map(f64::from));
        let all = self.training_weights();
        let [of_training, of_held_out] =
            [&training, &held_out].map(|numbers| take_weights(&all, numbers));
        let (weights, validation_weights) = scaled(&of_training, of_held_out);
        let of_validation =
            |rows| Offsets::of_held_out(&self.log_bound(rows, true), &validation_weights);
        let offsets = Offsets {
            all: Offsets::of_rows(&self.log_bound(&rows, true), &weights),
            validation: validation.as_ref().map_or(0.0, of_validation),
        };
        let in_table = |numbers: Vec<u32>| -> Vec<u32> {
            let of_table = numbers.into_iter();
            of_table
                .map(|row| self.split.training[row as usize])
                .collect()
        };
        Cow::Owned(Prepared {
            config,
            model: self.model.with_flow(index),
            rows: Arc::new(rows),
            weights: Arc::new(weights),
            validation,
            validation_weights,
            offsets,
            split: Split {
                training: in_table(training),
                held_out: in_table(held_out),
            },
            flow_folds: None,
            has_copies: self.has_copies,
            warnings: Vec::new(),
            notes: Vec::new(),
            effective_rows: self.effective_rows,
            is_sampled: self.is_sampled,
            apart: None,
            ranks: self.ranks.clone(),
            ground_truth: self.ground_truth.clone(),
        })
    }
}
