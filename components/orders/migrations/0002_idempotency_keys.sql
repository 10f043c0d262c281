-- Which order a client's `Idempotency-Key` has made, or is making. A key goes with an order that
-- fails, and after a day.
create table idempotency_keys (
    asker text not null, -- the subject of the token
    key text not null check (char_length(key) between 1 and 128),
    request text not null, -- what was asked for, in one spelling
    order_id uuid not null unique references orders on delete cascade,
    created_at timestamptz not null,
    primary key (asker, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
