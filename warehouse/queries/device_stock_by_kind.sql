-- title: Meters at installations
-- question: How many meters hang at installations at the end of each month, by device category?
-- parameter: months = 36 | months up to the newest one
-- unit: opening = meters, closing = meters
-- chart: area x=month y=closing color=material
SELECT month, kind, material, sum(opening) AS opening, sum(closing) AS closing
FROM analysis.device_stock_stock
WHERE month > (SELECT analysis.publication_month()) - make_interval(months => :months::int)
GROUP BY month, kind, material
HAVING sum(opening) <> 0 OR sum(closing) <> 0
ORDER BY month, kind, material
