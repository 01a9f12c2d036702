SELECT kind, material, coalesce(status, '#') AS status, count(*) AS devices FROM meters GROUP BY ALL
