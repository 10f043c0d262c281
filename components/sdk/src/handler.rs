//! What may stand in a table of routes: functions, by what they take and what they answer.

use crate::{
    Answer, Error, Request,
    argument::Argument,
    openapi::{Success, Taken},
    replies::Replies,
};

/// A function that answers: of the request, and of what else it takes, up to four: first the path's parameters in their
/// order, then [`Body`](crate::Body) and [`Asked`](crate::Asked), which say what it will read.
pub trait Handler<P>: 'static {
    /// How many parameters it takes; none is right for every path.
    const PARAMETERS: usize = Taken::segments(Self::TAKES);
    const TAKES: &'static [Taken];
    const ANSWERS: &'static Success;

    fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer;
}

macro_rules! handlers {
    ($($($name:ident),*;)*) => {$(
        impl<$($name: Argument,)* R: Replies, F> Handler<($($name,)* R,)> for F
        where
            F: Fn(&mut Request, $($name),*) -> Result<R, Error> + 'static,
        {
            const TAKES: &'static [Taken] = &[$($name::TAKEN),*];
            const ANSWERS: &'static Success = R::ANSWERS;

            fn call(&self, request: &mut Request, parameters: &[&str]) -> Answer {
                let mut _segments = parameters.iter();
                self(request, $($name::taken(&mut _segments)?),*)?.reply()
            }
        }
    )*};
}

handlers! {
    ;
    A;
    A, B;
    A, B, C;
    A, B, C, D;
}
