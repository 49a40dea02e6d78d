//! Counting the bits of long rows that are combined word by word.

/// Words that are counted side by side: a loop over so many becomes SIMD at every level.
const LANES: usize = 8;
/// What is counted in one go.
pub(super) type Block = [[u64; LANES]; 8];
/// Bits of a [`Block`].
const BITS: usize = 64 * 8 * LANES;

/// Rows of bits, combined word by word.
pub(super) trait Combined {
    fn n_blocks(&self) -> usize;
    fn at(&self, block: usize, k: usize, lane: usize) -> u64;
}

/// Where two rows differ.
pub(super) struct Differ<'a>(pub(super) &'a [Block], pub(super) &'a [Block]);

/// Where both rows are set.
pub(super) struct Both<'a>(pub(super) &'a [Block], pub(super) &'a [Block]);

/// Where the first two rows differ and the others are both set.
pub(super) struct DifferWithin<'a>(pub(super) Differ<'a>, pub(super) Both<'a>);

impl Combined for Differ<'_> {
    #[inline(always)]
    fn n_blocks(&self) -> usize {
        self.0.len().min(self.1.len())
    }

    #[inline(always)]
    fn at(&self, block: usize, k: usize, lane: usize) -> u64 {
        self.0[block][k][lane] ^ self.1[block][k][lane]
    }
}

impl Combined for Both<'_> {
    #[inline(always)]
    fn n_blocks(&self) -> usize {
        self.0.len().min(self.1.len())
    }

    #[inline(always)]
    fn at(&self, block: usize, k: usize, lane: usize) -> u64 {
        self.0[block][k][lane] & self.1[block][k][lane]
    }
}

impl Combined for DifferWithin<'_> {
    #[inline(always)]
    fn n_blocks(&self) -> usize {
        self.0.n_blocks().min(self.1.n_blocks())
    }

    #[inline(always)]
    fn at(&self, block: usize, k: usize, lane: usize) -> u64 {
        self.0.at(block, k, lane) & self.1.at(block, k, lane)
    }
}

/// Number of set bits. Three words are added to two, their sum and its carry, until one of eight is left to be counted
/// (Harley and Seal).
#[inline(always)]
pub(super) fn count(words: &impl Combined) -> u64 {
    let (mut ones, mut twos, mut fours, mut eights) = ([0; LANES], [0; LANES], [0; LANES], [0; LANES]);
    for block in 0..words.n_blocks() {
        for lane in 0..LANES {
            let (a, sum) = add(ones[lane], words.at(block, 0, lane), words.at(block, 1, lane));
            let (b, sum) = add(sum, words.at(block, 2, lane), words.at(block, 3, lane));
            let (c, sum) = add(sum, words.at(block, 4, lane), words.at(block, 5, lane));
            let (d, sum) = add(sum, words.at(block, 6, lane), words.at(block, 7, lane));
            ones[lane] = sum;
            let (e, sum) = add(twos[lane], a, b);
            let (f, sum) = add(sum, c, d);
            twos[lane] = sum;
            let (carry, sum) = add(fours[lane], e, f);
            fours[lane] = sum;
            eights[lane] += u64::from(carry.count_ones());
        }
    }
    let mut total = 0;
    for lane in 0..LANES {
        let rest = 4 * fours[lane].count_ones() + 2 * twos[lane].count_ones() + ones[lane].count_ones();
        total += 8 * eights[lane] + u64::from(rest);
    }
    total
}

/// Carry and sum of three bits, in each place.
#[inline(always)]
fn add(a: u64, b: u64, c: u64) -> (u64, u64) {
    let differ = a ^ b;
    ((a & b) | (differ & c), differ ^ c)
}

/// Packs flags, 0 or 1, into bits: which bit is whose does not matter, as long as it is the same in every row.
#[inline(always)]
pub(super) fn pack(flags: &[u16]) -> Vec<Block> {
    let mut blocks = vec![[[0; LANES]; 8]; flags.len() / BITS];
    for (block, flags) in blocks.iter_mut().zip(flags.as_chunks::<BITS>().0) {
        let mut packed = [0u16; BITS / 16];
        for flags in flags.as_chunks::<{ BITS / 16 }>().0 {
            for (bits, flag) in packed.iter_mut().zip(flags) {
                *bits = *bits + *bits + flag;
            }
        }
        for (word, [a, b, c, d]) in block.as_flattened_mut().iter_mut().zip(packed.as_chunks::<4>().0) {
            *word = u64::from(*a) | u64::from(*b) << 16 | u64::from(*c) << 32 | u64::from(*d) << 48;
        }
    }
    blocks
}

/// The least number of flags that can be packed and holds `n`.
pub(super) fn room_for(n: usize) -> usize {
    n.next_multiple_of(BITS)
}
