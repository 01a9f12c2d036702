WITH monthly AS (
    SELECT division, month(posted_on) AS month, currency,
        min(unit) FILTER (WHERE line_kind = 'energy' AND NOT grid AND quantity <> 0) AS unit,
        coalesce(sum(quantity) FILTER (WHERE line_kind = 'energy' AND NOT grid), 0) AS energy,
        sum(amount) AS net
    FROM standing_lines GROUP BY ALL
)
SELECT now.division, now.month, now.unit, of_thousandths(now.energy) AS energy, of_thousandths(ago.energy) AS energy_before,
    share4(now.energy - ago.energy, ago.energy) AS energy_change, now.currency, of_cents(now.net) AS net,
    of_cents(ago.net) AS net_before, share4(now.net - ago.net, ago.net) AS net_change
FROM monthly AS now
LEFT JOIN monthly AS ago
    ON ago.division = now.division AND ago.currency = now.currency AND ago.month + INTERVAL 1 YEAR = now.month
