-- Whether the tenant may grant the object more than AD does, since its state in AD could not be read.
ALTER TABLE sync_failures ADD COLUMN exceeds BIGINT NOT NULL DEFAULT 0;
