SELECT channel, division, count(*) AS decided,
    share2(sum(date_diff('day', made_on, decided_on)), count(*)) AS days_to_decision
FROM quotations
WHERE status IN ('accepted', 'rejected')
GROUP BY channel, division
