//! Likelihoods of rows of logits, in nats.

use std::marker::PhantomData;
use std::ops::Range;

use crate::distribution::{Block, Space};
use crate::lanes::{self, LANES};
use crate::math::{exp, ln};
use crate::simd::{self, Kernel, Level};
use crate::single;
use crate::tile::{self, BLOCK, Tile};
use crate::{Error, Real, Rows, threads};

/// Token id that marks a row without a target, as in PyTorch's losses.
pub const IGNORED_TOKEN: i64 = -100;

/// `ln Σ exp(logits)` of each row.
pub fn logsumexp<T: Real>(logits: Rows<T>) -> Vec<f64> {
    let shape = (logits.n_rows(), logits.n_classes());
    threads::map_rows(shape, 2, |rows| Ok(simd::widest(Logsumexps { logits, rows }))).expect("it has no way to fail")
}

/// Log-probability of each row's token; NaN where the token is [`IGNORED_TOKEN`].
///
/// # Errors
/// [`Error::LengthMismatch`] if there is not one token a row; [`Error::TokenOutOfRange`] for the first that is no class.
pub fn token_log_probs<T: Real>(logits: Rows<T>, tokens: &[i64]) -> Result<Vec<f64>, Error> {
    let (n_rows, n_classes) = (logits.n_rows(), logits.n_classes());
    if tokens.len() != n_rows {
        return Err(Error::LengthMismatch { left: n_rows, right: tokens.len() });
    }
    let classes = (0..).zip(tokens).map(|(row, token)| class_of(row, *token, n_classes));
    let classes = classes.collect::<Result<Vec<Option<usize>>, Error>>()?;
    threads::map_rows((n_rows, n_classes), 2, |rows| {
        Ok(simd::widest(TokenLogProbs { logits, classes: &classes, rows }))
    })
}

fn class_of(row: usize, token: i64, n_classes: usize) -> Result<Option<usize>, Error> {
    match usize::try_from(token) {
        Ok(class) if class < n_classes => Ok(Some(class)),
        _ if token == IGNORED_TOKEN => Ok(None),
        _ => Err(Error::TokenOutOfRange { row, token, n_classes }),
    }
}

struct Logsumexps<'a, T> {
    logits: Rows<'a, T>,
    rows: Range<usize>,
}

impl<T: Real> Kernel for Logsumexps<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<L: Level>(self) -> Vec<f64> {
        let (mut tile, mut values) = (Tile::new(self.logits), Vec::with_capacity(self.rows.len()));
        for rows in tile::groups(self.rows, Tile::n_rows(&self.logits)) {
            tile.go_to(&rows);
            values.extend_from_slice(&row_logsumexps::<T, L>(&mut tile)[..rows.len()]);
        }
        values
    }
}

struct TokenLogProbs<'a, T> {
    logits: Rows<'a, T>,
    classes: &'a [Option<usize>],
    rows: Range<usize>,
}

impl<T: Real> Kernel for TokenLogProbs<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run<L: Level>(self) -> Vec<f64> {
        let (mut tile, mut values) = (Tile::new(self.logits), Vec::with_capacity(self.rows.len()));
        for rows in tile::groups(self.rows, Tile::n_rows(&self.logits)) {
            let classes = &self.classes[rows.clone()];
            if classes.iter().all(Option::is_none) {
                values.extend(classes.iter().map(|_| f64::NAN));
                continue;
            }
            tile.go_to(&rows);
            let lse = row_logsumexps::<T, L>(&mut tile);
            for (lane, (row, class)) in rows.zip(classes).enumerate() {
                values.push(class.map_or(f64::NAN, |class| self.logits.row(row)[class].widen() - lse[lane]));
            }
        }
        values
    }
}

/// Shannon entropy of each row, `-Σ p ln p`: 0 to `ln n_classes`.
///
/// # Errors
/// [`Error::PositiveLogProb`], [`Error::NegativeProbability`] or [`Error::NotNormalised`] for the first row not in `space`.
pub fn entropy<T: Real>(p: Rows<T>, space: Space) -> Result<Vec<f64>, Error> {
    threads::map_rows((p.n_rows(), p.n_classes()), 3, |rows| simd::widest(Entropies { p, space, rows }))
}

struct Entropies<'a, T> {
    p: Rows<'a, T>,
    space: Space,
    rows: Range<usize>,
}

impl<T: Real> Kernel for Entropies<'_, T> {
    type Output = Result<Vec<f64>, Error>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let mut reader = EntropyReader::<T, L>::new(self.p, self.space);
        let mut values = Vec::with_capacity(self.rows.len());
        for rows in tile::groups(self.rows, Tile::n_rows(&self.p)) {
            reader.append(rows, &mut values)?;
        }
        Ok(values)
    }
}

/// A tile, and buffers of the block that is being read.
struct EntropyReader<'a, T, L: Level> {
    tile: Tile<'a, T>,
    space: Space,
    shift: [f64; LANES],
    block: Block,
    terms: [f64; BLOCK],
    single_logs: [f32; BLOCK],
    single_terms: [f32; BLOCK],
    level: PhantomData<L>,
}

#[derive(Default)]
struct EntropySums {
    entropy: [f64; LANES],
    prob: [f64; LANES],
}

impl<'a, T: Real, L: Level> EntropyReader<'a, T, L> {
    #[inline(always)]
    fn new(p: Rows<'a, T>, space: Space) -> Self {
        Self {
            tile: Tile::new(p),
            space,
            shift: [0.0; LANES],
            block: Block::new(space),
            terms: [0.0; BLOCK],
            single_logs: [0.0; BLOCK],
            single_terms: [0.0; BLOCK],
            level: PhantomData,
        }
    }

    #[inline(always)]
    fn append(&mut self, rows: Range<usize>, values: &mut Vec<f64>) -> Result<(), Error> {
        self.tile.go_to(&rows);
        self.shift = shift_of::<T, L>(&mut self.tile, self.space);
        self.block.start(self.shift);
        let sums = self.pass();
        let (entropy, sum) = (self.tile.over_row(&sums.entropy), self.tile.over_row(&sums.prob));
        let extreme = self.tile.largest_of_row(&self.block.extreme);
        for (lane, row) in rows.enumerate() {
            if sum[lane].is_nan() {
                values.push(f64::NAN);
                continue;
            }
            self.space.check::<T>("p", row, extreme[lane], Some(sum[lane]))?;
            values.push(entropy[lane].max(0.0)); // a log-probability a rounding above 0 gives less than nothing
        }
        Ok(())
    }

    /// In `f32` where that is all the table has, but for lanes of a block with a number that is not finite.
    #[inline(always)]
    fn pass(&mut self) -> EntropySums {
        let (mut sums, narrow) = (EntropySums::default(), T::IS_SINGLE && self.space != Space::Probs);
        for start in (0..self.tile.len()).step_by(BLOCK) {
            if !narrow {
                self.add_wide(start, &mut sums, [true; LANES]);
                continue;
            }
            let finite = self.add_narrow(start, &mut sums);
            if finite != [true; LANES] {
                self.add_wide(start, &mut sums, finite.map(|finite| !finite));
            }
        }
        sums
    }

    #[inline(always)]
    fn add_wide(&mut self, start: usize, sums: &mut EntropySums, lanes: [bool; LANES]) {
        let n = self.block.read::<T, true, L>(self.tile.block(start));
        for ((term, prob), log) in self.terms[..n].iter_mut().zip(&self.block.prob[..n]).zip(&self.block.log[..n]) {
            *term = if *log == f64::NEG_INFINITY { 0.0 } else { -prob * log };
        }
        let mut block = EntropySums::default();
        lanes::add(&mut block.entropy, &self.terms[..n]);
        lanes::add(&mut block.prob, &self.block.prob[..n]);
        for lane in (0..LANES).filter(|lane| lanes[*lane]) {
            sums.entropy[lane] += block.entropy[lane];
            sums.prob[lane] += block.prob[lane];
        }
    }

    /// Adds the lanes of a block whose numbers are all finite; which these are.
    #[inline(always)]
    fn add_narrow(&mut self, start: usize, sums: &mut EntropySums) -> [bool; LANES] {
        let (values, shift) = (self.tile.block(start), self.shift);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut self.single_logs, values, |lane, value| (value.widen() - shift[lane]) as f32);
        self.single_logs[values.len()..n].fill(f32::MIN);
        let logs = &mut self.single_logs[..n];
        let mut top = [f32::NEG_INFINITY; LANES];
        lanes::raise(&mut top, logs);
        for (term, log) in self.single_terms[..n].iter_mut().zip(&mut *logs) {
            let prob = single::exp::<L>(*log);
            *term = -prob * *log;
            *log = prob;
        }
        let (entropy, prob) = (lanes::short_sums(&self.single_terms[..n]), lanes::short_sums(logs));
        let finite = entropy.map(f32::is_finite);
        for lane in (0..LANES).filter(|lane| finite[*lane]) {
            sums.entropy[lane] += f64::from(entropy[lane]);
            sums.prob[lane] += f64::from(prob[lane]);
        }
        lanes::raise(&mut self.block.extreme, &top.map(f64::from));
        finite
    }
}

/// What to take off the values of each lane to make them logarithms of probabilities.
#[inline(always)]
pub(crate) fn shift_of<T: Real, L: Level>(tile: &mut Tile<'_, T>, space: Space) -> [f64; LANES] {
    if space == Space::Logits { row_logsumexps::<T, L>(tile) } else { [0.0; LANES] }
}

/// `ln Σ exp(values)` of each lane's row: NaN if a value is NaN, infinite if one is, `-inf` if all are `-inf`.
#[inline(always)]
fn row_logsumexps<T: Real, L: Level>(tile: &mut Tile<'_, T>) -> [f64; LANES] {
    let (largest, sum) = if T::IS_SINGLE {
        let largest = maxima(tile, f32::NEG_INFINITY, T::single).map(f64::from);
        let largest = tile.largest_of_row(&largest);
        (largest, single_sums_of_exp::<T, L>(tile, largest.map(|x| x as f32)))
    } else {
        let largest = maxima(tile, f64::NEG_INFINITY, T::widen);
        let largest = tile.largest_of_row(&largest);
        (largest, sums_of_exp::<T, L>(tile, largest))
    };
    let (sum, mut values) = (tile.over_row(&sum), [0.0; LANES]);
    for lane in 0..LANES {
        values[lane] = largest[lane] + ln::<L>(sum[lane]);
    }
    for lane in 0..LANES {
        if largest[lane].is_infinite() {
            values[lane] = if tile.has_nan(lane) { f64::NAN } else { largest[lane] };
        }
    }
    values
}

#[inline(always)]
fn sums_of_exp<T: Real, L: Level>(tile: &mut Tile<'_, T>, largest: [f64; LANES]) -> [f64; LANES] {
    let (mut sums, mut terms) = ([0.0; LANES], [0.0; BLOCK]);
    for start in (0..tile.len()).step_by(BLOCK) {
        let values = tile.block(start);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut terms, values, |lane, value| value.widen() - largest[lane]);
        terms[values.len()..n].fill(f64::NEG_INFINITY);
        terms[..n].iter_mut().for_each(|term| *term = exp::<L>(*term));
        lanes::add(&mut sums, &terms[..n]);
    }
    sums
}

/// The same in `f32`, but for the additions.
#[inline(always)]
fn single_sums_of_exp<T: Real, L: Level>(tile: &mut Tile<'_, T>, largest: [f32; LANES]) -> [f64; LANES] {
    let (mut sums, mut terms) = ([0.0; LANES], [0.0; BLOCK]);
    for start in (0..tile.len()).step_by(BLOCK) {
        let values = tile.block(start);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut terms, values, |lane, value| value.single() - largest[lane]);
        terms[values.len()..n].fill(f32::NEG_INFINITY);
        terms[..n].iter_mut().for_each(|term| *term = single::exp::<L>(*term));
        lanes::add_single(&mut sums, &terms[..n]);
    }
    sums
}

/// Largest value of each lane, passing over NaN.
#[inline(always)]
fn maxima<T: Real, F: PartialOrd + Copy>(tile: &mut Tile<'_, T>, lowest: F, float: impl Fn(T) -> F) -> [F; LANES] {
    let (mut maxima, mut terms) = ([lowest; LANES], [lowest; BLOCK]);
    for start in (0..tile.len()).step_by(BLOCK) {
        let values = tile.block(start);
        let n = values.len().next_multiple_of(LANES);
        tile::by_lane(&mut terms, values, |_, value| float(value));
        terms[values.len()..n].fill(lowest);
        lanes::raise(&mut maxima, &terms[..n]);
    }
    maxima
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_are_kept() {
        let row_logsumexp = |x: &[f64]| logsumexp(Rows::new(x, 1, x.len(), x.len()).unwrap())[0];
        assert_eq!(row_logsumexp(&[f64::NEG_INFINITY; 3]), f64::NEG_INFINITY);
        assert_eq!(row_logsumexp(&[f64::INFINITY, 0.0]), f64::INFINITY);
        assert!(row_logsumexp(&[f64::INFINITY, f64::NAN]).is_nan());
        assert_eq!(row_logsumexp(&[f64::NEG_INFINITY, 3.0]), 3.0);
    }

    #[test]
    fn a_token_outside_the_vocabulary_is_named() {
        let logits = Rows::new(&[0.0, 0.0], 1, 2, 2).unwrap();
        assert_eq!(token_log_probs(logits, &[2]), Err(Error::TokenOutOfRange { row: 0, token: 2, n_classes: 2 }));
        assert!(token_log_probs(logits, &[IGNORED_TOKEN]).unwrap()[0].is_nan());
    }
}
