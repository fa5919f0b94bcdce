use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result, escape_control};
use crate::files::read_at_most;

use super::{
    Config, DataOverrides, ModelConfig, ModelOverrides, ModelShape, Preset, TableSize, TrainConfig,
    TrainOverrides,
};

/// Settings that were made by a configuration file, by flags or by a program; the others are open.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(
    feature = "cli",
    command(next_help_heading = "Settings, as in the configuration")
)]
#[cfg_attr(feature = "cli", group(skip))]
pub struct Overrides {
    /// Where the settings that nothing sets come from [default: safe for a table or a target, published without].
    #[cfg_attr(feature = "cli", arg(long, hide_short_help = true, value_name = "safe|published", value_parser = super::sections::name::<Preset>))]
    pub preset: Option<Preset>,
    /// `[train]`.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub train: TrainOverrides,
    /// `[model]`.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub model: ModelOverrides,
    /// `[data]`.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub data: DataOverrides,
}

impl Overrides {
    /// Reads a configuration file: TOML with the sections `[model]`, `[train]` and `[data]`.
    ///
    /// # Errors
    /// [`Error::Spec`] with the line and the keys that are allowed; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        const LONGEST: u64 = 1 << 20;
        let text = String::from_utf8(read_at_most(path, LONGEST)?)
            .map_err(|_| Error::spec(format!("{}: not UTF-8 text", path.display())))?;
        Self::parse(&text).map_err(|message| Error::spec(format!("{}: {message}", path.display())))
    }

    /// The settings that a model was trained with, as far as they are known.
    pub fn of_training(train: Option<&TrainConfig>) -> Self {
        Overrides {
            train: train.map(TrainOverrides::all).unwrap_or_default(),
            ..Overrides::default()
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!("line {line}: {}", escape_control(&error.message()))
        })
    }

    /// These, and over them others.
    pub fn and(self, over: Self) -> Self {
        Overrides {
            preset: over.preset.or(self.preset),
            train: self.train.and(over.train),
            model: self.model.and(over.model),
            data: self.data.and(over.data),
        }
    }

    /// `defaults`, with what is set instead.
    pub fn over(&self, mut defaults: Config) -> Config {
        self.train.apply(&mut defaults.train);
        self.model.apply(&mut defaults.model);
        self.data.apply(&mut defaults.data);
        defaults
    }

    /// Whether something is set that only a flow has, beside how many there are.
    fn are_of_a_flow(&self) -> bool {
        let not_of_flow = TrainOverrides {
            seed: self.train.seed,
            validation: self.train.validation,
            ensemble: self.train.ensemble,
            effort: self.train.effort,
            ..TrainOverrides::default()
        };
        let mixture = ModelOverrides {
            mixture: self.model.mixture,
            ..ModelOverrides::default()
        };
        let takes_no_steps = TrainOverrides {
            steps: Some(0),
            ..not_of_flow.clone()
        };
        let no_flow = self.train == not_of_flow || self.train == takes_no_steps;
        self.model != mixture || !no_flow
    }

    /// The configuration that they make of a preset (`usual`, if they name none) for a table of this size, if it is known. What a
    /// model is made of that training starts from stands between the two.
    ///
    /// # Errors
    /// As [`Config::validate`].
    pub fn config(
        &self,
        usual: Preset,
        start: Option<ModelShape<'_>>,
        table: Option<TableSize>,
    ) -> Result<Config> {
        let preset = self.preset.unwrap_or(usual);
        let mut config = preset.defaults(self.model.conditioner, self.train.effort, table);
        if preset == Preset::Safe
            && let Some(size) = table
        {
            // A setting that only a flow has asks for a flow alone.
            let is_flow = start.is_some() || self.are_of_a_flow();
            if !is_flow && self.model.mixture != Some(false) {
                config.mix(size, self.train.ensemble.is_some());
            }
        }
        if let Some(shape) = start {
            config.model = ModelConfig {
                mixture: shape.mixture,
                ..ModelConfig::of(shape.spec)
            };
            config.train.ensemble = shape.flows.max(1);
        }
        config = self.over(config);
        if preset == Preset::Safe {
            // What follows from others that were set.
            if self.data.whiten.is_none() {
                config.data.whiten &= config.data.standardize;
            }
            if self.data.robust.is_none() {
                config.data.robust &= config.data.standardize;
            }
            let train = &mut config.train;
            if self.train.patience.is_none() {
                train.patience = match train.ensemble {
                    1 => train.steps / 2,
                    // One that ends early has others beside it.
                    _ => 3 * train.steps / 10,
                };
            }
            if self.train.steps.is_some() && self.train.extension.is_none() {
                train.extension = 0;
            }
        }
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConditionerName;

    /// A file changes what it names, and nothing else, whatever the preset.
    #[test]
    fn left_out_keys_are_the_presets() {
        let file = Overrides::parse(
            "preset = \"safe\"\n[model]\nlayers = 3\nscale_bound = 1\n[train]\nsteps = 7\n",
        )
        .unwrap();
        assert_eq!(file.preset, Some(Preset::Safe));
        assert_eq!((file.train.steps, file.train.patience), (Some(7), None));
        for defaults in [Config::default(), Config::safe(ConditionerName::Mlp)] {
            let mut expected = defaults.clone();
            expected.model.layers = 3;
            expected.model.scale_bound = 1.0;
            expected.train.steps = 7;
            assert_eq!(file.over(defaults.clone()), expected);
            assert_eq!(Overrides::default().over(defaults.clone()), defaults);
        }
        let wrong = Overrides::parse("preset = \"safe\"\n\n[train]\nstep = 7\n").unwrap_err();
        assert!(
            wrong.starts_with("line 4: ") && wrong.contains("step"),
            "{wrong}"
        );
        for (text, part) in [("fast", "published"), ("sa\\u001bfe", "`sa\\u{1b}fe`")] {
            let wrong = Overrides::parse(&format!("preset = \"{text}\"")).unwrap_err();
            assert!(wrong.contains(part), "{wrong}");
        }
    }

    /// The last word counts, and what follows from it follows.
    #[test]
    fn later_settings_stand_over_earlier_ones() {
        let file = Overrides::parse("[train]\nsteps = 7\nseed = 3\n[data]\nstandardize = false\n");
        let mut flags = Overrides::default();
        flags.train.steps = Some(100);
        let both = file.unwrap().and(flags);
        let config = both
            .config(Preset::Safe, None, Some(TableSize::new(5000, 3)))
            .unwrap();
        assert_eq!((config.train.steps, config.train.seed), (100, 3));
        assert_eq!(config.train.patience, 50);
        assert!(!config.data.whiten && !config.data.robust);
    }
}
