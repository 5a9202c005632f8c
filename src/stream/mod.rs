//! From a sensor's samples to an alarm pin: what stands before and behind a [`crate::Scorer`] when readings do not come
//! ready-made.
//!
//! ```text
//! samples -> health -> window -> features -> Scorer -> surprise -> alarm
//!                                                   \-> drift, commissioning, re-centring
//! ```
//!
//! Data goes forward only, and no stage knows what board it is on: samples are handed in, verdicts are handed out, and
//! whoever owns the sensor and the pin stands outside. Every buffer has a fixed size, chosen when the firmware is
//! compiled and checked against the image at the door. The host tool calls the same code, so that features, scores
//! and alarms have the same bits there.
//!
//! A fault of the sensor is neither an anomaly nor silence: it has a verdict of its own.

mod adapt;
pub mod alarm;
pub mod commission;
mod detector;
mod drift;
pub mod features;
pub mod front_end;
pub mod health;
mod surprise;
pub mod window;

pub use adapt::{Recentring, RecentringSettings, RecentringSettingsError};
pub use alarm::{Alarm, AlarmRecord, AlarmSettings, Cusum, Evidence, Ewma, SettingsError, Verdict, Votes};
pub use commission::{Commissioning, CommissioningError, Promise, SiteCalibration};
pub use detector::{Detector, Event, Follow, FromCount, Front, Readings, Windows};
pub use drift::{Channel, Drift, DriftNews, DriftSettings, DriftSettingsError, Drifted, Moments};
pub use features::{extract, extract_view, Sample};
pub use front_end::FrontEnd;
pub use surprise::Surprise;
pub use window::{BorrowedWindow, Window};
