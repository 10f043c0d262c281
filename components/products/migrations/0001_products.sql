-- The catalogue and its stock. The host runs this as the owner; the service itself may only read and
-- write rows.
create table products (
    id uuid primary key, -- version 7: sorts by time, so the key is also the list's order
    name text not null check (char_length(name) between 1 and 255),
    name_key text not null, -- what searching compares, folded by the service: the same on every server
    price numeric(12, 2) not null check (price between 0 and 9999999.99),
    inventory integer not null check (inventory between 0 and 1000000000),
    description text not null check (char_length(description) <= 4000),
    created_at timestamptz not null,
    updated_at timestamptz not null
);
