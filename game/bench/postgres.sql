-- The ledger as one would write it for PostgreSQL: a row for each account, transfer and
-- entry. The account of the house is the sum of its entries, so no row is wanted by all.
CREATE TABLE accounts (
    uid     bigint PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0)
);
CREATE TABLE transfers (
    id     text PRIMARY KEY,                 -- the caller's transaction id
    uid    bigint NOT NULL,
    amount bigint NOT NULL,
    rest   bigint NOT NULL,                  -- the answer, for the same request again
    made   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE entries (
    transfer text   NOT NULL,
    account  bigint NOT NULL,                -- 0: the house
    amount   bigint NOT NULL
);
CREATE FUNCTION spend(key text, who bigint, n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    old  transfers;
    left_over bigint;
BEGIN
    SELECT * INTO old FROM transfers WHERE id = key;
    IF FOUND THEN
        IF old.uid <> who OR old.amount <> n THEN
            RAISE EXCEPTION 'the transaction id names another transfer';
        END IF;
        RETURN old.rest;
    END IF;
    UPDATE accounts SET balance = balance - n WHERE uid = who AND balance >= n RETURNING balance INTO left_over;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the balance does not suffice';
    END IF;
    INSERT INTO transfers (id, uid, amount, rest) VALUES (key, who, n, left_over);
    INSERT INTO entries (transfer, account, amount) VALUES (key, who, -n), (key, 0, n);
    RETURN left_over;
END $$;
