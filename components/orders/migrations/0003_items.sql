-- What is in an order stands in its row, line by line: an order is always written and read as a whole. What a
-- column may hold is said by its type, because PostgreSQL reads a `check` of a table anew for every statement.
-- A build of before can write no order behind this: it is for a start, not for a swap under load. A shop with
-- customers would add the columns here, and drop the table when no older build runs any more.
create domain order_status as text
    check (value in ('reserving', 'failed', 'pending', 'confirmed', 'shipped', 'delivered', 'cancelled'));
create domain order_quantities as integer[] check (1 <= all (value) and 100000 >= all (value));
create domain order_prices as numeric(12, 2)[] check (0 <= all (value) and 9999999.99 >= all (value));

alter table orders
    add column products uuid[],
    add column quantities order_quantities,
    add column prices order_prices; -- each product's when the order was made
update orders set (products, quantities, prices) = (
    select coalesce(array_agg(product_id order by place), '{}'), coalesce(array_agg(quantity order by place), '{}'),
        case when count(*) = count(price) then array_agg(price order by place) end
    from order_items where order_id = orders.id
);
alter table orders
    drop constraint orders_status_check,
    drop constraint orders_total_check,
    drop constraint orders_total_known,
    alter column status type order_status,
    alter column products set not null,
    alter column quantities set not null,
    add constraint orders_whole check (
        cardinality(products) = cardinality(quantities) and (
            status in ('reserving', 'failed')
            or (total >= 0) is true and (cardinality(prices) = cardinality(products)) is true
        )
    );
drop table order_items;
