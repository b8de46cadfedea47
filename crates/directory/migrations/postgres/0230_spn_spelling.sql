-- The name of a service principal as it was given; `spn` is compared. Empty in rows of before, whose spelling is not known.
ALTER TABLE service_principals ADD COLUMN spelling TEXT NOT NULL DEFAULT '';
