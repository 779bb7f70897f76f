//! Log lines say which rotation they are about. Alone in its binary: whoever logs in another thread without listening
//! would have this one's lines switched off too.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keybaton_engine::views::Standing;
use keybaton_protocol::step::PlanKind;
use serde_json::Value;
use std::io::Write;
use std::sync::{Arc, Mutex};
use support::bench::{Fleet, lone};
use tracing_subscriber::fmt::MakeWriter;

/// Log lines, as JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn all(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// The innermost span of every line with this message.
    fn spans_of(&self, message: &str) -> Vec<Value> {
        self.all().into_iter().filter(|it| it["fields"]["message"] == message).map(|it| it["span"].clone()).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn every_line_about_a_rotation_says_which_and_how_far_it_is() {
    let lines = Lines::default();
    let to_lines = tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(lines.clone());
    let _listening = tracing::subscriber::set_default(to_lines.finish());
    let fleet = Fleet::new(vec![lone("a/broken-0")]).await;
    let issued = fleet.run("a/broken-0", PlanKind::Issue, Standing::Idle).await;
    fleet.fail_from_now_on("a/broken-");
    let failing = fleet.run("a/broken-0", PlanKind::Rotate, Standing::Held).await;

    let plugin = lone("a/broken-0").plugin.to_string();
    for (message, rotations) in [
        ("a rotation started", vec![&issued, &failing]),
        ("a rotation is over", vec![&issued]),
        ("a rotation is held", vec![&failing]),
    ] {
        let spans = lines.spans_of(message);
        let of: Vec<_> = spans.iter().map(|span| span["rotation"].as_str().unwrap_or("none")).collect();
        assert_eq!(of, rotations, "{message}: {spans:?}");
        for span in &spans {
            assert_eq!((&span["secret"], &span["plugin"]), (&"a/broken-0".into(), &plugin.as_str().into()), "{span}");
        }
    }
    assert_eq!(lines.spans_of("a rotation is held")[0]["step"], "create");
    let failed = lines.spans_of("a plugin call failed");
    assert_eq!(failed.len(), 3, "each attempt");
    for (span, attempt) in failed.iter().zip(1..) {
        let told = ["rotation", "step", "place", "plugin"].map(|field| span[field].as_str().unwrap_or("none"));
        assert_eq!(told, [&*failing, "create", "-", &*plugin], "{span}");
        assert_eq!(span["attempt"], attempt, "{span}");
    }
}
