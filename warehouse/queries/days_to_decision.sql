-- title: Days to decision
-- question: How long do customers take to accept or reject a quotation, by channel and division?
-- unit: decided = quotations, days_to_decision = days
-- chart: bar x=days_to_decision y=channel color=division
SELECT channel, division, sum(accepted + rejected) AS decided,
    round(sum(decided_days) / nullif(sum(accepted + rejected), 0), 2) AS days_to_decision
FROM analysis.sales_quotation
GROUP BY channel, division
HAVING sum(accepted + rejected) > 0
ORDER BY channel, division
