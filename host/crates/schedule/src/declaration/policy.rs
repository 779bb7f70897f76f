//! How carefully a rotation proceeds: overlap, stragglers, waves, limits. The defaults of what is left out stand here.

use crate::diagnostic::Diagnostic;
use crate::units::{DAY, HOUR, LONGEST, MINUTE, SECOND, listed, percent, shortened, shown};
use crate::yaml::{Fields, Kind, Node, Plain, Reader, resolve};
use keybaton_protocol::policy::{AtDeadline, Attempts, ConsumerPolicy, Policy, Quorum, Stragglers, WaveSize, Waves};

/// Keys of `overlap`.
pub(super) const OVERLAP_KEYS: &[&str] = &["minimum", "quiet", "soak", "accept_gap"];
/// Keys of `stragglers`.
pub(super) const STRAGGLERS_KEYS: &[&str] = &["quorum", "deadline", "then", "max_age", "before_expiry"];
/// Keys of `waves`.
pub(super) const WAVES_KEYS: &[&str] = &["sizes", "max_unavailable", "soak"];
/// Keys of `limits`.
pub(super) const LIMITS_KEYS: &[&str] = &["staged_lease", "call_timeout", "attempts"];
/// Keys of `attempts`.
pub(super) const ATTEMPTS_KEYS: &[&str] = &["cap", "first_pause", "longest_pause"];

/// Most waves.
const MAX_WAVES: usize = 64;

const THEN: &[(&str, AtDeadline)] =
    &[("hold", AtDeadline::Hold), ("rollback", AtDeadline::Rollback), ("force", AtDeadline::Force)];

/// The policy of a declaration that says nothing but who its consumers are.
#[must_use]
pub fn default_policy(consumers: Vec<ConsumerPolicy>) -> Policy {
    Policy {
        consumers,
        stragglers: Stragglers {
            quorum: Quorum::All,
            deadline_ms: Some(HOUR),
            then: AtDeadline::Hold,
            max_age_ms: Some(DAY),
            before_expiry_ms: 0,
        },
        waves: Waves::default(),
        overlap_min_ms: HOUR,
        quiet_ms: 0,
        soak_ms: DAY,
        staged_lease_ms: HOUR,
        attempts: Attempts { cap: 5, base_ms: SECOND, max_ms: 5 * MINUTE },
        call_timeout_ms: 30 * SECOND,
        accept_gap: false,
    }
}

/// Reads all parts; what is wrong is noted and keeps its default.
pub(super) fn read(reader: &mut Reader<'_>, secret: &Fields<'_>, consumers: Vec<ConsumerPolicy>) -> Policy {
    let mut policy = default_policy(consumers);
    if let Some(node) = secret.get("overlap") {
        overlap(reader, node, &mut policy);
    }
    if let Some(node) = secret.get("stragglers") {
        stragglers(reader, node, &mut policy.stragglers);
    }
    if let Some(node) = secret.get("waves") {
        waves(reader, node, &mut policy.waves);
    }
    if let Some(node) = secret.get("limits") {
        limits(reader, node, &mut policy);
    }
    quiet_enough(reader, secret, &policy);
    policy
}

/// Takes a value over where the key is there and right.
fn set<T>(field: &mut T, read: Option<Option<T>>) {
    if let Some(Some(value)) = read {
        *field = value;
    }
}

fn overlap(reader: &mut Reader<'_>, node: &Node, policy: &mut Policy) {
    let Some(fields) = reader.fields(node, "`overlap`", OVERLAP_KEYS) else { return };
    set(&mut policy.overlap_min_ms, fields.get("minimum").map(|n| reader.duration(n, "`minimum`", 0..=LONGEST)));
    set(&mut policy.quiet_ms, fields.get("quiet").map(|n| reader.duration(n, "`quiet`", 0..=LONGEST)));
    set(&mut policy.soak_ms, fields.get("soak").map(|n| reader.duration(n, "`soak`", 0..=LONGEST)));
    set(&mut policy.accept_gap, fields.get("accept_gap").map(|n| reader.flag(n, "`accept_gap`")));
}

/// A quiet time shorter than the pause between two uses sees nothing.
fn quiet_enough(reader: &mut Reader<'_>, secret: &Fields<'_>, policy: &Policy) {
    let Some(quiet) = secret.get("overlap").and_then(|overlap| overlap.get("quiet")) else { return };
    let slowest = policy.consumers.iter().max_by_key(|consumer| consumer.uses_every_ms);
    let Some((consumer, every)) = slowest.and_then(|consumer| Some((consumer, consumer.uses_every_ms?))) else {
        return;
    };
    if policy.quiet_ms == 0 || policy.quiet_ms >= every {
        return;
    }
    let name = &consumer.name;
    let message =
        format!("a quiet time of {} says nothing about `{name}`, which is silent for longer", shown(policy.quiet_ms));
    let problem =
        Diagnostic::new("quiet-too-short", quiet.span, message).expected(format!("at least {}", shown(every)));
    let uses = secret.get("consumers").and_then(|node| node.get(name.as_str())?.get("uses_every"));
    reader.push(match uses {
        Some(node) => problem.also(node.span, "used this seldom"),
        None => problem,
    });
}

fn stragglers(reader: &mut Reader<'_>, node: &Node, out: &mut Stragglers) {
    let Some(fields) = reader.fields(node, "`stragglers`", STRAGGLERS_KEYS) else { return };
    set(&mut out.quorum, fields.get("quorum").map(|node| quorum(reader, node)));
    let deadline = fields.get("deadline").map(|n| reader.duration_or_never(n, "`deadline`", SECOND..=LONGEST));
    set(&mut out.deadline_ms, deadline);
    set(&mut out.then, fields.get("then").map(|node| reader.choice(node, "`then`", THEN)));
    let max_age = fields.get("max_age").map(|n| reader.duration_or_never(n, "`max_age`", SECOND..=LONGEST));
    set(&mut out.max_age_ms, max_age);
    let before = fields.get("before_expiry").map(|n| reader.duration(n, "`before_expiry`", 0..=LONGEST));
    set(&mut out.before_expiry_ms, before);
    if let (None, Some(then)) = (out.deadline_ms, fields.get("then")) {
        let problem = Diagnostic::new("conflict", then.span, "`then` has no effect without a deadline");
        reader.push(problem.also(fields.at("deadline"), "never"));
    }
}

fn quorum(reader: &mut Reader<'_>, node: &Node) -> Option<Quorum> {
    let expected = "`all`, or a share from 1% to 100%";
    let Kind::Scalar(scalar) = &node.kind else {
        reader.wrong(node, "`quorum`", expected);
        return None;
    };
    match (&*scalar.text, percent(&scalar.text)) {
        ("all", _) => Some(Quorum::All),
        (_, Some(share)) => Some(Quorum::Percent(share)),
        (text, None) => {
            let problem = Diagnostic::new("bad-share", node.span, format!("`quorum` cannot be `{}`", shortened(text)));
            reader.push(problem.expected(expected));
            None
        }
    }
}

fn waves(reader: &mut Reader<'_>, node: &Node, out: &mut Waves) {
    let Some(fields) = reader.fields(node, "`waves`", WAVES_KEYS) else { return };
    if let Some(sizes) = reader.need(&fields, "sizes") {
        set(&mut out.sizes, Some(reader.list(sizes, "`sizes`", wave)));
        rest_is_last(reader, sizes, &out.sizes);
    }
    let most = fields.get("max_unavailable").map(|n| reader.count(n, "`max_unavailable`", 1..=100_000));
    set(&mut out.max_unavailable, most);
    set(&mut out.soak_ms, fields.get("soak").map(|n| reader.duration(n, "`soak`", 0..=LONGEST)));
}

fn wave(reader: &mut Reader<'_>, node: &Node) -> Option<WaveSize> {
    let expected = "a number of replicas from 1, a share such as 25%, or `rest`";
    let Kind::Scalar(scalar) = &node.kind else {
        reader.wrong(node, "a wave", expected);
        return None;
    };
    if &*scalar.text == "rest" {
        return Some(WaveSize::Rest);
    }
    if let Some(share) = percent(&scalar.text) {
        return Some(WaveSize::Percent(share));
    }
    match resolve(scalar) {
        Plain::Whole(number @ 1..=100_000) => Some(WaveSize::Count(number as u32)),
        _ => {
            let message = format!("a wave cannot be `{}`", shortened(&scalar.text));
            reader.push(Diagnostic::new("bad-share", node.span, message).expected(expected));
            None
        }
    }
}

fn rest_is_last(reader: &mut Reader<'_>, node: &Node, sizes: &[WaveSize]) {
    let Kind::List(items) = &node.kind else { return };
    if items.is_empty() || items.len() > MAX_WAVES {
        let message = format!("`sizes` has {} waves", items.len());
        let problem = Diagnostic::new("bad-number", node.span, message);
        reader.push(problem.expected(format!("1 to {MAX_WAVES}")).suggest("leave `waves` out to switch all at once"));
        return;
    }
    let rest = sizes.iter().position(|size| *size == WaveSize::Rest);
    let all_read = sizes.len() == items.len();
    if let Some(after) = rest.filter(|_| all_read).and_then(|at| items.get(at + 1)) {
        let problem = Diagnostic::new("conflict", after.span, "after `rest` nobody is left for a wave");
        reader.push(problem.suggest("put `rest` last"));
    }
}

fn limits(reader: &mut Reader<'_>, node: &Node, policy: &mut Policy) {
    let Some(fields) = reader.fields(node, "`limits`", LIMITS_KEYS) else { return };
    let lease = fields.get("staged_lease").map(|n| reader.duration(n, "`staged_lease`", SECOND..=LONGEST));
    set(&mut policy.staged_lease_ms, lease);
    let timeout = fields.get("call_timeout").map(|n| reader.duration(n, "`call_timeout`", SECOND..=HOUR));
    set(&mut policy.call_timeout_ms, timeout);
    if let Some(node) = fields.get("attempts") {
        attempts(reader, node, &mut policy.attempts);
    }
}

fn attempts(reader: &mut Reader<'_>, node: &Node, out: &mut Attempts) {
    let Some(fields) = reader.fields(node, "`attempts`", ATTEMPTS_KEYS) else { return };
    set(&mut out.cap, fields.get("cap").map(|n| reader.count(n, "`cap`", 1..=100)));
    set(&mut out.base_ms, fields.get("first_pause").map(|n| reader.duration(n, "`first_pause`", 1..=DAY)));
    set(&mut out.max_ms, fields.get("longest_pause").map(|n| reader.duration(n, "`longest_pause`", 1..=7 * DAY)));
    if out.base_ms > out.max_ms {
        let message =
            format!("the first pause of {} is longer than the longest of {}", shown(out.base_ms), shown(out.max_ms));
        let key = if fields.get("first_pause").is_some() { "first_pause" } else { "longest_pause" };
        let problem = Diagnostic::new("conflict", fields.get(key).map_or(fields.span, |node| node.span), message);
        reader.push(problem.suggest(format!("set both {}", listed(&["first_pause", "longest_pause"], "and"))));
    }
}
