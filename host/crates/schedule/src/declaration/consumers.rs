//! Who needs a secret, which replicas they have, and which evidence is asked of them.

use crate::connection::login;
use crate::diagnostic::Diagnostic;
use crate::units::LONGEST;
use crate::yaml::{Fields, Key, Kind, Node, Reader};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{ConsumerName, NameError, Replica};
use keybaton_protocol::policy::{ConsumerKind, ConsumerPolicy, ConsumerRole, Members};

/// Keys of a consumer.
pub(super) const CONSUMER_KEYS: &[&str] =
    &["kind", "role", "members", "count", "required", "ready", "adopted", "uses_every"];

/// Most consumers of one secret.
const MAX_CONSUMERS: usize = 1000;

/// Most replicas of one consumer.
const MAX_REPLICAS: u32 = 100_000;

const KINDS: &[(&str, ConsumerKind)] = &[("client", ConsumerKind::Client), ("external", ConsumerKind::External)];
const ROLES: &[(&str, ConsumerRole)] = &[("uses", ConsumerRole::Uses), ("verifies", ConsumerRole::Verifies)];

/// `store` is never enough, and `holder` proves no adoption.
const READY: &[(&str, EvidenceKind)] = &[
    ("holder", EvidenceKind::Holder),
    ("process", EvidenceKind::Process),
    ("target", EvidenceKind::Target),
    ("attested", EvidenceKind::Attested),
];
const ADOPTED: &[(&str, EvidenceKind)] =
    &[("process", EvidenceKind::Process), ("target", EvidenceKind::Target), ("attested", EvidenceKind::Attested)];

/// What is asked of a consumer that says nothing: whether it is required, and the evidence for ready and adopted.
pub(crate) fn usual_evidence(kind: ConsumerKind) -> (bool, EvidenceKind, EvidenceKind) {
    match kind {
        ConsumerKind::External => (true, EvidenceKind::Attested, EvidenceKind::Target),
        _ => (true, EvidenceKind::Holder, EvidenceKind::Process),
    }
}

/// The consumers by name.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<ConsumerPolicy>> {
    let Kind::Map(entries) = &node.kind else {
        reader.wrong(node, "`consumers`", "a mapping from each consumer's name to what it needs, or {} for nobody");
        return None;
    };
    if entries.len() > MAX_CONSUMERS {
        let message = format!("more than {MAX_CONSUMERS} consumers");
        reader.push(Diagnostic::new("too-many", node.span, message));
        return None;
    }
    let mut consumers: Vec<_> = entries.iter().filter_map(|(key, node)| consumer(reader, key, node)).collect();
    consumers.sort_by(|a, b| a.name.cmp(&b.name));
    Some(consumers)
}

fn consumer(reader: &mut Reader<'_>, key: &Key, node: &Node) -> Option<ConsumerPolicy> {
    let name = reader.key_name(key, "a consumer's name").filter(|name| free(reader, key, name));
    let fields = reader.fields(node, "the consumer", CONSUMER_KEYS)?;
    let kind = fields.get("kind").map_or(Some(ConsumerKind::Client), |node| kind(reader, node));
    let role = fields.get("role").map_or(Some(ConsumerRole::Uses), |node| reader.choice(node, "`role`", ROLES));
    let members = members(reader, &fields);
    let required = fields.get("required").map_or(Some(true), |node| reader.flag(node, "`required`"));
    let external = kind == Some(ConsumerKind::External);
    let (_, usual_ready, usual_adopted) = usual_evidence(kind.unwrap_or(ConsumerKind::Client));
    let ready = fields.get("ready").map_or(Some(usual_ready), |node| evidence(reader, node, "`ready`", READY));
    let adopted = fields.get("adopted").map_or(Some(usual_adopted), |n| evidence(reader, n, "`adopted`", ADOPTED));
    let uses_every = fields.get("uses_every").map(|node| reader.duration(node, "`uses_every`", 1..=LONGEST));
    if external {
        for (what, given) in [("ready", ready), ("adopted", adopted)] {
            silent(reader, &fields, what, given);
        }
    }
    Some(ConsumerPolicy {
        name: name?,
        kind: kind?,
        role: role?,
        required: required?,
        members: members?,
        ready: ready?,
        adopted: adopted?,
        uses_every_ms: uses_every.map_or(Some(None), |every| every.map(Some))?,
    })
}

/// Connections that log in with the secret are a consumer already, by the host's own word.
fn free(reader: &mut Reader<'_>, key: &Key, name: &ConsumerName) -> bool {
    if name.as_str() != login::CONSUMER {
        return true;
    }
    let message = format!("`{name}` stands for the connections that log in with the secret");
    reader.push(Diagnostic::new("reserved-name", key.span, message).suggest("give the consumer another name"));
    false
}

/// Kinds that are to come are told apart from slips of the pen.
fn kind(reader: &mut Reader<'_>, node: &Node) -> Option<ConsumerKind> {
    if let Kind::Scalar(scalar) = &node.kind
        && matches!(&*scalar.text, "agent" | "webhook" | "endpoint" | "sink")
    {
        let message = format!("consumers of kind `{}` are not supported by this version", scalar.text);
        reader.push(Diagnostic::new("bad-choice", node.span, message).expected("`client` or `external`"));
        return None;
    }
    reader.choice(node, "`kind`", KINDS)
}

/// Evidence that is never enough is refused with the reason.
fn evidence(reader: &mut Reader<'_>, node: &Node, what: &str, enough: &[(&str, EvidenceKind)]) -> Option<EvidenceKind> {
    let text = match &node.kind {
        Kind::Scalar(scalar) => &*scalar.text,
        Kind::List(_) | Kind::Map(_) => "",
    };
    let why = match text {
        "store" => "that something was delivered does not show that it is held or used",
        "holder" => "that something is held does not show that it is used",
        _ => return reader.choice(node, what, enough),
    };
    if let Some((_, kind)) = enough.iter().find(|(word, _)| *word == text) {
        return Some(*kind);
    }
    let words: Vec<&str> = enough.iter().map(|(word, _)| *word).collect();
    let problem = Diagnostic::new("bad-choice", node.span, format!("{what} cannot be `{text}`: {why}"));
    reader.push(problem.expected(crate::units::listed(&words, "or")));
    None
}

/// An external consumer cannot answer, so nothing may be waited for that only an answer gives.
fn silent(reader: &mut Reader<'_>, fields: &Fields<'_>, what: &str, given: Option<EvidenceKind>) {
    let Some(node) = fields.get(what) else { return };
    if matches!(given, Some(EvidenceKind::Holder | EvidenceKind::Process)) {
        let message = format!("an external consumer cannot answer, so `{what}` never comes from it");
        let problem = Diagnostic::new("conflict", node.span, message).expected("`target` or `attested`");
        reader.push(problem.also(fields.at("kind"), "external"));
    }
}

fn members(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Members> {
    if let (Some(_), Some(_)) = (fields.get("members"), fields.get("count")) {
        let problem = Diagnostic::new("conflict", fields.at("count"), "`count` and `members` exclude each other");
        reader.push(problem.also(fields.at("members"), "`members` here"));
    }
    let listed = fields.get("members").map(|node| {
        let mut replicas = reader.set(node, "`members`", |reader, item| {
            let text = reader.text(item, "a member")?;
            match text.parse::<Replica>() {
                Ok(replica) => Some(replica),
                Err(NameError { what, rule, text }) => {
                    let problem = Diagnostic::new("bad-name", item.span, format!("`{text}` is not a {what}"));
                    reader.push(problem.expected(rule));
                    None
                }
            }
        })?;
        replicas.sort();
        (!replicas.is_empty()).then_some(Members::Listed(replicas))
    });
    let counted = fields.get("count").map(|node| reader.count(node, "`count`", 1..=MAX_REPLICAS).map(Members::Count));
    listed.or(counted).unwrap_or(Some(Members::Count(1)))
}
