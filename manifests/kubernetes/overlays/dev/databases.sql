-- The same as packaging/postgres.sql, which a kustomization may not reach.
CREATE ROLE users LOGIN PASSWORD 'users';
CREATE DATABASE users OWNER users;
REVOKE CONNECT ON DATABASE users FROM PUBLIC;
CREATE ROLE products LOGIN PASSWORD 'products';
CREATE DATABASE products OWNER products;
REVOKE CONNECT ON DATABASE products FROM PUBLIC;
CREATE ROLE orders LOGIN PASSWORD 'orders';
CREATE DATABASE orders OWNER orders;
REVOKE CONNECT ON DATABASE orders FROM PUBLIC;
