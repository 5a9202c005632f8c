//! An image laid out for tiles, and one pass of a tile through it.

use super::isa::{Isa, Level};
use super::tiled::{Rows, Tiled};
use super::{Lane, ROWS};
use flowlet::arithmetic::marginal::MarginalForm;
use flowlet::arithmetic::spline::SplineShape;
use flowlet::base::Base;
use flowlet::calibration::Calibration;
use flowlet::conditioner::{Net, Scratch};
use flowlet::image::descriptor::{Combine, Statistic};
use flowlet::image::Expert;
use flowlet::transform::coupling::affine::ScaleMap;
use flowlet::transform::coupling::Map;
use flowlet::transform::linear::Row;
use flowlet::transform::{Coupling, Step, Transform};
use flowlet::{Model, Score};

/// An image in one arithmetic.
#[derive(Debug)]
pub(super) struct Program<'m, A: Tiled> {
    features: usize,
    /// Of each input, features first.
    standardizer: Vec<&'m [u32]>,
    /// The standardizer's.
    log_det: A::Log,
    /// All that count.
    experts: Vec<Flow<'m, A>>,
    /// The one that `log_prob` speaks of, of these.
    quoted: usize,
    combine: Combine,
    statistic: Statistic,
    entropy: A::Log,
    calibration: Calibration<'m>,
    threshold: A::Log,
    /// Words of each of the runtime's two buffers.
    scratch: usize,
}

/// One expert.
#[derive(Debug)]
struct Flow<'m, A: Tiled> {
    stages: Vec<Stage<'m, A>>,
    base: Base<'m>,
    /// The mixture's, if it is one.
    components: Option<A::Components>,
}

/// One transform.
#[derive(Debug)]
enum Stage<'m, A: Tiled> {
    SoftTail(A::Value),
    Permutation(Vec<usize>),
    Elementwise(Vec<(A::Gain, A::Value)>, A::Log),
    Linear(Vec<LinearRow<A>>, A::Log),
    Lines(Vec<A::Lines<'m>>),
    Coupling(Box<Coupled<A>>),
    Split(usize),
    /// By the runtime's code, row by row.
    Rows(Step<'m>),
}

/// A row of a triangular factor.
#[derive(Debug)]
enum LinearRow<A: Tiled> {
    Upper(A::Gain, A::Weights),
    Lower(A::Weights, A::Value),
}

/// A coupling with a multi-layer perceptron.
#[derive(Debug)]
struct Coupled<A: Tiled> {
    split: usize,
    condition_on_first: bool,
    contexts: usize,
    limit: A::Value,
    shift: u8,
    /// Words of its inputs.
    inputs: usize,
    /// Inputs or outputs of its widest layer, with padding.
    widest: usize,
    hidden: Vec<A::Layer>,
    last: A::Layer,
    map: TileMap<A>,
}

/// What a coupling does.
#[derive(Debug)]
enum TileMap<A: Tiled> {
    Additive,
    Tanh(A::Scales),
    /// By the runtime's code, number by number.
    Scale(ScaleMap, A::Value),
    /// By the runtime's code, spline by spline.
    Spline(SplineShape<A::Value>),
}

/// Buffers of a tile.
#[derive(Debug)]
pub(super) struct Tile<A: Tiled> {
    readings: Vec<Lane<f32>>,
    standardized: Vec<Lane<A::Value>>,
    values: Vec<Lane<A::Value>>,
    context: Vec<Lane<A::Value>>,
    front: Vec<Lane<A::Packed>>,
    back: Vec<Lane<A::Packed>>,
    outputs: Vec<Lane<A::Value>>,
    row: Vec<A::Value>,
    row_context: Vec<A::Value>,
    scratch: [Vec<u32>; 2],
    log_prob: Lane<A::Log>,
    combined: Lane<A::Log>,
    squared_norm: Lane<A::Log>,
}

impl<'m, A: Tiled> Program<'m, A> {
    /// `None` for what is not laid out.
    pub(super) fn new(model: &'m Model<'m>) -> Option<Self> {
        let head = model.head();
        let standardizer = model.standardizer::<A>()?;
        let calibration = model.calibration()?;
        let quoted = usize::from(head.quoted);
        let only_quoted = head.combine == Combine::Quoted;
        let chosen = model.experts().enumerate().filter(|(index, _)| !only_quoted || *index == quoted);
        let experts = chosen.map(|(_, expert)| Flow::new(&expert, model)).collect::<Option<Vec<_>>>()?;
        Some(Program {
            features: model.features(),
            standardizer: standardizer.parameters::<A>().collect(),
            log_det: standardizer.log_det::<A>()?,
            experts,
            quoted: if only_quoted { 0 } else { quoted },
            combine: head.combine,
            statistic: head.statistic,
            entropy: A::log_from_f32(head.entropy),
            calibration,
            threshold: calibration.threshold::<A>()?,
            scratch: (model.workspace_bytes() / 4).saturating_sub(model.inputs()) / 2,
        })
    }

    /// Buffers of the sizes that it needs.
    pub(super) fn tile(&self) -> Tile<A> {
        let values = |count: usize| vec![Lane([A::ZERO; ROWS]); count];
        let contexts = self.standardizer.len() - self.features;
        let packed = vec![Lane([A::Packed::default(); ROWS]); self.widest().next_multiple_of(4)];
        Tile {
            readings: vec![Lane([0.0; ROWS]); self.standardizer.len()],
            standardized: values(self.features),
            values: values(self.features),
            context: values(contexts),
            front: packed.clone(),
            back: packed,
            outputs: values(self.widest().max(self.features).next_multiple_of(4)),
            row: vec![A::ZERO; self.features],
            row_context: vec![A::ZERO; contexts],
            scratch: [vec![0; self.scratch], vec![0; self.scratch]],
            log_prob: Lane([A::ZERO_LOG; ROWS]),
            combined: Lane([A::ZERO_LOG; ROWS]),
            squared_norm: Lane([A::ZERO_LOG; ROWS]),
        }
    }

    /// Inputs, units or outputs of its widest layer, at most.
    fn widest(&self) -> usize {
        let stages = self.experts.iter().flat_map(|flow| &flow.stages);
        let widths = stages.map(|stage| match stage {
            Stage::Coupling(coupled) => coupled.widest,
            _ => 0,
        });
        widths.max().unwrap_or(0)
    }

    /// Scores up to [`ROWS`] finite rows; gives those that have to be scored anew, or `None` if all of them.
    pub(super) fn score(
        &self,
        level: Level,
        tile: &mut Tile<A>,
        rows: &[f32],
        scores: &mut Vec<Score>,
    ) -> Option<Rows> {
        let count = rows.len() / self.standardizer.len();
        tile.load(rows, count);
        let odd = match level {
            Level::Portable(isa) => isa.vectorize(|| self.run(isa, tile)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(isa) => isa.vectorize(
                #[inline(always)]
                || self.run(isa, tile),
            ),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(isa) => isa.vectorize(
                #[inline(always)]
                || self.run(isa, tile),
            ),
        }?;
        scores.extend((0..count).map(|row| self.judge(tile, row)));
        Some(odd & (((1u64 << count) - 1) as Rows))
    }

    /// All experts; `None` only if the image was never checked.
    #[inline(always)]
    fn run<I: Isa>(&self, isa: I, tile: &mut Tile<A>) -> Option<Rows> {
        let mut odd = 0;
        let (features, contexts) = self.standardizer.split_at_checked(self.features)?;
        for ((values, readings), words) in tile.standardized.iter_mut().zip(&tile.readings).zip(features) {
            A::standardize_rows(readings, words, values, &mut odd);
        }
        for ((values, readings), words) in
            tile.context.iter_mut().zip(&tile.readings[self.features..]).zip(contexts)
        {
            for (value, &reading) in values.0.iter_mut().zip(&readings.0) {
                *value = A::standardize(reading, words)?;
            }
        }
        let want_norm = self.statistic == Statistic::SquaredNorm;
        for (index, flow) in self.experts.iter().enumerate() {
            let [log_prob, squared_norm] = flow.run(isa, tile, self.log_det, want_norm, &mut odd)?;
            if index == self.quoted {
                tile.log_prob = log_prob;
            }
            if index == 0 {
                (tile.combined, tile.squared_norm) = (log_prob, squared_norm);
            } else {
                self.combine(&mut tile.combined, &mut tile.squared_norm, &log_prob, &squared_norm);
            }
        }
        if self.combine == Combine::Mean {
            let count = self.experts.len();
            for (combined, norm) in tile.combined.0.iter_mut().zip(&mut tile.squared_norm.0) {
                *combined = A::settle(A::mean_log(*combined, count));
                *norm = A::negate(A::settle(A::negate(A::mean_log(*norm, count))));
            }
        }
        Some(odd)
    }

    /// Adds an expert's log-densities and squared norms to those of the ones before.
    #[inline(always)]
    fn combine(
        &self,
        combined: &mut Lane<A::Log>,
        combined_norm: &mut Lane<A::Log>,
        log_prob: &Lane<A::Log>,
        squared_norm: &Lane<A::Log>,
    ) {
        for (combined, &log_prob) in combined.0.iter_mut().zip(&log_prob.0) {
            if self.combine == Combine::Mean {
                *combined = A::add(*combined, log_prob);
            } else if log_prob < *combined {
                *combined = log_prob;
            }
        }
        for (combined, &norm) in combined_norm.0.iter_mut().zip(&squared_norm.0) {
            if self.combine == Combine::Mean {
                *combined = A::add(*combined, norm);
            } else if norm > *combined {
                *combined = norm;
            }
        }
    }

    /// The score of a row.
    fn judge(&self, tile: &Tile<A>, row: usize) -> Score {
        let combined = tile.combined.0[row];
        let statistic = match self.statistic {
            Statistic::NegativeLogProb => A::negate(combined),
            Statistic::SquaredNorm => tile.squared_norm.0[row],
            Statistic::Typicality => {
                let offset = A::settle(A::add(combined, self.entropy));
                if offset < A::ZERO_LOG {
                    A::negate(offset)
                } else {
                    offset
                }
            }
        };
        Score {
            log_prob: A::log_to_f32(tile.log_prob.0[row]),
            p_value: self.calibration.p_value::<A>(statistic),
            score: A::log_to_f32(statistic),
            alarm: statistic > self.threshold,
        }
    }
}

impl<A: Tiled> Tile<A> {
    /// Turns rows into columns; behind the last row it stands again.
    fn load(&mut self, rows: &[f32], count: usize) {
        let inputs = self.readings.len();
        for row in 0..ROWS {
            let from = &rows[row.min(count - 1) * inputs..][..inputs];
            for (lane, &x) in self.readings.iter_mut().zip(from) {
                lane.0[row] = x;
            }
        }
    }
}

impl<'m, A: Tiled> Flow<'m, A> {
    fn new(expert: &Expert<'m>, model: &Model<'m>) -> Option<Self> {
        let mut active = model.features();
        let mut stages = Vec::new();
        for step in expert.chain.steps() {
            stages.push(Stage::new(step, active)?);
            active = step.keeps(active);
        }
        let components = match &expert.base {
            Base::Mixture(mixture) => Some(A::lay_mixture(mixture, model.features())?),
            _ => None,
        };
        (stages.len() == expert.chain.len()).then_some(Flow { stages, base: expert.base, components })
    }

    /// The expert's log-densities and, if wanted, squared norms, both settled.
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        tile: &mut Tile<A>,
        standardizer_log_det: A::Log,
        want_norm: bool,
        odd: &mut Rows,
    ) -> Option<[Lane<A::Log>; 2]> {
        tile.values.copy_from_slice(&tile.standardized);
        let mut chain = Lane([A::ZERO_LOG; ROWS]);
        let mut active = tile.values.len();
        for stage in &self.stages {
            let mut log_det = Lane([A::ZERO_LOG; ROWS]);
            stage.run(isa, tile, active, &mut log_det, odd)?;
            for (chain, &log_det) in chain.0.iter_mut().zip(&log_det.0) {
                *chain = A::add(*chain, log_det);
            }
            if let Stage::Split(keep) = stage {
                active = *keep;
            }
        }
        let mut log_prob = Lane([A::ZERO_LOG; ROWS]);
        let mut squared_norm = Lane([A::ZERO_LOG; ROWS]);
        match (&self.components, &self.base) {
            (Some(components), _) => A::mixture_rows(isa, components, &tile.values, &mut log_prob, odd),
            (None, Base::StandardNormal(_)) => A::standard_normal_rows(&tile.values, &mut log_prob, odd),
            (None, base) => {
                for (row, log_prob) in log_prob.0.iter_mut().enumerate() {
                    gather(&mut tile.row, &tile.values, row);
                    *log_prob = base.log_prob::<A>(&tile.row);
                }
            }
        }
        if want_norm {
            for (row, norm) in squared_norm.0.iter_mut().enumerate() {
                gather(&mut tile.row, &tile.values, row);
                *norm = A::negate(A::settle(A::negate(self.base.squared_norm::<A>(&tile.row))));
            }
        }
        for (log_prob, &chain) in log_prob.0.iter_mut().zip(&chain.0) {
            let before = A::add(standardizer_log_det, chain);
            *log_prob = A::settle(A::add(before, *log_prob));
        }
        Some([log_prob, squared_norm])
    }
}

/// One row's values.
#[inline(always)]
fn gather<V: Copy>(to: &mut [V], from: &[Lane<V>], row: usize) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.0[row];
    }
}

impl<'m, A: Tiled> Stage<'m, A> {
    fn new(step: Step<'m>, active: usize) -> Option<Self> {
        Some(match step {
            Step::SoftTail(tail) => Stage::SoftTail(tail.knee::<A>()?),
            Step::Permutation(permutation) => {
                let order = permutation.order().get(..active)?;
                Stage::Permutation(order.iter().map(|&from| usize::from(from)).collect())
            }
            Step::ElementwiseAffine(affine) => {
                let maps =
                    affine.features::<A>().map(|(gain, shift)| Some((A::lay_gain(gain)?, A::value(shift)?)));
                Stage::Elementwise(maps.collect::<Option<_>>()?, constant_log_det::<A>(&step, active)?)
            }
            Step::Linear(linear) => {
                let rows = linear.rows::<A>(active).map(|(i, row)| {
                    Some(match row {
                        Row::Upper { diagonal, weights } => {
                            LinearRow::Upper(A::lay_gain(diagonal)?, A::lay_weights(weights, active - 1 - i)?)
                        }
                        Row::Lower { shift, weights } => {
                            LinearRow::Lower(A::lay_weights(weights, i)?, A::value(shift)?)
                        }
                    })
                });
                let rows = rows.collect::<Option<Vec<_>>>()?;
                if rows.len() != 2 * active {
                    return None;
                }
                Stage::Linear(rows, constant_log_det::<A>(&step, active)?)
            }
            Step::Marginal(marginal) if marginal.maps(active).all(|k| k.form == MarginalForm::Linear) => {
                Stage::Lines(marginal.maps(active).map(A::lay_lines).collect::<Option<_>>()?)
            }
            Step::Coupling(coupling) => match Coupled::new(&coupling, active)? {
                Some(coupled) => Stage::Coupling(Box::new(coupled)),
                None => Stage::Rows(step),
            },
            Step::Split(split) => Stage::Split(split.keep()),
            _ => Stage::Rows(step),
        })
    }

    /// Adds the log-determinants to `log_det`, which is zero.
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        tile: &mut Tile<A>,
        active: usize,
        log_det: &mut Lane<A::Log>,
        odd: &mut Rows,
    ) -> Option<()> {
        let Tile { values, context, front, back, outputs, .. } = tile;
        let x = values.get_mut(..active)?;
        match self {
            Stage::SoftTail(knee) => {
                for x in x {
                    A::soft_tail_rows(x, *knee, log_det);
                }
            }
            Stage::Permutation(order) => {
                let before = outputs.get_mut(..active)?;
                before.copy_from_slice(x);
                for (x, &from) in x.iter_mut().zip(order) {
                    *x = *before.get(from)?;
                }
            }
            Stage::Elementwise(maps, log) => {
                for (x, &(gain, shift)) in x.iter_mut().zip(maps) {
                    A::gain_rows(x, gain);
                    add_value::<A>(x, shift);
                }
                log_det.0 = [*log; ROWS];
            }
            Stage::Linear(rows, log) => {
                // U from its first row down, L from its last row up.
                let order = (0..active).chain((0..active).rev());
                for (row, i) in rows.iter().zip(order) {
                    let (before, rest) = x.split_at_mut_checked(i)?;
                    let (own, behind) = rest.split_first_mut()?;
                    match row {
                        LinearRow::Upper(gain, weights) => {
                            A::gain_rows(own, *gain);
                            A::add_row_sum(own, weights, behind);
                        }
                        LinearRow::Lower(weights, shift) => {
                            A::add_row_sum(own, weights, before);
                            add_value::<A>(own, *shift);
                        }
                    }
                }
                log_det.0 = [*log; ROWS];
            }
            Stage::Lines(maps) => {
                for (x, lines) in x.iter_mut().zip(maps) {
                    A::line_rows(lines, x, log_det)?;
                }
            }
            Stage::Coupling(coupled) => {
                coupled.run(isa, x, context, [front, back], outputs, log_det, odd)?;
            }
            Stage::Split(_) => {}
            Stage::Rows(step) => {
                let [front, back] = &mut tile.scratch;
                for row in 0..ROWS {
                    gather(&mut tile.row, x, row);
                    gather(&mut tile.row_context, context, row);
                    let mut scratch = Scratch { front, back };
                    let values = tile.row.get_mut(..active)?;
                    log_det.0[row] = Transform::<A>::forward(step, values, &tile.row_context, &mut scratch)?;
                    for (x, &value) in x.iter_mut().zip(values.iter()) {
                        x.0[row] = value;
                    }
                }
            }
        }
        Some(())
    }
}

/// `x + shift`
#[inline(always)]
fn add_value<A: Tiled>(x: &mut Lane<A::Value>, shift: A::Value) {
    for x in &mut x.0 {
        *x = A::add_values(*x, shift);
    }
}

/// The log-determinant of a transform of which it is the same everywhere.
fn constant_log_det<A: Tiled>(step: &Step<'_>, active: usize) -> Option<A::Log> {
    let mut scratch = Scratch { front: &mut [], back: &mut [] };
    Transform::<A>::forward(step, &mut vec![A::ZERO; active], &[], &mut scratch)
}

impl<A: Tiled> Coupled<A> {
    /// `Some(None)` for a net or a map that has no tiles.
    fn new(coupling: &Coupling<'_>, active: usize) -> Option<Option<Self>> {
        let Net::Mlp(net) = coupling.net() else { return Some(None) };
        let map = match coupling.map() {
            Map::Additive => TileMap::Additive,
            Map::Affine(ScaleMap::Tanh) => TileMap::Tanh(A::lay_scales(coupling.bound::<A>()?)),
            Map::Affine(scale) => TileMap::Scale(scale, coupling.bound::<A>()?),
            Map::Spline(spline) => TileMap::Spline(spline.shape::<A>(coupling.bound::<A>()?)?),
            _ => return Some(None),
        };
        let (split, rest) = (coupling.split(), active.checked_sub(coupling.split())?);
        let given = if coupling.condition_on_first() { split } else { rest };
        let layers: Vec<_> = net.layers().collect();
        let (last, hidden) = layers.split_last()?;
        let padded = layers.iter().map(|layer| layer.padded_inputs().max(layer.padded_outputs()));
        Some(Some(Coupled {
            split,
            condition_on_first: coupling.condition_on_first(),
            contexts: coupling.contexts(),
            limit: coupling.input_limit::<A>()?,
            shift: coupling.input_shift(),
            inputs: (given + coupling.contexts()).next_multiple_of(A::INPUT_GROUP) / A::PACKED,
            widest: padded.max()?,
            hidden: hidden.iter().map(A::lay_layer).collect::<Option<_>>()?,
            last: A::lay_layer(last)?,
            map,
        }))
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the buffers are parts of one tile")]
    fn run<I: Isa>(
        &self,
        isa: I,
        x: &mut [Lane<A::Value>],
        context: &[Lane<A::Value>],
        [mut front, mut back]: [&mut [Lane<A::Packed>]; 2],
        outputs: &mut [Lane<A::Value>],
        log_det: &mut Lane<A::Log>,
        odd: &mut Rows,
    ) -> Option<()> {
        let (first, second) = x.split_at_mut_checked(self.split)?;
        let (given, transformed) = if self.condition_on_first { (first, second) } else { (second, first) };
        let inputs = given.iter().chain(context.get(..self.contexts)?);
        A::load_rows(inputs, self.limit, self.shift, front.get_mut(..self.inputs)?);
        for layer in &self.hidden {
            A::hidden_rows(isa, layer, front, back);
            std::mem::swap(&mut front, &mut back);
        }
        A::output_rows(isa, &self.last, front, outputs);
        let count = transformed.len();
        match &self.map {
            TileMap::Additive => {
                for (x, shifts) in transformed.iter_mut().zip(outputs.iter()) {
                    for (x, &shift) in x.0.iter_mut().zip(&shifts.0) {
                        *x = A::add_values(*x, shift);
                    }
                }
            }
            TileMap::Tanh(scales) => {
                let (shifts, raws) = outputs.split_at_mut_checked(count)?;
                A::affine_tanh_rows(transformed, shifts, raws.get_mut(..count)?, scales, log_det, odd);
            }
            TileMap::Scale(scale, bound) => {
                let (shifts, raws) = outputs.split_at_checked(count)?;
                for ((x, shifts), raws) in transformed.iter_mut().zip(shifts).zip(raws) {
                    for row in 0..ROWS {
                        let log_scale = scale.log_scale::<A>(raws.0[row], *bound)?;
                        x.0[row] = A::affine(x.0[row], log_scale, shifts.0[row]);
                        log_det.0[row] = A::add_value(log_det.0[row], log_scale);
                    }
                }
            }
            TileMap::Spline(shape) => {
                let mut raw = vec![A::ZERO; shape.raw_parameters()];
                for (x, outputs) in transformed.iter_mut().zip(outputs.chunks(raw.len())) {
                    for row in 0..ROWS {
                        gather(&mut raw, outputs, row);
                        let (z, log) = A::spline(x.0[row], &raw, shape)?;
                        x.0[row] = z;
                        log_det.0[row] = A::add(log_det.0[row], log);
                    }
                }
            }
        }
        Some(())
    }
}
