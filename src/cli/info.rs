use std::path::PathBuf;

use serde_json::json;

use crate::config::{ModelConfig, ModelOverrides};
use crate::error::truncate_escaped;
use crate::model::Model;

use super::output::print;
use super::{Result, input};

#[derive(clap::Args)]
pub struct InfoArgs {
    /// Model file
    model: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &InfoArgs) -> Result<()> {
    let model = Model::load(&args.model).map_err(input)?;
    let layout = model.plan()?.layout;
    if args.json {
        let tensors: Vec<_> = layout
            .tensors()
            .iter()
            .map(|tensor| json!({ "name": tensor.name, "shape": tensor.shape }))
            .collect();
        let entries = ModelOverrides::entries(&ModelConfig::of(&model.spec));
        let config: serde_json::Map<_, _> = entries
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        let value = json!({
            "dims": model.spec.dims,
            "model": config,
            "columns": model.columns,
            "preprocessing": model.preprocessing,
            "training": model.training,
            "parameters": layout.len(),
            "tensors": tensors,
        });
        return print(&format!("{value}\n"));
    }
    let names: Vec<String> = model
        .columns
        .iter()
        .map(|name| truncate_escaped(name))
        .collect();
    let mut text = format!(
        "{}\nflow        {}\ncolumns     {}\n",
        args.model.display(),
        model.spec,
        names.join(", ")
    );
    match &model.preprocessing.standardize {
        None => text += "data        as it comes\n",
        Some(s) => {
            text += match &model.preprocessing.whiten {
                None => "data        standardized\n",
                Some(_) => "data        standardized, then whitened\n",
            };
            if let Some(tails) = &model.preprocessing.tails {
                text += &format!(
                    "            beyond {} deviations distances count by their logarithm\n",
                    tails.bound
                );
            }
            for ((name, mean), deviation) in names.iter().zip(&s.mean).zip(&s.deviation) {
                text += &format!(
                    "            {name}: mean {mean:.6e}, standard deviation {deviation:.6e}\n"
                );
            }
        }
    }
    if let Some(train) = &model.training {
        text += &format!(
            "trained     at most {} steps, {} rows each, learning rate {:e}, {:.0}% of the rows held out, seed {}\n",
            train.steps,
            match train.batch_size {
                0 => "all".into(),
                rows => rows.to_string(),
            },
            train.learning_rate,
            100.0 * train.validation,
            train.seed
        );
    }
    text += &format!("parameters  {}\n", layout.len());
    let width = layout
        .tensors()
        .iter()
        .map(|t| t.name.len())
        .max()
        .unwrap_or(0);
    for tensor in layout.tensors() {
        let values = &model.parameters[tensor.range.clone()];
        let square = values.iter().map(|&p| f64::from(p).powi(2)).sum::<f64>();
        text += &format!(
            "  {:width$}  {:12}  rms {:.4}\n",
            tensor.name,
            format!("{:?}", tensor.shape),
            (square / values.len() as f64).sqrt()
        );
    }
    print(&text)
}
