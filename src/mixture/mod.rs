//! Gaussian mixtures: densities in closed form, for tables that are too small to train a flow on, and beside flows.
//!
//! [`GaussianMixture::fit`] is EM (Dempster, Laird and Rubin 1977) with a prior that keeps every component wide enough;
//! [`stack()`] tries mixtures of several sizes and shapes and weighs them by rows that they were not fitted to (Smyth and Wolpert
//! 1999, "Linearly combining density estimators via stacking"), so that no size has to be chosen.

mod density;
mod em;
mod folds;
mod kmeans;
mod latent;
mod stack;

pub use em::Shape;
pub use folds::Folds;
pub use stack::{Stacked, stack, stacking_weights};

use std::borrow::Cow;

use crate::matrix::Matrix;

/// A density that is a sum of Gaussians: of weight w, mean m and covariance L L^T each.
///
/// With context it is the density of a row's modelled numbers given the context: the components are those of both, the context first,
/// and p(x | c) = p(c, x) / p(c), where p(c) is the mixture of the components' first numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    context: usize,
    components: Vec<Component>,
}

/// One of the Gaussians.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its part of the mass; those of all components add up to 1.
    pub weight: f64,
    /// The mean: a number for each column of context, then one for each modelled one.
    pub mean: Vec<f64>,
    /// L, lower triangular with a positive diagonal, row by row: n (n + 1) / 2 numbers where the mean has n.
    pub lower: Vec<f64>,
}

impl GaussianMixture {
    /// A mixture of these components.
    ///
    /// # Panics
    /// If there is none, or they have not all the same dimension.
    pub fn new(components: Vec<Component>) -> Self {
        let width = components[0].mean.len();
        let fits = |it: &Component| it.mean.len() == width && it.lower.len() == packed(width);
        assert!(components.iter().all(fits), "components of one dimension");
        GaussianMixture {
            context: 0,
            components,
        }
    }

    /// The same, given the first `context` numbers of what was modelled.
    ///
    /// # Panics
    /// If no number is left to model.
    #[must_use]
    pub fn given(self, context: usize) -> Self {
        assert!(context < self.width(), "a column to model");
        GaussianMixture { context, ..self }
    }

    /// How many columns are modelled.
    pub fn dims(&self) -> usize {
        self.width() - self.context
    }

    /// How many columns of context there are.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How many columns a row has.
    fn width(&self) -> usize {
        self.components[0].mean.len()
    }

    /// The density of the context: what its columns alone make of the components.
    fn of_context(&self) -> Option<GaussianMixture> {
        let n = self.context;
        let first = |it: &Component| Component {
            weight: it.weight,
            mean: it.mean[..n].to_vec(),
            lower: it.lower[..packed(n)].to_vec(),
        };
        (n > 0).then(|| GaussianMixture::new(self.components.iter().map(first).collect()))
    }

    /// The components.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The same with numbers that 32 bits hold, as a model file has them.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        let round = |x: &mut f64| *x = f64::from(*x as f32);
        for component in &mut self.components {
            round(&mut component.weight);
            component.mean.iter_mut().for_each(round);
            component.lower.iter_mut().for_each(round);
        }
        self
    }

    /// The mixture of mixtures, each of which has a weight.
    ///
    /// # Panics
    /// As [`GaussianMixture::new`].
    pub fn of_mixtures(mixtures: Vec<(f64, GaussianMixture)>) -> Self {
        let scaled = mixtures.into_iter().flat_map(|(weight, mixture)| {
            mixture.components.into_iter().map(move |it| Component {
                weight: weight * it.weight,
                ..it
            })
        });
        Self::new(scaled.collect())
    }
}

/// Rows with the context, which follows `dims` modelled columns, before them.
fn context_first(rows: &Matrix<f64>, dims: usize) -> Cow<'_, Matrix<f64>> {
    match rows.columns() == dims {
        true => Cow::Borrowed(rows),
        false => {
            let context = rows.select_columns(dims..rows.columns());
            Cow::Owned(context.concat_columns(&rows.select_columns(0..dims)))
        }
    }
}

/// Numbers of a lower triangular matrix.
const fn packed(dims: usize) -> usize {
    dims * (dims + 1) / 2
}
