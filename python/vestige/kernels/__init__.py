"""Fast arithmetic on arrays: the only importer of the Rust module."""

from vestige.kernels.divergence import divergences, js_divergence, kl_divergence, total_variation
from vestige.kernels.joint import JointBootstrap, joint_bootstrap
from vestige.kernels.levels import simd_level
from vestige.kernels.likelihood import entropy, logsumexp, token_log_probs
from vestige.kernels.perturb import WeightPerturbation, perturb_weights
from vestige.kernels.rank import kendall_tau, kendall_tau_matrix, midranks, spearman_rho, spearman_rho_matrix
from vestige.kernels.resample import bootstrap_replicates, jackknife_values, resample_indices
from vestige.kernels.threads import num_threads, set_num_threads
from vestige.kernels.two_sample import ks_statistic, roc_auc

__all__ = [
    "JointBootstrap",
    "WeightPerturbation",
    "bootstrap_replicates",
    "divergences",
    "entropy",
    "jackknife_values",
    "joint_bootstrap",
    "js_divergence",
    "kendall_tau",
    "kendall_tau_matrix",
    "kl_divergence",
    "ks_statistic",
    "logsumexp",
    "midranks",
    "num_threads",
    "perturb_weights",
    "resample_indices",
    "roc_auc",
    "set_num_threads",
    "simd_level",
    "spearman_rho",
    "spearman_rho_matrix",
    "token_log_probs",
    "total_variation",
]
