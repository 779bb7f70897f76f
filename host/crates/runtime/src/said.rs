//! What a plugin's pure exports answered, remembered: they see their argument and nothing else, so the same component
//! says the same again. Keeps no failure, and nothing of a call that reaches a target.

use crate::documents::{Described, Profiling};
use keybaton_engine::ports::rotator::Finding;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Settings whose answers are kept; when there are more, all are forgotten, and asked for again when next needed.
const SETTINGS_MAX: usize = 4_096;

/// The answers of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Said {
    itself: OnceLock<Arc<Described>>,
    about: Mutex<HashMap<String, About>>,
}

/// The answers on some settings.
#[derive(Debug, Default)]
struct About {
    findings: Option<Vec<Finding>>,
    profile: Option<Profiling>,
}

impl Said {
    /// Of itself.
    pub(crate) fn itself(&self) -> Option<Arc<Described>> {
        self.itself.get().cloned()
    }

    /// Remembers what it said of itself.
    pub(crate) fn note_itself(&self, described: Described) -> Arc<Described> {
        Arc::clone(self.itself.get_or_init(|| Arc::new(described)))
    }

    /// Whether the settings make sense.
    pub(crate) fn findings(&self, settings: &str) -> Option<Vec<Finding>> {
        self.about().get(settings).and_then(|about| about.findings.clone())
    }

    /// What the target can do under them.
    pub(crate) fn profile(&self, settings: &str) -> Option<Profiling> {
        self.about().get(settings).and_then(|about| about.profile.clone())
    }

    /// Remembers findings.
    pub(crate) fn note_findings(&self, settings: &str, findings: &[Finding]) {
        self.note(settings, |about| about.findings = Some(findings.to_vec()));
    }

    /// Remembers a profile.
    pub(crate) fn note_profile(&self, settings: &str, profile: &Profiling) {
        self.note(settings, |about| about.profile = Some(profile.clone()));
    }

    fn note(&self, settings: &str, with: impl FnOnce(&mut About)) {
        let mut about = self.about();
        if about.len() >= SETTINGS_MAX && !about.contains_key(settings) {
            about.clear();
        }
        with(about.entry(settings.to_owned()).or_default());
    }

    /// A poisoned map is as good as before: each answer is put in whole.
    fn about(&self) -> MutexGuard<'_, HashMap<String, About>> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS_MAX, Said};
    use keybaton_engine::ports::rotator::Finding;

    #[test]
    fn answers_are_kept_by_settings_and_no_more_of_them_than_the_bound() {
        let said = Said::default();
        let wrong = vec![Finding { path: "/role".to_owned(), message: "no such role".to_owned(), fatal: true }];
        said.note_findings("{}", &wrong);
        assert_eq!(said.findings("{}"), Some(wrong));
        assert_eq!((said.findings("{ }"), said.profile("{}")), (None, None), "nothing was said of these");
        for number in 0..SETTINGS_MAX * 2 {
            said.note_findings(&number.to_string(), &[]);
            assert!(said.about().len() <= SETTINGS_MAX);
        }
        assert_eq!(said.findings(&(SETTINGS_MAX * 2 - 1).to_string()), Some(Vec::new()));
    }
}
