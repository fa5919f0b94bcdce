use crate::executor::{Batch, Fault};
use crate::flow::Plan;

use super::block::Block;
use super::real::Real;
use super::session::Session;
use super::workers::Workers;

/// A number type of the CPU executor, f64 or f32, with the loops over rows for it. A generic function is compiled in every crate
/// that calls it; these are compiled once, here.
pub trait Number: Real {
    /// `Block::forward`.
    fn forward(block: &mut Block<Self>, plan: &Plan, parameters: &[Self]);

    /// `Block::inverse`.
    fn inverse(block: &mut Block<Self>, plan: &Plan, parameters: &[Self]);

    /// `Session::evaluate`.
    fn evaluate(
        session: &mut Session<Self>,
        plan: &Plan,
        workers: &Workers<Self>,
        parameters: &[Self],
        batch: &Batch,
    ) -> f64;

    /// `Session::update`.
    fn update(session: &mut Session<Self>, parameters: &mut [Self]) -> Result<(), Fault>;
}

macro_rules! passes {
    ($($number:ty)*) => {
        $(
            impl Number for $number {
                fn forward(block: &mut Block<Self>, plan: &Plan, parameters: &[Self]) {
                    block.forward(plan, parameters);
                }

                fn inverse(block: &mut Block<Self>, plan: &Plan, parameters: &[Self]) {
                    block.inverse(plan, parameters);
                }

                fn evaluate(
                    session: &mut Session<Self>,
                    plan: &Plan,
                    workers: &Workers<Self>,
                    parameters: &[Self],
                    batch: &Batch,
                ) -> f64 {
                    session.evaluate(plan, workers, parameters, batch)
                }

                fn update(session: &mut Session<Self>, parameters: &mut [Self]) -> Result<(), Fault> {
                    session.update(parameters)
                }
            }
        )*
    };
}
passes!(f32 f64);
