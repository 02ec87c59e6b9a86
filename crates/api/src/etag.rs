//! Entity tags: a stored thing's tag is its version, and a change may be bound to it
//! (RFC 9110 §8.8.3, §13.1.1).

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
};

use crate::problem::Problem;

/// The strong tag of a version, quotes included.
pub fn tag_of(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"v{version}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The request's If-Match: optional, but honoured.
#[derive(Clone, Debug, Default)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Whether something that has `version` now may be changed.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        let Some(wanted) = &self.0 else {
            return Ok(());
        };
        let tag = tag_of(version);
        let matches = wanted
            .split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.as_bytes() == tag.as_bytes());
        if matches {
            Ok(())
        } else {
            Err(Problem::changed_meanwhile())
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.headers.get(header::IF_MATCH) {
            None => Ok(Self(None)),
            Some(value) => value
                .to_str()
                .map(|text| Self(Some(text.to_owned())))
                .map_err(|_| Problem::malformed("If-Match is not an entity tag")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_the_tag_of_the_present_version() {
        assert!(IfMatch(None).check(7).is_ok());
        assert!(IfMatch(Some("*".into())).check(7).is_ok());
        assert!(IfMatch(Some("\"x\", \"v7\"".into())).check(7).is_ok());
        for other in ["\"v6\"", "v7", "W/\"v7\"", ""] {
            let error = IfMatch(Some(other.into())).check(7).unwrap_err();
            assert_eq!(error.status().as_u16(), 412, "{other}");
        }
    }
}
