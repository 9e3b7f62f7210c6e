/**
 * The functions inside PostgreSQL: what must happen in one step.
 *
 * One call is one statement, hence one transaction and one round trip: there is
 * no moment in which a dead client leaves a transaction open. Each first locks the
 * lease's row (FOR UPDATE), so that commits, publications and a change of the
 * holder queue behind one another, and only then reads the clock
 * (`clock_timestamp()`; `now()` would be the time before the wait).
 *
 * Binary values arrive as one bytea, cut by (position from 1, size) pairs; size −1
 * deletes. The driver then sends the bytes as they are, where an array of bytea
 * would travel as hexadecimal text.
 * @module
 */

/** PL/pgSQL that leaves with 'lease.lost' unless p_token holds the unexpired lease p_lease. */
const REQUIRE_LEASE = `
  SELECT held.token, held.expires_at INTO v_token, v_expires_at
    FROM omega.leases AS held WHERE held.name = p_lease FOR UPDATE;
  v_holds := coalesce(v_token = p_token AND v_expires_at > clock_timestamp(), false);`;

const DECLARE_LEASE = `
  v_token bigint;
  v_expires_at timestamptz;
  v_holds boolean;`;

export const COMMIT_FUNCTION = `
CREATE FUNCTION omega.commit_shard(
  p_shard integer, p_lease text, p_token bigint, p_number bigint,
  p_applied bigint, p_duplicates bigint, p_dead bigint, p_dead_kept integer, p_blob bytea,
  p_sum_tenants text[], p_sum_patterns text[], p_sum_buckets bigint[], p_sum_at integer[], p_sum_size integer[],
  p_device_tenants text[], p_device_names text[], p_device_at integer[], p_device_size integer[],
  p_register_tenants text[], p_register_names text[], p_register_patterns text[],
  p_register_at integer[], p_register_size integer[],
  p_dead_ids text[], p_dead_at integer[], p_dead_size integer[],
  p_events text[]
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog AS $omega$
DECLARE${DECLARE_LEASE}
  v_last_number bigint;
  v_last_token bigint;
  v_fresh bigint;
  v_moved bigint;
BEGIN${REQUIRE_LEASE}
  SELECT last.number, last.token INTO v_last_number, v_last_token
    FROM omega.shards AS last WHERE last.shard = p_shard;
  IF v_last_number = p_number AND v_last_token = p_token THEN RETURN 'ok'; END IF;
  IF NOT v_holds THEN RETURN 'lease.lost'; END IF;
  IF coalesce(v_last_number, 0) + 1 <> p_number THEN RETURN 'commit.order'; END IF;

  INSERT INTO omega.sums AS kept (shard, tenant, pattern, bucket, blob)
    SELECT p_shard, put.tenant, put.pattern, put.bucket, substring(p_blob FROM put.at FOR put.size)
      FROM unnest(p_sum_tenants, p_sum_patterns, p_sum_buckets, p_sum_at, p_sum_size)
        AS put (tenant, pattern, bucket, at, size) WHERE put.size >= 0
    ON CONFLICT (shard, tenant, pattern, bucket) DO UPDATE SET blob = excluded.blob;
  DELETE FROM omega.sums AS kept
    USING unnest(p_sum_tenants, p_sum_patterns, p_sum_buckets, p_sum_size)
      AS put (tenant, pattern, bucket, size)
    WHERE put.size < 0 AND kept.shard = p_shard AND kept.tenant = put.tenant
      AND kept.pattern = put.pattern AND kept.bucket = put.bucket;
  INSERT INTO omega.shard_tenants (shard, tenant)
    SELECT DISTINCT p_shard, put.tenant FROM unnest(p_sum_tenants) AS put (tenant)
    ON CONFLICT DO NOTHING;
  DELETE FROM omega.shard_tenants AS kept
    WHERE kept.shard = p_shard AND kept.tenant = ANY (p_sum_tenants) AND NOT EXISTS (
      SELECT FROM omega.sums AS rest WHERE rest.shard = p_shard AND rest.tenant = kept.tenant);

  INSERT INTO omega.devices AS kept (shard, tenant, device, cursor)
    SELECT p_shard, put.tenant, put.device, substring(p_blob FROM put.at FOR put.size)
      FROM unnest(p_device_tenants, p_device_names, p_device_at, p_device_size)
        AS put (tenant, device, at, size)
    ON CONFLICT (shard, tenant, device) DO UPDATE SET cursor = excluded.cursor;
  INSERT INTO omega.registers AS kept (shard, tenant, device, pattern, blob)
    SELECT p_shard, put.tenant, put.device, put.pattern, substring(p_blob FROM put.at FOR put.size)
      FROM unnest(p_register_tenants, p_register_names, p_register_patterns, p_register_at, p_register_size)
        AS put (tenant, device, pattern, at, size) WHERE put.size >= 0
    ON CONFLICT (shard, tenant, device, pattern) DO UPDATE SET blob = excluded.blob;
  DELETE FROM omega.registers AS kept
    USING unnest(p_register_tenants, p_register_names, p_register_patterns, p_register_size)
      AS put (tenant, device, pattern, size)
    WHERE put.size < 0 AND kept.shard = p_shard AND kept.tenant = put.tenant
      AND kept.device = put.device AND kept.pattern = put.pattern;

  WITH fresh AS (
    INSERT INTO omega.dead_letters (shard, id, letter)
      SELECT p_shard, put.id, substring(p_blob FROM put.at FOR put.size)
        FROM unnest(p_dead_ids, p_dead_at, p_dead_size) WITH ORDINALITY
          AS put (id, at, size, ordinal) ORDER BY put.ordinal
      ON CONFLICT (shard, id) DO NOTHING RETURNING 1
  ) SELECT count(*) INTO v_fresh FROM fresh;
  DELETE FROM omega.dead_letters AS kept WHERE kept.shard = p_shard AND kept.ordinal <= (
    SELECT oldest.ordinal FROM omega.dead_letters AS oldest WHERE oldest.shard = p_shard
      ORDER BY oldest.ordinal DESC OFFSET p_dead_kept LIMIT 1);
  v_moved := least(cardinality(p_dead_ids) - v_fresh, p_dead);

  INSERT INTO omega.shards AS total (shard, number, token, applied, duplicates, dead_lettered)
    VALUES (p_shard, p_number, p_token, p_applied, p_duplicates + v_moved, p_dead - v_moved)
    ON CONFLICT (shard) DO UPDATE SET number = excluded.number, token = excluded.token,
      applied = total.applied + excluded.applied,
      duplicates = total.duplicates + excluded.duplicates,
      dead_lettered = total.dead_lettered + excluded.dead_lettered;
  PERFORM pg_notify('omega_store', event) FROM unnest(p_events) AS told (event);
  RETURN 'ok';
END $omega$`;

export const FORGET_FUNCTION = `
CREATE FUNCTION omega.forget_device(
  p_shard integer, p_lease text, p_token bigint, p_tenant text, p_device text
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog AS $omega$
DECLARE${DECLARE_LEASE}
BEGIN${REQUIRE_LEASE}
  IF NOT v_holds THEN RETURN 'lease.lost'; END IF;
  DELETE FROM omega.registers AS kept
    WHERE kept.shard = p_shard AND kept.tenant = p_tenant AND kept.device = p_device;
  DELETE FROM omega.devices AS kept
    WHERE kept.shard = p_shard AND kept.tenant = p_tenant AND kept.device = p_device;
  RETURN 'ok';
END $omega$`;

export const PUBLISH_FUNCTION = `
CREATE FUNCTION omega.publish_release(
  p_tenant text, p_lease text, p_token bigint, p_version bigint, p_content_hash bytea,
  p_ladder bytea, p_release bytea, p_releases_kept integer, p_event text
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog AS $omega$
DECLARE${DECLARE_LEASE}
  v_last omega.current_releases;
BEGIN${REQUIRE_LEASE}
  SELECT * INTO v_last FROM omega.current_releases AS last WHERE last.tenant = p_tenant;
  IF v_last.version = p_version AND v_last.token = p_token AND v_last.content_hash = p_content_hash
    THEN RETURN 'ok'; END IF;
  IF NOT v_holds THEN RETURN 'lease.lost'; END IF;
  IF coalesce(v_last.version, 0) + 1 <> p_version THEN RETURN 'release.version'; END IF;
  INSERT INTO omega.current_releases AS kept (tenant, version, token, content_hash, ladder)
    VALUES (p_tenant, p_version, p_token, p_content_hash, p_ladder)
    ON CONFLICT (tenant) DO UPDATE SET version = excluded.version, token = excluded.token,
      content_hash = excluded.content_hash, ladder = excluded.ladder;
  INSERT INTO omega.releases (tenant, version, release) VALUES (p_tenant, p_version, p_release);
  DELETE FROM omega.releases AS old
    WHERE old.tenant = p_tenant AND old.version <= p_version - p_releases_kept;
  PERFORM pg_notify('omega_store', p_event);
  RETURN 'ok';
END $omega$`;

export const PUT_MODEL_FUNCTION = `
CREATE FUNCTION omega.put_model(
  p_tenant text, p_lease text, p_token bigint, p_version bigint, p_model bytea, p_event text
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog AS $omega$
DECLARE${DECLARE_LEASE}
  v_newest bigint;
BEGIN${REQUIRE_LEASE}
  IF EXISTS (SELECT FROM omega.models AS known WHERE known.tenant = p_tenant
    AND known.version = p_version AND known.model = p_model) THEN RETURN 'ok'; END IF;
  IF NOT v_holds THEN RETURN 'lease.lost'; END IF;
  SELECT max(known.version) INTO v_newest FROM omega.models AS known WHERE known.tenant = p_tenant;
  IF coalesce(v_newest, 0) + 1 <> p_version THEN RETURN 'model.order'; END IF;
  INSERT INTO omega.models (tenant, version, model) VALUES (p_tenant, p_version, p_model);
  PERFORM pg_notify('omega_store', p_event);
  RETURN 'ok';
END $omega$`;

export const DROP_MODELS_FUNCTION = `
CREATE FUNCTION omega.drop_models(
  p_tenant text, p_lease text, p_token bigint, p_versions bigint[]
) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog AS $omega$
DECLARE${DECLARE_LEASE}
BEGIN${REQUIRE_LEASE}
  IF NOT v_holds THEN RETURN 'lease.lost'; END IF;
  DELETE FROM omega.models AS old
    WHERE old.tenant = p_tenant AND old.version = ANY (p_versions) AND old.version < (
      SELECT max(newest.version) FROM omega.models AS newest WHERE newest.tenant = p_tenant);
  RETURN 'ok';
END $omega$`;
