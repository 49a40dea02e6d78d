//! What is known of a divergence from less than both distributions: samples of their log-ratio, or the top of each row.

mod top_k;
mod variational;

pub use top_k::{TopK, TopKBounds, top_k_bounds};
pub use variational::{Divergence, Estimate, variational_bounds};
