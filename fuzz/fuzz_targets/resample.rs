//! Units, strata and columns of resamples.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vestige::resample::{self, Sample, Statistic};

#[derive(Debug, Arbitrary)]
struct Input {
    statistic: u8,
    level: f64,
    samples: Vec<Columns>,
    seed: u64,
    n_resamples: u8,
}

#[derive(Debug, Arbitrary)]
struct Columns {
    columns: Vec<Vec<i8>>,
    units: Vec<u32>,
    /// Each row a unit of its own, which is always right.
    plain: bool,
    strata: Vec<u8>,
}

const NAMES: [&str; 8] =
    ["mean", "weighted_mean", "quantile", "ratio", "roc_auc", "ks_statistic", "kendall_tau", "spearman_rho"];

fuzz_target!(|input: Input| {
    let Ok(statistic) = Statistic::named(NAMES[usize::from(input.statistic) % NAMES.len()], input.level) else { return };
    let samples: Vec<Sample> = input.samples.into_iter().map(Columns::sample).collect();
    let n_resamples = usize::from(input.n_resamples % 40);
    if let Ok(replicates) = resample::bootstrap_replicates(&samples, statistic, n_resamples, input.seed) {
        assert_eq!(replicates.len(), n_resamples);
    }
    if let Ok(values) = resample::jackknife_values(&samples, statistic) {
        assert!(values.iter().zip(&samples).all(|(values, sample)| values.len() == sample.n_units()));
    }
});

impl Columns {
    fn sample(self) -> Sample {
        let columns: Vec<Vec<f64>> =
            self.columns.into_iter().map(|column| column.into_iter().map(number).collect()).collect();
        let n_rows = columns.first().map_or(0, Vec::len);
        if self.plain {
            return Sample { columns, units: (0..n_rows as u32).collect(), strata: vec![n_rows] };
        }
        Sample { columns, units: self.units, strata: self.strata.into_iter().map(usize::from).collect() }
    }
}

/// A few numbers with many ties, both infinities and NaN.
fn number(byte: i8) -> f64 {
    match byte {
        i8::MIN => f64::NAN,
        -127 => f64::NEG_INFINITY,
        127 => f64::INFINITY,
        x => f64::from(x) / 8.0,
    }
}
