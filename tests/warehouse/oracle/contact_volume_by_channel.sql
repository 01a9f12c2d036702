SELECT month, channel, count(*) AS contacts FROM contacts WHERE direction = 'inbound' GROUP BY month, channel
