//! Opening, creating and refusing databases.

use crate::support::assert_fails;
use crate::support::{World, open};
use crossrealm_directory::{Directory, DirectoryError, MasterKey, MasterKeyError, Page};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn file_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[tokio::test]
async fn records_survive_reopening() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    world.directory.close().await;
    let again = open(world.url(), 7).await.unwrap();
    assert_eq!(again.tenant(tenant.id).await.unwrap(), tenant);
    again.ping().await.unwrap();
}

#[tokio::test]
async fn another_master_key_is_refused() {
    let world = World::new().await;
    world.directory.close().await;
    let error = open(world.url(), 8).await.err().unwrap();
    assert!(error.hint().is_some());
    assert!(matches!(
        error,
        DirectoryError::MasterKey(MasterKeyError::Wrong { .. })
    ));
    assert!(open(world.url(), 7).await.is_ok());
}

#[tokio::test]
async fn an_edited_key_check_is_refused() {
    let world = World::new().await;
    world.directory.close().await;
    sqlx::query("UPDATE meta SET value = $1 WHERE name = 'master_key_check'")
        .bind(vec![1u8, 2, 3, 4])
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    assert_fails!(open(world.url(), 7).await, DirectoryError::Seal(_));
}

#[tokio::test]
async fn files_are_private() {
    let world = World::new().await;
    world.tenant("contoso").await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", world.path().display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path}");
    }
}

#[tokio::test]
async fn files_that_are_not_a_directory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = || MasterKey::from_bytes([7; 32]);
    for url in ["", "sqlite:", "mysql://x", "/tmp/x"] {
        assert_fails!(
            Directory::open(url, key()).await,
            DirectoryError::Open { .. }
        );
    }
    let missing = folder.path().join("no/such/folder/x.db");
    assert_fails!(
        open(&file_url(&missing), 7).await,
        DirectoryError::Open { .. }
    );
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "this is not a database ".repeat(500)).unwrap();
    assert_fails!(
        open(&file_url(&garbage), 7).await,
        DirectoryError::Open { .. }
    );
}

#[tokio::test]
async fn paths_with_special_characters_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b?c%20d#ä.db");
    let directory = open(&file_url(&path), 7).await.unwrap();
    assert!(path.exists());
    directory.tenants(&Page::first()).await.unwrap();
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| !entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("a b?c%20d#ä.db"))
            .count(),
        0
    );
}
