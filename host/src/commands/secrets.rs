//! Commands that ask something of one secret. They send the request and show what was recorded; they decide nothing.

use crate::cli::{Common, Import, Named, Override, Reasoned, Rotate, Scoped, Watch};
use crate::client::Client;
use crate::commands::{live, path_of};
use crate::exit::{Context, Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{
    Begun, FreezeRequest, FreezeScope, Freezes, ImportRequest, OverrideRequest, Reasoned as ReasonedRequest, Recorded,
    SecretStatus, Standing, WriteOnly,
};
use std::collections::BTreeMap;
use std::io::Read;
use zeroize::Zeroizing;

/// Largest value that `import` takes, in bytes.
const IMPORT_LIMIT: u64 = 1 << 20;

/// Starts a rotation; the first one of a secret issues its credential.
pub(crate) async fn rotate(common: &Common, output: &Output, asked: Rotate) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let path = path_of(&asked.secret)?;
    let status: SecretStatus = client.get(&path).await?;
    let what = if status.summary.standing == Standing::New { "issue" } else { "rotate" };
    let request = ReasonedRequest { reason: asked.reason };
    let begun: Begun = client.post(&format!("{path}/{what}"), &request).await?;
    if !asked.wait {
        output.result(&begun, |output, begun| {
            output.line(format!("{} {} of {}", paint(Tone::Good, "started"), what, begun.secret));
            output.note(format!("follow it with `keybaton watch {}`", begun.secret));
        });
        return Ok(Exit::Done);
    }
    live::watch(common, output, Watch { secret: asked.secret, until_idle: true, all: false }).await
}

/// Sends a request that carries a reason.
pub(crate) async fn reasoned(common: &Common, output: &Output, what: &str, asked: Reasoned) -> Result<Exit, Failure> {
    let request = ReasonedRequest { reason: asked.reason };
    let path = format!("{}/{what}", path_of(&asked.secret)?);
    if what == "retire" {
        let begun: Begun = Client::new(common)?.post(&path, &request).await?;
        output.result(&begun, |output, begun| {
            output.line(format!("{} to end {}", paint(Tone::Good, "started"), begun.secret));
        });
    } else {
        recorded(output, what, &Client::new(common)?.post(&path, &request).await?);
    }
    Ok(Exit::Done)
}

/// Sends a request that needs no more than a name.
pub(crate) async fn plain(common: &Common, output: &Output, what: &str, asked: Named) -> Result<Exit, Failure> {
    let path = format!("{}/{what}", path_of(&asked.secret)?);
    recorded(output, what, &Client::new(common)?.post(&path, &serde_json::json!({})).await?);
    Ok(Exit::Done)
}

/// Freezes or thaws a secret or a wider scope.
pub(crate) async fn scoped(common: &Common, output: &Output, what: &str, asked: Scoped) -> Result<Exit, Failure> {
    let scope = match asked {
        Scoped { secret: Some(secret), .. } => return plain(common, output, what, Named { secret }).await,
        Scoped { namespace: Some(name), .. } => FreezeScope::Namespace(name),
        Scoped { connection: Some(name), .. } => FreezeScope::Connection(name),
        Scoped { plugin: Some(name), .. } => FreezeScope::Plugin(name),
        Scoped { .. } => FreezeScope::Host,
    };
    let path = if what == "freeze" { "/v1/freezes" } else { "/v1/freezes/lift" };
    let standing: Freezes = Client::new(common)?.post(path, &FreezeRequest { scope }).await?;
    output.result(&standing, |output, standing| {
        output.line(format!("{}; {} freezes stand", paint(Tone::Good, "recorded"), standing.freezes.len()));
    });
    Ok(Exit::Done)
}

/// Lets a credential end without its evidence.
pub(crate) async fn override_gate(common: &Common, output: &Output, asked: Override) -> Result<Exit, Failure> {
    let request = OverrideRequest { generation: asked.generation, reason: asked.reason };
    let path = format!("{}/override", path_of(&asked.secret)?);
    recorded(output, "override", &Client::new(common)?.post(&path, &request).await?);
    Ok(Exit::Done)
}

/// Takes over a credential that exists. The value comes from a file or standard input, never from the command line.
pub(crate) async fn import(common: &Common, output: &Output, asked: Import) -> Result<Exit, Failure> {
    let mut attributes = BTreeMap::new();
    for pair in &asked.attributes {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Failure::new(Exit::Usage, format!("`{pair}` is not NAME=VALUE")).help("--attribute username=app_a")
        })?;
        attributes.insert(name.to_owned(), value.to_owned());
    }
    let mut fields = BTreeMap::new();
    if !asked.unknown {
        fields.insert(asked.field.clone(), WriteOnly::new(read_value(&asked)?));
    }
    let request = ImportRequest { id: asked.id, slot: asked.slot, attributes, fields, unknown: asked.unknown };
    let path = format!("{}/import", path_of(&asked.secret)?);
    let body = request.to_body();
    let begun: Begun = Client::new(common)?.send(&path, "application/json", body.to_vec()).await?;
    output.result(&begun, |output, begun| {
        output.line(format!(
            "{} {}: observed and verified before it counts",
            paint(Tone::Good, "importing"),
            begun.secret
        ));
    });
    Ok(Exit::Done)
}

fn read_value(asked: &Import) -> Result<Vec<u8>, Failure> {
    let mut value = Zeroizing::new(Vec::with_capacity(4096));
    let read = match &asked.file {
        Some(file) => std::fs::File::open(file).and_then(|file| file.take(IMPORT_LIMIT + 1).read_to_end(&mut value)),
        None => std::io::stdin().lock().take(IMPORT_LIMIT + 1).read_to_end(&mut value),
    };
    let read = read.failed(Exit::Invalid, "cannot read the value")?;
    if read as u64 > IMPORT_LIMIT {
        return Err(Failure::new(Exit::Invalid, "the value is larger than a mebibyte; nothing was imported"));
    }
    // A line feed at the end is the editor's or echo's, not the credential's.
    let end = value.len() - usize::from(value.ends_with(b"\n"));
    if end == 0 {
        return Err(Failure::new(Exit::Invalid, "the value is empty").help("say --unknown if nobody knows it"));
    }
    Ok(value[..end].to_vec())
}

/// Tells that a request is on record.
pub(super) fn recorded(output: &Output, what: &str, recorded: &Recorded) {
    output.result(recorded, |output, recorded| {
        output.line(format!(
            "{} {what} of {} (journal {})",
            paint(Tone::Good, "recorded"),
            recorded.secret,
            recorded.seq
        ));
    });
}
