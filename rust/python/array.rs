//! NumPy arrays as slices and rows, and the one place where number formats are told apart.

use std::ops::Deref;

use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};
use numpy::ndarray::ArrayView2;
use numpy::{
    IntoPyArray, PyArray1, PyArrayDescrMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::mapped::{Announced, Mapped};
use crate::{Error, Rows, Table};

/// What kernels give back: numbers, and counts of things.
pub(super) type Floats<'py> = Bound<'py, PyArray1<f64>>;
pub(super) type Counts<'py> = Bound<'py, PyArray1<i64>>;

pub(super) fn counts(py: Python<'_>, counts: Vec<u64>) -> Counts<'_> {
    counts.into_iter().map(|n| n as i64).collect::<Vec<_>>().into_pyarray(py)
}

/// A vector whose elements lie side by side.
pub(super) type Vector<'py, T> = PyReadonlyArray1<'py, T>;

/// A table of one of the four number formats; the two of 16 bits come as their bits.
pub(super) enum FloatTable<'py> {
    Float32(Table2<'py, f32>),
    Float64(Table2<'py, f64>),
    Bits(Table2<'py, u16>),
}

// By hand: a derived one tries each format in turn, and the errors of those that fail take longer than a small call.
impl<'py> FromPyObject<'_, 'py> for FloatTable<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyUntypedArray>()?.dtype().itemsize() {
            4 => object.extract().map(Self::Float32),
            8 => object.extract().map(Self::Float64),
            _ => object.extract().map(Self::Bits),
        }
    }
}

/// A table that kernels are told of if it is in a mapped file, for as long as it lives.
pub(super) struct Table2<'py, T: numpy::Element> {
    array: PyReadonlyArray2<'py, T>,
    _announced: Option<Announced>,
}

/// Bytes of a table from which on it is worth finding out whether it is in a file.
const LARGE: usize = 64 << 20;

impl<'py, T: numpy::Element> FromPyObject<'_, 'py> for Table2<'py, T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let array: PyReadonlyArray2<'py, T> = object.extract()?;
        let (n_rows, row_bytes) = (array.shape()[0], array.strides()[0]);
        let is_mapped = array.len() * size_of::<T>() >= LARGE && row_bytes > 0 && is_in_file(&object)?;
        // SAFETY: `is_in_file` holds, and the array keeps the mapping.
        let announce = || unsafe { Mapped::announce(array.as_array().as_ptr(), row_bytes as usize, n_rows) };
        Ok(Self { _announced: is_mapped.then(announce), array })
    }
}

impl<'py, T: numpy::Element> Deref for Table2<'py, T> {
    type Target = PyReadonlyArray2<'py, T>;

    fn deref(&self) -> &Self::Target {
        &self.array
    }
}

/// Whether an array is (a part of) a `numpy.memmap` that was opened for reading only.
fn is_in_file(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    let memmap = array.py().import("numpy")?.getattr("memmap")?;
    let mut owner = array.clone();
    while !owner.is_none() {
        if owner.is_instance(&memmap)? {
            return owner.getattr("mode")?.eq("r");
        }
        owner = owner.getattr_opt("base")?.unwrap_or_else(|| owner.py().None().into_bound(owner.py()));
    }
    Ok(false)
}

impl FloatTable<'_> {
    /// The table's rows; `dtype` says what 16 bits are.
    pub(super) fn table(&self, dtype: &str) -> PyResult<Table<'_>> {
        Ok(match self {
            Self::Float32(table) => rows(&table.as_array())?.into(),
            Self::Float64(table) => rows(&table.as_array())?.into(),
            Self::Bits(table) if dtype == "bfloat16" => bfloat16_rows(&table.as_array())?.into(),
            Self::Bits(table) => float16_rows(&table.as_array())?.into(),
        })
    }
}

/// A vector of one of the two number formats that need no conversion.
#[derive(FromPyObject)]
pub(super) enum FloatVector<'py> {
    Float32(Vector<'py, f32>),
    Float64(Vector<'py, f64>),
}

/// Runs `body` with each vector as a slice of its number format.
macro_rules! with_values {
    ($($vector:ident),+ => $body:expr) => {
        match ($(&$vector,)+) {
            ($(FloatVector::Float32($vector),)+) => { $(let $vector = slice($vector)?;)+ $body }
            ($(FloatVector::Float64($vector),)+) => { $(let $vector = slice($vector)?;)+ $body }
            #[allow(unreachable_patterns)] // one vector alone always has one format
            _ => Err(array::mixed_formats()),
        }
    };
}
pub(super) use with_values;

pub(super) fn mixed_formats() -> PyErr {
    pyo3::exceptions::PyTypeError::new_err("the arrays must have one dtype")
}

/// The elements of a table, and how far its rows lie apart.
fn elements<'a, T>(table: &ArrayView2<'a, T>) -> PyResult<(&'a [T], usize)> {
    let (n_rows, n_classes) = table.dim();
    if let Some(elements) = table.to_slice() {
        return Ok((elements, n_classes));
    }
    match *table.strides() {
        [row, 1] if row >= n_classes as isize && n_rows > 0 => {
            let n_elements = (n_rows - 1) * row as usize + n_classes;
            // SAFETY: the rows ascend without overlap and belong to one array, which the view keeps alive for 'a;
            // so all from the first element to the last is inside that array's memory.
            Ok((unsafe { std::slice::from_raw_parts(table.as_ptr(), n_elements) }, row as usize))
        }
        _ => Err(PyValueError::new_err("the classes of a row must lie side by side in memory")),
    }
}

pub(super) fn rows<'a, T>(table: &ArrayView2<'a, T>) -> PyResult<Rows<'a, T>> {
    let (elements, stride) = elements(table)?;
    rows_of(elements, table, stride)
}

pub(super) fn float16_rows<'a>(table: &ArrayView2<'a, u16>) -> PyResult<Rows<'a, f16>> {
    let (bits, stride) = elements(table)?;
    rows_of(bits.reinterpret_cast(), table, stride)
}

pub(super) fn bfloat16_rows<'a>(table: &ArrayView2<'a, u16>) -> PyResult<Rows<'a, bf16>> {
    let (bits, stride) = elements(table)?;
    rows_of(bits.reinterpret_cast(), table, stride)
}

fn rows_of<'a, T, U>(elements: &'a [T], table: &ArrayView2<'_, U>, stride: usize) -> PyResult<Rows<'a, T>> {
    let (n_rows, n_classes) = table.dim();
    Rows::new(elements, n_rows, n_classes, stride).map_err(|error: Error| error.into())
}

/// The elements of a vector.
pub(super) fn slice<'a, T: numpy::Element>(vector: &'a Vector<'_, T>) -> PyResult<&'a [T]> {
    vector.as_slice().map_err(|_| PyValueError::new_err("the elements of a vector must lie side by side in memory"))
}

/// The elements of a vector that has some.
pub(super) fn filled<'a, T: numpy::Element>(vector: &'a Vector<'_, T>) -> PyResult<&'a [T]> {
    let elements = slice(vector)?;
    if elements.is_empty() { Err(Error::Empty.into()) } else { Ok(elements) }
}

/// The elements of a table without gaps.
pub(super) fn flat<'a, T: numpy::Element>(table: &'a PyReadonlyArray2<'_, T>) -> PyResult<&'a [T]> {
    table.as_slice().map_err(|_| PyValueError::new_err("the elements of a table must lie side by side in memory"))
}

/// The columns of a table.
pub(super) fn columns(table: &PyReadonlyArray2<'_, f64>) -> Vec<Vec<f64>> {
    table.as_array().columns().into_iter().map(|column| column.to_vec()).collect()
}
