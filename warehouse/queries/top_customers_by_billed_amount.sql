-- title: Top customers by billed amount
-- question: Which customers were billed most in a year, and what share of everything is that?
-- parameter: year =  | year of posting; the newest one if nothing is said
-- parameter: top = 10 | how many
-- unit: net = in currency, share = share
-- chart: bar x=net y=customer
WITH billed AS (
    SELECT posting_year, customer, currency, sum(net) AS net
    FROM analysis.customer_billing
    WHERE posting_year = make_date(nullif(:year, '')::int, 1, 1) OR :year = ''
    GROUP BY posting_year, customer, currency
),
ranked AS (
    SELECT rank() OVER (PARTITION BY currency ORDER BY net DESC) AS place, customer, currency, net,
        round(net / nullif(sum(net) OVER (PARTITION BY currency), 0), 4) AS share
    FROM billed
    WHERE posting_year = (SELECT max(posting_year) FROM billed)
    ORDER BY place, customer
    LIMIT :top::int
)
SELECT place, customer, customers.kind, customers.segment, customers.region, currency, net, share
FROM ranked
LEFT JOIN analysis.customer AS customers ON customers.number = customer
ORDER BY place, customer
