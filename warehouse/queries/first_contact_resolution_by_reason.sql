-- title: First contact resolution by reason
-- question: How many matters were settled by one contact, so that the customer did not come back within 7 days?
-- unit: judged = contacts, resolved_first = contacts, repeats = contacts, undecided = contacts, first_contact_resolution = share
-- chart: bar x=first_contact_resolution y=reason
SELECT reason, sum(judged) AS judged, sum(resolved_first) AS resolved_first, sum(repeats) AS repeats,
    sum(undecided) AS undecided,
    round(sum(resolved_first) / nullif(sum(judged), 0), 4) AS first_contact_resolution
FROM analysis.ic_contacts
GROUP BY reason
HAVING sum(judged) > 0
ORDER BY reason
