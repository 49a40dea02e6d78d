from typing import SupportsFloat, SupportsIndex

from _typeshed import Incomplete, SupportsGetItem, SupportsLenAndGetItem

__all__ = [
    "bootstrap_replicates",
    "difference_maxima",
    "divergences",
    "energy_distance",
    "entropy",
    "exact_memorization",
    "example_epsilons",
    "extraction_strength",
    "jackknife_values",
    "joint_bootstrap",
    "kendall_counts",
    "kendall_exact",
    "kendall_tau",
    "kendall_tau_matrix",
    "kendall_tau_rows",
    "klom",
    "ks_exact",
    "ks_gaps",
    "ks_statistic",
    "label_permutation_test",
    "logit_margins",
    "logsumexp",
    "mann_whitney",
    "mann_whitney_exact",
    "midranks",
    "midranks_rows",
    "min_k",
    "min_k_plus_plus",
    "num_threads",
    "perturb_weights",
    "reduce_groups",
    "reduce_sequences",
    "replicate_maxima",
    "resample_indices",
    "roc_auc",
    "roc_curve",
    "sequence_totals",
    "set_num_threads",
    "sign_flip_test",
    "simd_level",
    "spearman_rho",
    "spearman_rho_matrix",
    "spearman_rho_rows",
    "token_statistics",
    "top_k_bounds",
    "tpr_at_fpr",
    "variational_bounds",
    "wasserstein_distance",
    "within_group_permutation_test",
]

def bootstrap_replicates(
    samples: SupportsGetItem[
        int, tuple[SupportsGetItem[int, Incomplete], Incomplete, SupportsGetItem[int, SupportsIndex]]
    ],
    statistic: str,
    level: SupportsFloat | SupportsIndex,
    n_resamples: SupportsIndex,
    seed: SupportsIndex,
) -> Incomplete: ...
def difference_maxima(
    metric: tuple[Incomplete, Incomplete, SupportsIndex, bool],
    n_units: SupportsIndex,
    up: Incomplete,
    down: Incomplete,
    n_resamples: SupportsIndex,
    seed: SupportsIndex,
) -> Incomplete: ...
def divergences(
    p: Incomplete,
    q: Incomplete,
    kinds: SupportsGetItem[int, str],
    space: str,
    alpha: SupportsFloat | SupportsIndex,
    double: bool,
    dtype: str,
) -> list[Incomplete]: ...
def energy_distance(
    x: Incomplete, y: Incomplete, x_weights: Incomplete | None, y_weights: Incomplete | None
) -> float: ...
def entropy(p: Incomplete, space: str, dtype: str) -> Incomplete: ...
def exact_memorization(hits: Incomplete, offsets: Incomplete) -> Incomplete: ...
def example_epsilons(
    unlearned: Incomplete, retrained: Incomplete, delta: SupportsFloat | SupportsIndex, variant: str
) -> Incomplete: ...
def extraction_strength(hits: Incomplete, offsets: Incomplete, floor: str) -> Incomplete: ...
def jackknife_values(
    samples: SupportsGetItem[
        int, tuple[SupportsGetItem[int, Incomplete], Incomplete, SupportsGetItem[int, SupportsIndex]]
    ],
    statistic: str,
    level: SupportsFloat | SupportsIndex,
) -> list[Incomplete]: ...
def joint_bootstrap(
    metrics: SupportsGetItem[int, tuple[Incomplete, Incomplete, SupportsIndex, bool]],
    n_models: SupportsIndex,
    n_units: SupportsGetItem[int, SupportsIndex],
    n_resamples: SupportsIndex,
    seed: SupportsIndex,
    keep: tuple[bool, bool],
) -> tuple[
    tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete],
    tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete],
    tuple[Incomplete, Incomplete, Incomplete],
]: ...
def kendall_counts(x: Incomplete, y: Incomplete) -> tuple[float, int, int, list[int], list[float], list[float]]: ...
def kendall_exact(n: SupportsIndex, discordant: SupportsIndex) -> tuple[float, float]: ...
def kendall_tau(x: Incomplete, y: Incomplete) -> float: ...
def kendall_tau_matrix(columns: Incomplete) -> Incomplete: ...
def kendall_tau_rows(x: Incomplete, y: Incomplete) -> Incomplete: ...
def klom(
    unlearned: Incomplete,
    retrained: Incomplete,
    n_bins: SupportsIndex,
    floor: SupportsFloat | SupportsIndex,
    clip: SupportsFloat | SupportsIndex,
    variant: str,
) -> Incomplete: ...
def ks_exact(
    n: SupportsIndex, m: SupportsIndex, greater: SupportsIndex | None, less: SupportsIndex | None
) -> float: ...
def ks_gaps(x: Incomplete, y: Incomplete) -> tuple[int, int] | None: ...
def ks_statistic(x: Incomplete, y: Incomplete) -> float: ...
def label_permutation_test(
    rows: Incomplete,
    n_first: SupportsIndex,
    units: Incomplete,
    n_units: SupportsLenAndGetItem[SupportsIndex],
    paired: bool,
    statistic: str,
    plan: tuple[str, SupportsIndex, SupportsIndex, SupportsIndex],
) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete, int, bool]: ...
def logit_margins(logits: Incomplete, labels: Incomplete, dtype: str) -> Incomplete: ...
def logsumexp(logits: Incomplete, dtype: str) -> Incomplete: ...
def mann_whitney(x: Incomplete, y: Incomplete) -> tuple[float, float]: ...
def mann_whitney_exact(n: SupportsIndex, m: SupportsIndex, u: SupportsIndex) -> tuple[float, float]: ...
def midranks(x: Incomplete) -> Incomplete: ...
def midranks_rows(x: Incomplete) -> Incomplete: ...
def min_k(token_log_probs: Incomplete, offsets: Incomplete, k: SupportsFloat | SupportsIndex) -> Incomplete: ...
def min_k_plus_plus(
    token_log_probs: Incomplete,
    means: Incomplete,
    variances: Incomplete,
    offsets: Incomplete,
    k: SupportsFloat | SupportsIndex,
) -> Incomplete: ...
def num_threads() -> int: ...
def perturb_weights(
    scores: Incomplete,
    weights: Incomplete,
    n_draws: SupportsIndex,
    law: str,
    draws: Incomplete | None,
    return_draws: bool,
    seed: SupportsIndex,
) -> tuple[float, float, int, Incomplete, Incomplete, Incomplete, Incomplete, Incomplete]: ...
def reduce_groups(
    values: Incomplete,
    weights: Incomplete | None,
    mask: Incomplete | None,
    codes: Incomplete,
    n_groups: SupportsIndex,
    reduction: str,
) -> Incomplete: ...
def reduce_sequences(
    values: Incomplete, weights: Incomplete | None, mask: Incomplete | None, offsets: Incomplete, reduction: str
) -> Incomplete: ...
def replicate_maxima(deviations: Incomplete, up: Incomplete, down: Incomplete) -> Incomplete: ...
def resample_indices(
    strata: SupportsGetItem[int, SupportsIndex], n_resamples: SupportsIndex, seed: SupportsIndex, stream: SupportsIndex
) -> Incomplete: ...
def roc_auc(positive: Incomplete, negative: Incomplete) -> float: ...
def roc_curve(
    positive: Incomplete, negative: Incomplete, every_point: bool
) -> tuple[Incomplete, Incomplete, Incomplete]: ...
def sequence_totals(values: Incomplete, offsets: Incomplete, reduction: str) -> Incomplete: ...
def set_num_threads(n: SupportsIndex) -> None: ...
def sign_flip_test(
    differences: Incomplete,
    units: Incomplete,
    n_units: SupportsIndex,
    plan: tuple[str, SupportsIndex, SupportsIndex, SupportsIndex],
) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete, int, bool]: ...
def simd_level() -> str: ...
def spearman_rho(x: Incomplete, y: Incomplete) -> float: ...
def spearman_rho_matrix(columns: Incomplete) -> Incomplete: ...
def spearman_rho_rows(x: Incomplete, y: Incomplete) -> Incomplete: ...
def token_statistics(
    logits: Incomplete, token_ids: Incomplete, kinds: SupportsGetItem[int, str], dtype: str
) -> list[Incomplete]: ...
def top_k_bounds(
    p: tuple[Incomplete, Incomplete, Incomplete], q: tuple[Incomplete, Incomplete, Incomplete]
) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete]: ...
def tpr_at_fpr(positive: Incomplete, negative: Incomplete, fpr: SupportsFloat | SupportsIndex) -> float: ...
def variational_bounds(
    p: Incomplete, q: Incomplete, kinds: SupportsGetItem[int, str]
) -> list[tuple[float, float, float]]: ...
def wasserstein_distance(
    x: Incomplete, y: Incomplete, x_weights: Incomplete | None, y_weights: Incomplete | None
) -> float: ...
def within_group_permutation_test(
    x: Incomplete,
    y: Incomplete,
    groups: Incomplete,
    statistic: str,
    plan: tuple[str, SupportsIndex, SupportsIndex, SupportsIndex],
) -> tuple[Incomplete, Incomplete, Incomplete, Incomplete, Incomplete, int, bool]: ...
