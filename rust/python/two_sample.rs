//! Statistics of two samples.

use numpy::IntoPyArray;
use pyo3::prelude::*;

use super::array::{Floats, Vector, filled, slice};
use super::release;
use crate::Error;
use crate::two_sample;

type Sample<'py> = Vector<'py, f64>;

/// What `statistic` makes of two samples.
fn of_two<R: Send>(
    py: Python<'_>,
    x: &Sample<'_>,
    y: &Sample<'_>,
    statistic: impl FnOnce(&[f64], &[f64]) -> R + Send,
) -> PyResult<R> {
    let (x, y) = (filled(x)?, filled(y)?);
    Ok(release(py, x.len() + y.len(), || statistic(x, y)))
}

#[pyfunction]
pub(super) fn roc_auc(py: Python<'_>, positive: Sample<'_>, negative: Sample<'_>) -> PyResult<f64> {
    of_two(py, &positive, &negative, two_sample::roc_auc)
}

#[pyfunction]
pub(super) fn ks_statistic(py: Python<'_>, x: Sample<'_>, y: Sample<'_>) -> PyResult<f64> {
    of_two(py, &x, &y, two_sample::ks_statistic)
}

// The one-sided statistics, greater and less, times the product of the sizes.
#[pyfunction]
pub(super) fn ks_gaps(py: Python<'_>, x: Sample<'_>, y: Sample<'_>) -> PyResult<Option<(u64, u64)>> {
    let gaps = of_two(py, &x, &y, two_sample::ks_statistics)?;
    Ok(gaps.map(|gaps| (gaps.greater, gaps.less)))
}

#[pyfunction]
pub(super) fn ks_exact(py: Python<'_>, n: usize, m: usize, greater: Option<u64>, less: Option<u64>) -> f64 {
    release(py, n * m, || two_sample::ks_exact(n, m, greater, less))
}

#[pyfunction]
pub(super) fn mann_whitney(py: Python<'_>, x: Sample<'_>, y: Sample<'_>) -> PyResult<(f64, f64)> {
    of_two(py, &x, &y, two_sample::mann_whitney)
}

#[pyfunction]
pub(super) fn mann_whitney_exact(py: Python<'_>, n: usize, m: usize, u: usize) -> (f64, f64) {
    release(py, n.min(m) * u, || two_sample::mann_whitney_exact(n, m, u))
}

#[pyfunction]
pub(super) fn roc_curve<'py>(
    py: Python<'py>,
    positive: Sample<'py>,
    negative: Sample<'py>,
    every_point: bool,
) -> PyResult<(Floats<'py>, Floats<'py>, Floats<'py>)> {
    let curve = of_two(py, &positive, &negative, |x, y| two_sample::roc_curve(x, y, every_point))?;
    Ok((curve.thresholds.into_pyarray(py), curve.fpr.into_pyarray(py), curve.tpr.into_pyarray(py)))
}

#[pyfunction]
pub(super) fn tpr_at_fpr(py: Python<'_>, positive: Sample<'_>, negative: Sample<'_>, fpr: f64) -> PyResult<f64> {
    of_two(py, &positive, &negative, |x, y| two_sample::tpr_at_fpr(x, y, fpr))
}

type Weights<'py> = Option<Sample<'py>>;

#[pyfunction]
#[pyo3(signature = (x, y, x_weights, y_weights))]
pub(super) fn wasserstein_distance<'py>(
    py: Python<'py>,
    x: Sample<'py>,
    y: Sample<'py>,
    x_weights: Weights<'py>,
    y_weights: Weights<'py>,
) -> PyResult<f64> {
    distance(py, [&x, &y], [&x_weights, &y_weights], two_sample::wasserstein_distance)
}

#[pyfunction]
#[pyo3(signature = (x, y, x_weights, y_weights))]
pub(super) fn energy_distance<'py>(
    py: Python<'py>,
    x: Sample<'py>,
    y: Sample<'py>,
    x_weights: Weights<'py>,
    y_weights: Weights<'py>,
) -> PyResult<f64> {
    distance(py, [&x, &y], [&x_weights, &y_weights], two_sample::energy_distance)
}

fn distance(
    py: Python<'_>,
    [x, y]: [&Sample<'_>; 2],
    [x_weights, y_weights]: [&Weights<'_>; 2],
    between: impl FnOnce(&[f64], &[f64], [Option<&[f64]>; 2]) -> Result<f64, Error> + Send,
) -> PyResult<f64> {
    let weights = [x_weights.as_ref().map(slice).transpose()?, y_weights.as_ref().map(slice).transpose()?];
    Ok(of_two(py, x, y, |x, y| between(x, y, weights))??)
}
