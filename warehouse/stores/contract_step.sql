-- Two rows a contract at most: its step into the stock, and the one out of it once its last day is known.
-- A contract whose move-in was reversed never was in the stock.
WITH placed AS (
    SELECT *,
        lag(customer) OVER place AS former_customer,
        lead(customer) OVER place AS next_customer
    FROM warehouse.active_contract
    WHERE NOT deleted AND starts_on IS NOT NULL AND move_in_reversed IS NOT TRUE
        AND (ends_on IS NULL OR ends_on >= starts_on)
    WINDOW place AS (PARTITION BY source, installation ORDER BY starts_on, number)
),
won AS (
    SELECT DISTINCT contract FROM warehouse.active_quotation
    WHERE NOT deleted AND status = 'accepted' AND contract IS NOT NULL
),
steps AS (
    SELECT placed.*, 'in' AS step,
        CASE
            WHEN won.contract IS NOT NULL THEN 'SWITCH_IN'
            WHEN former_customer = customer THEN 'RENEW'
            WHEN former_customer IS NOT NULL THEN 'MOVE_IN'
            ELSE 'START'
        END AS movement,
        starts_on AS in_stock_from, starts_on AS event_on
    FROM placed LEFT JOIN won ON won.contract = placed.number
    UNION ALL
    SELECT placed.*, 'out',
        CASE
            WHEN next_customer = customer THEN 'RENEW'
            WHEN loss_reason IN ('cheaper_offer', 'dissatisfied') THEN 'SWITCH_OUT'
            WHEN loss_reason = 'insolvent' THEN 'CANCEL'
            WHEN loss_reason IS NOT NULL OR next_customer IS NOT NULL THEN 'MOVE_OUT'
            WHEN cancelled_on IS NOT NULL THEN 'SWITCH_OUT'
            ELSE 'CANCEL'
        END,
        ends_on + 1, ends_on
    FROM placed WHERE ends_on IS NOT NULL
)
SELECT number AS contract, step, movement,
    CASE
        WHEN movement = 'RENEW' THEN 'renewal'
        WHEN movement = 'SWITCH_IN' THEN 'quotation'
        WHEN movement = 'START' THEN 'first_contract'
        WHEN movement = 'MOVE_IN' THEN 'new_tenant'
        WHEN loss_reason IS NOT NULL THEN loss_reason
        WHEN movement = 'MOVE_OUT' THEN 'new_tenant'
        WHEN movement = 'SWITCH_OUT' THEN 'notice'
        ELSE 'no_notice'
    END AS reason,
    in_stock_from, event_on, customer, division, usage, product_id, rate_category, billing_class, region, segment
FROM steps
