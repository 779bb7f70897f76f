//! A guest call that did not return: which limit, which fault, whose. A trap never says more than it must.

use crate::convert::broken;
use crate::record::Break;
use crate::state::CallState;
use keybaton_protocol::fault::{Blame, FailureClass, Fault};
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

/// The fault that ended the call.
pub(crate) fn fault(error: &wasmtime::Error, state: &mut CallState) -> Fault {
    let sent = state.business.as_ref().is_some_and(|business| business.ledger.sent());
    let mut fault = cause(error, state);
    let text = state.scrubber.text(&fault.message);
    fault.message = crate::limits::cut(&text, crate::limits::MESSAGE_BYTES).to_owned();
    if sent {
        // Something may have changed at the target that this call will never tell of.
        fault.class = FailureClass::Ambiguous;
    }
    fault
}

fn cause(error: &wasmtime::Error, state: &CallState) -> Fault {
    if let Some(cause) = error.downcast_ref::<Break>() {
        return broke(cause);
    }
    if let Some(cause) = error.downcast_ref::<ResourceTableError>() {
        return broken("guest.handle", format!("the plugin used a handle that is not its own: {cause}"));
    }
    let said = state.log.last_error.as_ref().map(|line| format!("; it last said: {line}")).unwrap_or_default();
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => broken("guest.fuel", "the plugin used up the fuel of one call"),
        Some(Trap::StackOverflow) => broken("guest.stack", "the plugin used up its stack"),
        _ if state.meter.memory_refused => {
            broken("guest.memory", format!("the plugin asked for more memory than one call has{said}"))
        }
        Some(trap) => broken("guest.trap", format!("the plugin trapped ({trap}){said}")),
        // The canonical ABI refused what the guest handed over: a handle, a text, a length.
        None => {
            let text = error.root_cause().to_string();
            let code = match () {
                () if text.contains("handle") => "guest.handle",
                () if text.contains("hostcall fuel") || text.contains("too much data") => "guest.size",
                () => "guest.encoding",
            };
            broken(code, format!("the plugin broke the calling convention: {text}"))
        }
    }
}

fn broke(cause: &Break) -> Fault {
    match cause {
        Break::Mismatch(_) => Fault { class: FailureClass::Ambiguous, ..broken("guest.mismatch", cause.to_string()) },
        Break::Limit { code, .. } => broken(code, cause.to_string()),
        Break::Forged(_) => broken("guest.handle", cause.to_string()),
        Break::Journal(_) => {
            Fault { class: FailureClass::Retryable, blame: Blame::Host, ..broken("host.journal", cause.to_string()) }
        }
    }
}
