-- When logins failed, for each client address and each account: at most ten moments a key, kept for
-- 15 minutes. A key is a digest, so that the table tells neither addresses nor emails.
create table login_failures (
    key bytea primary key,
    moments timestamptz[] not null check (cardinality(moments) <= 10),
    latest timestamptz not null
);

-- Finds what has expired.
create index login_failures_latest on login_failures (latest);
