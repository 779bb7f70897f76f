//! Every bound of the API in one place. Units come last in the names.
//! Holds numbers only: what happens at a bound is decided where it is used.

use std::time::Duration;

/// Connections open at once over HTTPS; further ones wait in the kernel's backlog.
pub const MAX_CONNECTIONS: usize = 4_096;
/// Connections open at once on the Unix socket.
pub const MAX_LOCAL_CONNECTIONS: usize = 128;
/// Largest request body of an ordinary route.
pub const MAX_BODY_BYTES: usize = 64 * 1_024;
/// Largest request body of the routes that take declaration files or a plugin's component.
pub const MAX_UPLOAD_BYTES: usize = 32 * 1_024 * 1_024;
/// Largest head of a request (line and headers).
pub const MAX_HEAD_BYTES: usize = 16 * 1_024;
/// Longest `keybaton-signature` header: a component's signature file as base64.
pub const MAX_SIGNATURE_CHARS: usize = 8 * 1_024;
/// Headers in one request.
pub const MAX_HEADERS: usize = 64;
/// Time for a TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the head of a request to arrive, from the moment the connection waits for one.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a request to be read and answered (streams excepted).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for routes that carry uploads, ask targets or copy the store.
pub const LONG_REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time a peer may take no bytes of an answer.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two comments that keep a quiet stream of events open.
pub const STREAM_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest life of one stream of events; the client comes back with a token that is checked anew, so a withdrawn
/// identity hears hints (never values) no longer than this.
pub const MAX_STREAM_LIFE: Duration = Duration::from_secs(900);
/// Streams of events that one identity may hold open.
pub const MAX_STREAMS_PER_IDENTITY: usize = 64;
/// Longest wait of one fetch for news: an answer still comes within [`REQUEST_TIMEOUT`].
pub const MAX_FETCH_WAIT: Duration = Duration::from_secs(20);
/// Fetches that one identity may have waiting.
pub const MAX_WAITS_PER_IDENTITY: usize = 256;
/// Announcements that are looked through at once for those that belong together.
pub const MAX_COALESCED: usize = 256;
/// Time that open requests have to end once the server stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Failed authentications that one address may make in a row before it is told to wait.
pub const FAILED_AUTH_BURST: u32 = 20;
/// One more failed authentication is allowed after this long.
pub const FAILED_AUTH_REFILL_MS: u64 = 3_000;
/// Addresses that are remembered for failed authentication; the one that failed longest ago is forgotten first.
pub const MAX_THROTTLED_ADDRESSES: usize = 10_000;
/// Identities remembered as good, which an address's failures do not lock out.
pub const MAX_KNOWN_GOOD: usize = 10_000;
/// Identities remembered as ended, for those who wait on their behalf; when there are more, all are forgotten, and
/// whoever waits is found out when it is answered.
pub const MAX_ENDED: usize = 10_000;
/// Attestations that may wait for an approval.
pub const MAX_PROPOSALS: usize = 256;
/// An attestation that nobody approved is forgotten after this long.
pub const PROPOSAL_LIFE_MS: u64 = 24 * 3_600_000;
/// Longest time that a person's word may count.
pub const MAX_WORD_MINUTES: u32 = 30 * 24 * 60;
/// Longest life of an operator's token, where it ends.
pub const MAX_OPERATOR_DAYS: u32 = 3_650;
/// Longest life of an enrolment token.
pub const MAX_ENROLMENT_MINUTES: u32 = 24 * 60;
/// Entries in one answer of history or audit.
pub const MAX_PAGE: u32 = 1_000;
/// Longest reason that a consumer or an operator may give, in characters.
pub const MAX_REASON_CHARS: usize = 500;
