//! Streams of server-sent events: hints for consumers, journals for operators. Hints carry no content, so that a lost
//! one loses nothing: whoever connects looks at everything once. No stream carries a value.

use super::extract::Params;
use super::workload::own_secret;
use crate::auth::{Operator, Workload};
use crate::context::{Context, Open, OpenSlot};
use crate::limits::{MAX_COALESCED, MAX_PAGE, MAX_STREAM_LIFE, STREAM_KEEP_ALIVE};
use crate::model::{ChangedEvent, EventParams, HistoryEvent, OwnSecrets, WatchParams};
use crate::problem::{Problem, ProblemDetails};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use keybaton_engine::EngineError;
use keybaton_engine::ports::journal::Part;
use keybaton_engine::requests::Changed;
use keybaton_protocol::ids::{SecretName, Seq};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::new().routes(routes!(watched)).routes(routes!(events))
}

/// Tells a consumer when to fetch again. First `open` with the names of its secrets (fetch each), then `changed` with
/// a name and a position; `open` again whenever announcements were lost. Ends after 15 minutes: come back.
#[utoipa::path(get, path = "/v1/consumer/watch", tag = "consumer", security(("bearer" = [])), params(WatchParams),
    responses((status = 200, content_type = "text/event-stream", body = inline(ChangedEvent)),
        (status = "default", body = ProblemDetails)))]
async fn watched(
    workload: Workload,
    State(context): State<Context>,
    Params(params): Params<WatchParams>,
) -> Result<impl IntoResponse, Problem> {
    // Subscribed before anything is read: what happens in between is heard, at worst twice.
    let ear = Ear::new(&context, &workload.identity.id)?;
    let mut names: BTreeSet<_> =
        context.parts().administration.secrets_of(&workload.consumer).await?.into_iter().collect();
    if let Some(name) = &params.secret {
        let secret = own_secret(&workload, name)?;
        if !names.contains(&secret) {
            return Err(EngineError::NotYours { secret, consumer: workload.consumer.name }.into());
        }
        names = BTreeSet::from([secret]);
    }
    let own = OwnSecrets {
        consumer: workload.consumer.to_string(),
        secrets: names.iter().map(ToString::to_string).collect(),
    };
    Ok(hints(ear, move |secret| names.contains(secret), move || named("open").json_data(&own)))
}

/// Follows journals. With `secret`: its entries, each with its position as the event's id, so that `Last-Event-ID`
/// resumes exactly; without: a hint for every journal that grows.
#[utoipa::path(get, path = "/v1/events", tag = "operator", security(("bearer" = [])), params(EventParams),
    responses((status = 200, content_type = "text/event-stream", body = inline(HistoryEvent)),
        (status = "default", body = ProblemDetails)))]
async fn events(
    operator: Operator,
    State(context): State<Context>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
) -> Result<axum::response::Response, Problem> {
    let ear = Ear::new(&context, &operator.id)?;
    let Some(name) = params.secret else {
        let heard = move |secret: &SecretName| operator.within(secret.namespace().as_str()).is_ok();
        return Ok(hints(ear, heard, || Ok(named("open").data("{}"))).into_response());
    };
    let secret: SecretName = name.parse()?;
    operator.within(secret.namespace().as_str())?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = Seq(resumed.or(params.after).unwrap_or(0));
    let mut journal = Journal { ear, context, secret, after, ready: VecDeque::new(), more: false };
    journal.read().await?;
    Ok(kept_alive(stream::unfold(journal, async |mut journal| {
        let event = journal.next().await?;
        Some((Ok(event), journal))
    }))
    .into_response())
}

/// What one stream listens to, and until when.
struct Ear {
    changes: broadcast::Receiver<Changed>,
    stopping: watch::Receiver<bool>,
    until: Instant,
    _slot: OpenSlot,
}

enum Heard {
    Changed(Changed),
    /// Some announcements were lost.
    Lagged,
}

impl Ear {
    fn new(context: &Context, identity: &str) -> Result<Self, Problem> {
        Ok(Self {
            _slot: context.hold_open(Open::Stream, identity)?,
            changes: context.engine().subscribe(),
            stopping: context.stopping(),
            until: Instant::now() + MAX_STREAM_LIFE,
        })
    }

    /// The next announcement; `None` when the stream is to end.
    async fn listen(&mut self) -> Option<Heard> {
        tokio::select! {
            () = told(&mut self.stopping) => None,
            () = tokio::time::sleep_until(self.until) => None,
            heard = self.changes.recv() => match heard {
                Ok(changed) => Some(Heard::Changed(changed)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(Heard::Lagged),
                Err(broadcast::error::RecvError::Closed) => None,
            },
        }
    }

    /// What is there already, without waiting; `false` if some was lost.
    fn drain(&mut self, mut each: impl FnMut(Changed)) -> bool {
        for _ in 0..MAX_COALESCED {
            match self.changes.try_recv() {
                Ok(changed) => each(changed),
                Err(broadcast::error::TryRecvError::Lagged(_)) => return false,
                Err(_) => break,
            }
        }
        true
    }
}

/// Returns when the server stops.
pub(super) async fn told(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone ends the stream as well.
    let _either = stopping.wait_for(|stopping| *stopping).await;
}

/// Hints: `open` first and after every loss, then one `changed` per secret and burst.
fn hints(
    ear: Ear,
    wanted: impl Fn(&SecretName) -> bool + Send + 'static,
    open: impl Fn() -> Result<Event, axum::Error> + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ready: VecDeque<Event> = open().into_iter().collect();
    kept_alive(stream::unfold((ear, ready, wanted, open), async |(mut ear, mut ready, wanted, open)| {
        loop {
            if let Some(event) = ready.pop_front() {
                return Some((Ok(event), (ear, ready, wanted, open)));
            }
            let mut newest = BTreeMap::new();
            let whole = match ear.listen().await? {
                Heard::Lagged => false,
                Heard::Changed(first) => {
                    newest.insert(first.secret, first.seq);
                    ear.drain(|next| {
                        newest.insert(next.secret, next.seq);
                    })
                }
            };
            if whole {
                ready.extend(newest.into_iter().filter(|(secret, _)| wanted(secret)).filter_map(changed));
            } else {
                ready.extend(open());
            }
        }
    }))
}

fn changed((secret, seq): (SecretName, Seq)) -> Option<Event> {
    let hint = ChangedEvent { secret: secret.to_string(), seq: seq.0 };
    named("changed").id(seq.0.to_string()).json_data(hint).ok()
}

/// One secret's journal, read on whenever it grows.
struct Journal {
    ear: Ear,
    context: Context,
    secret: SecretName,
    after: Seq,
    ready: VecDeque<Event>,
    /// There is more on record than is ready.
    more: bool,
}

impl Journal {
    async fn read(&mut self) -> Result<(), Problem> {
        let entries = self.context.engine().history(&self.secret, Part::After(self.after), MAX_PAGE as usize).await?;
        self.more = entries.len() == MAX_PAGE as usize;
        for entry in entries {
            self.after = Seq(entry.seq);
            let event = named("journal").id(entry.seq.to_string());
            self.ready.extend(event.json_data(HistoryEvent::from(entry)));
        }
        Ok(())
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let look = self.more
                || match self.ear.listen().await? {
                    Heard::Lagged => true,
                    Heard::Changed(changed) => changed.secret == self.secret && changed.seq > self.after,
                };
            if look && let Err(problem) = self.read().await {
                // The client comes back with the last id it saw, and is told then what is wrong.
                tracing::warn!(secret = %self.secret, problem = problem.kind().name(), "ending a stream of events");
                return None;
            }
        }
    }
}

fn named(name: &'static str) -> Event {
    Event::default().event(name)
}

fn kept_alive<S>(stream: S) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    Sse::new(stream).keep_alive(KeepAlive::new().interval(STREAM_KEEP_ALIVE))
}
