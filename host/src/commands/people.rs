//! Commands by which people change what a rotation goes by: members, words, places, component. They show who is meant
//! and what was recorded; they decide nothing.

use super::show::{ago, ahead};
use crate::cli::{Attest, Common, Member, MemberArgs, MemberCommand, Place, PlaceArgs, PlaceCommand, Repin};
use crate::client::Client;
use crate::commands::{path_of, secrets::recorded};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Tone, paint};
use keybaton_api::model::{
    AttestationProposal, AttestationProposals, AttestationRequest, MemberList, MemberRequest, Membership, PlaceList,
    PlaceRequest, PlaceStatus, Recorded, RepinRequest, Repinned, Statement,
};

/// Lists, drops or adds members.
pub(crate) async fn member(common: &Common, output: &Output, asked: MemberArgs) -> Result<Exit, Failure> {
    match asked.command {
        MemberCommand::List { secret } => {
            let all: MemberList = Client::new(common)?.get(&format!("{}/members", path_of(&secret)?)).await?;
            output.result(&all, |output, all| {
                if all.consumers.is_empty() {
                    output.note(format!("{} has no consumers", all.secret));
                }
                all.consumers.iter().for_each(|one| output.line(membership(one)));
            });
            Ok(Exit::Done)
        }
        MemberCommand::Drop(member) => change_member(common, output, "members/drop", "drop of", member).await,
        MemberCommand::Add(member) => change_member(common, output, "members", "addition of", member).await,
    }
}

async fn change_member(
    common: &Common,
    output: &Output,
    route: &str,
    what: &str,
    asked: Member,
) -> Result<Exit, Failure> {
    let path = format!("{}/{route}", path_of(&asked.secret)?);
    let what = format!("{what} {}/{}, a member", asked.consumer, asked.replica);
    let request = MemberRequest { consumer: asked.consumer, replica: asked.replica, reason: asked.reason };
    let done: Recorded = Client::new(common)?.post(&path, &request).await?;
    recorded(output, &what, &done);
    output.note("it holds until the declaration is applied anew or a rotation starts: change that too");
    Ok(Exit::Done)
}

fn membership(one: &Membership) -> String {
    let required = if one.required { "" } else { ", optional" };
    let count = one.count.map(|count| format!(", {count} of any name")).unwrap_or_default();
    let mut text = format!(
        "{} ({}{required}{count})   asked for: ready by {}, adopted by {}\n",
        paint(Tone::Strong, &one.consumer),
        one.role,
        one.ready,
        one.adopted
    );
    for member in &one.members {
        let holds: Vec<String> = member.holds.iter().map(ToString::to_string).collect();
        let state = match (&member.incarnation, member.listed) {
            (_, false) => paint(Tone::Dim, "not a member"),
            (None, true) => paint(Tone::Warn, "never heard of"),
            (Some(_), true) if holds.is_empty() => "holds nothing".to_owned(),
            (Some(_), true) => format!("may hold generation {}", holds.join(", ")),
        };
        let doubts = super::show::doubts(member.unknown, member.twice);
        text.push_str(&format!("  {:<16} {state}{doubts}\n", member.replica));
        member.statements.iter().for_each(|said| text.push_str(&format!("  {:<16}   {}\n", "", statement(said))));
    }
    text.trim_end().to_owned()
}

fn statement(said: &Statement) -> String {
    let reason = if said.reason.is_empty() { String::new() } else { format!(": {}", said.reason) };
    let word = said.word.as_ref().map_or_else(String::new, |word| {
        format!(", by {}, approved by {}, ends {}", word.author, word.approver, ahead(Some(word.expires_at)))
    });
    format!(
        "{} of generation {}, evidence: {}{word}, {}{reason}",
        said.purpose,
        said.generation,
        said.evidence,
        ago(Some(said.at))
    )
}

/// Gives, approves, withdraws or lists words.
pub(crate) async fn attest(common: &Common, output: &Output, asked: Attest) -> Result<Exit, Failure> {
    let client = Client::new(common)?;
    let path = format!("{}/attestations", path_of(&asked.secret)?);
    if let Some(id) = &asked.approve {
        recorded(output, "approval of an attestation", &client.post(&format!("{path}/{id}/approve"), &()).await?);
        return Ok(Exit::Done);
    }
    if let Some(id) = &asked.withdraw {
        let gone: AttestationProposals = client.delete(&format!("{path}/{id}")).await?;
        output.result(&gone, |output, _| output.line(format!("{} attestation {id}", paint(Tone::Good, "withdrew"))));
        return Ok(Exit::Done);
    }
    let Attest { secret, consumer, replica, generation, purpose, reason, expires, .. } = asked;
    let (Some(consumer), Some(generation), Some(reason), Some(minutes)) = (consumer, generation, reason, expires)
    else {
        let all: AttestationProposals = client.get(&path).await?;
        output.result(&all, |output, all| {
            if all.proposals.is_empty() {
                output.note(format!("no attestation of {secret} waits for an approval"));
            }
            all.proposals.iter().for_each(|one| output.line(proposal(one)));
        });
        return Ok(Exit::Done);
    };
    let request = AttestationRequest { consumer, replica, generation, purpose, reason, minutes };
    let made: AttestationProposal = client.post(&path, &request).await?;
    output.result(&made, |output, made| {
        output.line(proposal(made));
        output
            .note(format!("it counts once another operator has said `keybaton attest {secret} --approve {}`", made.id));
    });
    Ok(Exit::Done)
}

fn proposal(one: &AttestationProposal) -> String {
    format!(
        "{}  {}/{} {} generation {}: {}\n  by {} {}, would count until {} from now",
        paint(Tone::Strong, &one.id),
        one.consumer,
        one.replica,
        one.purpose,
        one.generation,
        one.reason,
        one.author,
        ago(Some(one.proposed_at)),
        ahead(Some(one.expires_at)).trim_start_matches("in "),
    )
}

/// Lets the running rotation go on with the component that is approved now.
pub(crate) async fn repin(common: &Common, output: &Output, asked: Repin) -> Result<Exit, Failure> {
    let request = RepinRequest { digest: asked.digest, reason: asked.reason };
    let path = format!("{}/repin", path_of(&asked.secret)?);
    let done: Repinned = Client::new(common)?.post(&path, &request).await?;
    output.result(&done, |output, done| {
        let what = paint(Tone::Good, "recorded");
        output.line(format!("{what} repin of {} to {} (journal {})", done.secret, done.digest, done.seq));
    });
    Ok(Exit::Done)
}

/// Lists, drops, scraps or returns places.
pub(crate) async fn place(common: &Common, output: &Output, asked: PlaceArgs) -> Result<Exit, Failure> {
    match asked.command {
        PlaceCommand::List { secret } => {
            let all: PlaceList = Client::new(common)?.get(&format!("{}/places", path_of(&secret)?)).await?;
            output.result(&all, |output, all| {
                if all.places.is_empty() {
                    output.note(format!("{} has never been rotated", all.secret));
                }
                all.places.iter().for_each(|one| output.line(one_place(one)));
            });
            Ok(Exit::Done)
        }
        PlaceCommand::Drop(place) => change_place(common, output, "places/drop", "drop of", place).await,
        PlaceCommand::Scrap(place) => change_place(common, output, "places/scrap", "scrapping of", place).await,
        PlaceCommand::Return(place) => change_place(common, output, "places", "return of", place).await,
    }
}

async fn change_place(
    common: &Common,
    output: &Output,
    route: &str,
    what: &str,
    asked: Place,
) -> Result<Exit, Failure> {
    let path = format!("{}/{route}", path_of(&asked.secret)?);
    let what = format!("{what} {}, a place", asked.place);
    let request = PlaceRequest { place: asked.place, reason: asked.reason };
    recorded(output, &what, &Client::new(common)?.post(&path, &request).await?);
    Ok(Exit::Done)
}

fn one_place(one: &PlaceStatus) -> String {
    let name = if one.place == "-" { "the target (one place)" } else { &one.place };
    let gone = if one.present { String::new() } else { paint(Tone::Warn, "  away; left there:") };
    let observed =
        one.observed_at.map_or_else(|| "never observed".to_owned(), |at| format!("observed {}", ago(Some(at))));
    let mut text = format!("{}  {observed}{gone}\n", paint(Tone::Strong, name));
    for placed in &one.generations {
        let tone = if placed.verified == "refused" { Tone::Bad } else { Tone::Dim };
        let id = placed.id.as_deref().map(|id| format!("  {id}")).unwrap_or_default();
        let verified = paint(tone, &placed.verified);
        text.push_str(&format!(
            "  generation {:<4} {:<9} {:<14} {verified}{id}\n",
            placed.generation, placed.role, placed.state
        ));
    }
    one.foreign.iter().for_each(|id| text.push_str(&format!("  {id}: not keybaton's, never touched\n")));
    text.trim_end().to_owned()
}
