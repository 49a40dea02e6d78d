//! Divergences between matching rows of two tables, in nats.
//!
//! A table has shape `(n_rows, n_classes)` and holds log-probabilities, logits or probabilities ([`Space`]); sums are
//! kept in `f64` whatever the input precision. `-inf` is probability 0. A row with a NaN gives NaN, for that row only.

mod direct;
mod gap;
mod kind;
mod narrow;
mod row;
mod wide;

pub use kind::Kind;

pub use crate::distribution::Space;
use crate::{Error, Table, chunk, threads};
use row::{Problem, Worker};

/// The divergences asked for, one vector of `n_rows` values for each of `kinds`, in one pass over memory.
///
/// Tables of `f32` or less are computed in that precision, unless they are probabilities or `double` is asked for.
///
/// # Errors
/// [`Error::ShapeMismatch`] if `p` and `q` differ in shape; [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or
/// [`Error::NotNormalised`] for the first row that is not in `space`. Sums of `q` are seen only where its
/// probabilities are needed, so not for [`Kind::Kl`] of log-probabilities alone.
pub fn divergences<'a>(
    p: impl Into<Table<'a>>,
    q: impl Into<Table<'a>>,
    kinds: &[Kind],
    space: Space,
    double: bool,
) -> Result<Vec<Vec<f64>>, Error> {
    let (p, q) = (p.into(), q.into());
    p.same_shape(&q)?;
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let shared = chunk::is_divisible(&p) && p.n_rows() < threads::num_threads();
    let problem = Problem { p, q, kinds, space, double, shared };
    let values = if shared {
        Worker::new(&problem).values(0..p.n_rows())?
    } else {
        threads::map_rows((p.n_rows(), p.n_classes()), 3, |rows| Worker::new(&problem).values(rows))?
    };
    let of_kind = |kind| values.iter().skip(kind).step_by(kinds.len()).copied().collect();
    Ok((0..kinds.len()).map(of_kind).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    fn one(p: &[f64], q: &[f64], kind: Kind, space: Space) -> Result<f64, Error> {
        let rows = |x| Rows::new(x, 1, p.len(), p.len());
        Ok(divergences(rows(p)?, rows(q)?, &[kind], space, false)?[0][0])
    }

    #[test]
    fn a_class_that_only_p_has_makes_kl_infinite_and_js_finite() {
        let (p, q) = ([0.5, 0.5], [1.0, 0.0]);
        assert_eq!(one(&p, &q, Kind::Kl, Space::Probs), Ok(f64::INFINITY));
        assert!((one(&q, &p, Kind::Kl, Space::Probs).unwrap() - 2f64.ln()).abs() < 1e-15);
        assert!((one(&p, &q, Kind::Tv, Space::Probs).unwrap() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn disjoint_rows_are_ln_2_apart_and_equal_ones_0() {
        let (p, q) = ([0.0, f64::NEG_INFINITY], [f64::NEG_INFINITY, 0.0]);
        assert_eq!(one(&p, &q, Kind::Js, Space::LogProbs), Ok(2f64.ln()));
        assert_eq!(one(&p, &p, Kind::Js, Space::LogProbs), Ok(0.0));
    }

    #[test]
    fn a_nan_gives_nan_and_logits_for_log_probs_an_error() {
        assert!(one(&[f64::NAN, 5.0], &[0.0, 1.0], Kind::Js, Space::LogProbs).unwrap().is_nan());
        let error = one(&[3.0, 1.0], &[0.0, 1.0], Kind::Kl, Space::LogProbs).unwrap_err();
        assert_eq!(error, Error::PositiveLogProb { argument: "p", row: 0, largest: 3.0 });
    }
}
