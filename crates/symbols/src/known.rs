//! The lines of one component: read when somebody asks, and remembered.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::lines::{Line, Place, lines};

/// Places in one component that are told; it is read for new ones only.
const PLACES_MAX: usize = 1024;

/// The lines of one component, read when they are asked for.
#[derive(Debug)]
pub struct Lines {
    code: Vec<Range<u64>>,
    file: Option<PathBuf>,
    known: Mutex<HashMap<Place, Vec<Line>>>,
}

impl Lines {
    /// `code` is where the code of each of its modules is in the component's file; `file` has the names and lines.
    pub fn new(code: Vec<Range<u64>>, file: Option<PathBuf>) -> Self {
        Self { code, file, known: Mutex::default() }
    }

    /// What was at work at each of these places: number of the function, and where it is in the component's file.
    /// Blocking the first time for each.
    pub fn at(&self, frames: &[(u32, u64)]) -> Vec<Vec<Line>> {
        let places: Vec<_> = frames.iter().map(|(function, at)| self.place(*function, *at)).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Place> = places.iter().flatten().filter(|place| !known.contains_key(place)).copied().collect();
        if !new.is_empty() && known.len() + new.len() <= PLACES_MAX {
            let names = self.file.as_ref().and_then(|file| fs::read(file).ok()).unwrap_or_default();
            let lines = lines(&names, &new);
            known.extend(new.into_iter().zip(lines));
        }
        places.iter().map(|place| place.and_then(|place| known.get(&place)).cloned().unwrap_or_default()).collect()
    }

    fn place(&self, function: u32, at: u64) -> Option<Place> {
        let module = self.code.iter().position(|code| code.contains(&at))?;
        Some(Place { module, function, offset: at - self.code[module].start })
    }
}
