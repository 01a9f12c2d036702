SELECT said(operand) AS operand, count(*) AS facts, count(DISTINCT anlage) AS installations,
    sum(wert1::DECIMAL(38, 7)) AS value_sum
FROM isu.ettifn
WHERE inaktiv = '' AND ab <= '99991230' AND bis >= '99991230'
GROUP BY ALL
