//! What a client is told of a failed exchange.

use pingora_error::{Error, ErrorSource, ErrorType};

use crate::reply::Reply;

/// The reply to `error`; `None` if nobody is there to read it. Its words come from here alone: the error's own
/// may quote the head it was found in.
pub(crate) fn reply(error: &Error) -> Option<Reply> {
    match error.esource() {
        ErrorSource::Downstream => of_client(error.etype()),
        ErrorSource::Upstream | ErrorSource::Internal | ErrorSource::Unset => Some(of_upstream(error.etype())),
    }
}

fn of_client(kind: &ErrorType) -> Option<Reply> {
    match kind {
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::WriteTimedout => None,
        ErrorType::ReadTimedout => Some(Reply::request_timeout("the request body stopped coming")),
        ErrorType::InvalidHTTPHeader => Some(Reply::bad_request("the request head is malformed")),
        _ => Some(Reply::bad_request("the request body is malformed")),
    }
}

fn of_upstream(kind: &ErrorType) -> Reply {
    match kind {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => {
            Reply::gateway_timeout("the upstream did not accept the connection in time")
        }
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Reply::gateway_timeout("the upstream did not answer in time"),
        ErrorType::ConnectRefused => Reply::bad_gateway("the upstream refused the connection"),
        kind if is_connect(kind) => Reply::bad_gateway("the upstream cannot be reached"),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::TLSWantX509Lookup => {
            Reply::bad_gateway("no secure connection to the upstream came about")
        }
        ErrorType::InvalidHTTPHeader => Reply::bad_gateway("the upstream's answer is malformed"),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => {
            Reply::bad_gateway("the upstream closed the connection before it answered")
        }
        _ => Reply::bad_gateway("the exchange with the upstream failed"),
    }
}

fn is_connect(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectError | ErrorType::ConnectNoRoute | ErrorType::SocketError | ErrorType::BindError
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(error: &Error) -> Option<u16> {
        reply(error).map(|reply| reply.status())
    }

    #[test]
    fn a_failure_has_the_status_of_whose_fault_it_is() {
        assert_eq!(status(&Error::new_up(ErrorType::ConnectRefused)), Some(502));
        assert_eq!(status(&Error::new_up(ErrorType::ConnectTimedout)), Some(504));
        assert_eq!(status(&Error::new_up(ErrorType::InvalidHTTPHeader)), Some(502));
        assert_eq!(status(&Error::new_down(ErrorType::InvalidHTTPHeader)), Some(400));
        assert_eq!(status(&Error::new_down(ErrorType::ConnectionClosed)), None);
        assert_eq!(status(&Error::new_in(ErrorType::InternalError)), Some(502));
    }
}
