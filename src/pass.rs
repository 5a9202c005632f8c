//! One pass over a reading: every expert that counts, one after the other, in one workspace.
//!
//! Each expert standardizes the features anew instead of keeping a copy of them: with the base, 22 (f32) or 111
//! (fixed point) instructions per feature and expert, and no RAM. The context is standardized once.

use crate::arithmetic::Arithmetic;
use crate::conditioner::Scratch;
use crate::image::descriptor::{Combine, Statistic};
use crate::image::{Expert, Model};
use crate::support::{Capability, Support};
use crate::transform::Standardizer;
use crate::Error;

/// A workspace as the passes use it: the chain's values, and two buffers for the nets.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Workspace<'w> {
    /// [`Model::inputs`] words.
    pub(crate) values: &'w mut [u32],
    pub(crate) scratch: Scratch<'w>,
}

impl<'w> Workspace<'w> {
    /// Takes what scoring needs from the front of `words`; gives the rest too.
    pub(crate) fn take<S: Support>(
        model: &Model<'_, S>,
        words: &'w mut [u32],
    ) -> Option<(Self, &'w mut [u32])> {
        let (values, rest) = words.split_at_mut_checked(model.inputs())?;
        let scratch = model.scratch_words();
        let (front, rest) = rest.split_at_mut_checked(scratch)?;
        let (back, rest) = rest.split_at_mut_checked(scratch)?;
        Some((Workspace { values, scratch: Scratch { front, back } }, rest))
    }

    /// A workspace for scoring, or how many words that takes.
    pub(crate) fn for_scoring<S: Support>(model: &Model<'_, S>, words: &'w mut [u32]) -> Result<Self, Error> {
        let found_words = u32::try_from(words.len()).unwrap_or(u32::MAX);
        let needed_words = (model.workspace_bytes() / 4) as u32;
        let too_small = Error::WorkspaceTooSmall { needed_words, found_words };
        Ok(Self::take(model, words).ok_or(too_small)?.0)
    }
}

/// What the experts make of a reading. All numbers are settled: finite in f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass<L> {
    /// Log-density of the quoted expert.
    pub(crate) log_prob: L,
    /// The experts' log-densities, combined.
    pub(crate) combined: L,
    /// Their squared norms, combined likewise: the quoted one's, the largest, the mean; zero if unwanted.
    pub(crate) squared_norm: L,
    /// The expert that has the lowest log-density, if it decides; else the quoted one.
    pub(crate) decides: usize,
}

/// Runs the experts over a finite reading. `None` only if the image was never checked.
pub(crate) fn run<A: Arithmetic, S: Support>(
    model: &Model<'_, S>,
    inputs: (&[f32], &[f32]),
    workspace: &mut Workspace<'_>,
    want_squared_norm: bool,
) -> Option<Pass<A::Log>> {
    run_adjusted::<A, S>(model, inputs, workspace, want_squared_norm, |_| ())
}

/// As [`run`], with the standardized features adjusted before each expert.
pub(crate) fn run_adjusted<A: Arithmetic, S: Support>(
    model: &Model<'_, S>,
    (reading, context): (&[f32], &[f32]),
    workspace: &mut Workspace<'_>,
    want_squared_norm: bool,
    adjust: impl Fn(&mut [A::Value]),
) -> Option<Pass<A::Log>> {
    let values: &mut [A::Value] = bytemuck::cast_slice_mut(workspace.values);
    let (values, context_values) = values.split_at_mut_checked(model.features())?;
    let scratch = &mut workspace.scratch;
    let standardizer = model.standardizer::<A>()?;
    if S::CAPABILITIES.has(Capability::Context) {
        standardizer.context::<A>(model.features(), context, context_values)?;
    }
    let quoted = usize::from(model.core.quoted);
    let mut one = |expert: &Expert<'_>| {
        let log_prob =
            density::<A>(&standardizer, expert, reading, (values, context_values), scratch, &adjust)?;
        let norm = if want_squared_norm { expert.base.squared_norm::<A>(values) } else { A::ZERO_LOG };
        Some((log_prob, A::settle_norm(norm)))
    };
    let combine = model.core.combine();
    if combine == Combine::Quoted || !A::SUPPORTS.has(Capability::Experts) {
        let (log_prob, squared_norm) = one(&model.quoted()?)?;
        return Some(Pass { log_prob, combined: log_prob, squared_norm, decides: quoted });
    }
    let mut experts = model.experts();
    let (log_prob, squared_norm) = one(&experts.next()?)?;
    let mut pass = Pass { log_prob, combined: log_prob, squared_norm, decides: 0 };
    let mut count = 1;
    for expert in experts {
        let (log_prob, squared_norm) = one(&expert)?;
        if count == quoted {
            pass.log_prob = log_prob;
        }
        if combine == Combine::Mean {
            pass.combined = A::add(pass.combined, log_prob);
            pass.squared_norm = A::add(pass.squared_norm, squared_norm);
        } else {
            if log_prob < pass.combined {
                pass.combined = log_prob;
                pass.decides = count;
            }
            if squared_norm > pass.squared_norm {
                pass.squared_norm = squared_norm;
            }
        }
        count += 1;
    }
    if combine == Combine::Mean {
        pass.decides = quoted;
        pass.combined = A::settle(A::mean_log(pass.combined, count));
        pass.squared_norm = A::settle_norm(A::mean_log(pass.squared_norm, count));
    }
    Some(pass)
}

/// Log-density of a reading under one expert; leaves its base variable in `values`.
fn density<A: Arithmetic>(
    standardizer: &Standardizer<'_>,
    expert: &Expert<'_>,
    reading: &[f32],
    (values, context): (&mut [A::Value], &[A::Value]),
    scratch: &mut Scratch<'_>,
    adjust: impl Fn(&mut [A::Value]),
) -> Option<A::Log> {
    let log_prob = standardizer.forward::<A>(reading, values)?;
    adjust(values);
    let log_prob = A::add(log_prob, expert.chain.forward::<A>(values, context, scratch)?);
    Some(A::settle(A::add(log_prob, expert.base.log_prob::<A>(values))))
}

/// A statistic from what a pass found; larger is more anomalous.
pub(crate) fn statistic<A: Arithmetic>(statistic: Statistic, pass: &Pass<A::Log>, entropy: f32) -> A::Log {
    match statistic {
        Statistic::NegativeLogProb => A::negate(pass.combined),
        Statistic::SquaredNorm => pass.squared_norm,
        Statistic::Typicality => {
            let offset = A::settle(A::add(pass.combined, A::log_from_f32(entropy)));
            if offset < A::ZERO_LOG {
                A::negate(offset)
            } else {
                offset
            }
        }
    }
}

/// Checks the shape of a reading and its context, and that they are finite.
pub(crate) fn check_reading<S: Support>(
    model: &Model<'_, S>,
    reading: &[f32],
    context: &[f32],
) -> Result<(), Error> {
    if reading.len() != model.features() {
        return Err(Error::FeatureCount { expected: model.features() as u16, found: short(reading.len()) });
    }
    check_context(model, context)?;
    check_finite(reading, 0)
}

/// Checks the number of context values and that they are finite.
pub(crate) fn check_context<S: Support>(model: &Model<'_, S>, context: &[f32]) -> Result<(), Error> {
    if context.len() != model.contexts() {
        return Err(Error::ContextCount { expected: model.contexts() as u16, found: short(context.len()) });
    }
    check_finite(context, model.features())
}

/// The features and the context of a row of inputs, which is finite.
pub(crate) fn split<'r, S: Support>(
    model: &Model<'_, S>,
    row: &'r [f32],
) -> Result<(&'r [f32], &'r [f32]), Error> {
    let expected = model.inputs();
    let wrong = Error::FeatureCount { expected: expected as u16, found: short(row.len()) };
    let parts = row.split_at_checked(model.features()).filter(|_| row.len() == expected);
    let parts = parts.ok_or(wrong)?;
    check_finite(row, 0)?;
    Ok(parts)
}

/// Checks that inputs are finite, the first of which is that of a number.
fn check_finite(inputs: &[f32], first: usize) -> Result<(), Error> {
    match inputs.iter().position(|&x| !is_finite(x)) {
        Some(input) => Err(Error::NotFinite { feature: (first + input) as u16 }),
        None => Ok(()),
    }
}

pub(crate) fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// By the bits: a core without an FPU then calls no soft-float comparison.
pub(crate) fn is_finite(x: f32) -> bool {
    x.to_bits() & 0x7f80_0000 != 0x7f80_0000
}

/// One call, generic in the arithmetic, in that of the image; `$else` where it is not supported, and not linked.
macro_rules! in_arithmetic {
    ($S:ty, $numeric:expr => $self:ident.$method:ident($($argument:expr),*), else $none:expr) => {{
        use $crate::arithmetic::{FixedWith, FloatWith, Tables};
        use $crate::image::descriptor::Numeric;
        use $crate::support::Capability;
        match $numeric {
            Numeric::F32 if <$S>::CAPABILITIES.has(Capability::Float) => {
                $self.$method::<FloatWith<Tables, $S>>($($argument),*)
            }
            Numeric::I16 | Numeric::I8 if <$S>::CAPABILITIES.has(Capability::Fixed) => {
                $self.$method::<FixedWith<$S>>($($argument),*)
            }
            #[cfg(feature = "fast-math")]
            Numeric::F32FastMath if <$S>::CAPABILITIES.has(Capability::FastMath) => {
                $self.$method::<FloatWith<$crate::arithmetic::FastMath, $S>>($($argument),*)
            }
            _ => $none,
        }
    }};
}
pub(crate) use in_arithmetic;
