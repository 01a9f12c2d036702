-- Asked of each contact by itself: does one of the same customer and reason follow within 7 days, or go before?
WITH judged AS (
    SELECT reason, began,
        EXISTS (SELECT 1 FROM contacts AS later
            WHERE later.customer = own.customer AND later.reason = own.reason AND later.direction = 'inbound'
                AND later.contact <> own.contact AND later.began BETWEEN own.began AND own.began + INTERVAL 7 DAY
                AND (later.began > own.began OR later.contact > own.contact)) AS followed,
        EXISTS (SELECT 1 FROM contacts AS earlier
            WHERE earlier.customer = own.customer AND earlier.reason = own.reason AND earlier.direction = 'inbound'
                AND earlier.contact <> own.contact AND earlier.began BETWEEN own.began - INTERVAL 7 DAY AND own.began
                AND (earlier.began < own.began OR earlier.contact < own.contact)) AS follows
    FROM contacts AS own
    WHERE customer IS NOT NULL AND reason IS NOT NULL AND direction = 'inbound'
)
SELECT reason, count(*) AS judged, count(*) FILTER (WHERE NOT followed) AS resolved_first,
    count(*) FILTER (WHERE follows) AS repeats,
    count(*) FILTER (WHERE NOT followed AND began + INTERVAL 7 DAY >= (SELECT max(began) FROM contacts)) AS undecided,
    share4(count(*) FILTER (WHERE NOT followed), count(*)) AS first_contact_resolution
FROM judged
GROUP BY reason
