//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use super::Frame;

/// Path and name of the pages that every page leads to.
const PAGES: [(&str, &str); 6] = [
    ("/", "Node"),
    ("/queue", "Queue"),
    ("/jobs", "Jobs"),
    ("/receivers", "Receivers"),
    ("/requests", "Requests"),
    ("/audit", "Audit"),
];

/// A page below `at`.
pub(super) fn page(frame: &Frame, title: &str, at: &str, content: &Markup) -> Markup {
    let facts = &frame.seen.facts;
    let parked = frame.seen.parked();
    document(
        &format!("{title} · {}", facts.node_id),
        &html! {
            header.top {
                div.brand {
                    a.home href="/" { span.mark aria-hidden="true" {} (facts.node_id) }
                    span.role { (facts.role) }
                }
                nav aria-label="Pages" {
                    ul {
                        @for (path, name) in PAGES {
                            li {
                                a href=(path) aria-current=[(path == at).then_some("page")] {
                                    (name)
                                    @if path == "/jobs" && parked > 0 {
                                        " " span.badge { (parked) span.hidden { " parked" } }
                                    }
                                }
                            }
                        }
                    }
                }
                div.who {
                    span { (frame.visitor.identity.name) }
                    " " span.quiet { (frame.visitor.identity.role.as_str()) }
                    @if frame.visitor.has_session {
                        form method="post" action="/logout" {
                            (csrf(frame))
                            button.link type="submit" { "Log out" }
                        }
                    }
                }
            }
            main #content tabindex="-1" {
                h1 { (title) }
                @if let Some(done) = &frame.done {
                    p.done role="status" { (done) }
                }
                (content)
            }
            footer {
                p {
                    "erawan " (facts.version) " · "
                    a href="/admin/v1/openapi.json" { "API for scripts" }
                    " · " span #connection role="status" {}
                }
            }
        },
    )
}

/// A page without a way to the others.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    document(
        title,
        &html! {
            main.bare #content tabindex="-1" {
                h1 { (title) }
                (content)
            }
        },
    )
}

fn document(title: &str, body: &Markup) -> Markup {
    let version = env!("CARGO_PKG_VERSION");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href={ "/assets/style.css?" (version) };
                script src={ "/assets/live.js?" (version) } defer {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                (body)
            }
        }
    }
}

/// Shows that a form is ours.
pub(super) fn csrf(frame: &Frame) -> Markup {
    html! {
        @if let Some(csrf) = &frame.visitor.csrf {
            input type="hidden" name="csrf" value=(csrf);
        }
    }
}
