-- The name of a share as it was given; `name` is compared, and has no case. Empty in rows of before, which were in lower case.
ALTER TABLE shares ADD COLUMN spelling TEXT NOT NULL DEFAULT '';
