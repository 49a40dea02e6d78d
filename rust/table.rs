//! Tables of any number format, read as `f32` or `f64`: the one place where formats are told apart.

use std::cell::RefCell;

use half::{bf16, f16};

use crate::chunk::{BLOCK, Buffer};
use crate::simd::{self, LANES};
use crate::{Error, Real, Rows};

/// A borrowed table of one of the four number formats.
#[derive(Debug, Clone, Copy)]
pub enum Table<'a> {
    /// Of 64 bits.
    Double(Rows<'a, f64>),
    /// Of 32 bits.
    Single(Rows<'a, f32>),
    /// Of 16 bits, 5 of them exponent.
    Half(Rows<'a, f16>),
    /// Of 16 bits, 8 of them exponent.
    Brain(Rows<'a, bf16>),
}

/// `body` with the rows of whatever format.
macro_rules! with_rows {
    ($table:expr, $rows:ident => $body:expr) => {
        match $table {
            Table::Double($rows) => $body,
            Table::Single($rows) => $body,
            Table::Half($rows) => $body,
            Table::Brain($rows) => $body,
        }
    };
}

impl Table<'_> {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        with_rows!(self, rows => rows.n_rows())
    }

    /// Number of elements in a row.
    pub fn n_classes(&self) -> usize {
        with_rows!(self, rows => rows.n_classes())
    }

    /// Whether every number is an `f32`, so that functions of it need no more digits than that has.
    pub(crate) fn is_single(&self) -> bool {
        !matches!(self, Self::Double(_))
    }

    /// See [`Real::SUM_TOLERANCE`].
    pub(crate) fn sum_tolerance(&self) -> f64 {
        fn of<T: Real>(_: &Rows<'_, T>) -> f64 {
            T::SUM_TOLERANCE
        }
        with_rows!(self, rows => of(rows))
    }

    /// Fails unless `other` has the same shape.
    pub(crate) fn same_shape(&self, other: &Self) -> Result<(), Error> {
        let [left, right] = [self, other].map(|table| (table.n_rows(), table.n_classes()));
        if left == right { Ok(()) } else { Err(Error::ShapeMismatch { left, right }) }
    }
}

impl<'a> From<Rows<'a, f64>> for Table<'a> {
    fn from(rows: Rows<'a, f64>) -> Self {
        Self::Double(rows)
    }
}

impl<'a> From<Rows<'a, f32>> for Table<'a> {
    fn from(rows: Rows<'a, f32>) -> Self {
        Self::Single(rows)
    }
}

impl<'a> From<Rows<'a, f16>> for Table<'a> {
    fn from(rows: Rows<'a, f16>) -> Self {
        Self::Half(rows)
    }
}

impl<'a> From<Rows<'a, bf16>> for Table<'a> {
    fn from(rows: Rows<'a, bf16>) -> Self {
        Self::Brain(rows)
    }
}

/// What a table can be read as.
pub(crate) trait Float: Copy + Send + Sync {
    const ZERO: Self;
    const NEG_INFINITY: Self;

    /// A row that holds such numbers already.
    fn borrow<'a>(table: &Table<'a>, row: usize) -> Option<&'a [Self]>;

    /// Runs `f` with two blocks of this thread's own, of which it must not expect anything.
    fn with_buffers<R>(f: impl FnOnce(&mut [Buffer<Self>; 2]) -> R) -> R;

    /// The elements of a row from `start` on, as many as `out` holds.
    fn read(table: &Table<'_>, row: usize, start: usize, out: &mut [Self]);
}

impl Float for f32 {
    const ZERO: Self = 0.0;
    const NEG_INFINITY: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn borrow<'a>(table: &Table<'a>, row: usize) -> Option<&'a [Self]> {
        if let Table::Single(rows) = table { Some(rows.row(row)) } else { None }
    }

    fn with_buffers<R>(f: impl FnOnce(&mut [Buffer<Self>; 2]) -> R) -> R {
        thread_local! {
            static BUFFERS: RefCell<Box<[Buffer<f32>; 2]>> = RefCell::new(Box::new([[[0.0; LANES]; BLOCK]; 2]));
        }
        BUFFERS.with_borrow_mut(|buffers| f(buffers))
    }

    #[inline(always)]
    fn read(table: &Table<'_>, row: usize, start: usize, out: &mut [Self]) {
        match table {
            Table::Single(rows) => out.copy_from_slice(&rows.row(row)[start..start + out.len()]),
            Table::Half(rows) => simd::widen_halves(&rows.row(row)[start..start + out.len()], out),
            Table::Brain(rows) => convert(&rows.row(row)[start..], out, bf16::single),
            Table::Double(rows) => convert(&rows.row(row)[start..], out, f64::single),
        }
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    const NEG_INFINITY: Self = Self::NEG_INFINITY;

    #[inline(always)]
    fn borrow<'a>(table: &Table<'a>, row: usize) -> Option<&'a [Self]> {
        if let Table::Double(rows) = table { Some(rows.row(row)) } else { None }
    }

    fn with_buffers<R>(f: impl FnOnce(&mut [Buffer<Self>; 2]) -> R) -> R {
        thread_local! {
            static BUFFERS: RefCell<Box<[Buffer<f64>; 2]>> = RefCell::new(Box::new([[[0.0; LANES]; BLOCK]; 2]));
        }
        BUFFERS.with_borrow_mut(|buffers| f(buffers))
    }

    #[inline(always)]
    fn read(table: &Table<'_>, row: usize, start: usize, out: &mut [Self]) {
        match table {
            Table::Double(rows) => out.copy_from_slice(&rows.row(row)[start..start + out.len()]),
            Table::Single(rows) => convert(&rows.row(row)[start..], out, f32::widen),
            Table::Half(rows) => convert(&rows.row(row)[start..], out, f16::widen),
            Table::Brain(rows) => convert(&rows.row(row)[start..], out, bf16::widen),
        }
    }
}

#[inline(always)]
fn convert<T: Copy, F>(values: &[T], out: &mut [F], float: impl Fn(T) -> F) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = float(*value);
    }
}
