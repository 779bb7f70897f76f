//! The suite of all plugins: the API gave the id of our token, which is gone, to somebody else's.

use super::hub::{self, TOKENS};
use crate::HttpToken;
use crate::settings::Settings;
use keybaton_rotator::testing::Host;
use keybaton_rotator::testing::conformance::{Double, OURS, check};
use keybaton_rotator::{Role, Target};
use std::cell::RefCell;
use std::rc::Rc;

const ID: &str = "a7";

#[derive(Default)]
struct Hub(Rc<RefCell<Vec<String>>>);

impl Double for Hub {
    type Plugin = HttpToken;

    fn empty() -> Self {
        Self::default()
    }

    fn put_ours(&self) {
        self.0.borrow_mut().push(hub::listed(ID, "[keybaton op-1]"));
    }

    fn put_somebody_elses(&self) {
        self.0.borrow_mut().push(hub::listed(ID, "made by hand"));
    }

    fn host(&self) -> Host {
        let (listed, deleted) = (Rc::clone(&self.0), Rc::clone(&self.0));
        hub::host().http("GET", TOKENS, move |_| Ok((200, hub::list(&listed.borrow())))).http(
            "DELETE",
            &format!("{TOKENS}/{ID}"),
            move |_| Ok((if deleted.borrow_mut().pop().is_some() { 204 } else { 404 }, String::new())),
        )
    }

    /// The API mints: what `create` told is all there is.
    fn known(&self, role: Role, _: bool) -> Target<Settings> {
        let mut target = hub::target().with(OURS, role, None, &["token"]);
        let generation = &mut target.generations[0];
        generation.id = Some(ID.to_owned());
        generation.facts.push(("operation".to_owned(), "op-1".to_owned()));
        target
    }

    fn shown(&self) -> String {
        self.0.borrow().concat()
    }
}

#[test]
fn it_does_what_every_plugin_must() {
    check::<Hub>();
}
