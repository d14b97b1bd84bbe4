//! What a request asks for. Pure.

use http::Method;

/// Titles on one feed page.
pub const PAGE_LENGTH: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Route<'a> {
    Health,
    Feed {
        page: u32,
    },
    Video {
        id: u32,
    },
    Like {
        id: u32,
    },
    Comment {
        id: u32,
    },
    /// What the leader applied to a video, for the data check.
    Writes {
        id: u32,
    },
    Asset {
        name: &'a str,
    },
}

/// Why a request asks for nothing there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    NotFound,
    /// With what is allowed.
    Method(&'static str),
    BadNumber,
}

/// Reads method, path and query; `videos` is how many exist.
pub fn route<'a>(
    method: &Method,
    path: &'a str,
    query: Option<&str>,
    videos: u32,
) -> Result<Route<'a>, Wrong> {
    let (route, is_write) = find(path, query, videos)?;
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match is_write {
        true if *method != Method::POST => Err(Wrong::Method("POST")),
        false if !is_read => Err(Wrong::Method("GET, HEAD")),
        _ => Ok(route),
    }
}

fn find<'a>(path: &'a str, query: Option<&str>, videos: u32) -> Result<(Route<'a>, bool), Wrong> {
    if path == "/healthz" {
        return Ok((Route::Health, false));
    }
    if let Some(name) = path.strip_prefix("/static/") {
        return Ok((Route::Asset { name }, false));
    }
    if path == "/api/feed" {
        let page = number(page_of(query), videos.div_ceil(PAGE_LENGTH))?;
        return Ok((Route::Feed { page }, false));
    }
    let rest = path.strip_prefix("/api/videos/").ok_or(Wrong::NotFound)?;
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    let of = |id: &str| number(id, videos);
    match what {
        "" if !rest.ends_with('/') => Ok((Route::Video { id: of(id)? }, false)),
        "likes" => Ok((Route::Like { id: of(id)? }, true)),
        "comments" => Ok((Route::Comment { id: of(id)? }, true)),
        "writes" => Ok((Route::Writes { id: of(id)? }, false)),
        _ => Err(Wrong::NotFound),
    }
}

/// The first page when none is asked for.
fn page_of(query: Option<&str>) -> &str {
    let pairs = query.unwrap_or("").split('&');
    pairs.filter_map(|pair| pair.strip_prefix("page=")).next().unwrap_or("1")
}

/// A number from 1 on; beyond `last` there is nothing.
fn number(text: &str, last: u32) -> Result<u32, Wrong> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(0) => Err(Wrong::BadNumber),
        Ok(n) if n <= u64::from(last) => Ok(n as u32),
        // Digits that do not fit are a number, too, and certainly beyond the last.
        _ if is_plain => Err(Wrong::NotFound),
        _ => Err(Wrong::BadNumber),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, uri: &str, expected: Result<Route<'_>, Wrong>) {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(p, q)| (p, Some(q)));
        assert_eq!(route(&method, path, query, 95), expected, "{method} {uri}");
    }

    #[test]
    fn paths_methods_and_numbers() {
        let (get, post) = (Method::GET, Method::POST);
        check(get.clone(), "/api/feed", Ok(Route::Feed { page: 1 }));
        check(get.clone(), "/api/feed?x=1&page=10", Ok(Route::Feed { page: 10 }));
        check(get.clone(), "/api/feed?page=11", Err(Wrong::NotFound));
        check(get.clone(), "/api/feed?page=0", Err(Wrong::BadNumber));
        check(Method::HEAD, "/api/videos/95", Ok(Route::Video { id: 95 }));
        check(get.clone(), "/api/videos/96", Err(Wrong::NotFound));
        check(get.clone(), "/api/videos/99999999999999999999999", Err(Wrong::NotFound));
        check(get.clone(), "/api/videos/-1", Err(Wrong::BadNumber));
        check(get.clone(), "/api/videos/", Err(Wrong::BadNumber));
        check(get.clone(), "/api/videos/1/", Err(Wrong::NotFound));
        check(get.clone(), "/api/videos/x", Err(Wrong::BadNumber));
        check(post.clone(), "/api/videos/1", Err(Wrong::Method("GET, HEAD")));
        check(post.clone(), "/api/videos/1/likes", Ok(Route::Like { id: 1 }));
        check(get.clone(), "/api/videos/1/likes", Err(Wrong::Method("POST")));
        check(post, "/api/videos/1/comments", Ok(Route::Comment { id: 1 }));
        check(get.clone(), "/api/videos/1/writes", Ok(Route::Writes { id: 1 }));
        check(get.clone(), "/static/app.js", Ok(Route::Asset { name: "app.js" }));
        check(get, "/nothing", Err(Wrong::NotFound));
    }
}
