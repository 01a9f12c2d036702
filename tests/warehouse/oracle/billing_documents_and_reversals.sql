WITH posted AS (
    SELECT month(posted_on) AS month, 1 AS posted, 0 AS gone,
        CASE WHEN reversed_on IS NULL THEN date_diff('day', first_day, last_day) + 1 ELSE 0 END AS days
    FROM bills
),
gone AS (
    SELECT month(reversed_on), 0, 1, 0 FROM bills WHERE reversed_on IS NOT NULL
)
SELECT month, sum(posted) AS documents, sum(gone) AS reversals, share4(sum(gone), sum(posted)) AS reversal_rate,
    share1(12 * sum(days), 365) AS contract_months
FROM (FROM posted UNION ALL FROM gone)
GROUP BY month
