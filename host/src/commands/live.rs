//! `watch`: a secret live, from its newest rotation on. Shows what `status` and `history` show, no more.

use crate::cli::{Common, Watch};
use crate::client::Client;
use crate::commands::history::{self, Story};
use crate::commands::{path_of, show};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use keybaton_api::model::{RotationStatus, SecretStatus, Standing};
use std::time::Duration;

/// Pause before a broken stream is opened again, and between looks where no event comes.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a lost host is looked for before giving up.
const TRIES: u32 = 60;

/// Follows a secret; survives a restart of the host.
pub(crate) async fn watch(common: &Common, output: &Output, asked: Watch) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let path = path_of(&asked.secret)?;
    let mut seen = if asked.all { 0 } else { history::newest_rotation(&client, &path).await? };
    let mut shown = None;
    let mut story = Story::new(asked.all);
    let mut tries = 0;
    loop {
        match look(&client, output, &path, (&mut seen, &mut shown, &mut story)).await {
            Ok(status) if asked.until_idle && is_still(&status) => return Ok(verdict(&status)),
            Ok(_) => tries = 0,
            Err(failure) if failure.exit == Exit::Unreachable && tries < TRIES && seen > 0 => {
                tries += 1;
                output.note("the host is away; looking again");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(failure) => return Err(failure),
        }
        let events = format!("/v1/events?secret={}&after={seen}", asked.secret.replace('/', "%2F"));
        let one = client.events(&events, async |_, _| Ok(false));
        // Timers change what is waited for without an event: look again now and then in any case.
        let _ended = tokio::time::timeout(AGAIN * 4, one).await;
    }
}

/// Prints the events that are new, and the standing if it changed.
async fn look(
    client: &Client,
    output: &Output,
    path: &str,
    (seen, shown, story): (&mut u64, &mut Option<SecretStatus>, &mut Story),
) -> Result<SecretStatus, Failure> {
    // The standing first: whatever led to it is then in the history, its end included.
    let status: SecretStatus = client.get(path).await?;
    for event in history::read(client, path, *seen).await?.events {
        *seen = event.seq;
        output.result(&event, |output, event| story.tell(event).into_iter().for_each(|line| output.line(line)));
    }
    let standing = timeless(&status);
    if shown.as_ref() != Some(&standing) && waits(&status) {
        output.line(format!("\n{}\n", show::in_full(&status)));
    }
    *shown = Some(standing);
    Ok(status)
}

/// Whether somebody is waited for: that is what a watcher wants to see between events.
fn waits(status: &SecretStatus) -> bool {
    let missing = |rotation: &RotationStatus| rotation.consumers.iter().any(|consumer| !consumer.missing.is_empty());
    status.held.is_some() || status.rotation.as_ref().is_some_and(missing)
}

/// What is shown of a standing, without what changes as time passes.
fn timeless(status: &SecretStatus) -> SecretStatus {
    let mut status = status.clone();
    status.seq = 0;
    if let Some(rotation) = &mut status.rotation {
        rotation.until = None;
    }
    status
}

fn is_still(status: &SecretStatus) -> bool {
    status.rotation.is_none() && status.retirements.is_empty() || status.summary.standing == Standing::Held
}

fn verdict(status: &SecretStatus) -> Exit {
    if status.summary.standing == Standing::Held { Exit::Refused } else { Exit::Done }
}
