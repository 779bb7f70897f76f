//! Connections that log in with a managed secret: they are consumers of it. Says who they are and where they would turn
//! in a circle; opens nothing.

use super::{Connection, Source};
use keybaton_protocol::evidence::EvidenceKind;
use keybaton_protocol::ids::{ConnectionName, ConsumerName, Replica, SecretName};
use keybaton_protocol::policy::{ConsumerKind, ConsumerPolicy, ConsumerRole, Members, Policy};
use std::sync::Arc;

/// The consumer that stands for them in every namespace; each connection is a replica of it. No declaration may use the
/// name, and nobody enrols under it.
pub const CONSUMER: &str = "connections";

impl Connection {
    /// The managed secret that it logs in with.
    #[must_use]
    pub fn logs_in_with(&self) -> Option<&SecretName> {
        match self.admin.source() {
            Source::Secret(name) => Some(name),
            Source::File(_) | Source::Env(_) | Source::Systemd(_) => None,
        }
    }

    /// It as a replica of [`CONSUMER`].
    #[must_use]
    pub fn replica(&self) -> Replica {
        self.name.as_str().parse().expect("the letters of a label are printable")
    }
}

/// The name of the consumer that stands for connections.
#[must_use]
pub fn consumer() -> ConsumerName {
    CONSUMER.parse().expect("`connections` is a label")
}

/// The policy of a secret with the connections that log in with it among its consumers; as it is where there are none.
/// They are required, try what is pending, and have switched only when they have logged in with it.
#[must_use]
pub fn with_logins(policy: &Arc<Policy>, secret: &SecretName, connections: &[Connection]) -> Arc<Policy> {
    let mut members: Vec<Replica> =
        connections.iter().filter(|it| it.logs_in_with() == Some(secret)).map(Connection::replica).collect();
    if members.is_empty() {
        return Arc::clone(policy);
    }
    members.sort();
    let mut policy = (**policy).clone();
    policy.consumers.push(ConsumerPolicy {
        name: consumer(),
        kind: ConsumerKind::Client,
        role: ConsumerRole::Uses,
        required: true,
        members: Members::Listed(members),
        ready: EvidenceKind::Holder,
        adopted: EvidenceKind::Process,
        uses_every_ms: None,
    });
    policy.consumers.sort_by(|a, b| a.name.cmp(&b.name));
    Arc::new(policy)
}

/// The way from a secret over its connection to the secret that this one logs in with, and so on, where it leads back
/// to where it began. `over` says by which connection a declared secret is rotated.
#[must_use]
pub fn circle<'c>(
    from: &SecretName,
    over: impl Fn(&SecretName) -> Option<&'c ConnectionName>,
    connections: &'c [Connection],
) -> Option<Vec<(SecretName, ConnectionName)>> {
    let mut way: Vec<(SecretName, ConnectionName)> = Vec::new();
    let mut secret = from;
    loop {
        if way.iter().any(|(seen, _)| seen == secret) {
            // A circle further on is another secret's.
            return (secret == from).then_some(way);
        }
        let name = over(secret)?;
        let connection = connections.iter().find(|connection| connection.name == *name)?;
        way.push((secret.clone(), name.clone()));
        secret = connection.logs_in_with()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::load;
    use crate::declaration::{Input, default_policy};
    use std::collections::HashMap;

    fn connections(logins: &[(&str, &str)]) -> Vec<Connection> {
        let one = |(name, from): &(&str, &str)| {
            format!(
                "  - name: {name}\n    kind: postgres\n    endpoint: {{ host: db.example.org }}\n    \
                 admin: {{ user: u, {from} }}\n    \
                 allow: {{ namespaces: ['*'], plugins: ['*'], identities: ['*'] }}\n"
            )
        };
        let text = format!("connections:\n{}", logins.iter().map(one).collect::<String>());
        let loaded = load(&[Input { name: "c.yaml", text: &text }]);
        assert!(loaded.diagnostics.is_empty(), "{}", loaded.render(false));
        loaded.connections
    }

    #[test]
    fn a_connection_is_a_required_consumer_of_what_it_logs_in_with() {
        let all = connections(&[("b", "secret: infra/db"), ("a", "secret: infra/db"), ("c", "file: /f")]);
        let plain = Arc::new(default_policy(Vec::new()));
        assert!(Arc::ptr_eq(&plain, &with_logins(&plain, &"infra/other".parse().unwrap(), &all)));
        let policy = with_logins(&plain, &"infra/db".parse().unwrap(), &all);
        let [own] = policy.consumers.as_slice() else { panic!("{policy:?}") };
        assert_eq!((own.name.as_str(), own.required, own.adopted), (CONSUMER, true, EvidenceKind::Process));
        assert_eq!(own.members, Members::Listed(vec!["a".parse().unwrap(), "b".parse().unwrap()]));
    }

    #[test]
    fn a_circle_is_found_from_each_secret_that_lies_on_it_and_from_no_other() {
        let all = connections(&[
            ("root", "file: /f"),
            ("own", "secret: n/own"),
            ("ab", "secret: n/b"),
            ("ba", "secret: n/a"),
            ("to-own", "secret: n/own"),
        ]);
        let over: HashMap<SecretName, ConnectionName> = [
            ("n/plain", "root"),
            ("n/own", "own"),
            ("n/a", "ab"),
            ("n/b", "ba"),
            ("n/tail", "to-own"),
            ("n/lost", "nowhere"),
        ]
        .into_iter()
        .map(|(secret, connection)| (secret.parse().unwrap(), connection.parse().unwrap()))
        .collect();
        for (from, expected) in [
            ("n/plain", None),
            ("n/own", Some("n/own over own")),
            ("n/a", Some("n/a over ab, n/b over ba")),
            ("n/b", Some("n/b over ba, n/a over ab")),
            ("n/tail", None),
            ("n/lost", None),
            ("n/undeclared", None),
        ] {
            let found = circle(&from.parse().unwrap(), |secret| over.get(secret), &all);
            let shown = found
                .map(|way| way.iter().map(|(secret, by)| format!("{secret} over {by}")).collect::<Vec<_>>().join(", "));
            assert_eq!(shown.as_deref(), expected, "from {from}");
        }
    }
}
