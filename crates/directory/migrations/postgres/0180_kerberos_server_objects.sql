-- Which objects of AD the record is of; NULL in records of before.
ALTER TABLE kerberos_servers ADD COLUMN account_guid BYTEA;
ALTER TABLE kerberos_servers ADD COLUMN account_sid TEXT;
ALTER TABLE kerberos_servers ADD COLUMN computer_guid BYTEA;
ALTER TABLE kerberos_servers ADD COLUMN computer_sid TEXT;
