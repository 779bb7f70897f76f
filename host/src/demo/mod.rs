//! `keybaton demo`: real credentials turned under live traffic, on throw-away servers, with everything claimed at the
//! end checked against the servers. Uses the same commands, host, plugins and client SDK as everybody else.

mod host;
mod proof;
mod story;
mod workload;

use crate::cli::Demo;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use story::Story;

/// Runs the demo and prints its line of checked counts.
pub(crate) fn run(output: &Output, asked: &Demo) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, "cannot start the runtime").because(&error))?;
    let proven = runtime.block_on(async {
        let mut story = Story::begin(output, asked).await?;
        let told = story.tell().await;
        let logs = story.logs();
        let ended = match told {
            Ok(()) => story.prove().await,
            Err(failure) => Err(failure),
        };
        story.end(asked.keep);
        ended.map_err(|failure| if asked.keep { failure.help(format!("logs: {logs}")) } else { failure })
    })?;
    for broken in &proven.broken {
        output.line(format!("{} {broken}", paint(Tone::Bad, "not so:")));
    }
    output.result(&proven, |output, proven| output.line(proven.line()));
    Ok(if proven.broken.is_empty() { Exit::Done } else { Exit::Failed })
}
