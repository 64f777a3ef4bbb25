-- Journals: what each run has sent. It holds RFCs, letras, uids, states, reasons and salted hashes; no payload, no key and
-- no password.
--
-- One process at a time has a journal. A take gives it a token, and the process brings a random text (`holder`): a
-- promoted standby may give the same token a second time. Every call that writes first locks the run's row and compares
-- both. So a take waits for a write that is under way, and after it no write of the process before succeeds.

CREATE TABLE facturaonline.runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 200),
    salt bytea NOT NULL,
    account bytea NOT NULL, -- salted hash of the fingerprint of the main keys
    host text NOT NULL,
    created timestamptz NOT NULL,
    token bigint NOT NULL DEFAULT 0,
    holder text, -- NULL: free
    beat timestamptz NOT NULL DEFAULT 'epoch',
    lease double precision NOT NULL DEFAULT 0, -- seconds of silence after which another process may take it
    timeline text NOT NULL DEFAULT '', -- that of the last take: its name, and since when it is known
    gap text NOT NULL DEFAULT '' -- why creates may be lost: 'timeline', or ''
) WITH (fillfactor = 50);

CREATE TABLE facturaonline.takes (
    run bigint NOT NULL REFERENCES facturaonline.runs ON DELETE CASCADE,
    token bigint NOT NULL,
    machine text NOT NULL,
    pid bigint NOT NULL,
    began timestamptz NOT NULL,
    ended timestamptz,
    PRIMARY KEY (run, token)
);

CREATE TABLE facturaonline.steps (
    run bigint NOT NULL REFERENCES facturaonline.runs ON DELETE CASCADE,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    number integer NOT NULL CHECK (number >= 0),
    owner text NOT NULL COLLATE "C",
    kind text NOT NULL COLLATE "C",
    natural_key text NOT NULL COLLATE "C",
    state text NOT NULL
        CHECK (state IN ('planned', 'intent', 'unknown', 'done', 'failed', 'conflict', 'unresolved')),
    origin text CHECK (origin IN ('created', 'adopted', 'updated')),
    uid text,
    due timestamptz, -- NULL is 0
    sends integer NOT NULL DEFAULT 0 CHECK (sends >= 0),
    digest bytea,
    reason text NOT NULL DEFAULT '',
    began timestamptz,
    changed timestamptz,
    PRIMARY KEY (run, owner, kind, natural_key)
) WITH (fillfactor = 60);
CREATE INDEX steps_in_order ON facturaonline.steps (run, seq);

CREATE TABLE facturaonline.baseline (
    run bigint NOT NULL REFERENCES facturaonline.runs ON DELETE CASCADE,
    owner text NOT NULL COLLATE "C",
    kind text NOT NULL COLLATE "C",
    natural_key text NOT NULL COLLATE "C",
    uid text NOT NULL COLLATE "C",
    PRIMARY KEY (run, owner, kind, natural_key, uid)
);

-- Seconds of a moment from now; NULL is NULL.
CREATE FUNCTION facturaonline.seconds_until(moment timestamptz) RETURNS double precision LANGUAGE sql VOLATILE
    AS $$ SELECT extract(epoch FROM moment - facturaonline.clock())::double precision $$;

-- Name of the timeline and the moment since which it is known: `facturaonline postgres restored` changes the latter.
CREATE FUNCTION facturaonline.timeline_mark() RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT t.name || ' ' || extract(epoch FROM t.since) FROM facturaonline.timeline_v1() AS t $$;

-- Finds a run, or makes it. The caller compares account and host.
CREATE FUNCTION facturaonline.find_run_v1(
    run_name text, INOUT salt bytea, INOUT account bytea, INOUT host text, OUT run bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    INSERT INTO facturaonline.runs (name, salt, account, host, created)
        VALUES (run_name, salt, account, host, facturaonline.clock()) ON CONFLICT (name) DO NOTHING;
    SELECT r.salt, r.account, r.host, r.id INTO STRICT salt, account, host, run
        FROM facturaonline.runs AS r WHERE r.name = run_name;
END
$$;

-- Takes a run that is free, or silent for its lease.
--
-- taken: the token, or NULL if a process has the run: `heard` is the moment of its last sign of life, and `wait` are the
-- seconds until it may be taken. Everything is NULL if there is no such run. The same holder may repeat a take. A new run
-- on a new timeline may be one whose rows are lost.
CREATE FUNCTION facturaonline.take_run_v1(
    run_id bigint, new_holder text, new_lease double precision, machine text, pid bigint,
    OUT taken bigint, OUT gap text, OUT heard double precision, OUT wait double precision
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    now_ timestamptz;
    known facturaonline.runs;
    current text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    SELECT * INTO known FROM facturaonline.runs AS r WHERE r.id = run_id FOR UPDATE;
    now_ := facturaonline.clock(); -- after the wait for the row
    IF known.id IS NULL THEN
        RETURN; -- deleted meanwhile
    END IF;
    gap := known.gap;
    IF known.holder = new_holder THEN
        taken := known.token;
        RETURN;
    END IF;
    IF known.beat > now_ THEN -- the clock was set back: the lease counts from now
        known.beat := now_;
        UPDATE facturaonline.runs AS r SET beat = now_ WHERE r.id = run_id;
    END IF;
    heard := extract(epoch FROM known.beat);
    wait := known.lease - extract(epoch FROM now_ - known.beat);
    IF known.holder IS NOT NULL AND wait > 0 THEN
        RETURN;
    END IF;
    current := facturaonline.timeline_mark();
    IF current <> known.timeline
        AND (known.token > 0 OR (SELECT t.since FROM facturaonline.timeline_v1() AS t) > now_ - interval '1 day') THEN
        gap := 'timeline';
    END IF;
    taken := known.token + 1;
    UPDATE facturaonline.takes AS t
        SET ended = coalesce((SELECT max(s.changed) FROM facturaonline.steps AS s WHERE s.run = run_id), t.began)
        WHERE t.run = run_id AND t.ended IS NULL;
    UPDATE facturaonline.runs AS r
        SET token = taken, holder = new_holder, beat = now_, lease = new_lease, timeline = current,
            gap = take_run_v1.gap
        WHERE r.id = run_id;
    INSERT INTO facturaonline.takes (run, token, machine, pid, began) VALUES (run_id, taken, machine, pid, now_);
END
$$;

-- Locks the run for a write of its holder, and records that the holder lives.
--
-- Returns '' if it may write, 'fenced' if another process took the run, and 'timeline' if the server was promoted or
-- restored, so that what this holder wrote may be lost.
CREATE FUNCTION facturaonline.beat(run_id bigint, my_token bigint, my_holder text) RETURNS text LANGUAGE plpgsql
    VOLATILE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    known text;
BEGIN
    UPDATE facturaonline.runs AS r SET beat = facturaonline.clock()
        WHERE r.id = run_id AND r.token = my_token AND r.holder = my_holder RETURNING r.timeline INTO known;
    IF known IS NULL THEN
        RETURN 'fenced';
    ELSIF known <> facturaonline.timeline_mark() THEN
        RETURN 'timeline';
    END IF;
    RETURN '';
END
$$;

-- A sign of life, without a write.
CREATE FUNCTION facturaonline.beat_v1(run_id bigint, my_token bigint, my_holder text) RETURNS text LANGUAGE plpgsql
    VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN facturaonline.beat(run_id, my_token, my_holder);
END
$$;

-- Writes steps that the run has; no two of them are the same. Durable when it returns.
--
-- Each is an array: owner, kind, natural key, number, state, origin, uid, due (seconds from now, or null), sends, digest
-- (hexadecimal, or null), reason.
CREATE FUNCTION facturaonline.save_steps(run_id bigint, saved jsonb) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    UPDATE facturaonline.steps AS s
    SET number = (j ->> 3)::integer, state = j ->> 4, origin = j ->> 5, uid = j ->> 6,
        due = now_ + (j ->> 7)::double precision * interval '1 s', sends = (j ->> 8)::integer,
        digest = decode(j ->> 9, 'hex'), reason = j ->> 10,
        began = CASE WHEN j ->> 4 = 'intent' THEN coalesce(s.began, now_) ELSE s.began END,
        changed = CASE WHEN s.state <> j ->> 4 OR s.changed IS NULL THEN now_ ELSE s.changed END
    FROM jsonb_array_elements(saved) AS j, (SELECT facturaonline.clock() AS now_) AS moment
    WHERE s.run = run_id AND s.owner = j ->> 0 AND s.kind = j ->> 1 AND s.natural_key = j ->> 2
    $$;

CREATE FUNCTION facturaonline.save_v1(run_id bigint, my_token bigint, my_holder text, saved jsonb)
    RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    refusal text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal = '' THEN
        PERFORM facturaonline.save_steps(run_id, saved);
    END IF;
    RETURN refusal;
END
$$;

-- Deletes and adds rows of a baseline. forgotten: arrays of owner, kind, natural key. existing: these and a uid.
CREATE FUNCTION facturaonline.replace_baseline(run_id bigint, forgotten jsonb, existing jsonb) RETURNS void LANGUAGE sql
    VOLATILE SET search_path = pg_catalog, pg_temp
    AS $$
    DELETE FROM facturaonline.baseline AS b USING jsonb_array_elements(forgotten) AS j
        WHERE b.run = run_id AND b.owner = j ->> 0 AND b.kind = j ->> 1 AND b.natural_key = j ->> 2;
    INSERT INTO facturaonline.baseline (run, owner, kind, natural_key, uid)
        SELECT run_id, j ->> 0, j ->> 1, j ->> 2, j ->> 3 FROM jsonb_array_elements(existing) AS j
        ON CONFLICT DO NOTHING;
    $$;

CREATE FUNCTION facturaonline.replace_baseline_v1(
    run_id bigint, my_token bigint, my_holder text, forgotten jsonb, existing jsonb
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    refusal text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal = '' THEN
        PERFORM facturaonline.replace_baseline(run_id, forgotten, existing);
    END IF;
    RETURN refusal;
END
$$;

-- Writes a part of what changed in the plan. It may be repeated.
--
-- dropped: arrays of owner, kind, natural key. added: these, number and state. The others are as above.
CREATE FUNCTION facturaonline.adjust_v1(
    run_id bigint, my_token bigint, my_holder text, dropped jsonb, forgotten jsonb, existing jsonb, saved jsonb, added jsonb
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    refusal text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal = '' THEN
        DELETE FROM facturaonline.steps AS s USING jsonb_array_elements(dropped) AS j
            WHERE s.run = run_id AND s.owner = j ->> 0 AND s.kind = j ->> 1 AND s.natural_key = j ->> 2;
        PERFORM facturaonline.replace_baseline(run_id, forgotten, existing);
        PERFORM facturaonline.save_steps(run_id, saved);
        INSERT INTO facturaonline.steps (run, owner, kind, natural_key, number, state)
            SELECT run_id, j ->> 0, j ->> 1, j ->> 2, (j ->> 3)::integer, j ->> 4
            FROM jsonb_array_elements(added) WITH ORDINALITY AS a (j, place) ORDER BY place
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN refusal;
END
$$;

-- Records that the final audit found every company exactly once.
CREATE FUNCTION facturaonline.end_audit_v1(run_id bigint, my_token bigint, my_holder text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    refusal text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal = '' THEN
        UPDATE facturaonline.steps AS s SET due = NULL
            WHERE s.run = run_id AND s.kind = 'empresas' AND s.state = 'done' AND s.due IS NOT NULL;
    END IF;
    RETURN refusal;
END
$$;

-- Records that lists have shown all creates that may be lost.
CREATE FUNCTION facturaonline.clear_gap_v1(run_id bigint, my_token bigint, my_holder text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    refusal text;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal = '' THEN
        UPDATE facturaonline.runs AS r SET gap = '' WHERE r.id = run_id;
    END IF;
    RETURN refusal;
END
$$;

-- Lets a run go, so that it may be taken at once.
CREATE FUNCTION facturaonline.release_run_v1(run_id bigint, my_holder text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    UPDATE facturaonline.runs AS r SET holder = NULL WHERE r.id = run_id AND r.holder = my_holder;
    IF FOUND THEN
        UPDATE facturaonline.takes AS t SET ended = facturaonline.clock() WHERE t.run = run_id AND t.ended IS NULL;
    END IF;
END
$$;

-- Steps of some companies and their series, in the plan's order.
CREATE FUNCTION facturaonline.read_steps_v1(run_id bigint, owners text[])
    RETURNS TABLE (
        number integer, owner text, kind text, natural_key text, state text, origin text, uid text,
        due double precision, sends integer, digest bytea, reason text
    ) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT s.number, s.owner, s.kind, s.natural_key, s.state, s.origin, s.uid, facturaonline.seconds_until(s.due),
           s.sends, s.digest, s.reason
    FROM facturaonline.steps AS s
    WHERE s.run = run_id AND s.owner = ANY (owners)
    ORDER BY s.seq
    $$;

-- Steps of the companies that may exist.
CREATE FUNCTION facturaonline.read_open_companies_v1(run_id bigint)
    RETURNS TABLE (
        number integer, owner text, kind text, natural_key text, state text, origin text, uid text,
        due double precision, sends integer, digest bytea, reason text
    ) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT s.number, s.owner, s.kind, s.natural_key, s.state, s.origin, s.uid, facturaonline.seconds_until(s.due),
           s.sends, s.digest, s.reason
    FROM facturaonline.steps AS s
    WHERE s.run = run_id AND s.kind = 'empresas' AND s.state IN ('intent', 'unknown', 'unresolved')
    ORDER BY s.seq
    $$;

-- A page of the companies of a run's steps, in the plan's order.
CREATE FUNCTION facturaonline.read_owners_v1(run_id bigint, after bigint, most integer)
    RETURNS TABLE (owner text, seq bigint) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT s.owner, s.seq FROM facturaonline.steps AS s
    WHERE s.run = run_id AND s.seq > after ORDER BY s.seq LIMIT most
    $$;

-- The baseline of a company and its series, or that of all companies (NULL).
CREATE FUNCTION facturaonline.read_baseline_v1(run_id bigint, of_owner text)
    RETURNS TABLE (owner text, kind text, natural_key text, uid text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT b.owner, b.kind, b.natural_key, b.uid FROM facturaonline.baseline AS b
    WHERE b.run = run_id AND b.owner = of_owner
    UNION ALL
    SELECT b.owner, b.kind, b.natural_key, b.uid FROM facturaonline.baseline AS b
    WHERE b.run = run_id AND of_owner IS NULL AND b.kind = 'empresas'
    $$;

-- What is known of runs, for readers: one value for each fact, as an array that begins with its kind. Moments are seconds
-- from now.
--   ["run", name, host, created, whether a process has it]
--   ["take", machine, pid, began, ended]
--   ["step", number, owner, kind, natural key, state, origin, uid, due, sends, reason, began, changed]
CREATE FUNCTION facturaonline.read_run_v1(run_name text) RETURNS SETOF jsonb LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    WITH r AS (
        SELECT * FROM facturaonline.runs WHERE name = run_name
    ), facts AS (
        SELECT 1 AS place, 0::bigint AS seq, jsonb_build_array(
            'run', r.name, r.host, facturaonline.seconds_until(r.created),
            r.holder IS NOT NULL AND facturaonline.seconds_until(r.beat) > -r.lease
        ) AS fact
        FROM r
        UNION ALL
        SELECT 2, t.token, jsonb_build_array(
            'take', t.machine, t.pid, facturaonline.seconds_until(t.began), facturaonline.seconds_until(t.ended)
        )
        FROM r JOIN facturaonline.takes AS t ON t.run = r.id
        UNION ALL
        SELECT 3, s.seq, jsonb_build_array(
            'step', s.number, s.owner, s.kind, s.natural_key, s.state, s.origin, s.uid,
            facturaonline.seconds_until(s.due), s.sends, s.reason, facturaonline.seconds_until(s.began),
            facturaonline.seconds_until(s.changed)
        )
        FROM r JOIN facturaonline.steps AS s ON s.run = r.id
    )
    SELECT facts.fact FROM facts ORDER BY facts.place, facts.seq
    $$;

-- All runs, the one that gave the last sign of life first. done and planned count companies and series.
CREATE FUNCTION facturaonline.list_runs_v1()
    RETURNS TABLE (
        name text, host text, created double precision, heard double precision, is_running boolean,
        planned bigint, done bigint
    ) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT r.name, r.host, facturaonline.seconds_until(r.created), facturaonline.seconds_until(r.beat),
           r.holder IS NOT NULL AND facturaonline.seconds_until(r.beat) > -r.lease,
           count(s.run), count(s.run) FILTER (WHERE s.state = 'done')
    FROM facturaonline.runs AS r LEFT JOIN facturaonline.steps AS s ON s.run = r.id
    GROUP BY r.id ORDER BY r.beat DESC, r.name
    $$;

-- Deletes a run and everything that is known of it. Returns 'deleted', 'missing', or 'running' if a process has it.
CREATE FUNCTION facturaonline.delete_run_v1(run_name text) RETURNS text LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    known facturaonline.runs;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    SELECT * INTO known FROM facturaonline.runs AS r WHERE r.name = run_name FOR UPDATE;
    IF known.id IS NULL THEN
        RETURN 'missing';
    ELSIF known.holder IS NOT NULL AND facturaonline.seconds_until(known.beat) > -known.lease THEN
        RETURN 'running';
    END IF;
    DELETE FROM facturaonline.runs AS r WHERE r.id = known.id;
    RETURN 'deleted';
END
$$;
