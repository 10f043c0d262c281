-- What keeps an email unique whatever its case is folded by the service, not by the server: the
-- same on a server whose locale lower-cases ASCII only.
alter table users add column email_key text;
update users set email_key = lower(email);
alter table users alter column email_key set not null;
drop index users_email_key;
create unique index users_email_key on users (email_key);
