//! The suite of all plugins, for one role and for two in turn.

use super::server::{Role as Here, Server, awake, holding, one, turns};
use crate::PostgresPassword;
use crate::settings::Settings;
use keybaton_rotator::testing::Host;
use keybaton_rotator::testing::conformance::{Double, OURS, check};
use keybaton_rotator::{Role, Target};

struct One(Server);
struct Turns(Server);

/// What `create` and `install` told of it.
fn told(mut target: Target<Settings>, role: &str, installed: bool) -> Target<Settings> {
    let generation = &mut target.generations[0];
    generation.id = Some(format!("{role}#{OURS}"));
    if installed {
        generation.facts.push(("installed".to_owned(), role.to_owned()));
    }
    target
}

fn busy(role: Here) -> Here {
    Here { sessions: 2, ..role }
}

impl Double for One {
    type Plugin = PostgresPassword;

    fn empty() -> Self {
        Self(Server::default())
    }

    fn put_ours(&self) {
        self.0.clone().with("app", busy(holding(OURS)));
    }

    fn put_somebody_elses(&self) {
        self.0.clone().with("app", busy(awake()));
    }

    fn host(&self) -> Host {
        self.0.host()
    }

    fn known(&self, role: Role, installed: bool) -> Target<Settings> {
        told(one().with(OURS, role, None, &["password"]), "app", installed)
    }

    fn shown(&self) -> String {
        format!("{:?}", self.0.roles.borrow())
    }
}

impl Double for Turns {
    type Plugin = PostgresPassword;

    fn empty() -> Self {
        Self(Server::default())
    }

    fn put_ours(&self) {
        self.0.clone().with("app_a", busy(holding(OURS)));
    }

    fn put_somebody_elses(&self) {
        self.0.clone().with("app_a", busy(awake()));
    }

    fn host(&self) -> Host {
        self.0.host()
    }

    fn known(&self, role: Role, installed: bool) -> Target<Settings> {
        told(turns().with(OURS, role, Some("app_a"), &["password"]), "app_a", installed)
    }

    fn shown(&self) -> String {
        format!("{:?}", self.0.roles.borrow())
    }
}

#[test]
fn it_does_what_every_plugin_must() {
    check::<One>();
    check::<Turns>();
}
