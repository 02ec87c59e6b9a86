//! One agent at one line, whose calls are missed or answered, and what is owed then.

use call::Event;
use crm::{
    Journal, Journalled, Obligation, ObligationFilter, ObligationState, Obligations, PageRequest,
};
use model::{CallId, LineId, ObligationId, UserId};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use store::Store;

use crate::scene::{Kind, Scene, Script, line, scene, user};

/// A company with one line and one agent.
pub(crate) struct Desk {
    scene: Scene,
    pub(crate) line: LineId,
    pub(crate) anna: UserId,
}

impl Desk {
    pub(crate) async fn new(kind: Kind) -> Self {
        let scene = scene(kind).await;
        let line = line(&scene.store, "+74950000001").await.id;
        let anna = user(&scene.store, "Anna").await.id;
        Self { scene, line, anna }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.scene.store
    }

    pub(crate) async fn script(&self, number: &str) -> Script {
        Script::new(self.store(), number, self.line, self.anna).await
    }

    pub(crate) async fn miss(&self, number: &str) -> CallId {
        self.script(number).await.miss(self.store()).await.call
    }

    /// A conversation with `number`, whoever called.
    pub(crate) async fn talk(&self, number: &str, talk_ms: u64, direction: &str) -> CallId {
        let mut script = self.script(number).await;
        let mut facts = vec![script.arrived(), script.offered(0)];
        facts.extend(script.answered());
        self.store().append(facts).await.unwrap();
        if direction != "inbound" {
            let turned = format!(
                "UPDATE calls SET direction = '{direction}', number_to = number_from, \
                 number_from = '+74950000001' WHERE id = {}",
                script.call
            );
            self.by_hand(&turned).await;
        }
        let ended = script.ended(talk_ms);
        self.store().append(vec![ended]).await.unwrap();
        script.call
    }

    /// What no fact of today brings about.
    pub(crate) async fn by_hand(&self, sql: &str) {
        let url = &self.scene.place.url;
        if let Some(path) = url.strip_prefix("sqlite:") {
            let mut conn = SqliteConnection::connect(path).await.unwrap();
            conn.execute(sqlx::raw_sql(sql)).await.unwrap();
        } else {
            let mut conn = PgConnection::connect(url).await.unwrap();
            conn.execute(sqlx::raw_sql(sql)).await.unwrap();
        }
    }

    pub(crate) async fn list(&self, filter: ObligationFilter) -> Vec<Obligation> {
        let page = PageRequest::default();
        let page = Obligations::list(self.store(), &filter, &page).await;
        page.unwrap().items
    }

    pub(crate) async fn open(&self) -> Vec<Obligation> {
        self.list(ObligationFilter {
            state: Some(ObligationState::Open),
            ..ObligationFilter::default()
        })
        .await
    }

    pub(crate) async fn the_open_one(&self) -> Obligation {
        let mut open = self.open().await;
        assert_eq!(open.len(), 1, "{open:?}");
        open.remove(0)
    }

    pub(crate) async fn read(&self, id: ObligationId) -> Obligation {
        Obligations::read(self.store(), id).await.unwrap()
    }

    /// The facts that the journal made itself.
    pub(crate) async fn made(&self) -> Vec<Journalled<Event>> {
        let entries = self.store().read_after(0, 1_000).await.unwrap();
        let own = |it: &Journalled<Event>| it.event.kind.name().starts_with("obligation.");
        entries.into_iter().filter(own).collect()
    }

    pub(crate) async fn made_names(&self) -> Vec<&'static str> {
        let made = self.made().await;
        made.iter().map(|it| it.event.kind.name()).collect()
    }
}
