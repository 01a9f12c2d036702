-- title: Top customers by billed amount
-- question: Which customers were billed most in a year, and what share of everything is that?
-- parameter: year =  | year of posting; the newest one if nothing is said
-- parameter: top = 10 | how many
-- unit: net = in currency, share = share
-- chart: bar x=net y=customer
WITH billed AS MATERIALIZED (
    SELECT customer, currency, sum(net) AS net
    FROM analysis.customer_billing_facts
    WHERE posting_year = coalesce(
        make_date(nullif(:year, '')::int, 1, 1), (SELECT max(posting_year) FROM analysis.customer_billing_facts)
    )
    GROUP BY customer, currency
),
everything AS (
    SELECT currency, sum(net) AS net FROM billed GROUP BY currency
),
best AS (
    SELECT rank() OVER (PARTITION BY currency ORDER BY best.net DESC) AS place, customer, currency, best.net,
        round(best.net / nullif(everything.net, 0), 4) AS share
    FROM everything
    CROSS JOIN LATERAL (
        SELECT customer, net FROM billed
        WHERE billed.currency = everything.currency
        ORDER BY net DESC, customer
        LIMIT :top::int
    ) AS best
    ORDER BY place, customer
    LIMIT :top::int
)
SELECT place, customer, customers.kind, customers.segment, customers.region, currency, net, share
FROM best
LEFT JOIN analysis.customer AS customers ON customers.number = customer
ORDER BY place, customer
