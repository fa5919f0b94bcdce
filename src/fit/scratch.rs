//! The rows of a table that is longer than memory, shuffled into blocks in a file without a name.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::data::Streaming;
use crate::error::{Error, Result};
use crate::executor::{Blocks, RowBlocks, WeightedRows};
use crate::matrix::Matrix;
use crate::random::{Purpose, words};

use super::prepared::loss_weight;

/// The part of the memory that a block may take. Two are there when one follows another.
const PART: u64 = 8;
const LARGEST: u64 = 256 << 20;
const SMALLEST: u64 = 1 << 16;

/// Bytes that are written and read at once.
const WRITTEN: usize = 1 << 20;
const READ: usize = 1 << 20;

/// Rows as the flow sees them, on disk: in blocks that fit into memory, each of rows from all over the table. The file has no name, so that it is
/// gone with the process, however that ends.
#[derive(Debug)]
pub struct Scratch {
    file: Mutex<File>,
    folder: PathBuf,
    /// Numbers of a row, without its weight.
    width: usize,
    weighted: bool,
    /// Rows of each block, and those that there is room for.
    blocks: Vec<u32>,
    room: usize,
    /// What weights are multiplied by.
    scale: f64,
    latest: Mutex<Option<(usize, WeightedRows)>>,
}

/// Writes a [`Scratch`].
pub(super) struct ScratchWriter {
    scratch: Scratch,
    seed: u64,
    /// What each block was given and is not written yet.
    waiting: Vec<Vec<u8>>,
    written: usize,
}

impl ScratchWriter {
    /// For at most so many rows.
    ///
    /// # Errors
    /// [`Error::Io`] where there can be no file.
    pub fn new(
        streaming: &Streaming,
        rows: u64,
        width: usize,
        weighted: bool,
        seed: u64,
    ) -> Result<Self> {
        let record = 4 * (width + usize::from(weighted)) as u64;
        let bytes = rows * record;
        let memory = streaming.memory() / PART;
        let count = bytes.div_ceil(memory.clamp(SMALLEST, LARGEST)).max(1) as usize;
        let each = rows as f64 / count as f64;
        // Rows are given to blocks at random: none has so many more than others.
        let room = each + 10.0 * each.sqrt() + 64.0;
        let folder = streaming.folder.clone();
        let file = tempfile::tempfile_in(&folder).map_err(Error::io(&folder))?;
        log::info!(
            "the rows, {} as the flow sees them, are shuffled into a scratch file in {}, which is removed at the end",
            crate::memory::readable(bytes),
            folder.display()
        );
        Ok(ScratchWriter {
            seed,
            written: WRITTEN.min(memory as usize / count).max(1 << 12),
            waiting: vec![Vec::new(); count],
            scratch: Scratch {
                file: Mutex::new(file),
                folder,
                width,
                weighted,
                blocks: vec![0; count],
                room: room as usize,
                scale: 1.0,
                latest: Mutex::new(None),
            },
        })
    }

    /// Some rows of a chunk whose first row has this number in the table.
    ///
    /// # Errors
    /// [`Error::Io`], as where the disk is full.
    pub fn push(
        &mut self,
        seen: &Matrix<f32>,
        weights: &[f64],
        some: &[usize],
        first: u64,
    ) -> Result<()> {
        for &row in some {
            let [word, ..] = words(self.seed, Purpose::Blocks, first + row as u64, 1);
            let count = self.waiting.len() as u64;
            let block = ((u64::from(word) * count) >> 32) as usize;
            let waiting = &mut self.waiting[block];
            for x in seen.row(row) {
                waiting.extend_from_slice(&x.to_ne_bytes());
            }
            if self.scratch.weighted {
                waiting.extend_from_slice(&(weights[row] as f32).to_ne_bytes());
            }
            if waiting.len() >= self.written {
                self.write(block)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, block: usize) -> Result<()> {
        let scratch = &mut self.scratch;
        let waiting = &mut self.waiting[block];
        let rows = waiting.len() / scratch.record();
        if scratch.blocks[block] as usize + rows > scratch.room {
            return Err(Error::spec("a block of the scratch file is full"));
        }
        let at = (block * scratch.room + scratch.blocks[block] as usize) * scratch.record();
        let written = {
            let mut file = scratch.file();
            file.seek(SeekFrom::Start(at as u64))
                .and_then(|_| file.write_all(waiting))
        };
        written.map_err(Error::io(&scratch.folder))?;
        scratch.blocks[block] += rows as u32;
        waiting.clear();
        Ok(())
    }

    /// What was written; weights are to be multiplied by `scale`.
    ///
    /// # Errors
    /// As [`ScratchWriter::push`].
    pub fn finish(mut self, scale: f64) -> Result<Scratch> {
        for block in 0..self.waiting.len() {
            self.write(block)?;
        }
        Ok(Scratch {
            scale,
            ..self.scratch
        })
    }
}

impl Scratch {
    /// The blocks in batches of this size.
    pub(super) fn blocks(&self, batch_size: usize, seed: u64) -> Blocks {
        Blocks::new(self.blocks.clone(), batch_size, seed)
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        self.blocks.len()
    }

    /// The index of the block with the most rows.
    pub(super) fn largest(&self) -> usize {
        let blocks = 0..self.blocks.len();
        blocks.max_by_key(|&block| self.blocks[block]).unwrap_or(0)
    }

    /// Bytes of a row.
    fn record(&self) -> usize {
        4 * (self.width + usize::from(self.weighted))
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of a block, which stay in memory until another is asked for.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn rows(&self, block: usize) -> Result<WeightedRows> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((index, rows)) = latest.as_ref()
            && *index == block
        {
            return Ok(rows.clone());
        }
        // Let go of before the next takes its place.
        *latest = None;
        let rows = self.read(block).map_err(Error::io(&self.folder))?;
        *latest = Some((block, rows.clone()));
        Ok(rows)
    }

    fn read(&self, block: usize) -> std::io::Result<WeightedRows> {
        let (count, record) = (self.blocks[block] as usize, self.record());
        let mut values = vec![0f32; count * self.width];
        let mut weights = vec![0f32; if self.weighted { count } else { 0 }];
        let mut file = self.file();
        file.seek(SeekFrom::Start((block * self.room * record) as u64))?;
        let at_once = (READ / record).max(1);
        let mut bytes = vec![0u8; at_once.min(count) * record];
        for first in (0..count).step_by(at_once) {
            let some = at_once.min(count - first);
            let bytes = &mut bytes[..some * record];
            file.read_exact(bytes)?;
            for (row, bytes) in bytes.chunks_exact(record).enumerate() {
                let numbers = bytes.chunks_exact(4).enumerate();
                for (j, number) in numbers {
                    let number = f32::from_ne_bytes([number[0], number[1], number[2], number[3]]);
                    match j < self.width {
                        true => values[j * count + first + row] = number,
                        false => {
                            weights[first + row] = loss_weight(number.into(), self.scale);
                        }
                    }
                }
            }
        }
        let rows = Matrix::from_values(count, self.width, values);
        Ok((Arc::new(rows), Arc::new(weights)))
    }
}

/// Reads blocks for an executor.
pub(super) struct Reader(pub Arc<Scratch>);

impl RowBlocks for Reader {
    fn load(&mut self, block: usize) -> Result<WeightedRows> {
        self.0.rows(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row comes back once, with its weight, whatever the block.
    #[test]
    fn rows_come_back_in_blocks() {
        let folder = tempfile::tempdir().unwrap();
        for weighted in [false, true] {
            let streaming = Streaming {
                folder: folder.path().into(),
                memory: Some(1 << 20),
                always: true,
                shares: false,
            };
            let rows = 50_000;
            let seen = Matrix::from_fn(rows, 3, |row, j| (row * 3 + j) as f32);
            let weights: Vec<f64> = match weighted {
                true => (0..rows).map(|row| row as f64 + 1.0).collect(),
                false => Vec::new(),
            };
            let mut writer = ScratchWriter::new(&streaming, rows as u64, 3, weighted, 9).unwrap();
            let some: Vec<usize> = (0..rows).filter(|row| row % 5 != 0).collect();
            writer.push(&seen, &weights, &some, 1).unwrap();
            let scratch = writer.finish(2.0).unwrap();
            assert!(scratch.count() > 3);
            let even = 40_000.0 / scratch.count() as f64;
            let mut found = Vec::new();
            for block in 0..scratch.count() {
                let (rows, weights) = scratch.rows(block).unwrap();
                assert!((rows.rows() as f64 - even).abs() < 8.0 * even.sqrt());
                for row in 0..rows.rows() {
                    let number = rows.get(row, 0) as usize / 3;
                    assert_eq!(rows.get(row, 2), (number * 3 + 2) as f32);
                    if weighted {
                        assert_eq!(weights[row], 2.0 * (number as f32 + 1.0));
                    }
                    found.push(number);
                }
            }
            found.sort_unstable();
            assert_eq!(found, some);
            // Nothing that could be left behind.
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
