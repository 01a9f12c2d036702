-- What each customer bought in a month.
SELECT contract.customer, date_trunc('month', line.posted_on)::date AS month, sum(line.quantity) AS bought, line.unit
FROM warehouse.active_billing_line AS line
JOIN warehouse.active_contract AS contract ON contract.number = line.contract
WHERE NOT line.deleted AND NOT contract.deleted
GROUP BY 1, 2, 4
