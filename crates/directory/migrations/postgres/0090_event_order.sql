-- Who follows events by their sequence must never find an older one later. A sequence is taken when an event is inserted and
-- seen when its transaction ends, so only one transaction at a time, on whichever node, may hold events that are not
-- committed. Its tenant is locked before, so that nobody waits in a circle.
CREATE FUNCTION one_writer_of_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'63726f7373'::bigint);
    RETURN NULL;
END
$$;
CREATE TRIGGER one_writer_of_events BEFORE INSERT ON events
    FOR EACH STATEMENT EXECUTE FUNCTION one_writer_of_events();
