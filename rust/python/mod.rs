//! The extension module: convert, let go of the GIL, call, convert back.

mod array;
mod permutation;
mod rank;
mod two_sample;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::Error;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        PyValueError::new_err(error.to_string())
    }
}

/// Elements of input below which a call is too short (some 20 µs) to let other Python threads run.
const SHORT: usize = 1000;

/// Runs `work` without the GIL unless it is over before another thread could use it.
fn release<R: Send>(py: Python<'_>, n_elements: usize, work: impl FnOnce() -> R + Send) -> R {
    if n_elements < SHORT { work() } else { py.detach(work) }
}

#[pymodule(gil_used = false)]
mod _rust {
    use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
    use pyo3::prelude::*;

    use super::array::{self, Counts, FloatTable, FloatVector, Floats, Vector, counts, flat, slice, with_values};
    #[pymodule_export]
    use super::permutation::{label_permutation_test, sign_flip_test, within_group_permutation_test};
    #[pymodule_export]
    use super::rank::{
        kendall_counts, kendall_exact, kendall_tau, kendall_tau_matrix, kendall_tau_rows, midranks, midranks_rows,
        spearman_rho, spearman_rho_matrix, spearman_rho_rows,
    };
    use super::release;
    #[pymodule_export]
    use super::two_sample::{
        energy_distance, ks_exact, ks_gaps, ks_statistic, mann_whitney, mann_whitney_exact, roc_auc, roc_curve,
        tpr_at_fpr, wasserstein_distance,
    };
    use crate::bounds::{self, TopK};
    use crate::divergence::{self, Kind};
    use crate::ensemble::{self, Ensemble, Histogram};
    use crate::group::{self, Reduction, Weighted};
    use crate::perturb::{self, Law, Perturbation};
    use crate::resample::joint::{self, Keep, Metric, Moments, Table};
    use crate::resample::{self, Sample, Statistic};
    use crate::{Ragged, likelihood, sequence, simd, threads};

    #[pyfunction]
    fn num_threads() -> usize {
        threads::num_threads()
    }

    #[pyfunction]
    fn set_num_threads(n: usize) -> PyResult<()> {
        Ok(threads::set_num_threads(n)?)
    }

    #[pyfunction]
    fn simd_level() -> PyResult<&'static str> {
        Ok(simd::level()?.as_str())
    }

    #[pyfunction]
    #[expect(clippy::too_many_arguments, reason = "the wrapper in Python gives them names and defaults")]
    fn divergences<'py>(
        py: Python<'py>,
        p: FloatTable<'py>,
        q: FloatTable<'py>,
        kinds: Vec<String>,
        space: &str,
        alpha: f64,
        double: bool,
        dtype: &str,
    ) -> PyResult<Vec<Floats<'py>>> {
        let kinds = kinds.iter().map(|kind| Kind::named(kind, alpha)).collect::<Result<Vec<_>, _>>()?;
        let space = space.parse()?;
        let (p, q) = (p.table(dtype)?, q.table(dtype)?);
        let n = p.n_rows() * p.n_classes();
        let values = release(py, n, || divergence::divergences(p, q, &kinds, space, double))?;
        Ok(values.into_iter().map(|values| values.into_pyarray(py)).collect())
    }

    #[pyfunction]
    fn token_statistics<'py>(
        py: Python<'py>,
        logits: FloatTable<'py>,
        token_ids: Vector<'py, i64>,
        kinds: Vec<String>,
        dtype: &str,
    ) -> PyResult<Vec<Floats<'py>>> {
        let kinds = kinds.iter().map(|kind| kind.parse()).collect::<Result<Vec<_>, _>>()?;
        let (logits, tokens) = (logits.table(dtype)?, slice(&token_ids)?);
        let n = logits.n_rows() * logits.n_classes();
        let values = release(py, n, || likelihood::token_statistics(logits, tokens, &kinds))?;
        Ok(values.into_iter().map(|values| values.into_pyarray(py)).collect())
    }

    #[pyfunction]
    fn logsumexp<'py>(py: Python<'py>, logits: FloatTable<'py>, dtype: &str) -> PyResult<Floats<'py>> {
        let logits = logits.table(dtype)?;
        let n = logits.n_rows() * logits.n_classes();
        Ok(release(py, n, || likelihood::logsumexp(logits)).into_pyarray(py))
    }

    #[pyfunction]
    fn entropy<'py>(py: Python<'py>, p: FloatTable<'py>, space: &str, dtype: &str) -> PyResult<Floats<'py>> {
        let (p, space) = (p.table(dtype)?, space.parse()?);
        Ok(release(py, p.n_rows() * p.n_classes(), || likelihood::entropy(p, space))?.into_pyarray(py))
    }

    #[pyfunction]
    fn sequence_totals<'py>(
        py: Python<'py>,
        values: FloatVector<'py>,
        offsets: Vector<'py, i64>,
        reduction: &str,
    ) -> PyResult<Floats<'py>> {
        let (reduction, offsets) = (reduction.parse()?, slice(&offsets)?);
        let totals = with_values!(values => {
            let sequences = Ragged::new(values, offsets)?;
            Ok::<_, PyErr>(release(py, values.len() + offsets.len(), || match reduction {
                Reduction::Sum => sequence::sums(sequences),
                Reduction::Mean => sequence::means(sequences),
            }))
        })?;
        Ok(totals.into_pyarray(py))
    }

    #[pyfunction]
    fn min_k<'py>(
        py: Python<'py>,
        token_log_probs: FloatVector<'py>,
        offsets: Vector<'py, i64>,
        k: f64,
    ) -> PyResult<Floats<'py>> {
        let offsets = slice(&offsets)?;
        let means = with_values!(token_log_probs => {
            let sequences = Ragged::new(token_log_probs, offsets)?;
            Ok::<_, PyErr>(release(py, token_log_probs.len(), || sequence::lowest_means(sequences, k))?)
        })?;
        Ok(means.into_pyarray(py))
    }

    #[pyfunction]
    fn min_k_plus_plus<'py>(
        py: Python<'py>,
        token_log_probs: FloatVector<'py>,
        means: FloatVector<'py>,
        variances: FloatVector<'py>,
        offsets: Vector<'py, i64>,
        k: f64,
    ) -> PyResult<Floats<'py>> {
        let offsets = slice(&offsets)?;
        let means = with_values!(token_log_probs, means, variances => {
            let sequences = Ragged::new(token_log_probs, offsets)?;
            Ok(release(py, means.len(), || sequence::standardised_lowest_means(sequences, means, variances, k))?)
        })?;
        Ok(means.into_pyarray(py))
    }

    #[pyfunction]
    fn extraction_strength<'py>(
        py: Python<'py>,
        hits: Vector<'py, i8>,
        offsets: Vector<'py, i64>,
        floor: &str,
    ) -> PyResult<Floats<'py>> {
        let (sequences, floor) = (Ragged::new(slice(&hits)?, slice(&offsets)?)?, floor.parse()?);
        Ok(release(py, hits.as_array().len(), || sequence::extraction_strengths(sequences, floor)).into_pyarray(py))
    }

    #[pyfunction]
    fn exact_memorization<'py>(
        py: Python<'py>,
        hits: Vector<'py, i8>,
        offsets: Vector<'py, i64>,
    ) -> PyResult<Floats<'py>> {
        let sequences = Ragged::new(slice(&hits)?, slice(&offsets)?)?;
        Ok(release(py, hits.as_array().len(), || sequence::hit_shares(sequences)).into_pyarray(py))
    }

    #[pyfunction]
    #[pyo3(signature = (values, weights, mask, codes, n_groups, reduction))]
    fn reduce_groups<'py>(
        py: Python<'py>,
        values: FloatVector<'py>,
        weights: Option<Vector<'py, f64>>,
        mask: Option<Vector<'py, bool>>,
        codes: Vector<'py, i64>,
        n_groups: usize,
        reduction: &str,
    ) -> PyResult<Floats<'py>> {
        let (weights, mask) = (weights.as_ref().map(slice).transpose()?, mask.as_ref().map(slice).transpose()?);
        let (codes, reduction) = (slice(&codes)?, reduction.parse()?);
        let groups = with_values!(values => {
            let rows = Weighted::new(values, weights, mask)?;
            Ok::<_, PyErr>(release(py, values.len(), || group::reduce_groups(rows, codes, n_groups, reduction))?)
        })?;
        Ok(groups.into_pyarray(py))
    }

    #[pyfunction]
    #[pyo3(signature = (values, weights, mask, offsets, reduction))]
    fn reduce_sequences<'py>(
        py: Python<'py>,
        values: FloatVector<'py>,
        weights: Option<Vector<'py, f64>>,
        mask: Option<Vector<'py, bool>>,
        offsets: Vector<'py, i64>,
        reduction: &str,
    ) -> PyResult<Floats<'py>> {
        let (weights, mask) = (weights.as_ref().map(slice).transpose()?, mask.as_ref().map(slice).transpose()?);
        let (offsets, reduction) = (slice(&offsets)?, reduction.parse()?);
        let sequences = with_values!(values => {
            let rows = Weighted::new(values, weights, mask)?;
            Ok::<_, PyErr>(release(py, values.len(), || group::reduce_sequences(rows, offsets, reduction))?)
        })?;
        Ok(sequences.into_pyarray(py))
    }

    #[pyfunction]
    fn bootstrap_replicates<'py>(
        py: Python<'py>,
        samples: Vec<BorrowedSample<'py>>,
        statistic: &str,
        level: f64,
        n_resamples: usize,
        seed: u64,
    ) -> PyResult<Floats<'py>> {
        let (samples, statistic) = (owned_samples(&samples)?, Statistic::named(statistic, level)?);
        let replicates = py.detach(|| resample::bootstrap_replicates(&samples, statistic, n_resamples, seed))?;
        Ok(replicates.into_pyarray(py))
    }

    #[pyfunction]
    fn jackknife_values<'py>(
        py: Python<'py>,
        samples: Vec<BorrowedSample<'py>>,
        statistic: &str,
        level: f64,
    ) -> PyResult<Vec<Floats<'py>>> {
        let (samples, statistic) = (owned_samples(&samples)?, Statistic::named(statistic, level)?);
        let values = py.detach(|| resample::jackknife_values(&samples, statistic))?;
        Ok(values.into_iter().map(|values| values.into_pyarray(py)).collect())
    }

    /// Columns, unit of each row, number of units of each stratum.
    type BorrowedSample<'py> = (Vec<Vector<'py, f64>>, Vector<'py, u32>, Vec<usize>);

    fn owned_samples(samples: &[BorrowedSample<'_>]) -> PyResult<Vec<Sample>> {
        let owned = |(columns, units, strata): &BorrowedSample<'_>| {
            let columns = columns.iter().map(|c| Ok(slice(c)?.to_vec())).collect::<PyResult<_>>()?;
            Ok(Sample { columns, units: slice(units)?.to_vec(), strata: strata.clone() })
        };
        samples.iter().map(owned).collect()
    }

    #[pyfunction]
    fn resample_indices<'py>(
        py: Python<'py>,
        strata: Vec<usize>,
        n_resamples: usize,
        seed: u64,
        stream: u32,
    ) -> Bound<'py, PyArray1<i64>> {
        py.detach(|| resample::resample_indices(&strata, n_resamples, seed, stream)).into_pyarray(py)
    }

    /// Values (row-major by model), unit of each row, number of the sample, whether higher is better.
    type BorrowedMetric<'py> = (PyReadonlyArray2<'py, f64>, Vector<'py, u32>, usize, bool);

    fn owned_metric((values, units, sample, higher_is_better): &BorrowedMetric<'_>) -> PyResult<Metric> {
        let (values, units) = (flat(values)?.to_vec(), slice(units)?.to_vec());
        Ok(Metric { values, units, sample: *sample, higher_is_better: *higher_is_better })
    }

    /// Observed values, means, deviations, numbers of undefined ones, replicates.
    type MomentFields<'py> = (Floats<'py>, Floats<'py>, Floats<'py>, Counts<'py>, Floats<'py>);

    fn moment_fields(py: Python<'_>, moments: Moments) -> MomentFields<'_> {
        (
            moments.observed.into_pyarray(py),
            moments.mean.into_pyarray(py),
            moments.sd.into_pyarray(py),
            counts(py, moments.n_undefined),
            moments.replicates.into_pyarray(py),
        )
    }

    #[pyfunction]
    fn joint_bootstrap<'py>(
        py: Python<'py>,
        metrics: Vec<BorrowedMetric<'py>>,
        n_models: usize,
        n_units: Vec<usize>,
        n_resamples: usize,
        seed: u64,
        keep: (bool, bool),
    ) -> PyResult<(MomentFields<'py>, MomentFields<'py>, (Counts<'py>, Floats<'py>, Counts<'py>))> {
        let metrics = metrics.iter().map(owned_metric).collect::<PyResult<_>>()?;
        let (table, keep) = (Table { n_models, metrics, n_units }, Keep { means: keep.0, tau: keep.1 });
        let result = py.detach(|| joint::joint_bootstrap(&table, n_resamples, seed, keep))?;
        let ranks =
            (counts(py, result.rank_counts), result.first_counts.into_pyarray(py), counts(py, result.n_unranked));
        Ok((moment_fields(py, result.means), moment_fields(py, result.tau), ranks))
    }

    #[pyfunction]
    fn difference_maxima<'py>(
        py: Python<'py>,
        metric: BorrowedMetric<'py>,
        n_units: usize,
        up: PyReadonlyArray2<'py, f64>,
        down: PyReadonlyArray2<'py, f64>,
        n_resamples: usize,
        seed: u64,
    ) -> PyResult<Floats<'py>> {
        let (metric, factors) = (owned_metric(&metric)?, (flat(&up)?, flat(&down)?));
        let maxima = py.detach(|| joint::difference_maxima(&metric, n_units, factors, n_resamples, seed))?;
        Ok(maxima.into_pyarray(py))
    }

    #[pyfunction]
    fn replicate_maxima<'py>(
        py: Python<'py>,
        deviations: PyReadonlyArray2<'py, f64>,
        up: PyReadonlyArray2<'py, f64>,
        down: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<Floats<'py>> {
        let (deviations, factors) = (flat(&deviations)?, (flat(&up)?, flat(&down)?));
        Ok(py.detach(|| joint::replicate_maxima(deviations, factors))?.into_pyarray(py))
    }

    #[pyfunction]
    fn logit_margins<'py>(
        py: Python<'py>,
        logits: FloatTable<'py>,
        labels: Vector<'py, i64>,
        dtype: &str,
    ) -> PyResult<Floats<'py>> {
        let (logits, labels) = (logits.table(dtype)?, slice(&labels)?);
        let n = logits.n_rows() * logits.n_classes();
        Ok(release(py, n, || ensemble::logit_margins(logits, labels))?.into_pyarray(py))
    }

    #[pyfunction]
    fn klom<'py>(
        py: Python<'py>,
        unlearned: PyReadonlyArray2<'py, f64>,
        retrained: PyReadonlyArray2<'py, f64>,
        n_bins: usize,
        floor: f64,
        clip: f64,
        variant: &str,
    ) -> PyResult<Floats<'py>> {
        let histogram = Histogram::new(n_bins, floor, clip, variant)?;
        let (unlearned, retrained) = (members(&unlearned)?, members(&retrained)?);
        Ok(py.detach(|| ensemble::klom(unlearned, retrained, histogram))?.into_pyarray(py))
    }

    #[pyfunction]
    fn example_epsilons<'py>(
        py: Python<'py>,
        unlearned: PyReadonlyArray2<'py, f64>,
        retrained: PyReadonlyArray2<'py, f64>,
        delta: f64,
        variant: &str,
    ) -> PyResult<Floats<'py>> {
        let thresholds = variant.parse()?;
        let (unlearned, retrained) = (members(&unlearned)?, members(&retrained)?);
        Ok(py.detach(|| ensemble::example_epsilons(unlearned, retrained, delta, thresholds))?.into_pyarray(py))
    }

    fn members<'a>(values: &'a PyReadonlyArray2<'_, f64>) -> PyResult<Ensemble<'a>> {
        Ok(Ensemble::new(flat(values)?, values.shape()[1])?)
    }

    // Lower bound, its standard error and the plug-in estimate of each kind.
    #[pyfunction]
    fn variational_bounds(
        py: Python<'_>,
        p: Vector<'_, f64>,
        q: Vector<'_, f64>,
        kinds: Vec<String>,
    ) -> PyResult<Vec<(f64, f64, f64)>> {
        let kinds = kinds.iter().map(|kind| kind.parse()).collect::<Result<Vec<_>, _>>()?;
        let (p, q) = (slice(&p)?, slice(&q)?);
        let bounds = release(py, p.len() + q.len(), || bounds::variational_bounds(p, q, &kinds))?;
        Ok(bounds.into_iter().map(|bound| (bound.lower, bound.standard_error, bound.plug_in)).collect())
    }

    /// Classes, their log-probabilities, and the log of the mass of the others.
    type TopKArrays<'py> = (PyReadonlyArray2<'py, i64>, PyReadonlyArray2<'py, f64>, Vector<'py, f64>);

    /// Fields of a `TopKBounds`, in the order of their declaration.
    type TopKFields<'py> = (Floats<'py>, Floats<'py>, Floats<'py>, Floats<'py>, Floats<'py>);

    #[pyfunction]
    fn top_k_bounds<'py>(py: Python<'py>, p: TopKArrays<'py>, q: TopKArrays<'py>) -> PyResult<TopKFields<'py>> {
        let (p, q) = (top_k("p", &p)?, top_k("q", &q)?);
        let bounds = release(py, 100 * p.ids.len(), || bounds::top_k_bounds(p, q))?;
        Ok((
            bounds.kl_low.into_pyarray(py),
            bounds.js_low.into_pyarray(py),
            bounds.js_high.into_pyarray(py),
            bounds.tv_low.into_pyarray(py),
            bounds.tv_high.into_pyarray(py),
        ))
    }

    fn top_k<'a>(name: &'static str, (ids, log_probs, tail): &'a TopKArrays<'_>) -> PyResult<TopK<'a>> {
        Ok(TopK { name, ids: flat(ids)?, log_probs: flat(log_probs)?, tail_log_mass: slice(tail)? })
    }

    /// Fields of a `WeightPerturbation`, in the order of their declaration.
    type PerturbationFields<'py> =
        (f64, f64, u64, Bound<'py, PyArray1<i64>>, Floats<'py>, Bound<'py, PyArray1<i64>>, Floats<'py>, Floats<'py>);

    #[pyfunction]
    #[pyo3(signature = (scores, weights, n_draws, law, draws, return_draws, seed))]
    #[expect(clippy::too_many_arguments, reason = "the wrapper in Python gives them names and defaults")]
    fn perturb_weights<'py>(
        py: Python<'py>,
        scores: PyReadonlyArray2<'py, f64>,
        weights: Vector<'py, f64>,
        n_draws: usize,
        law: &str,
        draws: Option<PyReadonlyArray2<'py, f64>>,
        return_draws: bool,
        seed: u64,
    ) -> PyResult<PerturbationFields<'py>> {
        let (scores, weights) = (flat(&scores)?, slice(&weights)?);
        let law = Law::named(law, draws.as_ref().map(flat).transpose()?)?;
        let result = py.detach(|| perturb::perturb_weights(scores, weights, n_draws, law, seed, return_draws))?;
        Ok(perturbation_fields(py, result))
    }

    fn perturbation_fields(py: Python<'_>, result: Perturbation) -> PerturbationFields<'_> {
        (
            result.tau_mean,
            result.tau_sd,
            result.n_undefined,
            counts(py, result.rank_counts),
            result.first_counts.into_pyarray(py),
            counts(py, result.wins),
            result.tau.into_pyarray(py),
            result.weights.into_pyarray(py),
        )
    }
}
