-- title: Top products
-- question: Which products bring most, and which are chosen most often?
-- parameter: top = 10 | how many
-- unit: net = in currency, accepted = quotations, accepted_amount = in currency a year
-- chart: bar x=net y=product
WITH billed AS (
    SELECT product, currency, sum(net) AS net FROM analysis.billing_by_posting GROUP BY product, currency
),
sold AS (
    SELECT product, currency, sum(accepted) AS accepted, sum(accepted_amount) AS accepted_amount
    FROM analysis.sales_quotation GROUP BY product, currency
)
SELECT product, products.text, currency, coalesce(net, 0) AS net, coalesce(accepted, 0) AS accepted,
    coalesce(accepted_amount, 0) AS accepted_amount
FROM billed
FULL JOIN sold USING (product, currency)
LEFT JOIN analysis.product AS products ON products.id = product
ORDER BY net DESC, accepted DESC, product
LIMIT :top::int
