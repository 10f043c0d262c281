-- Orders and what is in them. The host runs this as the owner; the service itself may only read and
-- write rows.
create table orders (
    id uuid primary key, -- version 7: sorts by time, so the key is also the list's order
    user_id uuid not null, -- of another service: users may go, orders stay
    -- `reserving` and `failed` are on their way into being or out of it: no client ever sees them.
    status text not null
        check (status in ('reserving', 'failed', 'pending', 'confirmed', 'shipped', 'delivered', 'cancelled')),
    total numeric(12, 2) check (total >= 0),
    created_at timestamptz not null,
    released_at timestamptz, -- when the stock of a cancelled order was given back
    constraint orders_total_known check (total is not null or status in ('reserving', 'failed'))
);
create index orders_shown on orders (user_id, id) where status not in ('reserving', 'failed');

-- One line for each product; its price is the product's when the order was made.
create table order_items (
    order_id uuid not null references orders on delete cascade,
    place integer not null,
    product_id uuid not null,
    quantity integer not null check (quantity between 1 and 100000),
    price numeric(12, 2) check (price between 0 and 9999999.99),
    primary key (order_id, place)
);
