-- Stock that an order has taken. A row stays after its release, with `released_at`: so that a
-- reservation that comes later than the release is known to be late. A deleted product takes its
-- rows along: nothing can be reserved or given back any more.
create table reservations (
    order_id uuid not null,
    product_id uuid not null references products on delete cascade,
    quantity integer not null check (quantity between 0 and 100000),
    released_at timestamptz,
    constraint reservations_key primary key (product_id, order_id)
);
