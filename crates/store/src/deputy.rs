//! Who stands in for whom must lead nowhere back (R6).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crm::Error;

use crate::{database::args, failure::Outcome, repository::expect_there, writer::Writing};

/// Refuses a deputy who does not exist, and one whose own deputies would lead back to the user at some moment of
/// this time (microseconds UTC).
pub(crate) async fn expect_sound(
    writing: &mut Writing,
    user: i64,
    deputy: Option<i64>,
    (from, until): (i64, i64),
) -> Outcome<()> {
    let Some(deputy) = deputy else { return Ok(()) };
    expect_there(writing, "users", "deputy", Some(deputy)).await?;
    let mut next: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let sql = "SELECT id, deputy FROM users WHERE deputy IS NOT NULL AND removed_at IS NULL AND id <> $1 \
               UNION ALL SELECT user_id, deputy FROM absences WHERE deputy IS NOT NULL AND removed_at IS NULL \
               AND user_id <> $1 AND from_at < $2 AND until_at > $3";
    for mut row in writing.conn.rows(sql, &args![user, until, from]).await? {
        next.entry(row.int()?).or_default().push(row.int()?);
    }
    let Some(circle) = way(&next, deputy, user) else {
        return Ok(());
    };
    let mut names = Vec::with_capacity(circle.len());
    for id in circle {
        names.push(name(writing, id).await?);
    }
    let why = format!(
        "would close a circle: {}; choose somebody else, or change one of these deputies first",
        names.join(" → ")
    );
    Err(Error::invalid("deputy", why).into())
}

/// From the user by the deputy back to the user, if there is such a way.
fn way(next: &BTreeMap<i64, Vec<i64>>, deputy: i64, user: i64) -> Option<Vec<i64>> {
    let mut met = BTreeSet::from([deputy]);
    let mut ways = VecDeque::from([vec![user, deputy]]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == user {
            return Some(way);
        }
        for deputy in next.get(&last).into_iter().flatten() {
            if met.insert(*deputy) {
                ways.push_back(way.iter().copied().chain([*deputy]).collect());
            }
        }
    }
    None
}

async fn name(writing: &mut Writing, user: i64) -> Outcome<String> {
    let sql = "SELECT name FROM users WHERE id = $1";
    let row = writing.conn.rows(sql, &args![user]).await?.pop();
    Ok(row
        .map(|mut row| row.text())
        .transpose()?
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_by_its_shortest_way() {
        let next = BTreeMap::from([(2, vec![3, 4]), (3, vec![5]), (4, vec![1]), (5, vec![1])]);
        assert_eq!(way(&next, 2, 1), Some(vec![1, 2, 4, 1]));
        assert_eq!(
            way(&next, 1, 1),
            Some(vec![1, 1]),
            "nobody stands in for themselves"
        );
        assert_eq!(way(&next, 5, 6), None);
        let other = BTreeMap::from([(2, vec![3]), (3, vec![2])]);
        assert_eq!(
            way(&other, 2, 1),
            None,
            "a circle of others is not walked forever"
        );
    }
}
