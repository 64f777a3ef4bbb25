-- Meta: the version of the schema, and the timeline of the server.
--
-- Functions are the only door: they run with the rights of the schema's owner, so that a worker's role needs USAGE of the
-- schema and EXECUTE of the functions, and no right on a table. The names of functions end in their version. A later
-- migration adds f_v2 and keeps f_v1, so that old and new processes run side by side.

CREATE TABLE facturaonline.meta (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    version integer NOT NULL,
    -- Creates of an older timeline may be lost: a standby was promoted, or a backup was restored.
    timeline text NOT NULL DEFAULT '',
    timeline_since timestamptz NOT NULL DEFAULT '-infinity'
);

-- The clock of all functions. Tests replace it.
CREATE FUNCTION facturaonline.clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT pg_catalog.clock_timestamp() $$;

CREATE FUNCTION facturaonline.version_v1() RETURNS integer LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT version FROM facturaonline.meta $$;

-- The server's timeline: its system identifier, and the number that a promotion or a recovery to a point in time
-- increases. '' on a hosted server that hides both.
CREATE FUNCTION facturaonline.server_timeline() RETURNS text LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
    RETURN '';
END
$$;

-- The timeline, and the moment since which it is known. A changed one is recorded.
CREATE FUNCTION facturaonline.timeline_v1(OUT name text, OUT since timestamptz) LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    current text := facturaonline.server_timeline();
BEGIN
    SELECT m.timeline, m.timeline_since INTO name, since FROM facturaonline.meta AS m;
    IF current IN ('', name) THEN
        RETURN;
    END IF;
    UPDATE facturaonline.meta AS m SET timeline = current, timeline_since = facturaonline.clock()
        WHERE m.timeline <> current;
    SELECT m.timeline, m.timeline_since INTO name, since FROM facturaonline.meta AS m;
END
$$;
