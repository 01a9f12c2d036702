-- title: Conversion of quotations by channel and week
-- question: How many of the quotations decided in a week were accepted, by the way the customer asked?
-- parameter: weeks = 26 | weeks up to the newest decision
-- unit: accepted = quotations, rejected = quotations, expired = quotations, conversion = share
-- chart: line x=week y=conversion color=channel
WITH decided AS (
    SELECT date_trunc('week', day::timestamp)::date AS week, channel,
        sum(accepted) AS accepted, sum(rejected) AS rejected, sum(expired) AS expired
    FROM analysis.sales_quotation
    WHERE accepted + rejected + expired > 0
    GROUP BY week, channel
)
SELECT week, channel, accepted, rejected, expired,
    round(accepted / nullif(accepted + rejected + expired, 0), 4) AS conversion
FROM decided
WHERE week > (SELECT max(week) FROM decided) - 7 * :weeks::int
ORDER BY week, channel
