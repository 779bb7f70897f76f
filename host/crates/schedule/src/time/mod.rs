//! Instants, zones and when things are due. Time is an argument here, never read.

mod cron;
mod due;
mod explain;
mod window;
mod zone;

pub use cron::{Cron, CronError};
pub use due::{Due, Facts, Why, is_open, next_due, seed};
pub use explain::{Finding, Question, RULES, Rule, Verdict, answer, explain};
pub use window::{Days, Opening, Window};
pub(crate) use zone::named as zone_named;
pub use zone::{Tz, zone_names};
