WITH newest AS (
    FROM quotations WHERE status = 'accepted' AND contract IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY contract ORDER BY decided_on DESC, quotation DESC) = 1
),
compared AS (
    SELECT newest.*,
        coalesce((SELECT sum(date_diff('day', first_day, last_day) + 1) FROM bills
            WHERE bills.contract = newest.contract AND reversed_on IS NULL), 0)::HUGEINT AS billed_days,
        coalesce((SELECT sum(l.quantity) FROM standing_lines AS l
            WHERE l.contract = newest.contract AND line_kind = 'energy'
                AND l.grid = coalesce(newest.usage = 'grid', false) AND l.unit = newest.unit), 0) AS billed_quantity,
        coalesce((SELECT sum(l.amount) FROM standing_lines AS l
            WHERE l.contract = newest.contract AND l.currency = newest.currency), 0) AS billed_amount
    FROM newest
)
SELECT product, unit, currency, count(*) AS contracts, count(*) FILTER (WHERE billed_days > 0) AS contracts_billed,
    of_thousandths(sum(quotient(quantity * billed_days, 365))) AS planned_quantity,
    of_thousandths(sum(billed_quantity)) AS billed_quantity,
    share4(sum(billed_quantity), sum(quotient(quantity * billed_days, 365))) AS quantity_attainment,
    of_cents(sum(quotient(amount * billed_days, 365))) AS planned_amount,
    of_cents(sum(billed_amount)) AS billed_amount,
    share4(sum(billed_amount), sum(quotient(amount * billed_days, 365))) AS amount_attainment
FROM compared
GROUP BY product, unit, currency
