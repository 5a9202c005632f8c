//! Several flows over the same inputs, and how they judge a reading together.

use super::assemble::Verdict;
use super::{Combine, ExportError, Sketch, Statistic};
use crate::flow::Flow;
use flowlet::image::descriptor::MAX_EXPERTS;
use std::borrow::Cow;

/// What goes into one image: experts, how their log-densities combine, and the statistic in use.
///
/// A single flow is an ensemble of one:
///
/// ```
/// use flowlet_tools::export::{Combine, Ensemble, Statistic};
/// use flowlet_tools::flow::Flow;
/// let (first, second) = (Flow::default(), Flow::default());
/// assert_eq!(Ensemble::from(&first).combine, Combine::Quoted);
/// let both = Ensemble { combine: Combine::Minimum, ..Ensemble::new(vec![first, second]) };
/// assert_eq!((both.quoted, both.statistic), (0, Statistic::NegativeLogProb));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble<'f> {
    /// 1 to 8 flows over the same inputs, with the same standardizer in front.
    pub experts: Cow<'f, [Flow]>,
    /// How their log-densities become one. With [`Combine::Quoted`] the others are carried and not run.
    pub combine: Combine,
    /// The expert whose log-density is `log_prob`.
    pub quoted: usize,
    /// What is compared with the threshold.
    pub statistic: Statistic,
}

impl Ensemble<'static> {
    /// Experts of which the first speaks; by `-log_prob`.
    #[must_use]
    pub fn new(experts: Vec<Flow>) -> Self {
        let (combine, statistic) = (Combine::Quoted, Statistic::NegativeLogProb);
        Ensemble { experts: Cow::Owned(experts), combine, quoted: 0, statistic }
    }
}

impl<'f> From<&'f Flow> for Ensemble<'f> {
    fn from(flow: &'f Flow) -> Self {
        Ensemble { experts: Cow::Borrowed(std::slice::from_ref(flow)), ..Ensemble::new(Vec::new()) }
    }
}

impl<'f> From<&'f Ensemble<'_>> for Ensemble<'f> {
    fn from(ensemble: &'f Ensemble<'_>) -> Self {
        Ensemble { experts: Cow::Borrowed(&ensemble.experts), ..*ensemble }
    }
}

impl Ensemble<'_> {
    /// Another statistic for the same experts.
    #[must_use]
    pub fn with_statistic(self, statistic: Statistic) -> Self {
        Ensemble { statistic, ..self }
    }

    /// The expert whose log-density is `log_prob`.
    ///
    /// # Panics
    /// If there is none: [`Self::quoted`] is out of range.
    #[must_use]
    pub fn quoted_flow(&self) -> &Flow {
        &self.experts[self.quoted]
    }

    /// Trained parameters of all experts.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.experts.iter().map(Flow::parameters).sum()
    }

    pub(super) fn check(&self) -> Result<(), ExportError> {
        if self.experts.is_empty() || self.experts.len() > MAX_EXPERTS || self.quoted >= self.experts.len() {
            return Err(ExportError::Flow(format!(
                "{} experts of which number {} is quoted: an image holds 1 to {MAX_EXPERTS}, counted from 0",
                self.experts.len(),
                self.quoted
            )));
        }
        Ok(())
    }

    pub(super) fn verdict<'a>(&self, entropy: f64, sketches: &'a [Sketch; 3]) -> Verdict<'a> {
        Verdict { combine: self.combine, quoted: self.quoted, statistic: self.statistic, entropy, sketches }
    }
}
