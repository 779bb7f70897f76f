//! The JupyterHub fixture: a real API that mints tokens, and of which nothing is left.

use std::{net::TcpStream, path::PathBuf};

use keybaton_test_support::{JupyterHub, JupyterHubOptions};

#[tokio::test]
async fn tokens_are_minted_used_listed_deleted_and_survive_a_crash() {
    let mut hub = JupyterHub::start(JupyterHubOptions::default()).await.unwrap();
    assert_eq!(hub.users().await.unwrap(), Vec::<String>::new());
    hub.create_user("alice").await.unwrap();
    hub.create_user("alice").await.expect_err("a user is made once");
    assert_eq!(hub.users().await.unwrap(), ["alice"]);

    let kept = hub.mint("alice", "kept", Some(600)).await.unwrap();
    let unused = hub.mint("alice", "unused", None).await.unwrap();
    assert_eq!(hub.whoami(&kept.token).await.unwrap().as_deref(), Some("alice"));
    assert_eq!(hub.whoami("no such token").await.unwrap(), None);

    let tokens = hub.tokens("alice").await.unwrap();
    let named = |note: &str| tokens.iter().find(|token| token.note == note).expect("the token is listed");
    assert_eq!(tokens.len(), 2);
    assert_eq!(named("kept").id, kept.id);
    assert!(named("kept").last_activity.is_some() && named("kept").expires_at.is_some());
    assert!(named("unused").last_activity.is_none() && named("unused").expires_at.is_none());

    hub.delete_token("alice", &unused.id).await.unwrap();
    hub.delete_token("alice", &unused.id).await.expect_err("a token is deleted once");
    assert_eq!(hub.whoami(&unused.token).await.unwrap(), None);
    assert_eq!(hub.tokens("alice").await.unwrap().len(), 1);

    let next = hub.mint("alice", "next", None).await.unwrap();
    assert_eq!(next.id, unused.id, "ids are not names: the newest token's, once deleted, is given again");
    assert_ne!(next.token, unused.token);
    hub.delete_token("alice", &next.id).await.unwrap();

    hub.kill().unwrap();
    hub.whoami(&kept.token).await.expect_err("a killed hub answers nobody");
    hub.up().await.unwrap();
    assert_eq!(hub.whoami(&kept.token).await.unwrap().as_deref(), Some("alice"));
    assert_eq!(std::fs::read_to_string(hub.admin_token_file()).unwrap(), hub.admin_token());
    assert!(!hub.log().unwrap().contains(&kept.token), "the hub logs tokens");

    leaves_nothing(hub);
}

fn leaves_nothing(hub: JupyterHub) {
    let processes: Vec<_> = hub.process_ids().iter().map(|id| PathBuf::from(format!("/proc/{id}"))).collect();
    let (folder, port) = (hub.folder().to_owned(), hub.port());
    assert_eq!(processes.iter().filter(|process| process.exists()).count(), 2);
    drop(hub);
    assert!(processes.iter().all(|process| !process.exists()), "hub or proxy still runs");
    assert!(!folder.exists(), "{} is still there", folder.display());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "somebody still listens");
}
