//! Planted secrets, and the search for them in everything a system writes. It never shows what it found, only
//! which secret, in which form and where.

mod forms;
mod places;

use std::{collections::BTreeSet, fmt, sync::OnceLock};

use aho_corasick::AhoCorasick;

use crate::{Error, Result};

/// Shorter secrets would be found by chance.
const LEAST_BYTES: usize = 8;

/// A planted secret seen where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// The planted secret's name.
    pub secret: String,
    /// The rendering it was seen in.
    pub form: &'static str,
    /// The file, text or process it was seen in.
    pub place: String,
    /// Where in it, in bytes; the first of its kind only.
    pub offset: u64,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} in {} at byte {}", self.secret, self.form, self.place, self.offset)
    }
}

/// A set of planted secrets.
#[derive(Debug, Default)]
pub struct Canary {
    needles: Vec<Needle>,
    fragment_bytes: Option<usize>,
    searcher: OnceLock<AhoCorasick>,
}

/// One form of one secret.
struct Needle {
    secret: String,
    form: &'static str,
    bytes: Vec<u8>,
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Needle({} as {})", self.secret, self.form)
    }
}

impl Canary {
    /// An empty set that looks for whole secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty set that looks for every piece of this length too, in the forms that keep pieces apart: a secret may be
    /// cut, or half overwritten.
    #[must_use]
    pub fn with_fragments(bytes: usize) -> Self {
        Self { fragment_bytes: Some(bytes.max(LEAST_BYTES)), ..Self::default() }
    }

    /// Adds a secret under a name that may be shown.
    ///
    /// # Errors
    /// [`Error::TooShort`] below 8 bytes.
    pub fn plant(&mut self, name: &str, secret: impl AsRef<[u8]>) -> Result<()> {
        let secret = secret.as_ref();
        if secret.len() < LEAST_BYTES {
            return Err(Error::TooShort { name: name.to_owned(), length: secret.len(), least: LEAST_BYTES });
        }
        let whole = forms::of(secret);
        let windows = self.fragment_bytes.filter(|length| *length < secret.len());
        let pieces = windows.into_iter().flat_map(|length| secret.windows(length)).flat_map(forms::of_piece);
        for (form, bytes) in whole.into_iter().chain(pieces) {
            self.needles.push(Needle { secret: name.to_owned(), form, bytes });
        }
        self.searcher = OnceLock::new();
        Ok(())
    }

    /// Looks through bytes that are called `place` in what is found.
    #[must_use]
    pub fn search(&self, place: &str, bytes: impl AsRef<[u8]>) -> Vec<Sighting> {
        let mut found = BTreeSet::new();
        self.search_at(place, bytes.as_ref(), 0, &mut found);
        found.into_iter().collect()
    }

    /// Adds what is seen in `bytes`, which begin at `base`, unless the same was seen in this place before.
    fn search_at(&self, place: &str, bytes: &[u8], base: u64, found: &mut BTreeSet<Sighting>) {
        let mut seen: BTreeSet<(String, &str)> =
            found.iter().filter(|s| s.place == place).map(|s| (s.secret.clone(), s.form)).collect();
        for hit in self.searcher().find_overlapping_iter(bytes) {
            let needle = &self.needles[hit.pattern().as_usize()];
            if seen.insert((needle.secret.clone(), needle.form)) {
                found.insert(Sighting {
                    secret: needle.secret.clone(),
                    form: needle.form,
                    place: place.to_owned(),
                    offset: base + hit.start() as u64,
                });
            }
        }
    }

    fn searcher(&self) -> &AhoCorasick {
        self.searcher.get_or_init(|| {
            let needles = self.needles.iter().map(|needle| &needle.bytes);
            AhoCorasick::new(needles).expect("far fewer and shorter patterns than an automaton can hold")
        })
    }

    fn longest(&self) -> usize {
        self.needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or_default()
    }
}
