-- Accounts. The host runs this as the owner; the service itself may only read and write rows.
create table users (
    id uuid primary key, -- version 7: sorts by time, so the key is also the list's order
    email text not null check (char_length(email) between 1 and 255),
    name text not null check (char_length(name) between 1 and 255),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- An email is stored as it was given and is unique whatever its case.
create unique index users_email_key on users (lower(email));
