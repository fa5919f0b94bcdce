//! Every reader against files that chance has damaged: an error or a value, never a panic, and never more than a moment. The
//! damage is drawn by a fixed seed, so that a failure comes back. A program of its own, whose memory is that of the readers alone.

#[path = "common/parsers.rs"]
mod parsers;
#[path = "common/safetensors.rs"]
mod safetensors;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::parsers::{ALL, Parser, check_message};
use couplet::random::{Philox, Purpose};
use rand::{Rng, RngExt};

/// Damages bytes in one to eight places: a bit, a byte, a stretch doubled, taken out, or replaced by what breaks parsers.
fn damage(bytes: &[u8], random: &mut Philox) -> Vec<u8> {
    const NASTY: [&[u8]; 11] = [
        b"\"",
        b"\x00",
        b"[[[[",
        b"{",
        b"-1",
        b"1e999",
        b"nan",
        b"18446744073709551615",
        b"\xff\xfe",
        b"\\u001b",
        b"\n",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.next_u32() % 8 {
        if bytes.is_empty() {
            break;
        }
        // Headers break more than bodies: half of the damage is in the first 200 bytes.
        let reach = if random.random::<bool>() {
            bytes.len().min(200)
        } else {
            bytes.len()
        };
        let at = random.next_u32() as usize % reach;
        let stretch = at..(at + random.next_u32() as usize % 40).min(bytes.len());
        match random.next_u32() % 6 {
            0 => bytes[at] ^= 1 << (random.next_u32() % 8),
            1 => bytes[at] = random.next_u32() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(stretch)),
            4 => {
                let doubled = bytes[stretch].to_vec();
                bytes.splice(at..at, doubled);
            }
            _ => {
                let nasty = NASTY[random.next_u32() as usize % NASTY.len()];
                bytes.splice(stretch, nasty.iter().copied());
            }
        }
    }
    bytes
}

/// Reads `count` damaged versions of a parser's seed; returns how many were read all the same.
fn survive(parser: &Parser, count: u64) -> u64 {
    let name = parser.seed;
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds");
    let good = fs::read(seeds.join(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, &good).unwrap();
    (parser.read)(&path).unwrap();
    let mut readable = 0;
    for number in 0..count {
        let mut random = Philox::row(name.len() as u64, Purpose::Generator, number);
        let bytes = damage(&good, &mut random);
        fs::write(&path, &bytes).unwrap();
        let begin = Instant::now();
        let result = std::panic::catch_unwind(|| (parser.read)(&path));
        let Ok(result) = result else {
            panic!(
                "{name}, damaged version {number}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        };
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "{name}, damaged version {number}: {took:?}"
        );
        match result {
            Ok(()) => readable += 1,
            Err(error) => check_message(&error),
        }
    }
    readable
}

/// Some thousands of damaged files for each parser, or as many as `COUPLET_INPUTS` says.
#[test]
fn damaged_files() {
    let requested = std::env::var("COUPLET_INPUTS").map(|text| text.parse().unwrap());
    let count: u64 = requested.unwrap_or(3000);
    for parser in ALL {
        let begin = Instant::now();
        let readable = survive(&parser, count);
        println!(
            "{}: {count} inputs, {readable} read, {:.0?}",
            parser.seed,
            begin.elapsed()
        );
        // Some damage is none; a checkpoint and what is packed know nearly all of it.
        let is_packed = ["npz", "gz", "zst"]
            .iter()
            .any(|end| parser.seed.ends_with(end));
        let is_sealed = is_packed || parser.seed.starts_with("checkpoint") && !cfg!(fuzzing);
        let some = if is_sealed {
            0..count / 100
        } else {
            count / 100..count - count / 100
        };
        assert!(some.contains(&readable), "{}: {readable}", parser.seed);
    }
    assert!(most_memory() < 1 << 30, "{} bytes", most_memory());
}

/// Headers of NPY files that chance would hardly find.
#[test]
fn malformed_array_headers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.npy");
    let read = |version: u8, shape: &str, part: &str| {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n");
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        let length = (header.len() as u32).to_le_bytes();
        bytes.extend(&length[..if version == 1 { 2 } else { 4 }]);
        bytes.extend(header.as_bytes());
        bytes.extend([0; 64]);
        fs::write(&path, bytes).unwrap();
        let message = couplet::data::read_table(&path, &Default::default())
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{part}: {message}");
        assert!(message.len() < 500, "{message}");
    };
    for version in [1, 2, 3] {
        read(version, "(20,18446744073709551615, )", "more numbers than");
        read(version, "(99999999999999999999, 1)", "more numbers than");
        read(version, "(9223372036854775807, 2)", "promises");
        read(version, "(-1, 2)", "not a readable NPY");
        read(version, &"(".repeat(5000), "brackets");
        read(version, &"\n[".repeat(4900), "brackets");
        read(version, &"0,".repeat(20_000), "10000");
    }
    read(2, &"{".repeat(1 << 20), "10000");
}

/// A model's tensor, and its metadata, with names that would move a terminal's cursor.
#[test]
fn names_in_a_model_do_not_reach_the_terminal_raw() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds");
    let good = fs::read(seeds.join("model.safetensors")).unwrap();
    let header = crate::safetensors::header(&good);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    for (from, to, part) in [
        ("\"layers.0", "\"layers\\u001b[2J0", "layers\\u{1b}[2J0"),
        ("spline", "\\\\u001b[2J", "\\u{1b}[2J"),
    ] {
        assert!(header.contains(from), "{from}");
        let header = header.replacen(from, to, 1);
        fs::write(&path, crate::safetensors::with_header(&good, &header)).unwrap();
        let error = couplet::model::Model::load(&path).unwrap_err();
        check_message(&error);
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

/// The most memory that this process has had, where the system says.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.map_or(0, |text| 1024 * text.parse::<u64>().unwrap())
}
