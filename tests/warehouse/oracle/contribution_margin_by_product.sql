WITH steps AS (
    SELECT product, currency, amount, amount - grid_cost AS after_grid,
        amount - grid_cost - procurement_cost AS after_procurement,
        amount - grid_cost - procurement_cost - processing_cost AS after_processing,
        amount - grid_cost - procurement_cost - processing_cost - sales_cost AS left_over
    FROM quotations WHERE status = 'accepted'
)
SELECT product, currency, count(*) AS quotations, of_cents(sum(amount)) AS net, of_cents(sum(after_grid)) AS db1,
    of_cents(sum(after_procurement)) AS db2, of_cents(sum(after_processing)) AS db3, of_cents(sum(left_over)) AS db4,
    share4(sum(left_over), sum(amount)) AS margin
FROM steps
GROUP BY product, currency
