//! Random words in bulk: those of [`crate::random::Stream`], many at a time.

use crate::random::{counter_of, key_of, philox_lanes};
use crate::simd::{Kernel, Level};

/// Blocks of four words that are made side by side.
const LANES: usize = 16;

/// Fills `words` with the words of stream 0 of index `index`, in their order.
pub(super) struct Fill<'a> {
    pub(super) words: &'a mut [u32],
    pub(super) seed: u64,
    pub(super) index: u64,
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Level>(self) {
        let mut counter = [[0; LANES]; 4];
        for (word, start) in counter.iter_mut().zip(counter_of(0, 0, self.index)) {
            *word = [start; LANES];
        }
        for (piece, words) in (0..).zip(self.words.chunks_mut(4 * LANES)) {
            for lane in 0..LANES {
                counter[0][lane] = piece * LANES as u32 + lane as u32;
            }
            let made = philox_lanes(counter, key_of(self.seed));
            for (i, word) in words.iter_mut().enumerate() {
                *word = made[i % 4][i / 4];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::simd;

    #[test]
    fn words_are_those_of_the_stream() {
        let (mut words, mut stream) = (vec![0; 150], Stream::new(7, 0, 1 << 40));
        simd::widest(Fill { words: &mut words, seed: 7, index: 1 << 40 });
        assert!(words.iter().all(|word| *word == stream.next_u32()));
    }
}
