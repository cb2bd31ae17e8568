//! Where a token begins a session.

use maud::html;

use super::layout;
use crate::dashboard::Dashboard;
use crate::dashboard::reply::Reply;

pub(in crate::dashboard) fn page(dashboard: &Dashboard, problem: Option<&str>) -> Reply {
    if !dashboard.door.has_tokens() {
        return Reply::see("/");
    }
    let node = &dashboard.sampler.seen().facts.node_id;
    let content = html! {
        p { "The dashboard of node " b { (node) } " asks who you are." }
        @if let Some(problem) = problem {
            p.alert role="alert" { (problem) }
        }
        form.login method="post" action="/login" {
            label for="token" { "Token" }
            input #token name="token" type="password" required autofocus
                autocomplete="current-password" aria-describedby="token-help";
            p #token-help.quiet {
                "The last part of your line in " code { "DASHBOARD_TOKENS_FILE" } "."
            }
            button type="submit" { "Log in" }
        }
    };
    Reply::page(layout::bare("Log in", &content))
}
