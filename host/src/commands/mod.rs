//! One module a group of commands; this file only sends each to its own.

mod access;
mod audit;
mod compromise;
mod connections;
mod consumers;
mod declare;
mod doctor;
mod history;
mod init;
mod key;
mod live;
mod operators;
mod people;
mod plugin_view;
mod plugins;
mod reconcile;
mod secrets;
mod serve;
mod show;
mod stores;

use crate::cli::{Cli, Command, Common, OperatorArgs, OperatorCommand};
use crate::exit::{Context, Exit, Failure};
use crate::output::Output;
use clap::CommandFactory;
use keybaton_protocol::ids::SecretName;
use std::future::Future;
use std::io::Write;

pub(crate) use declare::read_yaml;
pub(crate) use init::CA_SEALED_AS;

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli, output: &Output) -> Result<Exit, Failure> {
    let common = cli.common;
    match cli.command {
        Command::Init(asked) => init::init(&common, output, asked),
        Command::Serve(asked) => serve::serve(&common, output, &asked),
        Command::Restore(asked) => stores::restore(&common, output, &asked),
        Command::Key(asked) => key::run(&common, output, asked),
        Command::Demo(asked) => crate::demo::run(output, &asked),
        Command::Completions(asked) => {
            let mut script = Vec::new();
            clap_complete::generate(asked.shell, &mut Cli::command(), "keybaton", &mut script);
            // A closed pipe is the reader's choice, not a failure of the command.
            let _closed = std::io::stdout().lock().write_all(&script);
            Ok(Exit::Done)
        }
        Command::Plugin(asked) => plugins::run(&common, output, asked),
        Command::Plan(asked) => on_tokio(declare::plan(&common, output, asked)),
        Command::Apply(asked) => on_tokio(declare::apply(&common, output, asked)),
        Command::Doctor => on_tokio(doctor::run(&common, output)),
        Command::Connection(asked) => on_tokio(connections::run(&common, output, asked)),
        Command::Consumer(asked) => on_tokio(consumers::run(&common, output, asked)),
        Command::Operator(OperatorArgs { command: OperatorCommand::Reset(asked) }) => {
            access::reset(&common, output, asked)
        }
        Command::Operator(asked) => on_tokio(operators::run(&common, output, asked)),
        Command::Audit(asked) => on_tokio(audit::run(&common, output, asked)),
        Command::Backup(asked) => on_tokio(stores::backup(&common, output, asked)),
        command => on_tokio(of_secrets(common, output, command)),
    }
}

async fn of_secrets(common: Common, output: &Output, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Import(asked) => secrets::import(&common, output, asked).await,
        Command::Rotate(asked) => secrets::rotate(&common, output, asked).await,
        Command::Retire(asked) => secrets::reasoned(&common, output, "retire", asked).await,
        Command::Rollback(asked) => secrets::reasoned(&common, output, "rollback", asked).await,
        Command::Revert(asked) => secrets::reasoned(&common, output, "revert", asked).await,
        Command::Abandon(asked) => secrets::reasoned(&common, output, "abandon", asked).await,
        Command::Release(asked) => secrets::plain(&common, output, "release", asked).await,
        Command::Reconcile(asked) => reconcile::run(&common, output, asked).await,
        Command::Compromise(asked) => compromise::run(&common, output, asked).await,
        Command::Override(asked) => secrets::override_gate(&common, output, asked).await,
        Command::Member(asked) => people::member(&common, output, asked).await,
        Command::Attest(asked) => people::attest(&common, output, asked).await,
        Command::Repolicy(asked) => secrets::reasoned(&common, output, "repolicy", asked).await,
        Command::Repin(asked) => people::repin(&common, output, asked).await,
        Command::Place(asked) => people::place(&common, output, asked).await,
        Command::Freeze(asked) => secrets::scoped(&common, output, "freeze", asked).await,
        Command::Thaw(asked) => secrets::scoped(&common, output, "thaw", asked).await,
        Command::Watch(asked) => live::watch(&common, output, asked).await,
        Command::History(asked) => history::run(&common, output, asked).await,
        Command::Status(asked) => show::status(&common, output, asked).await,
        other => unreachable!("`run` sends {other:?} elsewhere"),
    }
}

/// Runs a future on a runtime of its own; one-shot commands need no more than one thread.
fn on_tokio<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.failed(Exit::Failed, "cannot start the asynchronous runtime")?.block_on(future)
}

/// The API's path of a secret.
fn path_of(secret: &str) -> Result<String, Failure> {
    let name: SecretName = secret.parse().failed(Exit::Usage, "that is not a secret's name")?;
    Ok(format!("/v1/secrets/{}/{}", name.namespace(), name.name()))
}
