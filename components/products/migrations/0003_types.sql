-- What a column may hold is said by its type: PostgreSQL reads a `check` of a table anew for every statement that
-- writes, and that of a type once for each session.
create domain product_name as text check (char_length(value) between 1 and 255);
create domain product_price as numeric(12, 2) check (value between 0 and 9999999.99);
create domain product_inventory as integer check (value between 0 and 1000000000);
create domain product_description as text check (char_length(value) <= 4000);
create domain reserved_quantity as integer check (value between 0 and 100000);
alter table products
    drop constraint products_name_check,
    drop constraint products_price_check,
    drop constraint products_inventory_check,
    drop constraint products_description_check,
    alter column name type product_name,
    alter column price type product_price,
    alter column inventory type product_inventory,
    alter column description type product_description;
alter table reservations
    drop constraint reservations_quantity_check,
    alter column quantity type reserved_quantity;
