//! How many false alarms are allowed, as people say it: "1 per week at 1 Hz", "3 per day at 10 Hz", "1 per 1000 readings".

use std::str::FromStr;

/// What is said of a text that cannot be read.
const FORMS: &str = "say it as \"1 per week at 1 Hz\", \"3 per day at 10 Hz\", \"1 per hour every 5 s\" or \"1 per 1000 readings\"";

/// Allowed false alarms, and how many readings they are spread over.
///
/// ```
/// use flowlet_tools::calibration::FalseAlarms;
/// let allowed: FalseAlarms = "1 per week at 1 Hz".parse()?;
/// assert!((allowed.rate() - 1.0 / 604_800.0).abs() < 1e-12);
/// assert!("1 per week".parse::<FalseAlarms>().is_err_and(|e| e.contains("at 1 Hz")));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FalseAlarms {
    text: String,
    count: f64,
    rate: f64,
    per_second: Option<f64>,
}

impl FalseAlarms {
    /// The share of normal readings that may alarm, in (0, 1).
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How many, and per what, for saying another number of alarms in the same terms; `None` if it was not said with "per".
    #[must_use]
    pub fn terms(&self) -> Option<(f64, &str)> {
        let at = self.text.to_ascii_lowercase().find("per ")?;
        Some((self.count, &self.text[at..]))
    }

    /// Readings per second, if it was said of a span of time.
    #[must_use]
    pub fn readings_per_second(&self) -> Option<f64> {
        self.per_second
    }

    /// As it was said.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl FromStr for FalseAlarms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let words = split(&lower);
        let mut words = words.iter().map(String::as_str).peekable();
        let count = match words.next() {
            Some("a" | "an" | "one" | "once") => 1.0,
            Some("twice") => 2.0,
            Some(word) => number(word, "the number of alarms")?,
            None => return Err(format!("nothing is said: {FORMS}")),
        };
        // "1 false alarm per ...", "3 alarms per ..."
        while words.next_if(|w| matches!(*w, "false" | "alarm" | "alarms" | "time" | "times")).is_some() {}
        let per = words.next().unwrap_or_default();
        if !matches!(per, "per" | "a" | "an" | "in" | "/" | "every") {
            return Err(format!("\"per\" is missing behind the number of alarms: {FORMS}"));
        }
        let many = match words.next_if(|w| w.starts_with(|c: char| c.is_ascii_digit() || c == '.')) {
            Some(word) => number(word, "the number behind \"per\"")?,
            None => 1.0,
        };
        let unit = words.next().unwrap_or_default();
        let mut hertz = None;
        let readings = if is_reading(unit) {
            many
        } else {
            let Some(seconds) = seconds(unit) else {
                return Err(format!(
                    "'{unit}' is neither a span of time (second, minute, hour, day, week, month, year) nor \"readings\": {FORMS}"
                ));
            };
            let per_second = *hertz.insert(per_second(&mut words)?);
            many * seconds * per_second
        };
        if let Some(word) = words.next() {
            return Err(format!("'{word}' is one word too many: {FORMS}"));
        }
        let rate = count / readings;
        if !(rate > 0.0 && rate < 1.0) {
            return Err(format!(
                "{count} alarms in {readings} readings is a rate of {rate}, which is not between 0 and 1: allow fewer alarms, \
                 or check how often a reading is taken"
            ));
        }
        if rate < f64::from(f32::MIN_POSITIVE) {
            return Err(format!("{rate:e} alarms per reading is too small a rate to be stored"));
        }
        Ok(FalseAlarms { text: text.trim().to_owned(), count, rate, per_second: hertz })
    }
}

/// How often a reading is taken: "at 10 Hz", "every 5 s".
fn per_second<'w>(words: &mut impl Iterator<Item = &'w str>) -> Result<f64, String> {
    let missing = || {
        format!("how often a reading is taken is missing: add \"at 1 Hz\", or \"every 5 s\" for slower ones; {FORMS}")
    };
    match words.next().ok_or_else(missing)? {
        "at" | "@" => {
            let rate = number(words.next().ok_or_else(missing)?, "the rate of readings")?;
            let unit = words.next().unwrap_or_default();
            match unit {
                "hz" => Ok(rate),
                "khz" => Ok(rate * 1e3),
                "mhz" => Err("MHz or mHz? give the rate in Hz or kHz, or as \"every 5 s\"".to_owned()),
                _ if is_reading(unit) => {
                    let per = words.next().unwrap_or_default();
                    let span =
                        words.next().and_then(seconds).filter(|_| matches!(per, "per" | "a" | "an" | "/"));
                    span.map(|seconds| rate / seconds).ok_or_else(missing)
                }
                _ => Err(format!("'{unit}' is no rate of readings: give Hz or kHz, or \"every 5 s\"")),
            }
        }
        "every" => {
            let next = words.next().ok_or_else(missing)?;
            let (many, unit) = if next.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                (number(next, "the time between readings")?, words.next().ok_or_else(missing)?)
            } else {
                (1.0, next)
            };
            let seconds = seconds(unit)
                .ok_or_else(|| format!("'{unit}' is no span of time: use ms, s, min, h or day"))?;
            Ok(1.0 / (many * seconds))
        }
        other => Err(format!("'{other}' stands where \"at 1 Hz\" or \"every 5 s\" should: {FORMS}")),
    }
}

/// Words, with numbers apart from the units that stick to them ("10hz").
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.replace('/', " / ").replace('@', " @ ").split_whitespace() {
        let digits = part.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        // Not the e of 1e6.
        let end = part
            .char_indices()
            .find(|&(i, c)| {
                let exponent =
                    c == 'e' && part[i + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '-');
                digits && (c.is_alphabetic() || c == 'µ') && !exponent
            })
            .map_or(part.len(), |(i, _)| i);
        words.push(part[..end].to_owned());
        if end < part.len() {
            words.push(part[end..].to_owned());
        }
    }
    words
}

fn number(word: &str, what: &str) -> Result<f64, String> {
    let plain: String = word.chars().filter(|c| !matches!(c, ',' | '_')).collect();
    match plain.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        Ok(_) => Err(format!("{what} is {word}: use a positive one; {FORMS}")),
        Err(_) => Err(format!("'{word}' is not a number where {what} is expected: {FORMS}")),
    }
}

fn is_reading(word: &str) -> bool {
    matches!(word, "reading" | "readings" | "row" | "rows" | "sample" | "samples")
}

/// Seconds of a span of time; a month is a twelfth of a year of 365.25 days.
fn seconds(unit: &str) -> Option<f64> {
    const DAY: f64 = 86_400.0;
    Some(match unit {
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "second" | "seconds" => 1.0,
        "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => DAY,
        "week" | "weeks" => 7.0 * DAY,
        "month" | "months" => 365.25 / 12.0 * DAY,
        "year" | "years" => 365.25 * DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_say_is_understood() {
        for (text, readings_per_alarm) in [
            ("1 per week at 1 Hz", 604_800.0),
            ("3 per day at 10 Hz", 288_000.0),
            ("1 per 1000 readings", 1000.0),
            ("one false alarm per 2 weeks at 0.5 Hz", 604_800.0),
            ("2 alarms per hour every 5 s", 360.0),
            ("1/day @ 10Hz", 864_000.0),
            ("once a month every 10min", 4383.0),
            ("1 per year at 4 readings per hour", 35_064.0),
            ("1 per 1e6 samples", 1e6),
            ("5 per 10,000 rows", 2000.0),
            ("1 per minute every 20ms", 3000.0),
            ("1 per day at 1.5 kHz", 129_600_000.0),
        ] {
            let rate = text.parse::<FalseAlarms>().unwrap_or_else(|e| panic!("{text}: {e}")).rate();
            assert!((rate * readings_per_alarm - 1.0).abs() < 1e-9, "{text}: 1 in {}", 1.0 / rate);
        }
    }

    #[test]
    fn what_is_not_understood_is_taught() {
        for (text, part) in [
            ("", "1 per week at 1 Hz"),
            ("few", "'few' is not a number"),
            ("1", "\"per\" is missing"),
            ("1 per week", "how often a reading is taken is missing"),
            ("1 per fortnight at 1 Hz", "'fortnight' is neither a span of time"),
            ("1 per week at 1", "'' is no rate"),
            ("1 per week at 1 mHz", "MHz or mHz"),
            ("1 per week with 1 Hz", "'with' stands where"),
            ("0 per week at 1 Hz", "use a positive one"),
            ("5 per second at 2 Hz", "not between 0 and 1"),
            ("1 per 1 reading", "not between 0 and 1"),
            ("1 per week at 1 Hz please", "'please' is one word too many"),
            ("1 per week every blue moon", "'blue' is no span of time"),
        ] {
            let error = text.parse::<FalseAlarms>().expect_err(text);
            assert!(error.contains(part), "'{part}' is not in '{error}' for '{text}'");
        }
    }
}
