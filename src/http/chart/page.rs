//! The page, made of the document.

use std::fmt::Write;

use serde_json::{Map, Value};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page loads nothing from another host and sends nothing there.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The page of an OpenAPI document.
pub(super) fn of(document: &Value) -> String {
    let title = escaped(text(&document["info"]["title"]));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p>{}</p><p>Versions: <a href=\"/v6/openapi\">6.0</a> <a href=\"/v5/openapi\">5.3</a> \
         <a href=\"/v4/openapi\">4.0</a> (<a href=\"{}/openapi.json\">as JSON</a>)</p>\
         <p><label>API key, where one is needed <input id=\"key\" type=\"password\"></label> \
         <label>Find <input id=\"find\" type=\"search\"></label></p>",
        escaped(text(&document["info"]["description"])),
        base(&document["servers"]),
    );
    for tag in items(&document["tags"]) {
        let name = text(&tag["name"]);
        push(
            &mut page,
            format_args!("<section><h2>{}</h2>", escaped(name)),
        );
        for (path, item) in members(&document["paths"]) {
            let servers = item.get("servers").unwrap_or(&document["servers"]);
            let operations = members(item).filter(|(method, _)| *method != "servers");
            for (method, operation) in operations {
                if text(&operation["tags"][0]) == name {
                    push_operation(&mut page, method, base(servers), path, operation);
                }
            }
        }
        page.push_str("</section>");
    }
    push(
        &mut page,
        format_args!("<script>{SCRIPT}</script></body></html>"),
    );
    page
}

fn push_operation(page: &mut String, method: &str, base: &str, path: &str, operation: &Value) {
    let path = escaped(&format!("{base}{path}"));
    push(
        page,
        format_args!(
            "<details data-method=\"{method}\" data-path=\"{path}\"><summary><b>{method}</b> \
             <code>{path}</code> {}</summary><p>{}</p>",
            escaped(text(&operation["summary"])),
            escaped(text(&operation["description"])),
        ),
    );
    for parameter in items(&operation["parameters"]) {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        let mark = if parameter["required"] == true {
            " *"
        } else {
            ""
        };
        push(
            page,
            format_args!(
                "<label>{name}{mark} <input data-in=\"{place}\" data-name=\"{name}\"></label>",
                name = escaped(name),
                place = escaped(place),
            ),
        );
    }
    if let Some(content) = operation.pointer("/requestBody/content/application~1json") {
        push(
            page,
            format_args!(
                "<textarea rows=\"10\">{}</textarea><details><summary>Schema</summary>\
                 <pre>{}</pre></details>",
                escaped(&format!("{:#}", content["example"])),
                escaped(&format!("{:#}", content["schema"])),
            ),
        );
    }
    page.push_str("<p><button>Send</button></p><pre class=\"answer\"></pre></details>");
}

fn push(page: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = page.write_fmt(arguments);
}

/// The prefix of all paths; empty at the root.
fn base(servers: &Value) -> &str {
    text(&servers[0]["url"]).trim_end_matches('/')
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn members(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let escape = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_shows_what_the_document_says_and_runs_none_of_it() {
        let document = json!({
            "info": {"title": "A & B", "description": "Of \"tests\"."},
            "servers": [{"url": "/v5"}],
            "tags": [{"name": "rp"}],
            "paths": {"/rp/{id}": {"post": {
                "tags": ["rp"], "summary": "<script>alert(1)</script>", "description": "d",
                "parameters": [{"name": "id", "in": "path", "required": true}],
                "requestBody": {"content": {"application/json": {
                    "schema": {"type": "object"}, "example": {"a": 1},
                }}},
            }}},
        });
        let page = of(&document);
        assert!(page.contains("<h1>A &amp; B</h1>"));
        assert!(page.contains("data-method=\"post\" data-path=\"/v5/rp/{id}\""));
        assert!(page.contains("data-in=\"path\" data-name=\"id\""));
        assert!(page.contains("&quot;a&quot;: 1"));
        assert_eq!(page.matches("<script>").count(), 1, "only our own");
        assert!(
            !page.contains("http:") && !page.contains("https:"),
            "no other host"
        );
    }
}
