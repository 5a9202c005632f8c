//! What a flow computes, against oracles in f64 and as properties.

mod bases;
mod batch;
mod conditioners;
mod elementary;
mod experts;
mod explain;
mod far_out;
mod marginal;
mod properties;
mod properties_linear;
mod sample;
mod scorer;
mod splines;
