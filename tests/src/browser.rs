//! What a real browser makes of a page: Chromium without a window, and a script that looks at the page from outside.

use flowlet_tools::device::{browser, skips, Install};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A browser, or `None` after the skip of `test` was recorded.
pub fn find(test: &str) -> Option<PathBuf> {
    browser(Install::Forbidden).map_err(|missing| skips::record_optional(test, &missing)).ok()
}

/// Measures a page at several widths, in a light or a dark scheme: what `look.js` finds, and what was written to the
/// console.
///
/// # Panics
/// If the browser gives no answer.
pub fn look(browser: &Path, page: &str, widths: &[u32], dark: bool) -> (Vec<Value>, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut frames = String::new();
    for width in widths {
        let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
        frames.push_str(&format!("<iframe width=\"{width}\" height=\"800\" srcdoc=\"{quoted}\"></iframe>\n"));
    }
    let script = include_str!("look.js");
    let harness = format!(
        "<!DOCTYPE html><meta charset=\"utf-8\">{frames}<pre id=\"found\"></pre><script>{script}</script>"
    );
    let file = folder.path().join("harness.html");
    std::fs::write(&file, harness).expect("a file");
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--dump-dom"])
        .args(["--virtual-time-budget=5000", "--window-size=1400,900"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null());
    let output = command.output().expect("the browser starts");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let answer = dom.split_once("<pre id=\"found\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let (answer, _) = answer.unwrap_or_else(|| panic!("no answer: {log}"));
    let answer = answer.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let found = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: '{answer}' {log}"));
    let console = log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (found, console)
}
