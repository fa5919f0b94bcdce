//! A training loop of one's own on an executor: what `couplet train` does, in its simplest form, with a rate that falls when
//! nothing gets better.

use couplet::Matrix;
use couplet::config::{ConditionerName, Config};
use couplet::cpu::CpuExecutor;
use couplet::data::{Target, TargetName};
use couplet::executor::{AdamW, Executor, Training};
use couplet::flow::{Plan, initial_parameters, start_at_identity};

fn main() -> couplet::Result<()> {
    let pinwheel = Target::new(TargetName::Pinwheel, None, None, 1)?;
    let (rows, held_out) = (pinwheel.training_rows(4000), pinwheel.held_out_rows(1000));
    let held_out: Matrix<f64> = held_out.map(f64::from);

    // What the flow is, as ops on a flat list of parameters.
    let spec = Config::safe(ConditionerName::Mlp).model.spec(2)?;
    let plan = Plan::new(&spec)?;
    let mut parameters = initial_parameters(&plan.layout, 1);
    start_at_identity(&plan, &mut parameters);
    // Any executor will do: `GpuExecutor::new(&adapter, plan, &parameters)?` runs the same plan.
    let mut executor = CpuExecutor::<f32>::new(plan, &parameters);

    let mut rate = 3e-3;
    let mut best = f64::INFINITY;
    for round in 0..6 {
        // A new rate is a new start; the parameters stay.
        let optimizer = AdamW::new(rate, 1e-4);
        let training = Training {
            batch_size: 256,
            seed: round,
            optimizer,
        };
        executor.start(&rows, &training)?;
        let taken = executor.train(80)?;
        if let Some(fault) = taken.fault {
            println!("round {round}: {fault}; a lower rate");
            rate *= 0.3;
            continue;
        }
        let scores = executor.log_prob(&held_out)?;
        let nll = -scores.iter().sum::<f64>() / scores.len() as f64;
        println!("round {round}: rate {rate:.1e}, NLL on held-out rows {nll:.4}");
        if nll > best - 0.01 {
            rate *= 0.3;
        }
        best = best.min(nll);
    }
    println!(
        "the least that any model can have is {:.4}",
        pinwheel.entropy()
    );
    Ok(())
}
