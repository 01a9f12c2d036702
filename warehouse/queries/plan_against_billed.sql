-- title: Plan against billed
-- question: Do contracts bring what their quotations promised, for the days that are billed?
-- unit: planned_quantity = in unit, billed_quantity = in unit, quantity_attainment = share, planned_amount = in currency, billed_amount = in currency, amount_attainment = share
-- chart: bar x=amount_attainment y=product
SELECT product, unit, currency, sum(contracts) AS contracts, sum(contracts_billed) AS contracts_billed,
    sum(planned_quantity) AS planned_quantity, sum(billed_quantity) AS billed_quantity,
    round(sum(billed_quantity) / nullif(sum(planned_quantity), 0), 4) AS quantity_attainment,
    sum(planned_amount) AS planned_amount, sum(billed_amount) AS billed_amount,
    round(sum(billed_amount) / nullif(sum(planned_amount), 0), 4) AS amount_attainment
FROM analysis.plan_actual
GROUP BY product, unit, currency
ORDER BY product, unit, currency
