//! `watch`: a secret live, redrawn whenever its journal grows. Shows what `status` and `history` show, no more.

use crate::cli::{Common, Watch};
use crate::client::Client;
use crate::commands::{path_of, show};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use keybaton_api::model::{History, SecretStatus, Standing};
use std::time::Duration;

/// Pause before a broken stream is opened again, and between looks where no event comes.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a lost host is looked for before giving up.
const TRIES: u32 = 60;

/// Follows a secret; survives a restart of the host.
pub(crate) async fn watch(common: &Common, output: &Output, asked: Watch) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let path = path_of(&asked.secret)?;
    let mut seen = 0;
    let mut shown = String::new();
    let mut tries = 0;
    loop {
        match look(&client, output, &path, &mut seen, &mut shown).await {
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
    seen: &mut u64,
    shown: &mut String,
) -> Result<SecretStatus, Failure> {
    // The standing first: whatever led to it is then in the history, its end included.
    let status: SecretStatus = client.get(path).await?;
    let mut next = Some(*seen);
    while let Some(after) = next {
        let page: History = client.get(&format!("{path}/history?after={after}")).await?;
        for event in &page.events {
            *seen = event.seq;
            output.result(event, |output, event| output.line(show::event_line(event)));
        }
        next = page.next.filter(|next| *next > after);
    }
    let text = waiting_of(&status);
    if text != *shown && !text.is_empty() {
        output.line(format!("{text}\n"));
    }
    *shown = text;
    Ok(status)
}

/// The standing, where somebody is waited for: that is what a watcher wants to see between events.
fn waiting_of(status: &SecretStatus) -> String {
    let waits =
        status.rotation.as_ref().is_some_and(|rotation| rotation.consumers.iter().any(|c| !c.missing.is_empty()));
    if waits || status.held.is_some() { show::in_full(status) } else { String::new() }
}

fn is_still(status: &SecretStatus) -> bool {
    status.rotation.is_none() && status.retirements.is_empty() || status.summary.standing == Standing::Held
}

fn verdict(status: &SecretStatus) -> Exit {
    if status.summary.standing == Standing::Held { Exit::Refused } else { Exit::Done }
}
