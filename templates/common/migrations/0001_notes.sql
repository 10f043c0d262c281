-- The host runs this as the owner; the service itself may only read and write rows.
create table notes (
    id bigint generated always as identity primary key,
    text text not null check (char_length(text) between 1 and 1000),
    made_at timestamptz not null default now()
);
