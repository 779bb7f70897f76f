//! A workload that uses a secret once a second and goes on through rotations, restarts of the host and lost hints.
//!
//! ```text
//! cargo run --example steady -- https://localhost:8844 payments/db ./state kbe_…
//! ```

use keybaton_consumer::{Client, Credential, Failed, Options, TrialFailure};
use std::path::Path;
use std::time::Duration;

/// Stands for logging in somewhere; puts no value anywhere.
async fn log_in(credential: &Credential) -> std::io::Result<u32> {
    match credential.secret_text("password") {
        Some(password) if !password.is_empty() => Ok(credential.generation()),
        _ => Err(std::io::Error::other("there is no password in it")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, secret, state, token] = args.as_slice() else {
        return Err("usage: steady URL NAMESPACE/NAME STATE_DIR ENROLMENT".into());
    };
    let client = Client::open_or_enrol(url, token, Path::new(state), Options::default()).await?;
    let secret = client
        .secret(secret)
        .try_pending(|credential| async move { log_in(&credential).await.map(drop).map_err(TrialFailure::refused) })
        .open()?;
    secret.ready(Duration::from_secs(60)).await?;
    for _ in 0..60 {
        let used = secret.with_fallback(async |credential| log_in(&credential).await.map_err(Failed::Refused)).await?;
        println!("{} used generation {used} of {}", client.consumer(), secret.name());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
