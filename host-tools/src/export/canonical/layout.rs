//! Where features stand: masks and orders of a flow become few reorderings of the vector.
//!
//! A reordering is put off until a transform needs it. What treats features one by one takes its parameters
//! in the order in which they stand; a coupling whose conditioning features stand together takes the rows and
//! columns of its net so; a matrix, a split and the base want features back at their places.

use super::merge::last_layer;
use crate::flow::{
    Conditioner, Coupling, CouplingMap, ElementwiseAffine, Marginal, Mask, Permutation, Transform,
};

/// The chain with couplings that condition on one end of the vector; z keeps its order.
pub(super) fn arrange(transforms: Vec<Transform>, features: usize) -> Vec<Transform> {
    let mut layout = Layout { places: (0..features).collect(), chain: Vec::new() };
    for transform in transforms {
        layout.add(transform);
    }
    layout.restore();
    layout.chain
}

struct Layout {
    /// Which feature of the flow stands at each place.
    places: Vec<usize>,
    chain: Vec<Transform>,
}

impl Layout {
    fn add(&mut self, transform: Transform) {
        let arranged = match transform {
            Transform::Permutation(p) => return self.rename(&p),
            Transform::ElementwiseAffine(t) => Transform::ElementwiseAffine(ElementwiseAffine {
                log_scale: self.pick(&t.log_scale),
                shift: self.pick(&t.shift),
            }),
            Transform::Marginal(t) => Transform::Marginal(Marginal { features: self.pick(&t.features), ..t }),
            Transform::SoftTail(_) | Transform::Logit(_) => transform,
            Transform::Coupling(c) => Transform::Coupling(self.couple(c)),
            Transform::Split(t) => {
                self.restore();
                self.places.truncate(t.keep);
                Transform::Split(t)
            }
            Transform::Standardize(_) | Transform::Linear(_) => {
                self.restore();
                transform
            }
        };
        self.chain.push(arranged);
    }

    fn pick<T: Clone>(&self, values: &[T]) -> Vec<T> {
        self.places.iter().map(|&feature| values[feature].clone()).collect()
    }

    /// Feature `order[i]` is called `i` from here on.
    fn rename(&mut self, p: &Permutation) {
        let mut names = vec![0; p.order.len()];
        for (i, &from) in p.order.iter().enumerate() {
            names[from] = i;
        }
        self.places.iter_mut().for_each(|feature| *feature = names[*feature]);
    }

    /// Brings every feature back to its place.
    fn restore(&mut self) {
        self.reorder((0..self.places.len()).collect());
    }

    /// Brings feature `target[k]` to place `k`.
    fn reorder(&mut self, target: Vec<usize>) {
        if self.places == target {
            return;
        }
        let mut standing = vec![0; target.len()];
        for (place, &feature) in self.places.iter().enumerate() {
            standing[feature] = place;
        }
        let order = target.iter().map(|&feature| standing[feature]).collect();
        self.chain.push(Transform::Permutation(Permutation { order }));
        self.places = target;
    }

    /// The coupling as it is where its features stand, after bringing them together if need be.
    fn couple(&mut self, mut c: Coupling) -> Coupling {
        let (given, moved) = (c.mask.given(), c.mask.moved());
        let here = Mask(self.pick(&c.mask.0));
        let ascending = |part: &[usize]| part.is_sorted();
        let in_order = |mask: &Mask, places: &[usize]| {
            let part = |indices: Vec<usize>| indices.into_iter().map(|i| places[i]).collect::<Vec<_>>();
            ascending(&part(mask.given())) && ascending(&part(mask.moved()))
        };
        let rows_can_move = !matches!(c.conditioner, Conditioner::Conv1d(_));
        if here.as_split().is_none() || !(rows_can_move || in_order(&here, &self.places)) {
            // Both ways of a pair of complementary masks ask for the same order, so that none stands between.
            self.reorder(if c.mask.0[0] { [given, moved].concat() } else { [moved, given].concat() });
            c.mask = Mask(self.pick(&c.mask.0));
            return c;
        }
        if !in_order(&here, &self.places) {
            let ranks = |part: Vec<usize>, all: &[usize]| -> Vec<usize> {
                let rank = |i: usize| all.iter().position(|&f| f == self.places[i]).unwrap_or(i);
                part.into_iter().map(rank).collect()
            };
            let inputs = ranks(here.given(), &given);
            let outputs = ranks(here.moved(), &moved);
            reorder_net(&mut c.conditioner, &c.map, &inputs, &outputs);
        }
        c.mask = here;
        c
    }
}

/// Input `k` of the net becomes what was input `inputs[k]`, and transformed feature `k` what was `outputs[k]`.
fn reorder_net(conditioner: &mut Conditioner, map: &CouplingMap, inputs: &[usize], outputs: &[usize]) {
    let first = match conditioner {
        Conditioner::Mlp(net) => net.layers.first_mut(),
        Conditioner::Residual(net) => Some(&mut net.initial),
        Conditioner::Conv1d(_) => None,
    };
    if let Some(first) = first {
        for row in first.weights.chunks_exact_mut(first.inputs) {
            let before = row.to_vec();
            // Context inputs stand behind those of features and stay.
            row.iter_mut().zip(inputs).for_each(|(w, &from)| *w = before[from]);
        }
    }
    let Some(last) = last_layer(conditioner) else { return };
    let (m, per) = (outputs.len(), map.outputs_per_feature());
    let rows: Vec<usize> = match map {
        CouplingMap::Spline(_) => outputs.iter().flat_map(|o| (0..per).map(move |p| o * per + p)).collect(),
        _ => (0..per).flat_map(|p| outputs.iter().map(move |o| p * m + o)).collect(),
    };
    let before = last.clone();
    for (to, from) in rows.into_iter().enumerate() {
        last.bias[to] = before.bias[from];
        let weights = &before.weights[from * before.inputs..][..before.inputs];
        last.weights[to * before.inputs..][..before.inputs].copy_from_slice(weights);
    }
}
