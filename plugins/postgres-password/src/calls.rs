//! The statements of the manifest, one function each. Decides nothing.

use crate::settings::Settings;
use keybaton_rotator::sql::{Rows, Statement};
use keybaton_rotator::{Candidate, Failure, Form, Identity, Result, Secret};

/// What the host says when the server refuses a login.
const LOGIN_REFUSED: &str = "sql.login-refused";

/// What the server says of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleState {
    pub(crate) can_login: bool,
    pub(crate) superuser: bool,
    pub(crate) inherits: bool,
    /// In seconds since the Unix epoch; none where its password does not end by itself.
    pub(crate) expires_unix: Option<u64>,
    /// The server's clock, in seconds since the Unix epoch.
    pub(crate) now_unix: Option<u64>,
    /// Sessions that logged in as it and are open, the host's own apart.
    pub(crate) sessions: u32,
}

/// What the server says of the connection's admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminRights {
    pub(crate) superuser: bool,
    pub(crate) createrole: bool,
    /// `server_version_num`, such as 150018.
    pub(crate) version: i64,
    pub(crate) may_signal: bool,
}

/// How a role stands to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) is_member: bool,
    pub(crate) acts_as_group: bool,
}

/// What came of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Works { logged_in: String, acts_as: String },
    Refused(String),
}

/// Calls on the connection of the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls<'a>(&'a str);

impl<'a> Calls<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self(&settings.connection)
    }

    fn of_role(self, template: &'a str, role: &str) -> Result<Rows> {
        Statement::new(self.0, template).identifier(role).run(Identity::Admin)
    }

    fn change(self, template: &'a str, role: &str) -> Result<()> {
        self.of_role(template, role).map(drop)
    }

    pub(crate) fn role(self, role: &str) -> Result<Option<RoleState>> {
        let rows = self.of_role("role", role)?;
        let Some(row) = rows.first() else { return Ok(None) };
        // `infinity` is no number: such a password does not end.
        let seconds = |column| row.text(column).and_then(|text| text.parse().ok());
        Ok(Some(RoleState {
            can_login: row.boolean("can_login")?,
            superuser: row.boolean("superuser")?,
            inherits: row.boolean("inherits")?,
            expires_unix: seconds("expires"),
            now_unix: seconds("now"),
            sessions: row.integer("sessions")?.and_then(|count| u32::try_from(count).ok()).unwrap_or(u32::MAX),
        }))
    }

    pub(crate) fn admin_rights(self) -> Result<AdminRights> {
        let rows = Statement::new(self.0, "admin-rights").run(Identity::Admin)?;
        let row = rows.first().ok_or_else(|| nothing("the connection's own role"))?;
        Ok(AdminRights {
            superuser: row.boolean("superuser")?,
            createrole: row.boolean("createrole")?,
            version: row.integer("version")?.unwrap_or_default(),
            may_signal: row.boolean("may_signal")?,
        })
    }

    pub(crate) fn has_admin_option(self, role: &str) -> Result<bool> {
        self.of_role("admin-option", role)?.first().map_or(Ok(false), |row| row.boolean("has_it"))
    }

    /// None where one of the two does not exist.
    pub(crate) fn membership(self, role: &str, group: &str) -> Result<Option<Membership>> {
        let rows = Statement::new(self.0, "membership").identifier(role).identifier(group).run(Identity::Admin)?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Membership { is_member: row.boolean("is_member")?, acts_as_group: row.boolean("acts_as_group")? }))
    }

    /// How many objects the role owns in this database (or shared), and in others.
    pub(crate) fn owned(self, role: &str) -> Result<(i64, i64)> {
        let rows = self.of_role("owned", role)?;
        let row = rows.first().ok_or_else(|| nothing("what the role owns"))?;
        Ok((row.integer("here")?.unwrap_or_default(), row.integer("elsewhere")?.unwrap_or_default()))
    }

    /// Privileges that the role holds directly and the group does not; at most 20.
    pub(crate) fn own_privileges(self, role: &str, group: &str) -> Result<Vec<String>> {
        let statement = Statement::new(self.0, "own-privileges").identifier(role).identifier(group);
        let rows = statement.run(Identity::Admin)?;
        Ok(rows.iter().filter_map(|row| row.text("privilege").map(str::to_owned)).collect())
    }

    pub(crate) fn login(self, role: &str, password: &'a Secret) -> Result<Login> {
        let candidate = Identity::Candidate(Candidate::password(role, password));
        let rows = match Statement::new(self.0, "login").run(candidate) {
            Err(failure) if failure.code() == LOGIN_REFUSED => return Ok(Login::Refused(failure.message().to_owned())),
            other => other?,
        };
        let row = rows.first().ok_or_else(|| nothing("who is logged in"))?;
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        Ok(Login::Works { logged_in: text("logged_in"), acts_as: text("acts_as") })
    }

    pub(crate) fn create_role(self, role: &str) -> Result<()> {
        self.change("create-role", role)
    }

    pub(crate) fn grant_group(self, group: &str, role: &str) -> Result<()> {
        Statement::new(self.0, "grant-group").identifier(group).identifier(role).run(Identity::Admin).map(drop)
    }

    pub(crate) fn act_as_group(self, role: &str, group: &str) -> Result<()> {
        Statement::new(self.0, "act-as-group").identifier(role).identifier(group).run(Identity::Admin).map(drop)
    }

    pub(crate) fn give_to_group(self, role: &str, group: &str) -> Result<()> {
        Statement::new(self.0, "give-to-group").identifier(role).identifier(group).run(Identity::Admin).map(drop)
    }

    pub(crate) fn set_verifier(self, role: &str, password: &'a Secret) -> Result<()> {
        let statement = Statement::new(self.0, "set-verifier").identifier(role).secret(password, Form::SCRAM_SHA_256);
        statement.run(Identity::Admin).map(drop)
    }

    pub(crate) fn forbid_login(self, role: &str) -> Result<()> {
        self.change("forbid-login", role)
    }

    pub(crate) fn allow_login(self, role: &str) -> Result<()> {
        self.change("allow-login", role)
    }

    pub(crate) fn erase_verifier(self, role: &str) -> Result<()> {
        self.change("erase-verifier", role)
    }

    pub(crate) fn end_sessions(self, role: &str) -> Result<i64> {
        let rows = self.of_role("end-sessions", role)?;
        Ok(rows.first().map_or(Ok(None), |row| row.integer("ended"))?.unwrap_or_default())
    }
}

fn nothing(what: &str) -> Failure {
    Failure::permanent("postgres.no-answer", format!("the server did not say {what}"))
}
