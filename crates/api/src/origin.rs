//! Which web pages may open the WebSocket (RFC 6455 §10.2): those of this very host, and those that
//! the configuration lists. Programs that are no browser send no Origin.

use axum::http::{HeaderMap, header};

use crate::problem::Problem;

/// Refuses with 403 if a page of another origin asks.
pub fn check(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let listed = allowed
        .iter()
        .any(|one| one.trim_end_matches('/').eq_ignore_ascii_case(origin));
    if listed || is_same_host(origin, host) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "pages of this origin may not connect; an administrator can list the origin in the \
         configuration under [http] allowed_origins",
    ))
}

fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |authority: &str| {
        authority
            .strip_suffix(default_port)
            .unwrap_or(authority)
            .to_ascii_lowercase()
    };
    !host.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(origin: Option<&str>, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, &["https://crm.example/".to_owned()]).is_ok()
    }

    #[test]
    fn only_our_host_and_listed_origins_pass() {
        assert!(passes(None, "pbx:8080"));
        assert!(passes(Some("http://pbx:8080"), "pbx:8080"));
        assert!(passes(Some("https://PBX"), "pbx:443"));
        assert!(passes(Some("https://crm.example"), "pbx"));
        for evil in [
            "http://evil.example",
            "http://pbx:8081",
            "null",
            "http://pbx:8080.evil.example",
            "file://",
            "",
        ] {
            assert!(!passes(Some(evil), "pbx:8080"), "{evil}");
        }
    }
}
