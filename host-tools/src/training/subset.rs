//! Which rows are trained on: those not held out, without those that are likeliest to be anomalous.

use super::random::Random;
use super::TrainConfig;

/// Rows to fit and rows held out, both ascending; between them those of a gap, if rows are in the order of time.
pub(super) fn split(rows: usize, config: &TrainConfig, mut random: Random) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..rows).collect();
    let held = (rows as f64 * config.holdout).round() as usize;
    let held = if config.holdout > 0.0 { held.max(1) } else { 0 };
    if !config.time_ordered {
        random.shuffle(&mut order);
        // Fold 0 lies at the end, the others before it; of rounded sizes the last one may find less.
        order.rotate_right((config.fold * held).min(rows - held));
    }
    let mut held_out = order.split_off(rows - held);
    if config.time_ordered && held > 0 {
        // At least half of the others is left to fit.
        order.truncate(order.len() - config.gap.min(order.len() / 2));
    }
    held_out.sort_unstable();
    order.sort_unstable();
    (order, held_out)
}

/// The rows without the share `contamination` of the largest losses (a NaN is the largest), ascending.
pub(super) fn trusted(rows: &[usize], losses: &[f64], contamination: f64) -> Vec<usize> {
    let dropped = (rows.len() as f64 * contamination) as usize;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by(|&a, &b| losses[a].total_cmp(&losses[b]).then(a.cmp(&b)));
    order.truncate(rows.len() - dropped);
    let mut kept: Vec<usize> = order.into_iter().map(|i| rows[i]).collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_hold_out_every_row_once() {
        let mut seen = vec![0; 97];
        for fold in 0..5 {
            let config = TrainConfig { holdout: 0.2, fold, ..TrainConfig::default() };
            let (fit, held_out) = split(97, &config, Random::new(3, 1));
            assert_eq!((fit.len(), held_out.len()), (78, 19));
            held_out.iter().for_each(|&row| seen[row] += 1);
            assert!(held_out.iter().all(|row| fit.binary_search(row).is_err()));
        }
        // 97 rows are five blocks of 19 and two rows that none of them takes.
        assert!(seen.iter().all(|&n| n <= 1) && seen.iter().sum::<usize>() == 95, "{seen:?}");
    }

    #[test]
    fn rows_in_time_order_hold_out_the_last() {
        let config = TrainConfig { holdout: 0.25, time_ordered: true, ..TrainConfig::default() };
        let (fit, held_out) = split(8, &config, Random::new(3, 1));
        assert_eq!((fit, held_out), ((0..6).collect(), vec![6, 7]));
        let config = TrainConfig { gap: 2, ..config };
        let (fit, held_out) = split(8, &config, Random::new(3, 1));
        assert_eq!((fit, held_out), ((0..4).collect(), vec![6, 7]));
    }

    #[test]
    fn the_least_likely_are_not_trusted() {
        let kept = trusted(&[1, 3, 5, 7], &[0.5, f64::NAN, 9.0, 0.1], 0.5);
        assert_eq!(kept, [1, 7]);
        assert_eq!(trusted(&[1, 3], &[0.0, 1.0], 0.4), [1, 3]);
    }
}
