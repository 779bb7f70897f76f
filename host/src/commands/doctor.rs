//! `doctor`: looks for what would go wrong, on the installation's files and on the running host. Changes nothing.

use super::show::span;
use crate::cli::Common;
use crate::client::Client;
use crate::config::Installation;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use crate::wiring::{connections, keys};
use keybaton_api::model::{AuditReport, ClockStep, ConnectionTest, Connections, Overview, Plugins};
use keybaton_store::{Examined, Mode, Store, StoreError};
use serde::Serialize;
use std::error::Error;
use std::os::unix::fs::PermissionsExt;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    fine: bool,
    detail: String,
}

/// Looks at everything.
pub(crate) async fn run(common: &Common, output: &Output) -> Result<Exit, Failure> {
    let installation = Installation::open(&common.dir)?;
    let mut checks = files(&installation);
    let progress = output.progress("proving the store");
    checks.extend(store(&installation).await);
    progress.finish_and_clear();
    let progress = output.progress("asking the host");
    checks.extend(host(common).await);
    progress.finish_and_clear();
    let fine = checks.iter().all(|check| check.fine);
    output.result(&checks, |output, checks| {
        for check in checks {
            let mark = if check.fine { paint(Tone::Good, "ok  ") } else { paint(Tone::Bad, "fail") };
            output.line(format!("{mark} {:<28} {}", check.what, check.detail));
        }
    });
    Ok(if fine { Exit::Done } else { Exit::Failed })
}

fn check(what: &'static str, found: Result<String, String>) -> Check {
    let fine = found.is_ok();
    Check { what, fine, detail: found.unwrap_or_else(|problem| problem) }
}

fn files(installation: &Installation) -> Vec<Check> {
    let private = |path: std::path::PathBuf| {
        let mode =
            std::fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?.permissions().mode();
        if mode & 0o077 == 0 {
            Ok(path.display().to_string())
        } else {
            Err(format!("{} is open to others (mode {:04o}); chmod go= it", path.display(), mode & 0o7777))
        }
    };
    let said = |failure: Failure| {
        let help = failure.help.map(|help| format!("\n{help}")).unwrap_or_default();
        [vec![failure.what], failure.causes].concat().join(": ") + &help
    };
    vec![
        check("key-encryption key", keys::kek(installation).map(|kek| format!("key {}", kek.id())).map_err(said)),
        check("data directory", private(installation.data())),
        check("operator's token", private(installation.token())),
        check(
            "connection files",
            connections::read_dir(&installation.connections())
                .map(|loaded| format!("{} connections", loaded.connections.len()))
                .map_err(said),
        ),
    ]
}

/// Proves all that is stored, on the files themselves, whether a host runs or not.
async fn store(installation: &Installation) -> Vec<Check> {
    // A key that can't be read has a line of its own.
    let Ok(kek) = keys::kek(installation) else { return Vec::new() };
    let chain = |error: &StoreError| {
        let causes = std::iter::successors(Error::source(error), |cause| (*cause).source());
        causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    };
    let examined = match Store::open(&installation.data(), kek, Mode::ReadOnly) {
        Ok(store) => store.examine().await,
        Err(error) => Err(error),
    };
    match examined {
        Err(error) => vec![check("store", Err(chain(&error)))],
        Ok(Examined { proven, damage }) if damage.is_empty() => {
            let detail = format!("{} journals of {} rows, {} values", proven.secrets, proven.rows, proven.sealed);
            vec![check("store", Ok(detail))]
        }
        Ok(Examined { damage, .. }) => {
            damage.iter().map(|one| check("store", Err(format!("{}\n{}", one.detail, one.advice())))).collect()
        }
    }
}

/// A step is named for so long, in milliseconds: a day. Whoever looks later looks for what goes wrong now.
const STEP_SHOWN_MS: u64 = 24 * 3_600_000;

/// Whether the wall clock was set lately, by how much, and what that means.
fn clock(steps: &[ClockStep]) -> Result<String, String> {
    let lately: Vec<_> = steps.iter().filter(|step| step.ago_ms < STEP_SHOWN_MS).collect();
    if lately.is_empty() {
        return Ok("has not been set in the last day while the host ran".to_owned());
    }
    let told: Vec<_> = lately
        .iter()
        .map(|step| {
            let way = if step.by_ms < 0 { "back" } else { "ahead" };
            let by = span(step.by_ms.unsigned_abs());
            let ago = span(step.ago_ms);
            if step.at_start {
                format!("{ago} ago journals were found whose last event is dated {by} after the clock: it was set back while no host ran")
            } else {
                format!("{ago} ago the wall clock went {way} by {by}: it was set, or the machine slept")
            }
        })
        .collect();
    Err(format!(
        "{}\nwaiting, overlaps, leases and enrolment tokens go by the time that has passed and are as long as before; dates, \
         schedules and the ends of operators' and consumers' tokens go by the clock as it is now: see that it is right, \
         and that something keeps it so (`timedatectl`)",
        told.join("; ")
    ))
}

async fn host(common: &Common) -> Vec<Check> {
    let client = match Client::new(common) {
        Ok(client) => client,
        Err(failure) => return vec![check("host", Err(failure.what))],
    };
    let overview: Overview = match client.get("/v1/overview").await {
        Ok(overview) => overview,
        Err(failure) => return vec![check("host", Err([vec![failure.what], failure.causes].concat().join(": ")))],
    };
    let mut checks = vec![check("host", Ok(format!("{} at epoch {}", overview.version, overview.epoch)))];
    checks.push(check("clock", clock(&overview.clock_steps)));
    checks.push(check("overdue", overview.oldest_overdue.map_or(Ok("nothing".to_owned()), |one| Err(one.secret))));
    let plugins = client.get::<Plugins>("/v1/plugins").await;
    checks.push(check(
        "plugins",
        match plugins {
            Err(failure) => Err(failure.what),
            Ok(all) => match all.plugins.iter().find(|one| !one.differences.is_empty()) {
                Some(bad) => Err(format!("{}: {}", bad.name, bad.differences.join("; "))),
                None => Ok(format!("{} agree with their grants", all.plugins.len())),
            },
        },
    ));
    if let Ok(all) = client.get::<Connections>("/v1/connections").await {
        for one in all.connections {
            let path = format!("/v1/connections/{}/test", one.name);
            let tested = client.post::<ConnectionTest>(&path, &serde_json::json!({})).await;
            checks.push(check(
                "connection",
                match tested {
                    Ok(tested) if tested.works => Ok(format!("{} works ({} ms)", tested.name, tested.took_ms)),
                    Ok(tested) => Err(format!("{}: {}", tested.name, tested.detail)),
                    Err(failure) => Err(format!("{}: {}", one.name, failure.what)),
                },
            ));
        }
    }
    let audit = client.post::<AuditReport>("/v1/audit/verify", &serde_json::json!({})).await;
    checks.push(check(
        "audit chain",
        match audit {
            Ok(report) if report.intact => Ok(format!("{} entries", report.entries)),
            Ok(report) => Err(format!("broken at {:?}: {}", report.broken_at, report.head)),
            Err(failure) => Err(failure.what),
        },
    ));
    checks
}

#[cfg(test)]
mod tests {
    use super::{STEP_SHOWN_MS, clock};
    use keybaton_api::model::ClockStep;

    fn step(by_ms: i64, ago_ms: u64, at_start: bool) -> ClockStep {
        ClockStep { at: 1_700_000_000_000, ago_ms, by_ms, at_start }
    }

    #[test]
    fn a_step_of_the_clock_is_named_with_when_by_how_much_and_what_it_means() {
        let told = clock(&[step(3_600_000, 65_000, false), step(-7_230_000, 400, true)]).unwrap_err();
        assert!(told.starts_with("1m5s ago the wall clock went ahead by 1h0m"), "{told}");
        assert!(
            told.contains("400ms ago journals were found whose last event is dated 2h0m after the clock"),
            "{told}"
        );
        assert!(told.contains("are as long as before"), "{told}");
    }

    #[test]
    fn a_clock_that_nobody_set_is_fine_and_so_is_one_that_was_set_long_ago() {
        assert!(clock(&[]).is_ok());
        assert!(clock(&[step(3_600_000, STEP_SHOWN_MS, false)]).is_ok());
        assert!(clock(&[step(3_600_000, STEP_SHOWN_MS - 1, false)]).is_err());
    }
}
