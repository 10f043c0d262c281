-- What a column may hold is said by its type: PostgreSQL reads a `check` of a table anew for every statement that
-- writes, and that of a type once for each session.
create domain user_text as text check (char_length(value) between 1 and 255);
alter table users
    drop constraint users_email_check,
    drop constraint users_name_check,
    alter column email type user_text,
    alter column name type user_text;
