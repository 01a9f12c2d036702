SELECT date_trunc('week', decided_on)::DATE AS week, channel,
    count(*) FILTER (WHERE status = 'accepted') AS accepted,
    count(*) FILTER (WHERE status = 'rejected') AS rejected,
    count(*) FILTER (WHERE status = 'expired') AS expired,
    share4(count(*) FILTER (WHERE status = 'accepted'), count(*)) AS conversion
FROM quotations
WHERE status <> 'open'
GROUP BY week, channel
