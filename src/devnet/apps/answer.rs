//! An application's answer, sent in the manner chosen for it.

use std::io::{self, Write as _};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use actix_web::{HttpResponse, web::Bytes};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::stream;
use serde_json::Value;

use super::manners::{Coding, Manner};

const CHUNK: usize = 100;

/// An application's answer to a callback.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum CallbackReply {
    /// 204.
    Nothing,
    /// 200 with JSON.
    Json(Value),
}

impl CallbackReply {
    pub(super) fn respond(&self, manner: &Manner) -> HttpResponse {
        let CallbackReply::Json(value) = self else {
            return HttpResponse::NoContent().finish();
        };
        let text = value.to_string();
        let (bytes, charset) = match manner.utf_16 {
            true => (utf_16(&text), "; charset=utf-16le"),
            false => (text.into_bytes(), ""),
        };
        let mut response = HttpResponse::Ok();
        response.insert_header((CONTENT_TYPE, format!("application/json{charset}")));
        let name = match manner.coding {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Deflate => Some("deflate"),
            Coding::Brotli => Some("br"),
        };
        if let Some(name) = name {
            response.insert_header((CONTENT_ENCODING, name));
        }
        let Ok(body) = compressed(bytes, manner.coding) else {
            return HttpResponse::InternalServerError().finish();
        };
        if !manner.chunked {
            return response.body(body);
        }
        let chunks = body.chunks(CHUNK).map(Bytes::copy_from_slice);
        let chunks: Vec<io::Result<Bytes>> = chunks.map(Ok).collect();
        response.streaming(stream::iter(chunks))
    }
}

/// Sends the client elsewhere.
pub(super) fn redirect(status: u16, to: &str) -> HttpResponse {
    // The manners know no other statuses than those of redirects.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
    let mut response = HttpResponse::build(status);
    response.insert_header((LOCATION, to)).finish()
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn compressed(bytes: Vec<u8>, coding: Coding) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Identity => Ok(bytes),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes)?;
            encoder.finish()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes)?;
            encoder.finish()
        }
        Coding::Brotli => {
            let mut packed = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams::default();
            brotli::BrotliCompress(&mut bytes.as_slice(), &mut packed, &parameters)?;
            Ok(packed)
        }
    }
}
