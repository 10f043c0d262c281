-- Orders on their way into being or out of it, by age: they are few, and whoever looks for overdue ones finds them here.
create index orders_unsettled on orders (created_at, id) where status in ('reserving', 'failed');
