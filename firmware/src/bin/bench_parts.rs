//! Runs each part of a flow alone and says what it cost: standardizer, transforms, dense layers, base, and
//! the elementary functions of the flow's numbers.
//!
//! The image comes as a job with one row; the job's number of timed rows says how often each part runs.
//! Every run stands between two calls of [`bench_mark`], by which a trace of the program shows where it
//! begins and ends: the runs of a part, then as many of the empty loop.
#![no_std]
#![no_main]

use core::hint::black_box;

use flowlet::arithmetic::activation::Activation;
use flowlet::arithmetic::fixed::{activation, elementary};
use flowlet::arithmetic::{Arithmetic, Elementary, Fixed, Float, Tables};
use flowlet::conditioner::{Net, Scratch};
use flowlet::image::descriptor::Numeric;
use flowlet::transform::{Step, Transform};
use flowlet::Model;
use flowlet_firmware::board::{self, Board, Uart, WORKSPACE_WORDS};
use flowlet_firmware::conversation::{image_error, send, serve};
use flowlet_firmware::stopwatch::Stopwatch;
use flowlet_protocol::job::Job;
use flowlet_protocol::{Function, Measurements, Message, Part, Refusal, FUNCTION_ELEMENTS};

#[cortex_m_rt::entry]
fn main() -> ! {
    serve(answer)
}

fn answer(board: &mut Board) -> Result<(), Refusal> {
    let job = Job::parse(board.job).map_err(Refusal::Job)?;
    let words =
        cortex_m::singleton!(: [u32; WORKSPACE_WORDS] = [0; WORKSPACE_WORDS]).ok_or(Refusal::Board)?;
    let model = Model::from_bytes(job.image).map_err(image_error)?;
    let workspace_bytes = model.workspace_bytes() as u32;
    let (features, rows) = (job.features as u32, job.rows().len() as u32);
    send(&mut board.uart, &Message::Loaded { features, rows, workspace_bytes });

    let mut bench = Bench { uart: &mut board.uart, clock: &mut board.stopwatch, repeats: job.timed_rows };
    let row = job.rows().next().ok_or(Refusal::Features { image: features, rows: 0 })?;
    let done = match model.numeric() {
        Numeric::I16 | Numeric::I8 => {
            bench.flow::<Fixed>(&model, row, words).map(|()| bench.fixed_functions())
        }
        _ => bench.flow::<Float>(&model, row, words).map(|()| bench.float_functions()),
    };
    // Nothing of a checked image is missing; what it needs may be.
    let available = 4 * WORKSPACE_WORDS as u32;
    done.ok_or(Refusal::Workspace { needed: workspace_bytes, available })?;
    let nothing = Measurements {
        timed_scores: 0,
        ticks: 0,
        overhead_ticks: 0,
        clock_hz: board::CLOCK_HZ,
        stack_bytes: 0,
    };
    send(bench.uart, &Message::Finished(nothing));
    Ok(())
}

/// Where a run begins and where it ends; the tools look for it by name.
#[inline(never)]
fn bench_mark() {
    black_box(());
}

struct Bench<'a> {
    uart: &'a mut Uart,
    clock: &'a mut Stopwatch,
    repeats: u32,
}

impl Bench<'_> {
    /// Times `work`, each time on what `prepare` has made ready.
    #[inline(always)]
    fn part<S>(
        &mut self,
        part: Part,
        state: &mut S,
        prepare: impl Fn(&mut S),
        work: impl Fn(&mut S) -> Option<()>,
    ) {
        let ticks = self.laps(state, &prepare, |state| {
            black_box(work(state));
        });
        let overhead_ticks = self.laps(state, &prepare, |state| {
            black_box(state);
        });
        send(self.uart, &Message::Part { part, repeats: self.repeats, ticks, overhead_ticks });
    }

    #[inline(always)]
    fn laps<S>(&mut self, state: &mut S, prepare: &impl Fn(&mut S), work: impl Fn(&mut S)) -> u64 {
        let mut ticks = 0;
        self.clock.lap();
        for _ in 0..self.repeats {
            prepare(black_box(&mut *state));
            bench_mark();
            work(black_box(&mut *state));
            bench_mark();
            ticks += u64::from(self.clock.lap());
        }
        ticks
    }

    // A function of its own, so that a trace can leave the loading of the image out.
    /// All parts of a flow.
    #[inline(never)]
    fn flow<A: Arithmetic>(&mut self, model: &Model<'_>, row: &[f32], words: &mut [u32]) -> Option<()> {
        let features = model.features();
        let (saved, rest) = words.split_at_mut_checked(features)?;
        let (values, rest) = rest.split_at_mut_checked(features)?;
        let (front, back) = rest.split_at_mut(rest.len() / 2);
        let saved: &mut [A::Value] = bytemuck::cast_slice_mut(saved);
        let values: &mut [A::Value] = bytemuck::cast_slice_mut(values);
        let standardizer = model.standardizer::<A>()?;
        let state = &mut (values, saved, Scratch { front, back });

        self.part(
            Part::Standardizer,
            state,
            |_| {},
            |(values, ..)| {
                black_box(standardizer.forward::<A>(row, values)?);
                Some(())
            },
        );
        let expert = model.experts().next()?;
        let mut active = features;
        for (index, step) in (0..).zip(expert.chain.steps()) {
            state.1.copy_from_slice(state.0);
            self.part(
                Part::Transform { index },
                state,
                |(values, saved, _)| values.copy_from_slice(saved),
                |(values, _, scratch)| {
                    black_box(Transform::<A>::forward(&step, values.get_mut(..active)?, &[], scratch)?);
                    Some(())
                },
            );
            if let Step::Coupling(coupling) = &step {
                self.layers::<A>(index, coupling, &mut state.2)?;
            }
            active = step.keeps(active);
        }
        self.part(
            Part::Base,
            state,
            |_| {},
            |(values, ..)| {
                black_box(expert.base.log_prob::<A>(values));
                Some(())
            },
        );
        Some(())
    }

    /// The dense layers of a coupling's conditioner, each on inputs of its own.
    fn layers<A: Arithmetic>(
        &mut self,
        transform: u16,
        coupling: &flowlet::transform::Coupling<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Option<()> {
        let Net::Mlp(net) = coupling.net() else { return Some(()) };
        let (limit, shift) = (coupling.input_limit::<A>()?, coupling.input_shift());
        for (layer, words) in net.layers().zip(net.layer_words()) {
            let input: &mut [A::Activation] = bytemuck::cast_slice_mut(scratch.front);
            let input = input.get_mut(..layer.padded_inputs())?;
            for (index, input) in input.iter_mut().enumerate() {
                // From 0.2 to 1.9, none of them zero.
                let x = A::from_f32(0.2 + 0.1 * (index * 7 % 18) as f32);
                A::load_inputs(&[x], limit, shift, core::slice::from_mut(input));
            }
            let (inputs, outputs) = (layer.inputs as u16, layer.outputs as u16);
            let part = Part::Layer { transform, inputs, outputs, is_output: layer.is_output };
            // As a score does it, from the words on.
            let (front, mut back) = (&*scratch.front, &mut *scratch.back);
            self.part(part, &mut back, |_| {}, |to| A::dense_layer(black_box(words), front, to).map(|_| ()));
        }
        Some(())
    }

    /// A function over an array, in place, starting from evenly spaced numbers.
    #[inline(always)]
    fn function<T: Copy>(&mut self, function: Function, numbers: impl Fn(usize) -> T, f: impl Fn(T) -> T) {
        self.function_each(function, numbers, |values| values.iter_mut().for_each(|x| *x = f(*x)));
    }

    /// A function of a whole array, in place.
    #[inline(always)]
    fn function_each<T: Copy>(
        &mut self,
        function: Function,
        numbers: impl Fn(usize) -> T,
        f: impl Fn(&mut [T]),
    ) {
        let mut values = [numbers(0); FUNCTION_ELEMENTS];
        let fill = |values: &mut [T; FUNCTION_ELEMENTS]| {
            for (index, x) in values.iter_mut().enumerate() {
                *x = numbers(index);
            }
        };
        let run = |values: &mut [T; FUNCTION_ELEMENTS]| {
            // Of a length that the compiler does not know, as elsewhere.
            f(black_box(values.as_mut_slice()));
            Some(())
        };
        self.part(Part::Function(function), &mut values, fill, run);
    }

    #[inline(never)]
    fn float_functions(&mut self) {
        // From -4 to 3.75; for the logarithm from 1 to 16.5.
        let even = |index: usize| 0.25 * index as f32 - 4.0;
        self.function(Function::Exp, even, Tables::exp);
        self.function_each(Function::Tanh, even, Tables::tanh_each);
        self.function(Function::Ln, |index| 0.5 * index as f32 + 1.0, Tables::ln);
        let silu = |x: f32| {
            let mut y = [0.0];
            Float::<Tables>::activate(Activation::Silu, 0, &[x], &mut y);
            let [y] = y;
            y
        };
        self.function(Function::Silu, even, silu);
    }

    #[inline(never)]
    fn fixed_functions(&mut self) {
        let even = |index: usize| (index as i32 - 16) * 0x4567;
        // Mantissa and exponent are added, to be one number.
        let joined = |(mantissa, exponent): (u32, i32)| (mantissa as i32).wrapping_add(exponent);
        self.function(Function::Exp2, even, |x| joined(elementary::exp2(x)));
        self.function(Function::Exp, even, |x| joined(elementary::exp(x)));
        self.function(Function::Tanh, even, elementary::tanh);
        self.function(Function::Ln, |index| 0x1_0000 + index as i32 * 0x8765, |x| elementary::ln(x as u32));
        self.function(Function::Silu, even, activation::silu);
    }
}
