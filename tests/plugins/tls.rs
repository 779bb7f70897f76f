//! TLS to real servers: what must be right on both sides, and who is to blame where it is not.

use crate::jupyterhub;
use crate::postgres::{lets_in, one};
use crate::rig::Rig;
use keybaton_protocol::event::Outcome;
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use keybaton_protocol::step::CallKind::{Create, Destroy, Install, Observe, Verify};
use keybaton_runtime::connection::{ClientCertificate, HttpAdmin, HttpTarget, PostgresTarget, Target, Tls, Trust};
use keybaton_runtime::identity::{FileSource, PublicFile};
use keybaton_schedule::connection::Addresses;
use keybaton_test_support::{
    Authority, Clients, JupyterHub, JupyterHubOptions, Postgres, PostgresOptions, Scratch, TlsFront,
};
use std::sync::Arc;

/// The name in the servers' certificates; no resolver knows it.
const NAME: &str = "db.example.org";

/// A server whose administrator needs a client certificate in his own name beside the password, and everybody else any
/// client certificate beside theirs; and what a test needs to come near it.
struct Secured {
    server: Postgres,
    servers: Authority,
    clients: Authority,
    folder: Scratch,
}

async fn secured() -> Secured {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let mut tls = servers.server(&[NAME]);
    tls.client_ca_pem = Some(clients.pem().to_owned());
    tls.rules = Some(
        "hostssl all certified 127.0.0.1/32 cert\n\
         hostssl all postgres 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n\
         hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca"
            .to_owned(),
    );
    let options = PostgresOptions { tls: Some(tls), log_statements: true, ..PostgresOptions::default() };
    let server = Postgres::start(options).await.unwrap();
    Secured { server, servers, clients, folder: Scratch::new("tls", None).unwrap() }
}

impl Secured {
    fn certificate(&self, by: &Authority, common_name: &str) -> ClientCertificate {
        let (certificate, key) = by.sign(common_name, &[]);
        let file =
            |ending: &str, text: &str| self.folder.write(&format!("{common_name}.{ending}"), text.as_bytes()).unwrap();
        ClientCertificate {
            certificate: Arc::new(PublicFile(file("crt", &certificate))),
            key: Arc::new(FileSource(file("key", &key))),
        }
    }

    fn tls(&self) -> Tls {
        Tls {
            trust: Trust::Roots(self.servers.pem().as_bytes().to_vec()),
            server_name: Some(NAME.to_owned()),
            client: Some(self.certificate(&self.clients, "postgres")),
        }
    }

    fn target(&self, user: &str, tls: Tls) -> PostgresTarget {
        let source = Arc::new(FileSource(self.server.admin_password_file().to_owned()));
        PostgresTarget { tls, ..PostgresTarget::here(self.server.port(), "postgres", user, source) }
    }

    async fn observed(&self, target: PostgresTarget) -> Result<(), Fault> {
        let mut rig = Rig::new("plugins/postgres-password", Target::Postgres(target), &["app"], one());
        rig.know(1, "pending", None);
        match rig.call(Observe, 1).await.0 {
            Outcome::Observed { .. } => Ok(()),
            Outcome::Failed(fault) => Err(fault),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_role_is_rotated_over_tls_with_a_client_certificate_of_the_admin_s() {
    let secured = secured().await;
    let target = Target::Postgres(secured.target("postgres", secured.tls()));
    let mut rig = Rig::new("plugins/postgres-password", target, &["app"], one());
    assert_eq!(rig.preflight(1).await.unwrap(), []);
    rig.know(1, "pending", None);
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    assert!(rig.works(1).await, "the candidate logs in over TLS too");
    let shown = "select bool_and(s.ssl and s.client_dn = '/CN=postgres') from pg_stat_ssl s join pg_stat_activity a \
                 using (pid) where a.application_name = 'keybaton-admin'";
    assert_eq!(secured.server.rows(shown).await.unwrap(), [[Some("t".to_owned())]], "the host's idle sessions");
    rig.done(Destroy, 1).await;
    assert!(!rig.works(1).await);
    assert!(!lets_in(&secured.server, "app", &rig.value(1)).await, "nor without TLS");
}

#[tokio::test]
async fn what_is_wrong_with_tls_to_postgresql_is_said_and_is_the_operator_s_to_mend() {
    let secured = secured().await;
    let other = Authority::new("somebody else");
    let trusting = |pem: &str| Trust::Roots(pem.as_bytes().to_vec());
    secured.observed(secured.target("postgres", secured.tls())).await.expect("all is right to begin with");
    for (sentence, tls, text) in [
        ("another authority", Tls { trust: trusting(other.pem()), ..secured.tls() }, "set `tls.ca`"),
        ("no name, but the endpoint's", Tls { server_name: None, ..secured.tls() }, "set `tls.server_name`"),
        (
            "another name",
            Tls { server_name: Some("db.example.com".to_owned()), ..secured.tls() },
            "set `tls.server_name`",
        ),
        ("no client certificate", Tls { client: None, ..secured.tls() }, "requires a valid client certificate"),
        (
            "a client certificate in another name",
            Tls { client: Some(secured.certificate(&secured.clients, "keybaton")), ..secured.tls() },
            "authentication failed",
        ),
        (
            "a client certificate by another authority",
            Tls { client: Some(secured.certificate(&other, "stranger")), ..secured.tls() },
            "refuses the client certificate",
        ),
        (
            "a certificate with another's key",
            Tls {
                client: Some(ClientCertificate {
                    key: secured.certificate(&secured.clients, "a").key,
                    ..secured.certificate(&secured.clients, "b")
                }),
                ..secured.tls()
            },
            "do not belong together",
        ),
        (
            "a key that is not there",
            Tls {
                client: Some(ClientCertificate {
                    key: Arc::new(FileSource("/nowhere/client.key".into())),
                    ..secured.certificate(&secured.clients, "c")
                }),
                ..secured.tls()
            },
            "cannot read /nowhere/client.key",
        ),
        ("authorities that are none", Tls { trust: trusting("not a PEM"), ..secured.tls() }, "hold no certificate"),
        ("no TLS at all", Tls::off(), "no pg_hba.conf entry"),
    ] {
        let fault = secured.observed(secured.target("postgres", tls)).await.expect_err(sentence);
        assert_eq!((fault.class, fault.blame), (FailureClass::Permanent, Blame::Operator), "{sentence}: {fault}");
        assert!(fault.message.contains(text), "{sentence}: {fault}");
    }
}

#[tokio::test]
async fn a_role_that_has_a_certificate_for_a_password_logs_in_by_it() {
    let secured = secured().await;
    secured.server.execute("create role certified login superuser").await.unwrap();
    let client = Some(secured.certificate(&secured.clients, "certified"));
    secured.observed(secured.target("certified", Tls { client, ..secured.tls() })).await.unwrap();
    let stranger = secured.observed(secured.target("certified", secured.tls())).await;
    assert_eq!(stranger.expect_err("a certificate in another name").blame, Blame::Operator);
}

#[tokio::test]
async fn new_files_of_a_certificate_are_taken_without_a_restart() {
    let secured = secured().await;
    let client = secured.certificate(&secured.clients, "postgres");
    let target = Target::Postgres(secured.target("postgres", Tls { client: Some(client), ..secured.tls() }));
    let mut rig = Rig::new("plugins/postgres-password", target, &["app"], one());
    rig.know(1, "pending", None);
    rig.create(1).await.unwrap();
    rig.done(Install, 1).await;
    let (certificate, key) = Authority::new("somebody else").sign("postgres", &[]);
    secured.folder.write("postgres.crt", certificate.as_bytes()).unwrap();
    secured.folder.write("postgres.key", key.as_bytes()).unwrap();
    // The candidate logs in anew each time; the admin's session stays open.
    let fault = rig.fault(Verify, 1).await;
    assert!(fault.message.contains("refuses the client certificate"), "{fault}");
    let (certificate, key) = secured.clients.sign("postgres", &[]);
    secured.folder.write("postgres.crt", certificate.as_bytes()).unwrap();
    secured.folder.write("postgres.key", key.as_bytes()).unwrap();
    assert!(rig.works(1).await);
}

#[tokio::test]
async fn postgresql_is_reached_only_at_addresses_that_the_connection_allows() {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    let network = |text: &str| keybaton_schedule::connection::Network::parse(text).unwrap();
    let source = || Arc::new(FileSource(server.admin_password_file().to_owned()));
    for (sentence, host, addresses, expected) in [
        ("this machine, allowed", "127.0.0.1", Addresses { loopback: true, ..Addresses::default() }, None),
        ("this machine, not allowed", "127.0.0.1", Addresses::default(), Some("this machine's own")),
        ("a name of this machine, not allowed", "localhost", Addresses::default(), Some("this machine's own")),
        (
            "outside of the networks",
            "127.0.0.1",
            Addresses { loopback: true, networks: vec![network("127.0.0.2/32")], private: false },
            Some("none of the networks"),
        ),
        ("where metadata services are", "169.254.169.254", Addresses::default(), Some("link-local")),
        ("a private one", "10.1.2.3", Addresses::default(), Some("private")),
    ] {
        let target = PostgresTarget {
            host: host.to_owned(),
            addresses: Arc::new(addresses),
            ..PostgresTarget::here(server.port(), "postgres", server.admin_user(), source())
        };
        let rig = Rig::new("plugins/postgres-password", Target::Postgres(target), &["app"], one());
        match (rig.call(Observe, 1).await.0, expected) {
            (Outcome::Observed { .. }, None) => {}
            (Outcome::Failed(fault), Some(text)) => {
                assert_eq!((fault.class, fault.blame), (FailureClass::Denied, Blame::Operator), "{sentence}: {fault}");
                assert_eq!(fault.code, "connection.address", "{sentence}");
                assert!(fault.message.contains(text), "{sentence}: {fault}");
            }
            (other, _) => panic!("{sentence}: {other:?}"),
        }
    }
}

/// The hub behind a front with TLS. Whoever calls as the admin has no token: his certificate is one.
struct Fronted {
    hub: JupyterHub,
    front: TlsFront,
    servers: Authority,
    clients: Authority,
    folder: Scratch,
}

const HUB: &str = "hub.example.org";
const USER: &str = "svc-app";

async fn fronted(asks: impl FnOnce(&Authority, &JupyterHub) -> Clients) -> Fronted {
    let hub = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    hub.create_user(USER).await.unwrap();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let front = TlsFront::start(&servers.server(&[HUB]), asks(&clients, &hub), hub.port()).await.unwrap();
    Fronted { hub, front, servers, clients, folder: Scratch::new("front", None).unwrap() }
}

impl Fronted {
    fn client(&self, by: &Authority, name: &str) -> (Arc<PublicFile>, Arc<FileSource>) {
        let (certificate, key) = by.sign(name, &[]);
        let file = |ending: &str, text: &str| self.folder.write(&format!("{name}.{ending}"), text.as_bytes()).unwrap();
        (Arc::new(PublicFile(file("crt", &certificate))), Arc::new(FileSource(file("key", &key))))
    }

    fn target(&self, admin: HttpAdmin, client: Option<ClientCertificate>) -> HttpTarget {
        let Target::Http(plain) = jupyterhub::target(&self.hub) else { panic!("the hub speaks HTTP") };
        HttpTarget {
            base_url: format!("https://{HUB}:{}", self.front.port()).parse().unwrap(),
            dial: Some("127.0.0.1".to_owned()),
            tls: Tls {
                trust: Trust::Roots(self.servers.pem().as_bytes().to_vec()),
                server_name: Some(HUB.to_owned()),
                client,
            },
            admin: Some(admin),
            ..plain
        }
    }

    fn token(&self) -> HttpAdmin {
        let token = Arc::new(FileSource(self.hub.admin_token_file().to_owned()));
        HttpAdmin::Bearer { prefix: "token".to_owned(), token }
    }

    fn rig(&self, target: HttpTarget) -> Rig {
        let mut rig = Rig::new("plugins/http-token", Target::Http(target), &[USER], jupyterhub::settings());
        rig.know(1, "pending", None);
        rig
    }
}

#[tokio::test]
async fn an_admin_whose_certificate_is_his_identity_and_a_candidate_without_one() {
    let fronted = fronted(|clients, hub| {
        Clients::Recognised(clients.pem().to_owned(), format!("authorization: token {}", hub.admin_token()))
    })
    .await;
    let (certificate, key) = fronted.client(&fronted.clients, "keybaton");
    let admin = HttpAdmin::Mtls { certificate: Some(certificate), key };
    let mut rig = fronted.rig(fronted.target(admin, None));
    rig.create(1).await.unwrap();
    assert!(rig.works(1).await, "the token goes without the admin's certificate, or the front would speak for him");
    assert_eq!(fronted.hub.whoami(&rig.value(1)).await.unwrap().as_deref(), Some(USER));
    rig.done(Destroy, 1).await;
    assert!(!rig.works(1).await);
    // Without the certificate nobody speaks for the admin, and what holds a line end is no header.
    for (sentence, value, code, blame) in [
        ("no certificate", "nobody", "http-token.status-403", Blame::Target),
        ("a key for a header", "two\nlines", "connection.admin", Blame::Operator),
    ] {
        let value = Arc::new(FileSource(fronted.folder.write("value", value.as_bytes()).unwrap()));
        let admin = HttpAdmin::Header { name: "x-nothing".to_owned(), value };
        let fault = fronted.rig(fronted.target(admin, None)).fault(Create, 1).await;
        assert_eq!((fault.code.as_str(), fault.blame), (code, blame), "{sentence}: {fault}");
    }
}

#[tokio::test]
async fn a_way_that_takes_a_client_certificate_of_everybody() {
    let fronted = fronted(|clients, _| Clients::Required(clients.pem().to_owned())).await;
    let (certificate, key) = fronted.client(&fronted.clients, "keybaton");
    let own = ClientCertificate { certificate, key };
    let mut rig = fronted.rig(fronted.target(fronted.token(), Some(own.clone())));
    rig.create(1).await.unwrap();
    assert!(rig.works(1).await, "the candidate comes the same way");
    rig.done(Destroy, 1).await;

    let (certificate, key) = fronted.client(&Authority::new("somebody else"), "stranger");
    let stranger = ClientCertificate { certificate, key };
    let other = Authority::new("somebody else");
    let wrong_trust = |target: HttpTarget| HttpTarget {
        tls: Tls { trust: Trust::Roots(other.pem().as_bytes().to_vec()), ..target.tls.clone() },
        ..target
    };
    let wrong_name = |target: HttpTarget| HttpTarget {
        base_url: format!("https://hub.example.com:{}", fronted.front.port()).parse().unwrap(),
        ..target
    };
    let right = || fronted.target(fronted.token(), Some(own.clone()));
    let before = fronted.front.requests();
    for (sentence, target, text) in [
        ("no client certificate", fronted.target(fronted.token(), None), "wants a client certificate"),
        ("a stranger's", fronted.target(fronted.token(), Some(stranger)), "refuses the client certificate"),
        ("another authority", wrong_trust(right()), "set `tls.ca`"),
        ("another name", wrong_name(right()), "set `tls.server_name`"),
    ] {
        let rig = fronted.rig(target);
        for step in [Observe, Create] {
            let fault = rig.fault(step, 1).await;
            let blame = (fault.class, fault.blame);
            assert_eq!(blame, (FailureClass::Permanent, Blame::Operator), "{sentence}, {step}: {fault}");
            assert!(fault.message.contains(text), "{sentence}, {step}: {fault}");
        }
    }
    assert_eq!(fronted.front.requests(), before, "none of them was read");
}
