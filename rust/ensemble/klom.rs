//! KLoM: binned KL between the margins of an example in two ensembles (Rinberg and others 2024).

use super::{Ensemble, map_examples};
use crate::Error;
use crate::error::unknown;

/// How margins are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram {
    /// Bins of equal width between the lowest and the highest margin.
    pub n_bins: usize,
    /// The smallest probability that the reference is given where the other has any.
    pub floor: f64,
    /// Margins beyond this are moved to it.
    pub clip: f64,
    /// Whether the last bin has its upper edge. In the released code it does not: the highest margin is in no bin.
    pub is_closed: bool,
}

impl Histogram {
    /// The histogram of a variant: "closed", or "released" as in the authors' code.
    ///
    /// # Errors
    /// [`Error::UnknownChoice`] for another name.
    pub fn new(n_bins: usize, floor: f64, clip: f64, variant: &str) -> Result<Self, Error> {
        let is_closed = match variant {
            "closed" => true,
            "released" => false,
            _ => return Err(unknown("variant", variant, "\"closed\" or \"released\"")),
        };
        Ok(Self { n_bins, floor, clip, is_closed })
    }

    /// KL of the first sample from the second; NaN if one of them has nothing in any bin.
    fn kl(&self, first: &[f64], second: &[f64]) -> f64 {
        let edges = self.edges(first, second);
        let (p, q) = (self.shares(first, &edges), self.shares(second, &edges));
        let q: Vec<f64> = p.iter().zip(q).map(|(p, q)| if *p > 0.0 { q.max(self.floor) } else { q }).collect();
        let (total_p, total_q) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
        let term = |(p, q): (&f64, &f64)| p / total_p * ((p / total_p) / (q / total_q)).ln();
        let sum: f64 = p.iter().zip(&q).filter(|(p, _)| **p != 0.0).map(term).sum();
        if total_p > 0.0 { sum } else { f64::NAN }
    }

    /// The same numbers as `numpy.linspace`.
    fn edges(&self, first: &[f64], second: &[f64]) -> Vec<f64> {
        let all = || first.iter().chain(second).map(|margin| self.clipped(*margin));
        let (low, mut high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        if low >= high {
            high = low + 1.0;
        }
        let step = (high - low) / self.n_bins as f64;
        let mut edges: Vec<f64> = (0..=self.n_bins).map(|i| i as f64 * step + low).collect();
        edges[self.n_bins] = high;
        edges
    }

    fn clipped(&self, margin: f64) -> f64 {
        margin.clamp(-self.clip, self.clip)
    }

    /// Share of each bin in what is in any bin.
    fn shares(&self, margins: &[f64], edges: &[f64]) -> Vec<f64> {
        let mut counts = vec![0u32; self.n_bins];
        for margin in margins {
            match self.bin(self.clipped(*margin), edges) {
                bin if bin < self.n_bins => counts[bin] += 1,
                _ if self.is_closed => counts[self.n_bins - 1] += 1,
                _ => {}
            }
        }
        let total = f64::from(counts.iter().sum::<u32>().max(1));
        counts.iter().map(|count| f64::from(*count) / total).collect()
    }

    /// The last edge that is not above the margin: a guess by division, put right by the edges themselves.
    fn bin(&self, margin: f64, edges: &[f64]) -> usize {
        let scale = self.n_bins as f64 / (edges[self.n_bins] - edges[0]);
        let mut bin = (((margin - edges[0]) * scale) as usize).min(self.n_bins);
        while bin > 0 && margin < edges[bin] {
            bin -= 1;
        }
        while bin < self.n_bins && margin >= edges[bin + 1] {
            bin += 1;
        }
        bin
    }
}

/// KL of the binned margins of `unlearned` models from those of `retrained` ones, for each example.
///
/// # Errors
/// [`Error::LengthMismatch`] if the ensembles differ in examples; [`Error::Empty`] without bins.
pub fn klom(unlearned: Ensemble, retrained: Ensemble, histogram: Histogram) -> Result<Vec<f64>, Error> {
    if histogram.n_bins == 0 {
        return Err(Error::Empty);
    }
    let nanoseconds = 10 * (unlearned.n_models() + retrained.n_models()) + 20 * histogram.n_bins;
    map_examples((unlearned, retrained), nanoseconds, |p, q| histogram.kl(p, q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separated_constants_are_as_far_apart_as_the_floor_allows() {
        let (one, three) = (Ensemble::new(&[1.0, 1.0], 1).unwrap(), Ensemble::new(&[3.0, 3.0], 1).unwrap());
        let closed = Histogram::new(20, 1e-5, 100.0, "closed").unwrap();
        let released = Histogram::new(20, 1e-5, 100.0, "released").unwrap();
        assert!((klom(three, one, closed).unwrap()[0] - 11.512_935).abs() < 1e-6);
        assert_eq!(klom(one, three, released).unwrap(), [0.0]);
        assert!(klom(three, one, released).unwrap()[0].is_nan());
    }
}
