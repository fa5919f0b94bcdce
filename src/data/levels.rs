use std::collections::HashMap;

use crate::error::{Message, Remedy, Result, list, quote, truncate_escaped};

use super::columns::nearest;

/// More different texts than this are no categories.
pub const MOST_LEVELS: usize = 256;

/// The levels of a column of categories: its numbers are their indices.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    names: Vec<String>,
    indices: HashMap<String, usize>,
    /// Whether a model knows them already, so that there can be no more.
    fixed: bool,
}

impl Levels {
    /// Those that a model knows.
    pub fn of_model(names: &[String]) -> Self {
        let indices = names.iter().cloned().zip(0..).collect();
        Levels {
            names: names.to_vec(),
            indices,
            fixed: true,
        }
    }

    /// The index of a row's level; one that is new is added, if there may be more.
    ///
    /// # Errors
    /// Names a level that the model does not know and the nearest that it does, or says that there are too many.
    pub fn index(&mut self, text: &str, row: u64, column: &str) -> Result<usize, Message> {
        if let Some(&index) = self.indices.get(text) {
            return Ok(index);
        }
        let bad = |text: String, action: &str| {
            let message = Message::new(text).in_column(column).at_row(row);
            Err(message.remedy(Remedy::by_hand(action)))
        };
        if self.fixed {
            let text = format!(
                "row {row}, {}: the model knows no level {}{}; it knows {}",
                quote(column),
                quote(text),
                nearest(text, &self.names),
                list(&self.names)
            );
            return bad(text, "train a model on rows of that level");
        }
        if self.names.len() == MOST_LEVELS {
            let text = format!(
                "{} has more than {MOST_LEVELS} different texts, among them {}, too many for categories",
                quote(column),
                truncate_escaped(text)
            );
            let message = Message::new(text).in_column(column).at_row(row);
            return Err(message
                .remedy(Remedy::by_hand("put rare ones together"))
                .remedy(Remedy::new("leave the column out", "exclude", column)));
        }
        self.names.push(text.into());
        self.indices.insert(text.into(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }

    /// The one that came first.
    pub fn first(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The levels in the order of their names, which does not depend on that of the rows, and for each index so far the one there.
    /// Those of a model stay in its order.
    pub fn sorted(self) -> (Vec<String>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        if !self.fixed {
            order.sort_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        }
        let mut moved = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            moved[from] = to;
        }
        (
            order.iter().map(|&k| self.names[k].clone()).collect(),
            moved,
        )
    }
}
