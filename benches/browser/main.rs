//! Compiles every kernel in a browser's WebGPU, whose compilers ask more of WGSL than wgpu's does: Chromium's refuses a barrier
//! that it cannot see to be uniform.
//!
//!     cargo bench --bench browser
//!
//! It needs Chromium (`CHROMIUM` names another one, or its path). Without a GPU Chromium takes SwiftShader, its software adapter,
//! and some minutes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio, exit};

use couplet::testing::gpu::{Access, Kernel};
use serde_json::{Value, json};

/// Asks for each kernel, and posts what the browser says of it.
const PAGE: &str = include_str!("page.html");

fn main() {
    let kernels = Kernel::all();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let index = format!("http://{}/", listener.local_addr().expect("an address"));
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".into());
    let profile = tempfile::tempdir().expect("a folder");
    let child = Command::new(&browser)
        .args(["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu"])
        .args([
            "--enable-features=Vulkan",
            "--use-webgpu-adapter=swiftshader",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(index)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{browser}: {error}; CHROMIUM names a Chromium; nothing was compiled");
            exit(1);
        }
    };
    let mut refused = 0;
    let mut failed = false;
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let Some((head, body)) = request(&mut stream) else {
            continue;
        };
        if head.starts_with("GET / ") {
            answer(&mut stream, "text/html", PAGE);
        } else if head.starts_with("GET /kernels ") {
            let list: Vec<Value> = kernels.iter().map(described).collect();
            answer(&mut stream, "application/json", &json!(list).to_string());
        } else if head.starts_with("POST /end ") {
            answer(&mut stream, "text/plain", "");
            println!("{} kernels, {refused} refused: {body}", kernels.len());
            break;
        } else if head.starts_with("POST /failed ") {
            answer(&mut stream, "text/plain", "");
            eprintln!("{browser}: {body}");
            failed = true;
            break;
        } else if head.starts_with("POST /refused ") {
            answer(&mut stream, "text/plain", "");
            refused += 1;
            let said: Value = serde_json::from_str(&body).expect("JSON from the page");
            let kernel = kernels[said["number"].as_u64().expect("a number") as usize];
            let line = said["line"].as_u64().unwrap_or(0) as u32;
            let source = kernel.source();
            let (file, line) = source.locate(line);
            println!("{kernel:?}, {file}:{line}: {}", said["message"]);
        } else {
            answer(&mut stream, "text/plain", "");
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    drop(profile);
    exit(i32::from(failed || refused > 0));
}

/// A kernel as the page takes it.
fn described(kernel: &Kernel) -> Value {
    let kind = |access| match access {
        Access::Uniform => "uniform",
        Access::Read => "read-only-storage",
        Access::Write => "storage",
    };
    let source = kernel.source();
    let bindings = source.bindings().expect("every kernel parses");
    let bindings: Vec<Value> = bindings
        .into_iter()
        .map(|(binding, access)| json!([binding, kind(access)]))
        .collect();
    json!({ "entry": kernel.name(), "text": source.text, "bindings": bindings })
}

/// The first line of a request, and its body.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}

fn answer(stream: &mut TcpStream, kind: &str, body: &str) {
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}
