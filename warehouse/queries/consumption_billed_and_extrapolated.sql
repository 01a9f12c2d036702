-- title: Consumption, billed and extrapolated
-- question: What was consumed in each month, and how much of it is not billed yet?
-- parameter: months = 24 | months up to the newest one
-- parameter: division = electricity | division
-- unit: quantity = in unit, contract_days = days
-- chart: stack x=month y=quantity color=value_origin
WITH monthly AS (
    SELECT month, value_origin, unit, sum(quantity) AS quantity, sum(contract_days) AS contract_days
    FROM analysis.consumption
    WHERE division = :division
    GROUP BY month, value_origin, unit
)
SELECT month, value_origin, unit, quantity, contract_days
FROM monthly
WHERE month > (SELECT max(month) FROM monthly) - make_interval(months => :months::int)
ORDER BY month, value_origin, unit
