use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Kind {
    /// Any number.
    #[default]
    Real,
    /// Numbers above 0.
    Positive,
    /// Numbers from `low` to `high`, either of which may be open.
    Bounded {
        /// The least, if there is one.
        low: Option<f64>,
        /// The greatest, if there is one.
        high: Option<f64>,
    },
    /// Whole numbers, from `low` to `high` where these are said.
    Integer {
        /// The least, if there is one.
        low: Option<f64>,
        /// The greatest, if there is one.
        high: Option<f64>,
    },
    /// Angles, hours and whatever begins anew after a period.
    Circular {
        /// The period: what is that far apart is the same.
        period: f64,
    },
    /// Levels without an order: texts, or numbers that stand for them.
    Categorical,
}

/// How kinds are written, for messages.
const KINDS: &str = "real, positive, bounded(LOW,HIGH), integer, integer(LOW,HIGH), circular(PERIOD) or categorical; a bound may \
                     be left out, as in bounded(0,)";

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bound: &Option<f64>| bound.map_or_else(String::new, |bound| bound.to_string());
        match self {
            Kind::Real => f.write_str("real"),
            Kind::Positive => f.write_str("positive"),
            Kind::Bounded { low, high } => write!(f, "bounded({},{})", text(low), text(high)),
            Kind::Integer {
                low: None,
                high: None,
            } => f.write_str("integer"),
            Kind::Integer { low, high } => write!(f, "integer({},{})", text(low), text(high)),
            Kind::Circular { period } => write!(f, "circular({period})"),
            Kind::Categorical => f.write_str("categorical"),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, arguments) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let inside = rest.trim_end().strip_suffix(')');
                let inside = inside.ok_or("the bracket is not closed")?;
                (name.trim_end(), Some(inside))
            }
        };
        match (name, arguments) {
            ("real", None) => Ok(Kind::Real),
            ("positive", None) => Ok(Kind::Positive),
            ("categorical", None) => Ok(Kind::Categorical),
            ("integer", None) => Ok(Kind::Integer {
                low: None,
                high: None,
            }),
            ("bounded", Some(inside)) => {
                let (low, high) = bounds(inside)?;
                Ok(Kind::Bounded { low, high })
            }
            ("integer", Some(inside)) => {
                let (low, high) = bounds(inside)?;
                let both = low.into_iter().chain(high);
                match both.into_iter().find(|bound| bound.fract() != 0.0) {
                    Some(bound) => Err(format!("{bound} is no whole number")),
                    None => Ok(Kind::Integer { low, high }),
                }
            }
            ("circular", Some(inside)) => {
                let period = number(inside)?;
                match period > 0.0 {
                    true => Ok(Kind::Circular { period }),
                    false => Err(format!("the period {period} is not above 0")),
                }
            }
            _ => Err(format!("a kind is {KINDS}")),
        }
    }
}

/// Two bounds, either of which may be left out, but not both.
fn bounds(text: &str) -> Result<(Option<f64>, Option<f64>), String> {
    let (low, high) = text
        .split_once(',')
        .ok_or("two bounds are needed, with a comma between them")?;
    let bound = |text: &str| match text.trim().is_empty() {
        true => Ok(None),
        false => number(text).map(Some),
    };
    match (bound(low)?, bound(high)?) {
        (Some(low), Some(high)) if low >= high => {
            Err(format!("the lower bound {low} is not below {high}"))
        }
        (None, None) => Err("one of the two bounds must be there".into()),
        both => Ok(both),
    }
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{:?} is no number", text.trim()))
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|why| D::Error::custom(format!("{text}: {why}")))
    }
}

/// The kind that a column is said to be of.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnKind {
    /// The column's name or number.
    pub column: String,
    /// Its kind.
    pub kind: Kind,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.column, self.kind)
    }
}

impl FromStr for ColumnKind {
    type Err = String;

    /// `NAME=KIND`; the name may have an equals sign in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (column, kind) = text
            .rsplit_once('=')
            .ok_or_else(|| format!("must be NAME=KIND, where a kind is {KINDS}"))?;
        Ok(ColumnKind {
            column: column.to_string(),
            kind: kind.parse()?,
        })
    }
}

impl Serialize for ColumnKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Kinds of columns as a configuration has them: a table of names and kinds.
pub(crate) mod by_name {
    use serde::ser::SerializeMap;

    use super::*;

    pub fn serialize<S: Serializer>(
        kinds: &[ColumnKind],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(kinds.len()))?;
        for it in kinds {
            map.serialize_entry(&it.column, &it.kind)?;
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ColumnKind>, D::Error> {
        struct InOrder;

        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Vec<ColumnKind>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of columns, each with its kind")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut kinds = Vec::new();
                while let Some((column, kind)) = map.next_entry()? {
                    kinds.push(ColumnKind { column, kind });
                }
                Ok(kinds)
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The same where they may have been set or not.
pub(crate) fn some_by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<ColumnKind>>, D::Error> {
    by_name::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for text in [
            "real",
            "positive",
            "bounded(0,1)",
            "bounded(-2.5,)",
            "bounded(,7)",
            "integer",
            "integer(0,)",
            "integer(1,5)",
            "circular(360)",
            "categorical",
        ] {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
        let spaced: Kind = " bounded ( 0 , 1 ) ".parse().unwrap();
        assert_eq!(spaced.to_string(), "bounded(0,1)");
        let named: ColumnKind = "a=b=circular(24)".parse().unwrap();
        assert_eq!(
            (&named.column[..], named.kind),
            ("a=b", Kind::Circular { period: 24.0 })
        );
    }

    #[test]
    fn what_is_no_kind_says_why() {
        for (text, part) in [
            ("reel", "a kind is real, positive"),
            ("bounded", "a kind is"),
            ("bounded(1)", "two bounds"),
            ("bounded(,)", "must be there"),
            ("bounded(2,1)", "not below"),
            ("bounded(0,x)", "\"x\" is no number"),
            ("bounded(0,inf)", "no number"),
            ("integer(0.5,)", "no whole number"),
            ("circular(0)", "not above 0"),
            ("circular(360", "not closed"),
            ("positive(1)", "a kind is"),
        ] {
            let why = text.parse::<Kind>().unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert!("x".parse::<ColumnKind>().unwrap_err().contains("NAME=KIND"));
    }
}
