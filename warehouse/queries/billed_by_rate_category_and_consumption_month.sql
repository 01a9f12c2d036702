-- title: Billed energy by rate category and month of consumption
-- question: Which rate categories was the energy of each month billed by, whenever the bill was posted?
-- parameter: months = 24 | months up to the newest one that is billed
-- parameter: division = electricity | division
-- unit: energy = in unit, energy_amount = in currency, price = currency for a unit of energy
-- chart: area x=month y=energy color=rate_category
WITH billed AS (
    SELECT consumption_month AS month, rate_category, unit, currency,
        sum(energy) AS energy, sum(grid_energy) AS grid_energy, sum(energy_amount) AS energy_amount
    FROM analysis.billing
    WHERE division = :division
    GROUP BY consumption_month, rate_category, unit, currency
    HAVING sum(energy) <> 0
)
SELECT month, rate_category, unit, currency, energy, energy_amount,
    round(energy_amount / nullif(energy + grid_energy, 0), 5) AS price
FROM billed
WHERE month > (SELECT max(month) FROM billed) - make_interval(months => :months::int)
ORDER BY month, rate_category, unit, currency
