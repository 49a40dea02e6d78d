//! How often each unit occurs in each of sixteen resamples.

use super::{LANES, Lanes, Sample};
use crate::random::{Quads, SHORT_INDEX, lower_half, philox_quads, round_keys};
use crate::simd::{self, Kernel, Level};

/// How often one unit occurs in [`LANES`] resamples.
///
/// A unit is drawn once on average whatever the size of its sample: 256 times has a probability below 1e-500.
pub(crate) type Counts = Lanes<u8>;

/// Counts one more in a lane. Four lanes at once are a word, to which a CPU adds faster than to a byte.
#[inline(always)]
fn count(counts: &mut Counts, lane: usize) {
    let word = &mut counts.as_chunks_mut::<4>().0[lane / 4];
    *word = u32::from_le_bytes(*word).wrapping_add(1 << (8 * (lane % 4))).to_le_bytes();
}

/// Where the counts of [`LANES`] resamples come from. The units of all samples lie one after the other.
pub(super) enum Source<'a> {
    /// Units drawn with replacement; each sample has a stream of its own.
    Drawn { samples: &'a [Sample], seed: u64 },
    /// All units but one in turn, from unit `first` on.
    LeaveOneOut { first: usize, n_units: usize },
}

impl Source<'_> {
    /// Writes the counts of the resamples from `LANES * block` on.
    pub(super) fn fill(&self, block: usize, counts: &mut [Counts]) {
        match *self {
            Self::Drawn { samples, seed } => draw_samples(samples, seed, LANES * block, counts),
            Self::LeaveOneOut { first, n_units } => {
                counts.fill([1; LANES]);
                for lane in 0..LANES.min(n_units - LANES * block) {
                    counts[first + LANES * block + lane][lane] = 0;
                }
            }
        }
    }
}

fn draw_samples(samples: &[Sample], seed: u64, first: usize, counts: &mut [Counts]) {
    let mut rest = counts;
    for (sample, stream) in samples.iter().zip(0..) {
        let (own, after) = rest.split_at_mut(sample.n_units());
        simd::widest(DrawInto { strata: &sample.strata, seed, stream, first, counts: own });
        rest = after;
    }
}

/// Draws units with replacement in [`LANES`] resamples, from each stratum as many as it has.
pub(crate) struct DrawInto<'a> {
    /// Number of units of each stratum; a stratum's units lie side by side.
    pub(crate) strata: &'a [usize],
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    /// The first of the resamples.
    pub(crate) first: usize,
    /// One element a unit; what it held is overwritten.
    pub(crate) counts: &'a mut [Counts],
}

impl Kernel for DrawInto<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self) {
        self.counts.fill([0; LANES]);
        if self.counts.len() <= SHORT_INDEX { self.draw::<1>() } else { self.draw::<2>() }
    }
}

/// Random words of all lanes in 64 bits, of which only the lower half counts; then the units that they stand for.
type Words = Lanes<u64>;

/// Blocks of four words that are made before they are used: making and counting each go faster in a row.
const BLOCKS: usize = 4;

impl DrawInto<'_> {
    /// Counts the units that the words of [`crate::random::Stream`] stand for, `WORDS` of them for a unit.
    #[inline(always)]
    fn draw<const WORDS: usize>(self) {
        let streams = Streams::new(self.seed, self.stream, self.first);
        let (mut stratum, mut drawn) = (Stratum { start: 0, end: self.strata[0], number: 0 }, 0);
        let n_blocks = (WORDS * self.counts.len()).div_ceil(4);
        let mut words = [[[0; LANES]; 4]; BLOCKS];
        for first_block in (0..n_blocks).step_by(BLOCKS) {
            for (words, block) in words.iter_mut().zip(first_block..n_blocks) {
                streams.fill(block as u64, words);
            }
            let left = (self.counts.len() - drawn).min(4 * BLOCKS / WORDS);
            let rows = &mut words.as_flattened_mut().as_chunks_mut::<WORDS>().0[..left];
            for row in rows.iter_mut() {
                stratum = stratum.of(drawn, self.strata);
                stratum.to_units(row);
                drawn += 1;
            }
            for row in rows {
                for lane in 0..LANES {
                    count(&mut self.counts[row[0][lane] as usize], lane);
                }
            }
        }
    }
}

/// The streams of all lanes.
struct Streams {
    keys: [[u64; 2]; 10],
    /// Counters of four lanes each, without the number of the block.
    counters: [Quads; LANES / 4],
}

impl Streams {
    #[inline(always)]
    fn new(seed: u64, stream: u32, first: usize) -> Self {
        let mut counters = [[[0; 4]; 4]; LANES / 4];
        for lane in 0..LANES {
            let index = (first + lane) as u64;
            let words = [index, index >> 32, u64::from(stream)];
            (0..3).for_each(|word| counters[lane / 4][word + 1][lane % 4] = words[word]);
        }
        Self { keys: round_keys(seed), counters }
    }

    /// The words of one block.
    #[inline(always)]
    fn fill(&self, block: u64, words: &mut [Words; 4]) {
        for quarter in 0..LANES / 4 {
            let mut four = self.counters[quarter];
            four[0] = [block; 4];
            let four = philox_quads(four, &self.keys);
            for word in 0..4 {
                words[word].as_chunks_mut::<4>().0[quarter] = four[word];
            }
        }
    }
}

/// How often each unit of a sample without strata occurs in [`LANES`] resamples.
#[derive(Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) n_units: usize,
    pub(crate) seed: u64,
    pub(crate) stream: u32,
    /// The first of the resamples.
    pub(crate) first: usize,
}

impl Kernel for Draw {
    type Output = Vec<Lanes<u32>>;

    #[inline(always)]
    fn run<L: Level>(self) -> Self::Output {
        let Self { n_units, seed, stream, first } = self;
        let mut counts = vec![Counts::default(); n_units];
        DrawInto { strata: &[n_units], seed, stream, first, counts: &mut counts }.run::<L>();
        let mut lanes = vec![[0; LANES]; n_units];
        for (lanes, counts) in lanes.iter_mut().zip(&counts) {
            *lanes = counts.map(u32::from);
        }
        lanes
    }
}

/// The stratum that is drawn from.
#[derive(Clone, Copy)]
struct Stratum {
    start: usize,
    end: usize,
    number: usize,
}

impl Stratum {
    /// The stratum of unit `unit`, which is this one or a later one.
    #[inline(always)]
    fn of(mut self, unit: usize, sizes: &[usize]) -> Self {
        while unit >= self.end {
            self.number += 1;
            (self.start, self.end) = (self.end, self.end + sizes[self.number]);
        }
        self
    }

    /// Replaces the first words of a draw by units of this stratum, as [`crate::random::draw_indices`] makes them.
    #[inline(always)]
    fn to_units<const WORDS: usize>(self, words: &mut [Words; WORDS]) {
        let (start, size) = (self.start as u64, lower_half((self.end - self.start) as u64));
        for lane in 0..LANES {
            let (first, last) = (lower_half(words[0][lane]) * size, lower_half(words[WORDS - 1][lane]) * size);
            words[0][lane] = start + (if WORDS == 1 { first } else { first + (last >> 32) } >> 32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, draw_indices};

    #[test]
    fn every_level_draws_what_the_streams_say() {
        let strata = [5, 1, 40];
        let mut expected = vec![[0; LANES]; 46];
        for lane in 0..LANES {
            draw_indices(&mut Stream::new(11, 3, 32 + lane as u64), &strata, |unit| expected[unit][lane] += 1);
        }
        let mut counts = vec![[9; LANES]; 46];
        simd::widest(DrawInto { strata: &strata, seed: 11, stream: 3, first: 32, counts: &mut counts });
        assert_eq!(counts, expected);
        let draw = Draw { n_units: 1000, seed: 1 << 40, stream: 0, first: 0 };
        for (level, counts) in simd::at_each(draw) {
            assert_eq!(counts, simd::widest(draw), "{level:?}");
        }
    }
}
