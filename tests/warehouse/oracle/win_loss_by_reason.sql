SELECT outcome, coalesce(reason, '#') AS reason, currency, count(*) AS opportunities, of_cents(sum(amount)) AS amount,
    share4(count(*), sum(count(*)) OVER (PARTITION BY currency)) AS share
FROM opportunities
WHERE closed_on IS NOT NULL
GROUP BY outcome, reason, currency
