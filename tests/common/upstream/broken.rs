//! Answers that break off.

use std::{
    io::{self, Write},
    net::TcpStream,
};

use nix::sys::socket::{setsockopt, sockopt};

use super::service::{Exchange, number};
use crate::common::http::pattern;

impl Exchange<'_> {
    /// Answers as no server should, where the path asks for it, and else properly.
    pub(super) fn break_off(&mut self, parts: &[&str]) -> io::Result<bool> {
        match parts {
            ["cut", length] => {
                let sent = pattern(number(length));
                write!(
                    self.to,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    2 * sent.len() + 1
                )?;
                self.to.write_all(&sent)?;
            }
            ["cut-chunks", length] => {
                let sent = pattern(number(length));
                write!(
                    self.to,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                    sent.len()
                )?;
                self.to.write_all(&sent)?;
                self.to.write_all(b"\r\n")?;
            }
            ["cut-head"] => self.to.write_all(b"HTTP/1.1 200 OK\r\nContent-Le")?,
            ["drop"] => {}
            ["garbage"] => self
                .to
                .write_all(b"\x00\x01 this is no HTTP at all\r\n\r\n")?,
            ["reset"] => reset(self.to),
            ["until-close"] => {
                self.end_turn();
                self.to.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")?;
            }
            _ => return self.who(),
        }
        Ok(false)
    }
}

/// Makes the close that follows a reset.
fn reset(socket: &TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(socket, sockopt::Linger, &linger).expect("a TCP socket takes SO_LINGER");
}
