-- title: Installation facts by operand
-- question: Which values do bills calculate with, for how many installations, and on which day?
-- parameter: day = 9999-12-30 | values of this day; without one, those without an end
-- unit: facts = facts, installations = installations
-- chart: bar x=facts y=operand
SELECT operand, count(*) AS facts, count(DISTINCT installation) AS installations, sum(value) AS value_sum
FROM analysis.installation_fact
WHERE valid_since <= :day::date AND coalesce(valid_until, '9999-12-31') >= :day::date
GROUP BY operand
ORDER BY operand
