//! Closed lists of words: what is counted by one of them can never have more numbers than words.

use std::marker::PhantomData;

use super::Counter;

/// One of a closed list of words. Made by [`labels!`](crate::labels).
pub trait Label: Copy + 'static {
    /// In the order of [`index`](Self::index).
    const WORDS: &'static [&'static str];

    fn index(self) -> usize;

    fn word(self) -> &'static str {
        Self::WORDS[self.index()]
    }
}

/// An enum whose variants have words; the enum itself is the index.
#[macro_export]
macro_rules! labels {
    ($(#[$of:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant,)+ }

        impl $crate::counts::Label for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// One counter for each word.
#[derive(Debug)]
pub struct ByLabel<L>(Box<[Counter]>, PhantomData<L>);

impl<L: Label> Default for ByLabel<L> {
    fn default() -> Self {
        Self(L::WORDS.iter().map(|_| Counter::default()).collect(), PhantomData)
    }
}

impl<L: Label> ByLabel<L> {
    pub fn count(&self, label: L) {
        self.0[label.index()].count();
    }

    pub fn get(&self, label: L) -> u64 {
        self.0[label.index()].get()
    }

    /// All words with their counts.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        L::WORDS.iter().copied().zip(self.0.iter().map(Counter::get))
    }
}
