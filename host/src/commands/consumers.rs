//! `consumer`: enrolments and identities. The enrolment token is shown once, to whoever carries it to the workload.

use crate::cli::{Common, ConsumerArgs, ConsumerCommand};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{EnrolmentGrant, EnrolmentRequest, IdentityList, RebindRequest, Rebound, Withdrawn};

/// Enrols, lists or revokes consumers.
pub(crate) async fn run(common: &Common, output: &Output, asked: ConsumerArgs) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    match asked.command {
        ConsumerCommand::Enrol { consumer, minutes, replica } => {
            let whose = match &replica {
                Some(replica) => format!("for the replica {replica}"),
                None => "for one replica: the one that its first request names".to_owned(),
            };
            let request = EnrolmentRequest { consumer, minutes, replica };
            let grant: EnrolmentGrant = client.post("/v1/enrolments", &request).await?;
            output.once(|| grant.reveal(), grant.token.expose());
            output.note(format!(
                "single use, for {}, {whose}, within {minutes} minutes; it carries the CA's pin",
                grant.consumer
            ));
        }
        ConsumerCommand::Rebind { identity, replica, reason } => {
            let path = format!("/v1/identities/{identity}/replica");
            let done: Rebound = client.post(&path, &RebindRequest { replica, reason }).await?;
            output.result(&done, |output, done| {
                let what = format!("{} stands for {} {} now", done.id, done.consumer, done.replica);
                output.line(format!("{} {what}", paint(Tone::Good, "rebound")));
            });
        }
        ConsumerCommand::List => {
            let all: IdentityList = client.get("/v1/identities").await?;
            output.result(&all, |output, all| {
                let mut table = output.table(&["identity", "role", "name", "replica"]);
                for one in &all.identities {
                    let replica = match (&one.replica, one.role.as_str()) {
                        (Some(replica), _) => replica.as_str(),
                        (None, "consumer") => "not known yet",
                        (None, _) => "",
                    };
                    table.add_row([&one.id, &one.role, &one.name, replica]);
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
