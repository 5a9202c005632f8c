//! Plots: a stretched SVG for what is drawn, and HTML over it for what is read.
//!
//! Plots are our own and not a plotting crate's, as those write fixed colours and sizes: here colours are classes that a
//! style sheet gives for light and dark, the drawing takes whatever width there is, and letters keep their size on a
//! telephone as on a desk.

use std::fmt::Write;

/// Units of a drawing in either direction.
const SIDE: f64 = 1000.0;

/// From values to places on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Even.
    Linear,
    /// Powers of ten are even; for positive values.
    Log,
    /// Even around a centre, and powers of ten beyond a distance from it.
    Far { centre: f64, near: f64 },
}

/// One axis: its range, and how values lie on it.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    label: String,
}

impl Axis {
    pub(super) fn new(scale: Scale, low: f64, high: f64, label: &str) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        // A single value still needs a place in the middle.
        let wider = if low == 0.0 { 0.5 } else { 0.1 * low.abs() };
        let (low, high) = if high > low { (low, high) } else { (low - wider, low + wider) };
        Self { scale, low, high, label: label.to_owned() }
    }

    pub(super) fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn stretched(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).ln(),
            Scale::Far { centre, near } => ((value - centre) / near).asinh(),
        }
    }

    /// Where a value lies, from 0 to 1; values outside at the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.stretched(self.low), self.stretched(self.high));
        ((self.stretched(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The value at a place.
    pub(super) fn value(&self, place: f64) -> f64 {
        let (low, high) = (self.stretched(self.low), self.stretched(self.high));
        let at = low + place * (high - low);
        match self.scale {
            Scale::Linear => at,
            Scale::Log => at.exp(),
            Scale::Far { centre, near } => centre + near * at.sinh(),
        }
    }

    /// Round values at least `apart` from each other: the roundest first.
    fn ticks(&self, apart: f64) -> Vec<f64> {
        let mut candidates: Vec<(u8, f64)> = vec![(0, 0.0)];
        if self.scale == Scale::Linear {
            let step = nice_step((self.high - self.low) * apart.max(0.12));
            let first = (self.low / step).ceil() as i64;
            return (first..)
                .map(|i| i as f64 * step)
                .take_while(|&v| v <= self.high + 1e-9 * step)
                .collect();
        }
        for exponent in -12..13 {
            for (rank, mantissa) in [(1, 1.0), (2, 3.0), (2, 2.0), (3, 5.0)] {
                let value = mantissa * 10_f64.powi(exponent);
                candidates.extend([(rank, value), (rank, -value)]);
            }
        }
        candidates.retain(|&(_, value)| value >= self.low && value <= self.high);
        candidates.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.abs().total_cmp(&a.1.abs())));
        let mut kept: Vec<f64> = Vec::new();
        for (_, value) in candidates {
            if kept.iter().all(|&k| (self.place(k) - self.place(value)).abs() >= apart) {
                kept.push(value);
            }
        }
        kept
    }
}

fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|&s| s >= least).unwrap_or(10.0 * power)
}

/// A plot that is being drawn.
pub(super) struct Plot {
    pub(super) x: Axis,
    pub(super) y: Axis,
    drawn: String,
    written: String,
    title: String,
    description: String,
}

impl Plot {
    /// `title` and `description` are for those who do not see it.
    pub(super) fn new(x: Axis, y: Axis, title: &str, description: &str) -> Self {
        let (drawn, written) = (String::new(), String::new());
        Self { x, y, drawn, written, title: title.to_owned(), description: description.to_owned() }
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (SIDE * self.x.place(x), SIDE * (1.0 - self.y.place(y)))
    }

    /// A polyline.
    pub(super) fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let path = self.path(points);
        let _ = write!(self.drawn, "<path class=\"line {class}\" d=\"{path}\"/>");
    }

    /// The area between points and the bottom.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)]) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let path = self.path(points.iter().copied());
        let (left, right) = (SIDE * self.x.place(first.0), SIDE * self.x.place(last.0));
        let _ = write!(
            self.drawn,
            "<path class=\"area {class}\" d=\"{path}L{right:.1} {SIDE}L{left:.1} {SIDE}Z\"/>\
             <path class=\"line {class}\" d=\"{path}\"/>"
        );
    }

    fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            let (x, y) = self.at(x, y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
        }
        path
    }

    /// Upright bars from one height to another, as one shape.
    pub(super) fn bars(&mut self, class: &str, bars: impl IntoIterator<Item = (f64, f64, f64, f64)>) {
        let mut path = String::new();
        for (left, right, low, high) in bars {
            let ((left, bottom), (right, top)) = (self.at(left, low), self.at(right, high));
            // A bar of no height would vanish.
            let height = (bottom - top).max(6.0);
            let _ = write!(path, "M{left:.1} {top:.1}H{right:.1}v{height:.1}H{left:.1}Z");
        }
        let _ = write!(self.drawn, "<path class=\"bar {class}\" d=\"{path}\"/>");
    }

    /// Round dots, which stay round however the drawing is stretched.
    pub(super) fn dots(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let mut path = String::new();
        for (x, y) in points {
            let (x, y) = self.at(x, y);
            let _ = write!(path, "M{x:.1} {y:.1}h0");
        }
        let _ = write!(self.drawn, "<path class=\"dot {class}\" d=\"{path}\"/>");
    }

    /// An upright line across the plot, with words at its head.
    pub(super) fn upright(&mut self, class: &str, x: f64, words: &str) {
        let place = self.x.place(x);
        let _ = write!(self.drawn, "<path class=\"line {class}\" d=\"M{:.1} 0V{SIDE}\"/>", SIDE * place);
        self.words(place, 1.0, words);
    }

    /// A level line across the plot, with words at its right end.
    pub(super) fn level(&mut self, class: &str, y: f64, words: &str) {
        let place = self.y.place(y);
        let _ =
            write!(self.drawn, "<path class=\"line {class}\" d=\"M0 {:.1}H{SIDE}\"/>", SIDE * (1.0 - place));
        self.words(1.0, place, words);
    }

    /// Words beside a point.
    pub(super) fn label(&mut self, x: f64, y: f64, words: &str) {
        self.words(self.x.place(x), self.y.place(y), words);
    }

    fn words(&mut self, x: f64, y: f64, words: &str) {
        if words.is_empty() {
            return;
        }
        // Towards the middle, so that they stay inside.
        let side = if x > 0.5 {
            format!("right:{:.2}%", 100.0 * (1.0 - x))
        } else {
            format!("left:{:.2}%", 100.0 * x)
        };
        let height = if y > 0.9 { "top:0".to_owned() } else { format!("bottom:{:.2}%", 100.0 * y) };
        let _ =
            write!(self.written, "<span class=\"word\" style=\"{side};{height}\">{}</span>", escape(words));
    }

    /// The plot as HTML; `class` chooses its height.
    pub(super) fn finish(self, class: &str) -> String {
        let (mut grid, mut ticks) = (String::new(), String::new());
        let across = self.x.ticks(0.16);
        let up = self.y.ticks(0.2);
        for &value in &up {
            let place = self.y.place(value);
            let _ = write!(grid, "M0 {:.1}H{SIDE}", SIDE * (1.0 - place));
            let _ = write!(
                ticks,
                "<span class=\"ty\" style=\"bottom:{:.2}%\">{}</span>",
                100.0 * place,
                number(value)
            );
        }
        for &value in &across {
            let place = 100.0 * self.x.place(value);
            let _ = write!(ticks, "<span class=\"tx\" style=\"left:{place:.2}%\">{}</span>", number(value));
        }
        format!(
            "<div class=\"plot {class}\"><p class=\"axis\" aria-hidden=\"true\">{}</p><div class=\"field\">\
             <svg viewBox=\"0 0 {SIDE} {SIDE}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\
             <title>{}</title><desc>{}</desc><path class=\"grid\" d=\"{grid}\"/>{}</svg>\
             <div aria-hidden=\"true\">{ticks}{}</div></div><p class=\"axis below\" aria-hidden=\"true\">{}</p></div>",
            escape(&self.y.label),
            escape(&format!("{}. {}", self.title, self.description)),
            escape(&self.title),
            escape(&self.description),
            self.drawn,
            self.written,
            escape(&self.x.label),
        )
    }
}

/// Text that means nothing to a browser.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A number as one reads it: four digits that count, thousands apart.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "\u{2013}".to_owned();
    }
    let size = value.abs();
    let text = if value == 0.0 {
        return "0".to_owned();
    } else if !(1e-4..1e7).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e").replace('-', "\u{2212}");
    } else if size >= 1000.0 {
        let grouped = crate::cli::grouped(size.round() as usize);
        if value < 0.0 {
            format!("-{grouped}")
        } else {
            grouped
        }
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    text.replace('-', "\u{2212}")
}

/// A share in percent: as many digits as tell it from nothing and from all.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let from_edge = percent.min(100.0 - percent);
    let digits = if from_edge > 10.0 {
        1
    } else if from_edge > 0.0 {
        (1 - from_edge.log10().floor() as i32).clamp(1, 5) as usize
    } else {
        0
    };
    let text = format!("{percent:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}\u{a0}%")
}

/// An item of a legend: what a colour means.
pub(super) fn key(class: &str, words: &str) -> String {
    format!("<span class=\"item\"><span class=\"key {class}\"></span>{words}</span> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let found = [0.0, 0.25, 1234.5, -2.71951, 2e-7, 1e9, 99.996, 0.000_123_4].map(number);
        assert_eq!(found, ["0", "0.25", "1,235", "\u{2212}2.72", "2e\u{2212}7", "1e9", "100", "0.0001234"]);
        let shares = [0.0, 0.012_34, 0.5, 0.000_057, 0.9998, 1.0].map(percent);
        let wanted = ["0", "1.2", "50", "0.0057", "99.98", "100"].map(|text| format!("{text}\u{a0}%"));
        assert_eq!(shares, wanted);
    }

    #[test]
    fn an_axis_undoes_itself_and_keeps_its_ticks_apart() {
        for scale in [Scale::Linear, Scale::Log, Scale::Far { centre: 2.0, near: 5.0 }] {
            let axis = Axis::new(scale, 1.0, 5000.0, "");
            for value in [1.0, 3.0, 42.0, 5000.0] {
                assert!((axis.value(axis.place(value)) - value).abs() < 1e-6 * value, "{scale:?} {value}");
            }
            let places: Vec<f64> = axis.ticks(0.16).into_iter().map(|v| axis.place(v)).collect();
            assert!(places.len() >= 2, "{scale:?}");
            for (i, a) in places.iter().enumerate() {
                assert!(places[i + 1..].iter().all(|b| (a - b).abs() > 0.11), "{scale:?} {places:?}");
            }
        }
        assert_eq!(Axis::new(Scale::Linear, 3.0, 3.0, "").place(3.0), 0.5);
    }

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escape("<b a=\"'\">&\n"), "&lt;b a=&quot;&#39;&quot;&gt;&amp; ");
    }
}
