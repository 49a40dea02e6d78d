//! Codes of groups, weights and masks.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vestige::group::{Reduction, Weighted, reduce_groups, reduce_sequences};

#[derive(Debug, Arbitrary)]
struct Input {
    values: Vec<f64>,
    weights: Option<Vec<f64>>,
    mask: Option<Vec<bool>>,
    codes: Vec<i64>,
    /// Codes of a byte, which are often right.
    small: Option<Vec<u8>>,
    n_groups: u16,
    offsets: Vec<i64>,
}

fuzz_target!(|input: Input| {
    let Ok(rows) = Weighted::new(&input.values, input.weights.as_deref(), input.mask.as_deref()) else { return };
    let codes = input.small.map_or(input.codes, |small| small.into_iter().map(i64::from).collect());
    let n_groups = usize::from(input.n_groups);
    for reduction in [Reduction::Sum, Reduction::Mean] {
        if let Ok(reduced) = reduce_groups(rows, &codes, n_groups, reduction) {
            assert_eq!(reduced.len(), n_groups);
            assert!(codes.iter().all(|code| (0..n_groups as i64).contains(code)));
        }
        if let Ok(reduced) = reduce_sequences(rows, &input.offsets, reduction) {
            assert_eq!(reduced.len(), input.offsets.len() - 1);
        }
    }
    assert!(reduce_groups(rows, &codes, usize::MAX, Reduction::Sum).is_err());
});
