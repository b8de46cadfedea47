-- What the actor of an event is; empty in events of before. Refusals are a class of their own, kept apart from changes and tickets.
ALTER TABLE events ADD COLUMN actor_kind TEXT NOT NULL DEFAULT '';
UPDATE events SET category = category || '.refused' WHERE outcome <> 'done' AND category IN ('ticket', 'audit');
