WITH won AS (SELECT DISTINCT contract FROM quotations WHERE status = 'accepted'),
moved AS (
    SELECT month(first_day) AS month, 'in' AS direction, 1 AS contracts,
        CASE
            WHEN won.contract IS NOT NULL THEN 'SWITCH_IN'
            WHEN former_customer = customer THEN 'RENEW'
            WHEN former_customer IS NOT NULL THEN 'MOVE_IN'
            ELSE 'START'
        END AS movement,
        CASE movement WHEN 'SWITCH_IN' THEN 'quotation' WHEN 'RENEW' THEN 'renewal' WHEN 'MOVE_IN' THEN 'new_tenant'
            ELSE 'first_contract' END AS reason
    FROM placed LEFT JOIN won ON won.contract = placed.contract
    UNION ALL
    SELECT month(last_day), 'out', -1,
        CASE
            WHEN next_customer = customer THEN 'RENEW'
            WHEN loss_reason IN ('cheaper_offer', 'dissatisfied') THEN 'SWITCH_OUT'
            WHEN loss_reason = 'insolvent' THEN 'CANCEL'
            WHEN loss_reason IS NOT NULL OR next_customer IS NOT NULL THEN 'MOVE_OUT'
            WHEN cancelled_on IS NOT NULL THEN 'SWITCH_OUT'
            ELSE 'CANCEL'
        END AS movement,
        CASE
            WHEN movement = 'RENEW' THEN 'renewal'
            WHEN loss_reason IS NOT NULL THEN loss_reason
            WHEN movement = 'MOVE_OUT' THEN 'new_tenant'
            WHEN movement = 'SWITCH_OUT' THEN 'notice'
            ELSE 'no_notice'
        END
    FROM placed WHERE last_day IS NOT NULL
)
SELECT month, movement, reason, direction, sum(contracts) AS contracts
FROM moved WHERE month <= month(getvariable('today'))
GROUP BY ALL
