//! A plugin as the operator approves it: what it may reach and every statement word for word, ordered by what it can do.

use crate::output::{Tone, paint};
use keybaton_api::model::PluginView;

/// Columns within which statements are wrapped.
const WIDTH: usize = 96;

/// What a plugin is and asks for.
pub(super) fn in_full(plugin: &PluginView) -> String {
    let name = if plugin.name.is_empty() { "a component without a readable manifest" } else { &plugin.name };
    let what = format!("{} {}   {}", paint(Tone::Strong, name), plugin.version, plugin.summary);
    let mut text = format!("{}\n", what.trim_end());
    text.push_str(&format!("  digest      {}\n", plugin.digest));
    if !plugin.contract.is_empty() {
        text.push_str(&format!("  contract    {}\n", plugin.contract));
    }
    if let Some(signer) = &plugin.signer {
        text.push_str(format!("  signed by   {}   {}", signer.fingerprint, comment(&signer.key)).trim_end());
        text.push('\n');
    }
    let asks: Vec<Ask<'_>> = plugin.asks.iter().map(|ask| Ask::of(ask)).collect();
    let interfaces: Vec<&str> = asks.iter().filter(|ask| ask.kind == "interface").map(|ask| ask.name).collect();
    if !interfaces.is_empty() {
        text.push_str(&format!("  interfaces  {}\n", interfaces.join(", ")));
    }
    if interfaces.contains(&REVEAL) {
        let warning = "it asks to see secret values itself: nothing can be said of where they go from there";
        text.push_str(&format!("  {}\n", paint(Tone::Bad, warning)));
    }
    for (heading, tone, wanted) in SECTIONS {
        let of: Vec<_> = asks.iter().filter(|ask| ask.kind != "interface" && wanted(ask)).collect();
        if of.is_empty() {
            continue;
        }
        text.push_str(&format!("\n  {}\n", paint(*tone, heading)));
        of.iter().for_each(|ask| text.push_str(&ask.shown()));
    }
    if !plugin.differences.is_empty() {
        text.push_str(&format!("\n  {}\n", paint(Tone::Bad, "it would not load:")));
        plugin.differences.iter().for_each(|one| text.push_str(&format!("    - {one}\n")));
    }
    text.trim_end().to_owned()
}

/// What a public key says besides itself: for people, and proof of nothing.
fn comment(key: &str) -> &str {
    key.splitn(3, ' ').nth(2).unwrap_or_default()
}

/// The interface by which a plugin gets a secret's bytes.
const REVEAL: &str = "reveal";
/// How an endpoint's path says that it is any.
const OPEN: &str = "{path*}";

type Section = (&'static str, Tone, fn(&Ask<'_>) -> bool);

const SECTIONS: &[Section] = &[
    ("may read, as the connection's admin", Tone::Dim, |ask| !ask.changes() && !ask.tries()),
    ("may try the credential under test", Tone::Dim, |ask| !ask.changes() && ask.tries()),
    ("may change the target", Tone::Warn, |ask| ask.changes()),
];

/// One thing a plugin asks for: `KIND NAME (HOW): TEXT`.
struct Ask<'a> {
    kind: &'a str,
    name: &'a str,
    how: &'a str,
    text: &'a str,
}

impl<'a> Ask<'a> {
    fn of(ask: &'a str) -> Self {
        let (kind, rest) = ask.split_once(' ').unwrap_or(("", ask));
        let (head, text) = rest.split_once("): ").unwrap_or((rest, ""));
        let (name, how) = head.split_once(" (").unwrap_or((head, ""));
        Self { kind, name, how, text }
    }

    fn changes(&self) -> bool {
        self.how.contains("changes the target")
    }

    fn tries(&self) -> bool {
        self.how.contains("as candidate")
    }

    fn shown(&self) -> String {
        let captures = self.how.split_once("captures ").map(|(_, what)| match what {
            "*" => "   captures a new secret out of any member of the reply".to_owned(),
            what => format!("   captures a new secret out of {what}"),
        });
        let open = if self.text.contains(OPEN) { "   any path: a connection has to name those it allows" } else { "" };
        let mut text = format!("    {}{}{open}\n", paint(Tone::Strong, self.name), captures.unwrap_or_default());
        wrapped(self.text, WIDTH).iter().for_each(|line| text.push_str(&format!("      {line}\n")));
        text
    }
}

/// The text on lines of at most so many characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_statement_is_shown() {
        let statement = format!("SELECT {} FROM pg_roles", "a, ".repeat(80));
        let lines = wrapped(&statement, WIDTH);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        let words: Vec<&str> = statement.split_whitespace().collect();
        let shown: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(shown, words);
    }

    #[test]
    fn what_is_asked_for_is_told_apart_by_what_it_can_do() {
        for (ask, kind, name, changes, tries, text) in [
            ("interface sql", "interface", "sql", false, false, ""),
            ("statement role (as admin): SELECT (1): 2", "statement", "role", false, false, "SELECT (1): 2"),
            ("statement login (as candidate): SELECT 1", "statement", "login", false, true, "SELECT 1"),
            (
                "endpoint mint (as admin, changes the target, captures *): POST /{path*}",
                "endpoint",
                "mint",
                true,
                false,
                "POST /{path*}",
            ),
        ] {
            let found = Ask::of(ask);
            let seen = (found.kind, found.name, found.changes(), found.tries(), found.text);
            assert_eq!(seen, (kind, name, changes, tries, text), "{ask}");
        }
    }
}
