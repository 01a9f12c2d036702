-- title: Billed energy and amount by division and month
-- question: How much was billed of each division in each month of posting, and how is that against a year before?
-- parameter: months = 24 | months up to the newest one that was posted
-- unit: energy = in unit, energy_before = in unit, energy_change = share, net = in currency, net_before = in currency, net_change = share
-- chart: line x=month y=net color=division
WITH months AS MATERIALIZED (
    SELECT division, posting_month AS month, currency,
        min(unit) FILTER (WHERE energy <> 0) AS unit,
        -- units are never added up: a month that has several of them shows no energy
        CASE WHEN count(DISTINCT unit) FILTER (WHERE energy <> 0) < 2 THEN sum(energy) END AS energy,
        sum(net) AS net
    FROM analysis.billing_by_posting
    GROUP BY division, posting_month, currency
)
SELECT division, month, unit, now.energy, before.energy AS energy_before,
    round(now.energy / nullif(before.energy, 0) - 1, 4) AS energy_change,
    currency, now.net, before.net AS net_before, round(now.net / nullif(before.net, 0) - 1, 4) AS net_change
FROM months AS now
LEFT JOIN (SELECT division, (month + interval '1 year')::date AS month, currency, energy, net FROM months) AS before
    USING (division, month, currency)
WHERE month > (SELECT max(month) FROM months) - make_interval(months => :months::int)
ORDER BY division, month, currency
