//! Values from independent sources, and images of earlier versions.

mod images;
mod images_v2;
mod layers;
mod linear;
mod multiscale;
mod spline;
