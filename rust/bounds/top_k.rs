//! Divergences of rows of which only the likeliest classes are known, and the mass of all others together.
//!
//! What is unknown are the probabilities that p gives to classes only q lists, the reverse, and both on classes that
//! nobody lists. Every f-divergence is least for the same choice of them: one ratio of p to q wherever no limit is met,
//! because a mixture of classes with different ratios could be moved to lower it. It is greatest where the unknown masses
//! meet nothing.

use crate::{Error, threads};

/// How far the probabilities of a row may sum from 1.
const SUM_TOLERANCE: f64 = 1e-2;

/// Halvings of an interval of logarithms; the last are below rounding.
const HALVINGS: usize = 100;
const LARGEST_LOG: f64 = 700.0;

/// The top of each row: classes, their log-probabilities, and the log of the mass of the classes that are not listed.
#[derive(Debug, Clone, Copy)]
pub struct TopK<'a> {
    /// Name of the distribution, for messages.
    pub name: &'static str,
    /// `(n_rows, k)`, row-major.
    pub ids: &'a [i64],
    /// `(n_rows, k)`, row-major; no class that is not listed is likelier than one that is.
    pub log_probs: &'a [f64],
    /// `(n_rows,)`.
    pub tail_log_mass: &'a [f64],
}

/// For each row what the divergences of the whole rows lie between.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopKBounds {
    /// KL is at least this.
    pub kl_low: Vec<f64>,
    /// Jensen-Shannon is at least this,
    pub js_low: Vec<f64>,
    /// and at most this.
    pub js_high: Vec<f64>,
    /// Total variation is at least this,
    pub tv_low: Vec<f64>,
    /// and at most this.
    pub tv_high: Vec<f64>,
}

/// Bounds of divergences of p from q. A row with a NaN has NaN bounds.
///
/// # Errors
/// [`Error::Empty`] or [`Error::LengthMismatch`] if the sizes do not fit; [`Error::TopAndTail`] for a row whose listed
/// probabilities and tail do not sum to 1; [`Error::DuplicateClass`] for one that lists a class twice.
pub fn top_k_bounds(p: TopK, q: TopK) -> Result<TopKBounds, Error> {
    let n_rows = p.tail_log_mass.len();
    if n_rows != q.tail_log_mass.len() {
        return Err(Error::LengthMismatch { left: n_rows, right: q.tail_log_mass.len() });
    }
    let (k_p, k_q) = (p.k()?, q.k()?);
    let rows = threads::map(n_rows, n_rows * (k_p + k_q) * 500, |row| {
        Ok::<[f64; 5], Error>(Known::new(p.row(row, k_p)?, q.row(row, k_q)?).bounds())
    });
    let mut bounds = TopKBounds::default();
    for row in rows {
        let [kl_low, js_low, js_high, tv_low, tv_high] = row?;
        bounds.kl_low.push(kl_low);
        bounds.js_low.push(js_low);
        bounds.js_high.push(js_high);
        bounds.tv_low.push(tv_low);
        bounds.tv_high.push(tv_high);
    }
    Ok(bounds)
}

/// One row: classes in ascending order with their probabilities, and what the others have together and at most each.
struct Row {
    listed: Vec<(i64, f64)>,
    tail: f64,
    limit: f64,
}

impl TopK<'_> {
    fn k(&self) -> Result<usize, Error> {
        let n_rows = self.tail_log_mass.len();
        if n_rows == 0 || self.ids.is_empty() {
            return Err(Error::Empty);
        }
        if self.ids.len() != self.log_probs.len() || !self.ids.len().is_multiple_of(n_rows) {
            return Err(Error::LengthMismatch { left: self.ids.len(), right: self.log_probs.len() });
        }
        Ok(self.ids.len() / n_rows)
    }

    fn row(&self, row: usize, k: usize) -> Result<Row, Error> {
        let (ids, log_probs) = (&self.ids[row * k..][..k], &self.log_probs[row * k..][..k]);
        let mut listed: Vec<(i64, f64)> = ids.iter().zip(log_probs).map(|(id, l)| (*id, l.exp())).collect();
        listed.sort_unstable_by_key(|(id, _)| *id);
        if let Some(pair) = listed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::DuplicateClass { argument: self.name, row, class: pair[0].0 });
        }
        let tail = self.tail_log_mass[row].exp();
        let sum = listed.iter().map(|(_, p)| p).sum::<f64>() + tail;
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(Error::TopAndTail { argument: self.name, row, sum });
        }
        let least = listed.iter().map(|(_, p)| *p).fold(f64::INFINITY, f64::min);
        Ok(Row { listed, tail, limit: least.min(tail) })
    }
}

/// What two rows say together.
struct Known {
    /// Probabilities of the classes that both list.
    both: Vec<(f64, f64)>,
    /// Of those that only p lists, and only q.
    only_p: Vec<f64>,
    only_q: Vec<f64>,
    p: Row,
    q: Row,
}

impl Known {
    fn new(p: Row, q: Row) -> Self {
        let (mut both, mut only_p, mut only_q, mut i, mut j) = (Vec::new(), Vec::new(), Vec::new(), 0, 0);
        while i < p.listed.len() || j < q.listed.len() {
            let id = |listed: &[(i64, f64)], at: usize| listed.get(at).map_or(i64::MAX, |(id, _)| *id);
            let (a, b) = (id(&p.listed, i), id(&q.listed, j));
            if i < p.listed.len() && j < q.listed.len() && a == b {
                both.push((p.listed[i].1, q.listed[j].1));
                (i, j) = (i + 1, j + 1);
            } else if j == q.listed.len() || (i < p.listed.len() && a < b) {
                only_p.push(p.listed[i].1);
                i += 1;
            } else {
                only_q.push(q.listed[j].1);
                j += 1;
            }
        }
        Self { both, only_p, only_q, p, q }
    }

    /// Lower KL, lower and upper JS, lower and upper TV.
    fn bounds(&self) -> [f64; 5] {
        let sum =
            |term: fn(f64, f64) -> f64, pairs: &[(f64, f64)]| pairs.iter().map(|(p, q)| term(*p, *q)).sum::<f64>();
        let known = [kl, js, tv].map(|term| sum(term, &self.both));
        if known.iter().any(|sum| sum.is_nan()) || (self.p.tail + self.q.tail).is_nan() || self.lists_nan() {
            return [f64::NAN; 5];
        }
        let closest = self.closest();
        let [kl_low, js_low, tv_low] = [kl, js, tv].map(|term| sum(term, &self.both) + sum(term, &closest));
        let rest = self.only_p.iter().sum::<f64>() + self.only_q.iter().sum::<f64>() + self.p.tail + self.q.tail;
        let (js_high, tv_high) = (known[1] + 0.5 * std::f64::consts::LN_2 * rest, known[2] + 0.5 * rest);
        let (ln_2, js_low, tv_low) = (std::f64::consts::LN_2, js_low.max(0.0), tv_low.max(0.0));
        [
            kl_low.max(0.0),
            js_low,
            js_high.clamp(js_low, ln_2.max(js_low)),
            tv_low,
            tv_high.clamp(tv_low, tv_low.max(1.0)),
        ]
    }

    fn lists_nan(&self) -> bool {
        self.only_p.iter().chain(&self.only_q).any(|p| p.is_nan())
    }

    /// The unknown probabilities for which any f-divergence is least, as pairs of p and q; the last is of all unlisted ones.
    ///
    /// Where no limit is met, `p = ratio * q`. The ratio is the least for which q's tail suffices and p's is used up.
    fn closest(&self) -> Vec<(f64, f64)> {
        let ratio = halve(|ratio| {
            let q_left = self.q.tail - self.q_of_only_p(ratio).sum::<f64>();
            q_left >= 0.0 && self.p_of_only_q(ratio).sum::<f64>() + ratio * q_left >= self.p.tail
        });
        let q: Vec<f64> = self.q_of_only_p(ratio).collect();
        let q_left = (self.q.tail - q.iter().sum::<f64>()).max(0.0);
        // Where q has nothing left for unlisted classes, p's tail is used up at a lower ratio.
        let ratio = halve(|ratio| self.p_of_only_q(ratio).sum::<f64>() + ratio * q_left >= self.p.tail);
        let p: Vec<f64> = self.p_of_only_q(ratio).collect();
        let p_left = (self.p.tail - p.iter().sum::<f64>()).max(0.0);
        let unlisted = std::iter::once((p_left, q_left));
        let only_p = self.only_p.iter().copied().zip(q);
        only_p.chain(p.into_iter().zip(self.only_q.iter().copied())).chain(unlisted).collect()
    }

    fn q_of_only_p(&self, ratio: f64) -> impl Iterator<Item = f64> {
        self.only_p.iter().map(move |p| (p / ratio).min(self.q.limit))
    }

    fn p_of_only_q(&self, ratio: f64) -> impl Iterator<Item = f64> {
        self.only_q.iter().map(move |q| (q * ratio).min(self.p.limit))
    }
}

/// The least positive number for which a condition holds, which holds for all larger ones; a huge one if it never does.
fn halve(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (-LARGEST_LOG, LARGEST_LOG);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        *(if holds(middle.exp()) { &mut high } else { &mut low }) = middle;
    }
    high.exp()
}

/// One class's part of KL; the parts of a whole row sum to it.
fn kl(p: f64, q: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * (p / q).ln() }
}

fn js(p: f64, q: f64) -> f64 {
    0.5 * (kl(p, 0.5 * (p + q)) + kl(q, 0.5 * (p + q)))
}

fn tv(p: f64, q: f64) -> f64 {
    0.5 * (p - q).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top<'a>(name: &'static str, ids: &'a [i64], log_probs: &'a [f64], tail: &'a [f64]) -> TopK<'a> {
        TopK { name, ids, log_probs, tail_log_mass: tail }
    }

    #[test]
    fn a_row_that_is_known_whole_has_bounds_that_meet() {
        let (half, quarter) = (0.5f64.ln(), 0.25f64.ln());
        let (even, uneven) = ([half, half], [0.75f64.ln(), quarter]);
        let p = top("p", &[0, 1], &even, &[f64::NEG_INFINITY]);
        let q = top("q", &[1, 0], &uneven, &[f64::NEG_INFINITY]);
        let bounds = top_k_bounds(p, q).unwrap();
        assert!((bounds.kl_low[0] - 0.143_841).abs() < 1e-6);
        assert!((bounds.tv_low[0] - 0.25).abs() < 1e-12 && (bounds.tv_high[0] - 0.25).abs() < 1e-12);
        assert!((bounds.js_high[0] - bounds.js_low[0]).abs() < 1e-12);
    }

    #[test]
    fn repeated_classes_and_lost_mass_are_refused() {
        let q = top("q", &[0, 1], &[-0.7, -0.7], &[-10.0]);
        let twice = top("p", &[3, 3], &[-0.7, -0.7], &[-10.0]);
        assert_eq!(top_k_bounds(twice, q).unwrap_err(), Error::DuplicateClass { argument: "p", row: 0, class: 3 });
        assert!(top_k_bounds(top("p", &[0, 1], &[-3.0, -3.0], &[-3.0]), q).is_err());
    }
}
