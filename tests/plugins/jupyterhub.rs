//! `http-token` against a real JupyterHub: every export, each twice, and tokens whose answer was lost.

use crate::rig::Rig;
use async_trait::async_trait;
use keybaton_engine::ports::rotator::Rotator;
use keybaton_engine::ports::secret::SecretBytes;
use keybaton_protocol::fault::{Blame, FailureClass};
use keybaton_protocol::profile::{Minter, Overlap};
use keybaton_protocol::step::CallKind::{Create, Destroy, Disable, Enable, Install, Observe, Verify};
use keybaton_runtime::connection::{HttpAdmin, HttpTarget, Target, Tls};
use keybaton_runtime::identity::{FileSource, SecretSource, SourceError, Sourced};
use keybaton_runtime::manifest::Endpoint;
use keybaton_schedule::connection::Addresses;
use keybaton_test_support::{JupyterHub, JupyterHubOptions};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const USER: &str = "svc-app";

pub(crate) fn settings() -> Value {
    let text = include_str!("../../plugins/http-token/tests/jupyterhub.json");
    let mut settings: Value = serde_json::from_str(text).unwrap();
    settings["connection"] = "main".into();
    settings
}

fn endpoint(method: &str, path: &str, params: &[&str], captures: &[&str]) -> Endpoint {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Endpoint::concrete(method, path, &[], &own(params), &own(captures)).unwrap()
}

pub(crate) fn target(hub: &JupyterHub) -> Target {
    Target::Http(HttpTarget {
        base_url: hub.origin().parse().unwrap(),
        dial: None,
        check: None,
        tls: Tls::off(),
        admin: Some(HttpAdmin::Bearer {
            prefix: "token".to_owned(),
            token: Arc::new(FileSource(hub.admin_token_file().to_owned())),
        }),
        addresses: Arc::new(Addresses { loopback: true, ..Addresses::default() }),
        endpoints: vec![
            endpoint("GET", "/hub/api/users/{user}/tokens", &["user:identity"], &[]),
            endpoint("POST", "/hub/api/users/{user}/tokens", &["user:identity"], &["json:/token"]),
            endpoint("DELETE", "/hub/api/users/{user}/tokens/{id}", &["user:identity", "id:value"], &[]),
            endpoint("GET", "/hub/api/user", &[], &[]),
        ],
    })
}

async fn rig() -> (JupyterHub, Rig) {
    let hub = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    hub.create_user(USER).await.unwrap();
    hub.create_user("somebody").await.unwrap();
    let rig = Rig::new("plugins/http-token", target(&hub), &[USER], settings());
    (hub, rig)
}

async fn ids(hub: &JupyterHub) -> Vec<String> {
    hub.tokens(USER).await.unwrap().into_iter().map(|token| token.id).collect()
}

#[tokio::test]
async fn tokens_from_the_first_to_the_last() {
    let (hub, mut rig) = rig().await;
    let plugin = rig.plugin.parse().unwrap();
    let profile = rig.runtime.profile(&plugin, &settings().to_string()).await.unwrap().profile;
    assert_eq!((profile.overlap, profile.minter), (Overlap::Native(4), Minter::Target));
    assert_eq!(rig.runtime.validate(&plugin, &settings().to_string()).await.unwrap(), []);
    assert_eq!(rig.preflight(1).await.unwrap(), []);
    assert!(rig.observe(1).await.is_empty());
    let foreign = hub.mint(USER, "made by hand", None).await.unwrap();

    for number in [1, 2] {
        rig.know(number, "pending", None);
        rig.create(number).await.unwrap();
        for again in [false, true] {
            rig.done(Install, number).await;
            assert!(rig.works(number).await, "again: {again}");
        }
        assert_eq!(hub.whoami(&rig.value(number)).await.unwrap().as_deref(), Some(USER));
    }
    rig.role(1, "previous");
    rig.role(2, "current");
    assert_eq!(ids(&hub).await.len(), 3, "both, and the one by hand");

    let seen = rig.observe(2).await;
    let of = |id: &str| seen.iter().find(|live| live.id.as_str() == id).unwrap();
    assert!(of(&foreign.id).last_used_at.is_none(), "nobody has used it");
    for number in [1, 2] {
        let live = of(&rig.id(number));
        assert!(live.active && live.last_used_at >= live.created_at && live.created_at.is_some(), "{live:?}");
        assert!(live.expires_at > live.created_at, "{live:?}");
    }
    for step in [Disable, Enable] {
        assert_eq!(rig.fault(step, 1).await.class, FailureClass::Unsupported, "{step}");
    }
    assert_eq!(rig.done(Destroy, 1).await[0].0, "deleted");
    assert_eq!(rig.done(Destroy, 1).await[0].0, "absent");
    assert!(!rig.works(1).await && rig.works(2).await);
    assert_eq!(hub.whoami(&rig.value(1)).await.unwrap(), None);
    assert_eq!(hub.whoami(&foreign.token).await.unwrap().as_deref(), Some(USER), "nobody else's is touched");
}

#[tokio::test]
async fn of_attempts_whose_answers_were_lost_one_token_remains() {
    let (hub, mut rig) = rig().await;
    rig.know(1, "current", None);
    rig.create(1).await.unwrap();
    rig.know(2, "pending", None);
    // The first attempt mints, and its outcome is forgotten before anybody keeps it.
    for _ in 0..2 {
        assert!(matches!(rig.call(Create, 2).await.0, keybaton_protocol::event::Outcome::Created(_)));
        assert_eq!(ids(&hub).await.len(), 2);
    }
    rig.create(2).await.unwrap();
    let live = ids(&hub).await;
    assert_eq!(live.len(), 2);
    assert!(live.contains(&rig.id(1)) && live.contains(&rig.id(2)), "the census is what is known");
    assert!(rig.works(1).await && rig.works(2).await);
}

#[tokio::test]
async fn an_id_that_the_hub_gives_to_another_token_is_nobody_s_of_ours() {
    let (hub, mut rig) = rig().await;
    rig.know(1, "pending", None);
    rig.create(1).await.unwrap();
    rig.role(1, "current");
    hub.delete_token(USER, &rig.id(1)).await.unwrap();
    let other = hub.mint(USER, "made by hand", None).await.unwrap();
    assert_eq!(other.id, rig.id(1), "the hub gives the id of its newest token out again once that is deleted");
    let seen = rig.observe(1).await;
    let [only] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(only.id.as_str() != other.id && only.id.as_str().starts_with(&other.id), "{only:?}");
    assert_eq!(rig.done(Destroy, 1).await[0].0, "absent");
    assert_eq!(hub.whoami(&other.token).await.unwrap().as_deref(), Some(USER), "nobody else's is touched");
}

#[tokio::test]
async fn what_the_connection_does_not_list_is_denied_before_anything_is_sent() {
    let (hub, mut rig) = rig().await;
    rig.know(1, "pending", None);
    for (sentence, pointer, value, step, code) in [
        ("another user", "/values/user", "somebody", Create, "connection.identity"),
        ("another path", "/list/path", "/hub/api/users", Observe, "http.endpoint"),
        ("another capture", "/mint/token", "json:/user", Create, "http.capture"),
        ("a path that climbs", "/list/path", "/hub/api/users/svc-app/../somebody/tokens", Observe, "http.endpoint"),
        ("a query", "/list/path", "/hub/api/users/svc-app/tokens?all=1", Observe, "http.endpoint"),
    ] {
        let mut settings = settings();
        *settings.pointer_mut(pointer).unwrap() = value.into();
        rig.settings = settings;
        let fault = rig.fault(step, 1).await;
        assert_eq!((fault.class, fault.blame), (FailureClass::Denied, Blame::Operator), "{sentence}: {fault}");
        assert_eq!(fault.code, code, "{sentence}: {fault}");
    }
    assert!(ids(&hub).await.is_empty() && hub.tokens("somebody").await.unwrap().is_empty());
}

#[tokio::test]
async fn refusals_and_absences_of_a_real_api() {
    let (mut hub, mut rig) = rig().await;
    rig.know(1, "current", None);
    rig.supply(1, "token", "never-a-token-of-this-hub");
    assert!(!rig.works(1).await, "a token that the hub does not know is refused");
    assert_eq!(rig.fault(Destroy, 1).await.code, "http-token.id-unknown");

    let other = hub.mint("somebody", "", None).await.unwrap();
    rig.know(2, "current", None);
    rig.supply(2, "token", &other.token);
    assert_eq!(
        rig.fault(Verify, 2).await.code,
        "verify.unfit",
        "a token that works, for somebody else, is no dead one"
    );

    let mut wrong = settings();
    wrong["mint"]["body"]["expires_in"] = "soon".into();
    rig.settings = wrong;
    rig.know(3, "pending", None);
    assert_eq!(rig.create(3).await.unwrap_err().class, FailureClass::Permanent, "the hub refuses the body");

    rig.settings = settings();
    hub.down().await.unwrap();
    for step in [Observe, Verify] {
        assert_eq!(rig.fault(step, 1).await.class, FailureClass::Retryable, "{step}");
    }
    assert_eq!(rig.preflight(1).await.unwrap_err().class, FailureClass::Retryable, "no finding: it could not be asked");
}

/// Tokens one after another: what is refused gives way to the next.
#[derive(Debug)]
struct Turns(Vec<String>, AtomicUsize);

#[async_trait]
impl SecretSource for Turns {
    async fn read(&self) -> Result<Sourced, SourceError> {
        let at = self.1.load(Ordering::SeqCst);
        let secret = SecretBytes::new(self.0[at].as_bytes().to_vec());
        Ok(Sourced { secret, public: Vec::new(), mark: at as u64 })
    }

    fn mark(&self) -> u64 {
        self.1.load(Ordering::SeqCst) as u64
    }

    async fn refused(&self, mark: u64) -> bool {
        let more = (mark as usize) + 1 < self.0.len();
        if more {
            self.1.store(mark as usize + 1, Ordering::SeqCst);
        }
        more
    }
}

fn as_admin(hub: &JupyterHub, tokens: &[&str], check: Option<&str>) -> Target {
    let Target::Http(plain) = target(hub) else { panic!("the hub speaks HTTP") };
    let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
    let token = Arc::new(Turns(tokens, AtomicUsize::new(0)));
    Target::Http(HttpTarget {
        admin: Some(HttpAdmin::Bearer { prefix: "token".to_owned(), token }),
        check: check.map(str::to_owned),
        ..plain
    })
}

#[tokio::test]
async fn an_admin_token_is_tried_by_what_only_the_admin_is_answered() {
    let hub = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    let right = hub.admin_token().to_owned();
    let value = |token: &str| Sourced::from(SecretBytes::new(token.as_bytes().to_vec()));
    for (sentence, check, token, expected) in [
        ("it works", "/hub/api/users", right.as_str(), Ok("answered 200")),
        ("it is none", "/hub/api/users", "no-token-of-this-hub", Err("does not accept the admin credential")),
        ("everybody is answered", "/hub/api/", right.as_str(), Err("answers everybody")),
        ("there is no such path", "/hub/api/nowhere", right.as_str(), Err("answered 404")),
    ] {
        let rig = Rig::new("plugins/http-token", as_admin(&hub, &["unused"], Some(check)), &[USER], settings());
        let tried = rig.runtime.connections().try_out("main", value(token)).await.unwrap();
        match (&tried, expected) {
            (Ok(said), Ok(text)) | (Err(said), Err(text)) => assert!(said.contains(text), "{sentence}: {said}"),
            _ => panic!("{sentence}: {tried:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_of_the_admin_s_that_is_refused_gives_way_to_the_next() {
    let hub = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    hub.create_user(USER).await.unwrap();
    let target = as_admin(&hub, &["ended-long-ago", hub.admin_token()], None);
    let mut rig = Rig::new("plugins/http-token", target, &[USER], settings());
    rig.know(1, "pending", None);
    let fault = rig.fault(Observe, 1).await;
    assert_eq!((fault.class, fault.code.as_str()), (FailureClass::Retryable, "connection.admin"), "{fault}");
    rig.create(1).await.unwrap();
    assert!(rig.works(1).await);
}
