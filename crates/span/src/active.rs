//! Work that goes on: a span that is added to its recording when it is dropped, however its work ended.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{Event, Kind, Recorder, Recording, Source, Span, Value};

/// A span of work that goes on, or nothing where nobody wants to know.
#[derive(Debug, Default)]
#[must_use = "a span ends when it is dropped"]
pub struct Active(Option<(Recording, Box<Span>)>);

impl Active {
    /// Begins now, within `parent`.
    pub fn begin(
        recording: Option<&Recording>,
        source: &Arc<Source>,
        kind: Kind,
        parent: u64,
        name: impl FnOnce() -> Value,
    ) -> Self {
        Self(recording.map(|recording| {
            let mut span = Box::new(Span::new(source.clone(), kind, name()));
            span.parent = Some(parent);
            (recording.clone(), span)
        }))
    }

    /// A span that has begun already.
    pub fn of(recording: &Recording, span: Span) -> Self {
        Self(Some((recording.clone(), Box::new(span))))
    }

    /// Something that the host does on nobody's behalf, as a trace of its own.
    pub fn alone(recorder: &Arc<Recorder>, name: impl FnOnce() -> Value) -> Self {
        match recorder.alone() {
            Some(recording) => Self::of(&recording, Span::new(recording.own().clone(), Kind::Internal, name())),
            None => Self::default(),
        }
    }

    /// The span, if anybody wants to know.
    pub fn span(&mut self) -> Option<&mut Span> {
        self.0.as_mut().map(|(_, span)| &mut **span)
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = self.span() {
            span.set(key, value);
        }
    }

    /// Something that happens now.
    pub fn event(&mut self, name: impl FnOnce() -> String) {
        if let Some(span) = self.span() {
            span.event(Event { name: name(), at: SystemTime::now(), attributes: Vec::new() });
        }
    }

    pub fn fail(&mut self, kind: impl Into<Value>) {
        if let Some(span) = self.span() {
            span.fail(kind);
        }
    }

    /// The span's id, for those within it; `parent` where there is no span.
    pub fn id_or(&self, parent: u64) -> u64 {
        self.0.as_ref().map_or(parent, |(_, span)| span.id)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if let Some((recording, mut span)) = self.0.take() {
            span.ended = Instant::now();
            recording.add(span);
        }
    }
}
