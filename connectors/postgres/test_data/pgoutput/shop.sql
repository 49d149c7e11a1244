CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2), mood mood, big text);
ALTER TABLE item ALTER big SET STORAGE EXTERNAL;
CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE other (x int PRIMARY KEY);
CREATE PUBLICATION p FOR TABLE item, whole, other;
SELECT 'x' FROM pg_create_logical_replication_slot('rec', 'pgoutput');
COPY item (id, name, price) FROM STDIN;
1	one	1.50
2	two	\N
3	three	-3.00
4	fo	4.00
5	five	5.00
\.
BEGIN;
INSERT INTO other VALUES (1);
INSERT INTO item VALUES (6, 'six', 6, 'ok', repeat('b', 9000));
INSERT INTO other SELECT generate_series(2, 4);
UPDATE item SET name = 'SIX' WHERE id = 6;
UPDATE item SET id = 60 WHERE id = 6;
INSERT INTO whole VALUES (1, 'x'), (2, NULL);
UPDATE whole SET b = 'y' WHERE a = 1;
DELETE FROM whole WHERE a = 2;
DELETE FROM item WHERE id = 2;
SELECT pg_logical_emit_message(true, 'prefix', 'content');
COMMIT;
BEGIN; UPDATE item SET id = id + 1 WHERE id = 5; UPDATE item SET id = id + 1 WHERE id = 4; COMMIT;
TRUNCATE item, whole;
