-- title: The figures at a glance
-- question: How do contracts, sales, billing and service stand today?
-- parameter: days = 90 | days back for what counts in days
WITH billed AS (
    SELECT posting_month, currency, sum(energy_amount) AS amount
    FROM analysis.billing_by_posting GROUP BY posting_month, currency
),
decided AS (
    SELECT day, sum(accepted) AS accepted, sum(accepted + rejected + expired) AS decided
    FROM analysis.sales_quotation GROUP BY day
),
calls AS (
    SELECT day, sum(offered) AS offered, sum(answered_in_threshold) AS in_time
    FROM analysis.ic_calls WHERE direction = 'inbound' GROUP BY day
)
SELECT label, value, unit
FROM (
    SELECT 1 AS place, 'contracts at the end of the last month' AS label, sum(closing) AS value, '' AS unit
    FROM analysis.contract_movement_stock WHERE month = (SELECT analysis.publication_month())
    UNION ALL
    SELECT 2, 'energy billed in the newest month', amount, currency
    FROM billed WHERE posting_month = (SELECT max(posting_month) FROM billed)
    UNION ALL
    SELECT 3, 'of decided quotations accepted', round(100.0 * sum(accepted) / nullif(sum(decided), 0), 1), '%'
    FROM decided WHERE day > (SELECT max(day) FROM decided) - :days::int
    UNION ALL
    SELECT 4, 'of calls answered in time', round(100.0 * sum(in_time) / nullif(sum(offered), 0), 1), '%'
    FROM calls WHERE day > (SELECT max(day) FROM calls) - :days::int
) AS figures
WHERE value IS NOT NULL
ORDER BY place
