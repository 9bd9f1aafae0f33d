//! Passing descriptors from one process to another over a stream socket (`SCM_RIGHTS`, unix(7)).
//!
//! A message is one or more chunks: the number of bytes that follow (two bytes, big-endian), then the names of the
//! descriptors that come with it, separated by commas. A chunk without a name ends the message.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::Role;

/// Descriptors in one chunk; the kernel takes up to 253.
const CHUNK: usize = 128;
/// Chunks in one message: far more than a pool can have descriptors.
const MOST_CHUNKS: usize = 64;
/// Bytes of names in one chunk.
const MOST_NAMES: usize = 8 * 1024;
const LENGTH_BYTES: usize = 2;

/// Sends `descriptors`. The receiver gets descriptors of its own.
///
/// # Errors
/// If the other end is gone or does not take them.
pub fn send(socket: impl AsFd, descriptors: &[(Role, BorrowedFd<'_>)]) -> io::Result<()> {
    let end = std::iter::once(&[][..]);
    for chunk in descriptors.chunks(CHUNK).chain(end) {
        let names: Vec<_> = chunk.iter().map(|(role, _)| role.to_string()).collect();
        let names = names.join(",");
        let length = u16::try_from(names.len()).map_err(io::Error::other)?;
        let fds: Vec<_> = chunk.iter().map(|(_, fd)| *fd).collect();
        send_chunk(
            socket.as_fd(),
            &[&length.to_be_bytes(), names.as_bytes()],
            &fds,
        )?;
    }
    Ok(())
}

fn send_chunk(
    socket: BorrowedFd<'_>,
    bytes: &[&[u8]; 2],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(CHUNK))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors in a chunk"));
    }
    let slices = bytes.map(IoSlice::new);
    let total: usize = bytes.iter().map(|part| part.len()).sum();
    let sent = sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL)?;
    if sent == total {
        Ok(())
    } else {
        // A message is small against a socket's buffer: the other end left earlier ones unread.
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives what [`send`] sent. A descriptor whose name is not known is closed.
///
/// # Errors
/// If the message breaks off, does not come within the socket's read timeout, or is none of ours.
pub fn receive(socket: impl AsFd) -> io::Result<Vec<(Role, OwnedFd)>> {
    let socket = socket.as_fd();
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut received = Vec::new();
    for _ in 0..MOST_CHUNKS {
        let mut fds = Vec::new();
        let mut length = [0; LENGTH_BYTES];
        receive_exactly(socket, &mut length, &mut fds)?;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 {
            return Ok(received);
        }
        if length > MOST_NAMES {
            return Err(malformed("a list of names that is too long"));
        }
        let mut names = vec![0; length];
        receive_exactly(socket, &mut names, &mut fds)?;
        let names = String::from_utf8(names).map_err(|_| malformed("names that are no text"))?;
        let names: Vec<_> = names.split(',').collect();
        if names.len() != fds.len() {
            return Err(malformed("another number of descriptors than of names"));
        }
        let named = names.into_iter().zip(fds);
        received.extend(named.filter_map(|(name, fd)| Some((name.parse().ok()?, fd))));
    }
    Err(malformed("a message without an end"))
}

/// Sends one word, with a descriptor if it is one that needs it. Never waits: the other end may be stopped.
///
/// # Errors
/// If the other end is gone, or has not read what it was sent before.
pub fn send_word(
    socket: impl AsFd,
    word: u8,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptor = descriptor.as_slice();
    if !descriptor.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptor)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(&[word])], &mut control, flags)?;
    Ok(())
}

/// Receives one word, with the descriptor that came with it. `None`: the other end is gone. Waits as the socket does.
///
/// # Errors
/// If the socket cannot be read, or no descriptor can be taken.
pub fn receive_word(socket: impl AsFd) -> io::Result<Option<(u8, Option<OwnedFd>)>> {
    let mut word = [0];
    let mut fds = Vec::new();
    match receive_exactly(socket.as_fd(), &mut word, &mut fds) {
        Ok(()) => Ok(Some((word[0], fds.pop()))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fills `bytes`, and collects the descriptors that come with them.
fn receive_exactly(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(CHUNK))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes[filled..])];
        let message = match recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        for ancillary in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = ancillary {
                fds.extend(received);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other(
                "descriptors were lost on the way: the limit on open ones is reached",
            ));
        }
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += message.bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Write,
        os::unix::{fs::MetadataExt, net::UnixStream},
        time::Duration,
    };

    use crate::ids::SeatIndex;

    use super::*;

    fn inode(fd: &OwnedFd) -> u64 {
        File::from(fd.try_clone().unwrap())
            .metadata()
            .unwrap()
            .ino()
    }

    #[test]
    fn descriptors_arrive_under_their_names_however_many() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let files: Vec<OwnedFd> = (0..SeatIndex::CAPACITY)
            .map(|_| tempfile::tempfile().unwrap().into())
            .collect();
        let named: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(seat, file)| (Role::Bell(SeatIndex::new(seat)), file.as_fd()))
            .chain([(Role::Region, files[0].as_fd())])
            .collect();
        send(&ours, &named).unwrap();
        let received = receive(&theirs).unwrap();
        let roles = |(role, _): &(Role, _)| *role;
        assert_eq!(
            received.iter().map(roles).collect::<Vec<_>>(),
            named.iter().map(|(role, _)| *role).collect::<Vec<_>>()
        );
        for ((_, fd), file) in received.iter().zip(&files) {
            assert_eq!(inode(fd), inode(file));
        }
    }

    #[test]
    fn each_word_comes_with_its_own_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let files: [OwnedFd; 2] = [(); 2].map(|()| tempfile::tempfile().unwrap().into());
        send_word(&ours, b'a', Some(files[0].as_fd())).unwrap();
        send_word(&ours, b'b', None).unwrap();
        send_word(&ours, b'c', Some(files[1].as_fd())).unwrap();
        drop(ours);
        let mut received = Vec::new();
        while let Some((word, fd)) = receive_word(&theirs).unwrap() {
            received.push((word, fd.as_ref().map(inode)));
        }
        let expected = [
            (b'a', Some(inode(&files[0]))),
            (b'b', None),
            (b'c', Some(inode(&files[1]))),
        ];
        assert_eq!(received, expected);
    }

    #[test]
    fn one_who_reads_nothing_is_not_waited_for() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let refused = (0..1_000_000).find_map(|_| send_word(&ours, b'p', None).err());
        assert_eq!(refused.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn nothing_to_pass_is_a_message_too() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        send(&ours, &[]).unwrap();
        assert!(receive(&theirs).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for nonsense in [
            &b""[..],
            b"\0",
            b"\0\x04list",
            b"\xff\xff",
            b"\0\x01\xff",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(nonsense).unwrap();
            drop(ours);
            assert!(receive(&theirs).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn one_who_says_nothing_is_not_waited_for_beyond_the_sockets_timeout() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        theirs
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        assert_eq!(
            receive(&theirs).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
