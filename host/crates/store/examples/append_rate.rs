//! Measures durable appends: many journals at once, the events of a rotation each. Prints one line of JSON.
//! `append_rate [rotations] [in flight] [directory]`; build it with `--release` for numbers that mean something.

use keybaton_engine::ports::journal::{Append, Journal, Mark, Reply};
use keybaton_engine::ports::secret::{Seal, SecretBytes};
use keybaton_protocol::event::{Event, HostAnswer, Outcome};
use keybaton_protocol::ids::{CallId, Digest, Fence, Generation, Millis, Ordinal, Place, SecretName};
use keybaton_protocol::step::{CallKind, Ending, Step};
use keybaton_store::{Kek, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const CALLS: u32 = 5;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut number = |or: usize| args.next().map_or(Ok(or), |arg| arg.parse());
    let (rotations, in_flight) = (number(5_000)?, number(256)?);
    let dir =
        args.next().map_or_else(std::env::temp_dir, Into::into).join(format!("append-rate-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let store = Store::create(&dir.join("data"), Kek::generate(&dir.join("kek"))?)?;
    let (next, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for worker in 0..in_flight {
        let (store, next, counted) = (store.clone(), Arc::clone(&next), Arc::clone(&counted));
        let secret: SecretName = format!("bench/s{worker}").parse()?;
        tasks.push(tokio::spawn(async move {
            let mut generation = 0;
            while next.fetch_add(1, Ordering::Relaxed) < rotations {
                generation += 1;
                rotate(&store, &secret, generation, &counted).await?;
            }
            Ok::<_, Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let [appends, events] = [0, 1].map(|index| counted[index].load(Ordering::Relaxed));
    println!(
        "{{\"rotations\":{rotations},\"in_flight\":{in_flight},\"appends\":{appends},\"events\":{events},\
         \"seconds\":{seconds:.3},\"rotations_per_s\":{:.0},\"appends_per_s\":{:.0},\"events_per_s\":{:.0}}}",
        rotations as f64 / seconds,
        appends as f64 / seconds,
        events as f64 / seconds
    );
    drop(store);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// One rotation: the lease, then its writes one after the other.
async fn rotate(store: &Store, secret: &SecretName, number: u32, counted: &[AtomicUsize; 2]) -> Result<(), Failure> {
    let fence = store.lease(secret, "bench", 60_000).await?.fence;
    for append in writes(secret, number, fence)? {
        counted[0].fetch_add(1, Ordering::Relaxed);
        counted[1].fetch_add(append.events.len(), Ordering::Relaxed);
        store.append(append).await?;
    }
    Ok(())
}

/// The writes of one rotation: plugin calls with a host call each, and what follows them.
fn writes(secret: &SecretName, number: u32, fence: Fence) -> Result<Vec<Append>, Failure> {
    let append = |events, fence| Append {
        secret: secret.clone(),
        after: None,
        fence,
        at: Millis(1_700_000_000_000 + u64::from(number)),
        events,
        seals: Vec::new(),
        replies: Vec::new(),
        erase: Vec::new(),
        mark: None,
    };
    let mut all = Vec::new();
    for index in 0..CALLS {
        let call = CallId(number * CALLS + index);
        all.push(append(vec![intended(call, number)?], Some(fence)));
        let (ordinal, request) = (Ordinal(0), Digest([7; 32]));
        let sent = Event::Sent { call, ordinal, request, deadline: Millis(1_700_000_030_000) };
        all.push(append(vec![sent], Some(fence)));
        let answered = Event::Answered { call, ordinal, request, answer: HostAnswer::Answered };
        let mut answer = append(vec![answered], None);
        answer.replies = vec![Reply { call, ordinal, request, body: vec![b'x'; 64] }];
        if index == 0 {
            let seal = Seal { label: "password".parse()?, bytes: SecretBytes::new(vec![b's'; 32]) };
            answer.seals = vec![(Generation(number), seal)];
        }
        all.push(answer);
        all.push(append(vec![Event::Ended { call, outcome: Outcome::Done(Vec::new()) }], None));
    }
    all.push(append(vec![Event::Committed], Some(fence)));
    let done = vec![
        Event::Erased { generation: Generation(number.saturating_sub(1)) },
        Event::Finished { ending: Ending::Completed, reason: String::new() },
    ];
    all.push(Append { mark: Some(Mark::default()), ..append(done, Some(fence)) });
    Ok(all)
}

fn intended(call: CallId, generation: u32) -> Result<Event, Failure> {
    Ok(Event::Intended {
        call,
        kind: CallKind::Install,
        generation: Generation(generation),
        place: Place::only(),
        attempt: 1,
        operation: format!("0198f0a1-0000-7000-8000-000000000001/install/{generation}/-").parse()?,
        baseline: Vec::new(),
        step: Step::Install,
        id: None,
        resumes: Vec::new(),
    })
}
