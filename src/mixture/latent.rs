//! A row of a mixture, one number after the other, each given those before it, which a mixture has in closed form: rows to latents
//! that are standard normal, and back (Rosenblatt 1952); samples given context.

use rayon::prelude::*;

use crate::flow::Density;
use crate::matrix::Matrix;
use crate::numeric::{Root, index_at};
use crate::random::{Purpose, normal_at, uniform, words};

use super::{GaussianMixture, packed};

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// How far a number may be from the one that a latent comes from, in deviations.
const TOLERANCE: f64 = 1e-13;

/// A row of a mixture, one dimension after the other.
struct Conditional<'a> {
    mixture: &'a GaussianMixture,
    /// The logarithm of each component's weight given the numbers so far, up to what all have in common, and those as the
    /// component sees them.
    log_weights: Vec<f64>,
    solved: Vec<Vec<f64>>,
    /// Of the next number: each component's weight, mean and deviation.
    terms: Vec<[f64; 3]>,
}

impl<'a> Conditional<'a> {
    /// A row of which the context is known.
    fn new(mixture: &'a GaussianMixture, context: &[f64]) -> Self {
        let components = mixture.components.iter();
        let mut this = Conditional {
            mixture,
            log_weights: components.map(|it| it.weight.ln()).collect(),
            solved: vec![Vec::with_capacity(mixture.width()); mixture.components.len()],
            terms: Vec::new(),
        };
        this.look_at(0);
        context.iter().for_each(|&c| this.take(c));
        this
    }

    /// Prepares for number `i`.
    fn look_at(&mut self, i: usize) {
        let highest = self.log_weights.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = self.log_weights.iter().map(|w| (w - highest).exp()).sum();
        let components = self.mixture.components.iter().zip(&self.solved);
        self.terms = components
            .zip(&self.log_weights)
            .map(|((component, solved), weight)| {
                let row = &component.lower[packed(i)..][..=i];
                let mean = row.iter().zip(solved).map(|(l, y)| l * y).sum::<f64>();
                let weight = (weight - highest).exp() / sum;
                [weight, component.mean[i] + mean, row[i]]
            })
            .collect();
    }

    /// The probabilities of less than a number and of more, and the density there.
    fn at(&self, x: f64) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for [weight, mean, deviation] in &self.terms {
            let y = (x - mean) / deviation;
            let normal = Density::Normal;
            sums[0] += weight * normal.cdf(y);
            sums[1] += weight * normal.cdf(-y);
            sums[2] += weight * normal.pdf(y) / deviation;
        }
        sums
    }

    /// Takes the next number in.
    fn take(&mut self, x: f64) {
        for (k, [_, mean, deviation]) in self.terms.iter().enumerate() {
            let y = (x - mean) / deviation;
            self.log_weights[k] -= 0.5 * y * y + deviation.ln();
            self.solved[k].push(y);
        }
        let taken = self.solved[0].len();
        if taken < self.mixture.width() {
            self.look_at(taken);
        }
    }

    /// The number that is below a standard normal one's probability.
    fn number(&self, z: f64) -> f64 {
        let ends = self
            .terms
            .iter()
            .map(|[_, mean, deviation]| mean + deviation * z);
        let low = ends.clone().fold(f64::INFINITY, f64::min);
        let high = ends.fold(f64::NEG_INFINITY, f64::max);
        let largest = low.abs().max(high.abs()).max(1.0);
        let mut root = Root::between(low, high, TOLERANCE * largest);
        while let Some(x) = root.next() {
            let [less, more, _] = self.at(x);
            // Of one lump it is a line.
            root.note(x, standard([less, more]) - z);
        }
        root.root()
    }
}

/// The standard normal number with these probabilities below and above it.
fn standard([less, more]: [f64; 2]) -> f64 {
    // Beyond these, f64 has no probabilities.
    const FARTHEST: f64 = 37.0;
    let normal = Density::Normal;
    let z = match less < more {
        true => normal.quantile(less),
        false => -normal.quantile(more),
    };
    z.clamp(-FARTHEST, FARTHEST)
}

impl GaussianMixture {
    /// The latent of each row, and log |det dz/dx|; context follows the modelled columns of a row.
    ///
    /// # Panics
    /// For rows of another width.
    pub fn forward(&self, rows: &Matrix<f64>) -> (Matrix<f64>, Vec<f64>) {
        self.by_rows(rows, |mut conditional, x, z| {
            let mut log_det = 0.0;
            for (x, z) in x.iter().zip(z) {
                let [less, more, density] = conditional.at(*x);
                *z = standard([less, more]);
                log_det += density.ln() - Density::Normal.pdf(*z).ln();
                conditional.take(*x);
            }
            log_det
        })
    }

    /// The modelled columns that latents come from; context follows the latent of a row.
    ///
    /// # Panics
    /// For latents of another width.
    pub fn inverse(&self, z: &Matrix<f64>) -> Matrix<f64> {
        let inverted = self.by_rows(z, |mut conditional, z, x| {
            for (z, x) in z.iter().zip(x) {
                *x = conditional.number(*z);
                conditional.take(*x);
            }
            0.0
        });
        inverted.0
    }

    /// Of one modelled column, given each row of context: the weight, the mean and the deviation of every component.
    ///
    /// # Panics
    /// For a mixture over more columns, or context of another width.
    pub fn normals(&self, context: &Matrix<f64>) -> Vec<Vec<[f64; 3]>> {
        assert_eq!(self.dims(), 1, "columns");
        assert_eq!(context.columns(), self.context(), "columns of context");
        let of_row = |row| Conditional::new(self, &context.row(row).collect::<Vec<_>>()).terms;
        (0..context.rows()).into_par_iter().map(of_row).collect()
    }

    /// Of one modelled column, the probability that it is at most each number of `x`, given the same row of context.
    ///
    /// # Panics
    /// As [`GaussianMixture::normals`].
    pub fn cdf(&self, x: &[f64], context: &Matrix<f64>) -> Vec<f64> {
        let rows = x.iter().zip(self.normals(context));
        let cdf = |(x, normals): (&f64, Vec<[f64; 3]>)| {
            let terms = normals.into_iter();
            terms
                .map(|[weight, mean, deviation]| {
                    weight * Density::Normal.cdf((x - mean) / deviation)
                })
                .sum()
        };
        rows.map(cdf).collect()
    }

    /// Rows of these numbers, drawn from the density, each given a row of `context`: row i depends on the seed, on i and on its
    /// context alone.
    ///
    /// # Panics
    /// For context of another width, or of fewer rows.
    pub fn sample(&self, seed: u64, rows: &[u64], context: &Matrix<f64>) -> Matrix<f64> {
        assert_eq!(context.columns(), self.context(), "columns of context");
        let mut sample = Matrix::zeros(rows.len(), self.dims());
        let mut given = Vec::with_capacity(self.context());
        for (index, &row) in rows.iter().enumerate() {
            let [word, ..] = words(seed, Purpose::Component, row, 0);
            given.clear();
            given.extend(context.row(index));
            let (k, mut standard) = self.component_given(uniform(word), &given);
            let noise = (0..self.dims()).map(|j| normal_at(seed, Purpose::Noise, row, j));
            standard.extend(noise.map(f64::from));
            let component = &self.components[k];
            for j in 0..self.dims() {
                let i = self.context() + j;
                let terms = component.lower[packed(i)..].iter().zip(&standard[..=i]);
                let off = terms.map(|(l, z)| l * z).sum::<f64>();
                sample.column_mut(j)[index] = component.mean[i] + off;
            }
        }
        sample
    }

    /// The component that a number from 0 to 1 falls to given context, and the context as the component sees it.
    fn component_given(&self, uniform: f64, context: &[f64]) -> (usize, Vec<f64>) {
        if context.is_empty() {
            let weights = self.components.iter().map(|it| it.weight);
            return (index_at(weights, uniform), Vec::new());
        }
        let mut conditional = Conditional::new(self, context);
        let k = index_at(
            conditional.terms.iter().map(|[weight, ..]| *weight),
            uniform,
        );
        (k, conditional.solved.swap_remove(k))
    }

    /// A row for each row, and a number, from the modelled columns and what is left to do given the context.
    fn by_rows(
        &self,
        rows: &Matrix<f64>,
        of_row: impl Fn(Conditional<'_>, &[f64], &mut [f64]) -> f64 + Sync,
    ) -> (Matrix<f64>, Vec<f64>) {
        assert_eq!(rows.columns(), self.width(), "columns of a row");
        let dims = self.dims();
        let blocks: Vec<(Vec<f64>, Vec<f64>)> = (0..rows.rows().div_ceil(ROWS))
            .into_par_iter()
            .map(|block| {
                let of_block = block * ROWS..((block + 1) * ROWS).min(rows.rows());
                let mut out = vec![0.0; of_block.len() * dims];
                let numbers = of_block.zip(out.chunks_exact_mut(dims));
                let numbers = numbers
                    .map(|(row, out)| {
                        let row: Vec<f64> = rows.row(row).collect();
                        let (modelled, context) = row.split_at(dims);
                        of_row(Conditional::new(self, context), modelled, out)
                    })
                    .collect();
                (out, numbers)
            })
            .collect();
        let by_row: Vec<f64> = blocks.iter().flat_map(|(out, _)| out).copied().collect();
        let matrix = Matrix::from_fn(rows.rows(), dims, |row, j| by_row[row * dims + j]);
        let numbers = blocks.into_iter().flat_map(|(_, numbers)| numbers);
        (matrix, numbers.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Component;
    use super::*;
    use crate::random::{Purpose, normal_at};

    fn mixture() -> GaussianMixture {
        let component = |weight, mean: [f64; 3], lower: [f64; 6]| Component {
            weight,
            mean: mean.into(),
            lower: lower.into(),
        };
        GaussianMixture::new(vec![
            component(0.3, [2.0, -2.0, 0.0], [0.5, 0.2, 0.7, 0.1, 0.3, 0.4]),
            component(0.7, [-1.0, 0.5, 1.0], [1.5, -0.4, 0.3, 0.0, 0.9, 1.0]),
        ])
    }

    fn normal(row: usize, j: usize) -> f64 {
        f64::from(normal_at(1, Purpose::TargetRows, row as u64, j))
    }

    /// The density of the latent and the log-determinant are that of the row; and there and back.
    #[test]
    fn latents_explain_the_density_and_lead_back() {
        for context in 0..3 {
            let mixture = mixture().given(context);
            let rows = Matrix::from_fn(500, 3, |row, j| 2.0 * normal(row, j));
            let of_context = rows.select_columns(3 - context..3);
            let (z, log_det) = mixture.forward(&rows);
            let back = mixture.inverse(&z.concat_columns(&of_context));
            for (row, log_prob) in mixture.log_prob(&rows).into_iter().enumerate() {
                let of_latent: f64 = z.row(row).map(|z| Density::Normal.pdf(z).ln()).sum();
                let off = of_latent + log_det[row] - log_prob;
                assert!(
                    off.abs() < 1e-9 * log_prob.abs().max(1.0),
                    "{off} {log_prob}"
                );
                // Where the density is next to nothing, a probability tells no numbers apart.
                let tolerance = 1e-7 + 1e-15 / log_prob.exp();
                for (x, back) in rows.row(row).zip(back.row(row)) {
                    assert!((x - back).abs() < tolerance, "{x} {back}");
                }
            }
        }
    }

    #[test]
    fn latents_of_a_sample_are_standard_normal() {
        const ROWS: usize = 50_000;
        for context in 0..3 {
            let mixture = mixture().given(context);
            let given = Matrix::from_fn(ROWS, context, normal);
            let sample = mixture.sample(1, &(0..ROWS as u64).collect::<Vec<_>>(), &given);
            let (z, _) = mixture.forward(&sample.concat_columns(&given));
            for j in 0..mixture.dims() {
                let moment = |power: i32| {
                    let all = z.column(j).iter().map(|z| z.powi(power));
                    all.sum::<f64>() / ROWS as f64
                };
                for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
                    assert!((moment(power) - expected).abs() < 0.1, "{j} {power}");
                }
            }
        }
    }

    #[test]
    fn samples_have_the_moments_of_the_density_and_depend_on_their_number_alone() {
        let mixture = mixture();
        let nothing = Matrix::zeros(100_000, 0);
        let sample = mixture.sample(5, &(0..100_000).collect::<Vec<_>>(), &nothing);
        let some = mixture.sample(5, &(700..710).collect::<Vec<_>>(), &Matrix::zeros(10, 0));
        assert_eq!(
            some.row(3).collect::<Vec<_>>(),
            sample.row(703).collect::<Vec<_>>()
        );
        for j in 0..3 {
            let column = sample.column(j);
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            let components = mixture.components.iter();
            let expected: f64 = components.map(|it| it.weight * it.mean[j]).sum();
            assert!((mean - expected).abs() < 0.02, "{mean} {expected}");
        }
    }

    /// The components of a number given another are those that Gaussians have by the textbook.
    #[test]
    fn normals_given_context_are_those_of_the_formula() {
        let component = |weight, mean: [f64; 2], lower: [f64; 3]| Component {
            weight,
            mean: mean.into(),
            lower: lower.into(),
        };
        let mixture = GaussianMixture::new(vec![
            component(0.4, [1.0, 2.0], [0.5, 0.3, 0.4]),
            component(0.6, [-1.0, 0.0], [1.0, 0.0, 2.0]),
        ]);
        let c: f64 = 0.2;
        let normals = mixture
            .given(1)
            .normals(&Matrix::from_values(1, 1, vec![c]));
        let density =
            |mean: f64, deviation: f64| Density::Normal.pdf((c - mean) / deviation) / deviation;
        let parts = [0.4 * density(1.0, 0.5), 0.6 * density(-1.0, 1.0)];
        let sum = parts[0] + parts[1];
        // The covariance is 0.15, the variance of the context 0.25.
        let expected = [
            [parts[0] / sum, 2.0 + 0.15 / 0.25 * (c - 1.0), 0.4],
            [parts[1] / sum, 0.0, 2.0],
        ];
        for (found, expected) in normals[0].iter().zip(expected) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
    }
}
