use crate::data::weighted_mean;

/// What preprocessing adds to the NLL of rows as the flow sees them, to have it in the units of the data, in nats. It is that of the
/// mean of -w log_prob, as the loss has it.
#[derive(Clone, Copy, Debug)]
pub struct Offsets {
    /// For all rows trained on.
    pub all: f64,
    /// For the rows held out.
    pub validation: f64,
}

impl Offsets {
    /// Of rows with what is added to the log-density of each, and their weights, 1 on average; none where all count the same.
    pub fn of_rows(added: &[f64], weights: &[f32]) -> f64 {
        match weights.is_empty() {
            true => -weighted_mean(added, &[]),
            false => {
                let products = added.iter().zip(weights);
                let products = products.map(|(added, &weight)| added * f64::from(weight));
                -(products.sum::<f64>() / added.len() as f64)
            }
        }
    }

    /// The same of rows held out, whose weights may have any mean.
    pub fn of_held_out(added: &[f64], weights: &[f64]) -> f64 {
        -weighted_mean(added, weights)
    }
}
