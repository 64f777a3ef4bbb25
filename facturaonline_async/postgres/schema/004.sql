-- What recognises the owner of a run, to look at its journal without making or taking it. The caller compares account and
-- host. No row: there is no such run.
CREATE FUNCTION facturaonline.look_up_run_v1(run_name text)
    RETURNS TABLE (run bigint, salt bytea, account bytea, host text, is_divided boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT r.id, r.salt, r.account, r.host, EXISTS (SELECT FROM facturaonline.sharded_runs AS s WHERE s.run = r.id)
    FROM facturaonline.runs AS r WHERE r.name = run_name
    $$;
