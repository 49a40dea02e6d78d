"""Fast arithmetic on arrays: the only importer of the Rust module."""

from vestige.kernels.bounds import TopKBounds, VariationalBound, top_k_bounds, variational_bounds
from vestige.kernels.divergence import (
    chi_squared,
    cross_entropy,
    divergences,
    js_divergence,
    kl_divergence,
    renyi_divergence,
    reverse_kl_divergence,
    squared_hellinger,
    total_variation,
)
from vestige.kernels.ensemble import example_epsilons, forgetting_score, klom, logit_margins
from vestige.kernels.group import group_mean, group_sum, sequence_mean, sequence_sum
from vestige.kernels.joint import JointBootstrap, joint_bootstrap
from vestige.kernels.levels import simd_level
from vestige.kernels.likelihood import entropy, logsumexp, token_log_probs, token_statistics
from vestige.kernels.permutation import (
    PermutationTest,
    label_permutation_test,
    sign_flip_test,
    within_group_permutation_test,
)
from vestige.kernels.perturb import WeightPerturbation, perturb_weights
from vestige.kernels.rank import (
    kendall_tau,
    kendall_tau_matrix,
    kendall_tau_rows,
    kendall_test,
    midranks,
    spearman_rho,
    spearman_rho_matrix,
    spearman_rho_rows,
    spearman_test,
)
from vestige.kernels.resample import bootstrap_replicates, jackknife_values, resample_indices
from vestige.kernels.sequence import (
    exact_memorization,
    extraction_strength,
    min_k,
    min_k_plus_plus,
    perplexity,
    ragged,
    sequence_nll,
)
from vestige.kernels.significance import Significance
from vestige.kernels.threads import num_threads, set_num_threads
from vestige.kernels.two_sample import (
    RocCurve,
    energy_distance,
    ks_statistic,
    ks_test,
    mann_whitney_test,
    roc_auc,
    roc_curve,
    tpr_at_fpr,
    wasserstein_distance,
)

__all__ = [
    "JointBootstrap",
    "PermutationTest",
    "RocCurve",
    "Significance",
    "TopKBounds",
    "VariationalBound",
    "WeightPerturbation",
    "bootstrap_replicates",
    "chi_squared",
    "cross_entropy",
    "divergences",
    "energy_distance",
    "entropy",
    "exact_memorization",
    "example_epsilons",
    "extraction_strength",
    "forgetting_score",
    "group_mean",
    "group_sum",
    "jackknife_values",
    "joint_bootstrap",
    "js_divergence",
    "kendall_tau",
    "kendall_tau_matrix",
    "kendall_tau_rows",
    "kendall_test",
    "kl_divergence",
    "klom",
    "ks_statistic",
    "ks_test",
    "label_permutation_test",
    "logit_margins",
    "logsumexp",
    "mann_whitney_test",
    "midranks",
    "min_k",
    "min_k_plus_plus",
    "num_threads",
    "perplexity",
    "perturb_weights",
    "ragged",
    "renyi_divergence",
    "resample_indices",
    "reverse_kl_divergence",
    "roc_auc",
    "roc_curve",
    "sequence_mean",
    "sequence_nll",
    "sequence_sum",
    "set_num_threads",
    "sign_flip_test",
    "simd_level",
    "spearman_rho",
    "spearman_rho_matrix",
    "spearman_rho_rows",
    "spearman_test",
    "squared_hellinger",
    "token_log_probs",
    "token_statistics",
    "top_k_bounds",
    "total_variation",
    "tpr_at_fpr",
    "variational_bounds",
    "wasserstein_distance",
    "within_group_permutation_test",
]
