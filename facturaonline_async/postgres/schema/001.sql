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
    timeline_since timestamptz NOT NULL DEFAULT 'epoch'
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

-- Quota: one row for each window and each hold, in microseconds of the server's clock. UNLOGGED: it needs no disk, and a
-- crash or a promotion empties it, which costs one start of each window at most.

CREATE UNLOGGED TABLE facturaonline.windows (
    name text PRIMARY KEY,
    at bigint NOT NULL -- the soonest next start of a window, or the end of a hold
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Reserves up to `wanted` starts in all windows at once. Starts of a window are per / (calls - burst) apart, and `burst`
-- of them may come at once; so no interval of `per` seconds holds more than `calls`.
--
-- windows: their names, sorted, so that no two leases wait for each other.
-- starts: microseconds from the answer. If fewer were reserved: retry_in, microseconds until the next one, and blocked_by,
-- the window or the held key that gives none before.
CREATE FUNCTION facturaonline.lease_v1(
    windows text[], calls integer[], per double precision[], burst integer[], held_key text, wanted integer,
    OUT starts integer[], OUT retry_in bigint, OUT blocked_by text
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    horizon CONSTANT bigint := 50000;
    count CONSTANT integer := cardinality(windows);
    next bigint[]; -- the soonest next start of each window
    gaps bigint[];
    slack bigint[]; -- what the starts that may come at once are worth
    held bigint;
    now_us bigint;
    start bigint;
BEGIN
    starts := '{}';
    retry_in := 0;
    blocked_by := '';
    -- Every lease takes its locks in one pass and in the same order, new rows as well: none waits for another's first lock
    -- while it holds a later one.
    IF count > (SELECT count(*) FROM facturaonline.windows AS w
                JOIN unnest(windows) AS u (name) ON w.name = 'rate ' || u.name) THEN
        INSERT INTO facturaonline.windows AS w (name, at)
            SELECT 'rate ' || u.name, extract(epoch FROM facturaonline.clock()) * 1000000
            FROM unnest(windows) WITH ORDINALITY AS u (name, number) ORDER BY u.number
            ON CONFLICT (name) DO UPDATE SET at = w.at;
    END IF;
    next := ARRAY(
        SELECT w.at FROM unnest(windows) WITH ORDINALITY AS u (name, number)
        JOIN facturaonline.windows AS w ON w.name = 'rate ' || u.name ORDER BY u.number FOR UPDATE OF w
    );
    IF cardinality(next) < count THEN
        RAISE serialization_failure; -- an old row was swept away meanwhile
    END IF;
    SELECT w.at INTO held FROM facturaonline.windows AS w WHERE w.name = 'hold ' || held_key;
    now_us := extract(epoch FROM facturaonline.clock()) * 1000000; -- after the wait for the rows
    FOR i IN 1..count LOOP
        gaps[i] := ceil(per[i] * 1000000 / greatest(1, calls[i] - burst[i]));
        slack[i] := gaps[i] * least(burst[i], calls[i] - 1);
        -- No lease reserves beyond the horizon: the clock was set back, and must not stop every process.
        IF next[i] > now_us + horizon + gaps[i] * (wanted + 1) THEN
            next[i] := now_us + horizon;
        END IF;
        next[i] := greatest(next[i], now_us - slack[i]);
    END LOOP;
    IF held > now_us + 3600000000 THEN
        held := now_us; -- longer than any hold
    END IF;
    FOR number IN 1..wanted LOOP
        start := greatest(now_us, held);
        FOR i IN 1..count LOOP
            start := greatest(start, next[i]);
        END LOOP;
        IF start - now_us > horizon THEN
            retry_in := start - now_us;
            blocked_by := CASE WHEN start = held THEN held_key ELSE windows[array_position(next, start)] END;
            EXIT;
        END IF;
        FOR i IN 1..count LOOP
            next[i] := greatest(next[i], start - slack[i]) + gaps[i];
        END LOOP;
        starts := starts || (start - now_us)::integer;
    END LOOP;
    IF cardinality(starts) > 0 THEN
        UPDATE facturaonline.windows AS w SET at = u.at FROM unnest(windows, next) AS u (name, at)
            WHERE w.name = 'rate ' || u.name;
    END IF;
END
$$;

-- Lets no lease of a key pair start before `seconds` are over. The longest hold counts.
CREATE FUNCTION facturaonline.hold_v1(held_key text, seconds double precision) RETURNS void LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    INSERT INTO facturaonline.windows AS w (name, at)
        VALUES ('hold ' || held_key, (extract(epoch FROM facturaonline.clock()) + least(seconds, 3600)) * 1000000)
        ON CONFLICT (name) DO UPDATE SET at = greatest(w.at, excluded.at)
    $$;

-- Creates: which objects may exist although lists do not show them. The row that begin makes is the lock of its key.
--
-- A mark (mark_v1) stands for a moment: a caller takes it, lists the objects, and begins. The begin is refused if the
-- list may be too old: the row changed since (its transaction is not visible in the mark's snapshot), or was pending at
-- that moment. A row stays for ten days after it has expired, and a mark is good for one day, so that a deleted row
-- never looks like one that never was.

CREATE TABLE facturaonline.creates (
    key bytea PRIMARY KEY, -- hash of host, kind, owner and natural key
    scope bytea NOT NULL, -- hash of host, kind and owner
    state text NOT NULL CHECK (state IN ('intent', 'unknown', 'done', 'unresolved', 'ended')),
    uid text,
    before text, -- uid of the earlier object of the key, which is not the created one
    is_adopted boolean NOT NULL DEFAULT false,
    until timestamptz NOT NULL, -- lists must show the object from then on
    expires timestamptz NOT NULL, -- the row is pending until then; a day later if the API said yes without a uid
    nonce text NOT NULL, -- of the create that the row is about, or ''
    attempt bigint NOT NULL, -- number of the attempt of this create in its process
    earlier jsonb NOT NULL DEFAULT '[]', -- rows that a create replaced while they were pending, the newest first
    changed_by xid8 NOT NULL -- transaction of the last change
) WITH (fillfactor = 50);
CREATE INDEX creates_uid ON facturaonline.creates (scope, uid) WHERE uid IS NOT NULL;

-- Moments are microseconds of the server's clock since 1970.
CREATE FUNCTION facturaonline.microseconds(moment timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE
    AS $$ SELECT (extract(epoch FROM moment) * 1000000)::bigint $$;

CREATE FUNCTION facturaonline.moment(microseconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    AS $$ SELECT timestamptz '1970-01-01 00:00:00+00' + microseconds * interval '1 us' $$;

-- What begin_v1 compares. Take it before the list is read.
CREATE FUNCTION facturaonline.mark_v1(OUT timeline text, OUT timeline_since bigint, OUT snapshot text, OUT at bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    t record;
BEGIN
    t := facturaonline.timeline_v1();
    timeline := t.name;
    timeline_since := facturaonline.microseconds(t.since);
    snapshot := pg_current_snapshot();
    at := facturaonline.microseconds(facturaonline.clock());
END
$$;

-- The pending creates among these keys.
CREATE FUNCTION facturaonline.look_v1(keys bytea[])
    RETURNS TABLE (key bytea, state text, seconds double precision, uid text, is_adopted boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    now_ CONSTANT timestamptz := facturaonline.clock();
BEGIN
    RETURN QUERY SELECT c.key, c.state, extract(epoch FROM c.until - now_)::double precision, c.uid, c.is_adopted
        FROM facturaonline.creates AS c WHERE c.key = ANY (keys) AND c.state <> 'ended' AND c.expires > now_;
END
$$;

-- Deletes rows that no mark can be about any more, and windows that were not used for as long; some of them.
CREATE FUNCTION facturaonline.sweep() RETURNS void LANGUAGE sql VOLATILE
    AS $$
    DELETE FROM facturaonline.creates WHERE key IN (
        SELECT c.key FROM facturaonline.creates AS c WHERE c.expires < facturaonline.clock() - interval '10 days'
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    DELETE FROM facturaonline.windows WHERE name IN (
        SELECT w.name FROM facturaonline.windows AS w
        WHERE w.at < facturaonline.microseconds(facturaonline.clock() - interval '10 days')
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    $$;

-- Records a create before its first byte, durably. Not begun: look and list again. `before` belongs to the create, and
-- end_v1 gets it back.
--
-- settle: seconds from now after which lists must show the object, if it is sent as late as it may be.
-- mark_...: from mark_v1; NULL: never refuse.
CREATE FUNCTION facturaonline.begin_v1(
    key bytea, scope bytea, nonce text, attempt bigint, settle double precision,
    mark_timeline text, mark_snapshot text, mark_at bigint, OUT is_begun boolean, OUT before text
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    is_anyway CONSTANT boolean := mark_snapshot IS NULL;
    listed CONSTANT timestamptz := facturaonline.moment(mark_at);
    now_ CONSTANT timestamptz := facturaonline.clock();
    until_ CONSTANT timestamptz := now_ + settle * interval '1 s';
    timeline record;
BEGIN
    -- The default of a database or a role may be less.
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    timeline := facturaonline.timeline_v1(); -- also records a changed one
    IF NOT is_anyway AND (
        timeline.name <> mark_timeline
        OR listed < timeline.since + settle * interval '1 s'
        OR listed < now_ - interval '1 day'
    ) THEN
        is_begun := false;
        RETURN;
    END IF;
    IF random() < 0.001 THEN
        PERFORM facturaonline.sweep();
    END IF;
    INSERT INTO facturaonline.creates AS c (key, scope, state, until, expires, nonce, attempt, changed_by)
        VALUES (begin_v1.key, begin_v1.scope, 'intent', until_, until_, begin_v1.nonce, begin_v1.attempt,
                pg_current_xact_id())
        ON CONFLICT ON CONSTRAINT creates_pkey DO UPDATE SET
            state = 'intent', uid = NULL, is_adopted = false, until = excluded.until, expires = excluded.expires,
            nonce = excluded.nonce, attempt = excluded.attempt, changed_by = excluded.changed_by,
            before = CASE
                WHEN c.nonce = excluded.nonce THEN c.before
                WHEN c.state <> 'ended' AND c.expires > now_ THEN coalesce(c.uid, c.before)
            END,
            earlier = CASE
                WHEN c.nonce = excluded.nonce THEN c.earlier
                WHEN c.state <> 'ended' AND c.expires > now_ THEN to_jsonb(c) - '{earlier, key, scope}'::text[] || c.earlier
                ELSE '[]'
            END
        WHERE is_anyway
            -- One's own, whose answer was lost or whose attempt was certainly not done. An attempt that was given up is
            -- not carried out after a later one.
            OR (c.nonce = excluded.nonce AND c.state = 'intent' AND c.attempt <= excluded.attempt)
            OR (pg_visible_in_snapshot(c.changed_by, mark_snapshot::pg_snapshot)
                AND (c.state = 'ended' OR c.expires <= listed))
        RETURNING c.before INTO before;
    is_begun := FOUND;
END
$$;

-- Records how a create ended. A crash of the server may lose it, because it does not wait for the disk: the row is then
-- an open create again until it expires.
--
-- state: 'planned' or 'failed': certainly not done. settle: seconds from now after which lists must show the object.
CREATE FUNCTION facturaonline.end_v1(
    key bytea, nonce text, attempt bigint, before text, state text, uid text, settle double precision
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    c facturaonline.creates;
    is_not_done CONSTANT boolean := end_v1.state IN ('planned', 'failed');
    is_current boolean;
    is_pending boolean;
    now_ timestamptz;
    place integer; -- of this create among the earlier ones, or of one that is still pending
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO c FROM facturaonline.creates AS r WHERE r.key = end_v1.key FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    now_ := facturaonline.clock();
    is_current := c.nonce = end_v1.nonce AND c.attempt = end_v1.attempt;
    is_pending := c.state <> 'ended' AND c.expires > now_;
    IF NOT is_current AND (is_not_done OR (is_pending AND c.state = 'intent')) THEN
        -- Another create has replaced this one; only what the row remembers of it changes.
        SELECT e.number - 1 INTO place FROM jsonb_array_elements(c.earlier) WITH ORDINALITY AS e (value, number)
            WHERE e.value ->> 'nonce' = end_v1.nonce AND (e.value ->> 'attempt')::bigint = end_v1.attempt;
        IF place IS NULL THEN
            RETURN;
        ELSIF is_not_done THEN
            c.earlier := c.earlier - place;
        ELSE
            c.earlier := jsonb_set(c.earlier, ARRAY[place::text], c.earlier -> place || jsonb_build_object(
                'state', end_v1.state, 'uid', end_v1.uid, 'until', now_ + end_v1.settle * interval '1 s',
                'expires', facturaonline.expiry(now_ + end_v1.settle * interval '1 s', end_v1.state, end_v1.uid)
            ));
        END IF;
    ELSIF is_not_done THEN
        SELECT e.number - 1 INTO place FROM jsonb_array_elements(c.earlier) WITH ORDINALITY AS e (value, number)
            WHERE (e.value ->> 'expires')::timestamptz > now_ ORDER BY e.number LIMIT 1;
        IF place IS NULL THEN
            c.state := 'ended';
            c.uid := NULL;
            c.expires := now_;
            c.earlier := '[]';
        ELSE -- the create before this one is still pending
            c := jsonb_populate_record(c, c.earlier -> place || jsonb_build_object('earlier', (
                SELECT coalesce(jsonb_agg(e.value ORDER BY e.number), '[]')
                FROM jsonb_array_elements(c.earlier) WITH ORDINALITY AS e (value, number) WHERE e.number > place + 1
            )));
        END IF;
    ELSIF NOT is_current AND is_pending AND c.state IN ('done', 'unresolved') AND end_v1.state = 'unknown' THEN
        RETURN; -- more is known already
    ELSE
        c.state := end_v1.state;
        c.uid := end_v1.uid;
        c.before := end_v1.before;
        c.is_adopted := false;
        c.until := now_ + end_v1.settle * interval '1 s';
        c.expires := facturaonline.expiry(c.until, c.state, c.uid);
        c.nonce := end_v1.nonce;
        c.attempt := end_v1.attempt;
        c.earlier := '[]';
    END IF;
    UPDATE facturaonline.creates AS r SET
        state = c.state, uid = c.uid, before = c.before, is_adopted = c.is_adopted, until = c.until,
        expires = c.expires, nonce = c.nonce, attempt = c.attempt, earlier = c.earlier,
        changed_by = pg_current_xact_id()
        WHERE r.key = end_v1.key;
END
$$;

-- Until when a row is pending. The API confirmed an object without a uid: a list that lacks it is wrong. The row still
-- expires, because an object that is never listed may have been deleted elsewhere.
CREATE FUNCTION facturaonline.expiry(until timestamptz, state text, uid text) RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT until + CASE WHEN uid IS NULL AND state IN ('done', 'unresolved') THEN interval '1 day'
                              ELSE interval '0' END $$;

-- Records that a list or a read showed the object. Lists may lack it again for `settle` seconds.
CREATE FUNCTION facturaonline.see_v1(key bytea, scope bytea, uid text, settle double precision) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    c facturaonline.creates;
    is_pending boolean;
    now_ timestamptz := facturaonline.clock();
    until_ timestamptz := now_ + see_v1.settle * interval '1 s';
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO facturaonline.creates (key, scope, state, uid, is_adopted, until, expires, nonce, attempt, changed_by)
        VALUES (see_v1.key, see_v1.scope, 'done', see_v1.uid, true, until_, until_, '', 0, pg_current_xact_id())
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO c FROM facturaonline.creates AS r WHERE r.key = see_v1.key FOR UPDATE;
    now_ := facturaonline.clock();
    is_pending := c.state <> 'ended' AND c.expires > now_;
    IF is_pending AND (c.before = see_v1.uid OR (c.uid = see_v1.uid AND c.state IN ('done', 'unresolved'))) THEN
        RETURN; -- the object before the pending create, or nothing new
    END IF;
    IF NOT is_pending OR c.uid <> see_v1.uid THEN
        c.is_adopted := true;
        c.before := NULL;
        c.until := now_ + see_v1.settle * interval '1 s';
    END IF; -- else it is the object of the pending create, and as old as that create
    UPDATE facturaonline.creates AS r SET
        state = 'done', uid = see_v1.uid, before = c.before, is_adopted = c.is_adopted, until = c.until,
        expires = c.until, nonce = '', attempt = 0, earlier = '[]', changed_by = pg_current_xact_id()
        WHERE r.key = see_v1.key;
END
$$;

-- Drops the uid of a confirmed create, because it belongs to another object: a person may have to decide.
CREATE FUNCTION facturaonline.drop_uid_v1(key bytea, uid text, settle double precision) RETURNS void LANGUAGE plpgsql
    VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    until_ CONSTANT timestamptz := facturaonline.clock() + drop_uid_v1.settle * interval '1 s';
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE facturaonline.creates AS c SET state = 'unresolved', uid = NULL, is_adopted = false, until = until_,
            expires = facturaonline.expiry(until_, 'unresolved', NULL), nonce = '', attempt = 0, earlier = '[]',
            changed_by = pg_current_xact_id()
        WHERE c.key = drop_uid_v1.key AND c.uid = drop_uid_v1.uid AND c.state IN ('done', 'unresolved')
            AND c.expires > facturaonline.clock();
END
$$;

-- Drops the record of an object that was deleted.
CREATE FUNCTION facturaonline.forget_v1(scope bytea, uid text) RETURNS void LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE facturaonline.creates AS c SET state = 'ended', uid = NULL, expires = facturaonline.clock(), nonce = '',
            attempt = 0, earlier = '[]', changed_by = pg_current_xact_id()
        WHERE c.scope = forget_v1.scope AND c.uid = forget_v1.uid AND c.state <> 'intent';
END
$$;

-- Begins the settle time that follows a lost record of creates: a dump was restored, or rows were deleted.
CREATE FUNCTION facturaonline.restored_v1() RETURNS void LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ UPDATE facturaonline.meta SET timeline_since = facturaonline.clock() $$;

-- What `facturaonline postgres status` shows. changed: seconds since the timeline changed, within the last day.
CREATE FUNCTION facturaonline.status_v1(
    OUT is_timeline_hidden boolean, OUT changed double precision, OUT in_flight bigint, OUT unknown bigint,
    OUT known bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    now_ CONSTANT timestamptz := facturaonline.clock();
    since CONSTANT timestamptz := (SELECT t.since FROM facturaonline.timeline_v1() AS t);
BEGIN
    is_timeline_hidden := facturaonline.server_timeline() = '';
    IF since > now_ - interval '1 day' THEN
        changed := extract(epoch FROM now_ - since);
    END IF;
    SELECT count(*) FILTER (WHERE c.state = 'intent'), count(*) FILTER (WHERE c.state = 'unknown'),
           count(*) FILTER (WHERE c.state IN ('done', 'unresolved'))
        INTO in_flight, unknown, known FROM facturaonline.creates AS c WHERE c.state <> 'ended' AND c.expires > now_;
END
$$;
