//! Events about rows of the database that were refused, because they are not authentic.

use crate::audit::events::{Actor, NewEvent};
use crate::directory::Directory;
use crate::error::Result;
use crate::sealing::row_tags::RefusedRow;
use crossrealm_types::EventOutcome;

impl Directory {
    /// Records an event for each row that was refused for the first time.
    pub(crate) async fn report_refused_rows(&self) -> Result<()> {
        let refused = self.sealer().rows().take_refused();
        if refused.is_empty() {
            return Ok(());
        }
        for row in &refused {
            tracing::error!(
                table = row.table.as_str(),
                id = hex::encode(&row.id),
                "a row that grants rights is not authentic: somebody else wrote to the database"
            );
        }
        self.record_events(refused.iter().map(event).collect())
            .await
    }
}

fn event(row: &RefusedRow) -> NewEvent {
    let table = row.table.as_str();
    NewEvent {
        outcome: EventOutcome::Refused,
        reason: "row-not-authentic".into(),
        target: format!("{table} {}", hex::encode(&row.id)),
        detail: format!(
            "the database holds a {table} that this installation did not write, or that was changed; it grants nothing"
        ),
        ..NewEvent::audit(&Actor::local("database"), row.tenant, "row.refuse")
    }
}
