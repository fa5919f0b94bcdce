//! Reads and writes the model file: tensors, and a JSON object that says what they are.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::config::{MixingName, ModelConfig, ModelOverrides, ModelShape, TrainConfig};
use crate::data::are_default_names;
use crate::error::{Error, Message, Remedy, Result, escape_control};
use crate::files::{read_at_most, write_whole};
use crate::flow::{MAX_PARAMETERS, Plan, TransformKind};
use crate::preprocessing::{ContextColumn, Preprocessing};

use super::members::{Link, check_weights, read_frequencies, read_mixture};
use super::tensors::{deserialize, read_flows, read_parameters};
use super::{Model, WeightedFlow, WeightedMixture};

/// The newest version of the metadata that this library reads, and writes where a column is not of real numbers: programs that read
/// version 1 alone would take such a model for another.
const FORMAT_VERSION: u32 = 2;

/// The longest header that safetensors reads, in bytes.
const LARGEST_HEADER: u64 = 100_000_000;

/// The longest file that a flow can have.
const LARGEST_FILE: u64 = 8 + LARGEST_HEADER + 4 * MAX_PARAMETERS as u64;

#[derive(Serialize, Deserialize)]
struct Metadata {
    format_version: u32,
    library_version: String,
    spec: SpecRecord,
    columns: Vec<String>,
    /// The names of the context's columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    given: Vec<String>,
    /// Whether the names come from the data, where they could have been given: x0, x1, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    named: Option<bool>,
    preprocessing: Preprocessing,
    /// For each modelled column of categories, which are the first of the context's, what its frequencies are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frequencies: Option<Vec<Link>>,
    /// Where the modelled columns stand in the table, where categories are not the last of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    order: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<TrainConfig>,
    /// Where a model is not one flow alone: the weight of each flow, and of the mixture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    members: Option<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mixture: Option<f64>,
}

/// The spec as metadata holds it: the keys of a configuration's `[model]`, and `dims`.
#[derive(Deserialize)]
struct SpecRecord {
    dims: usize,
    #[serde(default)]
    context: usize,
    #[serde(flatten)]
    model: ModelConfig,
}

impl Serialize for SpecRecord {
    /// With every key that says something of the flow, whether or not it has its usual value: other programs, which do not
    /// know the usual ones, read this.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_spline = self.model.transform == TransformKind::Spline;
        let is_mixed = self.model.mixing != MixingName::None;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("dims", &self.dims)?;
        if self.context > 0 {
            map.serialize_entry("context", &self.context)?;
        }
        for (key, value) in ModelOverrides::entries(&self.model) {
            let says_something = match key {
                "bins" | "spline_bound" => is_spline,
                "mixing" => is_spline || is_mixed,
                // Said by the weights of the members.
                "mixture" => false,
                _ => true,
            };
            if says_something {
                map.serialize_entry(key, &value)?;
            }
        }
        map.end()
    }
}

impl Model {
    /// Writes the model file atomically: the path has the old file or the new one.
    ///
    /// # Errors
    /// [`Error::Model`] where parameters, columns or preprocessing are not those of the spec; [`Error::Io`]. The old file,
    /// if there was one, is untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes().map_err(|error| match error {
            Error::Model(message) => {
                Error::Model(message.prefixed(format_args!("{}: ", path.display())))
            }
            error => error,
        })?;
        write_whole(path, &bytes)
    }

    /// The bytes of the model file.
    ///
    /// # Errors
    /// [`Error::Model`] where parameters, columns or preprocessing are not those of the spec.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let layout = self.plan()?.layout;
        self.check(&layout).map_err(Error::model)?;
        let metadata = Metadata {
            format_version: match self.is_of_real_numbers() {
                true => 1,
                false => FORMAT_VERSION,
            },
            library_version: env!("CARGO_PKG_VERSION").into(),
            spec: SpecRecord {
                dims: self.spec.dims,
                context: self.spec.context,
                model: ModelConfig::of(&self.spec),
            },
            columns: self.columns.clone(),
            given: self.context_names(),
            named: (self.named && are_default_names(&self.columns)).then_some(true),
            preprocessing: self.preprocessing.clone(),
            frequencies: self.frequencies.as_ref().map(|it| {
                let links = it.chain().map(|(given, smoothing)| Link {
                    given: given.to_vec(),
                    smoothing: smoothing.to_vec(),
                });
                links.collect()
            }),
            order: self.order.clone(),
            training: self.training.clone(),
            members: self.single_flow().is_none().then(|| {
                let flows = self.flows.iter();
                flows.map(|flow| flow.weight).collect()
            }),
            mixture: self.mixture.as_ref().map(|it| it.weight),
        };
        let json = serde_json::to_string(&metadata).expect("plain data serializes");
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .tensors(&layout)
            .into_iter()
            .map(|(name, shape, values)| {
                let bytes = values.iter().flat_map(|p| p.to_le_bytes());
                (name, shape, bytes.collect())
            })
            .collect();
        let tensors = tensors.iter().map(|(name, shape, data)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), data);
            (name, view.expect("a tensor of the layout"))
        });
        let metadata = HashMap::from([("couplet".to_string(), json)]);
        safetensors::serialize(tensors, Some(metadata))
            .map_err(|error| Error::model(error.to_string()))
    }

    /// Whether a reader of version 1 can make sense of it.
    fn is_of_real_numbers(&self) -> bool {
        let has_angle = |column: &ContextColumn| column.period.is_some();
        self.preprocessing.kinds.is_empty()
            && self.frequencies.is_none()
            && !self.preprocessing.context_columns().iter().any(has_angle)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Model`] says what is wrong with the file, and in which tensor; [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::of(path, read(path)?)
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let path = Path::new("the model");
        Self::of(path, parse(path, bytes)?)
    }

    fn of(path: &Path, content: ModelFileKind) -> Result<Self> {
        match content {
            ModelFileKind::Model(model) => Ok(*model),
            ModelFileKind::Tensors(_) => Err(tensors_alone(path)),
        }
    }
}

/// What a safetensors file holds.
#[derive(Clone, Debug)]
pub enum ModelFileKind {
    /// A model, with its metadata.
    Model(Box<Model>),
    /// The bytes of a file of tensors without our metadata; a layout says what they are ([`super::parameters_of`]).
    Tensors(Vec<u8>),
}

impl ModelFileKind {
    /// What the model is made of, if it is one.
    pub fn shape(&self) -> Option<ModelShape<'_>> {
        match self {
            ModelFileKind::Model(model) => Some(ModelShape {
                spec: &model.spec,
                flows: model.flows.len(),
                mixture: model.mixture.is_some(),
            }),
            ModelFileKind::Tensors(_) => None,
        }
    }
}

/// What is wrong with a file of tensors where a model is needed.
pub(crate) fn tensors_alone(path: &Path) -> Error {
    let text = format!(
        "{}: the file has tensors but no \"couplet\" metadata",
        path.display()
    );
    let action = "say what the tensors are, and start a training run from them";
    Error::Model(
        Message::new(text)
            .in_file(path)
            .remedy(Remedy::with(action, "config")),
    )
}

/// Reads a safetensors file.
///
/// # Errors
/// As [`Model::load`]; a file that has metadata of ours must be a whole and known model.
pub fn read(path: &Path) -> Result<ModelFileKind> {
    parse(path, read_at_most(path, LARGEST_FILE)?)
}

/// The content of a safetensors file; `path` is for messages.
fn parse(path: &Path, bytes: Vec<u8>) -> Result<ModelFileKind> {
    let bad = |message: String| Error::model(format!("{}: {message}", path.display()));
    let tensors = deserialize(path, &bytes)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| {
        bad(format!(
            "not a readable safetensors file: {}",
            escape_control(&error)
        ))
    })?;
    let metadata = header.metadata().as_ref();
    let Some(json) = metadata.and_then(|metadata| metadata.get("couplet")) else {
        return Ok(ModelFileKind::Tensors(bytes));
    };
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let unreadable = |error: serde_json::Error| {
        bad(format!(
            "its couplet metadata is not readable: {}",
            escape_control(&error)
        ))
    };
    let version: Version = serde_json::from_str(json).map_err(unreadable)?;
    if !(1..=FORMAT_VERSION).contains(&version.format_version) {
        return Err(bad(format!(
            "written in format version {}, and this program reads version {FORMAT_VERSION}; use the version of \
             couplet that wrote it, or a newer one",
            version.format_version
        )));
    }
    let metadata: Metadata = serde_json::from_str(json).map_err(unreadable)?;
    let spec = metadata
        .spec
        .model
        .conditional_spec(metadata.spec.dims, metadata.spec.context)
        .map_err(|error| {
            bad(format!(
                "its metadata asks for a flow that cannot be: {error}"
            ))
        })?;
    // Before a layout of that size is built; the smallest type that is read has two bytes.
    let flows = metadata.members.as_ref().map_or(1, Vec::len);
    if spec
        .count_parameters()
        .and_then(|count| count.checked_mul(flows))
        .is_none_or(|count| count > bytes.len() / 2)
    {
        return Err(bad(format!(
            "its metadata asks for a larger flow ({spec}) than its {} bytes hold",
            bytes.len()
        )));
    }
    let dims = spec.dims;
    if metadata.columns.len() != dims {
        return Err(bad(format!(
            "its metadata names {} columns for {dims} dimensions",
            metadata.columns.len()
        )));
    }
    if !metadata.preprocessing.is_valid(dims) {
        return Err(bad(
            "its metadata prepares rows with numbers that are missing, not finite or not positive"
                .into(),
        ));
    }
    let layout = Plan::new(&spec)?.layout;
    let flows = match &metadata.members {
        None => WeightedFlow::alone(read_parameters(path, &tensors, &layout)?),
        Some(weights) => read_flows(path, &tensors, &layout, weights)?,
    };
    let mixture = match metadata.mixture {
        None => None,
        Some(weight) => Some(WeightedMixture {
            weight,
            mixture: read_mixture(path, &tensors, dims, spec.context)?,
        }),
    };
    let frequencies = match &metadata.frequencies {
        None => None,
        Some(chain) => {
            let levels = metadata.preprocessing.context_columns().iter();
            let levels: Vec<usize> = levels.map(|column| column.levels.len()).collect();
            if chain.is_empty() || chain.len() > levels.len() || levels.contains(&0) {
                return Err(bad(
                    "its metadata has frequencies of columns without levels".into(),
                ));
            }
            Some(read_frequencies(path, &tensors, levels, chain)?)
        }
    };
    let weights: Vec<f64> = flows.iter().map(|flow| flow.weight).collect();
    let weights = [
        &weights[..],
        &metadata.mixture.into_iter().collect::<Vec<_>>(),
    ]
    .concat();
    check_weights(&weights).map_err(bad)?;
    let model = Model {
        spec,
        named: metadata
            .named
            .unwrap_or(!are_default_names(&metadata.columns)),
        columns: metadata.columns,
        preprocessing: metadata.preprocessing,
        frequencies,
        order: metadata.order,
        flows,
        mixture,
        training: metadata.training,
    };
    model.check(&layout).map_err(bad)?;
    Ok(ModelFileKind::Model(Box::new(model)))
}

/// What a file's metadata say of the flow in it, if it is a model file, whatever its version and whether or not its tensors
/// are whole.
pub fn peek(path: &Path) -> Option<String> {
    // A device or a pipe is no file, and reading it could wait for ever.
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER {
        return None;
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    let json = header["__metadata__"]["couplet"].as_str()?;
    let known = serde_json::from_str::<Metadata>(json);
    let spec = known.map(|known| {
        let SpecRecord {
            dims,
            context,
            model,
        } = known.spec;
        model.conditional_spec(dims, context)
    });
    Some(match spec {
        Ok(Ok(spec)) => spec.to_string(),
        _ => "of another version".into(),
    })
}
