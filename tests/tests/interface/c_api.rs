//! The functions of `flowlet.h`, called as C calls them: what they give is the runtime's, and what they are given
//! wrongly is an error code.
#![allow(unsafe_code, reason = "functions of C take pointers")]

use c_api::flowlet_status_t::*;
use c_api::*;
use flowlet::stream::{Alarm, AlarmRecord, AlarmSettings, Surprise, Verdict};
use flowlet::{explain_workspace_words, Explainer, Model, Scorer};
use flowlet_tests::{golden, golden_v2, Random, NUMERICS};
use flowlet_tools::device::{error_code, error_text};
use flowlet_tools::export::{ImageFile, Numeric};
use std::ffi::{c_void, CStr};
use std::mem::{zeroed, MaybeUninit};
use std::ptr::{null, null_mut};

/// A model before it is opened, as C begins one.
fn closed() -> flowlet_model_t {
    // SAFETY: a model of zeros is one that is not open.
    unsafe { zeroed() }
}

fn open(image: &[u8]) -> Result<flowlet_model_t, flowlet_status_t> {
    let mut model = closed();
    // SAFETY: the image outlives every model of these tests.
    match unsafe { flowlet_open(&mut model, image.as_ptr().cast(), image.len()) } {
        FLOWLET_OK => Ok(model),
        error => Err(error),
    }
}

fn score(
    model: &flowlet_model_t,
    reading: &[f32],
    words: &mut [u32],
) -> Result<flowlet_score_t, flowlet_status_t> {
    let mut result = MaybeUninit::uninit();
    // SAFETY: slices are as long as they say.
    let status = unsafe {
        flowlet_score(
            model,
            reading.as_ptr(),
            reading.len(),
            words.as_mut_ptr(),
            words.len(),
            result.as_mut_ptr(),
        )
    };
    match status {
        // SAFETY: written with FLOWLET_OK.
        FLOWLET_OK => Ok(unsafe { result.assume_init() }),
        error => Err(error),
    }
}

fn said(status: i32) -> &'static str {
    // SAFETY: a static string, whatever the number.
    unsafe { CStr::from_ptr(flowlet_strerror(status)) }.to_str().expect("ASCII")
}

fn text(get: impl Fn(*mut flowlet_text_t) -> flowlet_status_t) -> String {
    let mut text = MaybeUninit::uninit();
    assert_eq!(get(text.as_mut_ptr()), FLOWLET_OK);
    // SAFETY: written with FLOWLET_OK; it lies in the image.
    let bytes = unsafe {
        let text = text.assume_init();
        std::slice::from_raw_parts(text.bytes.cast::<u8>(), text.length)
    };
    std::str::from_utf8(bytes).expect("UTF-8").to_owned()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Everything that the C functions say of an image and of readings is what the runtime says.
fn agrees(image: &ImageFile, readings: &[f32]) {
    let expected = image.model().expect("a good image");
    let model = open(image.bytes()).expect("a good image");
    let at: *const flowlet_model_t = &model;
    // SAFETY: the model is open, here and below.
    unsafe {
        assert_eq!(flowlet_feature_count(at), expected.features());
        assert_eq!(flowlet_context_count(at), expected.contexts());
        assert_eq!(flowlet_workspace_words(at) * 4, expected.workspace_bytes());
        assert_eq!(flowlet_explain_workspace_words(at), explain_workspace_words(&expected));
    }
    for (index, input) in expected.feature_names().chain(expected.context_names()).enumerate() {
        // SAFETY: as above.
        assert_eq!(text(|out| unsafe { flowlet_input_name(at, index, out) }), input.name);
        // SAFETY: as above.
        assert_eq!(text(|out| unsafe { flowlet_input_unit(at, index, out) }), input.unit);
    }
    let mut words = vec![0; explain_workspace_words(&expected)];
    let mut own = words.clone();
    let short = expected.workspace_bytes() / 4;
    // SAFETY: as above.
    assert_eq!(unsafe { flowlet_self_test(at, words.as_mut_ptr(), short) }, FLOWLET_OK);
    for (number, row) in readings.chunks_exact(expected.inputs()).enumerate() {
        let mut scorer = Scorer::new(&expected, &mut own).expect("enough");
        let wanted = scorer.score(row).expect("a finite reading");
        let found = score(&model, row, &mut words[..short]).expect("a finite reading");
        assert_eq!(
            (bits(&[found.log_prob, found.p_value, found.score]), found.alarm),
            (bits(&[wanted.log_prob, wanted.p_value, wanted.score]), wanted.alarm)
        );
        let wanted = scorer.statistics(row).expect("a finite reading");
        let mut found = MaybeUninit::uninit();
        // SAFETY: as above; slices are as long as they say.
        let found = unsafe {
            let status = flowlet_statistics(
                at,
                row.as_ptr(),
                row.len(),
                words.as_mut_ptr(),
                short,
                found.as_mut_ptr(),
            );
            assert_eq!(status, FLOWLET_OK);
            found.assume_init()
        };
        for (found, wanted) in [
            (found.negative_log_prob, wanted.negative_log_prob),
            (found.squared_norm, wanted.squared_norm),
            (found.typicality, wanted.typicality),
        ] {
            assert_eq!(bits(&[found.value]), bits(&[wanted.value]));
            assert_eq!(found.has_p_value.then_some(found.p_value), wanted.p_value);
        }
        // An explanation costs a hundred scores.
        if number % 8 == 0 {
            let mut explainer = Explainer::new(&expected, &mut own).expect("enough");
            let wanted = explainer.explain(row).expect("a finite reading");
            let mut found = MaybeUninit::uninit();
            let (count, room) = (row.len(), words.len());
            // SAFETY: as above; the arrays have as many entries as it says, and the workspace rests meanwhile.
            unsafe {
                let status =
                    flowlet_explain(at, row.as_ptr(), count, words.as_mut_ptr(), room, found.as_mut_ptr());
                assert_eq!(status, FLOWLET_OK);
                let found = found.assume_init();
                assert_eq!(found.features, expected.features());
                for (found, wanted) in [
                    (found.gradient, wanted.gradient),
                    (found.attribution, wanted.attribution),
                    (found.nearest_normal, wanted.nearest_normal),
                ] {
                    assert_eq!(bits(std::slice::from_raw_parts(found, expected.features())), bits(wanted));
                }
                assert_eq!(
                    bits(&[found.log_prob, found.score, found.typical_score, found.excess]),
                    bits(&[wanted.log_prob, wanted.score, wanted.typical_score, wanted.excess])
                );
                assert_eq!(found.nearest_is_typical, wanted.nearest_is_typical);
            }
        }
    }
}

#[test]
fn what_c_gets_is_what_the_runtime_says() {
    for numeric in NUMERICS {
        agrees(&golden::image(numeric), &golden::readings());
        agrees(&golden_v2::image(numeric), &golden_v2::readings());
    }
}

#[test]
fn threads_share_a_model() {
    let (image, readings) = (golden::image(Numeric::I8), golden::readings());
    let model = open(image.bytes()).expect("a good image");
    let all = || -> Vec<u32> {
        // SAFETY: the model is open.
        let mut words = vec![0; unsafe { flowlet_workspace_words(&model) }];
        let rows = readings.chunks_exact(3).cycle().take(2000);
        rows.map(|row| score(&model, row, &mut words).expect("finite").log_prob.to_bits()).collect()
    };
    let alone = all();
    std::thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(all));
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), alone);
        }
    });
}

/// A pointer that is off by one byte.
fn off<T>(pointer: *const T) -> *mut T {
    pointer.cast::<u8>().wrapping_add(1).cast_mut().cast()
}

/// A call of a function that takes a reading, with one argument bad.
type Bad = (*const flowlet_model_t, *const f32, usize, *mut u32, usize, *mut c_void);

#[test]
fn bad_pointers_and_lengths_are_error_codes() {
    let image = golden::image(Numeric::I16);
    let model = open(image.bytes()).expect("a good image");
    let unopened = closed();
    let (at, none): (*const flowlet_model_t, *const flowlet_model_t) = (&model, &unopened);
    let row = [21.5f32, -0.25, 101_325.0];
    let needed = explain_workspace_words(&image.model().expect("a good image"));
    let mut words = vec![0u32; needed];
    let mut place = [0u64; 32];
    let (row, words, place) = (row.as_ptr(), words.as_mut_ptr(), place.as_mut_ptr().cast::<c_void>());
    let cases: [(Bad, flowlet_status_t); 15] = [
        ((at, row, 3, words, needed, place), FLOWLET_OK),
        ((null(), row, 3, words, needed, place), FLOWLET_ERROR_NULL),
        ((at, null(), 3, words, needed, place), FLOWLET_ERROR_NULL),
        ((at, row, 3, null_mut(), needed, place), FLOWLET_ERROR_NULL),
        ((at, row, 3, words, needed, null_mut()), FLOWLET_ERROR_NULL),
        ((off(at), row, 3, words, needed, place), FLOWLET_ERROR_ALIGNMENT),
        ((at, off(row), 3, words, needed, place), FLOWLET_ERROR_ALIGNMENT),
        ((at, row, 3, off(words), needed, place), FLOWLET_ERROR_ALIGNMENT),
        ((at, row, 3, words, needed, off(place)), FLOWLET_ERROR_ALIGNMENT),
        ((none, row, 3, words, needed, place), FLOWLET_ERROR_NOT_OPEN),
        ((at, row, 2, words, needed, place), FLOWLET_ERROR_INPUT_COUNT),
        ((at, row, usize::MAX, words, needed, place), FLOWLET_ERROR_INPUT_COUNT),
        ((at, row, 3, words, 5, place), FLOWLET_ERROR_WORKSPACE_TOO_SMALL),
        ((at, words.cast(), 3, words, needed, place), FLOWLET_ERROR_OVERLAP),
        ((at, row, 3, words, needed, words.cast()), FLOWLET_ERROR_OVERLAP),
    ];
    for (number, ((model, row, count, words, room, place), expected)) in cases.into_iter().enumerate() {
        // SAFETY: whatever passes the checks is as long as it says, and has room for any result.
        let found = unsafe {
            [
                flowlet_score(model, row, count, words, room, place.cast()),
                flowlet_statistics(model, row, count, words, room, place.cast()),
                flowlet_explain(model, row, count, words, room, place.cast()),
            ]
        };
        assert_eq!(found, [expected; 3], "case {number}");
    }
    let mut held = closed();
    let name = &mut MaybeUninit::uninit();
    // SAFETY: as above.
    unsafe {
        assert_eq!(flowlet_self_test(at, null_mut(), needed), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_self_test(at, off(words), needed), FLOWLET_ERROR_ALIGNMENT);
        assert_eq!(flowlet_self_test(at, words, 5), FLOWLET_ERROR_WORKSPACE_TOO_SMALL);
        assert_eq!(flowlet_self_test(at, at.cast_mut().cast(), needed), FLOWLET_ERROR_OVERLAP);
        assert_eq!(flowlet_self_test(none, words, needed), FLOWLET_ERROR_NOT_OPEN);
        assert_eq!(flowlet_input_name(at, 3, name.as_mut_ptr()), FLOWLET_ERROR_INDEX);
        assert_eq!(flowlet_input_unit(at, usize::MAX, name.as_mut_ptr()), FLOWLET_ERROR_INDEX);
        assert_eq!(flowlet_input_name(at, 0, null_mut()), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_input_name(null(), 0, name.as_mut_ptr()), FLOWLET_ERROR_NULL);
        for model in [null(), none, off(at)] {
            assert_eq!(flowlet_feature_count(model) + flowlet_context_count(model), 0);
            assert_eq!(flowlet_workspace_words(model) + flowlet_explain_workspace_words(model), 0);
        }
        let bytes = image.bytes();
        let (start, length) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
        assert_eq!(flowlet_open(null_mut(), start, length), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_open(off(&held), start, length), FLOWLET_ERROR_ALIGNMENT);
        assert_eq!(flowlet_open(&mut held, start, length), FLOWLET_OK);
        for (image, length, expected) in [
            (null(), length, FLOWLET_ERROR_NULL),
            (start, usize::MAX, FLOWLET_ERROR_TRAILING_BYTES),
            (start, length - 4, FLOWLET_ERROR_TRUNCATED),
            (start, 0, FLOWLET_ERROR_TRUNCATED),
        ] {
            assert_eq!(flowlet_open(&mut held, image, length), expected);
            // What was open before is not any more.
            assert_eq!(flowlet_feature_count(&held), 0);
        }
    }
    let not_finite = score(&model, &[21.5, f32::NAN, 101_325.0], &mut vec![0; needed]);
    assert_eq!(not_finite.err(), Some(FLOWLET_ERROR_NOT_FINITE));
}

#[test]
fn an_image_in_memory_says_how_long_it_is() {
    let image = golden::image(Numeric::F32);
    let length = image.bytes().len();
    let flash = ImageFile::from_bytes(&[image.bytes(), &[0xff; 256]].concat());
    let stated = |bytes: &[u8], available| {
        // SAFETY: no more is available than there is.
        unsafe { flowlet_image_bytes(bytes.as_ptr().cast(), available) }
    };
    assert_eq!(stated(flash.bytes(), length + 256), length);
    assert_eq!(stated(flash.bytes(), length), length);
    assert_eq!(stated(flash.bytes(), length - 1), 0, "longer than what is there");
    assert_eq!(stated(&flash.bytes()[length..], 256), 0, "erased flash");
    assert_eq!([0, 4, 11].map(|available| stated(flash.bytes(), available)), [0; 3]);
    // SAFETY: not read.
    assert_eq!(unsafe { flowlet_image_bytes(null(), 64) }, 0);
}

#[test]
fn codes_are_those_of_the_boards_and_every_one_has_words() {
    let unknown = said(-1);
    for code in 1..64 {
        let is_used = error_text(code) != error_text(0);
        assert_eq!(
            said(i32::from(code)) != unknown,
            is_used,
            "{code}: the boards say '{}'",
            error_text(code)
        );
    }
    let own = [FLOWLET_ERROR_NULL, FLOWLET_ERROR_ALIGNMENT, FLOWLET_ERROR_NOT_OPEN];
    let more = [FLOWLET_ERROR_OVERLAP, FLOWLET_ERROR_INDEX, FLOWLET_ERROR_SELF_TEST];
    let alarm = [FLOWLET_ERROR_NO_ALARM, FLOWLET_ERROR_ALARM_SETTINGS];
    assert!(own.into_iter().chain(more).chain(alarm).all(|status| said(status as i32) != unknown));
    for code in [i32::MIN, 63, 72, 255, i32::MAX] {
        assert_eq!(said(code), unknown);
    }
    // Damaged images are refused with the boards' code, or open in both.
    let mut damaged = ImageFile::from_bytes(golden_v2::image(Numeric::I8).bytes());
    let bytes = damaged.bytes().to_vec();
    for at in (0..bytes.len()).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        // With the checksum set right every other time, so that the checks behind it are met too.
        if at % 2 == 0 {
            let sum = flowlet::image::layout::checksum(&bytes[16..]);
            bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        }
        damaged = ImageFile::from_bytes(&bytes);
        let found = open(damaged.bytes()).map(|_| ()).map_err(|status| status as i32);
        let expected = Model::from_bytes(damaged.bytes()).map(|_| ()).map_err(|e| i32::from(error_code(e)));
        assert_eq!(found, expected, "byte {at}");
    }
}

#[test]
fn an_alarm_in_c_says_what_the_runtimes_says() {
    let settings = flowlet_alarm_settings_t {
        needed: 2,
        of: 4,
        votes_level: 4 << 8,
        votes_clear: 2 << 8,
        weight: 4096,
        ewma_level: 1200,
        ewma_clear: 800,
        reference: 700,
        limit: 6000,
        cusum_clear: 500,
        hold_off: 9,
    };
    let record = AlarmRecord {
        needed: 2,
        of: 4,
        votes_level: 4 << 8,
        votes_clear: 2 << 8,
        weight: 4096,
        ewma_level: 1200,
        ewma_clear: 800,
        reference: 700,
        limit: 6000,
        cusum_clear: 500,
        hold_off: 9,
    };
    let mut own = Alarm::new(AlarmSettings::try_from(record).expect("settings that work"));
    // SAFETY: an alarm of zeros is one that was not started.
    let (mut alarm, mut verdict) = (unsafe { zeroed::<flowlet_alarm_t>() }, flowlet_verdict_t::FLOWLET_QUIET);
    let mut score = flowlet_score_t { log_prob: 0.0, p_value: 0.5, score: 0.0, alarm: false };
    // SAFETY: places of the right types, here and below.
    unsafe {
        assert_eq!(flowlet_alarm_update(&mut alarm, &score, &mut verdict), FLOWLET_ERROR_NOT_OPEN);
        let silent = flowlet_alarm_settings_t { of: 0, weight: 1, ..settings };
        assert_eq!(flowlet_alarm_start(&mut alarm, &silent), FLOWLET_ERROR_ALARM_SETTINGS);
        assert_eq!(flowlet_alarm_start(&mut alarm, null()), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_alarm_start(null_mut(), &settings), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_alarm_start(off(&alarm), &settings), FLOWLET_ERROR_ALIGNMENT);
        assert_eq!(flowlet_alarm_update(&mut alarm, &score, &mut verdict), FLOWLET_ERROR_NOT_OPEN);
        assert_eq!(flowlet_alarm_start(&mut alarm, &settings), FLOWLET_OK);
        assert_eq!(flowlet_alarm_update(&mut alarm, null(), &mut verdict), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_alarm_update(&mut alarm, &score, null_mut()), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_alarm_update(&mut alarm, &score, off(&verdict)), FLOWLET_ERROR_ALIGNMENT);
    }
    let (mut random, mut seen) = (Random(7), [0; 4]);
    for step in 0..3000 {
        // Normal for a while, then three readings in four are rare.
        let rare = step % 200 > 150 && random.below(4) > 0;
        score.p_value = random.uniform() * if rare { 0.01 } else { 1.0 };
        // SAFETY: as above.
        assert_eq!(unsafe { flowlet_alarm_update(&mut alarm, &score, &mut verdict) }, FLOWLET_OK);
        let expected = match own.step(Surprise::of_p_value(score.p_value)) {
            Verdict::Quiet => flowlet_verdict_t::FLOWLET_QUIET,
            Verdict::Raised => flowlet_verdict_t::FLOWLET_RAISED,
            Verdict::On => flowlet_verdict_t::FLOWLET_ON,
            Verdict::Cleared => flowlet_verdict_t::FLOWLET_CLEARED,
        };
        assert_eq!(verdict, expected, "reading {step}");
        seen[verdict as usize] += 1;
    }
    assert!(seen.iter().all(|&count| count > 5), "{seen:?}");

    let image = golden::image(Numeric::I8);
    let model = open(image.bytes()).expect("a good image");
    let mut read = settings;
    // SAFETY: as above.
    unsafe {
        assert_eq!(flowlet_alarm_settings(&model, &mut read), FLOWLET_ERROR_NO_ALARM);
        assert_eq!(flowlet_alarm_settings(null(), &mut read), FLOWLET_ERROR_NULL);
        assert_eq!(flowlet_alarm_settings(&closed(), &mut read), FLOWLET_ERROR_NOT_OPEN);
    }
}
