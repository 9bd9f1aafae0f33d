//! What a login server said, read whole, and what its status alone means.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use zeroize::Zeroizing;

use super::{
    LoginError,
    document::{Document, Unreadable},
    http::{Http, header_text},
    redact::Redactor,
};

/// An answer.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) content_type: String,
    /// Where to, if it is a redirect.
    pub(super) location: String,
    /// How long it asks to be left alone.
    pub(super) wait: Option<Duration>,
}

impl Said {
    /// Reads the rest of an answer. Seconds in a header called `wait` count as `Retry-After` does.
    ///
    /// # Errors
    /// If the body of a success is too long or breaks off. What is wrong with another one's body matters less than its status.
    pub(super) async fn read(
        http: &Http,
        response: Response,
        wait: &header::HeaderName,
    ) -> Result<Self, LoginError> {
        let text = |name| header_text(&response, name);
        let asked = text(&header::RETRY_AFTER).or_else(|| text(wait));
        let mut said = Self {
            status: response.status(),
            body: Zeroizing::default(),
            content_type: text(&header::CONTENT_TYPE).unwrap_or_default(),
            location: text(&header::LOCATION).unwrap_or_default(),
            wait: asked.and_then(|value| tpp::retry_after::read(value.as_bytes())),
        };
        match http.read(response).await {
            Ok(body) => said.body = body,
            Err(error) if said.status.is_success() => return Err(error),
            Err(_) => {}
        }
        Ok(said)
    }

    /// Its body as a document.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn document(&self, redactor: &Redactor) -> Result<Document, LoginError> {
        Document::read(&self.body).map_err(|unreadable| match unreadable {
            Unreadable::Truncated => LoginError::Truncated,
            Unreadable::Twice => LoginError::Unexpected {
                what: "names a field twice",
            },
            Unreadable::NotJson if self.is_page() => LoginError::Html,
            Unreadable::NotJson => LoginError::NotJson {
                content_type: redactor.excerpt(&self.content_type),
            },
        })
    }

    fn is_page(&self) -> bool {
        let begins = self.body.trim_ascii_start().first();
        begins == Some(&b'<') || self.content_type.starts_with("text/html")
    }

    /// The busy server's words, and for how long it asks to be left alone, if it says so.
    pub(super) fn busy(&self, reason: String) -> LoginError {
        match self.wait {
            Some(after) => LoginError::Wait { reason, after },
            None => LoginError::Busy { reason },
        }
    }

    /// What its status says, whatever stands in the body.
    pub(super) fn by_status(&self, redactor: &Redactor) -> LoginError {
        let status = self.status.as_u16();
        match self.status {
            redirect if redirect.is_redirection() => LoginError::Redirect {
                status,
                location: redactor.excerpt(&self.location),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LoginError::Refused {
                reason: format!("status {status}"),
            },
            StatusCode::TOO_MANY_REQUESTS => self.busy(format!("status {status}")),
            StatusCode::SERVICE_UNAVAILABLE if self.wait.is_some() => {
                self.busy(format!("status {status}"))
            }
            _ => LoginError::Status { status },
        }
    }
}

/// A server's own words, fit to be shown.
pub(super) fn reason(text: &str, redactor: &Redactor) -> String {
    match redactor.excerpt(text) {
        empty if empty.is_empty() => "the server gives no reason".to_owned(),
        excerpt => excerpt,
    }
}
