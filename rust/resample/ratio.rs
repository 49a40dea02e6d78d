//! Means, and other ratios of two sums.

use super::draw::Counts;
use super::statistic::{Reweighted, occurrences};
use super::{LANES, Lanes, Sample, Statistic};

/// The sum of one number of each unit over the sum of another, NaN where the latter is 0.
pub(super) struct Ratio {
    numerator: Vec<f64>,
    denominator: Vec<f64>,
    finite: bool,
}

impl Ratio {
    pub(super) fn new(sample: &Sample, statistic: Statistic) -> Self {
        let (mut numerator, mut denominator) = (vec![0.0; sample.n_units()], vec![0.0; sample.n_units()]);
        for (row, unit) in sample.units.iter().enumerate() {
            let x = sample.columns[0][row];
            let (above, below) = match statistic {
                Statistic::WeightedMean => (x * sample.columns[1][row], sample.columns[1][row]),
                Statistic::Ratio => (x, sample.columns[1][row]),
                _ => (x, 1.0),
            };
            numerator[*unit as usize] += above;
            denominator[*unit as usize] += below;
        }
        let finite = numerator.iter().chain(&denominator).all(|x| x.is_finite());
        Self { numerator, denominator, finite }
    }

    #[inline(always)]
    fn ratios<const FINITE: bool>(&self, counts: &[Counts]) -> Lanes<f64> {
        let (mut above, mut below) = ([0.0; LANES], [0.0; LANES]);
        for ((x, y), counts) in self.numerator.iter().zip(&self.denominator).zip(counts) {
            let times = occurrences::<f64>(counts);
            for lane in 0..LANES {
                if FINITE || times[lane] > 0.0 {
                    above[lane] += times[lane] * x;
                    below[lane] += times[lane] * y;
                }
            }
        }
        let mut ratios = [0.0; LANES];
        for lane in 0..LANES {
            ratios[lane] = quotient(above[lane], below[lane]);
        }
        ratios
    }
}

#[inline(always)]
fn quotient(above: f64, below: f64) -> f64 {
    if below == 0.0 { f64::NAN } else { above / below }
}

impl Reweighted for Ratio {
    type Scratch = ();

    fn scratch(&self) {}

    fn nanoseconds(&self) -> usize {
        2 * self.numerator.len()
    }

    #[inline(always)]
    fn values(&self, counts: &[Counts], (): &mut ()) -> Lanes<f64> {
        if self.finite { self.ratios::<true>(counts) } else { self.ratios::<false>(counts) }
    }
}
