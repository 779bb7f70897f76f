//! The settings, and what can be said of them without a server.

use keybaton_rotator::Finding;
use serde::Deserialize;

/// Bytes of a name, PostgreSQL documentation §4.1.1 (`NAMEDATALEN` less one).
const NAME_BYTES: usize = 63;
/// Names that begin like this are the server's own, `CREATE ROLE` refuses them.
const RESERVED: &str = "pg_";

/// Settings of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    /// The connection, as an administrator of the roles.
    pub connection: String,
    /// One role or two.
    pub strategy: Strategy,
    /// What becomes of a credential that keybaton did not make.
    pub existing: Existing,
}

/// How many roles share the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// One; its password is overwritten.
    One {
        /// Its name.
        role: String,
    },
    /// Two that are taken in turn.
    Turns {
        /// Their names.
        roles: [String; 2],
        /// The role that owns the objects of both.
        group: String,
    },
}

/// What becomes of a role that is not as keybaton left it: it can log in with a password that nobody here knows, or what
/// is in use lost its login by somebody's hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Nothing: a person has to decide, by an import or at the server.
    #[default]
    Refuse,
    /// Its password is replaced. The declaration's author says so.
    #[serde(alias = "take-over")]
    Replace,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    connection: String,
    role: Option<String>,
    roles: Option<[String; 2]>,
    group: Option<String>,
    #[serde(default)]
    existing: Existing,
}

impl TryFrom<Written> for Settings {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let strategy = match (written.role, written.roles, written.group) {
            (Some(role), None, None) => Strategy::One { role },
            (None, Some(roles), Some(group)) => Strategy::Turns { roles, group },
            (None, Some(_), None) => return Err("`roles` needs the `group` that owns the objects of both"),
            _ => return Err("expected either `role`, or `roles` and `group`"),
        };
        Ok(Self { connection: written.connection, strategy, existing: written.existing })
    }
}

impl Settings {
    /// The roles that log in.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        match &self.strategy {
            Strategy::One { role } => std::slice::from_ref(role),
            Strategy::Turns { roles, .. } => roles,
        }
    }

    /// The role that owns the objects, where two are taken in turn.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match &self.strategy {
            Strategy::One { .. } => None,
            Strategy::Turns { group, .. } => Some(group),
        }
    }

    /// What is wrong, as far as can be told without the server.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let path = |at: usize| match self.strategy {
            Strategy::One { .. } => "/role".to_owned(),
            Strategy::Turns { .. } => format!("/roles/{at}"),
        };
        for (at, role) in self.roles().iter().enumerate() {
            let problem = name_problem(role).or_else(|| slot_problem(role));
            findings.extend(problem.map(|problem| Finding::fatal(&path(at), problem)));
        }
        if let Strategy::Turns { roles, group } = &self.strategy {
            findings.extend(name_problem(group).map(|problem| Finding::fatal("/group", problem)));
            if roles[0] == roles[1] {
                findings.push(Finding::fatal("/roles/1", "two different roles are needed to be taken in turn"));
            }
            if roles.contains(group) {
                findings.push(Finding::fatal("/group", "the group is a third role, one that nobody logs in as"));
            }
        }
        findings
    }
}

/// Roles are slots, whose names have a grammar of the host's.
fn slot_problem(name: &str) -> Option<String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    (!plain).then(|| "the name of a role that logs in is printable ASCII without a space here".to_owned())
}

fn name_problem(name: &str) -> Option<String> {
    if name.len() > NAME_BYTES {
        Some(format!("PostgreSQL cuts names after {NAME_BYTES} bytes; this one has {}", name.len()))
    } else if name.is_empty() || name.contains('\0') {
        Some("a role's name is not empty and holds no null".to_owned())
    } else if name.starts_with(RESERVED) || ["public", "none"].contains(&name) {
        Some(format!("`{name}` is reserved by PostgreSQL"))
    } else {
        None
    }
}
