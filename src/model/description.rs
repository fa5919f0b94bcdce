use serde_json::{Map, Value, json};

use crate::config::{ModelConfig, ModelOverrides};
use crate::error::{Result, list, truncate_escaped};

use super::Model;

impl Model {
    /// The model in lines of text: its flow, columns, preprocessing, training settings and tensors.
    ///
    /// # Errors
    /// As [`Model::plan`].
    pub fn to_text(&self) -> Result<String> {
        let layout = self.plan()?.layout;
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|name| truncate_escaped(name))
            .collect();
        let mut text = format!(
            "flow        {}\ncolumns     {}\n",
            self.spec,
            names.join(", ")
        );
        let given = self.preprocessing.context_columns();
        if !given.is_empty() {
            let words = given.iter().map(|it| match it.levels.is_empty() {
                true => truncate_escaped(&it.name),
                false => format!(
                    "{} (one of {})",
                    truncate_escaped(&it.name),
                    list(&it.levels)
                ),
            });
            let words: Vec<String> = words.collect();
            text += &format!("given       {}\n", words.join(", "));
        }
        match &self.preprocessing.standardize {
            None => text += "data        as it comes\n",
            Some(s) => {
                text += match &self.preprocessing.whiten {
                    None => "data        standardized\n",
                    Some(_) => "data        standardized, then whitened\n",
                };
                if let Some(tails) = &self.preprocessing.tails {
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
        if let Some(train) = &self.training {
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
            let values = &self.parameters[tensor.range.clone()];
            let square = values.iter().map(|&p| f64::from(p).powi(2)).sum::<f64>();
            text += &format!(
                "  {:width$}  {:12}  rms {:.4}\n",
                tensor.name,
                format!("{:?}", tensor.shape),
                (square / values.len() as f64).sqrt()
            );
        }
        Ok(text)
    }

    /// The same as a JSON object, with the keys of a configuration.
    ///
    /// # Errors
    /// As [`Model::plan`].
    pub fn to_json(&self) -> Result<Value> {
        let layout = self.plan()?.layout;
        let tensors: Vec<_> = layout
            .tensors()
            .iter()
            .map(|tensor| json!({ "name": tensor.name, "shape": tensor.shape }))
            .collect();
        let entries = ModelOverrides::entries(&ModelConfig::of(&self.spec));
        let config: Map<_, _> = entries
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        Ok(json!({
            "dims": self.spec.dims,
            "context": self.spec.context,
            "model": config,
            "columns": self.columns,
            "given": self.context_names(),
            "preprocessing": self.preprocessing,
            "training": self.training,
            "parameters": layout.len(),
            "tensors": tensors,
        }))
    }
}
