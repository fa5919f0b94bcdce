//! Tensors of a safetensors file, matched by name and shape.

use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result, escape_control, truncate_escaped};
use crate::flow::Layout;

use super::WeightedFlow;
use super::members::{is_of_frequencies, is_of_mixture, prefix};

/// The parameters for a layout from the bytes of any safetensors file, matched by name and shape; `path` is for messages.
///
/// # Errors
/// [`Error::Model`] names the tensor that is missing, of another shape or type, not finite, or unknown to the layout.
pub fn parameters_of(path: &Path, bytes: &[u8], layout: &Layout) -> Result<Vec<f32>> {
    read_parameters(path, &deserialize(path, bytes)?, layout)
}

pub(super) fn deserialize<'a>(path: &Path, bytes: &'a [u8]) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        Error::model(format!(
            "{}: not a readable safetensors file, or cut short: {}",
            path.display(),
            escape_control(&error)
        ))
    })
}

pub(super) fn read_parameters(
    path: &Path,
    tensors: &SafeTensors<'_>,
    layout: &Layout,
) -> Result<Vec<f32>> {
    let bad = |message: String| Err(Error::model(format!("{}: {message}", path.display())));
    if let Some(name) = tensors
        .names()
        .into_iter()
        .find(|name| layout.tensor(name).is_none() && !is_of_frequencies(name))
    {
        return bad(format!(
            "tensor {} has no position in this flow; check layers, transform, mixing, conditioner, separate and base",
            truncate_escaped(name)
        ));
    }
    read_with_prefix(path, tensors, layout, "")
}

/// The flows of a stack, each of which has a weight.
pub(super) fn read_flows(
    path: &Path,
    tensors: &SafeTensors<'_>,
    layout: &Layout,
    weights: &[f64],
) -> Result<Vec<WeightedFlow>> {
    let is_known = |name: &str| {
        let of_flow = |k: usize| {
            let name = name.strip_prefix(&prefix(k))?;
            layout.tensor(name)
        };
        is_of_mixture(name)
            || is_of_frequencies(name)
            || (0..weights.len()).any(|k| of_flow(k).is_some())
    };
    if let Some(name) = tensors.names().into_iter().find(|name| !is_known(name)) {
        return Err(Error::model(format!(
            "{}: tensor {} has no position in these {} flows and their mixture",
            path.display(),
            truncate_escaped(name),
            weights.len()
        )));
    }
    let flows = weights.iter().enumerate().map(|(k, &weight)| {
        Ok(WeightedFlow {
            weight,
            parameters: read_with_prefix(path, tensors, layout, &prefix(k))?,
        })
    });
    flows.collect()
}

fn read_with_prefix(
    path: &Path,
    tensors: &SafeTensors<'_>,
    layout: &Layout,
    prefix: &str,
) -> Result<Vec<f32>> {
    let mut parameters = Vec::with_capacity(layout.len());
    for tensor in layout.tensors() {
        let name = format!("{prefix}{}", tensor.name);
        parameters.extend(read_tensor(path, tensors, &name, &tensor.shape)?);
    }
    Ok(parameters)
}

/// The numbers of a tensor of this shape.
pub(super) fn read_tensor(
    path: &Path,
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> Result<Vec<f32>> {
    let bad = |message: String| Err(Error::model(format!("{}: {message}", path.display())));
    let Ok(view) = tensors.tensor(name) else {
        return bad(format!("tensor {name}, of shape {shape:?}, is missing"));
    };
    if view.shape() != shape {
        return bad(format!(
            "tensor {name} has shape {:?} where this flow has {shape:?}",
            view.shape()
        ));
    }
    let Some(values) = as_f32(&view) else {
        return bad(format!(
            "tensor {name} is of type {:?}; F32, F16, BF16 and F64 are read: convert it to one of them",
            view.dtype()
        ));
    };
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let value = values[index];
        return bad(format!("tensor {name} holds {value} at position {index}"));
    }
    Ok(values)
}

/// The numbers of a tensor, if it has numbers of a type that is read; those of 64 bits are rounded.
fn as_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (numbers, _) = data.as_chunks();
        numbers.iter().map(|bytes| number(*bytes)).collect()
    }
    let data = view.data();
    Some(match view.dtype() {
        Dtype::F32 => numbers(data, f32::from_le_bytes),
        Dtype::F16 => numbers(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => numbers(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => return None,
    })
}
