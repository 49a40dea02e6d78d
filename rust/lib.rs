//! The arithmetic of `vestige`: divergences, rank statistics, resampling.
//!
//! Kernels take slices and return values or an [`Error`]; they know nothing of Python. Sums are kept in `f64`
//! whatever the storage, every reduction has a fixed order, and so results are the same for any number of threads.

pub mod bounds;
pub mod distribution;
pub mod divergence;
pub mod ensemble;
pub mod error;
pub mod group;
pub mod likelihood;
pub mod mapped;
pub mod permutation;
pub mod perturb;
pub mod ragged;
pub mod random;
pub mod rank;
pub mod real;
pub mod resample;
pub mod rows;
pub mod sequence;
pub mod table;
pub mod threads;
pub mod two_sample;

mod chunk;
mod exponential;
mod lanes;
mod logsumexp;
mod math;
mod merge;
#[cfg(feature = "python")]
mod python;
mod radix;
mod simd;

pub use error::Error;
pub use ragged::Ragged;
pub use real::Real;
pub use rows::Rows;
pub use table::Table;
