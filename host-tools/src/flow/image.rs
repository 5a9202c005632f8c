//! Images as feature vectors: row-major, channels last, `i = (row * width + column) * channels + channel`.

use super::Mask;
use std::fmt;
use std::str::FromStr;

/// Shape of an image.
///
/// ```
/// use flowlet_tools::flow::ImageShape;
/// let shape: ImageShape = "8x8".parse()?;
/// assert_eq!(shape, ImageShape { height: 8, width: 8, channels: 1 });
/// assert_eq!(shape.features(), 64);
/// assert_eq!(shape.squeezed().map(|s| s.to_string()), Some("4x4x4".to_owned()));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels of a pixel.
    pub channels: usize,
}

impl ImageShape {
    /// Length of the vector.
    #[must_use]
    pub fn features(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The shape that a squeeze gives: half the height and width, four times the channels; `None` if height or
    /// width are odd.
    #[must_use]
    pub fn squeezed(&self) -> Option<Self> {
        let even = self.height.is_multiple_of(2) && self.width.is_multiple_of(2) && self.features() > 0;
        even.then_some(Self { height: self.height / 2, width: self.width / 2, channels: 4 * self.channels })
    }

    /// Order of the squeeze (Dinh et al. 2017, section 3.6), `z[i] = x[order[i]]`: the four pixels of a square become
    /// channels `4 channel + 2 (row % 2) + column % 2` of one, as in nflows. `None` as for [`Self::squeezed`].
    #[must_use]
    pub fn squeeze(&self) -> Option<Vec<usize>> {
        let small = self.squeezed()?;
        let from = |i: usize| {
            let (pixel, channel) = (i / small.channels, i % small.channels);
            let row = 2 * (pixel / small.width) + channel % 4 / 2;
            let column = 2 * (pixel % small.width) + channel % 2;
            (row * self.width + column) * self.channels + channel / 4
        };
        Some((0..self.features()).map(from).collect())
    }
}

impl FromStr for ImageShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Option<Vec<usize>> = text.split('x').map(|part| part.parse().ok()).collect();
        match sizes.as_deref() {
            Some(&[height, width]) if height > 0 && width > 0 => Ok(Self { height, width, channels: 1 }),
            Some(&[height, width, channels]) if height > 0 && width > 0 && channels > 0 => {
                Ok(Self { height, width, channels })
            }
            _ => Err("must be HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS, such as 8x8".to_owned()),
        }
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

impl Mask {
    /// Checkerboard: pixels whose row and column sum to an even number condition, or, without `even`, the others.
    /// All channels of a pixel go together.
    #[must_use]
    pub fn checkerboard(shape: ImageShape, even: bool) -> Self {
        let black = |i: usize| {
            let pixel = i / shape.channels;
            ((pixel / shape.width + pixel % shape.width).is_multiple_of(2)) == even
        };
        Mask((0..shape.features()).map(black).collect())
    }

    /// The first half of the channels of every pixel conditions, or the rest does.
    #[must_use]
    pub fn channels(shape: ImageShape, first: bool) -> Self {
        Mask((0..shape.features()).map(|i| (i % shape.channels < shape.channels / 2) == first).collect())
    }

    /// The features in the order conditioning, then transformed, each ascending.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        let mut order = self.given();
        order.extend(self.moved());
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_squeeze_gathers_squares_into_channels() {
        let shape = ImageShape { height: 4, width: 4, channels: 1 };
        // Dinh et al. 2017, figure 3: each 2x2 square becomes one pixel.
        let want = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
        assert_eq!(shape.squeeze().as_deref(), Some(&want[..]));
        assert_eq!(ImageShape { height: 3, width: 4, channels: 1 }.squeeze(), None);
        let colour = ImageShape { height: 2, width: 2, channels: 2 };
        assert_eq!(colour.squeeze().as_deref(), Some(&[0, 2, 4, 6, 1, 3, 5, 7][..]));
    }

    #[test]
    fn masks_are_the_papers() {
        let shape = ImageShape { height: 2, width: 3, channels: 1 };
        let even = Mask::checkerboard(shape, true);
        assert_eq!(even.0, [true, false, true, false, true, false]);
        assert_eq!(even.moved(), Mask::checkerboard(shape, false).given());
        let deep = ImageShape { height: 1, width: 2, channels: 4 };
        assert_eq!(Mask::channels(deep, true).given(), [0, 1, 4, 5]);
        assert_eq!(Mask::channels(deep, false).order(), [2, 3, 6, 7, 0, 1, 4, 5]);
    }

    #[test]
    fn shapes_are_read_and_written() {
        let shape: ImageShape = "6x4x3".parse().unwrap();
        assert_eq!(shape.to_string(), "6x4x3");
        for wrong in ["8", "8x", "0x8", "8x8x8x8", "axb", "8x8x0", "-1x4"] {
            assert!(wrong.parse::<ImageShape>().is_err(), "{wrong}");
        }
    }
}
