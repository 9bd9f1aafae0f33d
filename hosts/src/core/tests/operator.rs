//! What an operator does to the sessions of hosts that are gone.
use super::life::{right, started};
use super::world::World;
use crate::deadlines::SECOND;
use crate::event::Command;
use crate::order::Denied;
use crate::status::HostState;

#[test]
fn an_operator_gives_and_releases() {
    let mut world = started(2, 10);
    let command = |world: &mut World, command: Command| {
        world.command(0, command)?;
        world.settle();
        Ok::<(), Denied>(())
    };
    let before = world.lent_at(1);
    assert_eq!(
        command(
            &mut world,
            Command::Give {
                count: 3,
                to: "host7".to_owned()
            }
        ),
        Err(Denied::NoSuchHost("host7".to_owned()))
    );
    assert_eq!(
        command(
            &mut world,
            Command::Release {
                name: "host1".to_owned()
            }
        ),
        Err(Denied::Alive("host1".to_owned()))
    );
    command(
        &mut world,
        Command::Give {
            count: 2,
            to: "host1".to_owned(),
        },
    )
    .expect("it can");
    world.pass(3, SECOND);
    assert_eq!(world.lent_at(1), before + 2);
    world.hosts[1].kill();
    world.pass(16, SECOND);
    command(
        &mut world,
        Command::Release {
            name: "host1".to_owned(),
        },
    )
    .expect("it is silent");
    world.pass(3, SECOND);
    let now = world.hosts[0].clock(world.time);
    let status = world.hosts[0].core.as_ref().expect("it runs").status(now);
    assert_eq!(status.hosts[1].state, HostState::Off);
    assert_eq!(world.lent_at(0), 20);
    right(&world);
}
