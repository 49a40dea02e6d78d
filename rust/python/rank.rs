//! Ranks and rank correlations.

use numpy::{IntoPyArray, PyReadonlyArray2};
use pyo3::prelude::*;

use super::array::{self, Floats, Vector, filled, flat, slice};
use super::release;
use crate::rank;

type Table<'py> = PyReadonlyArray2<'py, f64>;

#[pyfunction]
pub(super) fn midranks<'py>(py: Python<'py>, x: Vector<'py, f64>) -> PyResult<Floats<'py>> {
    let x = slice(&x)?;
    Ok(release(py, x.len(), || rank::midranks(x)).into_pyarray(py))
}

#[pyfunction]
pub(super) fn midranks_rows<'py>(py: Python<'py>, x: Table<'py>) -> PyResult<Floats<'py>> {
    let (x, n_items) = (flat(&x)?, x.as_array().ncols());
    Ok(release(py, x.len(), || rank::midranks_rows(x, n_items))?.into_pyarray(py))
}

#[pyfunction]
pub(super) fn kendall_tau(py: Python<'_>, x: Vector<'_, f64>, y: Vector<'_, f64>) -> PyResult<f64> {
    let (x, y) = (filled(&x)?, filled(&y)?);
    Ok(release(py, x.len(), || rank::kendall_tau(x, y))?)
}

#[pyfunction]
pub(super) fn spearman_rho(py: Python<'_>, x: Vector<'_, f64>, y: Vector<'_, f64>) -> PyResult<f64> {
    let (x, y) = (filled(&x)?, filled(&y)?);
    Ok(release(py, x.len(), || rank::spearman_rho(x, y))?)
}

#[pyfunction]
pub(super) fn kendall_tau_rows<'py>(py: Python<'py>, x: Table<'py>, y: Table<'py>) -> PyResult<Floats<'py>> {
    let (n_items, x, y) = (x.as_array().ncols(), flat(&x)?, flat(&y)?);
    Ok(release(py, x.len(), || rank::kendall_tau_rows(x, y, n_items))?.into_pyarray(py))
}

#[pyfunction]
pub(super) fn spearman_rho_rows<'py>(py: Python<'py>, x: Table<'py>, y: Table<'py>) -> PyResult<Floats<'py>> {
    let (n_items, x, y) = (x.as_array().ncols(), flat(&x)?, flat(&y)?);
    Ok(release(py, x.len(), || rank::spearman_rho_rows(x, y, n_items))?.into_pyarray(py))
}

#[pyfunction]
pub(super) fn kendall_tau_matrix<'py>(py: Python<'py>, columns: Table<'py>) -> PyResult<Floats<'py>> {
    let columns = array::columns(&columns);
    Ok(py.detach(|| rank::kendall_tau_matrix(&columns))?.into_pyarray(py))
}

#[pyfunction]
pub(super) fn spearman_rho_matrix<'py>(py: Python<'py>, columns: Table<'py>) -> PyResult<Floats<'py>> {
    let columns = array::columns(&columns);
    Ok(py.detach(|| rank::spearman_rho_matrix(&columns))?.into_pyarray(py))
}

/// Fields of `KendallCounts`, in the order of their declaration.
type Counts = (f64, i64, u64, [u64; 2], [f64; 2], [f64; 2]);

#[pyfunction]
pub(super) fn kendall_counts(py: Python<'_>, x: Vector<'_, f64>, y: Vector<'_, f64>) -> PyResult<Counts> {
    let (x, y) = (filled(&x)?, filled(&y)?);
    let counts = release(py, x.len(), || rank::kendall_counts(x, y))?;
    Ok((counts.tau, counts.net, counts.discordant, counts.tied, counts.triples, counts.spread))
}

#[pyfunction]
pub(super) fn kendall_exact(py: Python<'_>, n: usize, discordant: usize) -> (f64, f64) {
    release(py, n * discordant, || rank::kendall_exact(n, discordant))
}
