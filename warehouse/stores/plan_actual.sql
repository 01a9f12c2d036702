-- One row a contract that was won by a quotation.  Bills are added up first and joined afterwards, each once.
WITH accepted AS MATERIALIZED (
    SELECT DISTINCT ON (contract) *
    FROM warehouse.active_quotation
    WHERE NOT deleted AND status = 'accepted' AND contract IS NOT NULL
    ORDER BY contract, decided_on DESC NULLS LAST, number DESC
),
energy AS MATERIALIZED (
    SELECT contract, unit, grid, sum(quantity) AS quantity
    FROM warehouse.active_billing_line
    WHERE NOT deleted AND NOT reversed AND kind = 'energy' AND contract IN (SELECT contract FROM accepted)
    GROUP BY contract, unit, grid
),
amounts AS MATERIALIZED (
    SELECT contract, currency, sum(amount) AS amount
    FROM warehouse.active_billing_line
    WHERE NOT deleted AND NOT reversed AND contract IN (SELECT contract FROM accepted)
    GROUP BY contract, currency
),
documents AS MATERIALIZED (
    SELECT contract, sum(period_to - period_from + 1) AS days
    FROM warehouse.active_billing_document
    WHERE NOT deleted AND reversed_on IS NULL AND contract IN (SELECT contract FROM accepted)
    GROUP BY contract
)
SELECT accepted.contract, number AS quotation, product_id, division, usage, channel, region, segment, decided_on,
    accepted.unit, accepted.currency,
    accepted.quantity AS quoted_quantity,
    accepted.amount AS quoted_amount,
    round(accepted.quantity * coalesce(days, 0) / 365, 3) AS planned_quantity,
    round(accepted.amount * coalesce(days, 0) / 365, 2) AS planned_amount,
    coalesce(energy.quantity, 0) AS billed_quantity,
    coalesce(amounts.amount, 0) AS billed_amount,
    coalesce(days, 0) AS billed_days
FROM accepted
LEFT JOIN energy ON energy.contract = accepted.contract AND energy.unit = accepted.unit
    AND energy.grid = (usage IS NOT DISTINCT FROM 'grid') -- what a quotation of the grid promises is the grid's
LEFT JOIN amounts ON amounts.contract = accepted.contract AND amounts.currency = accepted.currency
LEFT JOIN documents ON documents.contract = accepted.contract
