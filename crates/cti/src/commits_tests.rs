use std::time::Duration;

use call::EventKind;
use model::{CallId, EventId, Utc};

use super::*;

fn commit(call: i64, events: usize, began: Instant) -> Commit {
    let event = |n: usize| Event {
        id: EventId(call * 1_000 + n as i64),
        call: CallId(call),
        at: Utc::default(),
        kind: EventKind::LineAnswered,
    };
    Commit {
        effect: EffectId {
            call: CallId(call),
            number: 0,
        },
        events: (0..events).map(event).collect(),
        facts: OfferFacts::default(),
        shows_card: false,
        offer: None,
        audience: Needed::Is(Audience::default()),
        card: Needed::No,
        early: false,
        began,
        patience: Duration::ZERO,
        reading_since: began,
        seqs: None,
    }
}

fn calls(batch: &[Entry<Event>]) -> Vec<i64> {
    batch.iter().map(|entry| entry.event.call.0).collect()
}

#[test]
fn what_waits_is_written_together_and_handed_out_in_order() {
    let (mut commits, now) = (Commits::default(), Instant::now());
    let first = commits.push(commit(1, 2, now));
    commits.push(commit(2, 1, now));
    assert_eq!(calls(&commits.next_batch(now).unwrap()), [1, 1, 2]);
    commits.push(commit(3, 1, now));
    assert!(commits.next_batch(now).is_none(), "one batch at a time");
    assert_eq!(commits.batch_written(&[11, 12, 13]).len(), 2);
    assert_eq!(commits.waiting_events(), 1);

    commits.find(first).unwrap().card = Needed::Reading;
    assert!(commits.front().is_none(), "a card is awaited");
    commits.find(first).unwrap().card = Needed::Missing;
    let mut places = Vec::new();
    while commits.front().is_some() {
        places.extend(commits.pop().unwrap().seqs.unwrap());
    }
    assert_eq!(places, [11, 12, 13]);
    assert_eq!(calls(&commits.next_batch(now).unwrap()), [3]);
}

#[test]
fn what_is_in_no_hurry_waits_for_company_and_never_keeps_the_hurried_waiting() {
    let (mut commits, now) = (Commits::default(), Instant::now());
    let patient = Commit {
        patience: Duration::from_millis(20),
        ..commit(1, 1, now)
    };
    commits.push(patient);
    let soon = now + Duration::from_millis(5);
    assert!(commits.next_batch(soon).is_none());
    assert_eq!(commits.next_write(), Some(now + Duration::from_millis(20)));
    commits.push(commit(2, 1, soon));
    assert_eq!(calls(&commits.next_batch(soon).unwrap()), [1, 2]);
    assert_eq!(commits.next_write(), None, "one batch at a time");
}

#[test]
fn a_read_that_begins_late_has_its_time_and_is_given_up() {
    let (mut commits, began) = (Commits::default(), Instant::now());
    let ticket = commits.push(commit(1, 1, began));
    let later = began + Duration::from_secs(1);
    assert_eq!(commits.give_up_reads(later), 0);
    commits.find(ticket).unwrap().card = Needed::Reading;
    commits.begin_reading(ticket, later);
    assert_eq!(commits.give_up_reads(later), 0);
    assert_eq!(commits.give_up_reads(later + CARD_PATIENCE), 1);
}

#[test]
fn a_batch_is_bounded_but_never_splits_a_commit() {
    let (mut commits, now) = (Commits::default(), Instant::now());
    for call in 1..=3 {
        commits.push(commit(call, MOST_EVENTS_PER_BATCH / 2 + 1, now));
    }
    commits.push(commit(4, MOST_EVENTS_PER_BATCH + 1, now));
    for call in 1..=4 {
        let batch = commits.next_batch(now).unwrap();
        assert!(batch.iter().all(|entry| entry.event.call == CallId(call)));
        let places = vec![1; batch.len()];
        commits.batch_written(&places);
    }
    assert_eq!(commits.waiting_events(), 0);
}

#[test]
fn whoever_waits_too_long_is_late_once_and_marked_when_written() {
    let (mut commits, began) = (Commits::default(), Instant::now());
    commits.push(commit(1, 1, began));
    assert!(!commits.next_batch(began).unwrap()[0].late);
    commits.push(commit(2, 1, began));
    let now = began + COMMIT_PATIENCE;
    assert!(commits.next_late(now - Duration::from_millis(1)).is_none());
    let mut late = Vec::new();
    while let Some(commit) = commits.next_late(now) {
        late.push(commit.effect.call.0);
    }
    assert_eq!(late, [1, 2]);
    assert_eq!(commits.give_up_reads(now), 0);
    assert_eq!(commits.next_deadline(), None);
    commits.batch_written(&[1]);
    assert!(commits.next_batch(now).unwrap()[0].late);
}

#[test]
fn a_card_that_does_not_come_is_given_up() {
    let (mut commits, began) = (Commits::default(), Instant::now());
    let ticket = commits.push(commit(1, 1, began));
    commits.find(ticket).unwrap().card = Needed::Reading;
    assert_eq!(commits.next_deadline(), Some(began + CARD_PATIENCE));
    assert_eq!(commits.give_up_reads(began + CARD_PATIENCE), 1);
    assert_eq!(commits.next_deadline(), Some(began + COMMIT_PATIENCE));
    assert!(matches!(
        commits.find(ticket).unwrap().card,
        Needed::Missing
    ));
}

#[test]
fn a_refused_commit_does_not_take_others_with_it() {
    let (mut commits, now) = (Commits::default(), Instant::now());
    for call in 1..=3 {
        commits.push(commit(call, 1, now));
    }
    assert_eq!(commits.next_batch(now).unwrap().len(), 3);
    assert_eq!(commits.batch_refused(), None);
    assert_eq!(calls(&commits.next_batch(now).unwrap()), [1]);
    commits.batch_written(&[1]);
    for _ in 0..MOST_REFUSALS {
        assert_eq!(calls(&commits.next_batch(now).unwrap()), [2]);
        assert_eq!(commits.batch_refused(), None);
    }
    assert_eq!(calls(&commits.next_batch(now).unwrap()), [2]);
    let (lost, events) = commits.batch_refused().unwrap();
    assert_eq!((lost.call, events), (CallId(2), 1));
    assert_eq!(calls(&commits.next_batch(now).unwrap()), [3]);
}
