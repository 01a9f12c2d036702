SELECT coalesce(customer_region, '#') AS posted_region, coalesce(region_now, '#') AS current_region, currency,
    count(DISTINCT customer) AS customers, of_cents(sum(amount)) AS net
FROM standing_lines
GROUP BY ALL
