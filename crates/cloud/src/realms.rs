//! The tenant of each realm: for Kerberos over TCP and UDP, where no URL names the tenant.

use crossrealm_directory::{Directory, Page, Result};
use crossrealm_kdc::TenantId;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long the list is used before it is read again: a new tenant is served within this.
const FRESH: Duration = Duration::from_secs(1);
/// The most pages of tenants that are read.
const MAX_PAGES: usize = 100;

/// The realms of all tenants, read at most once a second, however many unknown realms clients ask for.
#[derive(Default)]
pub(crate) struct Realms {
    known: Mutex<Option<Known>>,
}

struct Known {
    read_at: Instant,
    by_realm: HashMap<String, TenantId>,
}

impl Realms {
    /// The tenant with this realm, compared without case.
    pub(crate) async fn tenant(
        &self,
        directory: &Directory,
        realm: &str,
    ) -> Result<Option<TenantId>> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|k| k.read_at.elapsed() < FRESH) {
            return Ok(known.tenant(realm));
        }
        let read = Known {
            read_at: Instant::now(),
            by_realm: read(directory).await?,
        };
        Ok(known.insert(read).tenant(realm))
    }
}

impl Known {
    fn tenant(&self, realm: &str) -> Option<TenantId> {
        self.by_realm.get(&realm.to_uppercase()).copied()
    }
}

async fn read(directory: &Directory) -> Result<HashMap<String, TenantId>> {
    let mut by_realm = HashMap::new();
    let mut page = Page::first();
    for _ in 0..MAX_PAGES {
        let tenants = directory.tenants(&page).await?;
        let pairs = tenants
            .items
            .into_iter()
            .map(|t| (t.realm.to_uppercase(), t.id));
        by_realm.extend(pairs);
        page.after = tenants.next;
        if page.after.is_none() {
            break;
        }
    }
    Ok(by_realm)
}
