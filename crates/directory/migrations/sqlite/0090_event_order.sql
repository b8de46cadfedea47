-- Only PostgreSQL needs something here: SQLite has one writer at a time.
SELECT 1;
