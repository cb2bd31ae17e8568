//! Receivers of deliveries that are slow, dead or paused.

use maud::{Markup, html};

use super::layout::{self, csrf};
use super::parts::{age, number, table};
use super::{Frame, problem};
use crate::dashboard::Dashboard;
use crate::dashboard::api::Problem;
use crate::dashboard::reply::Reply;
use crate::operator::ReceiverShown;

pub(in crate::dashboard) async fn page(dashboard: &Dashboard, frame: &Frame) -> Reply {
    match read(dashboard).await {
        Ok(receivers) => {
            let content = content(frame, &receivers);
            Reply::page(layout::page(frame, "Receivers", "/receivers", &content))
        }
        Err(why) => problem(frame, "Receivers", "/receivers", &why),
    }
}

async fn read(dashboard: &Dashboard) -> Result<Vec<ReceiverShown>, Problem> {
    let desk = dashboard.desk.now().ok_or_else(Problem::starting)?;
    Ok(desk.receivers().await?)
}

fn content(frame: &Frame, receivers: &[ReceiverShown]) -> Markup {
    let decides = frame.visitor.decides();
    html! {
        p {
            "Who has deliveries open: messages to other nodes, callbacks, transactions, documents. \
             A receiver whose last delivery failed gets one at a time until one succeeds."
        }
        @if receivers.is_empty() {
            p.empty { "No delivery is open, and no receiver is paused." }
        } @else {
            (table(
                "Receivers, paused and failing ones first",
                &["Receiver", "State", "Open", "Running", "In line"],
                &html! { @for receiver in receivers { (row(receiver)) } },
            ))
        }
        @if decides { (form(frame, receivers)) }
    }
}

fn row(receiver: &ReceiverShown) -> Markup {
    let figure = |of: Option<u64>| of.map_or("–".to_owned(), number);
    html! {
        tr {
            th scope="row" { a href={ "/jobs?key=" (encoded(&receiver.name)) } { (receiver.name) } }
            td.text {
                @match (&receiver.pause, receiver.failing) {
                    (Some(pause), _) => {
                        span.state.parked { "paused" }
                        span.error { (pause.who) ", " (age(pause.at)) " ago: " (pause.why) }
                    },
                    (None, true) => { span.state.failed { "failing" } },
                    (None, false) => { span.state.well { "well" } },
                }
            }
            td.number { (figure(receiver.open)) }
            td.number { (figure(receiver.running)) }
            td.number { (figure(receiver.in_line)) }
        }
    }
}

fn form(frame: &Frame, receivers: &[ReceiverShown]) -> Markup {
    html! {
        form method="post" action="/receivers/decide" {
            (csrf(frame))
            fieldset.decision {
                legend { "Pause or resume a receiver" }
                label for="receiver" { "Receiver" }
                input #receiver name="receiver" type="text" required list="known"
                    autocomplete="off" placeholder="callback:https://client.example";
                datalist #known {
                    @for receiver in receivers { option value=(receiver.name) {} }
                }
                label for="why" { "Reason, for the record" }
                input #why name="why" type="text" required maxlength="1000";
                div.buttons {
                    button type="submit" name="action" value="pause" { "Pause" }
                    button.quiet type="submit" name="action" value="resume" { "Resume" }
                }
                p.quiet {
                    "While a receiver is paused its deliveries wait. Their deadlines go on: a \
                     callback whose time has run out is given up when the receiver is resumed."
                }
            }
        }
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
