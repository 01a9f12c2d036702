SELECT account, count(*) AS size FROM warehouse.active_contract WHERE NOT deleted AND account IS NOT NULL
GROUP BY account
