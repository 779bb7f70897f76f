//! Cases kept as text: one change to a base file, and all that is then wrong.

use keybaton_schedule::diagnostic::Diagnostic;

/// Runs every case of a text; on a difference fails with the whole text as it would have to be.
pub(crate) fn check(cases: &str, base: &str, mut wrong: impl FnMut(&str) -> Vec<Diagnostic>) {
    let mut actual = String::new();
    let mut names = std::collections::BTreeSet::new();
    for (index, case) in cases.split("\n## ").enumerate() {
        if index == 0 {
            actual.push_str(case.trim_end());
            actual.push('\n');
            continue;
        }
        let name = case.lines().next().unwrap_or("");
        assert!(names.insert(name.to_owned()), "two cases are called {name}");
        let (old, new) = (marked(case, "- "), marked(case, "+ "));
        assert_eq!(base.matches(old.as_str()).count(), 1, "{name}: `{old}` must stand in the base once");
        actual.push_str(&format!("\n## {name}\n{}{}", lines(&old, "- "), lines(&new, "+ ")));
        let found = wrong(&base.replace(&old, &new));
        assert!(!found.is_empty(), "{name}: nothing is wrong");
        found.iter().for_each(|diagnostic| actual.push_str(&shown(diagnostic)));
    }
    assert!(names.len() > 30, "the cases were not read");
    if actual != cases {
        panic!("the cases differ; as they are now:\n<<<\n{actual}>>>");
    }
}

fn marked(case: &str, mark: &str) -> String {
    let lines: Vec<&str> = case.lines().filter_map(|line| line.strip_prefix(mark)).collect();
    lines.join("\n")
}

fn lines(text: &str, mark: &str) -> String {
    text.lines().map(|line| format!("{mark}{line}\n")).collect()
}

/// `line:column code: message | text`, and below it what was expected, suggested and related.
pub(crate) fn shown(diagnostic: &Diagnostic) -> String {
    let Diagnostic { code, message, place, text, expected, suggestion, related, .. } = diagnostic;
    let mut shown = format!("> {}:{} {code}: {message} | {text}\n", place.line, place.column);
    let expected = expected.as_ref().map(|expected| format!(">   expected {expected}\n"));
    let suggestion = suggestion.as_ref().map(|suggestion| format!(">   help: {suggestion}\n"));
    shown.extend(expected.into_iter().chain(suggestion));
    for related in related {
        shown.push_str(&format!(">   {}:{} {}\n", related.place.line, related.place.column, related.message));
    }
    shown
}
