//! The multi-scale chain of Dinh et al. 2017 ("Density estimation using Real NVP", section 3.6) for images.
//!
//! At each scale but the last: three couplings with alternating checkerboard masks, a squeeze, three with
//! alternating channel masks, then half the channels are factored out. At the last scale: four with
//! checkerboard masks. Masks and squeezes are orders of the features, so that every coupling conditions on the
//! first part of the vector; neighbouring orders are composed into one.

use crate::flow::{ImageShape, Mask};

/// Couplings with checkerboard masks, and with channel masks, at a scale but the last.
const COUPLINGS: usize = 3;
/// Couplings at the last scale.
const LAST_COUPLINGS: usize = 4;

/// A part of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// `z[i] = x[order[i]]`.
    Order(Vec<usize>),
    /// A coupling of the first `active` features that conditions on the first `given`.
    Coupling { active: usize, given: usize },
    /// A soft tail of the first `active` features.
    Tail { active: usize },
    /// Only the first `keep` features go on.
    Split { keep: usize },
}

/// The chain being built; the features stand in `order` of the scale's own layout.
struct Builder {
    pieces: Vec<Piece>,
}

impl Builder {
    /// `z[i] = x[order[i]]`, composed with an order just before.
    fn order(&mut self, order: Vec<usize>) {
        let order = match self.pieces.pop() {
            Some(Piece::Order(before)) => order.into_iter().map(|i| before[i]).collect(),
            Some(other) => {
                self.pieces.push(other);
                order
            }
            None => order,
        };
        if order.iter().enumerate().any(|(i, &from)| i != from) {
            self.pieces.push(Piece::Order(order));
        }
    }

    fn coupling(&mut self, mask: &Mask) {
        let order = mask.order();
        let mut back = vec![0; order.len()];
        for (i, &from) in order.iter().enumerate() {
            back[from] = i;
        }
        let given = mask.given().len();
        self.order(order);
        self.pieces.push(Piece::Coupling { active: mask.0.len(), given });
        self.order(back);
    }
}

/// The chain for images of `shape` over `levels` scales; `Err` with what is wrong.
pub(super) fn chain(shape: ImageShape, levels: usize) -> Result<Vec<Piece>, &'static str> {
    let mut builder = Builder { pieces: Vec::new() };
    let mut shape = shape;
    for _ in 1..levels {
        let (Some(small), Some(squeeze)) = (shape.squeezed(), shape.squeeze()) else {
            return Err("each further scale halves height and width, which must be even: use fewer levels");
        };
        for index in 0..COUPLINGS {
            builder.coupling(&Mask::checkerboard(shape, index % 2 == 0));
        }
        builder.order(squeeze);
        for index in 0..COUPLINGS {
            builder.coupling(&Mask::channels(small, index % 2 == 0));
        }
        // The first half of the channels goes on.
        builder.order(Mask::channels(small, true).order());
        // A tail for what leaves: the base must not meet what couplings have stretched.
        builder.pieces.push(Piece::Tail { active: small.features() });
        builder.pieces.push(Piece::Split { keep: small.features() / 2 });
        shape = ImageShape { channels: small.channels / 2, ..small };
    }
    if shape.height * shape.width < 2 {
        return Err("the last scale must have two pixels: use fewer levels");
    }
    for index in 0..LAST_COUPLINGS {
        builder.coupling(&Mask::checkerboard(shape, index % 2 == 0));
    }
    builder.pieces.push(Piece::Tail { active: shape.features() });
    Ok(builder.pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pieces: &[Piece], of: fn(&Piece) -> bool) -> usize {
        pieces.iter().filter(|p| of(p)).count()
    }

    #[test]
    fn eight_by_eight_over_two_scales() {
        let shape = ImageShape { height: 8, width: 8, channels: 1 };
        let pieces = chain(shape, 2).unwrap();
        assert_eq!(count(&pieces, |p| matches!(p, Piece::Coupling { active: 64, given: 32 })), 6);
        assert_eq!(count(&pieces, |p| matches!(p, Piece::Coupling { active: 32, given: 16 })), 4);
        assert_eq!(count(&pieces, |p| matches!(p, Piece::Split { keep: 32 })), 1);
        // No two orders behind each other.
        for pair in pieces.windows(2) {
            assert!(!matches!(pair, [Piece::Order(_), Piece::Order(_)]));
        }
        // The orders between a scale's couplings swap the squares of a checkerboard or the halves of channels.
        assert!(pieces.iter().all(|p| match p {
            Piece::Order(order) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                sorted.iter().enumerate().all(|(i, &from)| i == from)
            }
            _ => true,
        }));
    }

    #[test]
    fn shapes_that_do_not_halve_are_refused() {
        let shape = |height, width| ImageShape { height, width, channels: 1 };
        assert!(chain(shape(8, 6), 2).is_ok());
        assert!(chain(shape(8, 6), 3).is_err());
        assert!(chain(shape(2, 2), 2).is_err());
        assert!(chain(shape(1, 2), 1).is_ok());
        assert!(chain(shape(8, 8), 3).is_ok());
        assert!(chain(shape(8, 8), 4).is_err());
    }
}
