//! Units, groups and sizes of permutation tests, and units of the joint bootstrap.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use vestige::permutation::{self, Alternative, Association, Comparison, PermutationTest, Plan};
use vestige::resample::joint::{Keep, Metric, Table, joint_bootstrap};

#[derive(Debug, Arbitrary)]
struct Input {
    columns: Vec<Vec<i8>>,
    y: Vec<i8>,
    units: Vec<u32>,
    n_units: [u8; 2],
    n_first: u8,
    paired: bool,
    choice: u8,
    most_exact: u8,
    n_permutations: u8,
    seed: u64,
    n_models: u8,
    sample: u8,
}

const COMPARISONS: [&str; 3] = ["mean_difference", "roc_auc", "ks_statistic"];
const ASSOCIATIONS: [&str; 3] = ["pearson_r", "spearman_rho", "kendall_tau"];
const ALTERNATIVES: [&str; 3] = ["two-sided", "less", "greater"];

fuzz_target!(|input: Input| {
    let columns: Vec<Vec<f64>> = input.columns.iter().map(|column| numbers(column)).collect();
    let (plan, n_units) = (input.plan(), input.n_units.map(usize::from));
    let choice = usize::from(input.choice);
    let (Ok(comparison), Ok(association)) =
        (COMPARISONS[choice % 3].parse::<Comparison>(), ASSOCIATIONS[choice % 3].parse::<Association>())
    else {
        unreachable!("all names are known");
    };
    check(permutation::sign_flip_test(&columns, &input.units, n_units[0], &plan), &columns);
    let n_first = usize::from(input.n_first);
    check(permutation::label_test(&columns, n_first, &input.units, n_units, input.paired, comparison, &plan), &columns);
    check(permutation::within_group_test(&columns, &numbers(&input.y), &input.units, association, &plan), &columns);
    input.resample(columns);
});

impl Input {
    fn plan(&self) -> Plan {
        Plan {
            alternative: ALTERNATIVES[usize::from(self.choice / 3) % 3].parse::<Alternative>().expect("a known name"),
            most_exact: self.most_exact.into(),
            n_permutations: u64::from(self.n_permutations) + 1,
            seed: self.seed,
        }
    }

    /// Every column a metric of as many models as it says.
    fn resample(&self, columns: Vec<Vec<f64>>) {
        let metric = |(i, values)| Metric {
            values,
            units: self.units.clone(),
            sample: usize::from(self.sample) % (i + 1),
            higher_is_better: self.paired,
        };
        let table = Table {
            n_models: self.n_models.into(),
            metrics: columns.into_iter().enumerate().map(metric).collect(),
            n_units: self.n_units.map(usize::from).to_vec(),
        };
        let keep = Keep { means: true, tau: true };
        if let Ok(result) = joint_bootstrap(&table, usize::from(self.n_permutations), self.seed, keep) {
            assert_eq!(
                result.means.replicates.len(),
                table.n_models * table.metrics.len() * usize::from(self.n_permutations)
            );
        }
    }
}

fn check(result: Result<PermutationTest, vestige::Error>, columns: &[Vec<f64>]) {
    let Ok(test) = result else { return };
    assert_eq!(test.p_value.len(), columns.len());
    assert!(
        test.p_value
            .iter()
            .zip(&test.p_adjusted)
            .all(|(p, adjusted)| p.is_nan() || (0.0..=1.0).contains(p) && p <= adjusted)
    );
}

/// A few numbers with many ties, both infinities and NaN.
fn numbers(bytes: &[i8]) -> Vec<f64> {
    let number = |byte: &i8| match *byte {
        i8::MIN => f64::NAN,
        -127 => f64::NEG_INFINITY,
        127 => f64::INFINITY,
        x => f64::from(x) / 8.0,
    };
    bytes.iter().map(number).collect()
}
