//! What systemd is still to be told, in order. Its socket takes no more than it has room for, and whoever waits for room
//! waits for systemd: so nothing here waits, and what is not taken now is sent at a later look.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
    },
};
use tracing::{info, warn};

/// What a notice is about: of some, the newest alone counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    /// That the supervisor is not stuck.
    Life,
    /// The line for `systemctl status`.
    Numbers,
    /// A descriptor to keep, under this name.
    Keep(String),
    /// The name under which nothing is to be kept any more.
    Forget(String),
    /// A step in tpp's life: each is told.
    Step,
}

/// One message.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) about: About,
    pub(super) text: String,
    pub(super) descriptor: Option<OwnedFd>,
}

/// The messages that wait to be taken.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: VecDeque<Notice>,
    is_full: bool,
}

impl Notices {
    pub(super) const fn none() -> Self {
        Self {
            waiting: VecDeque::new(),
            is_full: false,
        }
    }

    /// Adds one, in the place of those that it makes needless. So they do not grow without end if nobody takes them.
    pub(super) fn add(&mut self, notice: Notice) {
        match &notice.about {
            About::Life if self.waiting.iter().any(|one| one.about == About::Life) => return,
            About::Numbers => self.waiting.retain(|one| one.about != About::Numbers),
            About::Forget(name) => self.waiting.retain(|one| {
                !matches!(&one.about, About::Keep(other) | About::Forget(other) if other == name)
            }),
            About::Life | About::Keep(_) | About::Step => {}
        }
        self.waiting.push_back(notice);
    }

    /// Whether some are still to be sent.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends as many as are taken now.
    pub(super) fn send(&mut self, mut send: impl FnMut(&Notice) -> nix::Result<()>) {
        while let Some(notice) = self.waiting.front() {
            match send(notice) {
                Ok(()) => {}
                Err(errno) if is_full(errno) => {
                    if !std::mem::replace(&mut self.is_full, true) {
                        warn!(%errno, "systemd takes no messages now: they wait");
                    }
                    return;
                }
                Err(errno) => warn!(%errno, "systemd was not told"),
            }
            self.waiting.pop_front();
        }
        if std::mem::take(&mut self.is_full) {
            info!("systemd has taken the messages that waited");
        }
    }
}

/// Its queue, the memory for it, or the descriptors that may be under way: each becomes free once systemd reads.
fn is_full(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::ETOOMANYREFS | Errno::EINTR
    )
}

/// Sends one to systemd's socket at `path`; one that begins with `@` has no file (sd_notify(3)).
pub(super) fn send_to(path: &str, notice: &Notice) -> nix::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes())?,
        None => UnixAddr::new(path)?,
    };
    // A socket for each: systemd may have another one at that path by now.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let descriptors: Vec<_> = notice.descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let rights = &rights[..descriptors.len()];
    let text = [io::IoSlice::new(notice.text.as_bytes())];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg(socket.as_raw_fd(), &text, rights, flags, Some(&address)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn notice(about: About, text: &str) -> Notice {
        Notice {
            about,
            text: text.to_owned(),
            descriptor: None,
        }
    }

    fn keep(name: &str) -> Notice {
        let file = tempfile::tempfile().unwrap();
        Notice {
            descriptor: Some(file.into()),
            ..notice(About::Keep(name.to_owned()), &format!("keep {name}"))
        }
    }

    fn forget(name: &str) -> Notice {
        notice(About::Forget(name.to_owned()), &format!("forget {name}"))
    }

    fn sent(notices: &mut Notices) -> Vec<String> {
        let mut sent = Vec::new();
        notices.send(|notice| {
            sent.push(notice.text.clone());
            Ok(())
        });
        sent
    }

    #[test]
    fn what_is_not_taken_is_sent_later_in_its_order() {
        let mut notices = Notices::default();
        for text in ["a", "b", "c"] {
            notices.add(notice(About::Step, text));
        }
        let mut room = 1;
        notices.send(|_| match room {
            0 => Err(Errno::EAGAIN),
            _ => {
                room -= 1;
                Ok(())
            }
        });
        notices.add(notice(About::Step, "d"));
        assert!(notices.are_waiting());
        assert_eq!(sent(&mut notices), ["b", "c", "d"]);
        assert!(!notices.are_waiting());
    }

    #[test]
    fn what_cannot_be_told_at_all_keeps_nothing_else_waiting() {
        let mut notices = Notices::default();
        notices.add(notice(About::Step, "a"));
        notices.add(notice(About::Step, "b"));
        let mut tried = Vec::new();
        notices.send(|notice| {
            tried.push(notice.text.clone());
            Err(Errno::ECONNREFUSED)
        });
        assert_eq!(tried, ["a", "b"]);
        assert!(!notices.are_waiting());
    }

    #[test]
    fn of_life_numbers_and_what_is_kept_the_newest_alone_waits() {
        let mut notices = Notices::default();
        for round in 0..3 {
            notices.add(notice(About::Life, "life"));
            notices.add(notice(About::Numbers, &format!("numbers {round}")));
            notices.add(forget("listen"));
            notices.add(keep("listen"));
        }
        notices.add(notice(About::Step, "ready"));
        let expected = ["life", "numbers 2", "forget listen", "keep listen", "ready"];
        assert_eq!(sent(&mut notices), expected);
    }

    #[test]
    fn a_full_socket_is_left_and_takes_the_rest_once_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let path = path.to_str().unwrap();
        let mut notices = Notices::default();
        // More than any socket takes unread.
        let many = 20_000;
        for number in 0..many {
            notices.add(notice(About::Step, &number.to_string()));
        }
        notices.add(keep("region"));
        let mut received = Vec::new();
        let mut text = [0; 64];
        while notices.are_waiting() {
            notices.send(|notice| send_to(path, notice));
            while let Ok(length) = systemd.recv(&mut text) {
                received.push(String::from_utf8(text[..length].to_vec()).unwrap());
            }
        }
        let expected = (0..many).map(|number| number.to_string());
        let expected: Vec<_> = expected.chain(["keep region".to_owned()]).collect();
        assert_eq!(received, expected);
    }
}
