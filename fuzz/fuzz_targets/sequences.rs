//! Offsets that cut values into sequences.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vestige::{Ragged, sequence};

#[derive(Debug, Arbitrary)]
struct Input {
    values: Vec<f32>,
    offsets: Vec<i64>,
    /// Offsets of this many sequences of equal length instead, which are often right.
    n_equal: Option<u8>,
    hits: Vec<i8>,
    share: f64,
}

fuzz_target!(|input: Input| {
    let (values, offsets) = (&input.values, input.offsets_of(input.values.len()));
    if let Ok(ragged) = Ragged::new(values, &offsets) {
        assert_eq!((0..ragged.n_sequences()).map(|i| ragged.sequence(i).len()).sum::<usize>(), values.len());
        assert_eq!(sequence::sums(ragged).len(), ragged.n_sequences());
        assert_eq!(sequence::means(ragged).len(), ragged.n_sequences());
        for lowest in [
            sequence::lowest_means(ragged, input.share),
            sequence::standardised_lowest_means(ragged, values, values, input.share),
        ] {
            assert!(lowest.is_err() || lowest.is_ok_and(|lowest| lowest.len() == ragged.n_sequences()));
        }
        assert!(sequence::standardised_lowest_means(ragged, &[], values, 0.5).is_err() || values.is_empty());
    }
    let offsets = input.offsets_of(input.hits.len());
    if let Ok(hits) = Ragged::new(&input.hits, &offsets) {
        let share = |x: &f64| x.is_nan() || (0.0..=1.0).contains(x);
        assert!(sequence::extraction_strengths(hits, sequence::Floor::OpenUnlearning).iter().all(share));
        assert!(sequence::extraction_strengths(hits, sequence::Floor::Zero).iter().all(share));
        assert!(sequence::hit_shares(hits).iter().all(share));
    }
});

impl Input {
    fn offsets_of(&self, n_values: usize) -> Vec<i64> {
        match self.n_equal {
            Some(n) => (0..=i64::from(n)).map(|i| i * n_values as i64 / i64::from(n.max(1))).collect(),
            None => self.offsets.clone(),
        }
    }
}
