//! The console: a page for people who would rather look. All of it is built in, and it asks nobody but the API beside it.
//!
//! Whoever reaches the API's address gets the page, which knows nothing; what it shows it asks the API for, by the token of
//! whoever sits before it.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// Where its files are, but for the page itself, which is at `/`.
const ROOT: &str = "/console/";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// Each file by its name, with its media type.
const FILES: &[(&str, &str, &str)] = &[
    ("", HTML, include_str!("assets/index.html")),
    ("main.js", SCRIPT, include_str!("assets/main.js")),
    ("page.js", SCRIPT, include_str!("assets/page.js")),
    ("views.js", SCRIPT, include_str!("assets/views.js")),
    ("hosts.js", SCRIPT, include_str!("assets/hosts.js")),
    ("charts.js", SCRIPT, include_str!("assets/charts.js")),
    ("acts.js", SCRIPT, include_str!("assets/acts.js")),
    ("api.js", SCRIPT, include_str!("assets/api.js")),
    ("theme.js", SCRIPT, include_str!("assets/theme.js")),
    ("console.css", STYLE, include_str!("assets/console.css")),
    ("icon.svg", IMAGE, include_str!("assets/icon.svg")),
    (
        "uplot.js",
        SCRIPT,
        include_str!("assets/uplot/uPlot.iife.min.js"),
    ),
    (
        "uplot.css",
        STYLE,
        include_str!("assets/uplot/uPlot.min.css"),
    ),
];

/// What a browser is told of each of them: nothing is fetched from elsewhere, nothing is run that does not stand in a file, and no
/// other page has it in a frame.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Whether `path` is one of the console's, for which no token is asked.
pub(super) fn has(path: &str) -> bool {
    path == "/" || path.starts_with(ROOT)
}

/// `router` with the console's files.
pub(super) fn beside<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let all = FILES.iter().fold(router, |router, file| {
        let (name, media, text) = *file;
        let path = format!("{ROOT}{name}");
        router.route(&path, get(move || async move { served(media, text) }))
    });
    let (_, media, text) = FILES[0];
    all.route("/", get(move || async move { served(media, text) }))
}

fn served(media: &'static str, text: &'static str) -> Response {
    let mut answer = ([(header::CONTENT_TYPE, media)], text).into_response();
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_one_names_is_there_and_none_is_of_elsewhere() {
        let names: Vec<_> = FILES.iter().map(|(name, _, _)| *name).collect();
        for (file, _, text) in FILES
            .iter()
            .filter(|(name, _, _)| !name.starts_with("uplot"))
        {
            for quoted in text.split(['"', '\'', '`']) {
                let named = quoted.strip_prefix(ROOT).or(quoted.strip_prefix("./"));
                if let Some(named) = named {
                    assert!(names.contains(&named), "{file} names {named}");
                }
                // An XML name is no address that is asked.
                let is_elsewhere =
                    quoted.contains("://") && !quoted.contains("www.w3.org/2000/svg");
                assert!(!is_elsewhere, "{file} names {quoted}");
            }
        }
    }

    #[test]
    fn nothing_stands_in_the_page_that_its_policy_forbids() {
        let (_, _, page) = FILES[0];
        for inline in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        let scripts = page.matches("<script").count();
        assert_eq!(page.matches("></script>").count(), scripts, "each is empty");
    }

    #[test]
    fn no_text_from_outside_becomes_markup() {
        for (file, _, text) in FILES
            .iter()
            .filter(|(name, _, _)| !name.starts_with("uplot"))
        {
            for dangerous in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "document.write",
            ] {
                assert!(!text.contains(dangerous), "{file} has {dangerous}");
            }
        }
    }
}
