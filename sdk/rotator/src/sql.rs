//! Statements of the manifest, run on a connection of the host's. There is no way to run any other.

use crate::failure::{Failure, Result};
use crate::host;
use crate::identity::{Identity, WireIdentity};
use crate::secret::{Form, Handles, Secret};

/// One run of a statement that the manifest lists and the operator approved.
///
/// Parameters are given in the order of the manifest's `params`.
///
/// ```no_run
/// use keybaton_rotator::{Form, Identity, Secret, sql::Statement};
/// # fn f(verifier: &Secret) -> keybaton_rotator::Result<()> {
/// Statement::new("main-db", "set-verifier").identifier("app").secret(verifier, Form::SCRAM_SHA_256).run(Identity::Admin)?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Statement<'a> {
    connection: &'a str,
    template: &'a str,
    params: Vec<Param<'a>>,
}

#[derive(Debug)]
enum Param<'a> {
    Null,
    Text(String),
    Integer(i64),
    Boolean(bool),
    Identifier(String),
    Secret(&'a Secret, Form),
}

impl<'a> Statement<'a> {
    /// The statement `template` of the manifest, on the connection of this name.
    #[must_use]
    pub fn new(connection: &'a str, template: &'a str) -> Self {
        Self { connection, template, params: Vec::new() }
    }

    /// A name, for an `identifier` or `identity` placeholder; it must match what the connection allows.
    #[must_use]
    pub fn identifier(self, name: &str) -> Self {
        self.with(Param::Identifier(name.to_owned()))
    }

    /// A text, for a `value` placeholder.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.with(Param::Text(text.to_owned()))
    }

    /// A number, for a `value` placeholder.
    #[must_use]
    pub fn integer(self, number: i64) -> Self {
        self.with(Param::Integer(number))
    }

    /// A truth value, for a `value` placeholder.
    #[must_use]
    pub fn boolean(self, truth: bool) -> Self {
        self.with(Param::Boolean(truth))
    }

    /// SQL's null, for a `value` placeholder.
    #[must_use]
    pub fn null(self) -> Self {
        self.with(Param::Null)
    }

    /// A secret in this form, for a `secret` placeholder.
    #[must_use]
    pub fn secret(self, secret: &'a Secret, form: Form) -> Self {
        self.with(Param::Secret(secret, form))
    }

    fn with(mut self, param: Param<'a>) -> Self {
        self.params.push(param);
        self
    }

    /// Runs it and answers with the columns that the manifest lists.
    ///
    /// # Errors
    ///
    /// As the host says it: `denied` names what is missing in the manifest, the grant or the connection; a refusal by
    /// the server is `permanent` with its SQLSTATE in the code; what may pass by itself is `retryable`.
    pub fn run(self, acting: Identity<'a>) -> Result<Rows> {
        let mut handles = Handles::default();
        let acting = acting.wire(&mut handles);
        let params = self.params.into_iter().map(|param| wire(param, &mut handles)).collect();
        let run =
            WireRun { connection: self.connection.to_owned(), acting, template: self.template.to_owned(), params };
        host::sql_run(&run, handles.list())
    }
}

fn wire<'a>(param: Param<'a>, handles: &mut Handles<'a>) -> WireParam {
    match param {
        Param::Null => WireParam::Null,
        Param::Text(text) => WireParam::Text(text),
        Param::Integer(number) => WireParam::Integer(number),
        Param::Boolean(truth) => WireParam::Boolean(truth),
        Param::Identifier(name) => WireParam::Identifier(name),
        Param::Secret(secret, form) => WireParam::Secret { index: handles.index(secret), form },
    }
}

/// A run as the contract spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireRun {
    pub(crate) connection: String,
    pub(crate) acting: WireIdentity,
    pub(crate) template: String,
    pub(crate) params: Vec<WireParam>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WireParam {
    Null,
    Text(String),
    Integer(i64),
    Boolean(bool),
    Identifier(String),
    Secret { index: u32, form: Form },
}

/// What a statement returned, as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The columns, in the manifest's order.
    pub columns: Vec<String>,
    /// The rows; `None` is SQL's null.
    pub values: Vec<Vec<Option<String>>>,
}

impl Rows {
    /// The rows, each to be asked by column name.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.values.iter().map(|values| Row { columns: &self.columns, values })
    }

    /// The first row, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [String],
    values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    /// The text in this column; `None` where it is null or there is no such column.
    #[must_use]
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.get(at)?.as_deref()
    }

    /// The truth value in this column, as SQL prints it (`t`, `true`).
    ///
    /// # Errors
    ///
    /// `permanent`, where the column holds anything else.
    pub fn boolean(&self, column: &str) -> Result<bool> {
        match self.text(column) {
            Some("t" | "true") => Ok(true),
            Some("f" | "false") => Ok(false),
            other => Err(unexpected(column, other, "a truth value")),
        }
    }

    /// The whole number in this column, where it is not null.
    ///
    /// # Errors
    ///
    /// `permanent`, where the column holds something that is not one.
    pub fn integer(&self, column: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| unexpected(column, Some(text), "a whole number"))
    }
}

fn unexpected(column: &str, found: Option<&str>, wanted: &str) -> Failure {
    let found = found.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"));
    Failure::permanent("sql.unexpected-value", format!("column `{column}` holds {found} where {wanted} was expected"))
}
