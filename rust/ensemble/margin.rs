//! Logit margins: how far the labelled class is above all others together.

use crate::likelihood::{logit_of, logsumexp_without};
use crate::{Error, Table};

/// `z_y - ln(sum over the others of e^z)` of each row, which is the log-odds of its label.
///
/// `+inf` where no other class has any probability; NaN for rows with a NaN, or with neither the label's nor another's.
///
/// # Errors
/// [`Error::LengthMismatch`] if there is not one label a row; [`Error::LabelOutOfRange`] for the first that is no class.
pub fn logit_margins<'a>(logits: impl Into<Table<'a>>, labels: &[i64]) -> Result<Vec<f64>, Error> {
    let logits = logits.into();
    let (n_rows, n_classes) = (logits.n_rows(), logits.n_classes());
    if labels.len() != n_rows {
        return Err(Error::LengthMismatch { left: n_rows, right: labels.len() });
    }
    if let Some(row) = labels.iter().position(|label| !(0..n_classes as i64).contains(label)) {
        return Err(Error::LabelOutOfRange { row, label: labels[row], n_classes });
    }
    let mut margins = logsumexp_without(logits, labels);
    for (row, margin) in margins.iter_mut().enumerate() {
        *margin = logit_of(&logits, row, labels[row] as usize) - *margin;
    }
    Ok(margins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;

    #[test]
    fn rows_without_any_other_class_are_infinite() {
        let rows = Rows::new(&[3.0, f64::NEG_INFINITY], 1, 2, 2).unwrap();
        assert_eq!(logit_margins(rows, &[0]).unwrap(), [f64::INFINITY]);
        assert_eq!(logit_margins(rows, &[1]).unwrap(), [f64::NEG_INFINITY]);
        assert!(logit_margins(rows, &[2]).is_err() && logit_margins(rows, &[0, 1]).is_err());
    }

    #[test]
    fn the_label_is_left_out_wherever_it_stands_in_a_long_row() {
        let values = (0..3000).map(|i| (i % 7) as f32).collect::<Vec<_>>();
        for label in [0, 511, 512, 2999] {
            let others = values.iter().enumerate().filter(|(class, _)| *class != label);
            let expected = f64::from(values[label]) - others.map(|(_, z)| f64::from(*z).exp()).sum::<f64>().ln();
            let margin = logit_margins(Rows::new(&values[..], 1, 3000, 3000).unwrap(), &[label as i64]).unwrap()[0];
            assert!((margin - expected).abs() < 1e-6, "{margin} is not {expected}");
        }
    }
}
