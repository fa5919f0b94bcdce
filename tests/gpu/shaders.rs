//! Every kernel in every variant parses, validates without any optional capability, and translates to SPIR-V,
//! MSL and HLSL. No GPU is needed.

use couplet::testing::gpu::{Access, Kernel};
use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

fn parsed(kernel: Kernel) -> (naga::Module, ModuleInfo) {
    let source = kernel.source();
    let module = naga::front::wgsl::parse_str(&source.text).unwrap_or_else(|error| {
        let line = error
            .location(&source.text)
            .map_or(1, |index| index.line_number);
        let (file, line) = source.locate(line);
        panic!("{kernel:?}: shaders/{file}:{line}: {error}")
    });
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{kernel:?}: {}", error.emit_to_string(&source.text)));
    (module, info)
}

#[test]
fn every_kernel_translates() {
    for kernel in Kernel::all() {
        let (module, info) = parsed(kernel);
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None)
            .unwrap_or_else(|error| panic!("{kernel:?} to SPIR-V: {error}"));
        assert!(words.len() > 100, "{kernel:?}: SPIR-V is empty");

        let (text, _) = msl::write_string(
            &module,
            &info,
            &msl::Options {
                fake_missing_bindings: true,
                lang_version: (2, 0),
                ..Default::default()
            },
            &msl::PipelineOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{kernel:?} to MSL: {error}"));
        assert!(text.contains("kernel void"), "{kernel:?}: MSL is empty");

        let mut text = String::new();
        let options = hlsl::Options {
            fake_missing_bindings: true,
            ..Default::default()
        };
        hlsl::Writer::new(&mut text, &options, &Default::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{kernel:?} to HLSL: {error}"));
        assert!(text.contains("numthreads"), "{kernel:?}: HLSL is empty");
    }
}

/// Bindings are read off the WGSL: of AdamW the gradient's sums, then all that it changes.
#[test]
fn bindings_are_those_of_the_text() {
    let source = Kernel::AdamW.source();
    let expected = [Access::Read].into_iter().chain([Access::Write; 5]);
    let expected: Vec<_> = (1..).zip(expected).collect();
    assert_eq!(source.bindings(), Ok(expected));
}

/// Each has one entry point, with the name of its file, and stays within the WebGPU default limits (workgroup memory is one
/// that wgpu does not check).
#[test]
fn kernels_stay_within_the_limits() {
    let limits = wgpu::Limits::default();
    for kernel in Kernel::all() {
        let (module, _) = parsed(kernel);
        let bindings = kernel.source().bindings().unwrap();
        let storage = bindings
            .iter()
            .filter(|(_, access)| *access != Access::Uniform)
            .count();
        assert!(storage as u32 <= limits.max_storage_buffers_per_shader_stage);

        let [entry] = &module.entry_points[..] else {
            panic!("{kernel:?}: one entry point")
        };
        assert_eq!(entry.name, kernel.name());
        assert!(
            entry.workgroup_size.iter().product::<u32>()
                <= limits.max_compute_invocations_per_workgroup
        );
        let workgroup_bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(
            workgroup_bytes <= limits.max_compute_workgroup_storage_size,
            "{kernel:?}"
        );
    }
}
