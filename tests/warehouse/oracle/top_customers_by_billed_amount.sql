WITH billed AS (
    SELECT customer, currency, sum(amount) AS net
    FROM standing_lines
    WHERE year(posted_on) = (SELECT max(year(posted_on)) FROM standing_lines)
    GROUP BY customer, currency
)
SELECT (SELECT count(*) + 1 FROM billed AS more WHERE more.net > billed.net AND more.currency = billed.currency) AS place,
    billed.customer, kind, segment, region, currency, of_cents(net) AS net,
    share4(net, sum(net) OVER (PARTITION BY currency)) AS share
FROM billed LEFT JOIN customers ON customers.customer = billed.customer
