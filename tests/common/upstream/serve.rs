//! Accepts connections and sees each to its end.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
};

use super::{Shared, login, request::Received, service};
use crate::common::http::read_head;

/// Debug builds are generous with the stack, but not that generous; hundreds of threads must fit.
const STACK: usize = 512 << 10;

/// Takes connections until the upstream is told to stop.
pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (0_u64..).zip(listener.incoming()) {
        if shared.stopping.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        let serve = move || {
            if let Ok(registered) = stream.try_clone() {
                shared.open.lock().expect("open").insert(number, registered);
            }
            // A connection that breaks is what half of the tests are about.
            drop(serve(&shared, stream));
            shared.open.lock().expect("open").remove(&number);
        };
        thread::Builder::new()
            .stack_size(STACK)
            .spawn(serve)
            .expect("a thread for a connection");
    }
}

/// Serves one connection to its end.
fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = io::BufReader::new(stream.try_clone()?);
    while let Some(raw) = read_head(&mut reader)? {
        let mut request = match Received::check(&raw) {
            Ok(request) => request,
            Err(what) => {
                let raw = String::from_utf8_lossy(&raw);
                shared.oracle.fault(format!(
                    "a request that may be read in two ways ({what}): {raw:?}"
                ));
                return Ok(());
            }
        };
        let keep = if request.target == "/api/login" {
            request.read_whole_body(&mut reader)?;
            login::answer(shared, &request, &mut stream)?
        } else {
            service::answer(shared, request, &mut reader, &mut stream)?
        };
        if !keep {
            return Ok(());
        }
    }
    Ok(())
}
