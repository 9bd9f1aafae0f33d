//! The header of the PROXY protocol, versions 1 and 2, with which a proxy says whose connection it brings. Exactly the header
//! is read: what follows it is the client's.

use std::{
    io::{self, ErrorKind::InvalidData},
    net::SocketAddr,
};

use ppp::{v1, v2};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// No header of version 1 is shorter, nor one of version 2: `PROXY UNKNOWN` and its end of line.
const SHORTEST: usize = 15;
/// No header of version 1 is longer.
const LONGEST_V1: usize = 107;
/// What precedes the rest of one of version 2, whose length it ends with.
const FIXED_V2: usize = 16;
/// Most that may follow there: addresses take 216 bytes, and the rest says things that are not looked at.
const MOST_V2: usize = 4096;

/// Reads the header. `None`: the connection is the proxy's own, or of nobody with an address.
///
/// # Errors
/// If there is none, or the connection ends before it does.
pub(crate) async fn read(tcp: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SHORTEST];
    tcp.read_exact(&mut header).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        header.resize(FIXED_V2, 0);
        tcp.read_exact(&mut header[SHORTEST..]).await?;
        let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if length > MOST_V2 {
            return Err(wrong("a header that is too long"));
        }
        header.resize(FIXED_V2 + length, 0);
        tcp.read_exact(&mut header[FIXED_V2..]).await?;
        source_v2(&header)
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_line(tcp, &mut header).await?;
        source_v1(&header)
    } else {
        Err(wrong("no header"))
    }
}

/// The rest of the line. Nothing is read that may not be part of it.
async fn read_line(tcp: &mut TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    while !header.ends_with(b"\n") {
        let left = LONGEST_V1.saturating_sub(header.len());
        if left == 0 {
            return Err(wrong("a line that is too long"));
        }
        let mut coming = [0; LONGEST_V1];
        let there = tcp.peek(&mut coming[..left]).await?;
        let end = coming[..there].iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(there, |at| at + 1);
        if taken == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tcp.read_exact(&mut coming[..taken]).await?;
        header.extend_from_slice(&coming[..taken]);
    }
    Ok(())
}

fn source_v1(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v1::Header::try_from(header).map_err(wrong)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Tcp6(of) => Some((of.source_address, of.source_port).into()),
    })
}

fn source_v2(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = v2::Header::try_from(header).map_err(wrong)?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Local, _) => None,
        (_, v2::Addresses::IPv4(of)) => Some((of.source_address, of.source_port).into()),
        (_, v2::Addresses::IPv6(of)) => Some((of.source_address, of.source_port).into()),
        (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    })
}

fn wrong(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    /// What is made of `pieces`, sent one after another, and what is left to be read then.
    async fn read_of(pieces: &[&[u8]]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        client.set_nodelay(true).unwrap();
        let (mut tcp, _) = listener.accept().await.unwrap();
        let send = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            client.shutdown().await.unwrap();
        };
        let (read, ()) = tokio::join!(read(&mut tcp), send);
        let mut rest = Vec::new();
        tcp.read_to_end(&mut rest).await.unwrap();
        (read, rest)
    }

    fn of_v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [
            v2::PROTOCOL_PREFIX,
            &[0x20 | command, family],
            &length,
            body,
        ]
        .concat()
    }

    #[tokio::test]
    async fn a_header_names_the_client_and_what_follows_it_is_left() {
        let v4: &[u8] = &[192, 0, 2, 7, 127, 0, 0, 1, 0x1f, 0x90, 1, 187];
        let v6 = [[0x20; 16], [0; 16]].concat();
        let v6 = [&v6[..], &[0, 80, 0, 80, 4, 0, 1, 9]].concat();
        let known: [(&[u8], Option<&str>); 7] = [
            (
                b"PROXY TCP4 192.0.2.7 127.0.0.1 8080 443\r\n",
                Some("192.0.2.7:8080"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n",
                Some("[2001:db8::1]:1"),
            ),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN a b 1 2\r\n", None),
            (&of_v2(1, 0x11, v4), Some("192.0.2.7:8080")),
            (
                &of_v2(1, 0x21, &v6),
                Some("[2020:2020:2020:2020:2020:2020:2020:2020]:80"),
            ),
            (&of_v2(0, 0, b""), None),
        ];
        for (header, client) in known {
            let whole = [header, b"GET / HTTP/1.1\r\n"].concat();
            let bytes: Vec<&[u8]> = whole.chunks(9).collect();
            for pieces in [&[&whole[..]][..], &bytes] {
                let (read, rest) = read_of(pieces).await;
                let client = client.map(|client| client.parse().unwrap());
                assert_eq!(read.unwrap(), client, "{header:?}");
                assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{header:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ", &[b'1'; 200][..], b"\r\n"].concat();
        let beyond = [v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0xff, 0xff]].concat();
        for wrong in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.7 127.0.0.1 8080\r\n",
            b"PROXY TCP4 192.0.2.7",
            b"",
            &long,
            &beyond,
            &of_v2(1, 0x11, b"1234"),
        ] {
            assert!(read_of(&[wrong]).await.0.is_err(), "{wrong:?}");
        }
    }
}
