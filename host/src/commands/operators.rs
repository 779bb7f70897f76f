//! `operator`: who may operate. A token is shown once, to whoever made the operator.

use super::show::{ago, ahead};
use crate::cli::{Common, OperatorArgs, OperatorCommand};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{OperatorGrant, OperatorRequest, Operators, Withdrawn};

/// Adds, lists or removes operators.
pub(crate) async fn run(common: &Common, output: &Output, asked: OperatorArgs) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    match asked.command {
        OperatorCommand::Add { name, namespaces, days } => {
            let request = OperatorRequest { name, namespaces, days };
            let grant: OperatorGrant = client.post("/v1/operators", &request).await?;
            output.once(|| grant.reveal(), grant.token.expose());
            let until = grant.expires_at.map(|at| format!(", ends {}", ahead(Some(at)))).unwrap_or_default();
            output.note(format!("the token of operator {}{until}; it is not shown again", grant.name));
        }
        OperatorCommand::List => {
            let all: Operators = client.get("/v1/operators").await?;
            output.result(&all, |output, all| {
                let mut table = output.table(&["operator", "where", "since", "ends", "token"]);
                for one in &all.operators {
                    let everywhere = one.namespaces.is_empty();
                    let place = if everywhere { "everywhere".to_owned() } else { one.namespaces.join(", ") };
                    let ends = one.expires_at.map_or_else(|| "never".to_owned(), |at| ahead(Some(at)));
                    table.add_row([one.name.clone(), place, ago(Some(one.issued_at)), ends, one.id.clone()]);
                }
                output.line(table.to_string());
            });
        }
        OperatorCommand::Reset(_) => unreachable!("it is done without a host"),
        OperatorCommand::Remove { name } => {
            let gone: Withdrawn = client.delete(&format!("/v1/operators/{name}")).await?;
            output.result(&gone, |output, gone| {
                let done = paint(Tone::Good, "removed");
                let tokens = if gone.identities == 1 { "its token is" } else { "its tokens are" };
                output.line(format!("{done} operator {name}: {tokens} good no longer"));
            });
        }
    }
    Ok(Exit::Done)
}
