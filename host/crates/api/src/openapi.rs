//! What the OpenAPI document says besides its routes. Generated from the code: nothing is written twice.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder, Paths};

/// The document without routes.
pub(crate) fn base() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("kb_<id>_<secret>")
        .description(Some("an operator's token, or a consumer's short-lived identity"))
        .build();
    let mut components = Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let mut info = Info::new("keybaton", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Consumers fetch their own secrets, watch them, and prove that they hold them. Operators see where rotations \
         stand and steer them; no route answers an operator with a value. Errors are problem details (RFC 9457)."
            .to_owned(),
    );
    OpenApiBuilder::new().info(info).paths(Paths::new()).components(Some(components)).build()
}

/// The document as it is kept beside the code, ending with a line feed.
///
/// # Errors
/// The document can't be written as JSON, which would be a bug in the generator.
pub fn document() -> Result<String, serde_json::Error> {
    crate::routes::openapi().to_pretty_json().map(|text| text + "\n")
}
