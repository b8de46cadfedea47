-- Why the last agent of a domain's sync gave up; NULL after a successful run.
ALTER TABLE domains ADD COLUMN sync_problem TEXT;
