//! A model for less than everything: what it opens scores with the same bits, and what it does not open it names.

use flowlet::support::{smallest, READY_MADE};
use flowlet::{
    Capabilities, Capability, Error, Everything, FixedAffine, FixedAuto, FixedEverything, FixedTransforms,
    FloatAffine, FloatEverything, I16Affine, I8Affine, Model, Part, Scorer, Support,
};
use flowlet_tests::surgery::{put, repair_checksum, word};
use flowlet_tests::{golden, golden_v2, metadata, trained, NUMERICS};
use flowlet_tools::export::{build, ImageFile, Numeric};

/// The bits of all scores.
fn bits<S: Support>(image: &ImageFile, readings: &[f32], inputs: usize) -> Result<Vec<[u32; 3]>, Error> {
    let model = Model::<S>::open(image.bytes())?;
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace)?;
    readings
        .chunks_exact(inputs)
        .map(|row| scorer.score(row).map(|s| [s.log_prob.to_bits(), s.p_value.to_bits(), s.score.to_bits()]))
        .collect()
}

/// Opens the image for `S`: the same bits as for everything if it has what the image needs, else a refusal that
/// names something that the image needs and `S` has not.
fn check<S: Support>(image: &ImageFile, readings: &[f32], inputs: usize) -> bool {
    let needs = image.model().expect("a good image").needs();
    let found = bits::<S>(image, readings, inputs);
    if S::CAPABILITIES.covers(needs) {
        assert_eq!(
            found,
            bits::<Everything>(image, readings, inputs),
            "{:?}",
            needs.iter().collect::<Vec<_>>()
        );
        return true;
    }
    match found {
        Err(Error::LeftOut(capability)) => {
            assert!(needs.has(capability) && !S::CAPABILITIES.has(capability), "{capability:?}");
        }
        other => panic!("{other:?}"),
    }
    false
}

#[test]
fn golden_images_open_for_what_they_need_and_keep_their_bits() {
    for numeric in NUMERICS {
        let is_fixed = numeric != Numeric::F32;
        // Version 1: an affine flow.
        let (image, readings) = (golden::image(numeric), golden::readings());
        let inputs = image.model().expect("a good image").inputs();
        assert_eq!(check::<FixedAffine>(&image, &readings, inputs), is_fixed);
        assert_eq!(check::<FloatAffine>(&image, &readings, inputs), !is_fixed);
        assert_eq!(check::<FixedTransforms>(&image, &readings, inputs), is_fixed);
        assert_eq!(check::<FixedEverything>(&image, &readings, inputs), is_fixed);
        assert_eq!(check::<FloatEverything>(&image, &readings, inputs), !is_fixed);
        assert_eq!(check::<I8Affine>(&image, &readings, inputs), numeric == Numeric::I8);
        assert_eq!(check::<I16Affine>(&image, &readings, inputs), numeric == Numeric::I16);
        let name = match numeric {
            Numeric::I8 => "I8Affine",
            Numeric::I16 => "I16Affine",
            _ => "FloatAffine",
        };
        assert_eq!(smallest(image.model().expect("a good image").needs()), name);
        // Version 2: experts of every kind.
        let (image, readings) = (golden_v2::image(numeric), golden_v2::readings());
        assert!(!check::<I8Affine>(&image, &readings, golden_v2::INPUTS));
        assert!(!check::<I16Affine>(&image, &readings, golden_v2::INPUTS));
        assert!(!check::<FixedAffine>(&image, &readings, golden_v2::INPUTS));
        assert!(!check::<FloatAffine>(&image, &readings, golden_v2::INPUTS));
        assert!(!check::<FixedAuto>(&image, &readings, golden_v2::INPUTS));
        assert!(!check::<FixedTransforms>(&image, &readings, golden_v2::INPUTS));
        assert_eq!(check::<FixedEverything>(&image, &readings, golden_v2::INPUTS), is_fixed);
        assert_eq!(check::<FloatEverything>(&image, &readings, golden_v2::INPUTS), !is_fixed);
    }
}

/// Everything but one capability.
macro_rules! all_but {
    ($($name:ident),*) => {
        $(
            #[derive(Clone, Copy, Debug)]
            struct $name;

            impl Support for $name {
                const CAPABILITIES: Capabilities = Capabilities::ALL.without(Capability::$name);
            }
        )*

        /// The images that `Everything` without the capability opens are those that do not need it.
        fn check_each(image: &ImageFile, readings: &[f32], inputs: usize) -> Vec<Capability> {
            let needs = image.model().expect("a good image").needs();
            let mut refused = Vec::new();
            $(
                let opens = check::<$name>(image, readings, inputs);
                assert_eq!(opens, !needs.has(Capability::$name), stringify!($name));
                if !opens {
                    refused.push(Capability::$name);
                    assert_eq!(
                        bits::<$name>(image, readings, inputs),
                        Err(Error::LeftOut(Capability::$name))
                    );
                }
            )*
            refused
        }
    };
}

all_but!(
    Float,
    Fixed,
    SoftTail,
    AdditiveCoupling,
    AffineCoupling,
    ScaleMaps,
    SplineCoupling,
    ElementwiseAffine,
    Linear,
    Marginal,
    Logit,
    Activations,
    Residual,
    Conv1d,
    StudentT,
    Mixture,
    Experts,
    Split,
    I8Weights,
    I16Weights,
    WideClamps,
    Context,
    OtherStatistics,
    WideLayers
);

#[test]
fn what_training_writes_unasked_opens_for_the_least() {
    let rows = trained::readings(200, 2);
    for (numeric, name) in [(Numeric::I8, "I8Affine"), (Numeric::I16, "I16Affine")] {
        let metadata = metadata(trained::FEATURES);
        let image =
            build(trained::usual(), numeric, &metadata, trained::calibration(&rows)).expect("an image");
        assert_eq!(smallest(image.model().expect("a good image").needs()), name);
        let opens = match numeric {
            Numeric::I8 => check::<I8Affine>(&image, &rows, trained::FEATURES),
            _ => check::<I16Affine>(&image, &rows, trained::FEATURES),
        };
        assert!(opens, "{name}");
    }
}

#[test]
fn each_capability_alone_decides() {
    let mut refused = Vec::new();
    for numeric in NUMERICS {
        let image = golden::image(numeric);
        let inputs = image.model().expect("a good image").inputs();
        refused.extend(check_each(&image, &golden::readings(), inputs));
        refused.extend(check_each(&golden_v2::image(numeric), &golden_v2::readings(), golden_v2::INPUTS));
    }
    // The golden images together need most of what there is.
    refused.sort_by_key(|&capability| capability as u8);
    refused.dedup();
    assert!(refused.len() >= 10, "{refused:?}");
}

#[test]
fn a_refusal_says_what_is_missing_and_a_support_of_ones_own_opens() {
    #[derive(Clone, Copy, Debug)]
    struct OnlyNumbers;

    impl Support for OnlyNumbers {
        const CAPABILITIES: Capabilities = Capabilities::of(&[Capability::Fixed, Capability::I8Weights]);
    }

    let image = golden::image(Numeric::I8);
    let error = Model::<OnlyNumbers>::open(image.bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error, Error::LeftOut(Capability::SoftTail));
    assert_eq!(error.to_string(), "the image needs soft tails, which this firmware leaves out");
    let error = Model::<FloatAffine>::open(image.bytes()).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image needs the fixed-point arithmetic, which this firmware leaves out"
    );
    assert_eq!(READY_MADE.len(), 9);
}

#[test]
fn what_no_score_needs_is_not_looked_at_by_who_leaves_it_out() {
    let (image, readings) = (golden::image(Numeric::I8), golden::readings());
    let inputs = image.model().expect("a good image").inputs();
    // The first letter of the name, and the first input of the first vector.
    let mut bytes = image.bytes().to_vec();
    bytes[33] = 0xff;
    repair_checksum(&mut bytes);
    let nameless = ImageFile::from_bytes(&bytes);
    let mut bytes = image.bytes().to_vec();
    let vectors = image.model().expect("a good image").head().self_test.offset as usize;
    let at = word(&bytes, 20) as usize + 4 * vectors;
    put(&mut bytes, at, f32::NAN.to_bits());
    repair_checksum(&mut bytes);
    let untested = ImageFile::from_bytes(&bytes);
    assert_eq!(nameless.model().map(|_| ()), Err(Error::Malformed(Part::Descriptor)));
    assert_eq!(untested.model().map(|_| ()), Err(Error::Malformed(Part::SelfTest)));
    for damaged in [&nameless, &untested] {
        assert_eq!(
            bits::<I8Affine>(damaged, &readings, inputs),
            bits::<Everything>(&image, &readings, inputs)
        );
    }
    let model = Model::<I8Affine>::open(nameless.bytes()).expect("a name is not looked at");
    assert_eq!(model.head().name, "");
    assert_eq!(model.head().features, image.model().expect("a good image").head().features);
    let mut workspace = vec![0; model.workspace_bytes() / 4];
    let mut scorer = Scorer::new(&model, &mut workspace).expect("a workspace");
    assert_eq!(scorer.self_test(), Err(Error::LeftOut(Capability::SelfTest)));
    assert_eq!(scorer.self_test_passes(), Err(Error::LeftOut(Capability::SelfTest)));
}
