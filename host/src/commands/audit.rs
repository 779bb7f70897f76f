//! `audit`: the hash-chained record of who asked for what. Entries hold names and reasons, never values.

use crate::cli::{AuditArgs, AuditCommand, Common};
use crate::client::Client;
use crate::commands::show;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{AuditLog, AuditReport};

/// Verifies or shows the audit log.
pub(crate) async fn run(common: &Common, output: &Output, asked: AuditArgs) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    match asked.command {
        AuditCommand::Verify => {
            let report: AuditReport = client.post("/v1/audit/verify", &serde_json::json!({})).await?;
            output.result(&report, |output, report| {
                let AuditReport { intact, entries, head, broken_at } = report;
                output.line(match broken_at {
                    None if *intact => format!("{}: {entries} entries, head {head}", paint(Tone::Good, "intact")),
                    at => format!(
                        "{} at entry {}",
                        paint(Tone::Bad, "broken"),
                        at.map_or("?".to_owned(), |at| at.to_string())
                    ),
                });
            });
            Ok(if report.intact { Exit::Done } else { Exit::Damaged })
        }
        AuditCommand::Show { limit } => {
            let log: AuditLog = client.get(&format!("/v1/audit?limit={limit}")).await?;
            output.result(&log, |output, log| {
                for entry in &log.entries {
                    let detail = if entry.detail.is_empty() { String::new() } else { format!(" ({})", entry.detail) };
                    output.line(format!(
                        "{:>6}  {}  {} {} {}: {}{detail}",
                        entry.seq,
                        show::utc(entry.at),
                        paint(Tone::Strong, &entry.actor),
                        entry.action,
                        entry.subject,
                        entry.verdict
                    ));
                }
            });
            Ok(Exit::Done)
        }
    }
}
