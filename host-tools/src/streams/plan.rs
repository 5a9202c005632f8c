//! From a specification to the front-end record of an image: channels are known now, the rate, and the data.

use super::spec::{BandsSpec, CorrelationSpec, EnvelopeSpec, FormSpec, SamplesKind, Spec, SpecError};
use crate::table::Table;
use flowlet::stream::front_end::{
    Channel, Extractor, Form, FrontEndHead, Samples, LONGEST_WINDOW_F32, LONGEST_WINDOW_I16,
    SHORTEST_SPECTRUM, SHORTEST_WINDOW,
};
use flowlet::stream::FrontEnd;
use std::ops::Range;

/// A front end, and what its features are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The record, as the image holds it.
    pub record: Vec<u8>,
    /// The same with the hop of the windows that are trained on.
    pub training_record: Vec<u8>,
    /// Names of the features.
    pub names: Vec<String>,
    /// Their units.
    pub units: Vec<String>,
    /// What a user should know; one sentence each.
    pub notes: Vec<String>,
}

impl Plan {
    /// For channels of these tables, all with the same columns, at a rate in Hz.
    ///
    /// # Errors
    /// [`SpecError`] where the specification does not go with them.
    pub fn new(spec: &Spec, rate: f32, tables: &[Table]) -> Result<Self, SpecError> {
        let names = tables.first().map(|table| table.columns.clone()).unwrap_or_default();
        let content = &spec.content;
        let samples = match content.samples {
            SamplesKind::F32 => Samples::F32,
            SamplesKind::I16 => Samples::I16,
        };
        let window = window(spec, samples)?;
        let hop = content.hop.as_ref().map_or(window, |hop| *hop.get_ref());
        let training_hop = content.training_hop.as_ref().map_or(hop, |hop| *hop.get_ref());
        for (key, hop) in [("hop", &content.hop), ("training-hop", &content.training_hop)] {
            if let Some(wrong) = hop.as_ref().filter(|hop| *hop.get_ref() == 0) {
                let problem = format!("{key} = 0: windows would never move on; use 1 or more samples");
                return Err(spec.wrong(wrong.span(), problem));
            }
        }
        for channel in &content.channel {
            if !names.contains(channel.name.get_ref()) {
                let problem =
                    format!("no channel '{}'; the data have {}", channel.name.get_ref(), names.join(", "));
                return Err(spec.wrong(channel.name.span(), problem));
            }
        }
        let mut plan = Plan::default();
        let scales: Vec<Scale> = (0..names.len())
            .map(|index| scale(spec, samples, &names[index], tables, index))
            .collect::<Result<_, _>>()?;
        let mut builder = Builder { spec, window, rate: f64::from(rate), extractors: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            builder.channel(index as u8, name, &scales[index].unit, &mut plan)?;
        }
        builder.correlations(&names, &mut plan)?;

        let head = FrontEndHead {
            version: flowlet::stream::front_end::record::VERSION,
            samples,
            rate,
            window: window as u16,
            hop,
            channels: names.len() as u8,
            extractors: builder.extractors.len() as u16,
        };
        let encoded = |error: postcard::Error| spec.wrong_at_all(error.to_string());
        let mut behind = Vec::new();
        for (name, scale) in names.iter().zip(&scales) {
            let channel = Channel { name, unit: &scale.unit, scale: scale.scale, floor: scale.floor };
            behind.extend(postcard::to_stdvec(&channel).map_err(encoded)?);
        }
        for bytes in &builder.extractors {
            behind.extend_from_slice(bytes);
        }
        let heads = [head, FrontEndHead { hop: training_hop, ..head }];
        for (head, record) in heads.iter().zip([&mut plan.record, &mut plan.training_record]) {
            record.extend(postcard::to_stdvec(head).map_err(encoded)?);
            record.extend_from_slice(&behind);
        }
        // The device has the last word.
        let front_end = FrontEnd::parse(&plan.record).map_err(|error| {
            spec.wrong_at_all(format!(
                "{error}: {} features of {} channels (at most 256 and 16), or a rate of {rate} Hz out of range",
                plan.names.len(),
                names.len()
            ))
        })?;
        debug_assert_eq!(front_end.features(), plan.names.len());
        Ok(plan)
    }
}

fn window(spec: &Spec, samples: Samples) -> Result<u32, SpecError> {
    let given = &spec.content.window;
    let window = *given.get_ref();
    let longest = if samples == Samples::F32 { LONGEST_WINDOW_F32 } else { LONGEST_WINDOW_I16 };
    if !(SHORTEST_WINDOW..=longest).contains(&(window as usize)) {
        let problem = format!("window = {window}: use {SHORTEST_WINDOW} to {longest} samples");
        return Err(spec.wrong(given.span(), problem));
    }
    let features = &spec.content.features;
    let has_spectrum =
        features.bands.is_some() || features.centroid.is_some() || !features.envelope.is_empty();
    if has_spectrum && (!window.is_power_of_two() || (window as usize) < SHORTEST_SPECTRUM) {
        let problem = format!(
            "window = {window}: bands, centroid and envelope need a power of two from {SHORTEST_SPECTRUM} on, such as {}",
            window.next_power_of_two().max(SHORTEST_SPECTRUM as u32).min(longest as u32)
        );
        return Err(spec.wrong(given.span(), problem));
    }
    Ok(window)
}

/// What the record says of a channel.
struct Scale {
    unit: String,
    scale: f32,
    floor: f32,
}

fn scale(
    spec: &Spec,
    samples: Samples,
    name: &str,
    tables: &[Table],
    index: usize,
) -> Result<Scale, SpecError> {
    let given = spec.content.channel.iter().find(|channel| channel.name.get_ref() == name);
    let unit = given.map(|channel| channel.unit.clone()).unwrap_or_default();
    for (key, value) in
        given.iter().flat_map(|channel| [("scale", &channel.scale), ("floor", &channel.floor)])
    {
        if let Some(value) = value.as_ref().filter(|value| !(1e-15..1e15).contains(value.get_ref())) {
            let problem = format!("{key} = {}: use a number from 1e-15 to 1e15, in units", value.get_ref());
            return Err(spec.wrong(value.span(), problem));
        }
    }
    let values = || tables.iter().flat_map(move |table| table.iter_rows().map(move |row| row[index]));
    let stated = given.and_then(|channel| channel.scale.as_ref()).map(|scale| *scale.get_ref() as f32);
    if samples == Samples::I16 && stated.is_none() {
        let is_count = |x: f32| x.fract() == 0.0 && (-32768.0..=32767.0).contains(&x);
        if let Some(other) = values().find(|&x| !is_count(x)) {
            return Err(spec.wrong_at_all(format!(
                "samples = \"i16\" needs counts, and channel '{name}' has {other}: say what a count is, [[channel]] name = \
                 \"{name}\", scale = 0.001"
            )));
        }
    }
    let floor = given.and_then(|channel| channel.floor.as_ref()).map(|floor| *floor.get_ref() as f32);
    let floor = floor.unwrap_or_else(|| match stated {
        // Below what rounding to counts adds to any window.
        Some(scale) => scale / 16.0,
        None if samples == Samples::I16 => 1.0 / 16.0,
        None => usual_floor(&values().map(f64::from).collect::<Vec<_>>()),
    });
    Ok(Scale { unit, scale: stated.unwrap_or(1.0), floor })
}

/// 2^-20 of a channel's deviation, as a power of two: where f32 samples end to say anything.
fn usual_floor(values: &[f64]) -> f32 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    let deviation = if deviation > 0.0 { deviation } else { 1.0 };
    (deviation.log2().floor() - 20.0).clamp(-50.0, 50.0).exp2() as f32
}

/// Collects extractors.
struct Builder<'s> {
    spec: &'s Spec,
    window: u32,
    rate: f64,
    extractors: Vec<Vec<u8>>,
}

impl From<FormSpec> for Form {
    fn from(spec: FormSpec) -> Self {
        match spec {
            FormSpec::Plain => Form::Plain,
            FormSpec::Log2 => Form::Log2,
        }
    }
}

/// Unit of an amplitude in a form.
fn unit_of(unit: &str, form: Form) -> String {
    match form {
        Form::Plain => unit.to_owned(),
        Form::Log2 if unit.is_empty() => "octaves".to_owned(),
        Form::Log2 => format!("log2 {unit}"),
    }
}

impl Builder<'_> {
    fn push(&mut self, extractor: &Extractor<'_>) -> Result<(), SpecError> {
        let bytes = postcard::to_stdvec(extractor).map_err(|e| self.spec.wrong_at_all(e.to_string()))?;
        self.extractors.push(bytes);
        Ok(())
    }

    fn hz(&self, bin: u32) -> f64 {
        f64::from(bin) * self.rate / f64::from(self.window)
    }

    fn bin(&self, hz: f64) -> u32 {
        (hz * f64::from(self.window) / self.rate).round().clamp(0.0, 1e9) as u32
    }

    /// All extractors of a channel, those that share the moments or the spectrum together.
    fn channel(&mut self, channel: u8, name: &str, unit: &str, plan: &mut Plan) -> Result<(), SpecError> {
        let features = &self.spec.content.features;
        let mut one = |builder: &mut Self, extractor: Extractor<'_>, what: &str, unit: String| {
            plan.names.push(format!("{name}.{what}"));
            plan.units.push(unit);
            builder.push(&extractor)
        };
        if features.mean {
            one(self, Extractor::Mean { channel }, "mean", unit.to_owned())?;
        }
        if let Some(form) = features.rms.map(Form::from) {
            one(self, Extractor::Rms { channel, form }, "rms", unit_of(unit, form))?;
        }
        if let Some(form) = features.peak.map(Form::from) {
            one(self, Extractor::Peak { channel, form }, "peak", unit_of(unit, form))?;
        }
        if let Some(form) = features.crest.map(Form::from) {
            one(self, Extractor::Crest { channel, form }, "crest", unit_of("", form))?;
        }
        if let Some(form) = features.kurtosis.map(Form::from) {
            one(self, Extractor::Kurtosis { channel, form }, "kurtosis", unit_of("", form))?;
        }
        if features.skewness {
            one(self, Extractor::Skewness { channel }, "skewness", String::new())?;
        }
        if features.zero_crossings {
            one(self, Extractor::ZeroCrossings { channel }, "zero-crossings", String::new())?;
        }
        if let Some(form) = features.jerk.map(Form::from) {
            let per_second = if unit.is_empty() { String::new() } else { format!("{unit}/s") };
            one(self, Extractor::Jerk { channel, form }, "jerk", unit_of(&per_second, form))?;
        }
        if let Some(form) = features.centroid.map(Form::from) {
            let to = (self.window / 2) as u16;
            let extractor = Extractor::Centroid { channel, form, from: 1, to };
            one(self, extractor, "centroid", unit_of("Hz", form))?;
        }
        if let Some(bands) = &features.bands {
            let form = bands.get_ref().form.map_or(Form::Log2, Form::from);
            let bins = self.bands(bands.get_ref(), bands.span())?;
            let bytes = self.named(&bins, name, "band", &unit_of(unit, form), plan);
            self.push(&Extractor::Bands { channel, form, edges: &bytes })?;
        }
        for (number, envelope) in features.envelope.iter().enumerate() {
            let form = envelope.get_ref().form.map_or(Form::Log2, Form::from);
            let (band, bins) = self.envelope(envelope.get_ref(), envelope.span())?;
            let what = if number == 0 { "envelope".to_owned() } else { format!("envelope{}", number + 1) };
            let bytes = self.named(&bins, name, &what, &unit_of("", form), plan);
            let (from, to) = (band.start as u16, band.end as u16);
            self.push(&Extractor::Envelope { channel, form, from, to, edges: &bytes })?;
        }
        Ok(())
    }

    /// Names bands by their edges in Hz; gives the edges as the record has them.
    fn named(&self, bins: &[u32], name: &str, what: &str, unit: &str, plan: &mut Plan) -> Vec<u8> {
        for pair in bins.windows(2) {
            plan.names.push(format!(
                "{name}.{what}_{}-{}Hz",
                short(self.hz(pair[0])),
                short(self.hz(pair[1]))
            ));
            plan.units.push(unit.to_owned());
        }
        bins.iter().flat_map(|&bin| (bin as u16).to_le_bytes()).collect()
    }

    /// A share of half the rate or a frequency, as a bin.
    fn place(&self, share: Option<f64>, hz: Option<f64>, otherwise: u32) -> u32 {
        match (hz, share) {
            (Some(hz), _) => self.bin(hz),
            (None, Some(share)) => self.bin(share * self.rate / 2.0),
            (None, None) => otherwise,
        }
    }

    fn bands(&self, spec: &BandsSpec, span: Range<usize>) -> Result<Vec<u32>, SpecError> {
        let half = self.window / 2;
        let from = self.place(spec.from, spec.from_hz, 1);
        let to = self.place(spec.to, spec.to_hz, half);
        let bins: Vec<u32> = match (&spec.edges_hz, spec.octaves, spec.even) {
            (Some(edges), None, None) => edges.iter().map(|&hz| self.bin(hz)).collect(),
            (None, Some(octaves), None) => {
                (0..=octaves).rev().map(|down| to.checked_shr(down).unwrap_or(0)).collect()
            }
            (None, None, Some(bands)) if bands > 0 => {
                let width = f64::from(to.saturating_sub(from)) / f64::from(bands);
                (0..=bands).map(|i| from + (f64::from(i) * width).round() as u32).collect()
            }
            _ => {
                let problem = "bands need one of octaves = 7, even = 12 or edges_hz = [100, 1000, 5000]";
                return Err(self.spec.wrong(span, problem));
            }
        };
        self.checked(bins, half, "bands", span)
    }

    fn envelope(&self, spec: &EnvelopeSpec, span: Range<usize>) -> Result<(Range<u32>, Vec<u32>), SpecError> {
        let half = self.window / 2;
        let band = self.place(spec.from, spec.from_hz, half / 8)..self.place(spec.to, spec.to_hz, half / 2);
        let width = band.end.saturating_sub(band.start);
        if band.start == 0 || band.end > half || !(4..=half / 2).contains(&width) {
            let problem = format!(
                "an envelope from {} to {} Hz: a band of {} to {} Hz, above 0 and up to {} Hz, is needed",
                short(self.hz(band.start)),
                short(self.hz(band.end)),
                short(self.hz(4)),
                short(self.hz(half / 2)),
                short(self.hz(half))
            );
            return Err(self.spec.wrong(span, problem));
        }
        let top = self.place(spec.up_to, spec.up_to_hz, width).min(width);
        let bins = match (&spec.edges_hz, spec.octaves) {
            (Some(edges), None) => edges.iter().map(|&hz| self.bin(hz)).collect(),
            (None, Some(octaves)) => {
                (0..=octaves).rev().map(|down| top.checked_shr(down).unwrap_or(0)).collect()
            }
            _ => {
                let problem = "an envelope needs one of octaves = 5 or edges_hz = [20, 50, 200]";
                return Err(self.spec.wrong(span, problem));
            }
        };
        Ok((band, self.checked(bins, width, "modulation bands", span)?))
    }

    fn checked(
        &self,
        bins: Vec<u32>,
        most: u32,
        what: &str,
        span: Range<usize>,
    ) -> Result<Vec<u32>, SpecError> {
        let ascends = bins.windows(2).all(|pair| pair[0] < pair[1]);
        if ascends && (2..=65).contains(&bins.len()) && bins[0] >= 1 && bins.iter().all(|&bin| bin <= most) {
            return Ok(bins);
        }
        let edges: Vec<String> = bins.iter().map(|&bin| short(self.hz(bin))).collect();
        Err(self.spec.wrong(
            span,
            format!(
                "{what} with edges at {} Hz: they must ascend by one bin or more each ({} Hz), from there up to {} Hz, 64 \
                 bands at most; fewer or wider bands, or a longer window, will do",
                edges.join(", "),
                short(self.hz(1)),
                short(self.hz(most))
            ),
        ))
    }

    fn correlations(&mut self, names: &[String], plan: &mut Plan) -> Result<(), SpecError> {
        let Some(spec) = &self.spec.content.features.correlation else { return Ok(()) };
        let pairs: Vec<(usize, usize)> = match spec.get_ref() {
            CorrelationSpec::All(all) if all == "all" => {
                (0..names.len()).flat_map(|a| (a + 1..names.len()).map(move |b| (a, b))).collect()
            }
            CorrelationSpec::All(other) => {
                let problem = format!("correlation = \"{other}\": use \"all\" or pairs, [[\"a\", \"b\"]]");
                return Err(self.spec.wrong(spec.span(), problem));
            }
            CorrelationSpec::Pairs(pairs) => {
                let find = |name: &String| {
                    names.iter().position(|n| n == name).ok_or_else(|| {
                        let problem = format!("no channel '{name}'; the data have {}", names.join(", "));
                        self.spec.wrong(spec.span(), problem)
                    })
                };
                pairs.iter().map(|[a, b]| Ok((find(a)?, find(b)?))).collect::<Result<_, SpecError>>()?
            }
        };
        for (a, b) in pairs {
            if a == b {
                let problem = format!("'{}' with itself: a pair has two channels", names[a]);
                return Err(self.spec.wrong(spec.span(), problem));
            }
            self.push(&Extractor::Correlation { channel: a as u8, other: b as u8 })?;
            plan.names.push(format!("{}~{}.correlation", names[a], names[b]));
            plan.units.push(String::new());
        }
        Ok(())
    }
}

/// A frequency for a name: whole, or with three digits that count.
fn short(hz: f64) -> String {
    if hz >= 100.0 || hz.fract() == 0.0 {
        return format!("{hz:.0}");
    }
    let places = (2.0 - hz.log10().floor()).max(0.0) as usize;
    format!("{hz:.places$}")
}
