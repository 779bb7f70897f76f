//! `compromise`: a generation is known to others. Says beforehand what that will break; then asks the host to end it.

use crate::cli::{Common, Compromise};
use crate::client::Client;
use crate::commands::{path_of, secrets::recorded};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{CompromiseRequest, Foresight};

/// Foretells, and with `--yes` does it.
pub(crate) async fn run(common: &Common, output: &Output, asked: Compromise) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let path = format!("{}/compromise", path_of(&asked.secret)?);
    if asked.yes {
        let Compromise { generation, disable_first, reason, .. } = asked;
        let request = CompromiseRequest { generation, disable_first, reason };
        recorded(output, "compromise", &client.post(&path, &request).await?);
        return Ok(Exit::Done);
    }
    let query = format!("{path}?generation={}&disable_first={}", asked.generation, asked.disable_first);
    let seen: Foresight = client.get(&query).await?;
    output.result(&seen, |output, seen| output.line(foretold(seen)));
    if asked.dry_run {
        return Ok(Exit::Done);
    }
    output.note("nothing was done; say --yes to do it, or --dry-run if you only wanted to know");
    Ok(Exit::Refused)
}

fn foretold(seen: &Foresight) -> String {
    let role = paint(Tone::Strong, &seen.role);
    let mut text =
        format!("generation {} of {} is {role}. Said to be known to others:\n", seen.generation, seen.secret);
    let mut list = |what: &str, items: &[String], none: &str| {
        if items.is_empty() {
            text.push_str(&format!("  {what}: {none}\n"));
        } else {
            text.push_str(&format!("  {what}:\n"));
            items.iter().for_each(|item| text.push_str(&format!("    - {item}\n")));
        }
    };
    list("what follows", &seen.follows, "nothing more, it is ending already");
    let lose = if seen.cut_off {
        paint(Tone::Bad, "replicas that hold it and are refused until they fetch another")
    } else {
        "replicas that hold it and will be led to another".to_owned()
    };
    list(&lose, &seen.holders, "none that keybaton knows of");
    let of_several =
        |place: &String| if place == "-" { "the target, which is one place".to_owned() } else { place.clone() };
    list("places where it ends", &seen.places.iter().map(of_several).collect::<Vec<_>>(), "none");
    list("connections that log in with it", &seen.connections, "none");
    list("secrets that rest on it", &seen.dependants, "none");
    text.trim_end().to_owned()
}
