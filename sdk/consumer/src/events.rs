//! Server-sent events (WHATWG HTML §9.2), as much of them as the host sends. Bounded: a line that never ends is an
//! error, not memory.

use crate::Error;
use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::Response;

/// Longest line, and longest data of one event.
const MAX_EVENT_BYTES: usize = 256 * 1_024;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A stream of them.
pub(crate) struct Events {
    parts: BoxStream<'static, Result<Vec<u8>, Error>>,
    buffer: Vec<u8>,
    event: Event,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        let parts = response.bytes_stream();
        Self::of(parts.map(|part| part.map(|part| part.to_vec()).map_err(Error::Unreachable)).boxed())
    }

    fn of(parts: BoxStream<'static, Result<Vec<u8>, Error>>) -> Self {
        Self { parts, buffer: Vec::new(), event: Event::default() }
    }

    /// The next event; `None` when the host ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if let Some(event) = self.line(&line)? {
                    return Ok(Some(event));
                }
            }
            match self.parts.next().await {
                Some(part) => self.buffer.extend_from_slice(&part?),
                None => return Ok(None),
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                return Err(Error::Answer("an event is too long"));
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Event>, Error> {
        let line = std::str::from_utf8(line).map_err(|_| Error::Answer("an event is no text"))?;
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(Some(event).filter(|event| !event.name.is_empty() || !event.data.is_empty()));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.event.data.len() + value.len() > MAX_EVENT_BYTES {
                    return Err(Error::Answer("an event is too long"));
                }
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments keep the connection open; ids are not needed, since whoever connects looks at everything.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    async fn read(parts: &[&str]) -> Result<Vec<(String, String)>, Error> {
        let parts: Vec<_> = parts.iter().map(|part| Ok(part.as_bytes().to_vec())).collect();
        let mut events = Events::of(stream::iter(parts).boxed());
        let mut all = Vec::new();
        while let Some(event) = events.next().await? {
            all.push((event.name, event.data));
        }
        Ok(all)
    }

    #[tokio::test]
    async fn events_are_read_however_they_are_cut() {
        let text =
            ": hello\n\nevent: open\ndata: {}\n\nid: 4\nevent: changed\r\ndata: a\r\ndata:b\r\n\r\n:\n\ndata: lost";
        let expected = [("open", "{}"), ("changed", "a\nb")].map(|(name, data)| (name.to_owned(), data.to_owned()));
        assert_eq!(read(&[text]).await.unwrap(), expected);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(read(&bytes).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_an_error() {
        let long = "x".repeat(MAX_EVENT_BYTES);
        assert!(read(&[&long, "y"]).await.is_err());
        let many = format!("data: {}\n", "x".repeat(1_000)).repeat(300);
        assert!(read(&[&many[..100_000], &many[100_000..200_000], &many[200_000..]]).await.is_err());
    }
}
