//! `consumer`: enrolments and identities. The enrolment token is shown once, to whoever carries it to the workload.

use crate::cli::{Common, ConsumerArgs, ConsumerCommand};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{EnrolmentGrant, EnrolmentRequest, IdentityList, Withdrawn};

/// Enrols, lists or revokes consumers.
pub(crate) async fn run(common: &Common, output: &Output, asked: ConsumerArgs) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    match asked.command {
        ConsumerCommand::Enrol { consumer, minutes } => {
            let grant: EnrolmentGrant = client.post("/v1/enrolments", &EnrolmentRequest { consumer, minutes }).await?;
            output.once(|| grant.reveal(), grant.token.expose());
            output
                .note(format!("single use, for {}, within {minutes} minutes; it carries the CA's pin", grant.consumer));
        }
        ConsumerCommand::List => {
            let all: IdentityList = client.get("/v1/identities").await?;
            output.result(&all, |output, all| {
                let mut table = output.table(&["identity", "role", "name"]);
                for one in &all.identities {
                    table.add_row([&one.id, &one.role, &one.name]);
                }
                output.line(table.to_string());
            });
        }
        ConsumerCommand::Revoke { consumer } => {
            let gone: Withdrawn = client.delete(&format!("/v1/consumers/{consumer}")).await?;
            output.result(&gone, |output, gone| {
                let done = paint(Tone::Good, "revoked");
                output.line(format!("{done} {} identities and {} open enrolments", gone.identities, gone.enrolments));
            });
        }
    }
    Ok(Exit::Done)
}
