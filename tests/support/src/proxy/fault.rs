//! Which fault happens when. Conditions see bytes and counts, never the faults of others.

use std::{fmt, time::Duration};

use tokio::sync::watch;

/// What can happen to one exchange of request and reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset as soon as it is made. Its condition sees an empty request.
    Refuse,
    /// The request never reaches the server; the client's connection ends.
    LoseRequest,
    /// The request reaches the server only after this time, even where the client has left by then.
    DelayRequest(Duration),
    /// The server acts on the request and answers; the client's connection ends without the answer.
    LoseReply,
    /// The server acts and answers; the client hears nothing, on a connection that stays open.
    SilenceReply,
    /// The reply is passed on only after this time.
    DelayReply(Duration),
    /// Half of what the server says first is passed on, then the connection is reset.
    Reset,
}

/// What a condition sees: a request as far as it has come in.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Which connection of the proxy's, from 0.
    pub connection: u64,
    /// Which request of the connection, from 0.
    pub ordinal: u64,
    /// The bytes of this request that the client has sent so far.
    pub request: &'a [u8],
    /// The last bytes the client has sent on this connection, this request included, up to 256 KiB.
    pub seen: &'a [u8],
}

type Condition = Box<dyn Fn(&Exchange<'_>) -> bool + Send>;

/// When an armed fault happens: a condition, how often it is let pass first, how often it then strikes (once,
/// unless told otherwise). A request counts once, however many pieces it comes in.
pub struct When {
    condition: Condition,
    skip: u32,
    times: u32,
}

impl When {
    /// On the next request, or connection for [`Fault::Refuse`].
    #[must_use]
    pub fn next() -> Self {
        Self::matches(|_| true)
    }

    /// On a request that holds these bytes.
    #[must_use]
    pub fn request_holds(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::matches(move |exchange| holds(exchange.request, &bytes))
    }

    /// On a request for which `condition` holds; it is asked at each piece that comes in.
    #[must_use]
    pub fn matches(condition: impl Fn(&Exchange<'_>) -> bool + Send + 'static) -> Self {
        Self { condition: Box::new(condition), skip: 0, times: 1 }
    }

    /// Lets the first `skip` matches pass.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Strikes `times` matches instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When").field("skip", &self.skip).field("times", &self.times).finish_non_exhaustive()
    }
}

/// A fault that was armed: how often it has struck.
#[derive(Debug, Clone)]
pub struct Armed {
    fired: watch::Receiver<u32>,
}

impl Armed {
    /// How often it has struck so far.
    #[must_use]
    pub fn fired(&self) -> u32 {
        *self.fired.borrow()
    }

    /// Waits until it has struck `times` times; `false` where that has not come about within `limit`.
    pub async fn wait(&mut self, times: u32, limit: Duration) -> bool {
        let reached = self.fired.wait_for(|fired| *fired >= times);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }
}

/// An armed fault as the proxy keeps it.
#[derive(Debug)]
pub(super) struct Arming {
    fault: Fault,
    when: When,
    /// The last request that was counted, so that its later pieces are not.
    counted: Option<(u64, u64)>,
    fired: watch::Sender<u32>,
}

impl Arming {
    pub(super) fn new(fault: Fault, when: When) -> (Self, Armed) {
        let (sender, receiver) = watch::channel(0);
        (Self { fault, when, counted: None, fired: sender }, Armed { fired: receiver })
    }

    /// The fault, where this exchange meets its condition and it is its turn.
    pub(super) fn strike(&mut self, exchange: &Exchange<'_>) -> Option<Fault> {
        let request = (exchange.connection, exchange.ordinal);
        let of_its_kind = exchange.request.is_empty() == (self.fault == Fault::Refuse);
        if !of_its_kind || self.when.times == 0 || self.counted == Some(request) || !(self.when.condition)(exchange) {
            return None;
        }
        self.counted = Some(request);
        if self.when.skip > 0 {
            self.when.skip -= 1;
            return None;
        }
        self.when.times -= 1;
        self.fired.send_modify(|fired| *fired += 1);
        Some(self.fault)
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}
