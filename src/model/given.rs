use crate::data::nearest;
use crate::error::{Error, Message, Remedy, Result, list, quote};
use crate::matrix::Matrix;

use super::Model;

impl Model {
    /// A row of context from text: `a=1.5,b=2`, in any order and in as many pieces as one likes. A name or a value may have commas
    /// and equals signs in it, since the model knows its names.
    ///
    /// # Errors
    /// [`Error::Spec`] names what is not a column of the model's context, what is missing, what is there twice, and what is not
    /// a number.
    pub fn context_from_text(&self, pieces: &[String]) -> Result<Matrix<f64>> {
        let (names, columns) = (self.context_names(), self.given());
        let bad = |text: String| {
            let action = match names.is_empty() {
                true => Remedy::by_hand("leave the setting out"),
                false => Remedy::by_hand(format!("give a value for {}", list(&names))),
            };
            Err(Error::Spec(
                Message::about("given", pieces.join(","), text).remedy(action),
            ))
        };
        if names.is_empty() {
            return bad("the model is a density without context".into());
        }
        let mut values = vec![None; names.len()];
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let Some((column, after)) = begins_with_name(rest, &names) else {
                    let said = rest.split(['=', ',']).next().unwrap_or(rest);
                    return bad(format!(
                        "the model's context has no column {}{}",
                        quote(said),
                        nearest(said, &names)
                    ));
                };
                let (value, others) = up_to_next_name(after, &names);
                let name = quote(&names[column]);
                if values[column].is_some() {
                    return bad(format!("{name} is there twice"));
                }
                let levels = &columns[column].levels;
                let number = match levels.is_empty() {
                    true => value.trim().parse::<f64>().ok(),
                    false => {
                        let level = levels.iter().position(|level| level == value.trim());
                        level.map(|level| level as f64)
                    }
                };
                let Some(number) = number.filter(|number| number.is_finite()) else {
                    return bad(match levels.is_empty() {
                        true => format!("{} is not a number for {name}", quote(value)),
                        false => format!(
                            "{name} has no level {}{}; it has {}",
                            quote(value),
                            nearest(value, levels),
                            list(levels)
                        ),
                    });
                };
                values[column] = Some(number);
                rest = others;
            }
        }
        let missing = names
            .iter()
            .zip(&values)
            .filter(|(_, value)| value.is_none());
        let missing: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
        if !missing.is_empty() {
            return bad(format!("nothing is given for {}", list(&missing)));
        }
        let values = values.into_iter().flatten().collect();
        Ok(Matrix::from_values(1, names.len(), values))
    }

    /// Why a density given context can do nothing without any; `table` is the setting that names a table of it.
    pub fn nothing_given(&self, table: &'static str) -> Error {
        let names = self.context_names();
        let text = format!(
            "the model is the density of {} given {}, and nothing is given",
            list(&self.modelled()),
            list(&names)
        );
        let values: Vec<String> = names.iter().map(|name| format!("{name}=VALUE")).collect();
        Error::Spec(
            Message::new(text)
                .remedy(Remedy::new("say what", "given", values.join(",")))
                .remedy(Remedy::new("name a table of it", table, "FILE")),
        )
    }

    /// A row of context in words: "a = 1.5, b = 2".
    pub fn context_to_text(&self, context: &Matrix<f64>) -> String {
        const SHOWN: usize = 3;
        let columns = self.given();
        let each = columns.iter().take(SHOWN).zip(context.row(0));
        let mut words: Vec<String> = each
            .map(|(column, value)| format!("{} = {}", column.name, column.value_to_text(value)))
            .collect();
        if columns.len() > SHOWN {
            words.push("...".into());
        }
        words.join(", ")
    }

    /// The names of the context's columns.
    pub fn context_names(&self) -> Vec<String> {
        let columns = self.given().iter();
        columns.map(|column| column.name.clone()).collect()
    }
}

/// The column whose name and an equals sign a text begins with, the longest such name, and what follows.
fn begins_with_name<'t>(text: &'t str, names: &[String]) -> Option<(usize, &'t str)> {
    let matches = names.iter().enumerate().filter_map(|(column, name)| {
        let after = text.trim_start().strip_prefix(&name[..])?;
        let after = after.trim_start().strip_prefix('=')?;
        Some((name.len(), column, after))
    });
    let (_, column, after) = matches.max_by_key(|(length, ..)| *length)?;
    Some((column, after))
}

/// A value, and what follows the comma behind it: the next name that is known, or what should have been one.
fn up_to_next_name<'t>(text: &'t str, names: &[String]) -> (&'t str, &'t str) {
    let commas = text.match_indices(',').map(|(index, _)| index);
    let mut next = commas.filter(|index| begins_with_name(&text[index + 1..], names).is_some());
    // Behind a number an equals sign says that a name was meant.
    let unknown = text
        .split_once(',')
        .filter(|(value, rest)| value.trim().parse::<f64>().is_ok() && rest.contains('='));
    match (unknown, next.next()) {
        (Some(parts), _) => parts,
        (None, Some(index)) => (&text[..index], &text[index + 1..]),
        (None, None) => (text, ""),
    }
}
