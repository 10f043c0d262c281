//! The table of routes that describes itself.

/// Makes `fn routes()`, which answers, and `OPENAPI`, the document of the same routes:
///
/// ```
/// use sdk::{Body, Created, Data, Error, FromJson, Request, openapi::Described};
///
/// sdk::routes! {
///     "/notes" {
///         /// The newest notes
///         get list;
///         /// Keeps a note
///         post create, fails [FULL];
///     }
/// }
///
/// const FULL: Error = Error::Conflict("There is no room for more notes");
///
/// /// A note.
/// #[derive(serde::Serialize, Described)]
/// struct Note {
///     text: String,
/// }
///
/// #[derive(FromJson, Described)]
/// #[described(body)]
/// struct NewNote {
///     #[json(length = 1..=1000)]
///     text: String,
/// }
///
/// fn list(_request: &mut Request) -> Result<Data<Vec<Note>>, Error> {
///     Ok(Data(Vec::new()))
/// }
///
/// fn create(request: &mut Request, body: Body<NewNote>) -> Result<Created<Note>, Error> {
///     let text = body.read(request)?.text;
///     Ok(Created { location: "/notes/7".to_owned(), data: Note { text } })
/// }
///
/// let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
/// assert_eq!(document["paths"]["/notes"]["post"]["summary"], "Keeps a note");
/// assert!(routes().list().eq([("/notes", "GET, HEAD, POST".to_owned())]));
/// ```
///
/// `fails` lists what a handler refuses beside what its types say (a body that is none, a path that is none): the very
/// errors that it returns. The doc comment of a method is its summary; further lines describe it.
#[macro_export]
macro_rules! routes {
    ($($table:tt)*) => {
        $crate::described_routes! { [$crate::Routes] [$crate::openapi::Form::PLAIN] $($table)* }
    };
}

/// [`routes!`](crate::routes) with another table, whose methods may name who may use them, and another form of answers.
#[doc(hidden)]
#[macro_export]
macro_rules! described_routes {
    ([$routes:ty] [$form:expr] $($path:literal {
        $($(#[doc = $doc:literal])* $method:ident $(($who:expr))? $handler:path $(, fails [$($fail:expr),* $(,)?])?;)+
    })*) => {
        fn routes() -> $routes {
            <$routes>::new()$(.at($path, |path| path$(.$method($($who,)? $handler))+))*
        }

        const OPENAPI: &str = {
            const API: $crate::openapi::Api = $crate::openapi::Api {
                title: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                description: env!("CARGO_PKG_DESCRIPTION"),
                form: $form,
                paths: &[$($crate::openapi::Path {
                    path: $path,
                    operations: &[$({
                        const SAID: (&[$crate::openapi::Taken], &$crate::openapi::Success) =
                            $crate::openapi::said(&$handler);
                        const FAILS: &[$crate::Error] = &[$($($fail),*)?];
                        const GUARD: &[$crate::openapi::Guard] = &[$($who.guard())?];
                        $crate::openapi::Operation {
                            method: stringify!($method),
                            handler: stringify!($handler),
                            docs: &[$($doc),*],
                            takes: SAID.0,
                            answers: SAID.1,
                            fails: FAILS,
                            guard: match GUARD {
                                [guard, ..] => Some(*guard),
                                [] => None,
                            },
                        }
                    }),+],
                }),*],
            };
            const LENGTH: usize = $crate::openapi::length(&API);
            const BYTES: [u8; LENGTH] = $crate::openapi::written(&API);
            match ::core::str::from_utf8(&BYTES) {
                Ok(text) => text,
                Err(_) => panic!("a document is made of texts"),
            }
        };
    };
}
