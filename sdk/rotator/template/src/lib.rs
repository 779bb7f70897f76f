//! `my-rotator`: API keys of an example service that lets two live at once and tells when each was last used.

#[cfg(test)]
mod tests;

use keybaton_rotator::http::{Reply, Request, segment};
use keybaton_rotator::{
    About, Candidate, Context, Created, Facts, Failure, Generation, Identity, Minter, Observed, Overlap, Profile,
    Result, Rotator, State, Target, Usage, Verdict, about, export,
};
use serde::Deserialize;

/// The name of the secret field that consumers get.
const KEY: &str = "key";

/// What a declaration says of one secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    connection: String,
    account: String,
}

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["connection", "account"],
    "properties": {
        "connection": { "type": "string", "description": "Name of the connection to the service." },
        "account": { "type": "string", "description": "Whose keys." }
    }
}"#;

/// A key as the service lists it.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    label: String,
    created: u64,
    last_used: Option<u64>,
}

/// The rotator.
#[derive(Debug)]
pub struct MyRotator;

export!(MyRotator);

impl Settings {
    fn keys(&self) -> String {
        format!("/accounts/{}/keys", segment(&self.account))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let reply = Request::new(&self.connection, "GET", self.keys()).send(Identity::Admin)?;
        succeeded(&reply)?.json()
    }

    fn revoke(&self, id: &str) -> Result<()> {
        let path = format!("{}/{}", self.keys(), segment(id));
        let reply = Request::new(&self.connection, "DELETE", path).send(Identity::Admin)?;
        // A key that is gone is what was asked for.
        if reply.status == 404 { Ok(()) } else { succeeded(&reply).map(drop) }
    }
}

fn succeeded(reply: &Reply) -> Result<&Reply> {
    match reply.status {
        200..=299 => Ok(reply),
        429 | 503 => Err(Failure::retryable("example.busy", format!("the service answered with {}", reply.status))),
        status => Err(Failure::permanent("example.refused", format!("the service answered with {status}"))),
    }
}

impl Rotator for MyRotator {
    type Settings = Settings;

    const ABOUT: About = about!(SCHEMA);

    fn profile(_: &Settings) -> Result<Profile> {
        Ok(Profile {
            usage: Some(Usage { lag_ms: 60_000, resolution_ms: 60_000 }),
            ..Profile::new(Overlap::Native { limit: 2 }, Minter::Target)
        })
    }

    fn observe(_: &Context, target: &Target<Settings>) -> Result<Observed> {
        let seen = |key: Listed| Generation {
            number: target.generations.iter().find(|known| known.id.as_ref() == Some(&key.id)).and_then(|g| g.number),
            id: Some(key.id),
            state: State::Active,
            created_unix: Some(key.created),
            last_used_unix: key.last_used,
            ..Generation::default()
        };
        let generations = target.settings.list()?.into_iter().map(seen).collect();
        Ok(Observed { generations, ..Observed::default() })
    }

    fn create(ctx: &Context, target: &Target<Settings>, _: &[(String, String)]) -> Result<Created> {
        let settings = &target.settings;
        // An earlier attempt may have minted one whose answer was lost: nobody holds it.
        for lost in settings.list()?.iter().filter(|key| key.label == ctx.operation) {
            settings.revoke(&lost.id)?;
        }
        let mut reply = Request::new(&settings.connection, "POST", settings.keys())
            .json(&serde_json::json!({ "label": ctx.operation }))
            .capture("json:/key")
            .send(Identity::Admin)?;
        let secret = reply.take(0)?;
        let key: Listed = reply.json()?;
        let generation = Generation { number: Some(ctx.generation), id: Some(key.id), ..Generation::default() };
        Ok(Created { generation, secrets: vec![(KEY.to_owned(), secret)] })
    }

    fn install(_: &Context, _: &Target<Settings>) -> Result<Facts> {
        // Valid from the moment it was minted.
        Ok(Facts::new())
    }

    fn verify(ctx: &Context, target: &Target<Settings>) -> Result<Verdict> {
        let key = target.secret(ctx.generation, KEY)?;
        let login = Identity::Candidate(Candidate::bearer(key));
        let reply = Request::new(&target.settings.connection, "GET", "/whoami").send(login)?;
        Ok(match reply.status {
            401 | 403 => Verdict::Refused(format!("the service answered with {}", reply.status)),
            _ => succeeded(&reply).map(|_| Verdict::Works)?,
        })
    }

    fn destroy(ctx: &Context, target: &Target<Settings>) -> Result<Facts> {
        let id = ctx.id.as_deref().ok_or_else(|| {
            Failure::permanent("example.id-unknown", format!("generation {} has no id", ctx.generation))
        })?;
        target.settings.revoke(id)?;
        Ok(Facts::new())
    }
}
