//! What a plan and a start say of connections that log in with managed secrets: circles are refused, the rest is told.

use keybaton_protocol::ids::{ConnectionName, SecretName};
use keybaton_schedule::connection::Connection;
use keybaton_schedule::connection::login::circle;
use keybaton_schedule::spec::Spec;

/// What to do about a circle.
pub(super) const ADVICE: &str =
    "rotate one of them over a connection whose admin comes from a file, the environment or systemd";

/// Why a secret cannot be rotated over its connection: that logs in with the secret itself, or with one that is rotated
/// over such a connection in the end.
pub(super) fn circle_of(spec: &Spec, specs: &[Spec], connections: &[Connection]) -> Option<String> {
    let over = |secret: &SecretName| -> Option<&ConnectionName> {
        specs.iter().find(|spec| spec.name == *secret).map(|spec| &*spec.connection)
    };
    let way = circle(&spec.name, over, connections)?;
    Some(match way.as_slice() {
        [(secret, connection)] => format!("the connection `{connection}` logs in with `{secret}` itself"),
        way => {
            let next = way.iter().skip(1).chain(way.first());
            let hops: Vec<String> = way
                .iter()
                .zip(next)
                .map(|((_, connection), (secret, _))| format!("`{connection}` logs in with `{secret}`"))
                .collect();
            format!("its connection depends on the secret itself: {}", hops.join(", "))
        }
    })
}

/// What an operator should know of a secret and the connections around it.
pub(super) fn notes(spec: &Spec, specs: &[Spec], connections: &[Connection]) -> Vec<String> {
    let logins = connections.iter().filter(|connection| connection.logs_in_with() == Some(&spec.name));
    let mut notes: Vec<String> = logins
        .map(|connection| format!("the connection `{}` logs in with it and is waited for", connection.name))
        .collect();
    let own = connections.iter().find(|connection| connection.name == *spec.connection);
    if let Some((own, needed)) = own.and_then(|own| own.logs_in_with().map(|needed| (own, needed)))
        && !specs.iter().any(|spec| spec.name == *needed)
    {
        notes.push(format!(
            "the connection `{}` logs in with `{needed}`, which is not declared: nothing goes over it until that is",
            own.name
        ));
    }
    notes
}

/// Why the declaration of a secret cannot be taken away.
pub(super) fn still_needed(secret: &SecretName, connections: &[Connection]) -> Vec<String> {
    let logins = connections.iter().filter(|connection| connection.logs_in_with() == Some(secret));
    logins.map(|connection| format!("the connection `{}` logs in with it", connection.name)).collect()
}
