//! A scripted server with a few roles: answers the plugin's questions, and is changed by its statements.

use crate::settings::Settings;
use keybaton_rotator::testing::{self, Answer, Host};
use keybaton_rotator::{FailureClass, Target};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A role of the scripted server.
#[derive(Debug, Clone, Default)]
pub(super) struct Role {
    pub(super) can_login: bool,
    pub(super) superuser: bool,
    pub(super) expires: Option<&'static str>,
    pub(super) sessions: u32,
    pub(super) owns: u32,
    pub(super) owns_elsewhere: u32,
    pub(super) member: bool,
    pub(super) acts_as_group: bool,
    /// Holds the label of the password whose verifier it has.
    pub(super) password: String,
    /// As whom the server takes its login, where that is another.
    pub(super) taken_for: Option<&'static str>,
    pub(super) own_privileges: Vec<&'static str>,
}

/// How a statement is answered.
type Scripted = dyn Fn(&[String]) -> Answer;

/// The scripted server, shared with the test.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub(super) roles: Rc<RefCell<BTreeMap<String, Role>>>,
    /// The admin is no superuser, and this is what it may.
    pub(super) limited: Option<(bool, bool)>,
}

fn truth(truth: bool) -> Option<String> {
    Some(if truth { "true" } else { "false" }.to_owned())
}

impl Server {
    pub(super) fn with(self, name: &str, role: Role) -> Self {
        self.roles.borrow_mut().insert(name.to_owned(), role);
        self
    }

    pub(super) fn role(&self, name: &str) -> Option<Role> {
        self.roles.borrow().get(name).cloned()
    }

    fn asked(&self, answer: impl Fn(&str, &Role) -> Vec<Option<String>> + 'static) -> Box<Scripted> {
        let roles = Rc::clone(&self.roles);
        Box::new(move |params| {
            Ok(roles.borrow().get(&params[0]).map(|role| answer(&params[0], role)).into_iter().collect())
        })
    }

    fn changed(&self, at: usize, change: impl Fn(&mut Role, &[String]) + 'static) -> Box<Scripted> {
        let roles = Rc::clone(&self.roles);
        Box::new(move |params| {
            change(roles.borrow_mut().get_mut(&params[at]).expect("the role exists"), params);
            Ok(Vec::new())
        })
    }

    /// The host through which the plugin reaches it.
    pub(super) fn host(&self) -> Host {
        let (createrole, may_signal) = self.limited.unwrap_or((true, true));
        let superuser = self.limited.is_none();
        let (roles, grouped, ended) = (Rc::clone(&self.roles), Rc::clone(&self.roles), Rc::clone(&self.roles));
        let logins = Rc::clone(&self.roles);
        let privileges = Rc::clone(&self.roles);
        Host::new(include_str!("../plugin.toml"))
            .sql(
                "role",
                self.asked(|_, role| {
                    vec![
                        truth(role.can_login),
                        truth(role.superuser),
                        truth(true),
                        role.expires.map(str::to_owned),
                        Some("1000".to_owned()),
                        Some(role.sessions.to_string()),
                    ]
                }),
            )
            .sql("admin-rights", move |_| {
                let version = Some("160001".to_owned());
                Ok(vec![vec![truth(superuser), truth(createrole), version, truth(may_signal)]])
            })
            .sql("admin-option", self.asked(|name, _| vec![truth(name != "app_b")]))
            .sql("membership", move |params| {
                let roles = grouped.borrow();
                let row = |role: &Role| vec![truth(role.member), truth(role.acts_as_group)];
                Ok(roles.get(&params[0]).filter(|_| roles.contains_key(&params[1])).map(row).into_iter().collect())
            })
            .sql(
                "owned",
                self.asked(|_, role| vec![Some(role.owns.to_string()), Some(role.owns_elsewhere.to_string())]),
            )
            .sql("own-privileges", move |params| {
                let roles = privileges.borrow();
                Ok(roles[&params[0]].own_privileges.iter().map(|held| vec![Some((*held).to_owned())]).collect())
            })
            .sql("login", move |candidate| login(&logins.borrow(), candidate))
            .sql("create-role", move |params| {
                roles.borrow_mut().insert(params[0].clone(), Role::default());
                Ok(Vec::new())
            })
            .sql("grant-group", self.changed(1, |role, _| role.member = true))
            .sql("act-as-group", self.changed(0, |role, _| role.acts_as_group = true))
            .sql("give-to-group", self.changed(0, |role, _| role.owns = 0))
            .sql(
                "set-verifier",
                self.changed(0, |role, params| {
                    role.can_login = true;
                    role.password.clone_from(&params[1]);
                }),
            )
            .sql("forbid-login", self.changed(0, |role, _| role.can_login = false))
            .sql("allow-login", self.changed(0, |role, _| role.can_login = true))
            .sql(
                "erase-verifier",
                self.changed(0, |role, _| {
                    role.can_login = false;
                    role.password.clear();
                }),
            )
            .sql("end-sessions", move |params| {
                let count = std::mem::take(&mut ended.borrow_mut().get_mut(&params[0]).expect("it exists").sessions);
                Ok(vec![vec![Some(count.to_string())]])
            })
    }
}

/// Lets in who has the password of a role that can log in. `candidate` is `user=NAME` and `password=LABEL`.
fn login(roles: &BTreeMap<String, Role>, candidate: &[String]) -> Answer {
    let field = |name: &str| candidate.iter().find_map(|field| field.strip_prefix(name)).unwrap_or_default();
    let (name, password) = (field("user="), field("password="));
    match roles.get(name).filter(|role| role.can_login && role.password.contains(password)) {
        Some(role) => {
            let name = role.taken_for.unwrap_or(name);
            let acts_as = if role.acts_as_group { "app_owner" } else { name };
            Ok(vec![vec![Some(name.to_owned()), Some(acts_as.to_owned())]])
        }
        None => Err(testing::host_failure(FailureClass::Permanent, "sql.login-refused", "password refused (28P01)")),
    }
}

pub(super) fn one() -> Target<Settings> {
    testing::target(settings(r#"{ "connection": "db", "role": "app" }"#))
}

pub(super) fn turns() -> Target<Settings> {
    testing::target(settings(r#"{ "connection": "db", "roles": ["app_a", "app_b"], "group": "app_owner" }"#))
}

pub(super) fn settings(json: &str) -> Settings {
    serde_json::from_str(json).expect("the settings parse")
}

/// A role that can log in, with a password that nobody here knows.
pub(super) fn awake() -> Role {
    Role { can_login: true, password: "somebody's".to_owned(), ..Role::default() }
}

/// A role that has the password of this generation.
pub(super) fn holding(number: u32) -> Role {
    Role { password: format!("password#{number}"), ..awake() }
}
