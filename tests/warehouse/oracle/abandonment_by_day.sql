SELECT began::DATE AS day, sum(offered) AS offered, sum(abandoned) AS abandoned, sum(abandoned_short) AS abandoned_short,
    share4(sum(abandoned), sum(offered)) AS abandonment_rate,
    share4(sum(abandoned - abandoned_short), sum(offered - abandoned_short)) AS abandonment_rate_long
FROM calls WHERE direction = 'IN'
GROUP BY day
