//! The PostgreSQL fixture: a real server that checks passwords, and of which nothing is left.

use std::{net::TcpStream, path::PathBuf, sync::Arc};

use keybaton_test_support::{Login, Postgres, PostgresOptions, ServerTls};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

const INVALID_PASSWORD: &str = "28P01"; // PostgreSQL documentation, appendix A
const NO_SUCH_RULE: &str = "28000";

fn refused(code: &str) -> Login {
    Login::Refused(code.into())
}

#[tokio::test]
async fn a_role_logs_in_with_its_password_and_no_other() {
    let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    postgres.execute("create role app login password 'the first one'").await.unwrap();
    assert_eq!(postgres.login("app", "the first one").await.unwrap(), Login::Works);
    assert_eq!(postgres.login("app", "another").await.unwrap(), refused(INVALID_PASSWORD));
    assert_eq!(postgres.login("nobody", "another").await.unwrap(), refused(INVALID_PASSWORD));

    postgres.execute("alter role app nologin").await.unwrap();
    assert_eq!(postgres.login("app", "the first one").await.unwrap(), refused(NO_SUCH_RULE));

    let rows = postgres.rows("select rolname, rolcanlogin, null from pg_roles where rolname = 'app'").await.unwrap();
    assert_eq!(rows, [[Some("app".to_owned()), Some("f".to_owned()), None]]);
}

#[tokio::test]
async fn the_administrator_has_a_password_too() {
    let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    let file = std::fs::read_to_string(postgres.admin_password_file()).unwrap();
    assert_eq!(file, postgres.admin_password());
    assert_eq!(postgres.login(postgres.admin_user(), &file).await.unwrap(), Login::Works);
    assert_eq!(postgres.login(postgres.admin_user(), "guess").await.unwrap(), refused(INVALID_PASSWORD));
}

#[tokio::test]
async fn the_log_shows_statements_where_that_is_asked_for() {
    let quiet = Postgres::start(PostgresOptions::default()).await.unwrap();
    let chatty = Postgres::start(PostgresOptions { log_statements: true, ..Default::default() }).await.unwrap();
    for postgres in [&quiet, &chatty] {
        postgres.execute("create role logged login password 'seen-in-the-log'").await.unwrap();
    }
    assert!(chatty.log().unwrap().contains("seen-in-the-log"), "{}", chatty.log().unwrap());
    assert!(!quiet.log().unwrap().contains("seen-in-the-log"), "{}", quiet.log().unwrap());
}

#[tokio::test]
async fn a_restart_and_a_crash_keep_what_was_committed_and_the_port() {
    let mut postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    let port = postgres.port();
    postgres.execute("create role app login password 'kept'").await.unwrap();

    postgres.down().await.unwrap();
    postgres.login("app", "kept").await.expect_err("a server that is down lets nobody in");
    postgres.up().await.unwrap();
    assert_eq!(postgres.login("app", "kept").await.unwrap(), Login::Works);

    postgres.kill().unwrap();
    postgres.login("app", "kept").await.expect_err("a killed server lets nobody in");
    postgres.up().await.unwrap();
    assert_eq!(postgres.login("app", "kept").await.unwrap(), Login::Works);
    assert_eq!(postgres.port(), port);
}

#[tokio::test]
async fn where_tls_is_required_nothing_else_connects() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = ServerTls {
        certificate_pem: key.cert.pem(),
        key_pem: key.signing_key.serialize_pem(),
        required: true,
        client_ca_pem: None,
        rules: None,
    };
    let postgres = Postgres::start(PostgresOptions { tls: Some(tls), ..Default::default() }).await.unwrap();
    postgres.execute("create role app login password 'by tls'").await.unwrap();
    assert_eq!(postgres.login("app", "by tls").await.unwrap(), refused(NO_SUCH_RULE));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").hostaddr([127, 0, 0, 1].into()).port(postgres.port()).ssl_mode(SslMode::Require);
    config.user("app").password("by tls").dbname("postgres");
    let (client, driver) = config.connect(MakeRustlsConnect::new(client)).await.expect("TLS is served");
    tokio::spawn(driver);
    let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0));
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let options = PostgresOptions { settings: vec!["no_such_setting=1".into()], ..Default::default() };
    let error = Postgres::start(options).await.expect_err("the setting does not exist");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_dropped_server_leaves_nothing() {
    let postgres = Postgres::start(PostgresOptions::default()).await.unwrap();
    let _open = postgres.connect(postgres.admin_user(), postgres.admin_password(), "postgres").await.unwrap();
    let process = PathBuf::from(format!("/proc/{}", postgres.process_id().unwrap()));
    let (folder, port) = (postgres.folder().to_owned(), postgres.port());
    assert!(process.exists() && folder.exists());
    drop(postgres);
    assert!(!process.exists(), "the server still runs");
    assert!(!folder.exists(), "{} is still there", folder.display());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "somebody still listens");
}
