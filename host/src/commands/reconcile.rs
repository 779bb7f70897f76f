//! `reconcile`: what a restore holds, how each secret compares with its target, and letting go on what matches. The host
//! decides; this asks, waits and shows.

use super::path_of;
use super::secrets::recorded;
use super::show::ahead;
use crate::cli::{Common, Reconcile};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{Comparison, Comparisons, Reasoned, Recorded};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Pause between two questions whether a secret has been compared.
const COMPARED_PAUSE: Duration = Duration::from_millis(500);

/// Outcomes that another attempt may change.
const AGAIN: [&str; 3] = ["lost", "partly", "unreachable"];

/// One line of `reconcile --all`.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    compared: Comparison,
    /// It matched, and goes on.
    released: bool,
}

/// Answer of `reconcile --all`.
#[derive(Serialize)]
struct Lines {
    secrets: Vec<Line>,
}

pub(crate) async fn run(common: &Common, output: &Output, asked: Reconcile) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let until = Instant::now() + Duration::from_secs(u64::from(asked.timeout) * 60);
    let Some(secret) = asked.secret else { return all(&client, output, asked.no_wait, until).await };
    let path = path_of(&secret)?;
    let own = format!("{path}/restored");
    let progress = output.progress(format!("comparing {secret} with its target"));
    let compared = compared(&client, &own, asked.no_wait, until).await;
    progress.finish_and_clear();
    let one = compared?.into_iter().next();
    if asked.accept.is_some() {
        let reason = Reasoned { reason: asked.reason };
        let done: Recorded = client.post(&format!("{path}/accept-lost"), &reason).await?;
        recorded(output, "accept lost", &done);
        output.note(format!(
            "nothing at the target was touched; next: `keybaton rotate {secret}` for a new first credential"
        ));
        output.note(format!("or `keybaton import {secret}` for the one that is in use"));
        return Ok(Exit::Done);
    }
    match client.post::<Recorded>(&format!("{path}/reconcile"), &serde_json::json!({})).await {
        Ok(done) => {
            recorded(output, "reconcile", &done);
            Ok(Exit::Done)
        }
        Err(failure) => {
            if let Some(one) = &one {
                describe(output, one);
            }
            Err(failure)
        }
    }
}

/// Compares anew what could not be told, waits until nothing is being compared, and answers how it stands.
async fn compared(client: &Client, path: &str, no_wait: bool, until: Instant) -> Result<Vec<Comparison>, Failure> {
    let mut all: Comparisons = client.get(path).await?;
    if !no_wait {
        for one in all.secrets.iter().filter(|one| AGAIN.contains(&one.outcome.as_str())) {
            let again = format!("{}/release", path_of(&one.secret)?);
            client.post::<Recorded>(&again, &serde_json::json!({})).await?;
        }
    }
    while !no_wait && Instant::now() < until {
        all = client.get(path).await?;
        if all.secrets.iter().all(|one| one.outcome != "comparing") {
            break;
        }
        tokio::time::sleep(COMPARED_PAUSE).await;
    }
    Ok(all.secrets)
}

/// Every secret that a restore holds; those that match go on.
async fn all(client: &Client, output: &Output, no_wait: bool, until: Instant) -> Result<Exit, Failure> {
    let progress = output.progress("comparing what a restore holds with its targets");
    let held = compared(client, "/v1/restored", no_wait, until).await;
    progress.finish_and_clear();
    let mut lines = Lines { secrets: Vec::new() };
    for compared in held? {
        let mut released = false;
        if compared.outcome == "matches" {
            let path = format!("{}/reconcile", path_of(&compared.secret)?);
            released = match client.post::<Recorded>(&path, &serde_json::json!({})).await {
                Ok(_) => true,
                // It has changed since it was listed: it stays in the list, for the next look.
                Err(failure) if failure.exit == Exit::Refused => false,
                Err(failure) => return Err(failure),
            };
        }
        lines.secrets.push(Line { compared, released });
    }
    output.result(&lines, |output, lines| {
        if lines.secrets.is_empty() {
            output.line("no secret is held by a restore");
        }
        for line in &lines.secrets {
            if line.released {
                output.line(format!(
                    "{} {}: matches its target, and goes on",
                    paint(Tone::Good, "released"),
                    line.compared.secret
                ));
            } else {
                describe(output, &line.compared);
            }
        }
    });
    Ok(if lines.secrets.iter().all(|line| line.released) { Exit::Done } else { Exit::Refused })
}

fn describe(output: &Output, one: &Comparison) {
    let current = one.current.map_or_else(|| "no credential".to_owned(), |it| format!("generation {it}"));
    output.line(format!("{} {} ({current})", paint(Tone::Bad, &one.outcome), one.secret));
    for found in &one.found {
        output.line(format!("  {found}"));
    }
    if let Some(at) = one.next_attempt {
        output.line(format!("  next attempt {}", ahead(Some(at))));
    }
    output.line(format!("  next: {}", one.advice));
}
