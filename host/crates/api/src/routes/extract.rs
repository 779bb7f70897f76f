//! Parts of a request, read within bounds, with every refusal as a problem. Bodies are read into zeroized memory.

use crate::limits::{MAX_BODY_BYTES, MAX_UPLOAD_BYTES};
use crate::problem::{Kind, Problem};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// A small JSON body; none at all counts as `{}`.
pub(crate) struct Json<T>(pub(crate) T);
/// A large JSON body: declaration files.
pub(crate) struct LargeJson<T>(pub(crate) T);
/// A JSON body that carries values: its errors quote nothing.
pub(crate) struct SecretJson<T>(pub(crate) T);
/// A large body of bytes: a component.
pub(crate) struct Upload(pub(crate) Vec<u8>);
/// The query string.
pub(crate) struct Params<T>(pub(crate) T);
/// Names in the path.
pub(crate) struct Names<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = json_bytes(request, MAX_BODY_BYTES).await?;
        parse(&body).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for LargeJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = json_bytes(request, MAX_UPLOAD_BYTES).await?;
        parse(&body).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SecretJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = json_bytes(request, MAX_BODY_BYTES).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let at = format!("the body can't be read at line {}, column {}", error.line(), error.column());
            Problem::new(Kind::Malformed, at).help("compare with the schema in /v1/openapi.json; values are base64")
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, MAX_UPLOAD_BYTES).await.map(|mut body| Self(std::mem::take(&mut *body)))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(params)| Self(params)).map_err(|error| Problem::new(Kind::Malformed, error.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|error| Problem::new(Kind::Malformed, error.body_text()))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Kind::Malformed, format!("the body can't be read: {error}")))
}

async fn json_bytes(request: Request, limit: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let json = request.headers().get(CONTENT_TYPE).is_none_or(|kind| {
        kind.to_str().is_ok_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"))
    });
    if !json {
        return Err(Problem::new(Kind::Malformed, "the body must be application/json"));
    }
    let mut body = read(request, limit).await?;
    if body.is_empty() {
        body.extend_from_slice(b"{}");
    }
    Ok(body)
}

async fn read(request: Request, limit: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let too_large = || Problem::new(Kind::TooLarge, format!("the body is larger than {limit} bytes"));
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    // Reserved at once where the length is told, so that growing leaves no copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(length.unwrap_or(4_096)));
    let mut stream = request.into_body().into_data_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| Problem::new(Kind::Malformed, "the body ended before its time"))?;
        if body.len() + part.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
