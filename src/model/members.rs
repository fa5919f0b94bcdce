//! What a model's density is made of: a flow, or several with weights, and a Gaussian mixture beside them.

use std::path::Path;

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Message, Remedy, Result};
use crate::flow::Layout;
use crate::frequencies::Frequencies;
use crate::mixture::{Component, GaussianMixture};

use super::Model;
use super::tensors::read_tensor;

/// A flow of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedFlow {
    /// Its part of the mass; those of all members of a model add up to 1.
    pub weight: f64,
    /// Flat, in the order of the spec's [`Layout`].
    pub parameters: Vec<f32>,
}

/// A mixture beside the flows of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedMixture {
    /// Its part of the mass.
    pub weight: f64,
    /// The density of rows as the flows see them.
    pub mixture: GaussianMixture,
}

/// The name, the shape and the numbers of a tensor of a model file.
pub(super) type Tensor = (String, Vec<usize>, Vec<f32>);

const WEIGHTS: &str = "mixture.weights";
const MEAN: &str = "mixture.mean";
const CHOLESKY: &str = "mixture.cholesky";
const LEVELS: &str = "frequencies.levels";
const COUNTS: &str = "frequencies.counts";

impl WeightedFlow {
    /// The only member of a model.
    pub fn alone(parameters: Vec<f32>) -> Vec<Self> {
        Self::equal(vec![parameters])
    }

    /// Flows of the same weight.
    pub fn equal(all: Vec<Vec<f32>>) -> Vec<Self> {
        let weight = 1.0 / all.len() as f64;
        all.into_iter()
            .map(|parameters| WeightedFlow { weight, parameters })
            .collect()
    }
}

impl Model {
    /// The parameters of a model that is one flow and nothing else.
    pub fn single_flow(&self) -> Option<&[f32]> {
        match (&self.flows[..], &self.mixture) {
            ([flow], None) => Some(&flow.parameters),
            _ => None,
        }
    }

    /// The same with one of its flows alone.
    pub fn with_flow(&self, index: usize) -> Model {
        let flow = self.flows.get(index);
        Model {
            spec: self.spec.clone(),
            columns: self.columns.clone(),
            named: self.named,
            preprocessing: self.preprocessing.clone(),
            frequencies: self.frequencies.clone(),
            order: self.order.clone(),
            flows: flow.map_or(Vec::new(), |flow| {
                WeightedFlow::alone(flow.parameters.clone())
            }),
            mixture: None,
            training: self.training.clone(),
        }
    }

    /// Makes these parameters, those of the layout's order, its flows, of equal weight.
    pub(crate) fn set_flows<'p>(&mut self, flows: impl Iterator<Item = &'p [f64]>) {
        let rounded = |parameters: &[f64]| parameters.iter().map(|&p| p as f32).collect();
        self.flows = WeightedFlow::equal(flows.map(rounded).collect());
    }

    /// Refuses a model whose flows cannot be compared with one another.
    pub(crate) fn check_spread(&self) -> Result<()> {
        let what = match self.flows.len() {
            0 => "no flow",
            1 => "one flow",
            _ => return Ok(()),
        };
        let text = format!("the model has {what}, and a spread is that of several");
        let remedy = Remedy::new("fit five", "ensemble", 5);
        Err(Error::Spec(Message::new(text).remedy(remedy)))
    }

    /// The weights of all members: the flows, then the mixture.
    pub fn member_weights(&self) -> Vec<f64> {
        let flows = self.flows.iter().map(|flow| flow.weight);
        let mixture = self.mixture.iter().map(|mixture| mixture.weight);
        flows.chain(mixture).collect()
    }

    /// The members in words; none of a model that is one flow.
    pub fn members_to_text(&self) -> Option<String> {
        if self.single_flow().is_some() {
            return None;
        }
        let flows = match self.flows.len() {
            0 => None,
            1 => Some("a flow".to_string()),
            count => Some(format!("{count} flows")),
        };
        let flows = flows.map(|what| {
            let weight: f64 = self.flows.iter().map(|flow| flow.weight).sum();
            format!("{what} of weight {weight:.3}")
        });
        let mixture = self.mixture.as_ref().map(|it| {
            let count = it.mixture.components().len();
            format!("a mixture of {count} Gaussians of weight {:.3}", it.weight)
        });
        let all: Vec<String> = flows.into_iter().chain(mixture).collect();
        Some(all.join(" and "))
    }

    /// Every tensor of the model file, in the order of the members.
    pub(super) fn tensors(&self, layout: &Layout) -> Vec<Tensor> {
        let is_single = self.single_flow().is_some();
        let mut all = Vec::new();
        for (k, flow) in self.flows.iter().enumerate() {
            let prefix = match is_single {
                true => String::new(),
                false => prefix(k),
            };
            all.extend(layout.tensors().iter().map(|tensor| {
                let values = flow.parameters[tensor.range.clone()].to_vec();
                (
                    format!("{prefix}{}", tensor.name),
                    tensor.shape.clone(),
                    values,
                )
            }));
        }
        if let Some(WeightedMixture { mixture, .. }) = &self.mixture {
            let count = mixture.components().len();
            let width = mixture.context() + mixture.dims();
            let components = mixture.components().iter();
            let numbers = |of: &dyn Fn(&Component) -> Vec<f64>| -> Vec<f32> {
                let all = components.clone().flat_map(of);
                all.map(|number| number as f32).collect()
            };
            all.push((WEIGHTS.into(), vec![count], numbers(&|it| vec![it.weight])));
            all.push((
                MEAN.into(),
                vec![count, width],
                numbers(&|it| it.mean.clone()),
            ));
            let square = |it: &Component| {
                let entry = |k: usize| match (k / width, k % width) {
                    (i, j) if j <= i => it.lower[i * (i + 1) / 2 + j],
                    _ => 0.0,
                };
                (0..width * width).map(entry).collect()
            };
            all.push((CHOLESKY.into(), vec![count, width, width], numbers(&square)));
        }
        if let Some(frequencies) = &self.frequencies {
            let (rows, counts) = frequencies.counts();
            let levels = rows.iter().flatten().map(|level| f32::from(*level));
            let shape = vec![rows.len(), frequencies.levels().len()];
            all.push((LEVELS.into(), shape, levels.collect()));
            let counts = counts.iter().map(|count| *count as f32);
            all.push((COUNTS.into(), vec![rows.len()], counts.collect()));
        }
        all
    }
}

/// What the names of a member's tensors begin with.
pub(super) fn prefix(member: usize) -> String {
    format!("members.{member}.")
}

/// Whether a tensor is of a mixture.
pub(super) fn is_of_mixture(name: &str) -> bool {
    [WEIGHTS, MEAN, CHOLESKY].contains(&name)
}

/// Whether a tensor is of the frequencies of levels.
pub(super) fn is_of_frequencies(name: &str) -> bool {
    [LEVELS, COUNTS].contains(&name)
}

/// The frequencies of a model file, of columns with so many levels, of which the first are modelled, as the metadata says, and each is
/// given others in a chain.
pub(super) fn read_frequencies(
    path: &Path,
    tensors: &SafeTensors<'_>,
    levels: Vec<usize>,
    chain: &[Link],
) -> Result<Frequencies> {
    let bad = |text: String| Error::model(format!("{}: {text}", path.display()));
    let count = match tensors.tensor(COUNTS) {
        Ok(view) => *view.shape().first().unwrap_or(&0),
        Err(_) => return Err(bad(format!("tensor {COUNTS} is missing"))),
    };
    let indices = read_tensor(path, tensors, LEVELS, &[count, levels.len()])?;
    if let Some(index) = indices.iter().find(|x| x.fract() != 0.0 || **x < 0.0) {
        return Err(bad(format!(
            "tensor {LEVELS} holds {index}, which is no level"
        )));
    }
    let rows = indices.chunks(levels.len().max(1));
    let rows = rows.map(|row| row.iter().map(|level| *level as u16).collect());
    let counts = read_tensor(path, tensors, COUNTS, &[count])?;
    let chain: Vec<_> = chain
        .iter()
        .map(|link| (link.given.clone(), link.smoothing.clone()))
        .collect();
    Frequencies::from_parts(
        levels,
        chain.len(),
        rows.collect(),
        counts.into_iter().map(f64::from).collect(),
        chain,
    )
    .map_err(bad)
}

/// What the metadata says of a modelled column of categories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Link {
    /// The columns that its frequencies are given, among those of the tensor, the most informative first.
    pub given: Vec<usize>,
    /// How many rows of the coarser distribution are added to those counted: without any of these columns, and with each.
    pub smoothing: Vec<f64>,
}

/// The mixture of a model file over so many modelled columns given so many of context.
pub(super) fn read_mixture(
    path: &Path,
    tensors: &SafeTensors<'_>,
    dims: usize,
    context: usize,
) -> Result<GaussianMixture> {
    let width = context + dims;
    let bad = |text: String| Error::model(format!("{}: {text}", path.display()));
    let count = match tensors.tensor(WEIGHTS) {
        Ok(view) => *view.shape().first().unwrap_or(&0),
        Err(_) => 0,
    };
    if count == 0 {
        return Err(bad(format!("tensor {WEIGHTS} is missing, or empty")));
    }
    let weights = read_tensor(path, tensors, WEIGHTS, &[count])?;
    let means = read_tensor(path, tensors, MEAN, &[count, width])?;
    let factors = read_tensor(path, tensors, CHOLESKY, &[count, width, width])?;
    check_weights(&weights.iter().map(|&w| f64::from(w)).collect::<Vec<_>>())
        .map_err(|text| bad(format!("tensor {WEIGHTS}: {text}")))?;
    let wide = |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|&x| f64::from(x)).collect() };
    let components = (0..count).map(|k| {
        let factor = &factors[k * width * width..][..width * width];
        if (0..width).any(|i| factor[i * width + i] <= 0.0) {
            return Err(bad(format!(
                "tensor {CHOLESKY} has a diagonal that is not positive, of component {k}"
            )));
        }
        Ok(Component {
            weight: f64::from(weights[k]),
            mean: wide(&means[k * width..][..width]),
            lower: (0..width)
                .flat_map(|i| wide(&factor[i * width..=i * width + i]))
                .collect(),
        })
    });
    Ok(GaussianMixture::new(components.collect::<Result<_>>()?).given(context))
}

/// Refuses weights that are no parts of 1.
pub(super) fn check_weights(weights: &[f64]) -> Result<(), String> {
    let sum: f64 = weights.iter().sum();
    if weights.iter().any(|w| !w.is_finite() || *w <= 0.0) || (sum - 1.0).abs() > 1e-3 {
        return Err(format!(
            "the weights {weights:?} are not positive numbers that add up to 1"
        ));
    }
    Ok(())
}
