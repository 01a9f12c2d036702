SELECT month, rate_category, unit, currency, of_thousandths(sum(month_quantity) FILTER (WHERE NOT grid)) AS energy,
    of_cents(sum(month_amount)) AS energy_amount,
    share5(sum(month_amount)::HUGEINT * 10, sum(month_quantity)) AS price
FROM months_of_lines
WHERE line_kind = 'energy' AND division = 'electricity'
GROUP BY month, rate_category, unit, currency
HAVING sum(month_quantity) FILTER (WHERE NOT grid) <> 0
