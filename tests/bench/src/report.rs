//! The rows of the result: a table for people and `bench.json` for programs, with the same content. A goal that was
//! missed is shown as missed.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

/// What a value is held against.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Beside {
    /// What nothing on this machine can exceed, measured in the same run.
    Bound(String, f64),
    /// Another way to do the same, measured in the same run.
    Peer(String, f64),
    /// Another product's figure, measured on this kind of machine at another time.
    Published(String, f64),
}

/// What a row is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// The value, at least this.
    AtLeast(f64),
    /// The value, less than this.
    Below(f64),
    /// The ratio, at least this.
    Ratio(f64),
}

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) beside: Option<Beside>,
    /// How many times better than what is beside it, or which share of it: see the row's name.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Option<Goal>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, beside: None, ratio: None, goal: None }
    }

    /// Held against something of the same unit; the ratio is value to beside, for rates.
    pub(crate) fn rate_beside(self, beside: Beside) -> Self {
        let ratio = self.value / beside.value();
        Self { ratio: Some(ratio), beside: Some(beside), ..self }
    }

    /// Held against something of the same unit; the ratio is beside to value, for times and sizes.
    pub(crate) fn time_beside(self, beside: Beside) -> Self {
        let ratio = beside.value() / self.value;
        Self { ratio: Some(ratio), beside: Some(beside), ..self }
    }

    pub(crate) fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// Whether the goal is reached; `None` where there is none.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::AtLeast(least) => self.value >= least,
            Goal::Below(most) => self.value < most,
            Goal::Ratio(least) => self.ratio.is_some_and(|ratio| ratio >= least),
        })
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "ratio": self.ratio,
            "goal": self.goal.map(|goal| goal.text(self.unit)),
            "met": self.met(),
        });
        if let Some(beside) = &self.beside {
            let (kind, name) = match beside {
                Beside::Bound(name, _) => ("bound", name.clone()),
                Beside::Peer(name, _) => ("peer", name.clone()),
                Beside::Published(name, _) => ("peer", format!("{name} (published)")),
            };
            row[kind] = json!({ "name": name, "value": beside.value() });
        }
        row
    }
}

impl Beside {
    const fn value(&self) -> f64 {
        match self {
            Self::Bound(_, value) | Self::Peer(_, value) | Self::Published(_, value) => *value,
        }
    }

    fn text(&self, unit: &str) -> String {
        let value = number(self.value());
        match self {
            Self::Bound(name, _) => format!("bound: {name}: {value} {unit}"),
            Self::Peer(name, _) => format!("{name}: {value} {unit}"),
            Self::Published(name, _) => format!("{name}: {value} {unit}, published"),
        }
    }
}

impl Goal {
    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {} {unit}", number(least)),
            Self::Below(most) => format!("< {} {unit}", number(most)),
            Self::Ratio(least) => format!("ratio ≥ {}", number(least)),
        }
    }
}

/// The rows as an array.
pub(crate) fn json(rows: &[Row]) -> Value {
    rows.iter().map(Row::json).collect()
}

/// The rows as a table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["", "value", "unit", "beside it", "ratio", "goal", "met"]);
    for row in rows {
        table.add_row([
            row.name.clone(),
            number(row.value),
            row.unit.to_owned(),
            row.beside.as_ref().map_or_else(String::new, |beside| beside.text(row.unit)),
            row.ratio.map_or_else(String::new, number),
            row.goal.map_or_else(String::new, |goal| goal.text(row.unit)),
            row.met().map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
        ]);
    }
    for column in [1, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// Three significant digits, all of them before the point where there are more.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        big if big >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or_else(|| format!("{sign}{grouped}"), |rest| format!("{sign}{grouped}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_missed_by_what_was_measured() {
        let rate = |value| Row::new("x", value, "/s").rate_beside(Beside::Peer("y".to_owned(), 100.0));
        let time = |value| Row::new("x", value, "µs").time_beside(Beside::Peer("y".to_owned(), 100.0));
        for (sentence, row, met) in [
            ("no goal", rate(1.0), None),
            ("a rate that reaches it", rate(80.0).goal(Goal::Ratio(0.8)), Some(true)),
            ("a rate that does not", rate(79.0).goal(Goal::Ratio(0.8)), Some(false)),
            ("a time that is short enough", time(5.0).goal(Goal::Ratio(12.0)), Some(true)),
            ("a time that is not", time(50.0).goal(Goal::Ratio(12.0)), Some(false)),
            ("no ratio to reach it with", Row::new("x", 1.0, "").goal(Goal::Ratio(1.0)), Some(false)),
            ("a value that is large enough", rate(2000.0).goal(Goal::AtLeast(2000.0)), Some(true)),
            ("a value that must be smaller", rate(1024.0).goal(Goal::Below(1024.0)), Some(false)),
        ] {
            assert_eq!(row.met(), met, "{sentence}");
        }
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.126, "0.13"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-5.0, "-5.00"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn the_file_says_what_the_table_says() {
        let row = Row::new("calls", 50.0, "µs")
            .time_beside(Beside::Peer("a process".to_owned(), 1_000.0))
            .goal(Goal::Ratio(12.0));
        let json = json(std::slice::from_ref(&row));
        assert_eq!(json[0]["peer"], json!({ "name": "a process", "value": 1_000.0 }));
        assert_eq!((&json[0]["ratio"], &json[0]["met"]), (&json!(20.0), &json!(true)));
        let table = table(&[row]);
        for part in ["calls", "50.0", "a process: 1,000 µs", "20.0", "ratio ≥ 12.0", "met"] {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
    }
}
