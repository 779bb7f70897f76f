//! Taking in declarations: scheduling what is new or changed, letting go what is absent. Destroys nothing.

use crate::actor::{Item, TookOver};
use crate::begin::ask;
use crate::board::{Interner, SecretId, Spec};
use crate::consumers::look;
use crate::declared::Declared;
use crate::error::EngineError;
use crate::shared::Shared;
use keybaton_protocol::command::Command;
use keybaton_protocol::ids::Author;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Declarations taken in under one hold of the board's lock, so that others get their turn.
const CHUNK: usize = 4_096;

/// Journals that are brought level with their declaration at once.
const LEVEL_AT_ONCE: usize = 32;

/// Makes these the declarations.
pub(crate) async fn declare(shared: &Arc<Shared>, all: Vec<Declared>, author: Author) -> Result<(), EngineError> {
    let mut interner = Interner::default();
    let mut seen = HashSet::with_capacity(all.len());
    let mut changed = Vec::new();
    let mut rest = all.into_iter();
    loop {
        let chunk: Vec<_> = rest.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        take_in(shared, chunk, &mut interner, &mut seen, &mut changed);
        tokio::task::yield_now().await;
    }
    let absent = let_go(shared, &seen);
    shared.bell.notify_one();
    let mut work = JoinSet::new();
    let mut result = Ok(());
    let jobs = changed.into_iter().map(Job::Level).chain(absent.into_iter().map(Job::Unmanage));
    for job in jobs {
        if work.len() >= LEVEL_AT_ONCE {
            result = result.and(joined(work.join_next().await));
        }
        let (shared, author) = (Arc::clone(shared), author.clone());
        work.spawn(async move { job.run(&shared, author).await });
    }
    while let Some(done) = work.join_next().await {
        result = result.and(joined(Some(done)));
    }
    result
}

/// Takes one part of the declarations in; notes those whose journals took over another one.
fn take_in(
    shared: &Shared,
    chunk: Vec<Declared>,
    interner: &mut Interner,
    seen: &mut HashSet<SecretId>,
    changed: &mut Vec<(SecretId, Arc<Spec>)>,
) {
    let mut board = shared.board();
    for declared in chunk {
        let (name, spec) = interner.spec(declared);
        let id = board.declare(&name, Arc::clone(&spec));
        seen.insert(id);
        let cell = board.cell(id);
        if cell.journalled && cell.mark.spec != Some(spec.digest) {
            changed.push((id, spec));
        }
    }
}

fn joined(done: Option<Result<Result<(), EngineError>, tokio::task::JoinError>>) -> Result<(), EngineError> {
    match done {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(EngineError::Internal(error.to_string())),
        None => Ok(()),
    }
}

/// Takes the declaration away from every secret that is not among these; answers those whose journal must say so.
fn let_go(shared: &Shared, seen: &HashSet<SecretId>) -> Vec<SecretId> {
    let mut board = shared.board();
    let absent: Vec<SecretId> = (0..board.cells().len())
        .filter_map(|at| SecretId::try_from(at).ok())
        .filter(|id| !seen.contains(id))
        .filter(|id| board.cell(*id).spec.is_some() || board.cell(*id).mark.spec.is_some())
        .collect();
    absent.iter().for_each(|id| board.undeclare(*id));
    absent.into_iter().filter(|id| board.cell(*id).journalled).collect()
}

enum Job {
    /// Bring the journal's consumers level with the declaration.
    Level((SecretId, Arc<Spec>)),
    /// Put on record that the declaration is gone.
    Unmanage(SecretId),
}

impl Job {
    async fn run(self, shared: &Arc<Shared>, author: Author) -> Result<(), EngineError> {
        match self {
            Self::Level((id, spec)) => level(shared, id, &spec, author).await,
            Self::Unmanage(id) => {
                let managed = look(shared, id, |secret, _| secret.managed()).await?;
                if managed {
                    ask(shared, id, Command::Unmanage { author }, Vec::new(), None).await?;
                }
                Ok(())
            }
        }
    }
}

/// A secret whose rotation is over takes its consumers from its declaration now, and what is still ending goes by them;
/// a running rotation keeps those it was started with, unless a person has it take the new policy, and is brought level
/// when it is over. Taken over is only what the journal says.
pub(crate) async fn level(
    shared: &Arc<Shared>,
    id: SecretId,
    spec: &Arc<Spec>,
    author: Author,
) -> Result<(), EngineError> {
    let wanted = Arc::clone(&spec.policy);
    let commands = look(shared, id, move |secret, _| {
        if secret.rotation().is_some() {
            return None;
        }
        let known = secret.consumers();
        let changed = wanted.consumers.iter().filter(|consumer| known.get(&consumer.name) != Some(consumer));
        let joins = changed.map(|consumer| {
            let (declared, author) = (Box::new(consumer.clone()), author.clone());
            match known.contains_key(&consumer.name) {
                true => Command::ChangeConsumer { consumer: declared, author },
                false => Command::AddConsumer { consumer: declared, author },
            }
        });
        let leaves = known
            .keys()
            .filter(|name| wanted.consumers.iter().all(|consumer| consumer.name != **name))
            .map(|name| Command::RemoveConsumer { consumer: name.clone(), author: author.clone() });
        Some(joins.chain(leaves).collect::<Vec<_>>())
    })
    .await?;
    let Some(commands) = commands else { return Ok(()) };
    for command in commands {
        match ask(shared, id, command, Vec::new(), None).await {
            Ok(_) => {}
            // Somebody else was at it meanwhile: it is looked at anew when a rotation is over, or begins.
            Err(EngineError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let (done, told) = oneshot::channel();
    shared.ask(id, Item::TookOver(TookOver { spec: spec.digest, done: Some(done) }))?;
    told.await.unwrap_or(Err(EngineError::Stopping))
}
