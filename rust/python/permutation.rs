//! Permutation tests.

use numpy::{IntoPyArray, PyReadonlyArray2};
use pyo3::prelude::*;

use super::array::{Counts, Floats, Vector, columns, counts, slice};
use crate::permutation::{self, PermutationTest, Plan};

/// Alternative, most relabellings that are all made, number of random ones, seed.
pub(super) type PlanFields = (String, u64, u64, u64);

fn plan_of((alternative, most_exact, n_permutations, seed): PlanFields) -> PyResult<Plan> {
    Ok(Plan { alternative: alternative.parse()?, most_exact, n_permutations, seed })
}

/// Statistics, centres, p-values, adjusted ones, numbers of undefined ones; relabellings, and whether they are all.
pub(super) type TestFields<'py> = (Floats<'py>, Floats<'py>, Floats<'py>, Floats<'py>, Counts<'py>, u64, bool);

fn test_fields(py: Python<'_>, test: PermutationTest) -> TestFields<'_> {
    (
        test.statistic.into_pyarray(py),
        test.centre.into_pyarray(py),
        test.p_value.into_pyarray(py),
        test.p_adjusted.into_pyarray(py),
        counts(py, test.n_undefined),
        test.n_relabellings,
        test.exact,
    )
}

#[pyfunction]
pub(super) fn sign_flip_test<'py>(
    py: Python<'py>,
    differences: PyReadonlyArray2<'py, f64>,
    units: Vector<'py, u32>,
    n_units: usize,
    plan: PlanFields,
) -> PyResult<TestFields<'py>> {
    let (columns, units, plan) = (columns(&differences), slice(&units)?, plan_of(plan)?);
    let test = py.detach(|| permutation::sign_flip_test(&columns, units, n_units, &plan))?;
    Ok(test_fields(py, test))
}

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the wrapper in Python gives them names and defaults")]
pub(super) fn label_permutation_test<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray2<'py, f64>,
    n_first: usize,
    units: Vector<'py, u32>,
    n_units: [usize; 2],
    paired: bool,
    statistic: &str,
    plan: PlanFields,
) -> PyResult<TestFields<'py>> {
    let (columns, units, plan) = (columns(&rows), slice(&units)?, plan_of(plan)?);
    let comparison = statistic.parse()?;
    let run = || permutation::label_test(&columns, n_first, units, n_units, paired, comparison, &plan);
    Ok(test_fields(py, py.detach(run)?))
}

#[pyfunction]
pub(super) fn within_group_permutation_test<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    y: Vector<'py, f64>,
    groups: Vector<'py, u32>,
    statistic: &str,
    plan: PlanFields,
) -> PyResult<TestFields<'py>> {
    let (columns, y, groups, plan) = (columns(&x), slice(&y)?, slice(&groups)?, plan_of(plan)?);
    let association = statistic.parse()?;
    let test = py.detach(|| permutation::within_group_test(&columns, y, groups, association, &plan))?;
    Ok(test_fields(py, test))
}
