//! `connection`: the host's named ways to targets, and whether they work. Shows no admin identity.

use crate::cli::{Common, ConnectionArgs, ConnectionCommand};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{ConnectionTest, Connections};

/// Lists or tests connections.
pub(crate) async fn run(common: &Common, output: &Output, asked: ConnectionArgs) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    match asked.command {
        ConnectionCommand::List => {
            let all: Connections = client.get("/v1/connections").await?;
            output.result(&all, |output, all| {
                let mut table =
                    output.table(&["connection", "kind", "target", "admin from", "namespaces", "plugins", "used by"]);
                for one in &all.connections {
                    table.add_row([
                        one.name.clone(),
                        one.kind.clone(),
                        one.target.clone(),
                        one.admin_from.clone(),
                        one.namespaces.join(", "),
                        one.plugins.join(", "),
                        one.used_by.to_string(),
                    ]);
                }
                output.line(table.to_string());
            });
            Ok(Exit::Done)
        }
        ConnectionCommand::Test { name } => {
            let progress = output.progress(format!("logging in at {name}"));
            let path = format!("/v1/connections/{name}/test");
            let tested: Result<ConnectionTest, Failure> = client.post(&path, &serde_json::json!({})).await;
            progress.finish_and_clear();
            let tested = tested?;
            output.result(&tested, |output, tested| {
                let word = if tested.works { paint(Tone::Good, "works") } else { paint(Tone::Bad, "does not work") };
                output.line(format!("{} {word}: {} ({} ms)", tested.name, tested.detail, tested.took_ms));
            });
            Ok(if tested.works { Exit::Done } else { Exit::Failed })
        }
    }
}
