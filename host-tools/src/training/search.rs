//! Several kinds of flows on the same rows, and the one that the held-out rows find likeliest.

use super::{train, BaseKind, FlowKind, MarginalFront, Matrix, Progress, TrainConfig, TrainError, Trained};

/// What became of one candidate.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its settings.
    pub config: TrainConfig,
    /// How it did, or why it could not be trained.
    pub outcome: Result<Outcome, String>,
}

/// How a candidate did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean negative log-likelihood of the held-out rows but the least likely 2 %, standardized nats: what
    /// decides. A plain mean would be decided by one wild row.
    pub val_nll_trimmed: f64,
    /// Number of trained parameters.
    pub parameters: usize,
    /// Time of its training in seconds.
    pub seconds: f64,
}

/// One candidate of each kind around some settings: a RealNVP, a spline flow and a Glow, all over marginal maps and
/// onto a mixture, which detect better than plain ones (`docs/development-sets.md`).
#[must_use]
pub fn kinds(settings: &TrainConfig) -> Vec<TrainConfig> {
    let settings =
        TrainConfig { marginal: MarginalFront::Linear, base: BaseKind::Mixture, ..settings.clone() };
    let couplings = [(FlowKind::Realnvp, 6, 64), (FlowKind::Nsf, 4, 32), (FlowKind::Glow, 4, 32)];
    let candidate =
        |(flow, layers, width)| TrainConfig { flow, layers, hidden: vec![width], ..settings.clone() };
    couplings.map(candidate).into()
}

/// The best candidate, and all of them.
#[derive(Clone, Debug)]
pub struct Search {
    /// What the best one gave.
    pub trained: Trained,
    /// Its place among the candidates.
    pub chosen: usize,
    /// All, in the order given.
    pub candidates: Vec<Candidate>,
}

/// Trains each candidate and keeps the one whose held-out rows are likeliest; of equals the first.
///
/// All candidates should share seed and holdout, so that they are judged on the same rows.
///
/// # Errors
/// [`TrainError`] of the first candidate if none can be trained, and a missing holdout.
///
/// ```
/// use flowlet_tools::training::{search, Matrix, TrainConfig};
/// let values = (0..400_u16).flat_map(|i| { let t = f32::from(i) * 0.1; [t.sin(), t.cos() * 5.0] }).collect();
/// let small = TrainConfig { epochs: Some(3), layers: 2, hidden: vec![8], ..TrainConfig::default() };
/// let wide = TrainConfig { hidden: vec![16], ..small.clone() };
/// let found = search(&Matrix::new(400, 2, values)?, &[small, wide], &mut ())?;
/// assert_eq!(found.candidates.len(), 2);
/// # Ok::<(), flowlet_tools::training::TrainError>(())
/// ```
pub fn search(
    data: &Matrix,
    configs: &[TrainConfig],
    progress: &mut dyn Progress,
) -> Result<Search, TrainError> {
    let mut best: Option<(Trained, usize, f64)> = None;
    let mut first_error = None;
    let mut candidates = Vec::with_capacity(configs.len());
    for (index, config) in configs.iter().enumerate() {
        if config.holdout == 0.0 && configs.len() > 1 {
            return Err(TrainError::Setting {
                name: "holdout",
                value: "0".to_owned(),
                remedy: "a search needs rows to judge by: hold out some, such as 0.1, or name one --flow and take one start",
            });
        }
        if configs.len() > 1 {
            progress.note(&format!("candidate {} of {}: {}", index + 1, configs.len(), config.summary()));
        }
        let outcome = match train(data, config, progress) {
            Ok(trained) => {
                let val_nll_trimmed = trained.val_nll_trimmed;
                let outcome = Outcome {
                    val_nll_trimmed,
                    parameters: trained.flow.parameters(),
                    seconds: trained.seconds,
                };
                if best.as_ref().is_none_or(|(_, _, least)| val_nll_trimmed < *least) {
                    best = Some((trained, index, val_nll_trimmed));
                }
                Ok(outcome)
            }
            Err(error) => {
                let text = error.to_string();
                first_error.get_or_insert(error);
                Err(text)
            }
        };
        candidates.push(Candidate { config: config.clone(), outcome });
    }
    match (best, first_error) {
        (Some((trained, chosen, _)), _) => Ok(Search { trained, chosen, candidates }),
        (None, Some(error)) => Err(error),
        (None, None) => Err(TrainError::Setting {
            name: "candidates",
            value: "none".to_owned(),
            remedy: "give at least one",
        }),
    }
}
