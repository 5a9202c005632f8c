//! What the check of an image promises: nothing that passes it can harm.

mod arranged;
mod asked;
mod certified_bound;
mod front_end;
mod hostile;
mod malformed;
mod malformed_bases;
mod malformed_linear;
mod support;
