//! The rules that all services of the shop keep, and that are nobody else's: the envelope of an answer, who of the users
//! may what, paging, money.
//!
//! What any service needs, the shop's or not, is in the sdk; nothing here talks to the host.

mod call;
mod envelope;
mod listed;
mod money;
mod page;
mod routes;
mod who;

pub use call::Enveloped;
pub use envelope::envelope;
pub use listed::Listed;
pub use money::Money;
pub use page::Page;
pub use routes::{FORM, PathRoutes, Routes};
pub use who::{Asker, Who};
