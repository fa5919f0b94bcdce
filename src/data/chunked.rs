use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;

use crate::error::{Error, Message, Remedy, Result};
use crate::matrix::Matrix;
use crate::memory;

use super::sampler::Sampler;
use super::{SAMPLE_ROWS, Table, TableOptions, TableReader};

/// A table whose rows are read once, chunk by chunk, and of which a sample says what kind of table it is: all of its rows where there
/// are no more than [`SAMPLE_ROWS`]. Rows are held in as few bytes as their numbers take.
pub struct ChunkedTable<'a> {
    sample: Cow<'a, Table>,
    /// The numbers of the sample's rows in the table, from 1 on.
    numbers: Vec<u64>,
    rows: u64,
    /// The fraction of rows that do not equal an earlier one, an estimate.
    distinct: f64,
    chunks: Chunks<'a>,
    /// How it is trained on, where its rows are not held.
    streaming: Option<Streaming>,
}

/// How a table that is longer than memory is trained on: its rows are read a second time, and shuffled into a file.
#[derive(Clone, Debug)]
pub struct Streaming {
    /// Where the file is made: it takes four bytes for each number.
    pub folder: PathBuf,
    /// Bytes of memory that the whole fit may take, about; what is free where nothing is said.
    pub memory: Option<u64>,
    /// Whether it is done with a table that memory would hold, too.
    pub always: bool,
    /// Whether several processes share the rows instead, each of which reads them again and holds its own.
    pub shares: bool,
}

impl Streaming {
    /// Bytes of memory that may be taken.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.unwrap_or_else(memory::available)
    }
}

/// Where rows come from.
enum Chunks<'a> {
    /// There are no others than those of the sample.
    InSample,
    /// Those of a table that someone else holds, from this one on.
    Borrowed(&'a Matrix<f64>, usize),
    Held(HeldRows),
    Files(Box<FileRows>),
}

/// Rows to a chunk.
const CHUNK: usize = 1 << 16;

/// The part of the memory that the sample of a streamed table may take, as it is drawn, and the rows that it has at least.
const SAMPLE_PART: u64 = 64;
const FEWEST: usize = 5000;

impl<'a> ChunkedTable<'a> {
    /// Rows that are in memory.
    pub fn of(table: &'a Table) -> Self {
        let values = &table.values;
        if values.rows() <= SAMPLE_ROWS {
            return Self::whole(Cow::Borrowed(table));
        }
        let mut sampler = Sampler::new(SAMPLE_ROWS, None);
        for first in (0..values.rows()).step_by(CHUNK) {
            sampler.note(&rows_of(values, first, CHUNK));
        }
        let sampled = sampler.finish();
        let sample = Table {
            values: sampled.values,
            columns: table.columns.clone(),
            named: table.named,
            levels: table.levels.clone(),
            dropped: table.dropped.clone(),
            notes: table.notes.clone(),
        };
        ChunkedTable {
            sample: Cow::Owned(sample),
            numbers: sampled.numbers,
            rows: values.rows() as u64,
            distinct: sampled.distinct,
            chunks: Chunks::Borrowed(values, 0),
            streaming: None,
        }
    }

    /// The rows of a table, which is taken apart where it is long.
    pub fn from_table(table: Table) -> ChunkedTable<'static> {
        let values = &table.values;
        if values.rows() <= SAMPLE_ROWS {
            return ChunkedTable::whole(Cow::Owned(table));
        }
        let mut rows = ChunkedRows {
            most: u64::MAX,
            ..ChunkedRows::new(0, None, None)
        };
        for first in (0..values.rows()).step_by(CHUNK) {
            // No memory is too little for what is there already.
            let _ = rows.note(&rows_of(values, first, CHUNK));
        }
        let columns = values.columns();
        let about = |values| Table { values, ..table };
        rows.finish((0..columns).collect(), vec![Vec::new(); columns], about)
    }

    /// A table that is its own sample.
    pub(super) fn whole(table: Cow<'a, Table>) -> Self {
        ChunkedTable {
            rows: table.values.rows() as u64,
            numbers: Vec::new(),
            distinct: 1.0,
            chunks: Chunks::InSample,
            streaming: None,
            sample: table,
        }
    }

    /// Whether the sample is the whole table.
    pub fn is_whole(&self) -> bool {
        matches!(self.chunks, Chunks::InSample)
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// All rows where they are few, else some from all over the table, in its order: among them the ones with the least and the greatest number of
    /// each column, and where a column has numbers that are not whole, one of those.
    pub fn sample(&self) -> &Table {
        &self.sample
    }

    /// How many rows differ, by an estimate.
    pub(crate) fn distinct(&self) -> u64 {
        (self.distinct * self.rows as f64).round() as u64
    }

    /// The same, with numbers of these columns as categories.
    ///
    /// # Errors
    /// As [`Table::with_levels_of`].
    pub(crate) fn with_levels_of(self, columns: &[usize]) -> Result<Self> {
        if self.sample.have_levels(columns) {
            return Ok(self);
        }
        if !self.is_whole() {
            // Who reads a file says which columns hold categories before it is read.
            let text = format!(
                "{} is to hold categories, and the table has more than {SAMPLE_ROWS} rows of numbers",
                self.sample.columns[columns[0]]
            );
            return Err(Error::Data(Message::new(text).remedy(Remedy::by_hand(
                "give it as text, or read the table from a file",
            ))));
        }
        let table = self.sample.into_owned().with_levels_of(columns)?;
        Ok(Self::whole(Cow::Owned(table)))
    }

    /// The sample, and all rows.
    pub(crate) fn parts(&mut self) -> (&Table, &[u64], AllRows<'_, 'a>) {
        let all = AllRows {
            rows: self.rows,
            streaming: self.streaming.as_ref(),
            chunks: &mut self.chunks,
        };
        (&self.sample, &self.numbers, all)
    }
}

/// All rows of a table, chunk by chunk.
pub(crate) struct AllRows<'t, 'a> {
    /// How many there are.
    pub rows: u64,
    /// How they are trained on, where memory does not hold them.
    pub streaming: Option<&'t Streaming>,
    chunks: &'t mut Chunks<'a>,
}

impl AllRows<'_, '_> {
    /// The rows of the next chunk, and the number of the first of them, from 1 on. What is held of them is let go. None after the
    /// last, and of a table that is its own sample.
    ///
    /// # Errors
    /// Those of files that are read again.
    pub fn next(&mut self) -> Result<Option<(u64, Matrix<f64>)>> {
        Ok(match self.chunks {
            Chunks::InSample => None,
            Chunks::Borrowed(values, first) => {
                let at = *first;
                *first = values.rows().min(at + CHUNK);
                (at < values.rows()).then(|| (at as u64 + 1, rows_of(values, at, CHUNK)))
            }
            Chunks::Held(held) => held.next(),
            Chunks::Files(files) => files.next(self.rows)?,
        })
    }
}

/// Some rows, as many as there are at most.
fn rows_of(values: &Matrix<f64>, first: usize, most: usize) -> Matrix<f64> {
    let range = first..values.rows().min(first + most);
    let columns = (0..values.columns()).flat_map(|j| &values.column(j)[range.clone()]);
    Matrix::from_values(range.len(), values.columns(), columns.copied().collect())
}

/// Takes in the rows of a file, part by part, for a [`ChunkedTable`].
pub(super) struct ChunkedRows {
    sampler: Sampler,
    held: HeldRows,
    /// Bytes that may be held.
    most: u64,
    /// What is done with more, and how rows are read again.
    streaming: Option<(Streaming, Again)>,
    /// Whether there are more.
    is_streamed: bool,
}

/// Files, and how they are read.
pub(super) type Again = (Vec<PathBuf>, TableOptions);

impl ChunkedRows {
    /// Of so many columns; `ignored` is one that has no say in whether rows are equal.
    pub fn new(
        columns: usize,
        ignored: Option<usize>,
        streaming: Option<(Streaming, Again)>,
    ) -> Self {
        let memory = match &streaming {
            Some((streaming, _)) => streaming.memory(),
            None => memory::available(),
        };
        // What is free by chance has no say in what is fitted.
        let rows = match streaming.as_ref().and_then(|(it, _)| it.memory) {
            Some(memory) => (memory / SAMPLE_PART / (8 * columns.max(1)) as u64) as usize,
            None => SAMPLE_ROWS,
        };
        ChunkedRows {
            sampler: Sampler::new(rows.clamp(FEWEST, SAMPLE_ROWS), ignored),
            held: HeldRows::default(),
            // What becomes of them is held beside them for a moment.
            most: memory / 2,
            is_streamed: streaming.as_ref().is_some_and(|(it, _)| it.always),
            streaming,
        }
    }

    /// The next rows.
    ///
    /// # Errors
    /// Says that memory is full.
    pub fn note(&mut self, values: &Matrix<f64>) -> Result<(), String> {
        self.sampler.note(values);
        let shares = self.streaming.as_ref().is_some_and(|(it, _)| it.shares);
        if self.is_streamed || shares {
            return Ok(());
        }
        self.held.push(values);
        match self.held.bytes > self.most {
            false => Ok(()),
            true if self.streaming.is_some() => {
                self.is_streamed = true;
                self.held = HeldRows::default();
                Ok(())
            }
            true => Err(format!(
                "after {} rows the table has filled the memory that it may take ({}); train on fewer rows, or write it to a file, \
                 which can be read twice",
                self.sampler.rows,
                memory::readable(self.held.bytes)
            )),
        }
    }

    /// The table, with what is not in its rows; its columns are those of the rows that are `kept`, and the numbers in some stand for others.
    pub fn finish(
        self,
        kept: Vec<usize>,
        moved: Vec<Vec<usize>>,
        about: impl FnOnce(Matrix<f64>) -> Table,
    ) -> ChunkedTable<'static> {
        let rows = self.sampler.rows;
        let most = self.sampler.most as u64;
        let sampled = self.sampler.finish();
        let map = ColumnMap { kept, moved };
        let sample = Cow::Owned(about(map.apply(sampled.values)));
        let (chunks, streaming) = match self.streaming {
            Some((streaming, again)) if self.is_streamed || (streaming.shares && rows > most) => {
                let files = FileRows::new(again, map);
                (Chunks::Files(Box::new(files)), Some(streaming))
            }
            _ if rows <= most => return ChunkedTable::whole(sample),
            _ => (Chunks::Held(HeldRows { map, ..self.held }), None),
        };
        ChunkedTable {
            sample,
            numbers: sampled.numbers,
            rows,
            distinct: sampled.distinct,
            chunks,
            streaming,
        }
    }
}

/// What is known of columns once all rows were read.
#[derive(Clone, Debug, Default)]
struct ColumnMap {
    /// The columns that are not left out.
    kept: Vec<usize>,
    /// For each column of categories the index that each of its numbers stands for; none for others.
    moved: Vec<Vec<usize>>,
}

impl ColumnMap {
    /// Whether every number that stands for another has one.
    fn can_apply(&self, values: &Matrix<f64>) -> bool {
        self.moved.len() == values.columns()
            && self.moved.iter().enumerate().all(|(j, moved)| {
                let mut numbers = values.column(j).iter();
                moved.is_empty() || numbers.all(|x| (*x as usize) < moved.len())
            })
    }

    fn apply(&self, values: Matrix<f64>) -> Matrix<f64> {
        let is_as_it_was = self.moved.iter().all(Vec::is_empty);
        if is_as_it_was && self.kept.len() == values.columns() {
            return values;
        }
        Matrix::from_fn(values.rows(), self.kept.len(), |row, k| {
            let x = values.get(row, self.kept[k]);
            match &self.moved[self.kept[k]][..] {
                [] => x,
                moved => moved[x as usize] as f64,
            }
        })
    }
}

/// Rows of files, which are read once more.
struct FileRows {
    again: Again,
    reader: Option<TableReader>,
    read: u64,
    map: ColumnMap,
}

impl FileRows {
    fn new(again: Again, map: ColumnMap) -> Self {
        FileRows {
            again,
            reader: None,
            read: 0,
            map,
        }
    }

    fn next(&mut self, rows: u64) -> Result<Option<(u64, Matrix<f64>)>> {
        let (paths, options) = &self.again;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(TableReader::open(paths, options)?),
        };
        let part = reader.next(chunk_rows(reader.columns().len()))?;
        let (count, first) = (
            part.as_ref().map_or(0, |it| it.values.rows()),
            self.read + 1,
        );
        self.read += count as u64;
        let is_same = match &part {
            Some(part) => self.read <= rows && self.map.can_apply(&part.values),
            None => self.read == rows,
        };
        if !is_same {
            let text = "the table changed while it was read";
            return Err(Error::Data(Message::new(text).in_file(&paths[0])));
        }
        Ok(part.map(|part| (first, self.map.apply(part.values))))
    }
}

/// Rows to a chunk of so many columns.
pub(super) fn chunk_rows(columns: usize) -> usize {
    const NUMBERS: usize = 1 << 22;
    (NUMBERS / columns.max(1)).clamp(1 << 10, CHUNK)
}

/// Rows in memory, in blocks that are let go of one by one.
#[derive(Clone, Debug, Default)]
struct HeldRows {
    blocks: VecDeque<Block>,
    bytes: u64,
    /// Rows that were taken out.
    taken: u64,
    map: ColumnMap,
}

/// Chunks of rows, each column in as few bytes as its numbers take.
#[derive(Clone, Debug)]
struct Block {
    singles: Vec<f32>,
    doubles: Vec<f64>,
    /// Of each chunk the number of rows, and which of its columns are in single precision.
    chunks: VecDeque<(usize, Vec<bool>)>,
    /// Numbers that were taken out.
    taken: (usize, usize),
}

impl Block {
    /// Numbers of one precision: so many that an allocator gives them back to the system.
    const NUMBERS: usize = 10 << 20;

    fn new(least: usize) -> Self {
        let room = least.max(Self::NUMBERS);
        Block {
            singles: Vec::with_capacity(room),
            doubles: Vec::with_capacity(room),
            chunks: VecDeque::new(),
            taken: (0, 0),
        }
    }

    fn has_room(&self, numbers: usize) -> bool {
        self.singles.len() + numbers <= self.singles.capacity()
            && self.doubles.len() + numbers <= self.doubles.capacity()
    }

    fn push(&mut self, values: &Matrix<f64>) -> usize {
        let is_single = |x: &f64| f64::from(*x as f32) == *x;
        let mut bytes = 0;
        let singles = (0..values.columns()).map(|j| {
            let column = values.column(j);
            let fits = column.iter().all(is_single);
            match fits {
                true => self.singles.extend(column.iter().map(|&x| x as f32)),
                false => self.doubles.extend_from_slice(column),
            }
            bytes += column.len() * if fits { 4 } else { 8 };
            fits
        });
        let singles = singles.collect();
        self.chunks.push_back((values.rows(), singles));
        bytes
    }

    fn next(&mut self) -> Option<Matrix<f64>> {
        let (rows, singles) = self.chunks.pop_front()?;
        let mut values = Vec::with_capacity(rows * singles.len());
        for is_single in &singles {
            match is_single {
                true => {
                    let column = &self.singles[self.taken.0..][..rows];
                    values.extend(column.iter().map(|&x| f64::from(x)));
                    self.taken.0 += rows;
                }
                false => {
                    values.extend_from_slice(&self.doubles[self.taken.1..][..rows]);
                    self.taken.1 += rows;
                }
            }
        }
        Some(Matrix::from_values(rows, singles.len(), values))
    }
}

impl HeldRows {
    fn push(&mut self, values: &Matrix<f64>) {
        let numbers = values.values().len();
        if !self
            .blocks
            .back()
            .is_some_and(|block| block.has_room(numbers))
        {
            self.blocks.push_back(Block::new(numbers));
        }
        if let Some(block) = self.blocks.back_mut() {
            self.bytes += block.push(values) as u64;
        }
    }

    fn next(&mut self) -> Option<(u64, Matrix<f64>)> {
        let values = loop {
            match self.blocks.front_mut()?.next() {
                Some(values) => break values,
                None => drop(self.blocks.pop_front()),
            }
        };
        let first = self.taken + 1;
        self.taken += values.rows() as u64;
        Some((first, self.map.apply(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in two columns: a number of its own, and a class.
    fn rows(count: usize) -> Matrix<f64> {
        Matrix::from_fn(count, 2, |row, j| match j {
            0 => (row as f64 * 0.618_033_988_75).fract(),
            _ => (row % 7) as f64,
        })
    }

    fn chunked(values: &Matrix<f64>) -> ChunkedTable<'static> {
        let mut taken = ChunkedRows::new(2, None, None);
        for first in (0..values.rows()).step_by(10_007) {
            taken.note(&rows_of(values, first, 10_007)).unwrap();
        }
        let about = |values| Table::new(["x", "class"], values).unwrap();
        taken.finish(vec![0, 1], vec![Vec::new(); 2], about)
    }

    #[test]
    fn few_rows_are_their_own_sample() {
        let values = rows(30_000);
        let mut table = chunked(&values);
        assert!(table.is_whole() && table.parts().2.next().unwrap().is_none());
        assert_eq!(table.sample().values, values);
    }

    #[test]
    fn rows_come_back_and_are_sampled_evenly() {
        let mut values = rows(450_000);
        // Seen by no even sample.
        values.column_mut(0)[7] = -1e300;
        values.column_mut(1)[449_123] = 0.5;
        let mut of_file = chunked(&values);
        let mut table = Table::new(["x", "class"], values.clone()).unwrap();
        table.named = true;
        let mut of_memory = ChunkedTable::of(&table);
        assert_eq!(of_file.sample(), of_memory.sample());
        assert_eq!(of_file.rows(), 450_000);
        let (_, numbers, _) = of_file.parts();
        let numbers = numbers.to_vec();
        assert!((SAMPLE_ROWS..SAMPLE_ROWS + 6).contains(&numbers.len()));
        assert!(numbers.is_sorted() && numbers.contains(&8) && numbers.contains(&449_124));
        let first_half = numbers.iter().filter(|number| **number <= 225_000).count();
        assert!((99_000..101_000).contains(&first_half), "{first_half}");
        for (row, &number) in numbers.iter().enumerate() {
            let x = of_file.sample().values.get(row, 0);
            assert_eq!(x, values.get(number as usize - 1, 0));
        }
        for table in [&mut of_file, &mut of_memory] {
            let mut seen = 0;
            let (_, _, mut rows) = table.parts();
            while let Some((first, chunk)) = rows.next().unwrap() {
                assert_eq!(first, seen as u64 + 1);
                for row in (0..chunk.rows()).step_by(101) {
                    assert!(chunk.row(row).eq(values.row(seen + row)));
                }
                seen += chunk.rows();
            }
            assert_eq!(seen, 450_000);
        }
    }

    /// Levels are put in order, and columns left out, when all rows were read.
    #[test]
    fn what_is_known_at_the_end_changes_every_chunk() {
        let values = rows(300_000);
        let mut taken = ChunkedRows::new(2, None, None);
        taken.note(&values).unwrap();
        let moved = vec![Vec::new(), vec![6, 5, 4, 3, 2, 1, 0]];
        let about = |values| Table::new(["class"], values).unwrap();
        let mut table = taken.finish(vec![1], moved, about);
        let (_, chunk) = table.parts().2.next().unwrap().unwrap();
        assert_eq!(chunk.columns(), 1);
        assert_eq!(chunk.get(1, 0), 5.0);
        assert!(table.sample().values.column(0).contains(&6.0));
    }
}
