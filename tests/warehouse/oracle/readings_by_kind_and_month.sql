SELECT month(day(adat)) AS month, coalesce(coded('reading_kind', 'isu', schaever), '#') AS kind, count(*) AS readings
FROM isu.eabl
GROUP BY ALL
