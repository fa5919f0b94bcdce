//! What a model file may hold.

use std::fs;
use std::path::Path;

use ::safetensors::tensor::{Dtype, SafeTensors, TensorView};
use couplet::config::ModelConfig;
use couplet::flow::{Plan, initial_parameters};
use couplet::model::{Model, WeightedFlow};
use half::{bf16, f16};

/// A model in memory is what its file holds.
#[test]
fn bytes_of_a_model_are_those_of_its_file() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds/model.safetensors");
    let model = Model::load(&seed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model.save(&path).unwrap();
    let bytes = model.to_bytes().unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(Model::from_bytes(bytes.clone()).unwrap(), model);
    let error = Model::from_bytes(bytes[..bytes.len() / 2].to_vec()).unwrap_err();
    assert!(error.to_string().starts_with("the model: "), "{error}");
}

/// A model file whose tensors have 16 bits, or 64, is one of the numbers that those are in 32; other types are refused by name.
#[test]
fn tensors_of_other_types_are_converted() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds/model.safetensors");
    let expected = Model::load(&seed).unwrap();
    let bytes = fs::read(&seed).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let write = |kind, number: &dyn Fn(f32) -> Vec<u8>| {
        let converted: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, view)| {
                let (numbers, _) = view.data().as_chunks();
                let data = numbers
                    .iter()
                    .flat_map(|bytes| number(f32::from_le_bytes(*bytes)));
                (name.to_string(), view.shape().to_vec(), data.collect())
            })
            .collect();
        let views = converted
            .iter()
            .map(|(name, shape, data)| (name, TensorView::new(kind, shape.clone(), data).unwrap()));
        let file = ::safetensors::serialize(views, header.metadata().clone()).unwrap();
        fs::write(&path, file).unwrap();
        Model::load(&path)
    };
    let half = |x: f32| f16::from_f32(x);
    let brain = |x: f32| bf16::from_f32(x);
    for (kind, number, value) in [
        (
            Dtype::F16,
            &(|x| half(x).to_le_bytes().to_vec()) as &dyn Fn(f32) -> Vec<u8>,
            &(|x| half(x).to_f32()) as &dyn Fn(f32) -> f32,
        ),
        (Dtype::BF16, &|x| brain(x).to_le_bytes().to_vec(), &|x| {
            brain(x).to_f32()
        }),
        (Dtype::F64, &|x| f64::from(x).to_le_bytes().to_vec(), &|x| x),
    ] {
        let model = write(kind, number).unwrap();
        let parameters = expected.single_flow().unwrap().iter();
        let parameters: Vec<f32> = parameters.map(|&p| value(p)).collect();
        assert_eq!(model.single_flow(), Some(&parameters[..]), "{kind:?}");
        assert_eq!(model.preprocessing, expected.preprocessing);
    }
    let integers = write(Dtype::I32, &|x| (x as i32).to_le_bytes().to_vec());
    let message = integers.unwrap_err().to_string();
    assert!(
        message.contains("I32") && message.contains("BF16"),
        "{message}"
    );
}

/// Names of the data's own that look like default ones are told from those; every key that a spline's flow has a use for is
/// written, and no key that another flow has none for.
#[test]
fn metadata_say_whose_the_names_are_and_what_a_spline_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let metadata = |config: &ModelConfig, named| {
        let spec = config.spec(2).unwrap();
        let layout = Plan::new(&spec).unwrap().layout;
        let model = Model {
            spec,
            columns: vec!["x0".into(), "x1".into()],
            named,
            preprocessing: Default::default(),
            frequencies: None,
            order: Vec::new(),
            flows: WeightedFlow::alone(initial_parameters(&layout, 1)),
            mixture: None,
            training: None,
        };
        model.save(&path).unwrap();
        assert_eq!(Model::load(&path).unwrap(), model);
        let bytes = fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        header.metadata().as_ref().unwrap()["couplet"].clone()
    };
    let affine = ModelConfig::default();
    let spline = ModelConfig {
        transform: couplet::flow::TransformKind::Spline,
        separate: false,
        ..ModelConfig::default()
    };
    for key in ["bins", "spline_bound", "mixing"] {
        let key = format!("\"{key}\"");
        assert!(metadata(&spline, false).contains(&key));
        assert!(!metadata(&affine, false).contains(&key));
    }
    assert!(metadata(&affine, true).contains("\"named\":true"));
    assert!(!metadata(&affine, false).contains("named"));
}
