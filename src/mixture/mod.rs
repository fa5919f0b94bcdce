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

/// A density that is a sum of Gaussians: of weight w, mean m and covariance L L^T each.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    dims: usize,
    components: Vec<Component>,
}

/// One of the Gaussians.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its part of the mass; those of all components add up to 1.
    pub weight: f64,
    /// The mean: D numbers.
    pub mean: Vec<f64>,
    /// L, lower triangular with a positive diagonal, row by row: D (D + 1) / 2 numbers.
    pub lower: Vec<f64>,
}

impl GaussianMixture {
    /// A mixture of these components.
    ///
    /// # Panics
    /// If there is none, or they have not all the same dimension.
    pub fn new(components: Vec<Component>) -> Self {
        let dims = components[0].mean.len();
        let fits = |it: &Component| it.mean.len() == dims && it.lower.len() == packed(dims);
        assert!(components.iter().all(fits), "components of one dimension");
        GaussianMixture { dims, components }
    }

    /// How many columns a row has.
    pub fn dims(&self) -> usize {
        self.dims
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

/// Numbers of a lower triangular matrix.
const fn packed(dims: usize) -> usize {
    dims * (dims + 1) / 2
}
