use serde_json::{Map, Value, json};

use crate::config::{ModelConfig, ModelOverrides};
use crate::error::{Result, list, truncate_escaped};
use crate::kinds::Kind;

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
        let kinds = self.preprocessing.kinds.iter().zip(&names);
        let kinds = kinds.filter(|(column, _)| column.kind != Kind::Real);
        for (index, (column, name)) in kinds.enumerate() {
            let head = if index == 0 { "kinds" } else { "" };
            let on_grid = match column.step > 0.0 && column.step != 1.0 {
                true => format!(", in steps of {}", column.step),
                false => String::new(),
            };
            text += &format!("{head:<12}{name}: {}{on_grid}\n", column.kind);
        }
        if let Some(members) = self.members_to_text() {
            text += &format!("members     {members}\n");
        }
        for (head, columns) in [("categories", self.categories()), ("given", self.given())] {
            let words = columns.iter().map(|it| match it.levels.is_empty() {
                true => truncate_escaped(&it.name),
                false => format!(
                    "{} (one of {})",
                    truncate_escaped(&it.name),
                    list(&it.levels)
                ),
            });
            let words: Vec<String> = words.collect();
            if !words.is_empty() {
                text += &format!("{head:<12}{}\n", words.join(", "));
            }
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
        let tensors = self.tensors(&layout);
        let count: usize = tensors.iter().map(|(_, _, values)| values.len()).sum();
        text += &format!("parameters  {count}\n");
        let width = tensors.iter().map(|(name, ..)| name.len()).max();
        let width = width.unwrap_or(0);
        for (name, shape, values) in &tensors {
            let square = values.iter().map(|&p| f64::from(p).powi(2)).sum::<f64>();
            text += &format!(
                "  {name:width$}  {:12}  rms {:.4}\n",
                format!("{shape:?}"),
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
        let tensors = self.tensors(&layout);
        let count: usize = tensors.iter().map(|(_, _, values)| values.len()).sum();
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, shape, _)| json!({ "name": name, "shape": shape }))
            .collect();
        let entries = ModelOverrides::entries(&ModelConfig::of(&self.spec));
        let config: Map<_, _> = entries
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        let mut description = json!({
            "dims": self.spec.dims,
            "context": self.spec.context,
            "model": config,
            "columns": self.columns,
            "given": self.context_names(),
            "preprocessing": self.preprocessing,
            "training": self.training,
            "parameters": count,
            "tensors": tensors,
        });
        if self.single_flow().is_none() {
            let flows = self.flows.iter().map(|flow| flow.weight);
            description["members"] = json!(flows.collect::<Vec<_>>());
            description["mixture"] = json!(self.mixture.as_ref().map(|it| it.weight));
        }
        Ok(description)
    }
}
