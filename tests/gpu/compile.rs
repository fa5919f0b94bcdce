//! Every kernel compiles within seconds on every driver at hand: a driver that takes minutes for one looks like a program that
//! hangs.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use couplet::gpu::{Access, Kernel};
use wgpu::util::DeviceExt;

/// The longest that a driver may take for one kernel.
const LIMIT: Duration = Duration::from_secs(10);

/// Set in the process that compiles; the one that watches it can end it.
const WORKER: &str = "COUPLET_COMPILE_WORKER";

/// Where Debian's Chromium has its Vulkan driver.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

#[test]
fn every_kernel_compiles_within_seconds() {
    if env::var_os(WORKER).is_some() {
        compile_all();
        return;
    }
    watch(None);
    if Path::new(SWIFTSHADER).exists() {
        watch(Some(SWIFTSHADER));
    } else {
        println!("{SWIFTSHADER} is not there: SwiftShader is not tried");
    }
}

/// Has a process of its own compile every kernel with a driver, and ends it where one takes too long.
fn watch(driver: Option<&str>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "compile::every_kernel_compiles_within_seconds",
            "--nocapture",
        ])
        .env(WORKER, "1")
        // What is compiled already is not compiled.
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .stdout(Stdio::piped());
    if let Some(driver) = driver {
        command.env("VK_DRIVER_FILES", driver);
    }
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (to_watch, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if to_watch.send(line).is_err() {
                return;
            }
        }
    });
    let mut kernel = String::from("no kernel");
    let mut longest = (Duration::ZERO, String::new());
    let (mut count, mut begin) = (0, Instant::now());
    loop {
        match lines.recv_timeout(LIMIT) {
            Ok(line) => {
                if let Some(name) = line.strip_prefix("kernel ") {
                    (kernel, begin) = (name.into(), Instant::now());
                } else if line == "compiled" {
                    count += 1;
                    longest = longest.max((begin.elapsed(), kernel.clone()));
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                panic!("{kernel} takes more than {LIMIT:?} to compile with {driver:?}");
            }
        }
    }
    assert!(child.wait().unwrap().success(), "{kernel} with {driver:?}");
    assert_eq!(count, Kernel::all().len(), "{driver:?}");
    println!("{count} kernels with {driver:?}; the longest took {longest:.2?}");
}

/// Compiles each kernel, and runs one group of it: some drivers compile only then. The step's record is all ones, so that what is
/// counted by it ends soon; all else is zero.
fn compile_all() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
    println!("{}", adapter.get_info().name);
    for kernel in Kernel::all() {
        println!("kernel {kernel:?}");
        let source = kernel.source();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(kernel.name()),
            source: wgpu::ShaderSource::Wgsl(source.text.as_str().into()),
        });
        let bindings = source.bindings().unwrap();
        let groups = [&[(0, Access::Uniform)][..], &bindings];
        let layouts = groups.map(|bindings| {
            let entries: Vec<_> = bindings.iter().map(|it| entry(it.0, it.1)).collect();
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            })
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name()),
            layout: Some(
                &device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: None,
                    bind_group_layouts: &[Some(&layouts[0]), Some(&layouts[1])],
                    immediate_size: 0,
                }),
            ),
            module: &module,
            entry_point: Some(kernel.name()),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        let bind = |group: usize| {
            let buffers: Vec<_> = groups[group]
                .iter()
                .map(|it| buffer(&device, it.1, u8::from(group == 0)))
                .collect();
            let entries: Vec<_> = groups[group]
                .iter()
                .zip(&buffers)
                .map(|((binding, _), buffer)| wgpu::BindGroupEntry {
                    binding: *binding,
                    resource: buffer.as_entire_binding(),
                })
                .collect();
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layouts[group],
                entries: &entries,
            })
        };
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind(0), &[]);
        pass.set_bind_group(1, &bind(1), &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        println!("compiled");
    }
}

fn entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    let ty = match access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}

/// A buffer of 32-bit words that are all this number.
fn buffer(device: &wgpu::Device, access: Access, number: u8) -> wgpu::Buffer {
    let (bytes, usage) = match access {
        Access::Uniform => (1 << 16, wgpu::BufferUsages::UNIFORM),
        Access::Read | Access::Write => (1 << 20, wgpu::BufferUsages::STORAGE),
    };
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: None,
        contents: &[number, 0, 0, 0].repeat(bytes / 4),
        usage,
    })
}
