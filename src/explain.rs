//! Why a reading is unlikely: its gradient, the nearest normal reading, and each feature's share.
//!
//! *Score* here is `-log_prob`, experts combined, in nats; the *typical* score is its mean over normal readings
//! (the image's entropy).
//!
//! **Nearest normal reading.** The base variable of the expert that decides is pulled in a straight line towards
//! the base's nearest mode, `z + t (mode - z)`, and mapped back; `t` is the smallest of a grid of 16, then
//! bisected, for which the score of that reading is typical. Should none be (a mode may lie in a gap of the
//! data), the pull goes towards the likeliest reading of the image's self-test instead.
//!
//! **Attribution.** Integrated gradients (Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep
//! networks") along the straight line from the nearest normal reading to the reading, by the midpoint rule with
//! 32 steps, which grow with the distance, as soft tails are logarithmic. Their property is completeness:
//! the shares sum to `score(reading) - score(nearest normal reading)`, the excess over the typical score. What the
//! quadrature leaves of that is spread in proportion to the shares' sizes, so that the sum holds to the rounding
//! of f32. A feature whose value is that of the nearest normal reading gets nothing.
//!
//! Memory is that of one transform, however many there are: a transform's inputs are computed again through its
//! inverse ([`crate::transform::Transform::backward`]).

use crate::arithmetic::{Arithmetic, READING_LIMIT};
use crate::conditioner::{GradientScratch, Scratch};
use crate::image::descriptor::Combine;
use crate::image::Model;
use crate::pass::{self, in_arithmetic, is_finite, Workspace};
use crate::support::{Everything, Support};
use crate::transform::Standardizer;
use crate::Error;

/// Steps of the integral.
const STEPS: u16 = 32;
/// Pulls that are tried before bisection.
const GRID: u16 = 16;
/// Halvings of a step of the grid.
const BISECTIONS: u16 = 12;

/// 32-bit words of workspace that an [`Explainer`] of `model` needs: a scorer's, seven per feature, and what one
/// coupling keeps for its gradient. They do not grow with the number of transforms.
#[must_use]
pub fn explain_workspace_words<S: Support>(model: &Model<'_, S>) -> usize {
    let scoring = model.inputs() + 2 * model.scratch_words();
    scoring + FEATURE_BUFFERS * model.features() + model.gradient_words()
}

const FEATURE_BUFFERS: usize = 7;

/// What an [`Explainer`] says of one reading. Slices have one entry per feature.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Explanation<'e> {
    /// Log-density of the quoted expert in nats, with the bits of [`crate::Score::log_prob`].
    pub log_prob: f32,
    /// `-log_prob` of the experts combined, in nats.
    pub score: f32,
    /// What normal readings score on average, in nats.
    pub typical_score: f32,
    /// `score` less that of the nearest normal reading: what is to be explained; 0 if the reading is typical.
    pub excess: f32,
    /// Whether the nearest normal reading's score is typical; only a flow that maps no reading to its mode's
    /// surroundings fails here.
    pub nearest_is_typical: bool,
    /// Slope of the score at the reading, in nats per unit of the feature.
    pub gradient: &'e [f32],
    /// Share of each feature in the excess, in nats; they sum to it. Negative where a feature speaks for the reading.
    pub attribution: &'e [f32],
    /// The nearest normal reading, in the features' units; the reading itself if that is typical.
    pub nearest_normal: &'e [f32],
}

/// The numbers of an explanation.
struct Summary {
    log_prob: f32,
    score: f32,
    excess: f32,
    nearest_is_typical: bool,
}

/// Explains readings with a model in a fixed workspace.
///
/// Values run in the image's arithmetic, slopes and sums in f32: without an FPU an explanation is slow, and it is
/// not meant for every reading. The same bits on every target.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Explainer<'m, 'w, S = Everything> {
    model: &'m Model<'m, S>,
    workspace: Workspace<'w>,
    kept: &'w mut [u32],
    /// Base variable of the reading; later the reading itself, as far as the score feels it.
    origin: &'w mut [u32],
    /// Where the base variable is pulled to.
    target: &'w mut [u32],
    slope: &'w mut [f32],
    point: &'w mut [f32],
    gradient: &'w mut [f32],
    attribution: &'w mut [f32],
    nearest: &'w mut [f32],
}

impl<'m, 'w, S: Support> Explainer<'m, 'w, S> {
    /// An explainer that works in `workspace`, of at least [`explain_workspace_words`] words.
    ///
    /// # Errors
    /// [`Error::WorkspaceTooSmall`], with the number of words that it needs.
    pub fn new(model: &'m Model<'m, S>, workspace: &'w mut [u32]) -> Result<Self, Error> {
        let too_small = Error::WorkspaceTooSmall {
            needed_words: explain_workspace_words(model) as u32,
            found_words: u32::try_from(workspace.len()).unwrap_or(u32::MAX),
        };
        Self::divide(model, workspace).ok_or(too_small)
    }

    fn divide(model: &'m Model<'m, S>, words: &'w mut [u32]) -> Option<Self> {
        let features = model.features();
        let (workspace, words) = Workspace::take(model, words)?;
        let (kept, words) = words.split_at_mut_checked(model.gradient_words())?;
        let (origin, words) = words.split_at_mut_checked(features)?;
        let (target, words) = words.split_at_mut_checked(features)?;
        let (slope, words) = words.split_at_mut_checked(features)?;
        let (point, words) = words.split_at_mut_checked(features)?;
        let (gradient, words) = words.split_at_mut_checked(features)?;
        let (attribution, words) = words.split_at_mut_checked(features)?;
        let (nearest, _) = words.split_at_mut_checked(features)?;
        let [slope, point, gradient, attribution, nearest] =
            [slope, point, gradient, attribution, nearest].map(bytemuck::cast_slice_mut::<u32, f32>);
        Some(Explainer {
            model,
            workspace,
            kept,
            origin,
            target,
            slope,
            point,
            gradient,
            attribution,
            nearest,
        })
    }

    /// Explains a reading; of a model with context inputs, their values stand behind the features.
    ///
    /// Cost: one pass and one gradient if the reading is typical; else some 33 passes and gradients, and up to
    /// 45 passes and inversions for the nearest normal reading.
    ///
    /// # Errors
    /// [`Error::FeatureCount`] and [`Error::NotFinite`], as [`crate::Scorer::score`].
    pub fn explain(&mut self, reading: &[f32]) -> Result<Explanation<'_>, Error> {
        let (reading, context) = pass::split(self.model, reading)?;
        self.explain_in_context(reading, context)
    }

    /// As [`Self::explain`], with the features and the context apart.
    ///
    /// # Errors
    /// As [`Self::explain`], and [`Error::ContextCount`].
    pub fn explain_in_context(&mut self, reading: &[f32], context: &[f32]) -> Result<Explanation<'_>, Error> {
        pass::check_reading(self.model, reading, context)?;
        let summary = in_arithmetic!(S, self.model.numeric() => self.explain_in(reading, context), else None);
        let Summary { log_prob, score, excess, nearest_is_typical } = summary.ok_or(Error::LogicBug)?;
        Ok(Explanation {
            log_prob,
            score,
            typical_score: self.model.core.entropy,
            excess,
            nearest_is_typical,
            gradient: self.gradient,
            attribution: self.attribution,
            nearest_normal: self.nearest,
        })
    }

    fn explain_in<A: Arithmetic>(&mut self, reading: &[f32], context: &[f32]) -> Option<Summary> {
        let found = pass::run::<A, S>(self.model, (reading, context), &mut self.workspace, false)?;
        let (log_prob, score) = (A::log_to_f32(found.log_prob), A::negate(found.combined));
        copy(reading, self.point);
        self.slopes::<A>(context)?;
        copy(self.slope, self.gradient);
        self.attribution.fill(0.0);
        let typical = A::log_from_f32(self.model.core.entropy);
        if score <= typical {
            copy(reading, self.nearest);
            return Some(Summary {
                log_prob,
                score: A::log_to_f32(score),
                excess: 0.0,
                nearest_is_typical: true,
            });
        }
        let near = self.find_nearest::<A>(found.decides, (reading, context), typical)?;
        let score = A::log_to_f32(score);
        let excess = finite(score - A::log_to_f32(near));
        self.integrate::<A>(reading, context)?;
        complete(self.attribution, excess);
        Some(Summary { log_prob, score, excess, nearest_is_typical: near <= typical })
    }

    /// Leaves the nearest normal reading in `nearest`; gives its score.
    fn find_nearest<A: Arithmetic>(
        &mut self,
        decides: usize,
        (reading, context): (&[f32], &[f32]),
        typical: A::Log,
    ) -> Option<A::Log> {
        let model = self.model;
        let base = model.expert_at(decides)?.base;
        self.base_variable::<A>(decides, reading, context)?;
        let values: &[A::Value] = bytemuck::cast_slice(self.workspace.values);
        let values = values.get(..reading.len())?;
        copy(values, bytemuck::cast_slice_mut(self.origin));
        base.mode::<A>(values, bytemuck::cast_slice_mut(self.target));
        if let Some(score) = self.pull::<A>(decides, context, typical)? {
            return Some(score);
        }
        // The self-test starts with the likeliest of the readings that the image was calibrated on.
        if let Some(likeliest) = model.self_test_vectors().next().and_then(|(v, _)| v.get(..reading.len())) {
            self.base_variable::<A>(decides, likeliest, context)?;
            let values: &[A::Value] = bytemuck::cast_slice(self.workspace.values);
            copy(values, bytemuck::cast_slice_mut(self.target));
            if let Some(score) = self.pull::<A>(decides, context, typical)? {
                return Some(score);
            }
        }
        self.pulled::<A>(decides, context, 1.0)
    }

    /// The base variable of a reading under one expert, in the workspace's values; the context stands there.
    fn base_variable<A: Arithmetic>(
        &mut self,
        expert: usize,
        reading: &[f32],
        context: &[f32],
    ) -> Option<()> {
        let expert = self.model.expert_at(expert)?;
        let standardizer = self.model.standardizer::<A>()?;
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.workspace.values);
        let (values, context_values) = values.split_at_mut_checked(reading.len())?;
        standardizer.context::<A>(reading.len(), context, context_values)?;
        standardizer.forward::<A>(reading, values)?;
        expert.chain.forward::<A>(values, context_values, &mut self.workspace.scratch).map(|_| ())
    }

    /// The smallest pull on the grid whose reading is typical, refined; `Some(None)` if there is none.
    fn pull<A: Arithmetic>(
        &mut self,
        expert: usize,
        context: &[f32],
        typical: A::Log,
    ) -> Option<Option<A::Log>> {
        let grid = f32::from(GRID);
        for step in 1..=GRID {
            let mut far = f32::from(step) / grid;
            if self.pulled::<A>(expert, context, far)? > typical {
                continue;
            }
            let mut near = f32::from(step - 1) / grid;
            for _ in 0..BISECTIONS {
                let middle = 0.5 * (near + far);
                if self.pulled::<A>(expert, context, middle)? <= typical {
                    far = middle;
                } else {
                    near = middle;
                }
            }
            return Some(Some(self.pulled::<A>(expert, context, far)?));
        }
        Some(None)
    }

    /// Leaves in `nearest` the reading whose base variable lies the share `pull` on the way to the target; gives
    /// its score, experts combined.
    fn pulled<A: Arithmetic>(&mut self, expert: usize, context: &[f32], pull: f32) -> Option<A::Log> {
        let expert = self.model.expert_at(expert)?;
        let standardizer = self.model.standardizer::<A>()?;
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.workspace.values);
        let (values, context_values) = values.split_at_mut_checked(self.model.features())?;
        let origin: &[A::Value] = bytemuck::cast_slice(self.origin);
        let target: &[A::Value] = bytemuck::cast_slice(self.target);
        for (value, (&from, &to)) in values.iter_mut().zip(origin.iter().zip(target)) {
            let (from, to) = (A::to_f32(from), A::to_f32(to));
            *value = A::from_f32(from + pull * (to - from));
        }
        expert.chain.inverse::<A>(values, context_values, &mut self.workspace.scratch)?;
        standardizer.inverse::<A>(values, self.nearest)?;
        for near in self.nearest.iter_mut() {
            *near = finite(*near);
        }
        let found = pass::run::<A, S>(self.model, (self.nearest, context), &mut self.workspace, false)?;
        Some(A::negate(found.combined))
    }

    /// The integral of the slopes from `nearest` to `reading`, into `attribution`.
    fn integrate<A: Arithmetic>(&mut self, reading: &[f32], context: &[f32]) -> Option<()> {
        let standardizer = self.model.standardizer::<A>()?;
        // A reading past the limit scores as the one at the limit on its ray: the line ends there. It stays within
        // the limit, which is a box.
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.workspace.values);
        let values = values.get_mut(..reading.len())?;
        standardizer.forward::<A>(reading, values)?;
        let is_far = values.iter().any(|&z| A::is_at_limit(z));
        let end: &mut [f32] = bytemuck::cast_slice_mut(self.origin);
        let mut distance = 0.0f32;
        let parameters = standardizer.parameters::<A>();
        let points = end.iter_mut().zip(reading).zip(&*self.nearest);
        for (((end, &x), &near), (&z, parameters)) in points.zip(values.iter().zip(parameters)) {
            *end = if is_far { finite(A::unstandardize(z, parameters)?) } else { x };
            let moved = (A::to_f32(z) - A::to_f32(A::standardize(near, parameters)?)).abs();
            distance = if moved > distance { moved } else { distance };
        }
        let line = Line::new(distance);
        let mut before = 0.0;
        for step in 0..STEPS {
            let after = line.at(f32::from(step + 1) / f32::from(STEPS));
            let middle = line.at((f32::from(step) + 0.5) / f32::from(STEPS));
            let end: &[f32] = bytemuck::cast_slice(self.origin);
            for (point, (&from, &to)) in self.point.iter_mut().zip(self.nearest.iter().zip(end)) {
                *point = finite(from + middle * (to - from));
            }
            self.slopes::<A>(context)?;
            let end: &[f32] = bytemuck::cast_slice(self.origin);
            let ends = self.nearest.iter().zip(end);
            for ((share, &slope), (&from, &to)) in self.attribution.iter_mut().zip(&*self.slope).zip(ends) {
                *share = finite(*share + slope * ((to - from) * (after - before)));
            }
            before = after;
        }
        Some(())
    }

    /// The slope of the score at `point`, per unit of each feature, into `slope`.
    fn slopes<A: Arithmetic>(&mut self, context: &[f32]) -> Option<()> {
        let model = self.model;
        match model.core.combine() {
            Combine::Quoted => self.slopes_of::<A>(usize::from(model.core.quoted), context),
            Combine::Minimum => {
                let found = pass::run::<A, S>(model, (self.point, context), &mut self.workspace, false)?;
                self.slopes_of::<A>(found.decides, context)
            }
            Combine::Mean => {
                // `target` is free by now, or not yet in use.
                bytemuck::cast_slice_mut::<u32, f32>(self.target).fill(0.0);
                let count = model.core.experts;
                let share = 1.0 / f32::from(count.max(1));
                for expert in 0..count {
                    self.slopes_of::<A>(usize::from(expert), context)?;
                    let sum: &mut [f32] = bytemuck::cast_slice_mut(self.target);
                    for (sum, &slope) in sum.iter_mut().zip(&*self.slope) {
                        *sum = finite(*sum + share * slope);
                    }
                }
                copy(bytemuck::cast_slice(self.target), self.slope);
                Some(())
            }
        }
    }

    /// The slope of one expert's `-log_prob` at `point`, into `slope`.
    fn slopes_of<A: Arithmetic>(&mut self, index: usize, context: &[f32]) -> Option<()> {
        let expert = self.model.expert_at(index)?;
        let standardizer = self.model.standardizer::<A>()?;
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(self.workspace.values);
        let (values, context_values) = values.split_at_mut_checked(self.model.features())?;
        standardizer.context::<A>(self.model.features(), context, context_values)?;
        standardizer.forward::<A>(self.point, values)?;
        let Scratch { front, back } = &mut self.workspace.scratch;
        let mut scratch = GradientScratch { scratch: Scratch { front, back }, kept: self.kept };
        expert.chain.forward::<A>(values, context_values, &mut scratch.scratch)?;
        expert.base.slope::<A>(values, self.slope);
        expert.chain.backward::<A>(values, self.slope, context_values, &mut scratch)?;
        // The values are standardized readings again, within rounding.
        let farthest = self.farthest::<A>(&standardizer)?;
        let parameters = standardizer.parameters::<A>();
        match farthest {
            None => {
                for (slope, parameters) in self.slope.iter_mut().zip(parameters) {
                    *slope = finite(*slope * A::inverse_std(parameters)?);
                }
            }
            // All features are divided by the farthest one, which itself stays at the limit.
            Some((index, distance)) => {
                let share = READING_LIMIT / distance.abs();
                let values: &[A::Value] = bytemuck::cast_slice(self.workspace.values);
                let mut others = 0.0;
                for (i, (&slope, &z)) in self.slope.iter().zip(values).enumerate() {
                    others += if i == index { 0.0 } else { slope * A::to_f32(z) };
                }
                for (i, (slope, parameters)) in self.slope.iter_mut().zip(parameters).enumerate() {
                    let own = if i == index { -others / distance } else { *slope * share };
                    *slope = finite(own * A::inverse_std(parameters)?);
                }
            }
        }
        Some(())
    }

    /// The feature of `point` that is farthest out and its distance from the mean in standard deviations, if it is
    /// past the limit.
    fn farthest<A: Arithmetic>(&self, standardizer: &Standardizer<'_>) -> Option<Option<(usize, f32)>> {
        let mut farthest = None;
        let mut limit = READING_LIMIT;
        for (index, (&x, parameters)) in self.point.iter().zip(standardizer.parameters::<A>()).enumerate() {
            let mean = A::unstandardize(A::ZERO, parameters)?;
            let z = finite((x - mean) * A::inverse_std(parameters)?);
            if z.abs() > limit {
                limit = z.abs();
                farthest = Some((index, z));
            }
        }
        Some(farthest)
    }
}

/// Where the integral's steps end on the line from 0 to 1: evenly up to two standard deviations, else ever
/// farther apart.
struct Line {
    growth: f32,
    scale: f32,
}

impl Line {
    /// For a line of `distance` standard deviations.
    fn new(distance: f32) -> Self {
        let growth = libm::logf(1.0 + 0.5 * distance);
        Line { growth, scale: 1.0 / (libm::expf(growth) - 1.0) }
    }

    fn at(&self, part: f32) -> f32 {
        if self.growth < 0.7 || part >= 1.0 {
            return part;
        }
        (libm::expf(self.growth * part) - 1.0) * self.scale
    }
}

/// Spreads what the shares lack of `excess` over them, in proportion to their sizes.
fn complete(shares: &mut [f32], excess: f32) {
    let size: f32 = shares.iter().fold(0.0, |size, share| size + share.abs());
    let rest = excess - sum(shares);
    let factor = rest / size;
    if is_finite(factor) {
        for share in shares.iter_mut() {
            *share += factor * share.abs();
        }
    }
    // What rounding left goes to the largest; twice, as that rounds too.
    for _ in 0..2 {
        let rest = excess - sum(shares);
        let mut largest: Option<&mut f32> = None;
        for share in shares.iter_mut() {
            if largest.as_ref().is_none_or(|l| share.abs() > l.abs()) {
                largest = Some(share);
            }
        }
        if let Some(largest) = largest {
            *largest = finite(*largest + rest);
        }
    }
}

/// Without the panic of `copy_from_slice`: lengths are equal once the image was checked.
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

fn sum(shares: &[f32]) -> f32 {
    shares.iter().fold(0.0, |sum, share| sum + share)
}

/// Zero for what is no number: only an image with absurd weights gets there.
fn finite(x: f32) -> f32 {
    if is_finite(x) {
        x
    } else {
        0.0
    }
}
