//! The model file: safetensors, with the spec, the column names and the preprocessing in its metadata.

mod description;
mod file;
mod given;
mod members;
mod rounding;
mod tensors;

use crate::config::TrainConfig;
use crate::data::ExpectedColumns;
use crate::error::{Error, Message, Remedy, Result};
use crate::flow::{Density, FlowSpec, Layout, Plan};
use crate::frequencies::Frequencies;
use crate::preprocessing::{ContextColumn, Preprocessing};

#[cfg(feature = "cli")]
pub(crate) use file::tensors_alone;
pub use file::{ModelFileKind, peek, read};
use members::check_weights;
pub use members::{WeightedFlow, WeightedMixture};
pub use rounding::SampleRounding;
pub use tensors::parameters_of;

/// A trained flow with what is needed to use it on data.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The flow.
    pub spec: FlowSpec,
    /// Names of the modelled columns of numbers.
    pub columns: Vec<String>,
    /// Whether the names come from the data; else they are x0, x1, ...
    pub named: bool,
    /// What is done to a row before the flow sees it.
    pub preprocessing: Preprocessing,
    /// The distribution of the modelled columns of categories, which are the first of those that the flows take as context; the others
    /// are what is given.
    pub frequencies: Option<Frequencies>,
    /// Where each modelled column stands among those of the table, the columns of numbers first; empty where that is their order.
    pub order: Vec<usize>,
    /// The flows: one of weight 1, several, or none where a mixture is all there is. They have the same spec.
    pub flows: Vec<WeightedFlow>,
    /// A Gaussian mixture beside them.
    pub mixture: Option<WeightedMixture>,
    /// How it was trained, where that is known.
    pub training: Option<TrainConfig>,
}

impl Model {
    /// The plan of the model's flow.
    ///
    /// # Errors
    /// As [`FlowSpec::validate`].
    pub fn plan(&self) -> Result<Plan> {
        Plan::new(&self.spec)
    }

    /// The modelled columns of categories.
    pub fn categories(&self) -> &[ContextColumn] {
        let count = self.frequencies.as_ref().map_or(0, Frequencies::modelled);
        let all = self.preprocessing.context_columns();
        &all[..count.min(all.len())]
    }

    /// The columns of context that are given.
    pub fn given(&self) -> &[ContextColumn] {
        &self.preprocessing.context_columns()[self.categories().len()..]
    }

    /// The names of the modelled columns: of numbers, then of categories.
    pub fn modelled(&self) -> Vec<String> {
        let categories = self.categories().iter().map(|column| &column.name);
        self.columns.iter().chain(categories).cloned().collect()
    }

    /// The modelled columns of a row in the order of the table.
    pub fn modelled_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.modelled().len()).collect();
        if !self.order.is_empty() {
            order.sort_by_key(|&j| self.order[j]);
        }
        order
    }

    /// The columns of a row in the order of the table, then the context.
    pub fn table_order(&self) -> Vec<usize> {
        let mut order = self.modelled_order();
        let modelled = order.len();
        order.extend(modelled..modelled + self.given().len());
        order
    }

    /// The names of the columns of a row: the modelled ones, then the context.
    pub fn all_columns(&self) -> Vec<String> {
        let mut columns = self.modelled();
        columns.extend(self.context_names());
        columns
    }

    /// The modelled ones of the columns that a table needs to have, where the context is in another.
    pub fn expected_modelled(&self) -> ExpectedColumns {
        let mut levels = self.row_levels();
        levels.truncate(self.modelled().len());
        ExpectedColumns::of_model(&self.modelled(), self.named).with_levels(levels)
    }

    /// The columns that a table needs to have for its rows to be context.
    pub fn expected_context(&self) -> ExpectedColumns {
        let levels = self.row_levels().split_off(self.modelled().len());
        ExpectedColumns::of_model(&self.context_names(), self.named).with_levels(levels)
    }

    /// The levels of each column of a row, empty where it holds numbers.
    pub fn row_levels(&self) -> Vec<Vec<String>> {
        let context = self.preprocessing.context_columns().iter();
        let context = context.map(|column| column.levels.clone());
        let modelled = self.columns.iter().map(|_| Vec::new());
        modelled.chain(context).collect()
    }

    /// The location of a flow's base in a dimension, and its spread: the deviation of a normal base, the scale of a logistic one; 0 and
    /// 1 where there is no such flow.
    ///
    /// # Errors
    /// As [`Model::plan`].
    pub fn base_at(&self, flow: usize, dimension: usize) -> Result<(f64, f64)> {
        let base = self.plan()?.base;
        let parameters = self.flows.get(flow).map(|flow| &flow.parameters);
        let Some(parameters) = parameters.filter(|_| base.kind.trained) else {
            return Ok((0.0, 1.0));
        };
        let at = |start: usize| f64::from(parameters[start + dimension]);
        let spread = base.kind.density.spread(at(base.raw_spread.start));
        Ok((at(base.location.start), spread))
    }

    /// What the latent of a row is distributed by; none of a stack of several densities, which have no latent in common.
    pub fn latent_density(&self) -> Option<Density> {
        match (&self.flows[..], &self.mixture) {
            ([_], None) => Some(self.spec.base.density),
            ([], Some(_)) => Some(Density::Normal),
            _ => None,
        }
    }

    /// The columns that a table needs to be used with the model.
    pub fn expected_columns(&self) -> ExpectedColumns {
        ExpectedColumns::of_model(&self.all_columns(), self.named).with_levels(self.row_levels())
    }

    /// The parameters of its flows, for as many flows with the same tensors; of its only flow for each of them.
    ///
    /// # Errors
    /// [`Error::Model`] names the first tensor that one of the two has and the other has not, or not of that shape; for a model
    /// of another number of flows.
    pub fn parameters_for(&self, layout: &Layout, count: usize) -> Result<Vec<Vec<f32>>> {
        let flows = self.flows.len();
        if flows != 1 && flows != count {
            let text = format!("it has {flows} flows, where training continues with {count}");
            let remedy = match flows {
                0 => Remedy::by_hand("fit anew"),
                _ => Remedy::new("continue with all", "ensemble", flows),
            };
            return Err(Error::Model(Message::new(text).remedy(remedy)));
        }
        let ours = self.plan()?.layout;
        for (one, other, has) in [(layout, &ours, "lacks"), (&ours, layout, "has")] {
            for tensor in one.tensors() {
                let shape = other.tensor(&tensor.name).map(|tensor| &tensor.shape);
                if shape != Some(&tensor.shape) {
                    return Err(Error::model(format!(
                        "it {has} the tensor {} of shape {:?}; the flow to train {}: check layers, transform, bins, mixing, \
                         conditioner, hidden, separate and base",
                        tensor.name,
                        tensor.shape,
                        if has == "lacks" { "has it" } else { "has not" }
                    )));
                }
            }
        }
        let flows = self.flows.iter().cycle().take(count);
        Ok(flows.map(|flow| flow.parameters.clone()).collect())
    }

    /// Checks against the spec, whose layout this is: parameters, columns or preprocessing.
    pub(crate) fn check(&self, layout: &Layout) -> Result<(), String> {
        let of_flows = self.flows.iter();
        let of_flows = of_flows.map(|flow| ("parameters", flow.parameters.len(), layout.len()));
        let of_mixture = self
            .mixture
            .iter()
            .flat_map(|WeightedMixture { mixture, .. }| {
                let (dims, context) = (mixture.dims(), mixture.context());
                [
                    ("dimensions of a mixture", dims, self.spec.dims),
                    (
                        "dimensions of a mixture's context",
                        context,
                        self.spec.context,
                    ),
                ]
            });
        for (what, count, expected) in of_flows.chain(of_mixture).chain([
            ("column names", self.columns.len(), self.spec.dims),
            (
                "context columns",
                self.preprocessing.context_width(),
                self.spec.context,
            ),
        ]) {
            if count != expected {
                return Err(format!(
                    "{count} {what} where the model's spec has {expected}"
                ));
            }
        }
        check_weights(&self.member_weights())?;
        if let Some(frequencies) = &self.frequencies {
            let levels = self.preprocessing.context_columns().iter();
            let levels: Vec<usize> = levels.map(|column| column.levels.len()).collect();
            if levels != frequencies.levels() {
                return Err("frequencies of other levels than the columns have".into());
            }
        }
        let mut order = self.order.clone();
        order.sort_unstable();
        if !order.is_empty() && !order.into_iter().eq(0..self.modelled().len()) {
            return Err("an order of the columns that is not one".into());
        }
        match self.preprocessing.is_valid(self.spec.dims) {
            true => Ok(()),
            false => Err(
                "the model prepares rows with numbers that are missing, not finite or not positive"
                    .into(),
            ),
        }
    }
}
