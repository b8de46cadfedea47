//! Opening, creating and refusing databases.

use crate::support::assert_fails;
use crate::support::{World, create, installation, open};
use crossrealm_directory::{Directory, DirectoryError, MasterKey, MasterKeyError, Page};
use sqlx::Connection as _;
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
    again.check_ready().await.unwrap();
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
            Directory::open(url, key(), installation()).await,
            DirectoryError::Open { .. }
        );
    }
    let missing = folder.path().join("no/such/folder/x.db");
    for result in [
        open(&file_url(&missing), 7).await,
        create(&file_url(&missing), 7).await,
    ] {
        assert_fails!(result, DirectoryError::Open { .. });
    }
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "this is not a database ".repeat(500)).unwrap();
    assert_fails!(
        open(&file_url(&garbage), 7).await,
        DirectoryError::Open { .. }
    );
}

/// What keeps the file from being opened is named, with a next step that is about files.
#[tokio::test]
async fn the_obstacle_in_front_of_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "no folder").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    std::fs::write(path("garbage"), "this is not a database ".repeat(500)).unwrap();
    for (opened, named, step) in [
        ("missing/deep/x.db", "missing", "disk is mounted"),
        ("file/x.db", "file/x.db", "disk is mounted"),
        ("folder", "folder", "must name a file"),
        ("garbage", "garbage", "restore your backup"),
    ] {
        let error = open(&file_url(&path(opened)), 7).await.err().unwrap();
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        assert!(text.contains(&path(named).display().to_string()), "{text}");
        assert!(hint.contains(step), "{text}: {hint}");
        assert!(!hint.contains("server"), "{text}: {hint}");
    }
}

#[tokio::test]
async fn paths_with_special_characters_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b?c%20d#ä.db");
    let directory = create(&file_url(&path), 7).await.unwrap();
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

/// R3: only [`Directory::create`] fills an empty database. An empty one in the place of a full one is refused and stays empty,
/// and so is one whose tables were restored without what makes it an installation.
#[tokio::test]
async fn an_empty_database_does_not_become_an_installation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.db");
    let error = open(&file_url(&path), 7).await.err().unwrap();
    assert!(matches!(error, DirectoryError::Open { .. }), "{error:?}");
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    let error = open(&file_url(&path), 7).await.err().unwrap();
    assert!(
        matches!(error, DirectoryError::StoreEmpty { .. }),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("new installation"));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    std::fs::remove_file(&path).unwrap();

    let made = create(&file_url(&path), 7).await.unwrap();
    made.close().await;
    let mut raw = sqlx::AnyConnection::connect(&file_url(&path))
        .await
        .unwrap();
    sqlx::query("DELETE FROM meta")
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    assert_fails!(
        open(&file_url(&path), 7).await,
        DirectoryError::StoreEmpty { .. }
    );
    assert_fails!(
        create(&file_url(&path), 7).await,
        DirectoryError::StoreInUse { .. }
    );
}

/// R3: the id of the installation is that of its database, wherever it is opened; another one has another, and one that was
/// made before there were ids gets its own at the first start.
#[tokio::test]
async fn an_installation_keeps_its_id() {
    let (world, other) = (World::new().await, World::new().await);
    let id = world.directory.installation_id();
    assert_ne!(id, other.directory.installation_id());
    assert_eq!(world.other_node().await.installation_id(), id);
    sqlx::query("DELETE FROM meta WHERE name = 'installation_id'")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let renewed = world.other_node().await.installation_id();
    assert_ne!(renewed, id);
    assert_eq!(world.other_node().await.installation_id(), renewed);
}

/// R6: a backup that was copied over the database alone is refused while the write-ahead log of the database before lies beside
/// it, and nothing is changed; the crashed database itself is opened.
#[tokio::test]
async fn a_write_ahead_log_of_another_database_is_refused() {
    let world = World::new().await;
    if !world.path().exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let fill = async |from: u32| {
        for n in from..from + 20 {
            world.tenant(&format!("t{n}")).await;
        }
    };
    let checkpoint = async || {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut world.raw().await)
            .await
            .unwrap();
    };
    fill(0).await;
    checkpoint().await;
    std::fs::copy(world.path(), file("backup")).unwrap();
    fill(20).await;
    checkpoint().await;
    world.tenant("last").await;
    // As a crash leaves them.
    let log = format!("{}-wal", world.path().display());
    let crash = |database: &str| {
        std::fs::copy(database, file("d.db")).unwrap();
        std::fs::copy(&log, file("d.db-wal")).unwrap();
        let _ = std::fs::remove_file(file("d.db-shm"));
    };
    crash(&file("backup").display().to_string());
    let bytes = || ["d.db", "d.db-wal"].map(|name| std::fs::read(file(name)).unwrap());
    let before = bytes();
    let error = open(&file_url(&file("d.db")), 7).await.err().unwrap();
    assert!(error.to_string().contains("write-ahead log"), "{error}");
    assert!(error.hint().unwrap().contains("-wal"), "{error}");
    assert!(bytes() == before, "the refused files were changed");
    std::fs::remove_file(file("d.db-wal")).unwrap();
    open(&file_url(&file("d.db")), 7)
        .await
        .unwrap()
        .close()
        .await;

    crash(&world.path().display().to_string());
    let again = open(&file_url(&file("d.db")), 7).await.unwrap();
    again.find_tenant("last").await.unwrap();
    again.close().await;
}
