use std::collections::HashMap;
use std::ops::Range;

/// One named tensor and its position in the flat parameter buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name in a model file, for instance `layers.0.s.1.weight`.
    pub name: String,
    /// Row-major; a linear map's weight is [outputs, inputs].
    pub shape: Vec<usize>,
    /// Its range in the flat buffer.
    pub range: Range<usize>,
    /// The distribution its numbers start from.
    pub initial: Initial,
}

/// How a tensor's numbers start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Zero.
    Zero,
    /// Normal around 0.
    Normal {
        /// Of the normal numbers.
        deviation: f64,
    },
    /// Uniform in [low, high).
    Uniform {
        /// The least.
        low: f64,
        /// The most.
        high: f64,
    },
}

/// The position of every named tensor in one flat buffer: layer by layer, the base last.
///
/// Parameters, gradients and AdamW's moments are buffers with this same layout, on the CPU and on the GPU: a
/// tensor's range is worked out here and nowhere else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    /// The index of each tensor in the list.
    by_name: HashMap<String, usize>,
    len: usize,
}

impl Layout {
    /// Adds a tensor after the others; returns its index.
    pub(super) fn push(
        &mut self,
        name: String,
        shape: Vec<usize>,
        initial: Initial,
    ) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.by_name.insert(name.clone(), self.tensors.len());
        self.tensors.push(Tensor {
            name,
            shape,
            range: range.clone(),
            initial,
        });
        self.len = range.end;
        range
    }

    /// Every tensor, in the order of the flat buffer.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The length of the flat buffer: the number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is trained (never so for a flow).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tensor of that name, if the flow has one.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        Some(&self.tensors[*self.by_name.get(name)?])
    }
}
