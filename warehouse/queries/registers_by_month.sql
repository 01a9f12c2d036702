-- title: Registers of meters
-- question: How many registers are there at the end of each month, by what they measure?
-- parameter: months = 36 | months up to the newest one
-- unit: closing = registers
-- chart: area x=month y=closing color=identification
SELECT month, identification, unit, sum(closing) AS closing
FROM analysis.register_stock_stock
WHERE month > (SELECT analysis.publication_month()) - make_interval(months => :months::int)
GROUP BY month, identification, unit
HAVING sum(closing) <> 0
ORDER BY month, identification, unit
