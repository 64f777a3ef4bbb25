-- Shards: a run whose plan is divided among processes. Each shard is a run of its own (`parent`, `shard`), with its own
-- journal and holder. The parent has no journal: it holds what all shards have in common.

ALTER TABLE facturaonline.runs
    ADD COLUMN parent bigint REFERENCES facturaonline.runs ON DELETE CASCADE,
    ADD COLUMN shard integer, -- from 0
    ADD COLUMN is_finished boolean NOT NULL DEFAULT false, -- a shard: each of its rows has an outcome
    -- The name of a shard is that of its parent, U+001F and its number: no name that a person gives has U+001F.
    DROP CONSTRAINT runs_name_check,
    ADD CONSTRAINT runs_name_check CHECK (octet_length(name) BETWEEN 1 AND 220);
CREATE INDEX runs_shards ON facturaonline.runs (parent, shard) WHERE parent IS NOT NULL;

CREATE TABLE facturaonline.sharded_runs (
    run bigint PRIMARY KEY REFERENCES facturaonline.runs ON DELETE CASCADE,
    shards integer NOT NULL CHECK (shards > 0),
    digest bytea NOT NULL, -- salted hash of the plan's RFCs and series
    is_cancelled boolean NOT NULL DEFAULT false,
    is_audited boolean NOT NULL DEFAULT false,
    -- The mark before the list of companies in `baseline` was read; see mark_v1. NULL: there is no list.
    mark_timeline text,
    mark_since bigint,
    mark_snapshot text,
    mark_at bigint
);

-- Companies whose outcome and keys the program of the user has got.
CREATE TABLE facturaonline.delivered (
    run bigint NOT NULL REFERENCES facturaonline.runs ON DELETE CASCADE,
    owner text NOT NULL COLLATE "C",
    PRIMARY KEY (run, owner)
);

-- Finds a run with shards, or makes it if `new_shards` is not NULL. The caller compares account, host, number of shards and
-- digest. Everything is NULL if there is no such run; shards is NULL if its plan is not divided.
CREATE FUNCTION facturaonline.find_sharded_run_v1(
    run_name text, new_salt bytea, new_account bytea, new_host text, new_shards integer, new_digest bytea,
    OUT run bigint, OUT salt bytea, OUT account bytea, OUT host text, OUT shards integer, OUT digest bytea
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    IF new_shards IS NOT NULL THEN
        INSERT INTO facturaonline.runs AS r (name, salt, account, host, created, beat)
            VALUES (run_name, new_salt, new_account, new_host, facturaonline.clock(), facturaonline.clock())
            ON CONFLICT (name) DO NOTHING RETURNING r.id INTO run;
        IF run IS NOT NULL THEN
            INSERT INTO facturaonline.sharded_runs AS s (run, shards, digest)
                VALUES (find_sharded_run_v1.run, new_shards, new_digest);
        END IF;
    END IF;
    SELECT r.id, r.salt, r.account, r.host, s.shards, s.digest INTO run, salt, account, host, shards, digest
        FROM facturaonline.runs AS r LEFT JOIN facturaonline.sharded_runs AS s ON s.run = r.id WHERE r.name = run_name;
END
$$;

-- Finds a shard, or makes it. is_begun: whether a company or serie of it was ever sent. Everything is NULL if the run was
-- deleted.
CREATE FUNCTION facturaonline.find_shard_v1(parent_id bigint, number integer, OUT run bigint, OUT is_begun boolean)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    INSERT INTO facturaonline.runs (name, salt, account, host, created, parent, shard)
        SELECT r.name || chr(31) || number, r.salt, r.account, r.host, facturaonline.clock(), r.id, number
        FROM facturaonline.runs AS r WHERE r.id = parent_id ON CONFLICT (name) DO NOTHING;
    SELECT r.id INTO run FROM facturaonline.runs AS r WHERE r.parent = parent_id AND r.shard = number;
    IF run IS NOT NULL THEN
        is_begun := EXISTS (
            SELECT FROM facturaonline.steps AS s WHERE s.run = find_shard_v1.run AND s.state <> 'planned'
        );
    END IF;
END
$$;

-- The list of companies that is not older than `seconds`, and the mark before it. mark_at is NULL if there is none.
-- companies: arrays of RFC and uid, of these RFCs.
CREATE FUNCTION facturaonline.read_list_v1(
    parent_id bigint, seconds double precision, rfcs text[],
    OUT mark_timeline text, OUT mark_since bigint, OUT mark_snapshot text, OUT mark_at bigint, OUT companies jsonb
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    t record;
BEGIN
    t := facturaonline.timeline_v1();
    SELECT s.mark_timeline, s.mark_since, s.mark_snapshot, s.mark_at
        INTO mark_timeline, mark_since, mark_snapshot, mark_at
        FROM facturaonline.sharded_runs AS s
        WHERE s.run = parent_id AND s.mark_timeline = t.name AND s.mark_since = facturaonline.microseconds(t.since)
            AND facturaonline.microseconds(facturaonline.clock()) - s.mark_at BETWEEN 0 AND seconds * 1000000;
    IF mark_at IS NOT NULL THEN
        SELECT coalesce(jsonb_agg(jsonb_build_array(b.owner, b.uid)), '[]') INTO companies
            FROM facturaonline.baseline AS b WHERE b.run = parent_id AND b.owner = ANY (rfcs);
    END IF;
END
$$;

-- Replaces the list of companies by a younger one. companies: arrays of RFC and uid.
CREATE FUNCTION facturaonline.write_list_v1(
    parent_id bigint, new_timeline text, new_since bigint, new_snapshot text, new_at bigint, companies jsonb
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE facturaonline.sharded_runs AS s
        SET mark_timeline = new_timeline, mark_since = new_since, mark_snapshot = new_snapshot, mark_at = new_at
        WHERE s.run = parent_id AND coalesce(s.mark_at < new_at, true);
    IF FOUND THEN
        DELETE FROM facturaonline.baseline AS b WHERE b.run = parent_id;
        INSERT INTO facturaonline.baseline (run, owner, kind, natural_key, uid)
            SELECT parent_id, j ->> 0, 'empresas', '', j ->> 1 FROM jsonb_array_elements(companies) AS j
            ON CONFLICT DO NOTHING;
    END IF;
END
$$;

-- Records that each row of a shard has an outcome, and returns how many shards are left. refusal: as of beat_v1.
CREATE FUNCTION facturaonline.finish_shard_v1(
    run_id bigint, my_token bigint, my_holder text, OUT refusal text, OUT left_over integer
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    parent_id bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal <> '' THEN
        RETURN;
    END IF;
    UPDATE facturaonline.runs AS r SET is_finished = true WHERE r.id = run_id RETURNING r.parent INTO parent_id;
    -- One at a time, so that the last one sees the others.
    SELECT s.shards INTO left_over FROM facturaonline.sharded_runs AS s WHERE s.run = parent_id FOR UPDATE;
    left_over := left_over
        - (SELECT count(*) FROM facturaonline.runs AS r WHERE r.parent = parent_id AND r.is_finished)::integer;
END
$$;

-- Begins all shards of a run again: finished rows stay finished.
CREATE FUNCTION facturaonline.restart_run_v1(parent_id bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    UPDATE facturaonline.sharded_runs AS s SET is_cancelled = false, is_audited = false WHERE s.run = parent_id;
    UPDATE facturaonline.runs AS r SET is_finished = false WHERE r.parent = parent_id AND r.is_finished;
END
$$;

-- Lets no shard of a run continue. Returns 'cancelled', 'missing', or 'plain' if its plan is not divided.
CREATE FUNCTION facturaonline.cancel_run_v1(run_name text) RETURNS text LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    UPDATE facturaonline.sharded_runs AS s SET is_cancelled = true
        FROM facturaonline.runs AS r WHERE r.name = run_name AND s.run = r.id;
    IF FOUND THEN
        RETURN 'cancelled';
    ELSIF EXISTS (SELECT FROM facturaonline.runs AS r WHERE r.name = run_name) THEN
        RETURN 'plain';
    END IF;
    RETURN 'missing';
END
$$;

-- What a shard looks at while it is at work. is_there: whether the run still exists.
CREATE FUNCTION facturaonline.state_of_run_v1(
    parent_id bigint, OUT is_there boolean, OUT is_cancelled boolean, OUT is_audited boolean, OUT left_over integer
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT true, s.is_cancelled, s.is_audited, s.shards
           - (SELECT count(*) FROM facturaonline.runs AS r WHERE r.parent = parent_id AND r.is_finished)::integer
    FROM facturaonline.sharded_runs AS s WHERE s.run = parent_id
    UNION ALL SELECT false, true, false, 0 LIMIT 1
    $$;

-- Records that the audit of a run has ended.
CREATE FUNCTION facturaonline.end_run_audit_v1(parent_id bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE facturaonline.sharded_runs AS s SET is_audited = true WHERE s.run = parent_id;
END
$$;

-- Records that the program of the user has got the outcome of a company.
CREATE FUNCTION facturaonline.deliver_v1(run_id bigint, my_token bigint, my_holder text, rfc text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    refusal text;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    refusal := facturaonline.beat(run_id, my_token, my_holder);
    IF refusal = '' THEN
        INSERT INTO facturaonline.delivered (run, owner) VALUES (run_id, rfc) ON CONFLICT DO NOTHING;
    END IF;
    RETURN refusal;
END
$$;

CREATE FUNCTION facturaonline.read_delivered_v1(run_id bigint) RETURNS TABLE (owner text) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT d.owner FROM facturaonline.delivered AS d WHERE d.run = run_id $$;

-- As before, and refuses a run whose plan is divided: it has no journal of its own.
CREATE OR REPLACE FUNCTION facturaonline.find_run_v1(
    run_name text, INOUT salt bytea, INOUT account bytea, INOUT host text, OUT run bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    INSERT INTO facturaonline.runs (name, salt, account, host, created)
        VALUES (run_name, salt, account, host, facturaonline.clock()) ON CONFLICT (name) DO NOTHING;
    SELECT r.salt, r.account, r.host, r.id INTO STRICT salt, account, host, run
        FROM facturaonline.runs AS r WHERE r.name = run_name;
    IF EXISTS (SELECT FROM facturaonline.sharded_runs AS s WHERE s.run = find_run_v1.run) THEN
        RAISE EXCEPTION USING ERRCODE = 'FO002', MESSAGE = 'the plan of this run is divided into shards';
    END IF;
END
$$;

-- As before, and a run with shards is one run: its takes and steps are those of its shards. It also is at work for a minute
-- after a process had a shard, until its audit has ended: another shard may follow.
CREATE OR REPLACE FUNCTION facturaonline.read_run_v1(run_name text) RETURNS SETOF jsonb LANGUAGE sql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    WITH named AS (
        SELECT * FROM facturaonline.runs WHERE name = run_name
    ), r AS (
        SELECT * FROM named
        UNION ALL
        SELECT s.* FROM named JOIN facturaonline.runs AS s ON s.parent = named.id
    ), facts AS (
        SELECT 1 AS place, 0::bigint AS number, 0::bigint AS seq, jsonb_build_array(
            'run', named.name, named.host, facturaonline.seconds_until(named.created),
            (SELECT bool_or(r.holder IS NOT NULL AND facturaonline.seconds_until(r.beat) > -r.lease)
                OR max(facturaonline.seconds_until(r.beat)) > -60 AND EXISTS (
                    SELECT FROM facturaonline.sharded_runs AS s
                    WHERE s.run = named.id AND NOT s.is_cancelled AND NOT s.is_audited
                ) FROM r)
        ) AS fact
        FROM named
        UNION ALL
        SELECT 2, t.token, 0, jsonb_build_array(
            'take', t.machine, t.pid, facturaonline.seconds_until(t.began), facturaonline.seconds_until(t.ended)
        )
        FROM r JOIN facturaonline.takes AS t ON t.run = r.id
        UNION ALL
        SELECT 3, CASE WHEN r.parent IS NULL THEN 0 ELSE s.number END, s.seq, jsonb_build_array(
            'step', s.number, s.owner, s.kind, s.natural_key, s.state, s.origin, s.uid,
            facturaonline.seconds_until(s.due), s.sends, s.reason, facturaonline.seconds_until(s.began),
            facturaonline.seconds_until(s.changed)
        )
        FROM r JOIN facturaonline.steps AS s ON s.run = r.id
    )
    SELECT facts.fact FROM facts ORDER BY facts.place, facts.number, facts.seq
    $$;

-- As before, and a run with shards is one run.
CREATE OR REPLACE FUNCTION facturaonline.list_runs_v1()
    RETURNS TABLE (
        name text, host text, created double precision, heard double precision, is_running boolean,
        planned bigint, done bigint
    ) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    WITH counts AS (
        SELECT s.run, count(*) AS planned, count(*) FILTER (WHERE s.state = 'done') AS done
        FROM facturaonline.steps AS s GROUP BY s.run
    ), parts AS (
        SELECT coalesce(r.parent, r.id) AS id, max(r.beat) AS beat, sum(c.planned) AS planned, sum(c.done) AS done,
               bool_or(r.holder IS NOT NULL AND facturaonline.seconds_until(r.beat) > -r.lease) AS is_running
        FROM facturaonline.runs AS r LEFT JOIN counts AS c ON c.run = r.id GROUP BY 1
    )
    SELECT r.name, r.host, facturaonline.seconds_until(r.created), facturaonline.seconds_until(p.beat), p.is_running,
           coalesce(p.planned, 0)::bigint, coalesce(p.done, 0)::bigint
    FROM facturaonline.runs AS r JOIN parts AS p ON p.id = r.id ORDER BY p.beat DESC, r.name
    $$;

-- As before, with all shards.
CREATE OR REPLACE FUNCTION facturaonline.delete_run_v1(run_name text) RETURNS text LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    known bigint;
    is_running boolean;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    SELECT r.id INTO known FROM facturaonline.runs AS r WHERE r.name = run_name FOR UPDATE;
    IF known IS NULL THEN
        RETURN 'missing';
    END IF;
    SELECT bool_or(locked.is_held) INTO is_running FROM (
        SELECT r.holder IS NOT NULL AND facturaonline.seconds_until(r.beat) > -r.lease AS is_held
        FROM facturaonline.runs AS r WHERE r.id = known OR r.parent = known ORDER BY r.id FOR UPDATE
    ) AS locked;
    IF is_running THEN
        RETURN 'running';
    END IF;
    DELETE FROM facturaonline.runs AS r WHERE r.id = known;
    RETURN 'deleted';
END
$$;
