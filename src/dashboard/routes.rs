//! Which page answers which path.

use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::call::PageCall;
use super::door::{NoEntry, Visitor};
use super::pages::{self, Frame};
use super::reply::Reply;
use super::seen::Live;
use super::{Dashboard, api, assets};
use crate::access::Role;

pub(super) async fn handle(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
    body: Bytes,
) -> HttpResponse {
    let call = PageCall::of(&request, body);
    dashboard.answer(&call).await.into_response()
}

impl Dashboard {
    async fn answer(&self, call: &PageCall) -> Reply {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        if let ["admin", "v1", rest @ ..] = &path[..] {
            return api::answer(self, call, rest).await;
        }
        let is_post = call.method == Method::POST;
        if !call.is_read() && !is_post {
            return Reply::allowed("GET, HEAD, POST");
        }
        match path[..] {
            ["assets", name] if !is_post => match assets::file(name) {
                Some(file) => file,
                None => self.nothing_there(call),
            },
            ["login"] if is_post => self.log_in(call),
            ["login"] => pages::login::page(self, None),
            ["logout"] if is_post => self.log_out(call),
            _ if is_post => match self.door.enter(call, Role::Operator) {
                Ok(visitor) => self.decide(call, &path, &visitor).await,
                Err(refusal) => self.refused(call, refusal),
            },
            _ => match self.door.enter(call, Role::Viewer) {
                Ok(visitor) => self.show(call, &path, &visitor).await,
                Err(refusal) => self.refused(call, refusal),
            },
        }
    }

    async fn show(&self, call: &PageCall, path: &[&str], visitor: &Visitor) -> Reply {
        let frame = Frame {
            seen: self.sampler.seen(),
            visitor: visitor.clone(),
            done: call.query.get("done").map(str::to_owned),
        };
        match path {
            [] => pages::glance::page(&frame),
            ["live", page] => match Live::parse(page) {
                Some(live) => Reply::live(live, self.sampler.follow()),
                None => self.nothing_there(call),
            },
            ["queue"] => pages::queue::page(&frame),
            ["jobs"] => pages::jobs::page(self, &frame, &call.query).await,
            ["jobs", id] => pages::job::page(self, &frame, id).await,
            ["requests"] => pages::request::search(&frame, &call.query),
            ["requests", id] => pages::request::page(self, &frame, id).await,
            ["receivers"] => pages::receivers::page(self, &frame).await,
            ["audit"] => pages::audit::page(self, &frame).await,
            _ => pages::nothing_there(&frame),
        }
    }

    async fn decide(&self, call: &PageCall, path: &[&str], visitor: &Visitor) -> Reply {
        let form = call.form();
        match path {
            ["jobs", "decide"] => pages::decide::about_jobs(self, &form, visitor).await,
            ["receivers", "decide"] => pages::decide::about_receiver(self, &form, visitor).await,
            _ => self.nothing_there(call),
        }
    }

    fn log_in(&self, call: &PageCall) -> Reply {
        let form = call.form();
        match form.get("token").and_then(|token| self.door.log_in(token)) {
            Some((identity, cookie)) => {
                tracing::info!(
                    who = identity.name,
                    access = identity.role.as_str(),
                    "somebody has logged in to the dashboard"
                );
                Reply::see("/").with_cookie(cookie)
            }
            None => {
                tracing::warn!("somebody has tried a wrong token at the dashboard");
                pages::login::page(self, Some("This token is not known."))
                    .with_status(StatusCode::UNAUTHORIZED)
            }
        }
    }

    fn log_out(&self, call: &PageCall) -> Reply {
        match self.door.enter(call, Role::Viewer) {
            Ok(_) => Reply::see("/login").with_cookie(self.door.log_out(call)),
            Err(refusal) => self.refused(call, refusal),
        }
    }

    fn nothing_there(&self, call: &PageCall) -> Reply {
        match self.door.enter(call, Role::Viewer) {
            Ok(visitor) => pages::nothing_there(&Frame {
                seen: self.sampler.seen(),
                visitor,
                done: None,
            }),
            Err(refusal) => self.refused(call, refusal),
        }
    }

    pub(super) fn refused(&self, call: &PageCall, refusal: NoEntry) -> Reply {
        let (status, reason) = match refusal {
            NoEntry::Unknown => (
                StatusCode::UNAUTHORIZED,
                "no token, or one that is not known",
            ),
            NoEntry::MayNot => (
                StatusCode::FORBIDDEN,
                "a viewer may look, and an operator decides",
            ),
            NoEntry::Forged => (
                StatusCode::FORBIDDEN,
                "this did not come from a page of this dashboard; load the page again",
            ),
            NoEntry::WrongHost => (
                StatusCode::FORBIDDEN,
                "without DASHBOARD_TOKENS_FILE the dashboard is for this machine, under the name \
                 localhost or 127.0.0.1",
            ),
        };
        if call.is_for_script() {
            return Reply::error(status, reason);
        }
        match refusal {
            NoEntry::Unknown if call.is_read() => Reply::see("/login"),
            _ => pages::refused(reason).with_status(status),
        }
    }
}
