SELECT strftime(began, '%H:%M') AS slot, queue, sum(offered) AS offered, sum(in_threshold) AS answered_in_threshold,
    share4(sum(in_threshold), sum(offered)) AS service_level,
    share4(sum(in_threshold), sum(answered + abandoned - abandoned_short)) AS service_level_served
FROM calls WHERE direction = 'IN'
GROUP BY slot, queue
HAVING sum(offered) > 0
