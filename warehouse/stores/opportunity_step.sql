-- Two rows an opportunity at most: what it brought into the pipeline leaves it again when it is decided.
SELECT number AS opportunity, step, day, stage, outcome, reason, owner, product_id, segment, amount,
    round(amount * probability / 100, 2) AS weighted, currency
FROM warehouse.active_opportunity
CROSS JOIN LATERAL (VALUES ('opened', created_on), ('closed', closed_on)) AS steps (step, day)
WHERE NOT deleted AND day IS NOT NULL
