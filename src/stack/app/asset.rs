//! The origin of images, scripts and styles: the same bytes on every node and in every run.

use crate::base::random;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use rand_xoshiro::rand_core::Rng;
use std::collections::HashMap;

const THUMBNAILS: u32 = 40;
/// Not the run's seed: assets do not change between runs, as in a real service.
const SEED: u64 = 0x6272_756e_7400;
const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
/// Short, so that a run of a minute sees revalidation and not one fetch per asset.
const IMAGE_CACHING: &str = "public, max-age=2, stale-while-revalidate=30, stale-if-error=60";
const SCRIPT_CACHING: &str = "public, max-age=10, stale-while-revalidate=30, stale-if-error=60";

pub struct Assets {
    all: HashMap<String, Asset>,
}

struct Asset {
    body: Bytes,
    etag: HeaderValue,
    kind: &'static str,
    caching: &'static str,
}

impl Assets {
    /// Makes all of them: `thumb-1.jpg` to `thumb-40.jpg` (8 to 40 KiB), `app.js`, `style.css`.
    pub fn generate() -> Self {
        let mut all = HashMap::new();
        for i in 1..=THUMBNAILS {
            let length = 8 * 1024 + random::mix(SEED ^ u64::from(i)) as usize % (32 * 1024 + 1);
            let asset = Asset::new(noise(i.into(), length), "image/jpeg", IMAGE_CACHING);
            all.insert(format!("thumb-{i}.jpg"), asset);
        }
        let script = Asset::new(prose(100, 60 * 1024), "text/javascript", SCRIPT_CACHING);
        all.insert("app.js".to_string(), script);
        let style = Asset::new(prose(101, 12 * 1024), "text/css", SCRIPT_CACHING);
        all.insert("style.css".to_string(), style);
        Assets { all }
    }

    /// The asset, or 304 when the client has it already; `None` when there is no such asset.
    pub fn answer(&self, name: &str, request: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        let asset = self.all.get(name)?;
        let is_known = request.get(IF_NONE_MATCH).is_some_and(|tags| has_tag(tags, &asset.etag));
        let mut response = Response::new(match is_known {
            true => Full::default(),
            false => Full::new(asset.body.clone()),
        });
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, asset.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(asset.caching));
        headers.insert(LAST_MODIFIED, HeaderValue::from_static(MODIFIED));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
        Some(response)
    }
}

impl Asset {
    fn new(body: Vec<u8>, kind: &'static str, caching: &'static str) -> Self {
        let hash = body.chunks(8).fold(body.len() as u64, |h, chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            random::mix(h ^ u64::from_le_bytes(word))
        });
        let etag = HeaderValue::from_str(&format!("\"{hash:016x}\"")).expect("hex in quotes");
        Asset { body: body.into(), etag, kind, caching }
    }
}

/// Weak comparison, as RFC 9110 asks of `If-None-Match`.
fn has_tag(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_string();
    tags.split(',').any(|tag| tag.trim() == "*" || plain(tag) == plain(etag))
}

fn noise(index: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random::stream(SEED, "asset", index).fill_bytes(&mut bytes);
    bytes
}

/// Letters and line ends, for what claims to be text.
fn prose(index: u64, length: usize) -> Vec<u8> {
    const SIGNS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz(){};\n";
    noise(index, length).into_iter().map(|b| SIGNS[usize::from(b % 32)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn the_same_bytes_everywhere_and_304_for_who_has_them() {
        let assets = Assets::generate();
        let none = HeaderMap::new();
        for i in 1..=THUMBNAILS {
            let body = assets.answer(&format!("thumb-{i}.jpg"), &none).unwrap().into_body();
            let length = body.collect().await.unwrap().to_bytes().len();
            assert!((8 * 1024..=40 * 1024).contains(&length), "{length}");
        }
        let first = assets.answer("app.js", &none).unwrap();
        let again = Assets::generate().answer("app.js", &none).unwrap();
        assert_eq!(first.headers()[ETAG], again.headers()[ETAG]);
        let etag = first.headers()[ETAG].to_str().unwrap().to_string();
        for (tags, status) in [
            (etag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"x\", W/{etag}"), StatusCode::NOT_MODIFIED),
            ("*".to_string(), StatusCode::NOT_MODIFIED),
            ("\"x\"".to_string(), StatusCode::OK),
        ] {
            let mut asked = HeaderMap::new();
            asked.insert(IF_NONE_MATCH, HeaderValue::from_str(&tags).unwrap());
            assert_eq!(assets.answer("app.js", &asked).unwrap().status(), status, "{tags}");
        }
        assert!(assets.answer("thumb-41.jpg", &none).is_none());
    }
}
