//! Half a day of two hundred agents in virtual time: quiet hours and three rushes in which callers wait.

use std::time::{Duration, Instant};

use call::EventKind;
use model::Queue;
use tests::sim::{Centre, Intent, Setup, chance::Chance, company::Size, invariants::violations};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn two_hundred_agents_serve_half_a_day_with_rushes_in_order_and_nobody_waits_in_vain() {
    let mut chance = Chance::new(200);
    let mut setup = Setup::calm(200, 1);
    setup.size = Size {
        agents: 200,
        devices: (1, 1),
        lines: 4,
    };
    setup.moods = true;
    setup.callers = (600, 4 * HOUR);
    setup.dials = 200;
    let mut centre = Centre::new(chance.split(), &setup);
    for rush in [1, 2, 3] {
        for _ in 0..600 {
            let at = HOUR * rush + chance.millis(0, 30_000);
            let line = usize::try_from(chance.below(4)).unwrap_or(0);
            let intent = Intent::drawn(&mut chance);
            centre.place(at, line, intent);
        }
    }
    centre.change_directory(|directory| {
        for line in &mut directory.lines {
            line.queue = Some(Queue {
                most_waiting: 200,
                most_wait_secs: 120,
                announce_secs: 30,
                offers_call_back: true,
                overflow: None,
            });
        }
    });
    let begun = Instant::now();
    centre.run(4 * HOUR, |_| false);
    centre.run_until_quiet();
    let lived = begun.elapsed();
    assert_eq!(violations(&centre), Vec::<String>::new());
    let count = |wanted: fn(&EventKind) -> bool| {
        let journal = centre.world.journal.iter();
        journal.filter(|event| wanted(&event.kind)).count()
    };
    let queued = count(|kind| matches!(kind, EventKind::Queued { .. }));
    let talked = count(|kind| matches!(kind, EventKind::ConversationStarted { .. }));
    println!("{queued} waited, {talked} talked; lived in {lived:?}");
    assert!(queued > 200, "{queued} callers had to wait");
    assert!(talked > 1_200, "{talked} conversations");
}
