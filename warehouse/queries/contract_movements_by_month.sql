-- title: Contracts that come and go
-- question: How do contracts come into the stock and leave it, month by month? Those that go are negative.
-- parameter: months = 24 | months up to the newest one
-- unit: contracts = contracts
-- chart: stack x=month y=contracts color=movement
SELECT event_month AS month, kind AS movement, reason, direction, sum(contracts) AS contracts
FROM analysis.contract_movement
WHERE event_month > (SELECT analysis.publication_month()) - make_interval(months => :months::int)
    AND event_month <= (SELECT analysis.publication_month())
GROUP BY event_month, kind, reason, direction
ORDER BY month, direction, movement
