//! Every kernel compiles within seconds on every driver at hand: a driver that takes minutes for one looks like a program that
//! hangs.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use couplet::gpu::{Gpu, adapters};
use couplet::testing::gpu::{Access, Kernel, Pipelines};
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
    let adapter = adapters().into_iter().next().unwrap();
    let gpu = Gpu::open(&adapter, wgpu::Limits::default()).unwrap();
    println!("{}", gpu.description);
    let device = gpu.device();
    let pipelines = Pipelines::new(&gpu);
    for kernel in Kernel::all() {
        println!("kernel {kernel:?}");
        let pipeline = pipelines.get(&gpu, kernel).unwrap();
        let bindings = kernel.source().bindings().unwrap();
        let bind = |layout: &wgpu::BindGroupLayout, bindings: &[(u32, Access)], number: u8| {
            let buffers = bindings.iter().map(|it| buffer(device, it.1, number));
            let buffers: Vec<_> = buffers.collect();
            let entries: Vec<_> = (bindings.iter().zip(&buffers))
                .map(|(&(binding, _), buffer)| wgpu::BindGroupEntry {
                    binding,
                    resource: buffer.as_entire_binding(),
                })
                .collect();
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout,
                entries: &entries,
            })
        };
        let step = bind(&pipelines.step, &[(0, Access::Uniform)], 1);
        let own = bind(&pipeline.layout, &bindings, 0);
        let mut encoder = gpu.encoder();
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &step, &[0]);
        pass.set_bind_group(1, &own, &[]);
        pass.dispatch_workgroups(1, 1, 1);
        drop(pass);
        gpu.run(encoder).unwrap();
        println!("compiled");
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
