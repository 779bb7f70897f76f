//! `serve`: runs the host until it is told to stop; at SIGHUP it reads its connection files again. Not dumpable, logs to
//! standard error, never cuts a step in half.

use crate::cli::{Common, Serve};
use crate::config::Installation;
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::Running;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Libraries of which nobody wants to know more, whatever the level: below `info` the first logs the text of statements,
/// and with it SCRAM verifiers; the others, which compile components, log gigabytes for each.
const QUIET: [&str; 4] = ["tokio_postgres=info", "cranelift=info", "regalloc2=info", "wasmtime=info"];

/// Runs the host.
pub(crate) fn serve(common: &Common, output: &Output, asked: &Serve) -> Result<Exit, Failure> {
    let mut filter = EnvFilter::try_new(&asked.log).failed(Exit::Usage, format!("`{}` is no log filter", asked.log))?;
    for quiet in QUIET {
        filter = filter.add_directive(quiet.parse().failed(Exit::Failed, "a constant log directive is none")?);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if asked.log_json {
        builder.json().init();
    } else {
        builder.with_ansi(output.colored()).init();
    }
    harden()?;
    let installation = Installation::open(&common.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.failed(Exit::Failed, "cannot start the asynchronous runtime")?.block_on(run(output, installation))
}

async fn run(output: &Output, installation: Installation) -> Result<Exit, Failure> {
    let mut terminate = signal(SignalKind::terminate()).failed(Exit::Failed, "cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).failed(Exit::Failed, "cannot listen for signals")?;
    let mut hangup = signal(SignalKind::hangup()).failed(Exit::Failed, "cannot listen for signals")?;
    let socket = installation.socket();
    let mut host = Running::start(installation).await?;
    let up = serde_json::json!({
        "listening": host.address(), "socket": socket, "secrets": host.secrets, "connections": host.connections,
    });
    output.result(&up, |output, _| {
        output.line(format!("{} https://{} and {}", paint(Tone::Good, "serving"), host.address(), socket.display()));
        output.note(format!("{} secrets, {} connections", host.secrets, host.connections));
    });
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => host.reload().await,
        }
    }
    output.note("stopping: calls that have left are waited for");
    if host.stop().await {
        Ok(Exit::Done)
    } else {
        Err(Failure::new(Exit::Failed, "some plugin calls did not end in time")
            .help("they are on record as open; the next start observes the target before anything else"))
    }
}

/// No core dumps and no debugger: the memory of this process holds credentials.
fn harden() -> Result<(), Failure> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).failed(Exit::Failed, "cannot forbid core dumps")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).failed(Exit::Failed, "cannot make the process undumpable")
}
