use crate::error::Result;
use crate::flow::{Base, Conditioner, Density, Family, FlowSpec, Mixing, Transform, TransformKind};

use super::{BaseName, ConditionerName, MixingName, ModelConfig};

impl ModelConfig {
    /// The spec of a flow over `dims` columns.
    ///
    /// # Errors
    /// As [`FlowSpec::validate`].
    pub fn spec(&self, dims: usize) -> Result<FlowSpec> {
        self.conditional_spec(dims, 0)
    }

    /// The spec of a flow over `dims` columns given `context` others.
    ///
    /// # Errors
    /// As [`FlowSpec::validate`].
    pub fn conditional_spec(&self, dims: usize, context: usize) -> Result<FlowSpec> {
        let affine = Transform::Affine {
            scale_bound: self.scale_bound,
        };
        let spline = Transform::Spline {
            bins: self.bins,
            bound: self.spline_bound,
        };
        // A setting that cannot be is a mistake, whether or not it counts here.
        affine.validate()?;
        spline.validate()?;
        let transform = match self.transform {
            TransformKind::Affine => affine,
            TransformKind::Spline => spline,
            kind => kind.without_settings(),
        };
        let polynomial = |family| Conditioner::Polynomial {
            family,
            degree: self.degree,
            total_degree: self.total_degree,
            input_bound: self.input_bound,
        };
        let conditioner = match self.conditioner {
            ConditionerName::Mlp => Conditioner::Mlp {
                hidden: self.hidden.clone(),
                activation: self.activation,
                separate: self.separate,
            },
            ConditionerName::Hermite => polynomial(Family::Hermite),
            ConditionerName::Legendre => polynomial(Family::Legendre),
        };
        let base = match self.base {
            BaseName::Normal => Base::new(Density::Normal, false),
            BaseName::TrainableNormal => Base::new(Density::Normal, true),
            BaseName::Logistic => Base::new(Density::Logistic, false),
            BaseName::TrainableLogistic => Base::new(Density::Logistic, true),
        };
        let spec = FlowSpec {
            dims,
            context,
            layers: self.layers,
            transform,
            conditioner,
            mixing: match self.mixing {
                MixingName::None => Mixing::None,
                MixingName::Lu => Mixing::Lu,
            },
            base,
        };
        spec.validate()?;
        Ok(spec)
    }

    /// The configuration that yields a spec.
    pub fn of(spec: &FlowSpec) -> Self {
        let mut config = match &spec.conditioner {
            Conditioner::Mlp {
                hidden,
                activation,
                separate,
            } => ModelConfig {
                conditioner: ConditionerName::Mlp,
                hidden: hidden.clone(),
                activation: *activation,
                separate: *separate,
                ..ModelConfig::default()
            },
            &Conditioner::Polynomial {
                family,
                degree,
                total_degree,
                input_bound,
            } => ModelConfig {
                conditioner: match family {
                    Family::Hermite => ConditionerName::Hermite,
                    Family::Legendre => ConditionerName::Legendre,
                },
                degree,
                total_degree,
                input_bound,
                ..ModelConfig::default()
            },
        };
        config.transform = spec.transform.kind();
        match spec.transform {
            Transform::Affine { scale_bound } => config.scale_bound = scale_bound,
            Transform::Spline { bins, bound } => {
                config.bins = bins;
                config.spline_bound = bound;
            }
            _ => {}
        }
        ModelConfig {
            layers: spec.layers,
            mixing: match spec.mixing {
                Mixing::None => MixingName::None,
                Mixing::Lu => MixingName::Lu,
            },
            base: match (spec.base.density, spec.base.trained) {
                (Density::Normal, false) => BaseName::Normal,
                (Density::Normal, true) => BaseName::TrainableNormal,
                (Density::Logistic, false) => BaseName::Logistic,
                (Density::Logistic, true) => BaseName::TrainableLogistic,
            },
            ..config
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Activation;

    #[test]
    fn a_spec_survives_the_way_through_its_configuration() {
        let config = ModelConfig {
            transform: TransformKind::Additive,
            hidden: vec![3, 5],
            activation: Activation::Silu,
            ..ModelConfig::default()
        };
        let spec = config.spec(7).unwrap();
        assert_eq!(ModelConfig::of(&spec).spec(7).unwrap(), spec);
    }
}
