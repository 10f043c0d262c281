-- What the host made of a password (Argon2id); none for an account that nobody can log in to.
alter table users add column password_hash text;
