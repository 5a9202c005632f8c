//! The firmware example of the README compiles, is what the README shows, and raises the pin.

use std::convert::Infallible;

include!("readme/watch.rs");

/// A pin that remembers its states.
#[derive(Default)]
struct Pin(Vec<bool>);

impl embedded_hal::digital::ErrorType for Pin {
    type Error = Infallible;
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.push(false);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.push(true);
        Ok(())
    }
}

#[test]
fn the_example_is_the_one_in_the_readme() {
    let readme = include_str!("../../../README.md");
    let shown = readme
        .split("```")
        .find_map(|block| block.strip_prefix("rust\n"))
        .expect("README.md has a rust block");
    let compiled = include_str!("readme/watch.rs").replace("../../../golden/v1-i8.flow", "model.flow");
    assert_eq!(shown, compiled);
}

#[test]
fn the_pin_follows_the_alarm() {
    let model = flowlet::Model::from_bytes(IMAGE).unwrap();
    let likely: [f32; 3] = model.self_test_vectors().next().unwrap().0.try_into().unwrap();
    let mut pin = Pin::default();
    watch([likely, [1e9; 3], likely].into_iter(), &mut pin).unwrap();
    assert_eq!(pin.0, [false, true, false]);
    assert_eq!(watch([[f32::NAN; 3]].into_iter(), &mut pin), Err(flowlet::Error::NotFinite { feature: 0 }));
}
