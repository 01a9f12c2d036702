-- title: Billed amounts by region, as posted and as of today
-- question: Where did customers live when they were billed, and where do they live now?
-- unit: net = in currency, customers = customers
-- chart: heat x=posted_region y=current_region color=net
WITH posted AS (
    SELECT region AS posted_region, customer, currency, sum(net) AS net
    FROM analysis.customer_billing_facts
    GROUP BY region, customer, currency
    HAVING sum(records) <> 0
)
-- A customer stands once in each posted region and currency by now: to count rows is to count customers.
SELECT posted_region, coalesce(customers.region, '#') AS current_region, currency,
    count(customer) AS customers, sum(net) AS net
FROM posted
LEFT JOIN analysis.customer AS customers ON customers.number = customer
GROUP BY posted_region, current_region, currency
ORDER BY posted_region, current_region, currency
