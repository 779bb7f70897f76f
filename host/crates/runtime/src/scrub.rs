//! Takes known secrets out of text and bytes, in every form the host renders. Never says which secret it found.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What stands where a secret was.
pub const PLACEHOLDER: &str = "[secret]";
/// Forms shorter than this are not searched for: they would blank out ordinary words. The host's own secrets are far
/// longer; a captured one that is shorter is refused.
pub const FLOOR_BYTES: usize = 6;
/// Longer texts are searched by an automaton.
const PLAIN_MAX_BYTES: usize = 4_096;
/// Lines of a multi-line secret (a PEM body) are searched for one by one when at least this long.
const LINE_FLOOR_BYTES: usize = 16;

/// The forms of a set of secrets, ready to be searched for at once.
#[derive(Clone, Default)]
pub struct Scrubber {
    forms: Vec<Zeroizing<Vec<u8>>>,
    automaton: Option<Arc<AhoCorasick>>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scrubber({} forms)", self.forms.len())
    }
}

impl Scrubber {
    /// Adds a secret in all its forms.
    pub fn learn(&mut self, secret: &[u8]) {
        let mut learnt = forms(secret);
        if secret.contains(&b'\n') {
            let lines = secret.split(|byte| *byte == b'\n').filter(|line| line.len() >= LINE_FLOOR_BYTES);
            // A PEM frame (`-----BEGIN PRIVATE KEY-----`) is no secret.
            learnt.extend(lines.filter(|line| !line.starts_with(b"-----")).flat_map(forms));
        }
        for form in learnt {
            if !self.forms.contains(&form) {
                self.forms.push(form);
                self.automaton = None;
            }
        }
    }

    /// The text without secrets.
    #[must_use]
    pub fn text(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// The bytes without secrets.
    #[must_use]
    pub fn bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        // To build an automaton costs more than to search a short text without one, and it copies what it searches for.
        if bytes.len() <= PLAIN_MAX_BYTES { self.searched(bytes) } else { self.scanned(bytes) }
    }

    /// Searches at every place for the longest form that begins there.
    fn searched(&self, bytes: &[u8]) -> Vec<u8> {
        let mut begins = [false; 256];
        self.forms.iter().for_each(|form| begins[usize::from(form[0])] = true);
        let mut clean = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            let here = self.forms.iter().filter(|form| begins[usize::from(*first)] && rest.starts_with(form));
            match here.map(|form| form.len()).max() {
                Some(length) => {
                    clean.extend_from_slice(PLACEHOLDER.as_bytes());
                    rest = &rest[length..];
                }
                None => {
                    clean.push(*first);
                    rest = after;
                }
            }
        }
        clean
    }

    /// The same by an automaton.
    fn scanned(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(automaton) = self.automaton() else { return bytes.to_vec() };
        let mut clean = Vec::with_capacity(bytes.len());
        automaton.replace_all_with_bytes(bytes, &mut clean, |_, _, clean| {
            clean.extend_from_slice(PLACEHOLDER.as_bytes());
            true
        });
        clean
    }

    fn automaton(&mut self) -> Option<Arc<AhoCorasick>> {
        if self.automaton.is_none() && !self.forms.is_empty() {
            let patterns = self.forms.iter().map(|form| form.as_slice());
            // Building fails only past billions of states; without an automaton nothing may pass.
            // A prefilter would keep copies of the patterns that nobody zeroizes.
            // It is built anew for each call: a DFA would cost more to build than the whole call.
            let built = AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                .match_kind(MatchKind::LeftmostLongest)
                .prefilter(false)
                .build(patterns);
            self.automaton = Some(Arc::new(built.expect("a handful of short patterns fits an automaton")));
        }
        self.automaton.clone()
    }
}

/// Every form in which the secret could be met, none shorter than the floor. No buffer grows while it is filled: what
/// a growing one leaves behind is not zeroized.
fn forms(secret: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![Zeroizing::new(secret.to_vec())];
    for alignment in 0..3 {
        forms.push(base64_core(secret, alignment, &STANDARD_NO_PAD));
        forms.push(base64_core(secret, alignment, &URL_SAFE_NO_PAD));
    }
    for case in [hex as fn(u8) -> [u8; 2], hex_upper] {
        forms.push(in_hex(secret, case));
        forms.push(percent(secret, case, b"%20"));
        forms.push(percent(secret, case, b"+"));
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = in_json(text);
        forms.push(replace(&json, b'/', b"\\/"));
        forms.push(replace(secret, b'\'', b"''"));
        forms.push(json);
    }
    forms.retain(|form| form.len() >= FLOOR_BYTES);
    forms
}

/// The base64 characters that depend on the secret alone when `alignment` bytes stand before it and any after it.
fn base64_core(secret: &[u8], alignment: usize, engine: &GeneralPurpose) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(Vec::with_capacity(alignment + secret.len()));
    padded.resize(alignment, 0);
    padded.extend_from_slice(secret);
    // Of the first quantum, characters 0..=alignment hold bits of what stands before; the last is whole only when
    // it ends on a byte boundary of the quantum.
    let skip = if alignment == 0 { 0 } else { alignment + 1 };
    let whole = padded.len() * 8 / 6;
    let text = Zeroizing::new(engine.encode(padded.as_slice()));
    Zeroizing::new(text.as_bytes().get(skip..whole).unwrap_or_default().to_vec())
}

/// Within a JSON string (RFC 8259), without its quotes.
pub(crate) fn in_json(text: &str) -> Zeroizing<Vec<u8>> {
    let mut quoted = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 2));
    serde_json::to_writer(&mut *quoted, text).expect("a text is JSON, and a vector takes it");
    Zeroizing::new(quoted[1..quoted.len() - 1].to_vec())
}

pub(crate) fn in_hex(secret: &[u8], case: fn(u8) -> [u8; 2]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(Vec::with_capacity(secret.len() * 2));
    for byte in secret {
        encoded.extend_from_slice(&case(*byte));
    }
    encoded
}

/// Everything but RFC 3986's unreserved characters percent-encoded.
pub(crate) fn percent(secret: &[u8], case: fn(u8) -> [u8; 2], space: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(Vec::with_capacity(secret.len() * 3));
    for byte in secret {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(*byte),
            b' ' => encoded.extend_from_slice(space),
            byte if byte.is_ascii_alphanumeric() => encoded.push(*byte),
            byte => {
                encoded.push(b'%');
                encoded.extend_from_slice(&case(*byte));
            }
        }
    }
    encoded
}

fn replace(bytes: &[u8], from: u8, to: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut replaced = Zeroizing::new(Vec::with_capacity(bytes.len() * to.len()));
    for byte in bytes {
        if *byte == from { replaced.extend_from_slice(to) } else { replaced.push(*byte) }
    }
    replaced
}

pub(crate) fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

pub(crate) fn hex_upper(byte: u8) -> [u8; 2] {
    hex(byte).map(|digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    const SECRET: &str = "p/s?w\"ö>r~d '0 \n9";

    fn check(sentence: &str, carrier: &[u8]) {
        let mut scrubber = Scrubber::default();
        scrubber.learn(SECRET.as_bytes());
        let clean = scrubber.bytes(carrier);
        assert!(
            clean.windows(PLACEHOLDER.len()).any(|window| window == PLACEHOLDER.as_bytes()),
            "{sentence}: {}",
            String::from_utf8_lossy(&clean)
        );
    }

    #[test]
    fn every_form_is_found() {
        check("raw", format!("x{SECRET}y").as_bytes());
        check("json", serde_json::json!({ "a": SECRET }).to_string().as_bytes());
        check("sql literal", format!("'{}'", SECRET.replace('\'', "''")).as_bytes());
        let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
        check("hex", hex.as_bytes());
        check("upper-case hex", hex.to_uppercase().as_bytes());
        check("url", b"p%2Fs%3Fw%22%C3%B6%3Er~d%20%270%20%0A9");
        check("form", b"p%2fs%3fw%22%c3%b6%3er~d+%270+%0a9");
        for before in 0..4 {
            for after in 0..4 {
                let carrier = [vec![b'<'; before], SECRET.into(), vec![b'>'; after]].concat();
                for engine in [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                    check(
                        &format!("base64 with {before} before and {after} after"),
                        engine.encode(&carrier).as_bytes(),
                    );
                }
            }
        }
    }

    #[test]
    fn short_and_long_texts_are_searched_alike() {
        let mut scrubber = Scrubber::default();
        // One begins within another, and one is the beginning of another.
        for secret in ["correct-horse", "correct-horse-battery", "horse-battery-staple", "aaaaaaaa"] {
            scrubber.learn(secret.as_bytes());
        }
        for text in [
            "",
            "nothing",
            "correct-horse",
            "xcorrect-horse-battery-staple",
            "correct-horse-batterhorse-battery-staple",
            "correct-hcorrect-horsecorrect-horse-battery",
            "aaaaaaaaaaaaaaaaaaaaaaa",
            "horse-battery-stapl",
        ] {
            let (plain, scanned) = (scrubber.searched(text.as_bytes()), scrubber.scanned(text.as_bytes()));
            assert_eq!(String::from_utf8(plain).unwrap(), String::from_utf8(scanned).unwrap(), "{text}");
        }
        let long = "x".repeat(PLAIN_MAX_BYTES) + "correct-horse";
        assert!(scrubber.text(&long).ends_with(PLACEHOLDER));
    }

    #[test]
    fn lines_of_a_key_are_found_and_its_frame_stays() {
        let mut scrubber = Scrubber::default();
        scrubber.learn(b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n");
        assert_eq!(scrubber.text("got MC4CAQAwBQYDK2VwBCIEIA here"), "got [secret] here");
        assert_eq!(scrubber.text("-----BEGIN PRIVATE KEY-----"), "-----BEGIN PRIVATE KEY-----");
    }

    #[test]
    fn short_forms_and_strangers_stay() {
        let mut scrubber = Scrubber::default();
        scrubber.learn(b"abc");
        assert_eq!(scrubber.text("abc and def"), "abc and def", "below the floor of {FLOOR_BYTES}");
        scrubber.learn(b"correct-horse");
        assert_eq!(scrubber.text("correct-house"), "correct-house");
        assert_eq!(scrubber.text("correct-horse"), PLACEHOLDER);
    }
}
