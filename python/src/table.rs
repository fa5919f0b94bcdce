//! Tables from numpy arrays, from single columns, and from whatever speaks Arrow's C interface.

use std::ffi::CStr;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray,
    StructArray,
};
use arrow_schema::{ArrowError, Schema};
use couplet::Matrix;
use couplet::data::{TableOptions, TableReader, default_names};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::{raise, words};
use crate::flow::Flow;
use crate::rows::{Array, Rows, array, put};

/// A table to fit to.
#[pyclass(frozen, module = "couplet._couplet")]
pub struct Table(pub couplet::Table);

#[pymethods]
impl Table {
    /// Of blocks of rows, `rows` in all, of columns without names.
    #[staticmethod]
    fn from_blocks(blocks: &Bound<'_, PyAny>, rows: usize, columns: usize) -> PyResult<Self> {
        let mut values = Matrix::zeros(rows, columns);
        let mut first = 0;
        for block in blocks.try_iter()? {
            let block: Rows<'_> = block?.extract()?;
            let view = block.as_array();
            if view.ncols() != columns || first + view.nrows() > rows {
                return Err(PyValueError::new_err("the array changed while it was read"));
            }
            put(&mut values, first, &view);
            first += view.nrows();
        }
        let table = raise(couplet::Table::new(default_names(columns), values))?;
        Ok(Table(couplet::Table {
            named: false,
            ..table
        }))
    }

    /// The columns of several tables with as many rows, side by side. Those without names are x0, x1, ... all together; beside
    /// others they have the names that `prefixes` begin.
    #[staticmethod]
    fn join(tables: Vec<PyRef<'_, Table>>, prefixes: Vec<String>) -> PyResult<Self> {
        let named = tables.iter().any(|table| table.0.named);
        let columns: usize = tables.iter().map(|table| table.0.columns.len()).sum();
        let mut names: Vec<String> = Vec::with_capacity(columns);
        let mut levels = Vec::with_capacity(columns);
        let mut values: Option<Matrix<f64>> = None;
        for (Table(table), prefix) in tables.iter().map(|table| &**table).zip(&prefixes) {
            match table.named {
                true => names.extend(table.columns.iter().cloned()),
                false => names.extend((0..table.columns.len()).map(|j| format!("{prefix}{j}"))),
            }
            levels.extend((0..table.columns.len()).map(|j| table.levels_of(j).to_vec()));
            values = Some(match values {
                None => table.values.clone(),
                Some(values) if values.rows() == table.values.rows() => {
                    values.concat_columns(&table.values)
                }
                Some(values) => {
                    return Err(PyValueError::new_err(format!(
                        "{} rows beside {}",
                        table.values.rows(),
                        values.rows()
                    )));
                }
            });
        }
        if !named {
            names = default_names(columns);
        }
        let values = values.ok_or_else(|| PyValueError::new_err("no table"))?;
        let table = raise(couplet::Table::new(names, values))?;
        Ok(Table(couplet::Table {
            named,
            levels,
            ..table
        }))
    }

    /// The names of the columns, x0, x1, ... where it has none.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.0.columns.clone()
    }

    /// How many rows.
    fn __len__(&self) -> usize {
        self.0.values.rows()
    }
}

/// Which columns of a table are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    All,
    Modelled,
    Context,
}

impl<'py> FromPyObject<'_, 'py> for Expected {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match &object.extract::<String>()?[..] {
            "all" => Ok(Expected::All),
            "modelled" => Ok(Expected::Modelled),
            "context" => Ok(Expected::Context),
            other => Err(PyValueError::new_err(format!("no columns are {other}"))),
        }
    }
}

/// A table whose columns have names, and perhaps categories, read part by part.
#[pyclass(frozen, module = "couplet._couplet")]
pub struct Reader(Mutex<Option<TableReader>>);

#[pymethods]
impl Reader {
    /// Of an object with `__arrow_c_stream__` or `__arrow_c_array__`, or of a list of names and columns, each an array of
    /// numbers or a list of texts. Of a table to fit to, `given` (all columns, where it is none) and `weights` name columns with
    /// roles, and `categories` those that hold categories whatever is in them; of one for a flow, its columns are read, in its order.
    #[new]
    #[pyo3(signature = (source, name, *, given=Some(Vec::new()), weights=None, categories=Vec::new(), flow=None, columns=Expected::All))]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn new(
        source: &Bound<'_, PyAny>,
        name: &str,
        given: Option<Vec<String>>,
        weights: Option<String>,
        categories: Vec<String>,
        flow: Option<&Flow>,
        columns: Expected,
    ) -> PyResult<Self> {
        let batches = batches(source)?;
        let expected = match flow {
            None => None,
            Some(flow) => {
                let model = flow.model()?;
                Some(match columns {
                    Expected::All => model.expected_columns(),
                    Expected::Modelled => model.expected_modelled(),
                    Expected::Context => model.expected_context(),
                })
            }
        };
        let every = || -> Vec<String> {
            let schema = batches.schema();
            let fields = schema.fields().iter();
            fields.map(|field| field.name().clone()).collect()
        };
        let options = TableOptions {
            given: given.unwrap_or_else(every),
            weights,
            takes_text: expected.is_none(),
            categories,
            expected,
            ..TableOptions::default()
        };
        let reader = raise(TableReader::from_batches(name, batches, &options))?;
        Ok(Reader(Mutex::new(Some(reader))))
    }

    /// All of it, to fit to, and what the user should know of how it was read.
    fn read(&self, py: Python<'_>) -> PyResult<(Table, Vec<String>)> {
        let Some(reader) = self.lock().take() else {
            return Err(PyValueError::new_err("the table was read already"));
        };
        let table = raise(py.detach(|| reader.read()))?;
        let notes = table.notes.iter().map(words).collect();
        Ok((Table(table), notes))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    /// The next rows.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Array<'py>>> {
        /// Rows to a part.
        const ROWS: usize = 1 << 16;
        let part = py.detach(|| match self.lock().as_mut() {
            Some(reader) => reader.next(ROWS),
            None => Ok(None),
        });
        match raise(part)? {
            Some(part) => Ok(Some(array(py, part.values)?)),
            None => Ok(None),
        }
    }
}

impl Reader {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<TableReader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Batches = Box<dyn RecordBatchReader + Send>;

fn batches(source: &Bound<'_, PyAny>) -> PyResult<Batches> {
    if source.hasattr("__arrow_c_stream__")? {
        return stream(&source.call_method0("__arrow_c_stream__")?);
    }
    if source.hasattr("__arrow_c_array__")? {
        let (schema, array) = source.call_method0("__arrow_c_array__")?.extract()?;
        return one_batch(&schema, &array);
    }
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for column in source.try_iter()? {
        let (name, values): (String, Bound<'_, PyAny>) = column?.extract()?;
        columns.push((name, column_of(&values)?));
    }
    let schema = Schema::new(
        columns
            .iter()
            .map(|(name, array)| arrow_schema::Field::new(name, array.data_type().clone(), true))
            .collect::<Vec<_>>(),
    );
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(schema), arrays).map_err(value_error)?;
    Ok(of_batch(batch))
}

fn column_of(values: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    if let Ok(numbers) = values.extract::<PyReadonlyArray1<'_, f64>>() {
        let numbers = numbers.as_array();
        return Ok(Arc::new(Float64Array::from_iter_values(
            numbers.iter().copied(),
        )));
    }
    let texts: Vec<Option<String>> = values.extract()?;
    Ok(Arc::new(StringArray::from(texts)))
}

fn of_batch(batch: RecordBatch) -> Batches {
    let schema = batch.schema();
    Box::new(RecordBatchIterator::new([Ok(batch)], schema))
}

fn value_error(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// What a capsule of this name points to.
fn content<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    let capsule = capsule
        .cast::<PyCapsule>()
        .map_err(|_| PyTypeError::new_err("an Arrow object whose interface gives no capsule"))?;
    Ok(capsule.pointer_checked(Some(name))?.as_ptr().cast())
}

/// The batches of an `arrow_array_stream`.
fn stream(capsule: &Bound<'_, PyAny>) -> PyResult<Batches> {
    let pointer: *mut FFI_ArrowArrayStream = content(capsule, c"arrow_array_stream")?;
    // SAFETY: a capsule of this name points to such a stream, which is moved out: the capsule's destructor then finds that it
    // was released (the Arrow PyCapsule interface).
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer) };
    let reader = RecordBatchStreamReader::try_new(stream).map_err(value_error)?;
    Ok(Box::new(reader))
}

/// The batch of an `arrow_schema` and an `arrow_array`.
fn one_batch(schema: &Bound<'_, PyAny>, array: &Bound<'_, PyAny>) -> PyResult<Batches> {
    let schema: *mut FFI_ArrowSchema = content(schema, c"arrow_schema")?;
    let array: *mut FFI_ArrowArray = content(array, c"arrow_array")?;
    // SAFETY: capsules of these names point to such structures; the array is moved out, as above.
    let data = unsafe {
        let array = mem::replace(&mut *array, FFI_ArrowArray::empty());
        from_ffi(array, &*schema)
    };
    let data = data.map_err(value_error)?;
    if !matches!(data.data_type(), arrow_schema::DataType::Struct(_)) {
        let text = format!(
            "an Arrow array of {}, where a table is needed",
            data.data_type()
        );
        return Err(PyTypeError::new_err(text));
    }
    Ok(of_batch(RecordBatch::from(StructArray::from(data))))
}
