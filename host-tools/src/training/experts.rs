//! Several densities of the same rows, which judge a reading together: the least of their log-densities counts.
//!
//! A reading is normal where all of them find it so. Two views of the data, whitened and feature by feature, see
//! different anomalies; a mixture of the two densities would be satisfied by either.

use super::{search, BaseKind, MarginalFront, Matrix, Progress, Search, TrainConfig, TrainError};

/// The experts that `auto` trains around some settings, each with one candidate: a RealNVP over marginal maps and onto
/// a mixture, and a mixture behind whitening alone. How they were found is in `docs/development-sets.md`.
#[must_use]
pub fn auto_experts(settings: &TrainConfig) -> Vec<Vec<TrainConfig>> {
    let mixture = TrainConfig { base: BaseKind::Mixture, ..settings.clone() };
    let coupled = TrainConfig { marginal: MarginalFront::Linear, ..mixture.clone() };
    let whitened = TrainConfig { layers: 0, whiten: true, marginal: MarginalFront::None, ..mixture };
    vec![vec![coupled], vec![whitened]]
}

/// Trained experts.
#[derive(Clone, Debug)]
pub struct Experts {
    /// In the order that was asked for; each what its candidates were searched for.
    pub members: Vec<Search>,
    /// The one whose held-out rows are likeliest: the best estimate of a log-density in nats.
    pub quoted: usize,
}

/// Trains one expert per entry of `experts`, the likeliest of its candidates (see [`search`]).
///
/// All should share seed and holdout: they then hold out the same rows and have the same standardizer, without which
/// they do not fit into one image.
///
/// # Errors
/// As [`search`].
pub fn train_experts(
    data: &Matrix,
    experts: &[Vec<TrainConfig>],
    progress: &mut dyn Progress,
) -> Result<Experts, TrainError> {
    let mut members = Vec::with_capacity(experts.len());
    for (index, candidates) in experts.iter().enumerate() {
        if experts.len() > 1 {
            progress.note(&format!("expert {} of {}", index + 1, experts.len()));
        }
        members.push(search(data, candidates, progress)?);
    }
    let merit = |member: &Search| member.trained.val_nll_trimmed;
    // NaN, where nothing was held out, is never less: the first is quoted.
    let quoted =
        (1..members.len()).fold(
            0,
            |best, i| {
                if merit(&members[i]) < merit(&members[best]) {
                    i
                } else {
                    best
                }
            },
        );
    Ok(Experts { members, quoted })
}
