SELECT division, count(DISTINCT customer) AS customers FROM bills GROUP BY division
UNION ALL
SELECT 'all', count(DISTINCT customer) FROM bills
