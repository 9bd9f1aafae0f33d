//! What a supervisor needs before it begins: taken over from a predecessor, or opened anew.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use tpp::{
    bells::BellBoard,
    config::Config,
    front::Front,
    handover::{Role, exec, meeting::meeting_prefix},
    hash::{HASH_BEGIN, hash_on},
    lending::Stock,
    plan::Plan,
    region::{Geometry, Region},
};
use tracing::{info, warn};

use crate::{
    doors::{api::ApiSocket, control::ControlSocket},
    fleet::Wanted,
    process::WorkerProcess,
    succession::{self, Found, Takeover},
    system::{
        limits::{lock_tokens, require_pidfd},
        logging::Log,
        sockets::{Listening, listen, listen_beside},
    },
};

/// Least room for slots and seats: more accounts and workers can come without a new region.
const LEAST_SLOTS: usize = 4096;
const LEAST_SEATS: usize = 32;
const MOST_SLOTS: usize = tpp::pool::SlotIndex::CAPACITY;
const MOST_SEATS: usize = tpp::pool::SeatIndex::CAPACITY;
/// Bytes of a region that are left for pools and tables added later. What is not used is not there.
const POOL_ROOM: usize = 1 << 30;

/// How a supervisor comes into charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartKind {
    /// With a new pool.
    Started,
    /// Of the pool of one that is gone.
    Adopted,
    /// In another one's place, with or without its pool.
    Upgraded,
}

impl StartKind {
    /// In one word, for the history.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Adopted => "adopted",
            Self::Upgraded => "upgraded",
        }
    }
}

/// All that a supervisor needs: nothing of it has been started yet.
pub(crate) struct Prepared {
    pub(crate) config: Config,
    pub(crate) config_file: PathBuf,
    pub(crate) log: Log,
    pub(crate) listeners: Vec<(Listening, TcpListener)>,
    pub(crate) health: (SocketAddr, TcpListener),
    /// The management API's, if there is one.
    pub(crate) api: Option<ApiSocket>,
    pub(crate) control: ControlSocket,
    pub(crate) stock: Arc<Stock>,
    pub(crate) wanted: Wanted,
    pub(crate) start_kind: StartKind,
    /// Workers on this pool, of a predecessor.
    pub(crate) found: Found,
    /// Workers on another one.
    pub(crate) former: Vec<WorkerProcess>,
    /// What a predecessor's workers act on, if it is known.
    pub(crate) predecessor: Option<Plan>,
    /// How they let clients in.
    pub(crate) former_front: Option<Front>,
    /// What was inherited, taken or not: systemd may keep it still.
    pub(crate) inherited: BTreeSet<String>,
    /// Who waits for the end of an upgrade.
    pub(crate) caller: Option<UnixStream>,
}

impl Prepared {
    /// Takes over what a predecessor left, `inherited` or found beside the control socket, and opens the rest.
    ///
    /// # Errors
    /// If something it needs is not to be had: an address, the control socket, memory.
    pub(crate) fn of(
        config: Config,
        config_file: PathBuf,
        log: Log,
        inherited: Vec<(Role, OwnedFd)>,
    ) -> anyhow::Result<Self> {
        config
            .warnings()
            .iter()
            .for_each(|warning| warn!("{warning}"));
        require_pidfd()?;
        let wanted = Wanted::of(&config);
        let mut inherited = inherited;
        // First of all: whoever has it is the supervisor.
        let control = control_socket(&config, &mut inherited)?;
        let roles: BTreeSet<_> = inherited.iter().map(|(role, _)| role.to_string()).collect();
        let mut takeover = succession::collect(
            inherited,
            &meeting_prefix(&config.control_socket),
            config.workers.worker_timeout,
        );
        let listeners = listeners(&config.addresses(), &mut takeover)?;
        let address = config.health_listen;
        let health = match takeover.take_health(address) {
            Some(socket) => socket,
            None => listen("health_listen", address)?,
        };
        let health_address = health.local_addr().context("address of health_listen")?;
        let api = config.api.as_ref();
        let api = api
            .map(|api| ApiSocket::open(&api.listen, &mut takeover))
            .transpose()?;
        let (stock, is_ours) = stock(&config, wanted.workers, &mut takeover)?;
        let found = if is_ours {
            takeover.adopt(&stock)
        } else {
            Found::default()
        };
        let start_kind = if exec::is_in_place() {
            StartKind::Upgraded
        } else if is_ours {
            StartKind::Adopted
        } else {
            StartKind::Started
        };
        Ok(Self {
            config,
            config_file,
            log,
            listeners,
            health: (health_address, health),
            api,
            control,
            stock: Arc::new(stock),
            wanted,
            start_kind,
            found,
            former: takeover.take_former(),
            predecessor: takeover.take_plan(),
            former_front: takeover.take_front(),
            inherited: roles,
            caller: takeover.caller.take(),
        })
    }

    /// Addresses that take clients.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|(listening, _)| listening.bound)
    }

    /// Says where it listens.
    pub(crate) fn say_where(&self) {
        for address in self.addresses() {
            info!(%address, "listening for clients");
        }
        info!(address = %self.health.0, "listening for health checks");
        if let Some(api) = &self.api {
            info!(address = %api, "listening for the management API");
        }
        info!(path = %self.config.control_socket.display(), "listening for tppctl");
    }

    /// Address of the health endpoint.
    pub(crate) fn health_address(&self) -> SocketAddr {
        self.health.0
    }
}

/// The sockets for clients: those of a predecessor, and others opened anew.
fn listeners(
    wanted: &[SocketAddr],
    takeover: &mut Takeover,
) -> anyhow::Result<Vec<(Listening, TcpListener)>> {
    let on = |address, socket: TcpListener| {
        let listening = Listening::on(address, &socket);
        let listening = listening.with_context(|| format!("address of {address}"))?;
        anyhow::Ok((listening, socket))
    };
    let mut taken: Vec<Option<(Listening, TcpListener)>> = Vec::new();
    for &address in wanted {
        let socket = takeover.take_listener(address);
        taken.push(socket.map(|socket| on(address, socket)).transpose()?);
    }
    let wide = taken.iter().flatten().find_map(|(listening, socket)| {
        let clone = socket.try_clone().ok()?;
        wanted
            .iter()
            .any(|&address| listening.covers(address))
            .then_some((*listening, clone))
    });
    let opened = wanted
        .iter()
        .zip(taken)
        .map(|(&address, taken)| match (taken, &wide) {
            (Some(taken), _) => Ok(taken),
            // A predecessor's socket takes these clients already, and nobody may listen there besides.
            (None, Some((listening, socket))) if listening.covers(address) => {
                on(address, socket.try_clone().context("duplicate a socket")?)
            }
            (None, _) => {
                let open = takeover.listeners();
                on(address, listen_beside("listen", address, wanted, open)?)
            }
        });
    let mut opened = opened.collect::<anyhow::Result<Vec<_>>>()?;
    // What a wider one takes in has clients in its backlog, and more come to it as long as it is open.
    for socket in takeover.take_listeners() {
        let bound = socket.local_addr().context("address of a socket")?;
        let wider = opened.iter().find(|(one, _)| one.includes(bound));
        if let Some(wanted) = wider.map(|(one, _)| one.wanted) {
            opened.push(on(wanted, socket)?);
        }
    }
    Ok(opened)
}

fn control_socket(
    config: &Config,
    inherited: &mut Vec<(Role, OwnedFd)>,
) -> anyhow::Result<ControlSocket> {
    let path = &config.control_socket;
    let at = inherited
        .iter()
        .position(|(role, _)| *role == Role::Control);
    Ok(match at {
        Some(at) => ControlSocket::inherited(path, inherited.swap_remove(at).1)?,
        None => ControlSocket::bind(path)?,
    })
}

/// The pool to go on with, and whether it is a predecessor's.
fn stock(
    config: &Config,
    workers: usize,
    takeover: &mut Takeover,
) -> anyhow::Result<(Stock, bool)> {
    let inherited = takeover.take_region(|region| {
        let leased = region.pool().census().in_use;
        fits(config, workers, region.geometry(), leased)
    });
    let is_ours = inherited.is_some();
    let (region, bells) = match inherited {
        Some(inherited) => inherited,
        None => new_region(config, workers)?,
    };
    lock_tokens(&region, config.sessions());
    let stock = Stock::new(Arc::new(region), bells);
    Ok((stock, is_ours))
}

fn new_region(config: &Config, workers: usize) -> anyhow::Result<(Region, BellBoard)> {
    let geometry = Geometry {
        slots: (2 * config.sessions())
            .next_multiple_of(64)
            .clamp(LEAST_SLOTS, MOST_SLOTS),
        seats: (4 * workers).clamp(LEAST_SEATS, MOST_SEATS),
        token_bytes: config.token.max_token_bytes,
    };
    let region = Region::with_room(geometry, POOL_ROOM)?;
    let bells = BellBoard::create(geometry.seats).context("create the workers' bells")?;
    Ok((region, bells))
}

/// Whether a pool of this size, so many slots of it leased, can be gone on with.
fn fits(config: &Config, workers: usize, geometry: Geometry, leased: u64) -> Result<(), String> {
    // Those leased may be of accounts that are gone, and are free only when the leases end.
    let leased = usize::try_from(leased).unwrap_or(usize::MAX);
    let slots = config.sessions().saturating_add(leased);
    let slots = slots.min(MOST_SLOTS.max(config.sessions()));
    let room = [
        ("slots", geometry.slots, slots),
        ("seats", geometry.seats, 2 * workers),
        (
            "bytes a token",
            geometry.token_bytes,
            config.token.max_token_bytes,
        ),
    ];
    match room.into_iter().find(|(_, there, wanted)| there < wanted) {
        None => Ok(()),
        Some((what, there, wanted)) => Err(format!("{there} {what} are there, {wanted} wanted")),
    }
}

/// Differs between executables, and between the same one before and after it was replaced.
pub(crate) fn image() -> anyhow::Result<u64> {
    let file = std::fs::metadata("/proc/self/exe").context("look at the own executable")?;
    let marks = [
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime().cast_unsigned(),
        file.mtime_nsec().cast_unsigned(),
    ];
    Ok(marks
        .iter()
        .fold(HASH_BEGIN, |hash, mark| hash_on(hash, &mark.to_le_bytes())))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use tpp::config::{Format, parse};

    use super::*;

    #[test]
    fn a_pool_with_too_little_room_is_not_gone_on_with() {
        let text = "[upstream]\nhost = \"h\"\n[[credentials]]\nusername = \"u\"\npassword = \"p\"\nsessions = 100\n";
        let none = BTreeMap::<String, String>::new();
        let config = parse(
            text,
            Path::new("tpp.toml"),
            Format::Toml,
            Path::new("/"),
            &none,
        )
        .unwrap();
        let geometry = |slots, seats, token_bytes| Geometry {
            slots,
            seats,
            token_bytes,
        };
        assert_eq!(fits(&config, 4, geometry(100, 8, 4096), 0), Ok(()));
        assert!(fits(&config, 4, geometry(100, 8, 4096), 1).is_err());
        for (geometry, what) in [
            (geometry(64, 8, 4096), "64 slots are there, 100 wanted"),
            (geometry(128, 7, 4096), "7 seats are there, 8 wanted"),
            (
                geometry(128, 8, 64),
                "64 bytes a token are there, 4096 wanted",
            ),
        ] {
            assert_eq!(fits(&config, 4, geometry, 0).unwrap_err(), what);
        }
    }
}
