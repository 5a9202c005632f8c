//! Monotone maps of single features.

use super::widen;
use crate::flow::{Marginal, MarginalKind};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MarginalStage {
    form: MarginalKind,
    features: Vec<Map>,
}

#[derive(Clone, Debug, PartialEq)]
struct Map {
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl MarginalStage {
    pub(super) fn new(t: &Marginal) -> Self {
        let features =
            t.features.iter().map(|m| Map { x: widen(&m.x), y: widen(&m.y), slopes: widen(&m.slopes) });
        Self { form: t.form, features: features.collect() }
    }

    pub(super) fn forward(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let (z, slopes): (Vec<f64>, Vec<f64>) =
            self.features.iter().zip(x).map(|(map, &x)| map.forward(self.form, x)).unzip();
        (z, slopes.iter().map(|s| s.ln()).sum())
    }

    pub(super) fn inverse(&self, z: &[f64]) -> Vec<f64> {
        self.features.iter().zip(z).map(|(map, &z)| map.inverse(self.form, z)).collect()
    }
}

impl Map {
    /// Index of the bin that holds `value`, or the end beyond which it lies and the slope there.
    fn bin(&self, along: &[f64], value: f64) -> Result<usize, (usize, f64)> {
        let last = along.len() - 1;
        if value < along[0] {
            Err((0, self.slopes[0]))
        } else if value >= along[last] {
            Err((last, self.slopes[self.slopes.len() - 1]))
        } else {
            Ok(along.iter().rposition(|&k| k <= value).unwrap_or(0))
        }
    }

    /// Width, height and mean slope.
    fn size(&self, bin: usize) -> (f64, f64, f64) {
        let (w, h) = (self.x[bin + 1] - self.x[bin], self.y[bin + 1] - self.y[bin]);
        (w, h, h / w)
    }

    /// Image and slope.
    fn forward(&self, form: MarginalKind, x: f64) -> (f64, f64) {
        let bin = match self.bin(&self.x, x) {
            Err((end, slope)) => return (self.y[end] + slope * (x - self.x[end]), slope),
            Ok(bin) => bin,
        };
        let (w, h, s) = self.size(bin);
        let u = (x - self.x[bin]) / w;
        if form == MarginalKind::Linear {
            return (self.y[bin] + h * u, s);
        }
        // Durkan et al. 2019, equations 4 and 5.
        let (d0, d1) = (self.slopes[bin], self.slopes[bin + 1]);
        let uv = u * (1.0 - u);
        let below = s + (d1 + d0 - 2.0 * s) * uv;
        let rise = d1 * u * u + 2.0 * s * uv + d0 * (1.0 - u) * (1.0 - u);
        (self.y[bin] + h * (s * u * u + d0 * uv) / below, s * s * rise / (below * below))
    }

    fn inverse(&self, form: MarginalKind, z: f64) -> f64 {
        let bin = match self.bin(&self.y, z) {
            Err((end, slope)) => return self.x[end] + (z - self.y[end]) / slope,
            Ok(bin) => bin,
        };
        let (w, h, s) = self.size(bin);
        let rise = z - self.y[bin];
        if form == MarginalKind::Linear {
            return self.x[bin] + rise / s;
        }
        // Equations 6 to 8.
        let (d0, d1) = (self.slopes[bin], self.slopes[bin + 1]);
        let bend = d1 + d0 - 2.0 * s;
        let a = h * (s - d0) + rise * bend;
        let b = h * d0 - rise * bend;
        let c = -s * rise;
        self.x[bin] + w * 2.0 * c / (-b - (b * b - 4.0 * a * c).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::MarginalMap;

    #[test]
    fn maps_pass_their_knots_and_invert() {
        let map = MarginalMap {
            x: vec![-1.0, -0.5, 0.75, 2.0],
            y: vec![-2.0, -1.0, 0.25, 3.0],
            slopes: vec![0.5, 3.0, 0.25, 2.0],
        };
        for (form, slopes) in
            [(MarginalKind::Linear, vec![0.5, 2.0]), (MarginalKind::RationalQuadratic, map.slopes.clone())]
        {
            let stage =
                MarginalStage::new(&Marginal { form, features: vec![MarginalMap { slopes, ..map.clone() }] });
            for (x, y) in map.x.iter().zip(&map.y) {
                assert!((stage.forward(&[f64::from(*x)]).0[0] - f64::from(*y)).abs() < 1e-12);
            }
            for i in -300..400 {
                let x = f64::from(i) / 100.0 + 0.001;
                let (z, log_slope) = stage.forward(&[x]);
                assert!((stage.inverse(&z)[0] - x).abs() < 1e-12);
                let difference = (stage.forward(&[x + 1e-6]).0[0] - stage.forward(&[x - 1e-6]).0[0]) / 2e-6;
                assert!((difference.ln() - log_slope).abs() < 1e-5, "{x}");
            }
            assert_eq!(stage.forward(&[-3.0]), (vec![-3.0], 0.5f64.ln()));
            assert_eq!(stage.forward(&[4.0]), (vec![7.0], 2f64.ln()));
        }
    }
}
