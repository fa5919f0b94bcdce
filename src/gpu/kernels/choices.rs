//! The files that stand for the parts which kernels import.

use std::fmt::Debug;

use crate::flow::{Activation, Base};

/// The files that stand for `<part>`s: the part, and the name of a file under `shaders/shared`.
pub type Choices = Vec<(&'static str, String)>;

/// The name of the file of a variant: its kind, and its own name in lower case, words set apart.
pub fn named(kind: &str, variant: impl Debug) -> String {
    let mut name = kind.to_owned();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// Whether what goes into an activation is saved for its derivative.
pub fn saves_input(activation: Option<Activation>) -> bool {
    activation.is_some_and(|activation| !activation.derivative_from_output())
}

pub fn activation_choice(activation: Option<Activation>) -> (&'static str, String) {
    let file = match activation {
        None => "activation_identity".into(),
        Some(activation) => named("activation", activation),
    };
    ("activation", file)
}

/// The density, and where its parameters lie.
pub fn base_choices(base: Base) -> Choices {
    let parameters = match base.trained {
        true => "base_trained",
        false => "base_fixed",
    };
    vec![
        ("base", parameters.into()),
        ("density", named("density", base.density)),
        ("parameters", "parameters_storage".into()),
    ]
}
