//! Types of a file of connections. The comments are what an editor shows.

use super::words::{Duration, FilePath, FullName, Label, NamePattern};
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// Connections of the host. A file may hold several documents, separated by `---`.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, title = "keybaton connections", extend("patternProperties" = { "^x-": true }))]
pub struct ConnectionFile {
    /// The connections.
    pub connections: Vec<ConnectionFields>,
}

/// One named way to a target, and who may use it.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct ConnectionFields {
    /// Its name; unique over all files.
    pub name: Label,
    /// What kind of target it leads to.
    pub kind: ConnectionKindWord,
    /// Where the target is.
    pub endpoint: EndpointFields,
    /// How the way there is protected. Default: TLS, chain and name checked against the system's authorities.
    pub tls: Option<TlsFields>,
    /// As whom the host acts there, and where that identity comes from.
    pub admin: AdminFields,
    /// How hard it may be used.
    pub limits: Option<ConnectionLimitsFields>,
    /// Who may use it, and for what; what is not allowed is refused.
    pub allow: AllowFields,
}

/// What kind of target a connection leads to.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ConnectionKindWord {
    /// A PostgreSQL server.
    Postgres,
    /// An HTTP API.
    Http,
}

/// Where the target is.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct EndpointFields {
    /// postgres: a DNS name or an address.
    pub host: Option<String>,
    /// postgres: the port. Default: 5432.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<u16>,
    /// postgres: the database to connect to. Default: postgres.
    pub dbname: Option<String>,
    /// http: what every request URL begins with.
    #[schemars(extend("pattern" = "^https?://"))]
    pub base: Option<String>,
    /// http: a path below `base` that answers only who is logged in; by it an admin identity is tried.
    #[schemars(extend("pattern" = "^/"))]
    pub check: Option<String>,
}

/// How the way to the target is protected.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct TlsFields {
    /// Whether and how. Default: verify-full.
    pub mode: Option<TlsWord>,
    /// A PEM file with the authorities to trust. Default: the system's.
    pub ca: Option<FilePath>,
    /// The name in the target's certificate, also asked for (SNI, Host). Default: the endpoint's host.
    pub server_name: Option<String>,
    /// A PEM file with a client certificate; needs `key`.
    pub certificate: Option<FilePath>,
    /// A PEM file with its private key; needs `certificate`.
    pub key: Option<FilePath>,
}

/// Whether and how a way is protected.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum TlsWord {
    /// TLS; chain and name are checked.
    VerifyFull,
    /// None; only to this machine itself.
    Disable,
}

/// As whom the host acts. One of `file`, `env`, `systemd` and `secret` says where the secret part comes from.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct AdminFields {
    /// postgres: password (the default). http: bearer, header, basic or mtls.
    pub scheme: Option<SchemeWord>,
    /// password, basic: the user. With `secret` it may be left out: the secret says it.
    pub user: Option<String>,
    /// bearer: the word before the token. Default: Bearer.
    pub prefix: Option<String>,
    /// header: the name of the header.
    pub header: Option<String>,
    /// mtls: a PEM file with the certificate chain. With `secret` it may be left out: the secret has it.
    pub certificate: Option<FilePath>,
    /// A file that only the host's user can read.
    pub file: Option<FilePath>,
    /// A variable of the host's environment.
    pub env: Option<String>,
    /// A systemd credential.
    pub systemd: Option<String>,
    /// A secret that this installation manages. The connection is a consumer of it, and waited for.
    pub secret: Option<FullName>,
}

/// How the host proves who it is.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum SchemeWord {
    /// User and password at a database.
    Password,
    /// HTTP basic authentication.
    Basic,
    /// A token behind a word in the Authorization header.
    Bearer,
    /// A header of the API's own.
    Header,
    /// A client certificate.
    Mtls,
}

/// How hard a connection may be used.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct ConnectionLimitsFields {
    /// Most calls under way together. Default: 8.
    #[schemars(range(min = 1, max = 10_000))]
    pub in_flight: Option<u32>,
    /// Calls per second, over time. Default: 20.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_second: Option<u32>,
    /// Calls that may come at once. Default: twice `per_second`.
    #[schemars(range(min = 1, max = 2_000_000))]
    pub burst: Option<u32>,
    /// Longest one call may take. Default: 30s.
    pub timeout: Option<Duration>,
}

/// Who may use a connection, and for what.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct AllowFields {
    /// Namespaces of secrets.
    #[schemars(length(min = 1))]
    pub namespaces: Vec<NamePattern>,
    /// Plugins.
    #[schemars(length(min = 1))]
    pub plugins: Vec<NamePattern>,
    /// Identities at the target: roles, users, accounts.
    #[schemars(length(min = 1))]
    pub identities: Vec<NamePattern>,
    /// CIDR blocks that may be connected to. Default: all that the flags allow.
    #[schemars(length(min = 1))]
    pub addresses: Option<Vec<String>>,
    /// Private addresses too. Default: false.
    pub private: Option<bool>,
    /// This machine's own addresses too. Default: false.
    pub loopback: Option<bool>,
    /// http: requests that may pass where a plugin leaves the choice open. Default: none.
    pub endpoints: Option<Vec<RequestFields>>,
}

/// A kind of request that may pass.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("patternProperties" = { "^x-": true }))]
pub struct RequestFields {
    /// The method.
    pub method: MethodWord,
    /// The path from the origin, with {parameters}.
    #[schemars(extend("pattern" = "^/"))]
    pub path: String,
    /// Names of query parameters that may be sent. Default: none.
    pub query: Option<Vec<String>>,
    /// What each parameter of the path is.
    pub params: Option<BTreeMap<String, ParamWord>>,
    /// Locators of secrets that may be taken out of the answer. Default: none.
    pub captures: Option<Vec<String>>,
}

/// An HTTP method.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
pub enum MethodWord {
    /// Read.
    Get,
    /// Make or do.
    Post,
    /// Put in place.
    Put,
    /// Change in part.
    Patch,
    /// Take away.
    Delete,
    /// Read without the content.
    Head,
}

/// What a parameter of a path is.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ParamWord {
    /// An identity at the target: it must fit `identities`.
    Identity,
    /// Any value.
    Value,
}
