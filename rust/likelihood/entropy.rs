//! Entropy of rows in any space, with the checks of that space on the way.

use std::ops::Range;

use crate::chunk::{self, BLOCK, Buffer, Tile};
use crate::distribution::Space;
use crate::simd::{self, Kernel, LANES, Level};
use crate::{Error, Table, math, threads};

use super::has_nan;
use super::moments::{RowSums, row_sums};

/// How far above 0 rounding may leave a log-probability.
const LOG_PROB_TOLERANCE: f64 = 1e-4;

/// Shannon entropy of each row, `-Σ p ln p`: 0 to `ln n_classes`.
///
/// # Errors
/// [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or [`Error::NotNormalised`] for the first row not in `space`.
pub fn entropy(p: Table<'_>, space: Space) -> Result<Vec<f64>, Error> {
    if space == Space::Probs {
        let rows = |rows| simd::widest(OfProbs { p, rows });
        return threads::map_rows((p.n_rows(), p.n_classes()), 3, rows);
    }
    let sums = row_sums::<3>(p, None);
    match space {
        Space::Logits => Ok(sums.iter().map(of_logits).collect()),
        _ => sums.iter().enumerate().map(|(row, sums)| of_log_probs(&p, row, sums)).collect(),
    }
}

/// Entropy of the softmax of a row.
pub(super) fn of_logits(sums: &RowSums) -> f64 {
    let entropy = sums.log_sum - sums.sums[1] / sums.sums[0];
    match sums.largest.is_finite() {
        true if entropy < 0.0 => 0.0,
        true => entropy,
        false => f64::NAN,
    }
}

fn of_log_probs(p: &Table<'_>, row: usize, sums: &RowSums) -> Result<f64, Error> {
    let [sum, weighted, _] = sums.sums;
    if sum.is_nan() && has_nan(p, row) {
        return Ok(f64::NAN);
    }
    if sums.largest > LOG_PROB_TOLERANCE {
        return Err(Error::PositiveLogProb { argument: "p", row, largest: sums.largest });
    }
    let scale = sums.largest.exp();
    check_sum(p, row, scale * sum)?;
    Ok((-scale * (weighted + sums.largest * sum)).max(0.0)) // a log-probability a rounding above 0 gives less than nothing
}

fn check_sum(p: &Table<'_>, row: usize, sum: f64) -> Result<(), Error> {
    if (sum - 1.0).abs() > p.sum_tolerance() { Err(Error::NotNormalised { argument: "p", row, sum }) } else { Ok(()) }
}

struct OfProbs<'a> {
    p: Table<'a>,
    rows: Range<usize>,
}

/// Sums of each lane, and its largest negated probability.
struct Sums {
    entropy: [f64; LANES],
    prob: [f64; LANES],
    negative: [f64; LANES],
}

impl Kernel for OfProbs<'_> {
    type Output = Result<Vec<f64>, Error>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let (mut tile, mut buffer) = (Tile::<f64>::new(self.p), [[0.0; LANES]; BLOCK]);
        let (n_rows, mut values) = (chunk::rows_of_tile(&self.p), Vec::with_capacity(self.rows.len()));
        for start in self.rows.clone().step_by(n_rows) {
            let rows = start..self.rows.end.min(start + n_rows);
            tile.go_to(&rows);
            let mut sums = Sums { entropy: [0.0; LANES], prob: [0.0; LANES], negative: [f64::NEG_INFINITY; LANES] };
            for chunks in chunk::blocks(0..tile.n_chunks()) {
                add::<L>(tile.block(chunks, 0.0, &mut buffer), &mut sums);
            }
            append(&self.p, &tile, rows, &sums, &mut values)?;
        }
        Ok(values)
    }
}

/// The logarithm is that of the size: a probability below 0 is an error that `append` reports, not a NaN.
#[inline(always)]
fn add<L: Level>(block: &[[f64; LANES]], sums: &mut Sums) {
    let mut terms: Buffer<f64> = [[0.0; LANES]; BLOCK];
    for (term, prob) in terms[..block.len()].as_flattened_mut().iter_mut().zip(block.as_flattened()) {
        let log = math::ln::<L>(prob.abs());
        *term = if *prob == 0.0 { 0.0 } else { -prob * log };
    }
    for (term, prob) in terms.iter().zip(block) {
        for lane in 0..LANES {
            sums.entropy[lane] += term[lane];
            sums.prob[lane] += prob[lane];
            let negative = -prob[lane];
            sums.negative[lane] = if negative > sums.negative[lane] { negative } else { sums.negative[lane] };
        }
    }
}

fn append(
    p: &Table<'_>,
    tile: &Tile<'_, f64>,
    rows: Range<usize>,
    sums: &Sums,
    values: &mut Vec<f64>,
) -> Result<(), Error> {
    let (entropy, prob) = (tile.over_row(&sums.entropy), tile.over_row(&sums.prob));
    let negative = tile.largest_of_row(&sums.negative);
    for (lane, row) in rows.enumerate() {
        if !prob[lane].is_nan() {
            if negative[lane] > 0.0 {
                return Err(Error::NegativeProbability { argument: "p", row, smallest: -negative[lane] });
            }
            check_sum(p, row, prob[lane])?;
        }
        values.push(if entropy[lane] < 0.0 { 0.0 } else { entropy[lane] });
    }
    Ok(())
}
