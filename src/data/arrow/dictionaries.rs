use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, UInt32Array,
    downcast_dictionary_array,
};
use arrow_buffer::ArrowNativeType;
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::plain::{Texts, in_utc};

/// The values of each dictionary column so far. A Parquet file has dictionaries of its own for each group of rows; an
/// Arrow file has one for each column, which may only grow.
#[derive(Default)]
pub(super) struct Dictionaries {
    columns: HashMap<usize, Values>,
}

struct Values {
    values: ArrayRef,
    /// Where each is, by what it looks like.
    indices: HashMap<String, usize>,
}

impl Dictionaries {
    /// The batch with dictionaries that begin as those of the batches before it.
    pub fn extend(&mut self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        let schema = batch.schema();
        let columns = batch.columns().iter().enumerate();
        let columns = columns.map(|(j, column)| {
            downcast_dictionary_array!(
                column => self.column(j, column),
                _ => Ok(column.clone()),
            )
        });
        RecordBatch::try_new(schema, columns.collect::<Result<_, _>>()?)
    }

    fn column<K: ArrowDictionaryKeyType>(
        &mut self,
        j: usize,
        column: &DictionaryArray<K>,
    ) -> Result<ArrayRef, ArrowError> {
        let new = column.values();
        let zoneless = in_utc(new);
        let texts = Texts::of(&zoneless);
        let known = self.columns.entry(j).or_insert_with(|| Values {
            values: new.slice(0, 0),
            indices: HashMap::new(),
        });
        // Where each of its values is among all, and those that come to them.
        let mut positions = Vec::with_capacity(new.len());
        let mut added = Vec::new();
        for index in 0..new.len() {
            // A null is no text that a value could have.
            let shown = match new.is_null(index) {
                true => String::from("\0null"),
                false => texts.get(index),
            };
            let next = known.values.len() + added.len();
            let position = *known.indices.entry(shown).or_insert(next);
            if position == next {
                added.push(index as u32);
            }
            positions.push(position);
        }
        if !added.is_empty() {
            let added = take(new, &UInt32Array::from(added), None)?;
            known.values = concat(&[&known.values, &added])?;
        }
        let position = |key: K::Native| {
            let position = positions.get(key.as_usize()).copied();
            position.and_then(K::Native::from_usize)
        };
        let keys: PrimitiveArray<K> = column
            .keys()
            .iter()
            .map(|key| match key {
                None => Ok(None),
                Some(key) => match position(key) {
                    Some(position) => Ok(Some(position)),
                    None => Err(ArrowError::DictionaryKeyOverflowError),
                },
            })
            .collect::<Result<_, _>>()?;
        let values = known.values.clone();
        Ok(Arc::new(DictionaryArray::<K>::try_new(keys, values)?))
    }
}
