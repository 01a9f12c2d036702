WITH months AS (SELECT unnest(generate_series(
    (SELECT month(min(made_on)) FROM opportunities), month(getvariable('today')), INTERVAL 1 MONTH))::DATE AS month)
SELECT month, stage, currency, count(*) AS opportunities, of_cents(sum(amount)) AS amount, of_cents(sum(weighted)) AS weighted
FROM months JOIN opportunities ON made_on <= last_day(month) AND (closed_on IS NULL OR closed_on > last_day(month))
GROUP BY month, stage, currency
