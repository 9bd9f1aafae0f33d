//! The operations that are cut off, each with the scene it takes place in.

use std::sync::Arc;

use tpp::clock::boot_millis;
use tpp::lending::{Desk, Stock};
use tpp::pool::{Origin, SlotIndex};
use tpp::shared::{Deadlines, Tenure};

use crate::{
    rows::{
        BACKEND, BREAKER, DUE, HOST, PAIR, POLICY, WITH_WINDOW, add_rows, admit, eject_if_bad,
        fail_twice, give_other_rows, is_judged, limit_to, raise_limit,
    },
    scene::{SLOTS, Scene, look},
    traced::show,
    worker_process::Part,
};

/// The slot that [`Operation::Install`] puts in use.
const NEW: usize = 0;

/// What a process is in the middle of when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Acquire,
    Release,
    ReleaseToWaiter,
    JoinAndWait,
    JoinAndTake,
    Leave,
    LeaveGranted,
    Collect,
    CollectAndLeave,
    HeartbeatAfterPassBy,
    JoinBehindWindow,
    CollectIntoWindow,
    Reclaim,
    PassBy,
    Install,
    Pause,
    Resume,
    HoldBack,
    Enter,
    CountOut,
    TakeProbe,
    GiveProbeBack,
    TellOfProbe,
    TellWithWindow,
    Admit,
    GiveRows,
    RaiseLimit,
    Eject,
}

use Operation::*;

impl Operation {
    pub(crate) const ALL: [Self; 28] = [
        Acquire,
        Release,
        ReleaseToWaiter,
        JoinAndWait,
        JoinAndTake,
        Leave,
        LeaveGranted,
        Collect,
        CollectAndLeave,
        HeartbeatAfterPassBy,
        JoinBehindWindow,
        CollectIntoWindow,
        Reclaim,
        PassBy,
        Install,
        Pause,
        Resume,
        HoldBack,
        Enter,
        CountOut,
        TakeProbe,
        GiveProbeBack,
        TellOfProbe,
        TellWithWindow,
        Admit,
        GiveRows,
        RaiseLimit,
        Eject,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Acquire => "acquire",
            Release => "release-to-nobody",
            ReleaseToWaiter => "release-to-waiter",
            JoinAndWait => "join-and-wait",
            JoinAndTake => "join-and-take",
            Leave => "leave",
            LeaveGranted => "leave-granted",
            Collect => "collect",
            CollectAndLeave => "collect-and-leave",
            HeartbeatAfterPassBy => "heartbeat-after-pass-by",
            JoinBehindWindow => "join-behind-window",
            CollectIntoWindow => "collect-into-window",
            Reclaim => "reclaim",
            PassBy => "pass-by",
            Install => "install",
            Pause => "pause",
            Resume => "resume",
            HoldBack => "hold-back",
            Enter => "enter",
            CountOut => "count-out",
            TakeProbe => "take-probe",
            GiveProbeBack => "give-probe-back",
            TellOfProbe => "tell-of-probe",
            TellWithWindow => "tell-with-window",
            Admit => "admit",
            GiveRows => "give-rows",
            RaiseLimit => "raise-limit",
            Eject => "eject",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
    }

    /// Whether it is the supervisor's: it dies, and is done again by its successor.
    pub(crate) fn is_supervisors(self) -> bool {
        matches!(
            self,
            Reclaim | PassBy | Install | Pause | Resume | GiveRows | RaiseLimit | Eject
        )
    }

    /// Whether others can take every slot but its own while it stands in the middle of it. What is held back because its time is over
    /// is for nobody, whoever stands.
    pub(crate) fn leaves_others_free(self) -> bool {
        !self.is_supervisors() && self != HoldBack
    }

    /// The scene as the child finds it when it starts.
    pub(crate) fn before(self) -> Scene {
        let mut scene = Scene::new();
        match self {
            Acquire | Release | ReleaseToWaiter => {}
            JoinAndTake => scene.hold(SLOTS - 1),
            JoinAndWait | Leave | LeaveGranted | Collect | CollectAndLeave => {
                scene.hold(SLOTS);
                scene.wait(usize::from(matches!(self, JoinAndWait | Leave)));
            }
            HeartbeatAfterPassBy | JoinBehindWindow | CollectIntoWindow => scene.hold(SLOTS),
            Reclaim => {
                let dead = scene.acted_subject();
                scene.hold(SLOTS - 1);
                let ghosts = (dead.try_lease(), dead.join(), dead.join());
                scene.ghosts.push(Box::new(ghosts));
                // It holds and waits in another pool as well.
                let limit = scene.stock.add_limit(0, 1).expect("room");
                let dead = dead.open(limit.pool_id()).expect("a pool");
                scene.ghosts.push(Box::new((dead.try_lease(), dead.join())));
                scene.wait(2);
                // Granted to the first of the dead, which takes nothing up.
                scene.give_back();
            }
            PassBy => {
                let stopped = scene.acted_subject();
                scene.hold(SLOTS);
                let ghosts = (stopped.join(), stopped.join());
                scene.ghosts.push(Box::new(ghosts));
                scene.wait(2);
                scene.give_back();
                scene.give_back();
            }
            Enter | CountOut | TakeProbe | GiveProbeBack | TellOfProbe | TellWithWindow | Admit
            | GiveRows => add_rows(&scene.stock, &scene.witness),
            Eject => {
                add_rows(&scene.stock, &scene.witness);
                fail_twice(&scene.witness);
            }
            RaiseLimit => scene.permits = limit_to(&scene.stock, &scene.witness),
            Pause => scene.hold(SLOTS - 1),
            HoldBack => {
                share_all(&scene.stock);
                scene.hold(SLOTS - 1);
                let stock = &scene.stock;
                stock.set_deadlines(Tenure::Floating, Deadlines::over(boot_millis()));
            }
            Resume => {
                scene.hold(SLOTS - 1);
                scene.stock.pause();
                scene.wait(2);
            }
            Install => {
                scene.stock.take_out_of_use(SlotIndex::new(NEW));
                scene.hold(SLOTS - 1);
                scene.wait(2);
            }
        }
        scene
    }

    /// What the others do once the child stands before its operation.
    pub(crate) fn between(self, scene: &mut Scene) {
        match self {
            ReleaseToWaiter => scene.wait(2),
            Leave | JoinBehindWindow => scene.wait(1),
            LeaveGranted | Collect | CollectAndLeave | CollectIntoWindow => {
                scene.wait(1);
                scene.give_back();
            }
            HeartbeatAfterPassBy => {
                // Granted to the child, taken back, and free since then.
                scene.give_back();
                scene.stock.pass_by(scene.subject.0);
            }
            _ => {}
        }
    }

    /// What the supervisor does once the process has ended.
    pub(crate) fn recover(self, scene: &Scene) {
        let (seat, _) = scene.subject;
        match self {
            PassBy => {
                // As the supervisor's tick does; the one who was passed by dies only afterwards.
                if !scene.stock.pool().seats[seat.get()].word().stalled {
                    scene.stock.pass_by(seat);
                }
                // An offer counts as forgotten by its maker when two sweeps in a row find it open.
                scene.stock.sweep();
                scene.stock.sweep();
            }
            Install => install(&scene.stock, boot_millis()),
            // As the supervisor does when it could show itself again.
            HoldBack => lend_all(&scene.stock),
            // As the successor's tick does; then the pause is ended, for the scene's end asks for all slots.
            Pause => {
                scene.stock.sweep();
                scene.stock.resume();
            }
            GiveRows => give_other_rows(&scene.stock),
            RaiseLimit => raise_limit(&scene.stock),
            // As the next supervisor does with what it finds; twice the same may stand there.
            Eject => {
                eject_if_bad(&scene.stock);
                assert!(is_judged(&scene.stock), "left out, or failing no more");
            }
            Resume if scene.stock.terms().is_paused() => scene.stock.resume(),
            Resume => scene.stock.sweep(),
            _ => {}
        }
        if self != PassBy {
            scene.stock.reclaim(seat);
        }
    }

    /// The child's life.
    pub(crate) fn play(self, part: Part) -> ! {
        if self.is_supervisors() {
            let seat = part.seat;
            let stock = Stock::new(part.region, part.bells);
            match self {
                PassBy => show(|| stock.pass_by(seat)),
                Install => {
                    let now = boot_millis();
                    show(|| install(&stock, now))
                }
                Pause => show(|| stock.pause()),
                Resume => show(|| stock.resume()),
                GiveRows => show(|| give_other_rows(&stock)),
                RaiseLimit => show(|| raise_limit(&stock)),
                Eject => show(|| eject_if_bad(&stock)),
                _ => show(|| stock.reclaim(seat)),
            }
        }
        let (desk, _channel) = part.sit_down();
        self.play_worker(&desk)
    }

    /// Those that hold no lease.
    fn play_limit(self, desk: &Arc<Desk>) -> ! {
        let ask = || desk.ask(BREAKER, POLICY.rules, DUE).expect("a probe");
        match self {
            Enter => show(|| (desk.enter(HOST), desk.send(BACKEND, PAIR))),
            CountOut => {
                let counted = (desk.enter(HOST), desk.send(BACKEND, PAIR));
                show(|| drop(counted))
            }
            TakeProbe => show(ask),
            GiveProbeBack => {
                let asked = ask();
                show(|| drop(asked))
            }
            TellOfProbe => {
                let asked = ask();
                show(|| asked.tell(false, POLICY, DUE))
            }
            TellWithWindow => {
                let asked = ask();
                show(|| asked.tell(true, WITH_WINDOW, DUE))
            }
            _ => show(|| admit(desk)),
        }
    }

    fn play_worker(self, desk: &Arc<Desk>) -> ! {
        match self {
            Enter | CountOut | TakeProbe | GiveProbeBack | TellOfProbe | TellWithWindow | Admit => {
                self.play_limit(desk)
            }
            Acquire => show(|| desk.try_lease().expect("a free slot")),
            HoldBack => {
                let now = boot_millis();
                show(|| desk.look_at_deadlines(now))
            }
            Release => {
                let lease = desk.try_lease().expect("a free slot");
                show(|| drop(lease))
            }
            ReleaseToWaiter => {
                let mut leases = std::iter::from_fn(|| desk.try_lease());
                let first = leases.next();
                let _rest: Vec<_> = leases.collect();
                show(|| drop(first))
            }
            JoinAndWait | JoinAndTake => show(|| {
                let mut waiting = desk.join();
                let lease = look(&mut waiting);
                (lease, waiting)
            }),
            JoinBehindWindow | CollectIntoWindow => {
                let places = desk.window() + usize::from(self == CollectIntoWindow);
                let mut line: Vec<_> = (0..places).map(|_| desk.join()).collect();
                if self == JoinBehindWindow {
                    show(|| (desk.join(), line))
                }
                show(|| {
                    desk.answer_bell();
                    (look(&mut line[0]), line)
                })
            }
            _ => {
                let mut waiting = desk.join();
                match self {
                    Collect => show(|| {
                        desk.answer_bell();
                        (look(&mut waiting), waiting)
                    }),
                    CollectAndLeave => show(|| {
                        desk.answer_bell();
                        drop(waiting);
                    }),
                    HeartbeatAfterPassBy => show(|| {
                        desk.heartbeat();
                        (look(&mut waiting), waiting)
                    }),
                    _ => show(|| drop(waiting)),
                }
            }
        }
    }
}

/// Has all slots be floating ones, lent for long.
fn share_all(stock: &Stock) {
    for slot in (0..SLOTS).map(SlotIndex::new) {
        stock.take_out_of_use(slot);
        assert!(stock.set_tenure(slot, Some(Tenure::Floating)));
        stock.copy(slot, slot, Origin::NONE).expect("it fits");
    }
    lend_all(stock);
}

fn lend_all(stock: &Stock) {
    let never = Deadlines {
        lend_until: u64::MAX,
        cut_at: u64::MAX,
        kill_at: u64::MAX,
    };
    stock.set_deadlines(Tenure::Floating, never);
}

/// The clock is read before: whoever is walked through it step by step is never done with it, for it begins anew at each of
/// the system's ticks.
fn install(stock: &Stock, now: u64) {
    stock
        .install_drawn_at(SlotIndex::new(NEW), b"another token", Origin::NONE, now)
        .expect("it fits");
}
