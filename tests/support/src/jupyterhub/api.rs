//! The part of JupyterHub's REST API that tests need: users and their tokens. Answers are read, never trusted to
//! have more than they show. <https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html>

use std::{fmt, time::Duration};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::JupyterHub;
use crate::{Error, Result};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// What the hub tells about a token; the token itself it tells only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubToken {
    /// The id it is deleted by. SQLite may give the id of the newest token, once deleted, to the next one.
    pub id: String,
    /// Free text given at its making.
    pub note: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it ends by itself, RFC 3339.
    pub expires_at: Option<String>,
    /// When it was last used, RFC 3339.
    pub last_activity: Option<String>,
}

/// A token as the hub answers its making.
pub struct MintedToken {
    /// The id it is deleted by.
    pub id: String,
    /// The token itself.
    pub token: String,
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A client that ignores the machine's proxy settings: all it talks to is on loopback.
pub(super) fn client() -> Result<Client> {
    let client = Client::builder().no_proxy().timeout(ANSWER).build();
    client.map_err(|source| Error::Http { what: "the making of a client".into(), source })
}

impl JupyterHub {
    /// The names of all users.
    ///
    /// # Errors
    /// The hub is down or refuses.
    pub async fn users(&self) -> Result<Vec<String>> {
        let users = self.ask("list users", Method::GET, "users", None).await?;
        Ok(list(&users).iter().map(|user| text(user, "name")).collect())
    }

    /// Makes a user.
    ///
    /// # Errors
    /// The hub is down or refuses, as it does where the user exists.
    pub async fn create_user(&self, user: &str) -> Result<()> {
        self.ask("make a user", Method::POST, &format!("users/{user}"), None).await.map(drop)
    }

    /// Every token of a user that lives: the census.
    ///
    /// # Errors
    /// The hub is down or does not know the user.
    pub async fn tokens(&self, user: &str) -> Result<Vec<HubToken>> {
        let answer = self.ask("list tokens", Method::GET, &format!("users/{user}/tokens"), None).await?;
        Ok(list(&answer["api_tokens"]).iter().map(token).collect())
    }

    /// Makes a token as somebody other than keybaton would: a foreign actor.
    ///
    /// # Errors
    /// The hub is down or does not know the user.
    pub async fn mint(&self, user: &str, note: &str, expires_in_s: Option<u32>) -> Result<MintedToken> {
        let body = json!({ "note": note, "expires_in": expires_in_s });
        let answer = self.ask("make a token", Method::POST, &format!("users/{user}/tokens"), Some(body)).await?;
        Ok(MintedToken { id: text(&answer, "id"), token: text(&answer, "token") })
    }

    /// Deletes a token by its id.
    ///
    /// # Errors
    /// The hub is down, or knows no such token.
    pub async fn delete_token(&self, user: &str, id: &str) -> Result<()> {
        self.ask("delete a token", Method::DELETE, &format!("users/{user}/tokens/{id}"), None).await.map(drop)
    }

    /// Uses a token: the name of the user it stands for, or `None` where the hub refuses it (403).
    ///
    /// # Errors
    /// The hub is down, or answers neither yes nor no.
    pub async fn whoami(&self, token: &str) -> Result<Option<String>> {
        let what = "who a token is";
        let response = self.send(what, self.request(Method::GET, "user", token)).await?;
        if response.status() == StatusCode::FORBIDDEN {
            return Ok(None);
        }
        Ok(Some(text(&answer(what, response).await?, "name")))
    }

    async fn ask(&self, what: &str, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.request(method, path, self.admin_token());
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(what, self.send(what, request).await?).await
    }

    fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let url = format!("{}/hub/api/{path}", self.origin());
        self.http.request(method, url).header("authorization", format!("token {token}"))
    }

    async fn send(&self, what: &str, request: RequestBuilder) -> Result<Response> {
        request.send().await.map_err(|source| Error::Http { what: what.to_owned(), source })
    }
}

async fn answer(what: &str, response: Response) -> Result<Value> {
    let status = response.status();
    if !status.is_success() {
        return Err(Error::Hub { what: what.to_owned(), status: status.as_u16() });
    }
    let body = response.text().await.map_err(|source| Error::Http { what: what.to_owned(), source })?;
    // A deletion is answered with nothing at all.
    Ok(serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

fn token(value: &Value) -> HubToken {
    let optional = |member: &str| value[member].as_str().map(str::to_owned);
    HubToken {
        id: text(value, "id"),
        note: text(value, "note"),
        created: text(value, "created"),
        expires_at: optional("expires_at"),
        last_activity: optional("last_activity"),
    }
}
