//! How often each unit occurs in each of sixteen resamples.

use super::{LANES, Lanes, Sample};
use crate::random::{SHORT_INDEX, lower_half, philox_quads, round_keys};
use crate::simd::{self, Kernel, Level};

/// How often one unit occurs in [`LANES`] resamples, 8 bits each and four to a word (a CPU adds to words faster).
///
/// A unit is drawn once on average whatever the size of its sample: 256 times has a probability below 1e-500.
pub(crate) type Counts = [u32; LANES / 4];

/// Every unit once in all resamples.
const ONCE: Counts = [0x0101_0101; LANES / 4];

/// The counts of one unit by lane.
#[inline(always)]
pub(crate) fn by_lane(counts: &Counts) -> Lanes<u8> {
    let mut lanes = [0; LANES];
    for (four, word) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(counts) {
        *four = word.to_le_bytes();
    }
    lanes
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
                counts.fill(ONCE);
                for lane in 0..LANES.min(n_units - LANES * block) {
                    counts[first + LANES * block + lane][lane / 4] -= 1 << (8 * (lane % 4));
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
        self.counts.fill([0; LANES / 4]);
        if self.counts.len() <= SHORT_INDEX { self.draw::<1>() } else { self.draw::<2>() }
    }
}

impl DrawInto<'_> {
    /// The words of [`crate::random::Stream`] for all lanes, `WORDS` of them for each unit that is drawn.
    #[inline(always)]
    fn draw<const WORDS: usize>(self) {
        let (keys, mut stratum) = (round_keys(self.seed), Stratum { start: 0, end: self.strata[0], number: 0 });
        let mut lanes = [[0; LANES]; 3];
        for lane in 0..LANES {
            let index = (self.first + lane) as u64;
            (lanes[0][lane], lanes[1][lane], lanes[2][lane]) = (index, index >> 32, u64::from(self.stream));
        }
        let n = self.counts.len();
        for block in 0..n.div_ceil(4 / WORDS) {
            let mut ranges = [[0; 2]; 4];
            let in_block = (n - 4 / WORDS * block).min(4 / WORDS);
            for (draw, range) in ranges[..in_block].iter_mut().enumerate() {
                stratum = stratum.of(4 / WORDS * block + draw, self.strata);
                *range = [stratum.start as u64, (stratum.end - stratum.start) as u64];
            }
            let mut units = [[0; LANES]; 4];
            for quarter in 0..4 {
                let mut words = [[block as u64; 4]; 4];
                for (word, lanes) in words[1..].iter_mut().zip(&lanes) {
                    *word = lanes.as_chunks::<4>().0[quarter];
                }
                let words = philox_quads(words, &keys);
                for draw in 0..4 / WORDS {
                    for lane in 0..4 {
                        let [start, size] = ranges[draw];
                        let unit = start + index::<WORDS>(&words, draw, lane, size);
                        units[draw][4 * quarter + lane] = unit as u32;
                    }
                }
            }
            for row in &units[..in_block] {
                for lane in 0..LANES {
                    self.counts[row[lane] as usize][lane / 4] += 1 << (8 * (lane % 4));
                }
            }
        }
    }
}

/// How often each unit of a sample without strata occurs in [`LANES`] resamples.
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
            *lanes = by_lane(counts).map(u32::from);
        }
        lanes
    }
}

/// An index within `0..size` from the words of one draw, as [`crate::random::draw_indices`] makes it.
#[inline(always)]
fn index<const WORDS: usize>(words: &[[u64; 4]; 4], draw: usize, lane: usize, size: u64) -> u64 {
    let size = lower_half(size);
    if WORDS == 1 {
        return (lower_half(words[draw][lane]) * size) >> 32;
    }
    let (high, low) = (lower_half(words[2 * draw][lane]), lower_half(words[2 * draw + 1][lane]));
    (high * size + ((low * size) >> 32)) >> 32
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
}
