//! Compiles kernels for a GPU that is not there. Mesa's RADV opens a null device of any AMD family: it compiles and tells
//! registers and spills, and never runs. wgpu cannot open it, so naga writes SPIR-V as wgpu would have it, and `ash` makes the
//! pipeline.

use std::ffi::CStr;
use std::path::Path;
use std::time::{Duration, Instant};

use ash::vk;
use couplet::testing::gpu::{Access, Kernel};

/// The description of the driver, as Debian and others install it.
const DRIVER: &str = "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json";

/// The GPU that the driver is asked to compile for.
pub const FAMILY: &str = "navi21";

pub struct NullDevice {
    _entry: ash::Entry,
    _instance: ash::Instance,
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    /// The driver's own name for it.
    pub name: String,
}

/// What became of a kernel.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Of each invocation.
    pub vector_registers: u64,
    /// Registers, vector and scalar, that did not fit, and bytes of memory that stand in for registers.
    pub spilled: u64,
    pub scratch: u64,
    /// Bytes.
    pub workgroup_memory: u64,
    pub code: u64,
    pub time: Duration,
}

impl NullDevice {
    /// None where the driver is not installed.
    pub fn open() -> Option<Self> {
        if !Path::new(DRIVER).exists() {
            return None;
        }
        // SAFETY: callers have one thread. The loader and the driver read both when the instance is made.
        unsafe {
            std::env::set_var("VK_DRIVER_FILES", DRIVER);
            std::env::set_var("VK_ICD_FILENAMES", DRIVER);
            std::env::set_var("RADV_FORCE_FAMILY", FAMILY);
            // What is compiled again must be compiled, not looked up.
            std::env::set_var("MESA_SHADER_CACHE_DISABLE", "true");
        }
        // SAFETY: plain Vulkan, each handle used while its parent lives, each record filled by its builder.
        unsafe {
            let entry = ash::Entry::load().expect("libvulkan");
            let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
            let create = vk::InstanceCreateInfo::default().application_info(&application);
            let instance = entry.create_instance(&create, None).expect("an instance");
            let physical = *instance
                .enumerate_physical_devices()
                .expect("devices")
                .first()
                .expect("the null device");
            let name = instance.get_physical_device_properties(physical);
            let name = name.device_name_as_c_str().expect("a name");
            let name = name.to_string_lossy().into_owned();
            let queue = vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0]);
            let queues = [queue];
            let extensions = [ash::khr::pipeline_executable_properties::NAME.as_ptr()];
            let mut requested =
                vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
                    .pipeline_executable_info(true);
            let create = vk::DeviceCreateInfo::default()
                .queue_create_infos(&queues)
                .enabled_extension_names(&extensions)
                .push_next(&mut requested);
            let device = instance
                .create_device(physical, &create, None)
                .expect("a device");
            let executables =
                ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
            Some(NullDevice {
                _entry: entry,
                _instance: instance,
                device,
                executables,
                name,
            })
        }
    }

    pub fn compile(&self, kernel: Kernel) -> Compiled {
        let words = spirv(kernel);
        let step = [(0, vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC)];
        let own: Vec<_> = kernel
            .source()
            .bindings()
            .expect("every kernel parses")
            .into_iter()
            .map(|(binding, access)| match access {
                Access::Uniform => (binding, vk::DescriptorType::UNIFORM_BUFFER),
                _ => (binding, vk::DescriptorType::STORAGE_BUFFER),
            })
            .collect();
        let entry = format!("{}\0", kernel.name());
        let entry = CStr::from_bytes_with_nul(entry.as_bytes()).expect("a name");
        // SAFETY: as above.
        unsafe {
            let sets = [self.set(&step), self.set(&own)];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&layout, None);
            let layout = layout.expect("a layout");
            let module = vk::ShaderModuleCreateInfo::default().code(&words);
            let module = self.device.create_shader_module(&module, None);
            let module = module.expect("a module");
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(entry);
            let create = vk::ComputePipelineCreateInfo::default()
                .stage(stage)
                .layout(layout)
                .flags(vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR);
            let begin = Instant::now();
            let pipelines =
                self.device
                    .create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            let time = begin.elapsed();
            let pipeline = pipelines.unwrap_or_else(|(_, error)| panic!("{kernel:?}: {error}"))[0];
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
            let statistics = self.executables.get_pipeline_executable_statistics(&info);
            let statistics = statistics.expect("statistics");
            let find = |name: &str| {
                let statistic = statistics.iter().find(|statistic| {
                    let found = statistic.name_as_c_str().expect("a name");
                    found.to_string_lossy() == name
                });
                let statistic = statistic.unwrap_or_else(|| panic!("no statistic {name:?}"));
                statistic.value.u64
            };
            Compiled {
                vector_registers: find("VGPRs"),
                spilled: find("Spilled VGPRs") + find("Spilled SGPRs"),
                scratch: find("Scratch size"),
                workgroup_memory: find("LDS size"),
                code: find("Code size"),
                time,
            }
        }
    }

    /// # Safety
    /// The device lives.
    unsafe fn set(&self, bindings: &[(u32, vk::DescriptorType)]) -> vk::DescriptorSetLayout {
        let bindings: Vec<_> = bindings
            .iter()
            .map(|&(binding, kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(kind)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let create = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: as said.
        let set = unsafe { self.device.create_descriptor_set_layout(&create, None) };
        set.expect("a set")
    }
}

/// A kernel as wgpu hands it to a driver with robust buffers: indices into arrays are kept within them, loops are bounded.
fn spirv(kernel: Kernel) -> Vec<u32> {
    use naga::back::spv;
    use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let source = kernel.source();
    let module = naga::front::wgsl::parse_str(&source.text).expect("WGSL");
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .expect("valid WGSL");
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            ..Default::default()
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..Default::default()
    };
    spv::write_vec(&module, &info, &options, None).expect("SPIR-V")
}
