WITH billed AS (
    SELECT coalesce(product, '#') AS product, currency, sum(amount) AS net, 0 AS accepted, 0 AS accepted_amount
    FROM standing_lines GROUP BY ALL
),
sold AS (
    SELECT product, currency, 0, count(*) FILTER (WHERE status = 'accepted'),
        coalesce(sum(amount) FILTER (WHERE status = 'accepted'), 0)
    FROM quotations GROUP BY ALL
)
SELECT product, (SELECT any_value(text40) FROM crm.comm_product WHERE product_id = product AND product_type = '02') AS text,
    currency, of_cents(sum(net)) AS net, sum(accepted) AS accepted, of_cents(sum(accepted_amount)) AS accepted_amount
FROM (FROM billed UNION ALL FROM sold)
GROUP BY product, currency
