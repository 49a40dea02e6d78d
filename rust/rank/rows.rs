//! The same of many short vectors at once, row by row.

use super::{kendall_tau, midranks, same_length, spearman_rho};
use crate::{Error, threads};

/// Nanoseconds that a value takes, for the choice of threads.
const NANOSECONDS: usize = 20;

/// [`midranks`] of each row of `n_items` values.
pub fn midranks_rows(x: &[f64], n_items: usize) -> Result<Vec<f64>, Error> {
    let n_rows = x.len().checked_div(n_items).unwrap_or(0);
    let rows = threads::map_rows((n_rows, n_items.max(1)), NANOSECONDS, |rows| {
        Ok(rows.map(|i| midranks(&x[i * n_items..(i + 1) * n_items])).collect())
    })?;
    Ok(rows.concat())
}

/// [`kendall_tau`] of each pair of rows of `n_items` values.
///
/// # Errors
/// [`Error::LengthMismatch`] if the tables differ in size.
pub fn kendall_tau_rows(x: &[f64], y: &[f64], n_items: usize) -> Result<Vec<f64>, Error> {
    of_rows(x, y, n_items, kendall_tau)
}

/// [`spearman_rho`] of each pair of rows of `n_items` values.
///
/// # Errors
/// [`Error::LengthMismatch`] if the tables differ in size.
pub fn spearman_rho_rows(x: &[f64], y: &[f64], n_items: usize) -> Result<Vec<f64>, Error> {
    of_rows(x, y, n_items, spearman_rho)
}

fn of_rows(
    x: &[f64],
    y: &[f64],
    n_items: usize,
    of_pair: impl Fn(&[f64], &[f64]) -> Result<f64, Error> + Send + Sync,
) -> Result<Vec<f64>, Error> {
    same_length(x, y)?;
    let n_rows = x.len().checked_div(n_items).unwrap_or(0);
    threads::map_rows((n_rows, n_items.max(1)), NANOSECONDS, |rows| {
        rows.map(|i| of_pair(&x[i * n_items..(i + 1) * n_items], &y[i * n_items..(i + 1) * n_items])).collect()
    })
}
