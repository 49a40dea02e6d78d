//! How well an attack with thresholds tells two ensembles apart on one example, as the epsilon of differential privacy
//! (the score of the NeurIPS 2023 unlearning competition; Triantafillou and others 2024).

use super::{Ensemble, map_examples};
use crate::Error;
use crate::error::unknown;

/// Epsilon of an example that no attack could miss.
const CAP: f64 = 50.0;

/// Spreads whose ratio is below this are told apart without a search.
const SPREAD_RATIO: f64 = 0.01;

/// How far thresholds of the released search go beyond the samples, and how many there are in a unit.
const BUFFER: f64 = 2.0;
const THRESHOLDS_PER_UNIT: f64 = 100.0;

/// Which thresholds an attack may choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Thresholds {
    /// All that make a difference.
    All,
    /// Those of the released code: 100 in a unit.
    Released,
}

impl std::str::FromStr for Thresholds {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "exact" => Ok(Self::All),
            "released" => Ok(Self::Released),
            _ => Err(unknown("variant", name, "\"exact\" or \"released\"")),
        }
    }
}

/// For each example the largest epsilon that an attack by one threshold or two reaches, within [0, 50].
///
/// NaN where no attack makes errors of both kinds or none at all.
///
/// # Errors
/// [`Error::LengthMismatch`] if the ensembles differ in examples.
pub fn example_epsilons(
    unlearned: Ensemble,
    retrained: Ensemble,
    delta: f64,
    thresholds: Thresholds,
) -> Result<Vec<f64>, Error> {
    let n = unlearned.n_models() + retrained.n_models();
    let nanoseconds = if thresholds == Thresholds::All { n * n } else { 400_000 };
    map_examples((unlearned, retrained), nanoseconds, |unlearned, retrained| {
        unlearned.sort_unstable_by(f64::total_cmp);
        retrained.sort_unstable_by(f64::total_cmp);
        epsilon(unlearned, retrained, delta, thresholds)
    })
}

/// Both samples ascend.
fn epsilon(unlearned: &[f64], retrained: &[f64], delta: f64, thresholds: Thresholds) -> f64 {
    let (narrow, wide) = (spread(unlearned).min(spread(retrained)), spread(unlearned).max(spread(retrained)));
    if narrow / wide < SPREAD_RATIO {
        return CAP;
    }
    let (upper, lower) =
        if median(retrained) > median(unlearned) { (retrained, unlearned) } else { (unlearned, retrained) };
    let (inner, outer) = if spread(upper) >= spread(lower) { (lower, upper) } else { (upper, lower) };
    let mut best = Best::new(delta);
    match thresholds {
        Thresholds::All => {
            best.all_single(upper, lower);
            best.all_double(inner, outer);
        }
        Thresholds::Released => {
            best.released_single(upper, lower);
            best.released_double(inner, outer);
        }
    }
    if best.epsilon > CAP { CAP } else { best.epsilon }
}

fn spread(ascending: &[f64]) -> f64 {
    ascending[ascending.len() - 1] - ascending[0]
}

fn median(ascending: &[f64]) -> f64 {
    let half = ascending.len() / 2;
    if ascending.len() % 2 == 1 { ascending[half] } else { 0.5 * (ascending[half - 1] + ascending[half]) }
}

/// The largest epsilon so far.
struct Best {
    delta: f64,
    epsilon: f64,
}

impl Best {
    fn new(delta: f64) -> Self {
        Self { delta, epsilon: f64::NAN }
    }

    /// An attack that calls `n_false` of the negatives positive and misses `n_missed` of the positives. Errors of one kind
    /// alone mean too few samples, and do not count.
    fn offer(&mut self, (n_false, n_negative): (usize, usize), (n_missed, n_positive): (usize, usize)) {
        let epsilon = match (n_false, n_missed) {
            (0, 0) => f64::INFINITY,
            (0, _) | (_, 0) => return,
            _ => {
                let (fpr, fnr) = (n_false as f64 / n_negative as f64, n_missed as f64 / n_positive as f64);
                let larger = ((1.0 - self.delta - fpr).ln() - fnr.ln()).max((1.0 - self.delta - fnr).ln() - fpr.ln());
                larger.max(0.0)
            }
        };
        self.epsilon = self.epsilon.max(epsilon);
    }

    /// Positive from a threshold on, which is any of the values.
    fn all_single(&mut self, positive: &[f64], negative: &[f64]) {
        for threshold in positive.iter().chain(negative) {
            self.single(positive, negative, *threshold);
        }
    }

    fn single(&mut self, positive: &[f64], negative: &[f64], threshold: f64) {
        let n_false = negative.len() - negative.partition_point(|value| *value < threshold);
        let n_missed = positive.partition_point(|value| *value < threshold);
        self.offer((n_false, negative.len()), (n_missed, positive.len()));
    }

    /// Positive within an interval between any two values. Epsilon falls with both errors, so for each number of false
    /// positives only the fewest misses matter: none, and the fewest above none.
    fn all_double(&mut self, positive: &[f64], negative: &[f64]) {
        let counts = cumulated(positive, negative);
        let mut most = vec![None; negative.len() + 1];
        let mut is_perfect = false;
        for (i, (positive_before, negative_before)) in counts.iter().enumerate() {
            for (positive_after, negative_after) in &counts[i + 1..] {
                let (inside, n_false) = (positive_after - positive_before, negative_after - negative_before);
                is_perfect |= inside == positive.len() && n_false == 0;
                if inside < positive.len() && Some(inside) > most[n_false] {
                    most[n_false] = Some(inside);
                }
            }
        }
        if is_perfect {
            self.offer((0, 1), (0, 1));
        }
        for (n_false, most) in most.iter().enumerate() {
            if let Some(inside) = most {
                self.offer((n_false, negative.len()), (positive.len() - inside, positive.len()));
            }
        }
    }

    fn released_single(&mut self, positive: &[f64], negative: &[f64]) {
        let low = positive[0].min(negative[0]);
        let high = positive[positive.len() - 1].max(negative[negative.len() - 1]);
        let n = ((high - low) * THRESHOLDS_PER_UNIT).ceil() as usize;
        for threshold in linspace(low, high, n) {
            self.single(positive, negative, f64::from(threshold as f32)); // torch.linspace is single precision
        }
    }

    /// Right ends around the largest positive, and left ends about as far below them as the positives are wide.
    fn released_double(&mut self, positive: &[f64], negative: &[f64]) {
        let width = spread(positive);
        let (low, high) = (positive[0] + width - BUFFER, positive[positive.len() - 1] + BUFFER);
        let n_right = ((high - low) * THRESHOLDS_PER_UNIT).ceil() as usize;
        let n_left = (2.0 * BUFFER * THRESHOLDS_PER_UNIT).ceil() as usize;
        for right in linspace(low, high, n_right) {
            let ends = [positive, negative].map(|values| values.partition_point(|value| *value <= right));
            let mut starts = [0, 0];
            for left in linspace(right - width - BUFFER, right - width + BUFFER, n_left) {
                for (start, values) in starts.iter_mut().zip([positive, negative]) {
                    while *start < values.len() && values[*start] < left {
                        *start += 1;
                    }
                }
                let [inside, n_false] = [0, 1].map(|i| ends[i].saturating_sub(starts[i]));
                self.offer((n_false, negative.len()), (positive.len() - inside, positive.len()));
            }
        }
    }
}

/// How many of each sample lie below each of the values of both, and in the end how many there are.
fn cumulated(positive: &[f64], negative: &[f64]) -> Vec<(usize, usize)> {
    let (mut i, mut j, mut counts) = (0, 0, vec![(0, 0)]);
    while i < positive.len() || j < negative.len() {
        let next = positive.get(i).unwrap_or(&f64::INFINITY).min(*negative.get(j).unwrap_or(&f64::INFINITY));
        i += positive[i..].iter().take_while(|value| **value <= next).count();
        j += negative[j..].iter().take_while(|value| **value <= next).count();
        counts.push((i, j));
    }
    counts
}

/// The same numbers as `numpy.linspace`.
fn linspace(low: f64, high: f64, n: usize) -> impl Iterator<Item = f64> {
    let step = (high - low) / (n.max(2) - 1) as f64;
    (0..n).map(move |i| if i > 0 && i == n - 1 { high } else { i as f64 * step + low })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_samples_reach_the_cap_and_constants_have_none() {
        let (low, high) = (Ensemble::new(&[0.0, 1.0], 1).unwrap(), Ensemble::new(&[2.0, 3.0], 1).unwrap());
        assert_eq!(example_epsilons(low, high, 1e-5, Thresholds::All).unwrap(), [CAP]);
        let constant = Ensemble::new(&[1.0, 1.0], 1).unwrap();
        assert!(example_epsilons(constant, constant, 1e-5, Thresholds::All).unwrap()[0].is_nan());
    }
}
